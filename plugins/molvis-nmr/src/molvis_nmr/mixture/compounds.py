"""Compounds on the axis of a mixture: multiplets that move as they are, and what is estimated of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from molvis_nmr.mixture.axis import Axis
from molvis_nmr.mixture.shapes import draw
from molvis_nmr.spins.system import SpinSystem

CARBON_13 = 0.0107
"""Natural abundance."""
_WITH_SATELLITES = 25.0  # widths that a multiplet's wings reach where its satellites are as high as the noise
_WINGS = (12.0, 400.0)  # Hz beside the outermost lines: what a weak and a strong multiplet reach


@dataclass(frozen=True, eq=False, slots=True)
class Multiplet:
    """Signals that move together.

    Attributes:
        names: of the groups of spins.
        center: in Hz, as the library has it.
        position, weight: of its lines in Hz from the center, and their areas; of a measured stretch, its points and
            heights.
        measured: whether it is a measured stretch, which has its own width.
        window: by how much it may move, in Hz.
        groups: of the compound's spin system that it is of.
        movers: those of them that have one shift and may move against the others; the first shift moves with the
            multiplet and is none.
        turns: lines by which it changes with each mover's shift, per Hz, like `position` and `weight`.
        carbon: coupling of its protons to their carbon where that is 13C, in Hz; 0 for none.
    """

    names: tuple[str, ...]
    center: float
    position: Float[np.ndarray, " l"]
    weight: Float[np.ndarray, " l"]
    window: float
    measured: bool = False
    groups: tuple[int, ...] = ()
    movers: tuple[tuple[int, ...], ...] = ()
    turns: tuple[tuple[Float[np.ndarray, " t"], Float[np.ndarray, " t"]], ...] = ()
    carbon: float = 0.0

    @property
    def area(self) -> float:
        """Of all lines."""
        if self.measured:
            return float(self.weight.sum() * (self.position[1] - self.position[0]))
        return float(self.weight.sum())

    def reach(self) -> tuple[float, float]:
        """Its outermost lines that anybody would see, in Hz."""
        if self.measured:
            return self.center + float(self.position.min()), self.center + float(self.position.max())
        seen = self.position[self.weight > 0.04 * self.weight.max()]
        return self.center + float(seen.min()), self.center + float(seen.max())


def coupling_to_carbon(ppm: float) -> float:
    """What protons of a shift usually have to a 13C that they are bound to, in Hz.

    Typical values, off by some Hz for a compound: 118 next to silicon, 125 to 130 in chains, 140 to 150 beside oxygen
    and nitrogen, 160 to 170 for anomers and aromatics, 195 for formate (H.-O. Kalinowski, S. Berger, S. Braun,
    Carbon-13 NMR Spectroscopy, Wiley 1988).
    """
    limits = (0.4, 1.6, 3.0, 4.4, 6.0, 8.2)
    return (118.0, 127.0, 131.0, 145.0, 165.0, 161.0, 195.0)[int(np.searchsorted(limits, ppm))]


@dataclass(frozen=True, eq=False, slots=True)
class Compound:
    """A compound of a library.

    Attributes:
        name, identifier: of the library.
        multiplets: its signals.
        concentrates: whether amounts are those of protons, so that they become concentrations.
        standard: whether it is the reference compound.
        tube: whether it is what a tube holds beside the sample's compounds.
        inchi: where known.
        system: of spins, where multiplets change their shape with their shifts; None where they do not.
    """

    name: str
    identifier: str
    multiplets: tuple[Multiplet, ...]
    concentrates: bool = True
    standard: bool = False
    tube: bool = False
    inchi: str = ""
    system: SpinSystem | None = None


@dataclass(eq=False, slots=True)
class State:
    """What is estimated of a compound, multiplet by multiplet.

    Attributes:
        amount: area under one proton's signal.
        moved: in Hz from where the library has it.
        width: logarithm of the width relative to the shared one.
        response: relative; 0 is as expected.
        excess: probability that a signal of no compound lies on it.
        inner: by how much the movers of each multiplet have moved beside it, in Hz.
        multiplets: as they look where the spins are; empty where they look as in the library.
        at, derived: by how much each group of the spin system was displaced against the mean of all, in Hz, when
            `multiplets` and their `turns` were made.
    """

    amount: float
    moved: Float[np.ndarray, " m"]
    width: Float[np.ndarray, " m"] = field(default_factory=lambda: np.zeros(0))
    response: Float[np.ndarray, " m"] = field(default_factory=lambda: np.zeros(0))
    inner: tuple[Float[np.ndarray, " _"], ...] = ()
    multiplets: tuple[Multiplet, ...] = ()
    at: Float[np.ndarray, " _"] = field(default_factory=lambda: np.zeros(0))
    derived: Float[np.ndarray, " _"] = field(default_factory=lambda: np.zeros(0))
    excess: Float[np.ndarray, " m"] = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        if not len(self.width):
            self.width = np.zeros(len(self.moved))
        if not len(self.response):
            self.response = np.zeros(len(self.moved))
        if not len(self.excess):
            self.excess = np.full(len(self.moved), 0.03)


def state_of(compound: Compound, amount: float, moved: Float[np.ndarray, " m"]) -> State:
    """A compound as it comes in: its multiplets moved, and shaped as in the library."""
    return State(amount, moved, inner=tuple(np.zeros(len(m.movers)) for m in compound.multiplets))


@dataclass(frozen=True, slots=True)
class Shared:
    """What all lines share: half width at half height in Hz, and the Gaussian's share."""

    width: float
    gauss: float = 0.0


