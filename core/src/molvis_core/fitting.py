"""What a fit starts from and what it returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np
from jaxtyping import Float

from molvis_core.errors import RecordError
from molvis_core.records import Record


@dataclass(frozen=True, slots=True)
class Normal:
    """A parameter believed near `mean`, give or take `sd`."""

    mean: float
    sd: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.mean) and np.isfinite(self.sd) and self.sd > 0):
            raise RecordError(f"Normal(mean={self.mean}, sd={self.sd}): mean must be finite and sd positive")


@dataclass(frozen=True, slots=True)
class Uniform:
    """A parameter known only to lie between `low` and `high`."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low < self.high):
            raise RecordError(f"Uniform(low={self.low}, high={self.high}): bounds must be finite with low < high")


@dataclass(frozen=True, slots=True)
class Fixed:
    """A parameter that is not estimated."""

    value: float


Prior: TypeAlias = dict[str, Normal | Uniform | Fixed]


@dataclass(frozen=True, eq=False, slots=True)
class Fit:
    """Estimated parameters with what is known of their errors. Every fit has every field.

    Attributes:
        names: paths of the parameters, such as `coupling/H3-H4`.
        units: of each, such as `Hz`.
        values: estimates.
        covariance: of the estimates. A parameter the data cannot see keeps its prior's width.
        samples: draws from the posterior, where the method makes them.
        simulated: what the estimates would have measured, on the axes of the data.
        problem: empty when the fit succeeded; else what went wrong.
    """

    __no_type_check__: ClassVar[bool] = True  # as for records: the check below has the better message

    names: tuple[str, ...]
    units: tuple[str, ...]
    values: Float[np.ndarray, " k"]
    covariance: Float[np.ndarray, "k k"]
    samples: Float[np.ndarray, "s k"] | None
    simulated: tuple[Record, ...]
    problem: str = ""

    def __post_init__(self) -> None:
        k = len(self.names)
        if len(self.units) != k or self.values.shape != (k,) or self.covariance.shape != (k, k):
            raise RecordError(
                f"Fit of {k} names has {len(self.units)} units, values of shape {self.values.shape} and a covariance "
                f"of shape {self.covariance.shape}"
            )

    def interval(self, level: float = 0.9) -> Float[np.ndarray, "k 2"]:
        """Bounds that should hold the truth with probability `level`.

        Quantiles of the samples where there are any, else of a normal distribution with the fit's covariance.

        Raises:
            ValueError: `level` is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise ValueError(f"level must be between 0 and 1, got {level}")
        if self.samples is not None:
            return np.quantile(self.samples, [(1 - level) / 2, (1 + level) / 2], axis=0).T
        from statistics import NormalDist

        reach = NormalDist().inv_cdf((1 + level) / 2) * np.sqrt(np.diag(self.covariance))
        return np.stack([self.values - reach, self.values + reach], axis=1)


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a report of a fit, under a heading of its own.

    Attributes:
        title: the heading.
        svg: a picture as SVG markup that loads nothing and runs no script; empty for none. A page shows it as it is.
        caption: text under the picture.
        columns, rows: headings and cells of a table; none where there is no table.
        facts: figures by name, such as `("R factor", "2.50%")`.
    """

    title: str
    svg: str = ""
    caption: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
