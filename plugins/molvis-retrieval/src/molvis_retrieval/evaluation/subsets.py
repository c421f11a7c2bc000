"""Retrieval with several measurements of an unknown together, and with each alone."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from molvis_core.errors import ConfigError, DatasetError
from molvis_core.progress import Progress
from molvis_retrieval import metrics
from molvis_retrieval.bundle import Bundle
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.evaluation.queries import known_rows
from molvis_retrieval.evaluation.ranking import MAIN_ADDUCTS
from molvis_retrieval.evidence import Weigher
from molvis_retrieval.ions import check_ion
from molvis_retrieval.metrics import Estimate
from molvis_retrieval.parents import parent
from molvis_retrieval.runs import adapted

if TYPE_CHECKING:
    from molvis_core.records import Structure
    from molvis_retrieval.index import Index


@dataclass(frozen=True, slots=True)
class Subset:
    """Retrieval by some of the modalities.

    Attributes:
        modalities: that were used.
        estimates: hit1, hit5, hit20, mrr over compounds.
    """

    modalities: tuple[str, ...]
    estimates: dict[str, Estimate]


@dataclass(frozen=True, slots=True)
class Combined:
    """Retrieval by every subset of the modalities, on the compounds that have them all.

    Attributes:
        bundle: its name.
        fold: of the dataset.
        modalities: all of them.
        compounds: that have them all.
        median_candidates: in the mass window.
        ppm: half width of the mass window.
        subsets: retrieval by each, the single ones first.
        error_reduction: share of the best single modality's error (1 - hit rate at 1) that all of them together take
            away, with a bootstrap interval over compounds.
    """

    bundle: str
    fold: str
    modalities: tuple[str, ...]
    compounds: int
    median_candidates: float
    ppm: float
    subsets: tuple[Subset, ...]
    error_reduction: Estimate


def evaluate_combined(
    bundle: Bundle,
    dataset: Dataset,
    index: Index,
    modalities: Sequence[str],
    *,
    fold: str = "test",
    ppm: float = 10.0,
    adducts: Sequence[str] = MAIN_ADDUCTS,
    min_peaks: int = 2,
    draws: int = 8,
    records: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
) -> Combined:
    """Rank the true structure within the mass window by each subset of several modalities.

    Every draw takes `records` measurements of each modality at random; the same draw serves all subsets, so that they
    differ in nothing but what they are given.

    Args:
        bundle: to evaluate, calibrated.
        dataset: with the true structures.
        index: of the candidates; true structures that it lacks are added.
        modalities: two or more.
        fold: of the dataset.
        ppm: half width of the mass window.
        adducts: of the ions.
        min_peaks: of the spectra.
        draws: for each compound.
        records: of each modality in a draw; 0 for all there are.
        seed: of the draws and of the bootstrap.
        progress: called with the compounds done and in all.

    Raises:
        ConfigError: fewer than two modalities, or one that the bundle cannot use.
        DatasetError: no compound has them all.
        molvis_core.errors.IndexFileError: another bundle made the index.
    """
    names = tuple(dict.fromkeys(modalities))
    if len(names) < 2:
        raise ConfigError(f"modalities = {list(modalities)}; give two or more")
    index.require(bundle)
    rows = {m: _by_compound(dataset, m, fold, adducts, min_peaks) for m in names}
    run = {m: [dataset.record(m, int(r)) for some in rows[m].values() for r in some] for m in names}
    weigh = adapted(Weigher(bundle), index.library, run, ppm)
    compounds = sorted(set.intersection(*(set(r) for r in rows.values())))
    if not compounds:
        raise DatasetError(f"{dataset.path}: no compound of fold {fold!r} has all of {', '.join(names)}")
    subsets = [c for size in range(1, len(names) + 1) for c in itertools.combinations(names, size)]
    ranks = np.empty((len(subsets), len(compounds), draws))
    tied = np.zeros_like(ranks)
    counts = np.empty(len(compounds))
    rng = np.random.default_rng(seed)
    for number, key in enumerate(compounds):
        mine = {m: rows[m][key] for m in names}
        truth, _ = parent(dataset.structure(names[0], int(mine[names[0]][0])))
        compound = _Compound(bundle, weigh, dataset, *_window(bundle, index, truth, ppm))
        counts[number] = len(compound.structures)
        for draw in range(draws):
            chosen = _drawn(mine, records, rng)
            compound.read(chosen)
            for place, subset in enumerate(subsets):
                logits = compound.logits({m: chosen[m] for m in subset})
                placed = metrics.rank_of_truth(logits[None], np.array([len(logits) - 1]))
                (ranks[place, number, draw],), (tied[place, number, draw],) = placed
        if progress:
            progress(number + 1, len(compounds))
    figures, hits = _retrieval(subsets, ranks, tied)
    return Combined(
        bundle=bundle.name,
        fold=fold,
        modalities=names,
        compounds=len(compounds),
        median_candidates=float(np.median(counts)),
        ppm=ppm,
        subsets=figures,
        error_reduction=_reduction(1 - hits[: len(names)], 1 - hits[-1], seed),
    )


def _drawn(rows: Mapping[str, np.ndarray], records: int, rng: np.random.Generator) -> dict[str, list[int]]:
    """So many rows of each modality at random, or all of them for 0."""
    return {
        m: rng.choice(mine, min(records, len(mine)) if records else len(mine), replace=False).tolist()
        for m, mine in rows.items()
    }


def _retrieval(
    subsets: Sequence[tuple[str, ...]], ranks: np.ndarray, tied: np.ndarray
) -> tuple[tuple[Subset, ...], Float[np.ndarray, "s n"]]:
    """Retrieval by each subset, and the hit rate at 1 of each compound over its draws."""
    owners = np.repeat(np.arange(ranks.shape[1]), ranks.shape[2])
    figures = tuple(
        Subset(s, metrics.retrieval(r.ravel(), owners, by="compound", tied=t.ravel()))
        for s, r, t in zip(subsets, ranks, tied, strict=True)
    )
    hits = np.stack([metrics.hits(r.ravel(), 1, t.ravel()) for r, t in zip(ranks, tied, strict=True)])
    return figures, hits.reshape(ranks.shape).mean(axis=2)


@dataclass(frozen=True)
class _Compound:
    """The candidates of a compound, the truth last, and the evidence of its measurements as far as it was asked for."""

    bundle: Bundle
    weigh: Weigher
    dataset: Dataset
    structures: Sequence[Structure]
    vectors: np.ndarray
    kept: dict[tuple[str, int], np.ndarray] = dataclasses.field(default_factory=dict)

    def read(self, chosen: Mapping[str, Sequence[int]]) -> None:
        """Work out the evidence of rows by modality, of each row once."""
        for m, rows in chosen.items():
            for row in rows:
                if (m, row) not in self.kept:
                    self.kept[m, row] = self._evidence(m, row)

    def logits(self, chosen: Mapping[str, Sequence[int]]) -> Float[np.ndarray, " m"]:
        """Logits of the candidates by rows of some modalities, which were read before."""
        logits = sum((_sum(self.weigh, [self.kept[m, r] for r in rows]) for m, rows in chosen.items()), np.zeros(1))
        taken = {m: [self.dataset.record(m, r) for r in rows] for m, rows in chosen.items()}
        return logits + _fused(self.bundle, self.weigh, taken, self.vectors)

    def _evidence(self, modality: str, row: int) -> Float[np.ndarray, " m"]:
        """Logits of the candidates by one record alone."""
        bundle, weigh = self.bundle, self.weigh
        record, _ = check_ion(self.dataset.record(modality, row))

        def pick(chosen: np.ndarray) -> list[Structure]:
            return [self.structures[i] for i in chosen]

        if modality in bundle.modalities:
            cosine = bundle.embed(modality, [record]) @ self.vectors.T
            return weigh.score({modality: [record]}, {modality: cosine}, pick).logits
        if not any(weigh.takes(key, modality, record) for key in weigh.scorers):
            raise ConfigError(f"bundle {bundle.name!r} has neither an encoder nor a calibrated scorer for {modality!r}")
        return weigh.score_without({modality: [record]}, len(self.structures), pick).logits


def _fused(
    bundle: Bundle, weigh: Weigher, records: Mapping[str, Sequence[Any]], vectors: np.ndarray
) -> Float[np.ndarray, " m"]:
    """What one vector for all of the measurements adds, where the bundle makes one."""
    logits = np.zeros(len(vectors))
    for key in bundle.channels.fused(records):
        logits += weigh.weight(key) * (bundle.embed_fused([records], key=key) @ vectors.T)[0]
    return logits


def _sum(weigh: Weigher, pieces: Sequence[np.ndarray]) -> np.ndarray:
    return weigh.gain(len(pieces)) * np.mean(pieces, axis=0)


def _window(bundle: Bundle, index: Index, truth: Structure, ppm: float) -> tuple[list[Structure], np.ndarray]:
    """Candidates of the truth's mass with the truth at the end, and their vectors."""
    rows = index.library.within_ppm(truth.exact_mass, ppm)
    rows = np.setdiff1d(rows, index.library.rows_of(truth.inchikey14))
    # The index keeps 16 bits: the truth must not differ from its rivals by having more.
    own = bundle.embed("structure", [truth]).astype(np.float16).astype(np.float32)
    return [*index.library.structures(rows), truth], np.concatenate([index.take(rows), own])


