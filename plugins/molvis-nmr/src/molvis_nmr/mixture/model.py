"""A mixture: what is measured, and what is known of it so far."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float

from molvis_nmr.mixture.axis import Axis
from molvis_nmr.mixture.background import Background
from molvis_nmr.mixture.compounds import CARBON_13, Compound, Shared, State, signal_of
from molvis_nmr.mixture.coupled import settle

_FEET = 0.3  # by how much more a line may be wrong at its feet
_FOOT = 6.0  # Hz to which these reach
_SATELLITES = (56.0, 86.0)  # Hz from their lines: half of usual couplings to carbon


@dataclass(frozen=True, eq=False, slots=True)
class Mixture:
    """What is measured.

    Attributes:
        axis: of the spectrum.
        frequency: of the spectrometer in MHz.
        y: spectrum, without the wing of water.
        noise: its standard deviation.
        mask: points that are fitted.
        background: basis of the baseline.
    """

    axis: Axis
    frequency: float
    y: Float[np.ndarray, " t"]
    noise: float
    mask: Bool[np.ndarray, " t"]
    background: Background


@dataclass(eq=False, slots=True)
class MixtureFit:
    """What is known of a mixture so far.

    Attributes:
        mixture: what is measured.
        library: all compounds.
        states: of those that are there, by their place in the library.
        offset: by how much the sample's axis is off from the library's, in Hz.
        offset_sd: by how much compounds scatter about it.
        shared: width and shape of all lines.
        base: coefficients of the baseline.
        floor: standard deviation of points without signal.
        model_error: how well the model follows strong signals, relative; the median.
        local: the same near each point, as a multiple of the median.
        unknown: how strong signals of no compound are near each point.
        complete: whether all compounds have come in, so that what is left is of none.
        widest: what the width of all lines is at most, in Hz.
        signals: what each compound gives, by its place.
    """

    mixture: Mixture
    library: tuple[Compound, ...]
    shared: Shared
    base: Float[np.ndarray, " b"]
    floor: float
    model_error: float = 0.08
    local: Float[np.ndarray, " t"] | float = 1.0
    unknown: Float[np.ndarray, " t"] | float = 0.0
    complete: bool = False
    widest: float = 8.0
    offset: float = 0.0
    offset_sd: float = 3.0
    states: dict[int, State] = field(default_factory=dict)
    signals: dict[int, Float[np.ndarray, " t"]] = field(default_factory=dict)

    def refresh(self) -> None:
        """Draw what compounds give anew, as their spins make it where they are."""
        for i, s in self.states.items():
            settle(self.library[i], s, self.mixture.frequency)
        self.signals = {
            i: signal_of(self.library[i], s, self.mixture.axis, self.shared, self.floor) for i, s in self.states.items()
        }

    def total(self) -> Float[np.ndarray, " t"]:
        """The sum of all compounds."""
        return np.sum(list(self.signals.values()), axis=0) if self.signals else np.zeros(self.mixture.axis.points)

    def baseline(self) -> Float[np.ndarray, " t"]:
        """The smooth part."""
        return self.mixture.background.basis @ self.base

    def residual(self) -> Float[np.ndarray, " t"]:
        """The spectrum less the model."""
        return self.mixture.y - self.total() - self.baseline()

    def sigma(self, without: int | None = None, *, local: bool = True) -> Float[np.ndarray, " t"]:
        """Standard deviation of each point: noise, what the model misses of strong signals near it, and satellites of
        13C, whose places are known to some hertz only.

        Args:
            without: compound that is thought away.
            local: whether the model's error is that near each point, not the median: what is missed near a compound
                is no evidence against it.
        """
        total = self.total()
        if without is not None:
            total = total - self.signals[without]
        near = around(total, self.mixture.axis, self.shared)
        beside = satellites(total, self.mixture.axis)
        return np.sqrt(self.floor**2 + (self.model_error * (self.local if local else 1.0) * near) ** 2 + beside**2)


def satellites(y: Float[np.ndarray, " t"], axis: Axis) -> Float[np.ndarray, " t"]:
    """How high satellites of 13C are at most about each point."""
    from scipy.ndimage import maximum_filter1d

    low, high = (round(hertz / axis.step) for hertz in _SATELLITES)
    highest = np.asarray(maximum_filter1d(np.maximum(y, 0.0), high - low + 1))
    middle = (low + high) // 2
    made = np.zeros(len(y))
    if middle < len(y):
        made[middle:] = highest[: len(y) - middle]
        made[: len(y) - middle] = np.maximum(made[: len(y) - middle], highest[middle:])
    return CARBON_13 / 2 * made


def around(y: Float[np.ndarray, " t"], axis: Axis, shared: Shared) -> Float[np.ndarray, " t"]:
    """How strong the signal is near each point: what is wrong about a line is wrong beside it, too.

    Feet of lines are less sure than their tops: no magnet is even, so that they are higher or lower than those of a
    Lorentzian. There are many more points of them, though, and by their height alone they would decide on the widths.
    """
    from scipy.ndimage import gaussian_filter1d

    y = np.abs(y)
    near = np.asarray(gaussian_filter1d(y, (shared.width + 0.6) / axis.step))
    foot = np.asarray(gaussian_filter1d(y, _FOOT / axis.step, truncate=3.0))
    return np.abs(near + _FEET * foot)
