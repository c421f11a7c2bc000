"""How often a bundle ranks the truth first: retrieval among a library, with confidence intervals over compounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from molvis_core.errors import ConfigError, DatasetError, did_you_mean
from molvis_core.progress import StageProgress
from molvis_retrieval import metrics
from molvis_retrieval.bundle import Bundle
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.evaluation.controls import Control, measure_controls
from molvis_retrieval.evaluation.queries import Asked, embed_queries, known_rows, left_out, selected_records
from molvis_retrieval.evaluation.windows import Ranked, WindowRanking
from molvis_retrieval.metrics import Estimate
from molvis_retrieval.runs import remarks

if TYPE_CHECKING:
    from molvis_core.records import Structure
    from molvis_retrieval.index import Index

SCOPES = ("mass", "formula", "all")
MAIN_ADDUCTS = ("[M+H]+", "[M-H]-", "[M+Na]+", "[M+NH4]+")


@dataclass(frozen=True, slots=True)
class Figure:
    """Retrieval in one setting.

    Attributes:
        candidates: `mass`, `formula` or `all`.
        method: `embedding`, or `reranked` by the bundle's scorers.
        by: `compound` (each counts once), `spectrum`, or `consensus` (a compound's spectra as one query).
        group: `` for all, else such as `adduct [M+H]+`.
        spectra, compounds: how many.
        median_candidates: in the setting.
        estimates: hit1, hit5, hit20, mrr.
        chance: hit rates of a random order.
    """

    candidates: str
    method: str
    by: str
    group: str
    spectra: int
    compounds: int
    median_candidates: float
    estimates: dict[str, Estimate]
    chance: dict[str, float]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything that was measured of one bundle.

    Attributes:
        bundle: its name.
        fold: of the dataset.
        spectra, compounds: of the queries.
        library: candidates in the index.
        added: true structures that the index lacks: they were embedded and added as candidates.
        ppm: half width of the mass window.
        note: `decoy` or the precursor error, where the queries were tampered with on purpose.
        figures: retrieval, setting by setting.
        pairwise: accuracy, AUROC and AUPRC of telling true from random pairs: it flatters, see the docs.
        first_hit_similarity: mean Tanimoto similarity (Morgan, radius 2) of the first candidate to the truth, by mass.
        calibration_error: of the stated probability of the first candidate, by mass.
        remarks: what scorers have to remark on the queries as one run, and on how many of them.
        left_out: measurements of the fold that are no queries, by the reason; what an import left out is in the
            dataset's `problems.csv`.
        controls: what queries without their evidence reach within the mass window, where that was asked for.
    """

    bundle: str
    fold: str
    spectra: int
    compounds: int
    library: int
    added: int
    ppm: float
    note: str
    figures: tuple[Figure, ...]
    pairwise: dict[str, float] = field(default_factory=dict)
    first_hit_similarity: float = float("nan")
    calibration_error: float = float("nan")
    controls: tuple[Control, ...] = ()
    remarks: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)


def evaluate(
    bundle: Bundle,
    dataset: Dataset,
    index: Index,
    *,
    fold: str = "test",
    adducts: Sequence[str] = MAIN_ADDUCTS,
    min_peaks: int = 2,
    ppm: float = 10.0,
    scopes: Sequence[str] = SCOPES,
    rerank: bool = True,
    decoy: bool = False,
    precursor_error: float = 0.0,
    controls: bool = False,
    without: Sequence[str] = (),
    modality: str = "msms",
    seed: int = 0,
    device: str | None = None,
    progress: StageProgress | None = None,
) -> Evaluation:
    """Rank the true structure of every spectrum of a fold among a library's candidates.

    Args:
        bundle: to evaluate.
        dataset: with the true structures.
        index: of the candidates, made by this bundle; true structures that it lacks are added.
        fold: of the dataset.
        adducts: of the spectra.
        min_peaks: of the spectra.
        ppm: half width of the mass window.
        scopes: which candidates: within the mass window, of the same formula, the whole library.
        rerank: use the bundle's scorers as well, within mass window and formula.
        decoy: give each query the peaks of the compound that is nearest in mass, of the same ion mode. What is left is
            what precursor, metadata and the looks of the candidates alone achieve: the figure that a model must beat.
        precursor_error: standard deviation, in ppm, of an error put on each precursor. Libraries often hold theoretical
            values, and a model must not live on them.
        controls: rank three times more within the mass window: with another compound's peaks, without peaks, and with
            precursors that are off by 3 ppm. Each takes as long as the ranking within the mass window.
        without: scorers of the bundle that are left out.
        modality: of the queries.
        seed: of everything drawn.
        device: where to embed.
        progress: called with what is done, what there is in all, and of what.

    Raises:
        ConfigError: an option that makes no sense.
        DatasetError: no spectrum fits.
        molvis_core.errors.IndexFileError: another bundle made the index.
        molvis_core.errors.ScoreError: a score is not finite.
    """
    _check_options(bundle, scopes, ppm, precursor_error, without)
    index.require(bundle)
    rng = np.random.default_rng(seed)
    say = progress or (lambda done, total, what="": None)
    rows, keys = known_rows(dataset, modality, dataset.rows(modality, fold=fold, adducts=adducts, min_peaks=min_peaks))
    if not len(rows):
        raise DatasetError(f"{dataset.path}: no spectrum of fold {fold!r} with these adducts and {min_peaks} peaks")
    selected = selected_records(dataset, modality, rows, keys, rng, decoy=decoy, precursor_error=precursor_error)
    again = controls and (decoy or precursor_error > 0)
    untouched = selected_records(dataset, modality, rows, keys, rng) if again else selected
    asked = embed_queries(selected, bundle, index, device, say)
    ranking = WindowRanking(bundle, index, asked, ppm, rerank, say, tuple(without))
    figures, within = _scoped_figures(scopes, ranking)
    return Evaluation(
        bundle=bundle.name,
        fold=fold,
        spectra=len(rows),
        compounds=len(asked.compounds),
        library=len(index.library),
        added=len(asked.missing),
        ppm=ppm,
        note="decoy" if decoy else f"precursor error {precursor_error:g} ppm" if precursor_error else "",
        figures=tuple(figures),
        pairwise=_pairwise(asked.vectors, asked.truth_vectors, asked.owner, rng),
        **_first_hits(within, asked),
        left_out=left_out(dataset, modality, fold, adducts, min_peaks),
        remarks=remarks(ranking.weigher(), {modality: asked.records}) if rerank else {},
        controls=measure_controls(ranking, untouched, None if again else within, seed, device) if controls else (),
    )