def wings(area: float, width: float, noise: float) -> float:
    """How far in Hz a multiplet's wings stand out of the noise."""
    return float(np.clip(np.sqrt(max(area, 0.0) * width / (np.pi * 0.5 * noise)), *_WINGS))


def rows_of(
    multiplet: Multiplet, axis: Axis, shared: Shared, moved: float, width: float, reach: float
) -> tuple[slice, Float[np.ndarray, "4 p"]]:
    """A multiplet at amount 1 with its derivatives (see `draw`), and the points that it is on.

    Args:
        multiplet: to draw.
        axis: to draw it on.
        shared: width and shape of all lines.
        moved: in Hz from where the library has it.
        width: logarithm of its width relative to the shared one.
        reach: beside the outermost lines, in Hz.
    """
    center = multiplet.center + moved
    low, high = (edge + moved for edge in multiplet.reach())
    if multiplet.measured:
        part = axis.part(low, high)
        x = axis.start + axis.step * np.arange(part.start, part.stop) - center
        value = np.interp(x, multiplet.position, multiplet.weight)
        slope = -np.interp(x, multiplet.position, np.gradient(multiplet.weight, multiplet.position))
        return part, np.stack([value, slope, np.zeros(len(x)), np.zeros(len(x))])
    # A multiplet whose wings reach so far is so strong that its satellites stand out of the noise.
    aside = multiplet.carbon / 2 if reach > _WITH_SATELLITES * shared.width else 0.0
    beside = max(reach, aside + _WINGS[0]) if aside else reach
    part = axis.part(low - beside, high + beside)
    start = axis.start + axis.step * part.start
    w = shared.width * float(np.exp(width))
    rows = draw(
        multiplet.position + center, multiplet.weight, w, shared.gauss, start, axis.step, part.stop - part.start
    )
    return part, with_satellites(rows, aside / axis.step) if aside else rows


def with_satellites(rows: Float[np.ndarray, "r p"], points: float) -> Float[np.ndarray, "r p"]:
    """A multiplet with those of the molecules that have a 13C: at both sides, so many points away."""
    made = (1 - CARBON_13) * rows
    whole, part = int(points), points - int(points)
    for lag, share in ((whole, 1 - part), (whole + 1, part)):
        if 0 < lag < rows.shape[1]:
            made[:, lag:] += CARBON_13 / 2 * share * rows[:, :-lag]
            made[:, :-lag] += CARBON_13 / 2 * share * rows[:, lag:]
    return made


def turned(
    multiplet: Multiplet, turn: tuple[Float[np.ndarray, " l"], Float[np.ndarray, " l"]], axis: Axis, shared: Shared,
    moved: float, width: float, part: slice,
) -> Float[np.ndarray, " p"]:  # fmt: skip
    """How a multiplet at amount 1 changes with the shift of one of its movers, per Hz, on the points of `rows_of`."""
    start, w = axis.start + axis.step * part.start, shared.width * float(np.exp(width))
    center = multiplet.center + moved  # satellites hardly change
    return draw(turn[0] + center, turn[1], w, shared.gauss, start, axis.step, part.stop - part.start)[0]


def signal_of(compound: Compound, state: State, axis: Axis, shared: Shared, noise: float) -> Float[np.ndarray, " t"]:
    """What a compound gives to the spectrum."""
    y = np.zeros(axis.points)
    if state.amount <= 0:
        return y
    shapes = state.multiplets or compound.multiplets
    for m, moved, width, response in zip(shapes, state.moved, state.width, state.response, strict=True):
        height = state.amount * (1 + response)
        reach = wings(height * m.area, shared.width, noise)
        part, rows = rows_of(m, axis, shared, float(moved), float(width), reach)
        y[part] += height * rows[0]
    return y