def _by_compound(
    dataset: Dataset, modality: str, fold: str, adducts: Sequence[str], min_peaks: int
) -> dict[str, np.ndarray]:
    rows = dataset.rows(modality, fold=fold, adducts=adducts, min_peaks=min_peaks)
    rows, keys = known_rows(dataset, modality, rows)
    return {str(k): rows[keys == k] for k in np.unique(keys) if k}


def _reduction(single: Float[np.ndarray, "s n"], together: Float[np.ndarray, " n"], seed: int) -> Estimate:
    """Share of the least single error that is gone, with a percentile interval over compounds."""
    rng = np.random.default_rng(seed)

    def share(chosen: np.ndarray) -> float:
        best = float(single[:, chosen].mean(axis=1).min())
        return 1 - float(together[chosen].mean()) / best if best > 0 else 0.0

    everyone = np.arange(len(together))
    drawn = [share(rng.integers(0, len(together), len(together))) for _ in range(2000)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Estimate(share(everyone), float(low), float(high))


def headline(found: Combined) -> list[dict[str, Any]]:
    """A flat row for each subset, ready for `pandas.DataFrame`."""
    return [
        {"modalities": " + ".join(s.modalities), **{k: dataclasses.asdict(v) for k, v in s.estimates.items()}}
        for s in found.subsets
    ]
