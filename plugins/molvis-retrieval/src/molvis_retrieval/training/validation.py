"""Retrieval on the validation fold, by the encoders as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from molvis_core.errors import ScoreError
from molvis_core.records import Structure
from molvis_nn.fusion import collate_measured
from molvis_retrieval import metrics
from molvis_retrieval.training.collapse import spread_metrics
from molvis_retrieval.training.pairings import Pairing
from molvis_retrieval.training.run import Run

_PER_COMPOUND = 4
"""Measurements of a compound that a validation ranks. More would weigh the same and cost the time of an epoch."""

Device = torch.device | str


def validate(run: Run, device: Device = "cpu", *, world: int = 1) -> dict[str, float]:
    """Rank the truth among the compounds of the fold, or among those of equal mass where there is a library.

    Args:
        run: its encoders are left in evaluation mode.
        device: where they are.
        world: processes that train together: the loss is of batches as large as theirs together.

    Returns:
        Means over the pairings, and where there are several each one's own; and how far apart each encoder puts
        different compounds.

    Raises:
        ScoreError: a score is not finite.
    """
    for encoder in run.encoders.values():
        encoder.eval()
    names = run.names
    found: dict[str, dict[str, float]] = {}
    spreads: dict[str, float] = {}
    with torch.inference_mode():
        for pairing in run.validation:
            embedded = _embedded(run, pairing, device)
            ranks, tied = _ranked(run, pairing, embedded, device)
            pairs = ((pairing.query, embedded.first), (pairing.reference, embedded.truth))
            for key, vectors in pairs:
                spreads |= spread_metrics(key, run.encoders[key], vectors.numpy())
            found[names[pairing.number]] = {
                **_figures(ranks, tied, embedded.owners),
                "loss": _loss(run, pairing, embedded, device, run.config.train.batch * world),
            }
    keys = list(next(iter(found.values())))
    means = {f"val_{key}": float(np.mean([one[key] for one in found.values()])) for key in keys}
    if len(names) > 1:
        means |= {f"val_{key}/{name}": one[key] for name, one in found.items() for key in keys}
    return means | spreads


@dataclass(frozen=True, eq=False)
class _Embedded:
    """What the encoders make of a pairing.

    Attributes:
        structures: of the compounds.
        owners: which compound each query belongs to.
        query, truth: vectors of the queries and of the compounds.
    """

    structures: list[Structure]
    owners: np.ndarray
    query: Tensor
    truth: Tensor

    @property
    def first(self) -> Tensor:
        """The vectors of the first query of each compound."""
        return self.query[np.unique(self.owners, return_index=True)[1]]


def _embedded(run: Run, pairing: Pairing, device: Device) -> _Embedded:
    structures = [pairing.structure(run.dataset, key) for key in pairing.compounds]
    references: list[Any] = structures
    if pairing.reference != "structure":
        rows = pairing.rows[pairing.reference]
        references = [run.dataset.record(pairing.reference, int(rows[key][0])) for key in pairing.compounds]
    truth = _embed(run.encoders[pairing.reference], references, device)
    queries, owners = _queries(run, pairing)
    return _Embedded(structures, np.array(owners), _embed_queries(run, pairing, queries, device), truth)


def _queries(run: Run, pairing: Pairing) -> tuple[list[Any], list[int]]:
    """A few measurements of each compound, or of a fused query one of each modality; and whose they are."""
    rng = np.random.default_rng([run.config.train.seed, pairing.number, 3])
    owners: list[int] = []
    queries: list[Any] = []
    for owner, key in enumerate(pairing.compounds):
        if pairing.fused:
            drawn = {p: int(rng.choice(pairing.rows[p][key])) for p in pairing.measured(key)}
            queries.append({p: [run.dataset.record(p, row)] for p, row in drawn.items()})
            owners.append(owner)
            continue
        rows = pairing.rows[pairing.query][key]
        for row in rng.choice(rows, min(_PER_COMPOUND, len(rows)), replace=False):
            queries.append(run.dataset.record(pairing.query, int(row)))
            owners.append(owner)
    return queries, owners


def _ranked(run: Run, pairing: Pairing, embedded: _Embedded, device: Device) -> metrics.Ranks:
    """Rank of the truth for each query, and how many candidates share its score."""
    if run.library is None or pairing.reference != "structure":
        return _ranks(embedded.query @ embedded.truth.T, embedded.owners)
    ranks, tied = np.empty(len(embedded.query)), np.zeros(len(embedded.query), dtype=np.int64)
    pools = run.validation_pools
    rows = sorted({int(r) for key in pairing.compounds for r in pools[key]})
    place = {row: i for i, row in enumerate(rows)}
    truth = embedded.truth
    others = _embed(run.encoders["structure"], run.library.structures(rows), device) if rows else truth[:0]
    for index, key in enumerate(pairing.compounds):
        mine = embedded.owners == index
        candidates = torch.cat([truth[index : index + 1], others[[place[int(r)] for r in pools[key]]]])
        scores = embedded.query[torch.from_numpy(mine)] @ candidates.T
        ranks[mine], tied[mine] = _ranks(scores, np.zeros(len(scores), dtype=np.int64))
    return metrics.Ranks(ranks, tied)


def _ranks(scores: Tensor, truth: np.ndarray) -> metrics.Ranks:
    if not torch.isfinite(scores).all():
        raise ScoreError("validation gave scores that are not finite; lower the learning rate")
    return metrics.rank_of_truth(scores.double().numpy(), truth)


def _figures(ranks: np.ndarray, tied: np.ndarray, owners: np.ndarray) -> dict[str, float]:
    """Means over the compounds of the means over each one's queries."""
    per_compound = 1.0 / np.bincount(owners)[owners]
    compounds = owners[-1] + 1

    def mean(values: np.ndarray) -> float:
        return float((values * per_compound).sum() / compounds)

    found = {f"hit{k}": mean(metrics.hits(ranks, k, tied)) for k in metrics.CUTOFFS}
    return {**found, "mrr": mean(metrics.reciprocal(ranks))}


def _loss(run: Run, pairing: Pairing, embedded: _Embedded, device: Device, size: int) -> float:
    """The mean over batches of compounds, with one query of each."""
    target, loss = run.targets[pairing.number], run.losses[pairing.number]
    first, total = embedded.first, []
    for start in range(0, len(embedded.structures), size):
        part = slice(start, start + size)
        keys = target.collate(embedded.structures[part])
        wanted, weight = (value.to(device) for value in target(keys, keys))
        total.append(float(loss(first[part].to(device), embedded.truth[part].to(device), wanted, weight)))
    return float(np.mean(total))


def _embed_queries(run: Run, pairing: Pairing, queries: Sequence[Any], device: Device, size: int = 512) -> Tensor:
    if not pairing.fused:
        return _embed(run.encoders[pairing.query], queries, device, size)
    out: list[Tensor] = []
    for start in range(0, len(queries), size):
        batch = collate_measured(run.encoders, pairing.parts, queries[start : start + size]).to(device)
        out.append(run.encoders[pairing.query](batch.encode(run.encoders)).float().cpu())
    return torch.cat(out)


def _embed(encoder: Any, records: Sequence[Any], device: Device, size: int = 512) -> Tensor:
    out = [
        encoder(encoder.collate(records[start : start + size]).to(device)).float().cpu()
        for start in range(0, len(records), size)
    ]
    return torch.cat(out)
