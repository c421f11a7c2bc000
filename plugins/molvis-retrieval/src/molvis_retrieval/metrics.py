"""Figures of merit: functions of scores and ranks, in NumPy.

Retrieval is what counts: where the true structure ranks. Scores that are not finite are an error everywhere, because
NaN compares as False and would look like a perfect hit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int64

from molvis_core import ties
from molvis_core.errors import ScoreError
from molvis_core.ties import TIE

CUTOFFS = (1, 5, 20)
_BLOCK = 1 << 18  # numbers that a bootstrap draws at once: 2 MB


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its confidence interval.

    Attributes:
        value: the mean.
        low, high: bounds of the interval.
    """

    value: float
    low: float
    high: float


def finite(scores: np.ndarray, what: object = "") -> np.ndarray:
    """The scores themselves.

    Raises:
        ScoreError: one is NaN or infinite.
    """
    bad = ~np.isfinite(scores)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ScoreError(f"score {where} of {what or 'the scores'} is {scores[where]}; it cannot be ranked")
    return scores


class Ranks(NamedTuple):
    """Where the truth came.

    Attributes:
        rank: from 1; candidates that tie with the truth count half.
        tied: how many candidates tie with the truth.
    """

    rank: Float[np.ndarray, " n"]
    tied: Int64[np.ndarray, " n"]


def rank_of_truth(scores: Float[np.ndarray, "n m"], truth: Int64[np.ndarray, " n"], what: object = "") -> Ranks:
    """Rank of the true column in each row: the one rule for ranks and ties (`TIE`), wherever a truth is ranked.

    Raises:
        ScoreError: a score is not finite.
    """
    finite(scores, what)
    scores = np.asarray(scores, dtype=np.float64)
    own = np.take_along_axis(scores, truth[:, None], axis=1)[:, 0]
    above, level = compare(scores, own, slack(scores))
    return ranks(above, level - 1)


def slack(scores: Float[np.ndarray, "n m"]) -> Float[np.ndarray, " n"]:
    """How far apart scores of each row tie: `TIE` times the largest of them, or 1.

    What is equal may score apart by rounding alone: in another order of summation, at another place of a block, on
    another processor. A rank that followed such differences would be luck.
    """
    return TIE * np.maximum(1.0, np.abs(scores).max(axis=1, initial=0.0))