def _scoped_figures(scopes: Sequence[str], ranking: WindowRanking) -> tuple[list[Figure], Mapping[str, Ranked] | None]:
    """Figures of each scope, and the ranking within the mass window where that is one of them."""
    asked = ranking.asked
    figures: list[Figure] = []
    within = None
    for scope in scopes:
        if scope == "all":
            figures += _whole_figures(asked, ranking.index, ranking.say)
            continue
        ranked = ranking.among(scope)
        figures += _window_figures(scope, ranked, asked)
        if scope == "mass":
            within = ranked
    return figures, within


def _check_options(
    bundle: Bundle, scopes: Sequence[str], ppm: float, precursor_error: float, without: Sequence[str]
) -> None:
    for scope in scopes:
        if scope not in SCOPES:
            raise ConfigError(f"scope {scope!r} is none of {', '.join(SCOPES)}.{did_you_mean(scope, SCOPES)}")
    if not ppm > 0 or precursor_error < 0:
        raise ConfigError(f"ppm = {ppm}, precursor_error = {precursor_error}; both must be positive")
    for name in without:
        if name not in bundle.scorers:
            known = ", ".join(bundle.scorers) or "none"
            raise ConfigError(
                f"bundle {bundle.name!r} has no scorer {name!r} to leave out.{did_you_mean(name, bundle.scorers)} "
                f"It has: {known}."
            )


def usable_modalities(bundle: Bundle, dataset: Dataset) -> list[str]:
    """Modalities of a dataset that a bundle has an encoder or a scorer for.

    Raises:
        DatasetError: there is none.
    """
    usable = bundle.channels.modalities
    found = [m for m in dataset.modalities if m in usable]
    if not found:
        raise DatasetError(
            f"{dataset.path} holds {', '.join(dataset.modalities)}; bundle {bundle.name!r} takes {', '.join(usable)}"
        )
    return found


def _whole(
    queries: np.ndarray,
    owner: np.ndarray,
    truth_vectors: np.ndarray,
    index: Index,
    missing: Sequence[int],
    say: StageProgress,
) -> tuple[np.ndarray, np.ndarray]:
    """For each query how many of all candidates score above the truth, and how many as high."""
    own = np.einsum("nd,nd->n", metrics.finite(queries, "the queries"), truth_vectors[owner])
    metrics.finite(own, "the true structures")
    above, tied = np.zeros(len(queries), dtype=np.int64), np.zeros(len(queries), dtype=np.int64)
    total = len(index.library)

    def count(block: np.ndarray) -> None:
        metrics.finite(block, "the library")
        for start in range(0, len(queries), 2048):
            part = slice(start, start + 2048)
            higher, level = metrics.compare(queries[part] @ block.T, own[part])
            above[part] += higher
            tied[part] += level

    for start, block in index.blocks():
        count(block)
        say(start + len(block), total, "ranking the whole library")
    if missing:
        count(truth_vectors[list(missing)])
    return above, np.maximum(tied - 1, 0)


