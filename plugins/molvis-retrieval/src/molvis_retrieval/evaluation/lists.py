"""Retrieval among each compound's own list of candidates, by the definitions of MassSpecGym beside ours.

MassSpecGym counts each spectrum once and has intervals of 99.9% over spectra; a candidate is the truth where the first
block of its InChIKey is. We count each compound once and have intervals of 95% over compounds, since the spectra of a
compound are not independent. Lists are taken as they are: nothing is added to them, and a compound that is not in its
own list is never found.
"""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from molvis_core.errors import DatasetError
from molvis_core.interfaces import AdaptsToRun
from molvis_core.progress import StageProgress
from molvis_core.records import Structure
from molvis_files.writing import write_text
from molvis_retrieval import metrics
from molvis_retrieval.bundle import Bundle
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.evaluation.candidate_lists import CandidateLists, Candidates
from molvis_retrieval.evaluation.mces import mces, require_mces
from molvis_retrieval.evaluation.queries import Selected, known_rows, selected_records
from molvis_retrieval.evidence import Weigher
from molvis_retrieval.metrics import Estimate

MASSSPECGYM_LEVEL = 0.999
_DRAWS = 20_000
"""Of the bootstrap: one in two thousand of them lies outside each bound."""


@dataclass(frozen=True, slots=True)
class ListFigure:
    """Retrieval by one method.

    Attributes:
        method: `embedding`, `reranked` by the bundle's scorers, or `random`.
        by: `compound`, with 95% intervals over compounds; or `spectrum`, with 99.9% intervals over spectra.
        estimates: hit1, hit5, hit20, and mces1, the mean distance of the first candidate, where it was asked for.
    """

    method: str
    by: str
    estimates: dict[str, Estimate]


@dataclass(frozen=True, slots=True)
class ListEvaluation:
    """What was measured of one bundle.

    Attributes:
        bundle: its name.
        fold: of the dataset.
        spectra, compounds: of the queries that have a list.
        without_list: spectra whose compound has none; they are no queries.
        without_truth: spectra whose compound is not in its own list; they count as not found.
        refused: candidates and queries of the file that are no structures.
        median_candidates: of a list.
        left_out: scorers that need a whole run and a library, which lists are not.
        note: `decoy`, where the queries were given other peaks on purpose.
        figures: retrieval by each method.
    """

    bundle: str
    fold: str
    spectra: int
    compounds: int
    without_list: int
    without_truth: int
    refused: int
    median_candidates: float
    left_out: tuple[str, ...] = ()
    note: str = ""
    figures: tuple[ListFigure, ...] = field(default=())


@dataclass(slots=True)
class _Found:
    """Of each query: the truth's rank among the candidates that are not the truth, ties with it, and the distance."""

    above: list[float] = field(default_factory=list)
    tied: list[float] = field(default_factory=list)
    distance: list[float] = field(default_factory=list)


