"""Controls of an evaluation: queries that were robbed of what they should be ranked by.

A figure counts by how far it lies above them. What another compound's peaks reach is precursor, metadata and the looks
of the candidates; what no peaks reach is the looks alone; and a precursor that is off shows what exact masses gave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from molvis_core.records import PeakList
from molvis_retrieval import metrics
from molvis_retrieval.evaluation.queries import Selected, decoys, embed_queries, with_precursor_errors
from molvis_retrieval.evaluation.windows import Ranked, WindowRanking
from molvis_retrieval.metrics import Estimate
from molvis_retrieval.runs import adapts

KINDS: Mapping[str, str] = {
    "spectrum": "what was measured",
    "decoy": "peaks of the compound nearest in mass, more than 0.02 Da away, of the same polarity",
    "no peaks": "the precursor as the only peak: structures and metadata alone",
    "precursor off": "an error of 3 ppm on each precursor",
    "random": "a random order of the candidates",
}
"""The controls in the order in which they are shown, and what each gives to the ranking."""

PRECURSOR_ERROR = 3.0
"""In ppm, standard deviation of the control `precursor off`."""


@dataclass(frozen=True, slots=True)
class Control:
    """Retrieval within the mass window from queries of one kind.

    Attributes:
        kind: one of `KINDS`.
        method: `embedding`, or `reranked` by the bundle's scorers; empty for `random`.
        compounds: of the queries.
        estimates: hit1, hit5, hit20, mrr over compounds; no mrr for `random`.
    """

    kind: str
    method: str
    compounds: int
    estimates: dict[str, Estimate]


def applicable(records: Sequence[Any]) -> list[str]:
    """Controls that records of this kind can undergo: what has no peaks has a decoy alone."""
    if not isinstance(records[0], PeakList):
        return ["decoy"]
    return ["decoy", "no peaks", "precursor off"]


def robbed(kind: str, measured: Selected, scatter: float, rng: np.random.Generator) -> Selected:
    """The queries of a control.

    Args:
        kind: `spectrum`, `decoy`, `no peaks` or `precursor off`.
        measured: the queries as they were measured.
        scatter: in ppm; each precursor of a query without its own peaks gets a uniform error up to this. For bundles
            that weigh the error of the mass, where the exact precursor would give the compound away; 0 for others.
        rng: draws errors, and which spectrum of a compound serves as a decoy.

    Raises:
        molvis_core.errors.DatasetError: there is no other compound to take decoy peaks from.
    """
    records = list(measured.records)
    if kind == "precursor off":
        records = with_precursor_errors(records, PRECURSOR_ERROR, rng)
    elif kind != "spectrum" and scatter:
        records = [
            _shifted(one, error) for one, error in zip(records, rng.uniform(-1, 1, len(records)) * scatter, strict=True)
        ]
    if kind == "decoy":
        masses = measured.dataset.table(measured.modality)["exact_mass"].take(measured.rows).to_numpy()
        records = decoys(records, measured.keys, masses, rng)
    elif kind == "no peaks":
        records = [_without_peaks(one) for one in records]
    return replace(measured, records=records)


def _shifted(record: Any, ppm: float) -> Any:
    if getattr(record, "precursor_mz", None) is None:
        return record
    return replace(record, precursor_mz=record.precursor_mz * (1 + ppm * 1e-6))


def _without_peaks(record: PeakList) -> PeakList:
    """A spectrum that holds its precursor, or where it has none its highest m/z, and nothing else."""
    place = record.precursor_mz if record.precursor_mz is not None else float(record.mz.max(initial=1.0))
    return replace(record, mz=np.array([place]), intensity=np.ones(1, dtype=np.float32))


def measure_controls(
    ranking: WindowRanking,
    measured: Selected,
    ranked: Mapping[str, Ranked] | None,
    seed: int,
    device: str | None,
) -> tuple[Control, ...]:
    """Retrieval within the mass window by compound: from the queries as measured, robbed of evidence, and at random.

    Args:
        ranking: with bundle, index and settings.
        measured: the queries as they were measured.
        ranked: what they reach within the mass window, by method, where that is known.
        seed: of everything drawn.
        device: where to embed.
    """
    scatter = ranking.ppm if adapts(ranking.weigher()) else 0.0
    found: list[Control] = []
    count = np.zeros(0)
    for kind in ("spectrum", *applicable(measured.records)):
        if kind == "spectrum" and ranked is not None:
            by_method = ranked
        else:
            queries = robbed(kind, measured, scatter, np.random.default_rng(seed))
            asked = embed_queries(queries, ranking.bundle, ranking.index, device, ranking.say)
            by_method = replace(ranking, asked=asked).among("mass")
        for method, one in by_method.items():
            estimates = metrics.retrieval(one.rank, measured.keys, by="compound", tied=one.tied)
            found.append(Control(kind, method, len(ranking.asked.compounds), estimates))
            count = one.count if kind == "spectrum" else count
    chance = {f"hit{k}": metrics.bootstrap(metrics.chance(count, k), measured.keys) for k in metrics.CUTOFFS}
    return (*found, Control("random", "", found[0].compounds, chance))
