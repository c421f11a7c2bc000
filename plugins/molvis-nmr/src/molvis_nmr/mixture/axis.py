"""The axis of a mixture in Hz, and spectra on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, slots=True)
class Axis:
    """A uniform axis.

    Attributes:
        start, step: in Hz from 0 ppm.
        points: of it.
    """

    start: float
    step: float
    points: int

    @property
    def hertz(self) -> Float[np.ndarray, " t"]:
        """Frequencies of the points."""
        return self.start + self.step * np.arange(self.points)

    def part(self, low: float, high: float) -> slice:
        """Points between two frequencies in Hz; none where they are outside of the axis."""
        first = int(np.ceil((low - self.start) / self.step))
        last = int(np.floor((high - self.start) / self.step)) + 1
        first = min(max(first, 0), self.points)
        return slice(first, max(first, min(last, self.points)))
