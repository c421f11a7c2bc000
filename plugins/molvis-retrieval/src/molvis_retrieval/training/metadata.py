"""What a bundle says about the run that made it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from molvis_core import registry
from molvis_retrieval.config import RunConfig
from molvis_retrieval.training.checkpoint import State
from molvis_retrieval.training.collapse import collapses

if TYPE_CHECKING:
    from molvis_retrieval.dataset import Dataset


def bundle_metadata(config: RunConfig, dataset: Dataset, state: State, given: Mapping[str, Any]) -> dict[str, Any]:
    """What `bundle.toml` says about the run."""
    cites = {
        cite
        for kind, specs in (
            ("encoder", config.encoders.values()),
            ("loss", [p.loss for p in config.pairs]),
            ("target", [p.target for p in config.pairs]),
            ("scorer", config.scorers.values()),
        )
        for spec in specs
        for cite in citations(kind, spec)
    }
    return {
        "name": config.name or "molvis",
        "data_digest": dataset.digest,
        "best_epoch": state.best_epoch,
        "metrics": {k: round(v, 6) for k, v in state.best_metrics.items()},
        "citations": sorted(cites),
        **({"warnings": told} if (told := collapses(state.best_metrics)) else {}),
        **given,
    }


def citations(kind: str, spec: Mapping[str, Any]) -> set[str]:
    """DOIs of the work behind a component, and behind those that it is made of."""
    found = {registry.component(kind, spec["use"]).cite}
    for value in spec.values():
        for part in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(part, Mapping) and "use" in part:
                found |= citations(kind, part)
    return found - {""}
