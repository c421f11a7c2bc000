"""What a bundle records of the run that made it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from molvis_core import registry
from molvis_retrieval.training.checkpoint import State
from molvis_retrieval.training.collapse import collapses
from molvis_retrieval.training.run import Run


def bundle_metadata(run: Run, state: State, given: Mapping[str, Any]) -> dict[str, Any]:
    """What `bundle.toml` records of the run that made it; what is `given` takes precedence."""
    config = run.config
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
        "data_digest": run.dataset.digest,
        "best_epoch": state.best_epoch,
        "metrics": {k: round(v, 6) for k, v in state.best_metrics.items()},
        "citations": sorted(cites),
        **({"warnings": found} if (found := collapses(state.best_metrics)) else {}),
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
