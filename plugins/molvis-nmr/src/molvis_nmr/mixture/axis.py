"""The axis of a mixture in Hz, and the way to it from transitions and measured stretches."""

from __future__ import annotations

from typing import cast

import numpy as np
from jaxtyping import Complex, Float
from numpy.fft import irfft, rfft

from molvis_nmr.spins.transitions import Lines


class Axis:
    """A uniform axis in Hz, and the way to it from lines: cubic splines on a grid, broadening as decay in time."""

    def __init__(self, start: float, step: float, points: int, average: int) -> None:
        from scipy.fft import next_fast_len

        self.start, self.step, self.points, self.average = start, step, points, average
        self.hertz = start + step * np.arange(points)
        self.size = int(cast("int", next_fast_len(points + round(60 / step), real=True)))
        self.time = np.arange(self.size // 2 + 1) / (self.size * step)  # seconds
        self.turn = -2j * np.pi * self.time
        # Points were averaged over `average` of the spectrum's own: the model is, too.
        self.sampling = np.sinc(self.time * step) / np.sinc(self.time * step / average) if average > 1 else 1.0
        self._spline = np.sinc(self.time * step) ** 4

    def decay(self, width: float | np.ndarray) -> np.ndarray:
        """Transfer of a Lorentzian of unit area and half width at half height `width` in Hz."""
        return np.exp(-2 * np.pi * np.asarray(width)[..., None] * self.time)

    def spread(
        self,
        position: Float[np.ndarray, " l"],
        weight: Float[np.ndarray, "c l"],
        slope: Float[np.ndarray, "c l"] | None,
    ) -> Complex[np.ndarray, "c k"]:
        """Transform of lines, and of how they change when each moves at the rate `slope` (weight included)."""
        at = (position - self.start) / self.step
        cell = np.floor(at).astype(np.int64)
        u = at - cell
        v = 1 - u
        values = (v**3 / 6, 2 / 3 - u**2 * (2 - u) / 2, 2 / 3 - v**2 * (2 - v) / 2, u**3 / 6)
        slopes = (-(v**2) / 2, u * (3 * u / 2 - 2), v * (2 - 3 * v / 2), u**2 / 2)
        grid = np.zeros((len(weight), self.size))
        for offset, value, rate in zip((-1, 0, 1, 2), values, slopes, strict=True):
            index = (cell + offset) % self.size
            for c in range(len(weight)):
                height = weight[c] * value if slope is None else weight[c] * value + slope[c] * (rate / self.step)
                grid[c] += np.bincount(index, height, minlength=self.size)
        # An area spread over one step is a height.
        return rfft(grid, axis=1) / (self._spline * self.step)

    def back(self, transform: Complex[np.ndarray, "c k"]) -> Float[np.ndarray, "c t"]:
        """Spectra from transforms."""
        return irfft(transform * self.sampling, n=self.size, axis=-1)[..., : self.points]


def within_axis(
    axis: Axis,
    position: Float[np.ndarray, " l"],
    weight: Float[np.ndarray, "c l"],
    slope: Float[np.ndarray, "c l"] | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The transitions that lie on the axis, with their weights and slopes."""
    kept = (position > axis.start + 3 * axis.step) & (position < axis.hertz[-1] - 3 * axis.step)
    return position[kept], weight[:, kept], None if slope is None else slope[:, kept]


def of_lines(axis: Axis, found: Lines) -> Complex[np.ndarray, "g k"]:
    """Transforms of the multiplets of each group of spins."""
    return axis.spread(*within_axis(axis, found.position, found.weight.T, None))


def of_stretch(axis: Axis, hertz: Float[np.ndarray, " s"], y: Float[np.ndarray, " s"]) -> Complex[np.ndarray, " k"]:
    """Transform of a stretch of a measured spectrum."""
    # Averaged over a step by way of its integral, so that a coarser axis keeps the area.
    total = np.concatenate([[0.0], np.cumsum(y[1:] + y[:-1]) / 2 * np.diff(hertz).mean()])
    edges = axis.start + axis.step * (np.arange(axis.size + 1) - 0.5)
    area = np.diff(np.interp(edges, hertz, total))
    return rfft(area / axis.step) / axis.sampling
