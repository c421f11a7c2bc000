"""Lines to spectra: put on a grid by interpolation, broadened in the time domain.

A line between two points of the grid is spread over its neighbours by a short kernel, whose transform is divided out
again: what is left is the line's decaying wave itself, to about 1e-6. Widths, further broadening and line shapes are
then products, and the derivative by a position is a product with -2 pi i t.

Reference: Barnett, Magland and af Klinteberg, SIAM J. Sci. Comput. 41 (2019) C479, doi:10.1137/18M120885X
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Complex, Float, Int

if TYPE_CHECKING:
    from scipy.sparse import csc_array

REACH = 6
"""Points that a line is spread over."""
SHARPNESS = 13.8
"""Of the kernel: of those tried, the one with the smallest error for a Lorentzian of `FINENESS`."""
FINENESS = 0.2
"""Steps of the grid, in widths of the narrowest line: what comes later than the longest time is below 1e-6."""
SPACING = 0.1
"""Between the widths, in logarithms, that lines of any width are interpolated among."""


@lru_cache(maxsize=32)
def kernel_transform(size: int) -> Float[np.ndarray, " f"]:
    """The kernel's transform at the times of a grid of `size` points."""
    nodes, weights = np.polynomial.legendre.leggauss(48)
    nodes, weights = nodes[24:], weights[24:]  # it is even
    values = weights * np.exp(SHARPNESS * (np.sqrt(1 - nodes**2) - 1))
    turns = np.pi * REACH * np.arange(size // 2 + 1) / size
    return REACH * np.sum([v * np.cos(turns * x) for x, v in zip(nodes, values, strict=True)], axis=0)


@dataclass(frozen=True, eq=False, slots=True)
class Grid:
    """An even grid of frequencies around the points of a measurement, and its times. Make it with `grid`.

    Attributes:
        start: of the grid, in Hz.
        step: in Hz.
        size: its points; it repeats beyond them.
        points: of the measurement, in Hz.
        first, stride: of the measurement's points on the grid; None where they do not lie on it.
    """

    start: float
    step: float
    size: int
    points: Float[np.ndarray, " x"]
    first: int | None
    stride: int

    @property
    def time(self) -> Float[np.ndarray, " f"]:
        """Times in s that `transform` gives values at, from 0."""
        return np.arange(self.size // 2 + 1) / (self.size * self.step)

    def _spreading(self, position: Float[np.ndarray, " l"]) -> csc_array:
        from scipy.sparse import csc_array

        place = (position - self.start) / self.step
        left = np.ceil(place - REACH / 2)
        off = (left - place)[:, None] + np.arange(REACH)
        values = np.exp(SHARPNESS * (np.sqrt(np.maximum(1 - (2 / REACH * off) ** 2, 0)) - 1))
        rows = (left[:, None].astype(np.int64) + np.arange(REACH)) % self.size
        ends = np.arange(0, rows.size + 1, REACH)
        return csc_array((values.ravel(), rows.ravel(), ends), shape=(self.size, len(position)))

    def transform(
        self, position: Float[np.ndarray, " l"], weight: Float[np.ndarray, "l k"]
    ) -> Complex[np.ndarray, "k f"]:
        """sum_l weight exp(-2 pi i position t), with positions counted from the start of the grid.

        Args:
            position: of lines in Hz.
            weight: of lines, in each of k sets.
        """
        spread = self._spreading(position) @ weight
        return np.fft.rfft(np.ascontiguousarray(spread.T), axis=1) / kernel_transform(self.size)

    def spectrum(self, signal: Complex[np.ndarray, "k f"]) -> Float[np.ndarray, "k x"]:
        """The spectra of signals in time, at the points of the measurement.

        A signal pi exp(-2 pi w t) becomes w / (w^2 + v^2), and not that line only but its repetitions too, a grid's
        length away: `decay` takes off what they add.
        """
        if self.first is not None:
            full = np.fft.irfft(signal, n=self.size, axis=1) / self.step
            return full[:, self.first : self.first + self.stride * len(self.points) : self.stride]
        full = np.fft.irfft(signal / kernel_transform(self.size), n=self.size, axis=1) / self.step
        return np.ascontiguousarray((self._spreading(self.points).T @ full.T).T)

    def decay(self, width: float) -> Float[np.ndarray, " f"]:
        """The decay of a Lorentzian line of this width, pi exp(-2 pi w t)."""
        values = np.pi * np.exp(-2 * np.pi * width * self.time)
        # Repetitions of the line add up to w pi^2 / (3 length^2), nearly everywhere the same.
        values[0] -= width * np.pi**2 / (3 * self.size * self.step)
        return values


def grid(points: Float[np.ndarray, " x"], narrowest: float, low: float, high: float, *, widest: float = 0.0) -> Grid:
    """A grid for lines between `low` and `high`, and for points, all in Hz.

    Args:
        points: ascending; where they are even, they lie on the grid.
        narrowest: width of the narrowest line, w of w / (w^2 + v^2).
        low: where lines may begin.
        high: where they may end.
        widest: width of the widest line, if it is much wider.
    """
    from scipy.fft import next_fast_len

    low, high = min(low, float(points[0])), max(high, float(points[-1]))
    length = 1.25 * (high - low) + 600 * max(narrowest, widest)
    spacing = np.diff(points)
    mean = float(spacing.mean())
    finest = FINENESS * narrowest
    # Points much denser than lines need cost more than interpolation.
    even = float(np.ptp(spacing)) < 1e-6 * mean and mean > finest / 8
    stride = max(int(np.ceil(mean / finest)), 1) if even else 1
    step = mean / stride if even else finest
    size = int(next_fast_len(int(np.ceil(length / step)), True) or 0)
    before = int(np.ceil((float(points[0]) - low) / step)) + (size - int((high - low) / step)) // 2
    return Grid(float(points[0]) - before * step, step, size, points, before if even else None, stride)


def shares(
    width: Float[np.ndarray, " l"],
) -> tuple[Float[np.ndarray, " k"], Int[np.ndarray, " l"], Float[np.ndarray, "l j"]]:
    """Widths of lines as mixtures of few: those, the first that each line takes, and its parts in it and the next."""
    low, high = float(width.min()), float(width.max())
    if high < low * (1 + 1e-9):
        return np.array([low]), np.zeros(len(width), dtype=np.int64), np.ones((len(width), 1))
    count = int(np.ceil(np.log(high / low) / SPACING)) + 1
    count = max(count, 2)
    gap = np.log(high / low) / (count - 1)
    nodes = low * np.exp(gap * np.arange(-1, count + 1))
    u = np.log(width / low) / gap
    first = np.clip(u.astype(np.int64), 0, count - 2)
    x = u - first
    cubic = [
        -x * (x - 1) * (x - 2) / 6,
        (x + 1) * (x - 1) * (x - 2) / 2,
        -(x + 1) * x * (x - 2) / 2,
        (x + 1) * x * (x - 1) / 6,
    ]
    return nodes, first, np.stack(cubic, axis=1)