def compare(
    scores: Float[np.ndarray, "n m"], own: Float[np.ndarray, " n"], width: Float[np.ndarray, " n"] | float = TIE
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """How many of each row's scores are above the truth's own, and how many are level with it.

    Both add up over blocks of candidates, so that a library of any size is ranked in pieces.

    Args:
        scores: of candidates.
        own: score of the truth.
        width: how far apart scores tie, the same for all blocks; `TIE` is that of cosines, whose size is at most 1.
    """
    width = np.broadcast_to(np.asarray(width), own.shape)
    above = (scores > (own + width)[:, None]).sum(axis=1)
    return above, (scores >= (own - width)[:, None]).sum(axis=1) - above


def ranks(above: Int64[np.ndarray, " n"], tied: Int64[np.ndarray, " n"]) -> Ranks:
    """Ranks from the numbers of candidates above the truth and tied with it; a tie counts half."""
    return Ranks(1 + above + tied / 2, tied)


def in_order(scores: Float[np.ndarray, " m"], count: int | None = None) -> Int64[np.ndarray, " k"]:
    """Places from the best score to the worst, of the `count` best; scores that tie keep the order they stand in."""
    width = float(slack(scores[None])[0])
    return ties.best(scores, len(scores) if count is None else count, width)


def hits(rank: Float[np.ndarray, " n"], cutoff: int, tied: np.ndarray | None = None) -> Float[np.ndarray, " n"]:
    """1 where the truth is among the first `cutoff`, 0 where not; where ties straddle it, how often it would be.

    So a model that scores everything the same gets what chance gets, whatever the cutoff.

    Args:
        rank: of the truth, ties half.
        cutoff: how many count as first.
        tied: candidates that tie with the truth, for each; by default none, or one where the rank is half.
    """
    rank = np.asarray(rank, dtype=np.float64)
    ties = 2 * (rank % 1) if tied is None else np.asarray(tied, dtype=np.float64)
    above = rank - 1 - ties / 2
    return np.clip((cutoff - above) / (ties + 1), 0.0, 1.0)


def reciprocal(rank: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """1 / rank; its mean is the mean reciprocal rank."""
    return 1.0 / rank


def retrieval(
    rank: Float[np.ndarray, " n"],
    compound: Sequence[str] | np.ndarray,
    *,
    by: str = "compound",
    tied: np.ndarray | None = None,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Hit rates and mean reciprocal rank with 95% bootstrap intervals over compounds.

    Args:
        rank: of the truth, for each spectrum.
        compound: whose spectrum it is.
        by: `compound` averages within a compound first, so that each counts once; `spectrum` counts each spectrum once.
        tied: candidates that tie with the truth, see `hits`.
        seed: of the bootstrap.

    Raises:
        ScoreError: a rank is not finite.
        ValueError: there is no rank, or `by` is neither.
    """
    if by not in ("compound", "spectrum"):
        raise ValueError(f"by must be 'compound' or 'spectrum', got {by!r}")
    finite(np.asarray(rank), "the ranks")
    values = {f"hit{k}": hits(rank, k, tied) for k in CUTOFFS} | {"mrr": reciprocal(rank)}
    return {name: bootstrap(v, compound, by=by, seed=seed) for name, v in values.items()}


def bootstrap(
    values: Float[np.ndarray, " n"],
    compound: Sequence[str] | np.ndarray,
    *,
    by: str = "compound",
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Mean and its percentile interval, drawing whole compounds: spectra of one compound are not independent."""
    _, owner = np.unique(np.asarray(compound), return_inverse=True)
    count = np.bincount(owner).astype(np.float64)
    total = np.bincount(owner, weights=values)
    if not len(count):
        raise ValueError("no values to average")
    if by == "compound":
        total, count = total / count, np.ones_like(count)
    rng = np.random.default_rng(seed)
    means = np.empty(draws)
    rows = max(1, _BLOCK // len(count))
    for first in range(0, draws, rows):
        block = means[first : first + rows]
        chosen = rng.integers(len(count), size=(len(block), len(count)))
        block[:] = total[chosen].sum(axis=1) / count[chosen].sum(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(total.sum() / count.sum()), float(low), float(high))


def chance(candidates: Int64[np.ndarray, " n"], cutoff: int) -> Float[np.ndarray, " n"]:
    """Hit rate of a random order among so many candidates."""
    return np.minimum(1.0, cutoff / np.maximum(candidates, 1))


def auroc(scores: Float[np.ndarray, " n"], positive: Bool[np.ndarray, " n"]) -> float:
    """Area under the receiver operating characteristic: how often a positive scores above a negative, ties half.

    Raises:
        ScoreError: a score is not finite.
        ValueError: all pairs are of one kind.
    """
    finite(scores)
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        raise ValueError(f"pairs must be positive and negative, got {positives} positive and {negatives} negative")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2  # mean rank of equal scores
    total = middle[inverse][positive].sum()
    return float((total - positives * (positives + 1) / 2) / (positives * negatives))


def auprc(scores: Float[np.ndarray, " n"], positive: Bool[np.ndarray, " n"]) -> float:
    """Area under the precision-recall curve as average precision; equal scores enter together.

    Raises:
        ScoreError: a score is not finite.
        ValueError: no pair is positive.
    """
    finite(scores)
    if not positive.any():
        raise ValueError("no positive pair")
    order = np.argsort(-scores, kind="stable")
    ordered, truth = scores[order], positive[order]
    last = np.r_[np.flatnonzero(np.diff(ordered)), len(ordered) - 1]
    found = np.cumsum(truth)[last]
    recall = found / truth.sum()
    return float(np.sum(np.diff(np.r_[0.0, recall]) * found / (last + 1)))


def pairwise_accuracy(
    scores: Float[np.ndarray, " n"], positive: Bool[np.ndarray, " n"], threshold: float | None = None
) -> float:
    """Share of pairs on the right side of a threshold; of the best threshold for these pairs where none is given.

    The best threshold is what the report's figures amount to; it flatters, as fitting on the data tested always does.
    """
    finite(scores)
    if threshold is not None:
        return float(((scores >= threshold) == positive).mean())
    order = np.argsort(-scores, kind="stable")
    truth = positive[order]
    right = np.r_[0, np.cumsum(truth)] + (~truth).sum() - np.r_[0, np.cumsum(~truth)]
    cuts = np.r_[True, np.diff(scores[order]) != 0, True]  # a threshold cannot part equal scores
    return float(right[cuts].max() / len(scores))


def coverage(low: Float[np.ndarray, " n"], high: Float[np.ndarray, " n"], truth: Float[np.ndarray, " n"]) -> float:
    """Share of intervals that hold the truth."""
    return float(((low <= truth) & (truth <= high)).mean())


def calibration_error(probability: Float[np.ndarray, " n"], correct: Float[np.ndarray, " n"], bins: int = 10) -> float:
    """Expected calibration error: mean distance of stated probability and observed share, over bins of equal width."""
    finite(probability)
    place = np.minimum((probability * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    stated = np.bincount(place, probability, bins)
    observed = np.bincount(place, correct, bins)
    return float(np.abs(stated - observed).sum() / max(count.sum(), 1))


def table(estimates: Mapping[str, Estimate]) -> dict[str, float]:
    """Estimates as one flat row: `hit1`, `hit1_low`, `hit1_high`, ..."""
    row: dict[str, float] = {}
    for name, e in estimates.items():
        row |= {name: e.value, f"{name}_low": e.low, f"{name}_high": e.high}
    return row
