r"""How alike two spectra are: cosine, hybrid cosine, neutral losses, spectral entropy.

Each is a sum over pairs of peaks, one from each spectrum, in which no peak is used twice. Cosines add $a_i b_j$ of
powers of intensities with the Euclidean norm 1; the entropy similarity adds
$\tfrac{1}{2} [f(a_i + b_j) - f(a_i) - f(b_j)]$ with $f(x) = x \log_2 x$ of intensities that add up to 1. Pairs that
compete for a peak are taken by descending gain (greedy), or so that the sum is greatest (optimal).

References: cosine and modified cosine as in matchms, Huber et al., J. Open Source Software 5 (2020) 2411,
doi:10.21105/joss.02411; hybrid search, Moorthy et al., Anal. Chem. 89 (2017) 13261, doi:10.1021/acs.analchem.7b03320;
spectral entropy, Li et al., Nature Methods 18 (2021) 1524, doi:10.1038/s41592-021-01331-z
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal, cast

import numpy as np
from jaxtyping import Float, Int64

from molvis_core.errors import ConfigError, RecordError, did_you_mean
from molvis_core.records import PeakList
from molvis_msms.references import kernels

Kind = Literal["cosine", "entropy", "hybrid", "neutral-loss", "peaks-and-losses"]
KINDS: dict[str, tuple[bool, int]] = {
    "cosine": (True, 0), "entropy": (True, 0), "hybrid": (True, 2), "neutral-loss": (False, 1),
    "peaks-and-losses": (True, 1),
}  # fmt: skip
"""By name: whether peaks match by m/z, and whether by loss: 0 not, 1 losses by themselves, 2 as shifted peaks."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far apart two m/z may be to be equal.

    Attributes:
        value: not negative.
        unit: `Da`, or `ppm` of the mean of the two.

    Raises:
        ConfigError: the value is negative or not finite, or the unit is another.
    """

    value: float
    unit: str = "Da"

    def __post_init__(self) -> None:
        if not (np.isfinite(self.value) and self.value >= 0):
            raise ConfigError(f"a tolerance must be finite and not negative, got {self.value}")
        if self.unit not in ("Da", "ppm"):
            raise ConfigError(f"the unit of a tolerance must be 'Da' or 'ppm', got {self.unit!r}")

    @classmethod
    def parse(cls, text: str) -> Tolerance:
        """From `0.01Da`, `10 ppm`, or a number, which is in Da.

        Raises:
            ConfigError: it is not of this form.
        """
        found = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*(da|ppm)?\s*", text[:100], re.IGNORECASE)
        if found is None:
            raise ConfigError(f"tolerance {text!r}: write a number with its unit, such as 0.01Da or 10ppm")
        return cls(float(found.group(1)), "ppm" if (found.group(2) or "").lower() == "ppm" else "Da")

    @property
    def width(self) -> float:
        """In Da, or as a share of m/z."""
        return self.value * 1e-6 if self.relative else self.value

    @property
    def relative(self) -> bool:
        """Whether it is in ppm."""
        return self.unit == "ppm"

    def around(
        self, values: Float[np.ndarray, " n"], most: float | None = None
    ) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """Bounds of what may lie within the tolerance of each value; a little wider than that, never narrower.

        Args:
            values: m/z, or neutral losses.
            most: the largest sum of two m/z that are compared, where the values are losses.
        """
        if not self.relative:
            reach = np.full(len(values), self.value)
        elif most is None:
            reach = self.width * values / (1 - self.width / 2)
        else:
            reach = np.full(len(values), self.width * most / 2)
        reach = reach * (1 + 1e-9) + 1e-9
        return values - reach, values + reach

    def __str__(self) -> str:
        return f"{self.value:g} {self.unit}"


@dataclass(frozen=True, eq=False, slots=True)
class Similar:
    """How alike two spectra are.

    Attributes:
        score: between 0 and 1.
        pairs: places of the peaks that match, in the first and in the second spectrum.
    """

    score: float
    pairs: Int64[np.ndarray, "k 2"]


@dataclass(frozen=True, slots=True)
class Similarity:
    """A similarity of spectra. Call it with two of them.

    Attributes:
        kind: `cosine`; `entropy`; `hybrid`, the modified cosine: peaks match as they are or shifted by the difference
            of the precursors, unless the precursors agree; `neutral-loss`, the cosine of what peaks below the precursor
            have lost; `peaks-and-losses`, the cosine of peaks and losses together, each matched by itself.
        tolerance: of m/z.
        power: that intensities are raised to in cosines; the square root lets small peaks speak. Entropy has weights of
            its own.
        matching: `greedy` or `optimal`.

    Raises:
        ConfigError: a kind or a matching that there is not, or a power that is not positive.
    """

    kind: Kind = "cosine"
    tolerance: Tolerance = field(default_factory=lambda: Tolerance(0.01))
    power: float = 0.5
    matching: Literal["greedy", "optimal"] = "greedy"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(
                f"no similarity named {self.kind!r}.{did_you_mean(self.kind, KINDS)} There are: {', '.join(KINDS)}."
            )
        if self.matching not in ("greedy", "optimal"):
            raise ConfigError(f"matching must be 'greedy' or 'optimal', got {self.matching!r}")
        if not (np.isfinite(self.power) and self.power > 0):
            raise ConfigError(f"power must be positive, got {self.power}")

    @property
    def direct(self) -> bool:
        """Whether peaks match by m/z."""
        return KINDS[self.kind][0]

    @property
    def shifted(self) -> int:
        """Whether peaks match by neutral loss: 0 not, 1 as losses, 2 as shifted peaks."""
        return KINDS[self.kind][1]

    def weights(
        self,
        offsets: Int64[np.ndarray, " s"],
        mz: Float[np.ndarray, " p"],
        intensity: Float[np.ndarray, " p"],
        precursor: Float[np.ndarray, " _"],
    ) -> Float[np.ndarray, " p"]:
        """What each peak weighs, for spectra whose peaks lie end to end.

        Args:
            offsets: where each spectrum begins, and where the last ends.
            mz: of all peaks, ascending in each spectrum.
            intensity: of all peaks.
            precursor: m/z of each spectrum; NaN where it is not known.
        """
        entropy, losses = self.kind == "entropy", self.shifted == 1
        heights = np.asarray(intensity, dtype=np.float64)
        return kernels.weigh(offsets, mz, heights, precursor, self.power, entropy, self.direct, losses)

    def settings(self) -> tuple[float, bool, bool, int, bool]:
        """What the kernels take: width and unit of the tolerance, what matches, and whether gains are of entropy."""
        return self.tolerance.width, self.tolerance.relative, self.direct, self.shifted, self.kind == "entropy"

    def prepare(self, spectrum: PeakList) -> Prepared:
        """A spectrum's peaks with what they weigh.

        Raises:
            RecordError: it has no precursor, and the similarity compares losses alone.
        """
        if not self.direct and spectrum.precursor_mz is None:
            raise RecordError("neutral losses need a precursor m/z, which this spectrum does not have")
        mz = np.asarray(spectrum.mz, dtype=np.float64)
        precursor = np.nan if spectrum.precursor_mz is None else float(spectrum.precursor_mz)
        ends = np.array([0, len(mz)])
        return Prepared(mz, self.weights(ends, mz, spectrum.intensity, np.array([precursor])), precursor)

    def __call__(self, one: PeakList, other: PeakList) -> Similar:
        """How alike two spectra are: 1 for the same, 0 where no peaks match. The order of the two does not matter.

        Raises:
            RecordError: a spectrum has no precursor, and the similarity compares losses alone.
        """
        return self.compare(self.prepare(one), self.prepare(other))

    def compare(self, one: Prepared, other: Prepared) -> Similar:
        """The same of spectra that are prepared."""
        arguments = (one.mz, one.weight, one.precursor, other.mz, other.weight, other.precursor, *self.settings())
        if self.matching == "greedy":
            score, i, j = kernels.compare(*arguments)
            return Similar(float(score), np.stack([i, j], axis=1))
        i, j, gain, _, split = kernels.pairs_of(*arguments)
        parts = [slice(0, split), slice(split, None)] if self.shifted == 1 else [slice(None)]
        found = [_assign(i[part], j[part], gain[part]) for part in parts]
        return Similar(min(sum(score for score, _ in found), 1.0), np.concatenate([pairs for _, pairs in found]))


@dataclass(frozen=True, eq=False, slots=True)
class Prepared:
    """A spectrum for comparing it with many.

    Attributes:
        mz: of its peaks, ascending.
        weight: of its peaks, for one similarity.
        precursor: its m/z; NaN where it is not known.
    """

    mz: Float[np.ndarray, " p"]
    weight: Float[np.ndarray, " p"]
    precursor: float


def _assign(
    i: Int64[np.ndarray, " k"], j: Int64[np.ndarray, " k"], gain: Float[np.ndarray, " k"]
) -> tuple[float, Int64[np.ndarray, "m 2"]]:
    """The pairs of greatest sum in which no peak is used twice."""
    from scipy.optimize import linear_sum_assignment

    if not len(i):
        return 0.0, np.empty((0, 2), dtype=np.int64)
    rows, row = np.unique(i, return_inverse=True)
    columns, column = np.unique(j, return_inverse=True)
    table = np.zeros((len(rows), len(columns)))
    np.maximum.at(table, (row, column), gain)
    best = linear_sum_assignment(table, maximize=True)
    kept = table[best] > 0
    pairs = np.stack([rows[best[0]][kept], columns[best[1]][kept]], axis=1)
    return float(table[best].sum()), pairs.astype(np.int64)


def similarity(name: str, tolerance: str = "0.01Da", power: float = 0.5, matching: str = "greedy") -> Similarity:
    """A similarity as a command line or a configuration names it.

    Raises:
        ConfigError: a name or a value that there is not.
    """
    how = cast("Literal['greedy', 'optimal']", matching)
    return Similarity(cast("Kind", name), Tolerance.parse(tolerance), power, how)