def _whole_figures(asked: Asked, index: Index, say: StageProgress) -> list[Figure]:
    """Retrieval among the whole library, of each spectrum and of the mean vector of a compound's spectra."""
    owner, missing, compounds = asked.owner, asked.missing, asked.compounds
    above, tied = _whole(asked.vectors, owner, asked.truth_vectors, index, missing, say)
    counts = np.full(len(asked.keys), len(index.library) + len(missing))
    figures = _figures("all", "embedding", *metrics.ranks(above, tied), asked.keys, counts, asked.groups)
    mean = np.zeros_like(asked.truth_vectors)
    np.add.at(mean, owner, asked.vectors / np.bincount(owner)[owner, None].astype(np.float32))
    above, tied = _whole(mean, np.arange(len(compounds)), asked.truth_vectors, index, missing, say)
    rank, level = metrics.ranks(above, tied)
    consensus = _figure("all", "embedding", "consensus", "", rank, level, compounds, counts[: len(compounds)])
    return [*figures, consensus]


def _window_figures(scope: str, ranked: dict[str, Ranked], asked: Asked) -> list[Figure]:
    """Retrieval by each method, of each spectrum and of a compound's spectra as one query."""
    figures: list[Figure] = []
    for method, found in ranked.items():
        figures += _figures(scope, method, found.rank, found.tied, asked.keys, found.count, asked.groups)
        consensus = found.consensus, found.consensus_tied, asked.compounds, found.consensus_count
        figures.append(_figure(scope, method, "consensus", "", *consensus))
    return figures


def _first_hits(within: Mapping[str, Ranked] | None, asked: Asked) -> dict[str, float]:
    """Mean similarity of the first candidates to the truths, and the calibration error of their probabilities."""
    if not within:
        return {}
    best = within.get("reranked") or within["embedding"]
    share = 1.0 / np.bincount(asked.owner)[asked.owner] / len(asked.compounds)
    hits = metrics.hits(best.rank, 1, best.tied)
    return {
        "first_hit_similarity": float((_similarity(best.first, asked.owner, asked.truths) * share).sum()),
        "calibration_error": _weighted_calibration(best.probability, hits, share * len(asked.keys)),
    }


def _figures(
    scope: str,
    method: str,
    rank: np.ndarray,
    tied: np.ndarray,
    keys: np.ndarray,
    count: np.ndarray,
    groups: dict[str, np.ndarray],
) -> list[Figure]:
    out = [_figure(scope, method, by, "", rank, tied, keys, count) for by in ("compound", "spectrum")]
    if scope == "mass":
        out += [_figure(scope, method, "compound", g, rank[m], tied[m], keys[m], count[m]) for g, m in groups.items()]
    return out


def _figure(
    scope: str,
    method: str,
    by: str,
    group: str,
    rank: np.ndarray,
    tied: np.ndarray,
    keys: np.ndarray,
    count: np.ndarray,
) -> Figure:
    average = "spectrum" if by == "spectrum" else "compound"
    chance = {
        f"hit{k}": metrics.bootstrap(metrics.chance(count, k), keys, by=average, draws=1).value for k in metrics.CUTOFFS
    }
    return Figure(
        scope, method, by, group, len(rank), len(np.unique(keys)), float(np.median(count)),
        metrics.retrieval(rank, keys, by=average, tied=tied), chance,
    )  # fmt: skip


def _pairwise(
    queries: np.ndarray, truth_vectors: np.ndarray, owner: np.ndarray, rng: np.random.Generator
) -> dict[str, float]:
    if len(truth_vectors) < 2:
        return {}
    other = (owner + rng.integers(1, len(truth_vectors), len(owner))) % len(truth_vectors)
    scores = np.concatenate(
        [np.einsum("nd,nd->n", queries, truth_vectors[owner]), np.einsum("nd,nd->n", queries, truth_vectors[other])]
    )
    positive = np.arange(len(scores)) < len(owner)
    return {
        "accuracy": metrics.pairwise_accuracy(scores, positive),
        "auroc": metrics.auroc(scores, positive),
        "auprc": metrics.auprc(scores, positive),
    }


def _similarity(first: Sequence[str], owner: np.ndarray, truths: Sequence[Structure]) -> np.ndarray:
    from rdkit import DataStructs
    from rdkit.Chem import rdFingerprintGenerator

    from molvis_core.chemistry.structures import parse_smiles

    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    made = {s: generator.GetFingerprint(parse_smiles(s)) for s in {*first, *(t.smiles for t in truths)}}
    return np.array(
        [DataStructs.TanimotoSimilarity(made[f], made[truths[o].smiles]) for f, o in zip(first, owner, strict=True)]
    )


def _weighted_calibration(probability: np.ndarray, correct: np.ndarray, weight: np.ndarray, bins: int = 10) -> float:
    place = np.minimum((metrics.finite(probability) * bins).astype(int), bins - 1)
    gap = np.bincount(place, weight * (probability - correct), bins)
    return float(np.abs(gap).sum() / weight.sum())


def headline(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The figures over all spectra as flat rows, ready for `pandas.DataFrame`."""
    return [
        {
            "bundle": evaluation.bundle,
            "candidates": f.candidates,
            "method": f.method,
            "by": f.by,
            "group": f.group,
            "compounds": f.compounds,
            "median_candidates": f.median_candidates,
            **metrics.table(f.estimates),
        }
        for f in evaluation.figures
    ]
