"""Ranks of the truths among the candidates of a mass window or of a formula."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from molvis_core.chemistry.adducts import neutral_mass
from molvis_core.errors import AdductError
from molvis_core.progress import StageProgress
from molvis_retrieval import metrics
from molvis_retrieval.bundle import Bundle
from molvis_retrieval.evaluation.queries import Asked
from molvis_retrieval.evidence import Weigher
from molvis_retrieval.runs import adapted

if TYPE_CHECKING:
    from molvis_core.records import Structure
    from molvis_retrieval.index import Index


@dataclass
class Ranked:
    """Ranks by one method: of each query, then of each compound's queries as one."""

    rank: np.ndarray
    tied: np.ndarray
    count: np.ndarray
    probability: np.ndarray
    first: list[str]
    consensus: np.ndarray
    consensus_tied: np.ndarray
    consensus_count: np.ndarray

    @classmethod
    def empty(cls, queries: int, compounds: int) -> Ranked:
        """Room for so many."""
        return cls(
            rank=np.empty(queries),
            tied=np.empty(queries),
            count=np.empty(queries, dtype=int),
            probability=np.empty(queries),
            first=[""] * queries,
            consensus=np.empty(compounds),
            consensus_tied=np.empty(compounds),
            consensus_count=np.empty(compounds, dtype=int),
        )


@dataclass(frozen=True, slots=True)
class _Shortlist:
    """The candidates of a compound, the truth last, and which of them each of its queries has.

    The truth is always a candidate, also where it is outside the window: its mass is what the window is about.
    """

    compound: int
    structures: Sequence[Structure]
    vectors: np.ndarray
    queries: Sequence[int]
    masks: Sequence[np.ndarray]


@dataclass(frozen=True, slots=True)
class WindowRanking:
    """Ranks the truths among the candidates of each spectrum's own mass window, or of its compound's formula."""

    bundle: Bundle
    index: Index
    asked: Asked
    ppm: float
    rerank: bool
    say: StageProgress
    without: tuple[str, ...] = ()

    def weigher(self) -> Weigher:
        """The evidence with the bundle's scorers, adapted to the queries as one run."""
        run = {self.asked.modality: self.asked.records}
        return adapted(Weigher(self.bundle, without=self.without), self.index.library, run, self.ppm)

    def among(self, scope: str) -> dict[str, Ranked]:
        """Ranks by embedding, and by the bundle's scorers where they are asked for and calibrated."""
        weighers = {"embedding": Weigher(self.bundle, rerank=False)}
        if self.rerank and self.bundle.scorers and self.bundle.calibration.weights:
            weighers["reranked"] = self.weigher()
        count, total = len(self.asked.records), len(self.asked.truths)
        made = {method: Ranked.empty(count, total) for method in weighers}
        for compound in range(total):
            shortlist = self._shortlist(compound, scope)
            for method, weigh in weighers.items():
                self._rank(shortlist, weigh, made[method])
            self.say(compound + 1, total, f"ranking candidates of equal {scope}")
        return made

    def _shortlist(self, compound: int, scope: str) -> _Shortlist:
        asked, index = self.asked, self.index
        truth = asked.truths[compound]
        mine = np.flatnonzero(asked.owner == compound).tolist()
        windows = [_rows(index, asked.records[i], truth, scope, self.ppm) for i in mine]
        union = np.unique(np.concatenate(windows))
        rivals = np.setdiff1d(union, asked.places[compound])
        vectors = np.concatenate([index.take(rivals), asked.truth_vectors[compound : compound + 1]])
        structures = [*index.library.structures(rivals), truth]
        return _Shortlist(compound, structures, vectors, mine, [np.r_[np.isin(rivals, w), True] for w in windows])

    def _rank(self, shortlist: _Shortlist, weigh: Weigher, out: Ranked) -> None:
        """Enter the ranks of a compound's queries, and of all of them as one."""
        modality, structures = self.asked.modality, shortlist.structures
        summed = np.zeros(len(structures))
        for i, mask in zip(shortlist.queries, shortlist.masks, strict=True):
            record = self.asked.records[i]
            inside = np.flatnonzero(mask)
            cosine = shortlist.vectors[inside] @ self.asked.vectors[i]
            pick = functools.partial(_pick, [structures[p] for p in inside.tolist()])
            logits = weigh.score({modality: [record]}, {modality: cosine[None]}, pick).logits
            metrics.finite(logits, f"spectrum {record.identifier}")
            full = np.full(len(structures), logits.min())
            full[inside] = logits
            summed += full
            (out.rank[i],), (out.tied[i],) = metrics.rank_of_truth(logits[None], np.array([len(inside) - 1]))
            out.count[i] = len(inside)
            out.first[i] = structures[int(inside[metrics.in_order(logits, 1)[0]])].smiles
            out.probability[i] = 1 / np.exp(logits - logits.max()).sum()
        compound = shortlist.compound
        placed = metrics.rank_of_truth(summed[None], np.array([len(structures) - 1]))
        (out.consensus[compound],), (out.consensus_tied[compound],) = placed
        out.consensus_count[compound] = len(structures)


def _pick(candidates: Sequence[Structure], chosen: np.ndarray) -> list[Structure]:
    return [candidates[i] for i in chosen]


def _rows(index: Index, record: Any, truth: Structure, scope: str, ppm: float) -> np.ndarray:
    if scope == "formula":
        return index.library.of_formula(truth.formula)
    mass = truth.exact_mass
    if getattr(record, "precursor_mz", None) is not None and record.adduct is not None:
        # Where the adduct cannot be read, an empty window would hold the truth alone, and flatter.
        with contextlib.suppress(AdductError):
            mass = neutral_mass(record.precursor_mz, record.adduct)
    return index.library.within_ppm(mass, ppm)
