"""Retrieval on the validation fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from molvis_core.errors import ScoreError
from molvis_nn.fusion import collate_measured
from molvis_retrieval import metrics
from molvis_retrieval.config import RunConfig, is_fused
from molvis_retrieval.training.collapse import spread_metrics
from molvis_retrieval.training.pairings import Pairing, having

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from molvis_retrieval.dataset import Dataset
    from molvis_retrieval.library import Library


def validate_run(
    config: RunConfig,
    dataset: Dataset,
    encoders: Mapping[str, Any],
    targets: Sequence[Any],
    losses: Sequence[Any],
    pairings: Sequence[Pairing],
    pools: Mapping[str, np.ndarray],
    library: Library | None,
    fabric: Fabric,
    names: Sequence[str],
) -> dict[str, float]:
    """Retrieval on the validation fold: among its compounds, or among those of equal mass where there is a library.

    Means over the pairings, and where there are several each one's own.
    """
    for encoder in encoders.values():
        encoder.eval()
    found: dict[str, dict[str, float]] = {}
    spreads: dict[str, float] = {}
    with torch.inference_mode():
        for pairing in pairings:
            target, loss = targets[pairing.pair], losses[pairing.pair]
            found[names[pairing.pair]] = _validate_pairing(
                config, pairing, dataset, encoders, target, loss, pools, library, fabric, spreads
            )
    keys = list(next(iter(found.values())))
    means = {f"val_{key}": float(np.mean([one[key] for one in found.values()])) for key in keys}
    if len(names) > 1:
        means |= {f"val_{key}/{name}": one[key] for name, one in found.items() for key in keys}
    return means | spreads


_PER_COMPOUND = 4
"""Measurements of a compound that a validation looks at. More would weigh the same and cost the time of an epoch."""


def _validate_pairing(
    config: RunConfig,
    pairing: Pairing,
    dataset: Dataset,
    encoders: Mapping[str, Any],
    target: Any,
    loss: Any,
    pools: Mapping[str, np.ndarray],
    library: Library | None,
    fabric: Fabric,
    spreads: dict[str, float],
) -> dict[str, float]:
    rng = np.random.default_rng([config.train.seed, pairing.pair, 3])
    structures = [pairing.structure(dataset, key) for key in pairing.compounds]
    references = (
        structures
        if pairing.reference == "structure"
        else [
            dataset.record(pairing.reference, int(pairing.rows[pairing.reference][key][0])) for key in pairing.compounds
        ]
    )
    truth = _embed(encoders[pairing.reference], references, fabric)
    owners: list[int] = []
    queries: list[Any] = []
    for owner, key in enumerate(pairing.compounds):
        if is_fused(config, pairing.query):
            queries.append(
                {p: [dataset.record(p, int(rng.choice(pairing.rows[p][key])))] for p in having(pairing, key)}
            )
            owners.append(owner)
            continue
        rows = pairing.rows[pairing.query][key]
        for row in rng.choice(rows, min(_PER_COMPOUND, len(rows)), replace=False):
            queries.append(dataset.record(pairing.query, int(row)))
            owners.append(owner)
    query, owner = _embed_queries(config, pairing, encoders, queries, fabric), torch.tensor(owners)
    ranks, tied = np.empty(len(queries)), np.zeros(len(queries), dtype=np.int64)
    if library is not None and pairing.reference == "structure":
        rows = sorted({int(r) for key in pairing.compounds for r in pools[key]})
        place = {row: i for i, row in enumerate(rows)}
        others = _embed(encoders["structure"], library.structures(rows), fabric) if rows else truth[:0]
        for index, key in enumerate(pairing.compounds):
            mine = owner == index
            candidates = torch.cat([truth[index : index + 1], others[[place[int(r)] for r in pools[key]]]])
            placed = _ranks(query[mine] @ candidates.T, torch.zeros(int(mine.sum()), dtype=torch.int64))
            ranks[mine.numpy()], tied[mine.numpy()] = placed
    else:
        ranks, tied = _ranks(query @ truth.T, owner)
    first = [owners.index(i) for i in range(len(structures))]
    for key, vectors in ((pairing.query, query[first]), (pairing.reference, truth)):
        spreads |= spread_metrics(key, encoders[key], vectors.numpy())
    size = config.train.batch
    total: list[float] = []
    for start in range(0, len(structures), size):
        part = slice(start, start + size)
        keys = target.collate(structures[part])
        values, weight = target(keys, keys)
        move = fabric.device
        total.append(float(loss(query[first[part]].to(move), truth[part].to(move), values.to(move), weight.to(move))))
    per_compound = 1.0 / np.bincount(owners)[owners]

    def mean(values: np.ndarray) -> float:
        return float((values * per_compound).sum() / len(structures))

    return {
        **{f"hit{k}": mean(metrics.hits(ranks, k, tied)) for k in metrics.CUTOFFS},
        "mrr": mean(metrics.reciprocal(ranks)),
        "loss": float(np.mean(total)),
    }


def _ranks(scores: Tensor, truth: Tensor) -> metrics.Ranks:
    if not torch.isfinite(scores).all():
        raise ScoreError("validation gave scores that are not finite; lower the learning rate")
    return metrics.rank_of_truth(scores.double().numpy(), truth.numpy())


def _embed_queries(
    config: RunConfig, pairing: Pairing, encoders: Mapping[str, Any], queries: Sequence[Any], fabric: Fabric
) -> Tensor:
    if not is_fused(config, pairing.query):
        return _embed(encoders[pairing.query], queries, fabric)
    out: list[Tensor] = []
    for start in range(0, len(queries), 512):
        batch = collate_measured(encoders, pairing.parts, queries[start : start + 512]).to(fabric.device)
        out.append(encoders[pairing.query](batch.encode(encoders)).float().cpu())
    return torch.cat(out)


def _embed(encoder: Any, records: Sequence[Any], fabric: Fabric, size: int = 512) -> Tensor:
    out = [
        encoder(encoder.collate(records[start : start + size]).to(fabric.device)).float().cpu()
        for start in range(0, len(records), size)
    ]
    return torch.cat(out)


def temperatures(names: Sequence[str], losses: Sequence[Any]) -> dict[str, float]:
    """The temperature of every pairing's loss, where it has one."""
    found: dict[str, float] = {}
    for name, loss in zip(names, losses, strict=True):
        value = getattr(loss, "temperature", None)
        with torch.no_grad():
            value = value() if callable(value) else value
        if value is not None:
            found[f"temperature/{name}"] = float(value)
    return found
