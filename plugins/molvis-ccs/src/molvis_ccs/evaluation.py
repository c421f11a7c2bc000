"""How good predicted cross sections are: errors and intervals, with what chance does to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from molvis_ccs.training.calibration import NORMAL_QUANTILE
from molvis_core.errors import RecordError

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Of predictions against measurements; errors are absolute and relative, in percent.

    Attributes:
        values, compounds: how many.
        median: error, over values, and its 95% interval over compounds drawn again.
        by_compound: median over compounds of the mean error of each, and its interval.
        mean: error, over values.
        coverage: percent of the values inside the 90% intervals, and its interval; None without standard deviations.
    """

    values: int
    compounds: int
    median: float
    median_interval: Interval
    by_compound: float
    by_compound_interval: Interval
    mean: float
    coverage: float | None = None
    coverage_interval: Interval | None = None


def accuracy(
    measured: Float[np.ndarray, " n"],
    predicted: Float[np.ndarray, " n"],
    sd: Float[np.ndarray, " n"] | None,
    compounds: Sequence[str],
    *,
    draws: int = 300,
    seed: int = 0,
) -> Accuracy:
    """Compare predictions with measurements.

    Args:
        measured: in A^2.
        predicted: in A^2.
        sd: of the predictions in A^2, if they have one.
        compounds: key of the compound of each value; compounds are drawn again, not values.
        draws: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        RecordError: there is nothing to compare.
    """
    if not len(measured):
        raise RecordError("no values to compare with predictions")
    error = 100 * np.abs(predicted / measured - 1)
    inside = np.abs(predicted - measured) <= NORMAL_QUANTILE * sd if sd is not None else None
    keys, owner = np.unique(np.asarray(compounds), return_inverse=True)
    order = np.argsort(owner, kind="stable")
    rows = np.split(order, np.cumsum(np.bincount(owner))[:-1])
    own = np.array([error[row].mean() for row in rows])
    rng = np.random.default_rng(seed)
    drawn = [rng.integers(len(keys), size=len(keys)) for _ in range(draws)]
    chosen = [np.concatenate([rows[i] for i in some]) for some in drawn]
    return Accuracy(
        values=len(measured),
        compounds=len(keys),
        median=float(np.median(error)),
        median_interval=_interval([float(np.median(error[some])) for some in chosen]),
        by_compound=float(np.median(own)),
        by_compound_interval=_interval([float(np.median(own[some])) for some in drawn]),
        mean=float(error.mean()),
        coverage=None if inside is None else 100 * float(inside.mean()),
        coverage_interval=None if inside is None else _interval(_shares(inside, chosen)),
    )


def _shares(inside: Bool[np.ndarray, " n"], chosen: Sequence[np.ndarray]) -> list[float]:
    return [100 * float(inside[some].mean()) for some in chosen]


def _interval(values: Sequence[float]) -> Interval:
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)
