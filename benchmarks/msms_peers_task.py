"""The task of benchmarks/msms_peers.py: who is asked for, among which candidates, and how an answer is counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from msms_peers_exchange import Spectra

from molvis_core.chemistry.adducts import neutral_mass
from molvis_core.errors import AdductError, DatasetError
from molvis_core.records import PeakList, Structure
from molvis_retrieval import metrics
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.evaluation.controls import robbed
from molvis_retrieval.evaluation.queries import known_rows, selected_records
from molvis_retrieval.evaluation.ranking import MAIN_ADDUCTS
from molvis_retrieval.library import Library
from molvis_retrieval.parents import parent

PPM = 10.0
MIN_PEAKS = 2
CONTROLS = ("spectrum", "decoy")
"""What is asked with: what was measured, and the peaks of the compound nearest in mass."""


@dataclass(frozen=True, eq=False)
class Question:
    """A compound that is asked for.

    Attributes:
        key: first block of its InChIKey.
        candidates: structures of the windows of all its spectra, the truth last.
        queries: numbers of its spectra.
        inside: which candidates each of them has.
    """

    key: str
    candidates: Sequence[Structure]
    queries: Sequence[int]
    inside: Sequence[np.ndarray]


@dataclass(frozen=True, eq=False)
class Task:
    """The queries of a fold, as `molvis evaluate` has them.

    Attributes:
        records: by control, those of `CONTROLS` that are asked with: the spectra.
        keys: compound of each spectrum.
        truths: structure of each compound.
        library: of the candidates.
    """

    records: dict[str, Sequence[PeakList]]
    keys: np.ndarray
    truths: dict[str, Structure]
    library: Library

    @classmethod
    def of(cls, dataset: Dataset, library: Library, fold: str, controls: Sequence[str] = CONTROLS) -> Task:
        """The spectra of a fold, and what else is asked with.

        Raises:
            DatasetError: it has none.
        """
        rows = dataset.rows("msms", fold=fold, adducts=MAIN_ADDUCTS, min_peaks=MIN_PEAKS)
        rows, keys = known_rows(dataset, "msms", rows)
        if not len(rows):
            raise DatasetError(f"{dataset.path}: no spectrum of fold {fold!r} with the usual adducts")
        measured = selected_records(dataset, "msms", rows, keys, np.random.default_rng(0))
        compounds, first = np.unique(keys, return_index=True)
        truths = {
            key: parent(dataset.structure("msms", int(rows[i])))[0]
            for key, i in zip(compounds.tolist(), first.tolist(), strict=True)
        }
        records = {kind: robbed(kind, measured, 0.0, np.random.default_rng(0)).records for kind in controls}
        return cls(records, keys, truths, library)

    def __len__(self) -> int:
        return len(self.keys)

    def questions(self) -> Iterator[Question]:
        """One compound after the other, with its candidates."""
        for key, truth in self.truths.items():
            mine = np.flatnonzero(self.keys == key).tolist()
            windows = [self.library.within_ppm(_mass(self.records["spectrum"][i], truth), PPM) for i in mine]
            rivals = np.setdiff1d(np.unique(np.concatenate(windows)), self.library.rows_of(key))
            candidates = [*self.library.structures(rivals), truth]
            yield Question(key, candidates, mine, [np.r_[np.isin(rivals, w), True] for w in windows])


def _mass(record: PeakList, truth: Structure) -> float:
    if record.precursor_mz is None or record.adduct is None:
        return truth.exact_mass
    try:
        return neutral_mass(record.precursor_mz, record.adduct)
    except AdductError:
        return truth.exact_mass


Score = Callable[[Question, str], Sequence[np.ndarray]]
"""Scores of all candidates of a question, for each of its queries, from the records of a control."""


def ranked(task: Task, methods: dict[str, Score], say: Callable[[int, int], None]) -> dict[str, Any]:
    """Hit rates of methods, each with its control; means over compounds with 95% bootstrap intervals."""
    rank = {(name, kind): np.empty(len(task)) for name in methods for kind in task.records}
    tied = {place: np.empty(len(task)) for place in rank}
    for done, question in enumerate(task.questions(), start=1):
        for (name, kind), ranks in rank.items():
            scores = methods[name](question, kind)
            for query, mask, values in zip(question.queries, question.inside, scores, strict=True):
                among = np.asarray(values, dtype=np.float64)[mask]
                one = metrics.rank_of_truth(among[None], np.array([len(among) - 1]), f"{name}, {question.key}")
                ranks[query], tied[name, kind][query] = one.rank[0], one.tied[0]
        say(done, len(task.truths))
    return {
        name: {kind: figures(rank[name, kind], tied[name, kind], task.keys) for kind in task.records}
        for name in methods
    }


def figures(rank: np.ndarray, tied: np.ndarray, keys: np.ndarray) -> dict[str, list[float]]:
    """Value and interval of each figure of merit."""
    found = metrics.retrieval(rank, keys, by="compound", tied=tied)
    return {name: [round(v, 4) for v in (one.value, one.low, one.high)] for name, one in found.items()}


def at_random(task: Task) -> dict[str, list[float]]:
    """What a random order reaches."""
    count = np.empty(len(task))
    for question in task.questions():
        for query, mask in zip(question.queries, question.inside, strict=True):
            count[query] = mask.sum()
    found = {f"hit{k}": metrics.bootstrap(metrics.chance(count, k), task.keys) for k in metrics.CUTOFFS}
    return {name: [round(v, 4) for v in (one.value, one.low, one.high)] for name, one in found.items()}


def as_spectra(records: Sequence[PeakList], keys: Sequence[str], structures: dict[str, str]) -> Spectra:
    """Spectra for other programs.

    Args:
        records: what was measured.
        keys: compound of each.
        structures: SMILES of each compound. One that is not among them has no InChIKey either in what is returned.
    """
    names, owner = np.unique(np.asarray(keys), return_inverse=True)
    lengths = [len(one) for one in records]
    heights = [one.intensity.astype(np.float64) / max(float(one.intensity.max()), 1e-12) for one in records]
    return Spectra(
        mz=np.concatenate([one.mz for one in records]).astype(np.float64),
        intensity=np.concatenate(heights),
        offsets=np.cumsum([0, *lengths]),
        precursor_mz=np.array([float(one.precursor_mz or 0.0) for one in records]),
        polarity=np.array([-1 if one.ionmode == "negative" else 1 for one in records]),
        compound=owner.astype(np.int32),
        inchikey=np.array([name if name in structures else "" for name in names.tolist()]),
        smiles=np.array([structures.get(name, "") for name in names.tolist()]),
    )


def known_spectra(dataset: Dataset, fold: str, most: int | None = None) -> Spectra:
    """Spectra of a fold with their structures, at most so many of a compound, drawn without looking at them."""
    rows = dataset.rows("msms", fold=fold, adducts=MAIN_ADDUCTS, min_peaks=MIN_PEAKS)
    rows, keys = known_rows(dataset, "msms", rows)
    compounds, first, count = np.unique(keys, return_index=True, return_counts=True)
    if most is not None:
        rng = np.random.default_rng(0)
        chosen = [start + np.sort(rng.permutation(n)[:most]) for start, n in zip(first, count, strict=True)]
        rows, keys = rows[np.concatenate(chosen)], keys[np.concatenate(chosen)]
    made = {
        key: parent(dataset.structure("msms", int(rows[np.searchsorted(keys, key)])))[0].smiles
        for key in compounds.tolist()
    }
    return as_spectra([dataset.record("msms", int(r)) for r in rows], keys.tolist(), made)