def evaluate_lists(
    bundle: Bundle,
    dataset: Dataset,
    lists: CandidateLists,
    *,
    fold: str = "test",
    adducts: Sequence[str] = (),
    min_peaks: int = 1,
    rerank: bool = True,
    decoy: bool = False,
    without: Sequence[str] = (),
    distances: bool = False,
    modality: str = "msms",
    seed: int = 0,
    device: str | None = None,
    progress: StageProgress | None = None,
) -> ListEvaluation:
    """Rank the true structure of every spectrum of a fold in its compound's list.

    Args:
        bundle: to evaluate.
        dataset: with the true structures.
        lists: candidates of the compounds.
        fold: of the dataset.
        adducts: of the spectra; none for all.
        min_peaks: of the spectra.
        rerank: use the bundle's scorers as well.
        decoy: give each query the peaks of the compound that is nearest in mass.
        without: scorers of the bundle that are left out.
        distances: measure how far each first candidate is from the truth (MCES), which takes long.
        modality: of the queries.
        seed: of everything drawn.
        device: where to embed.
        progress: called with what is done, what there is in all, and of what.

    Raises:
        DatasetError: no spectrum of the fold has a list.
        ConfigError: distances are asked for without the package that measures them.
        molvis_core.errors.ScoreError: a score is not finite.
    """
    if distances:
        require_mces()
    say = progress or (lambda done, total, what="": None)
    every, every_key = known_rows(
        dataset, modality, dataset.rows(modality, fold=fold, adducts=adducts, min_peaks=min_peaks)
    )
    listed = np.array([key in lists for key in every_key], dtype=bool)
    rows, keys = every[listed], every_key[listed]
    if not len(rows):
        raise DatasetError(
            f"{dataset.path}: none of the {len(every)} spectra of fold {fold!r} is of a compound that has candidates"
        )
    selected = selected_records(dataset, modality, rows, keys, np.random.default_rng(seed), decoy=decoy)
    runs = [key for key, channel in bundle.channels.scorers.items() if isinstance(channel.scorer, AdaptsToRun)]
    weighers = {"embedding": Weigher(bundle, rerank=False)}
    if rerank and bundle.scorers and bundle.calibration.weights:
        weighers["reranked"] = Weigher(bundle, without=(*without, *runs))
    found = {method: _Found() for method in weighers}
    counts, lacking, refused = _rank(bundle, selected, lists, weighers, found, distances, device, say)
    figures = [figure for method, one in found.items() for figure in _figures(method, one, keys, distances=distances)]
    return ListEvaluation(
        bundle.name, fold, len(rows), len(np.unique(keys)), int((~listed).sum()), lacking, refused + lists.refused,
        float(np.median(counts)), tuple(runs) if "reranked" in weighers else (), "decoy" if decoy else "",
        (*figures, *_chance(counts, keys)),
    )  # fmt: skip


def _rank(
    bundle: Bundle,
    selected: Selected,
    lists: CandidateLists,
    weighers: dict[str, Weigher],
    found: dict[str, _Found],
    distances: bool,
    device: str | None,
    say: StageProgress,
) -> tuple[np.ndarray, int, int]:
    """Enter the rank of each query; the numbers of candidates, queries without their truth, candidates refused."""
    modality, records, keys = selected.modality, selected.records, selected.keys
    vectors = bundle.embed(
        modality, records, device=device, progress=lambda done, total: say(done, total, "embedding spectra")
    )
    counts, lacking, refused = np.zeros(len(keys), dtype=np.int64), 0, 0
    compounds = np.unique(keys)
    for done, compound in enumerate(compounds, start=1):
        mine = np.flatnonzero(keys == compound)
        candidates = lists.of(str(compound))
        refused += candidates.refused
        lacking += 0 if candidates.true else len(mine)
        counts[mine] = len(candidates.structures)
        embedded = bundle.embed("structure", candidates.structures, device=device) if candidates.structures else None
        truth = selected.dataset.structure(modality, int(selected.rows[mine[0]])).smiles
        for query in mine.tolist():
            for method, weigh in weighers.items():
                if embedded is None:
                    _enter(found[method], None, candidates, truth, distances)
                    continue
                cosine = (embedded @ vectors[query])[None]
                pick = functools.partial(_pick, candidates.structures)
                logits = weigh.score({modality: [records[query]]}, {modality: cosine}, pick).logits
                metrics.finite(logits, f"spectrum {records[query].identifier}")
                _enter(found[method], logits, candidates, truth, distances)
        say(done, len(compounds), "ranking lists of candidates")
    return counts, lacking, refused


def _pick(candidates: Sequence[Structure], chosen: np.ndarray) -> list[Structure]:
    return [candidates[i] for i in chosen]


