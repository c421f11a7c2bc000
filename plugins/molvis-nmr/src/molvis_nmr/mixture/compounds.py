"""Compounds on the axis of a mixture: multiplets that move rigidly, and exact spin systems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Complex, Float

from molvis_nmr.mixture.axis import Axis, of_lines, of_stretch, within_axis
from molvis_nmr.spins.derivatives import lines_and_derivatives
from molvis_nmr.spins.hamiltonian import components
from molvis_nmr.spins.system import SpinSystem
from molvis_nmr.spins.transitions import Lines, lines

_ALL_PAIRS_STATES = 200  # larger systems keep couplings of 0 at 0: each costs a derivative
J_SD, J_MOST = 1.5, 8.0  # Hz


@dataclass(eq=False, slots=True)
class CompoundState:
    """What is estimated of one compound."""

    amount: float
    shift: Float[np.ndarray, " g"]
    response: Float[np.ndarray, " g"]  # relative: 0 is as expected
    width: Float[np.ndarray, " g"]  # logarithm, relative to the shared one
    coupling: Float[np.ndarray, " p"]

    def copy(self) -> CompoundState:
        """The same in arrays of its own."""
        return CompoundState(
            self.amount, self.shift.copy(), self.response.copy(), self.width.copy(), self.coupling.copy()
        )


@dataclass(eq=False, slots=True)
class Rendered:
    """Transforms of a compound of amount 1: its multiplets, and how their sum changes."""

    value: Complex[np.ndarray, "g k"]
    by_shift: Complex[np.ndarray, "d k"]
    by_width: Complex[np.ndarray, "d k"]
    by_coupling: Complex[np.ndarray, "p k"]


class Compound:
    """An entry of the library on the axis of a mixture."""

    def __init__(
        self, name: str, identifier: str, groups: tuple[str, ...], shifts: Float[np.ndarray, " g"], window: np.ndarray
    ) -> None:
        self.name, self.identifier, self.groups = name, identifier, groups
        self.shifts, self.window = shifts, window
        self.couplings = np.zeros(0)
        self.concentrates = True
        self.standard = False

    def start(self) -> CompoundState:
        """Where the library has it, none of it there."""
        g = len(self.groups)
        return CompoundState(0.0, self.shifts.copy(), np.zeros(g), np.zeros(g), self.couplings.copy())

    def render(self, axis: Axis, frequency: float, state: CompoundState, width: float, derivatives: bool) -> Rendered:
        """Transforms on an axis."""
        raise NotImplementedError

    def refined(self, state: CompoundState, width: float) -> SpinSystem | None:  # noqa: ARG002 - of those that have one
        """The spin system that the state stands for."""
        return None


class Rigid(Compound):
    """Multiplets that move as they are: each a set of lines, or a stretch of a measured spectrum."""

    def __init__(
        self,
        name: str,
        identifier: str,
        groups: tuple[str, ...],
        shifts: Float[np.ndarray, " g"],
        window: Float[np.ndarray, " g"],
        shapes: Sequence[Lines | tuple[np.ndarray, np.ndarray]],
    ) -> None:
        super().__init__(name, identifier, groups, shifts, window)
        self._shapes = shapes
        self._made: tuple[Axis, np.ndarray] | None = None

    def _transforms(self, axis: Axis) -> Complex[np.ndarray, "g k"]:
        if self._made is None or self._made[0] is not axis:
            rows = [
                of_lines(axis, shape)[0] if isinstance(shape, Lines) else of_stretch(axis, *shape)
                for shape in self._shapes
            ]
            self._made = (axis, np.stack(rows))
        return self._made[1]

    def render(self, axis: Axis, frequency: float, state: CompoundState, width: float, derivatives: bool) -> Rendered:
        """Transforms on an axis: the multiplets moved and broadened as they are."""
        moved = (state.shift - self.shifts) * frequency
        value = self._transforms(axis) * np.exp(axis.turn * moved[:, None])
        none = value[:0]
        own = np.array([isinstance(shape, Lines) for shape in self._shapes])
        widths = np.where(own, width * np.exp(state.width), 0.0)
        value = value * axis.decay(widths)
        if not derivatives:
            return Rendered(value, none, none, none)
        scaled = (1 + state.response)[:, None] * value
        by_width = scaled * (-2 * np.pi * axis.time * widths[:, None])
        return Rendered(value, scaled * (axis.turn * frequency), by_width, none)


class Spins(Compound):
    """A spin system, simulated anew for every value of its shifts and couplings."""

    def __init__(self, system: SpinSystem, window: Float[np.ndarray, " g"]) -> None:
        super().__init__(system.name, system.identifier, system.names, system.shifts.copy(), window)
        self.system = system
        # Libraries leave small couplings out, and now and then one that is not small.
        linked = system.couplings != 0
        if np.prod(system.multiplicity + 1.0) <= _ALL_PAIRS_STATES:
            for members in components(linked):
                linked[np.ix_(members, members)] = True
        self.pairs = np.argwhere(np.triu(linked, 1))
        self.couplings = system.couplings[self.pairs[:, 0], self.pairs[:, 1]]

    def other(self, state: CompoundState, random: np.random.Generator, frequency: float) -> CompoundState:
        """Another start: two neighbors that are coupled change places, or shifts and couplings are drawn."""
        new = state.copy()
        new.response = np.zeros_like(state.response)
        new.width = np.zeros_like(state.width)
        near = [
            (a, b)
            for (a, b), j in zip(self.pairs, self.couplings, strict=True)
            if j and abs(state.shift[a] - state.shift[b]) < 0.1
        ]
        if near and random.random() < 0.4:
            a, b = near[random.integers(len(near))]
            new.shift[[a, b]] = new.shift[[b, a]]
        if random.random() < 0.3:
            new.shift = self.shifts.copy()
        new.shift = new.shift + random.normal(0, 3.0 / frequency, len(new.shift))
        new.shift = np.clip(new.shift, self.shifts - self.window, self.shifts + self.window)
        # Two protons on one saturated carbon have about -14 Hz, whatever a library's fit came out with.
        drawn = np.where(new.coupling < -8, random.normal(-14, 1.0, len(new.coupling)), new.coupling)
        drawn = drawn + random.normal(0, 1.0, len(drawn)) * (np.abs(self.couplings) > 2)
        new.coupling = np.clip(drawn, self.couplings - J_MOST, self.couplings + J_MOST)
        return new

    def refined(self, state: CompoundState, width: float) -> SpinSystem:
        """The spin system that the state stands for."""
        couplings = np.zeros_like(self.system.couplings)
        couplings[self.pairs[:, 0], self.pairs[:, 1]] = state.coupling
        return replace(
            self.system,
            shifts=state.shift,
            couplings=couplings + couplings.T,
            widths=width * np.exp(state.width),
            intensities=1 + state.response,
        )

    def render(self, axis: Axis, frequency: float, state: CompoundState, width: float, derivatives: bool) -> Rendered:
        """Transforms on an axis, simulated anew."""
        system = self.refined(state, width)
        decay = axis.decay(system.widths)
        if not derivatives:
            value = of_lines(axis, lines(system, frequency, threshold=1e-5)) * decay
            return Rendered(value, value[:0], value[:0], value[:0])
        found = lines_and_derivatives(system, frequency, threshold=1e-5, pairs=[(a, b) for a, b in self.pairs.tolist()])
        value = of_lines(axis, found.lines) * decay
        height = found.lines.weight @ system.intensities
        moving = axis.spread(
            *within_axis(axis, found.lines.position, found.signal.T, (found.position * height[:, None]).T)
        )
        g = len(system)
        # A line that several spins share is broadened by the width of the spin that moves it: exact where widths agree.
        mean = axis.decay(system.widths[found.pairs].mean(axis=1))
        by_width = (1 + state.response)[:, None] * value * (-2 * np.pi * axis.time * system.widths[:, None])
        return Rendered(value, moving[:g] * decay, by_width, moving[g:] * mean)