def _enter(found: _Found, logits: np.ndarray | None, candidates: Candidates, truth: str, distances: bool) -> None:
    """The rank of one query. Several candidates may be the truth: the best of them counts, the others are no rivals."""
    if logits is None or not len(candidates.true):
        found.above.append(np.inf)
        found.tied.append(0.0)
    else:
        rivals = np.delete(logits, list(candidates.true))
        best = max(float(logits[place]) for place in candidates.true)
        row = np.append(rivals, best)[None]
        (rank,), (tied,) = metrics.rank_of_truth(row, np.array([len(rivals)]))
        found.above.append(float(rank))
        found.tied.append(float(tied))
    if distances:
        # Without any candidate there is no first one: its distance is not known, and the mean leaves it out.
        first = None if logits is None else candidates.structures[int(metrics.in_order(logits, 1)[0])].smiles
        found.distance.append(np.nan if first is None else mces(truth, first))


def _figures(method: str, found: _Found, keys: np.ndarray, *, distances: bool) -> list[ListFigure]:
    rank, tied = np.array(found.above), np.array(found.tied)
    values = {f"hit{k}": metrics.hits(rank, k, tied) for k in metrics.CUTOFFS}
    if distances:
        values["mces1"] = np.array(found.distance)
    return [ListFigure(method, by, _estimates(values, keys, by)) for by in ("compound", "spectrum")]


def _estimates(values: dict[str, np.ndarray], keys: np.ndarray, by: str) -> dict[str, Estimate]:
    """Means with our intervals over compounds, or with those of MassSpecGym over spectra."""
    out: dict[str, Estimate] = {}
    for name, some in values.items():
        known = np.isfinite(some)
        if not known.any():
            continue
        if by == "compound":
            out[name] = metrics.bootstrap(some[known], keys[known])
        else:
            out[name] = _over_spectra(some[known])
    return out


def _over_spectra(values: np.ndarray) -> Estimate:
    """Mean and bootstrap interval over spectra: how often each value is drawn is multinomial, and there are few."""
    found, counts = np.unique(values, return_counts=True)
    drawn = np.random.default_rng(0).multinomial(len(values), counts / len(values), size=_DRAWS)
    tail = (1 - MASSSPECGYM_LEVEL) / 2
    low, high = np.quantile(drawn @ found / len(values), [tail, 1 - tail])
    return Estimate(float(values.mean()), float(low), float(high))


def _chance(counts: np.ndarray, keys: np.ndarray) -> list[ListFigure]:
    """What a random order hits."""
    values = {f"hit{k}": metrics.chance(counts, k) for k in metrics.CUTOFFS}
    return [ListFigure("random", by, _estimates(values, keys, by)) for by in ("compound", "spectrum")]


COLUMNS = {"hit1": "Hit rate @ 1", "hit5": "Hit rate @ 5", "hit20": "Hit rate @ 20", "mces1": "MCES @ 1"}
"""Figures as MassSpecGym's tables call them."""
_REST = ("Paper", "DOI", "Comment", "Publication date")


def write_table(path: Path, found: Sequence[ListEvaluation]) -> None:
    """A table in the layout of MassSpecGym's results: a row a method, hit rates in percent, by spectrum.

    Raises:
        molvis_core.errors.WriteError: the file cannot be written; the old one is kept.
    """
    heads = [head + end for head in COLUMNS.values() for end in ("", " CI Low", " CI High")]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=["Method", *heads, *_REST], lineterminator="\n")
    writer.writeheader()
    for one in found:
        for figure in one.figures:
            if figure.by == "spectrum":
                name = "Random" if figure.method == "random" else f"molvis {one.bundle}, {figure.method}"
                comment = f"{one.spectra} spectra{', decoy' if one.note else ''}"
                writer.writerow({"Method": name, **_cells(figure), "Comment": comment})
    write_text(path, text.getvalue())


def _cells(figure: ListFigure) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, estimate in figure.estimates.items():
        scale = 1.0 if name == "mces1" else 100.0
        for end, value in (("", estimate.value), (" CI Low", estimate.low), (" CI High", estimate.high)):
            out[COLUMNS[name] + end] = f"{scale * value:.2f}"
    return out
