"""Compounds on the axis of a mixture: multiplets that move rigidly, and exact spin systems.

Everything is a transform: the Fourier transform of a compound's spectrum on the axis, in which a shift is a phase and a
Lorentzian an exponential decay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
from jaxtyping import Complex, Float, Int

from molvis_nmr.mixture.axis import Axis, of_lines, of_stretch, within_axis
from molvis_nmr.spins.derivatives import lines_and_derivatives
from molvis_nmr.spins.hamiltonian import components
from molvis_nmr.spins.system import SpinSystem
from molvis_nmr.spins.transitions import Lines, lines

_ALL_PAIRS_STATES = 200  # larger systems keep couplings of 0 at 0: each costs a derivative
J_SD, J_MOST = 1.5, 8.0  # Hz


@dataclass(frozen=True, eq=False, slots=True)
class CompoundState:
    """What is estimated of one compound.

    Attributes:
        amount: area under one proton's signal.
        shift: of each multiplet in ppm.
        response: of each multiplet, relative: 0 is as expected.
        width: logarithm of each multiplet's width relative to the shared one.
        coupling: in Hz.
    """

    amount: float
    shift: Float[np.ndarray, " g"]
    response: Float[np.ndarray, " g"]
    width: Float[np.ndarray, " g"]
    coupling: Float[np.ndarray, " p"]


@dataclass(frozen=True, eq=False, slots=True)
class Rendered:
    """Transforms of a compound of amount 1: its multiplets, and how their sum changes."""

    value: Complex[np.ndarray, "g k"]
    by_shift: Complex[np.ndarray, "d k"]
    by_width: Complex[np.ndarray, "d k"]
    by_coupling: Complex[np.ndarray, "p k"]


def _started(shifts: np.ndarray, couplings: np.ndarray) -> CompoundState:
    """Where the library has it, none of it there."""
    return CompoundState(0.0, shifts, np.zeros(len(shifts)), np.zeros(len(shifts)), couplings)


@dataclass(frozen=True, eq=False)
class Rigid:
    """Multiplets that move as they are: each a set of transitions, or a stretch of a measured spectrum.

    Attributes:
        name, identifier: of the library.
        groups: names of the multiplets.
        shifts: of them in ppm, as the library has them.
        window: by how much each may move, in ppm.
        shapes: transitions, or frequencies in Hz and heights.
        concentrates: whether amounts are those of protons, so that they become concentrations.
        standard: whether this is the reference compound.
    """

    name: str
    identifier: str
    groups: tuple[str, ...]
    shifts: Float[np.ndarray, " g"]
    window: Float[np.ndarray, " g"]
    shapes: Sequence[Lines | tuple[np.ndarray, np.ndarray]]
    concentrates: bool = True
    standard: bool = False
    _made: dict[Axis, np.ndarray] = field(default_factory=dict, init=False, repr=False)

    @property
    def couplings(self) -> Float[np.ndarray, " p"]:
        """None that could be fitted."""
        return np.zeros(0)

    def start(self) -> CompoundState:
        """Where the library has it, none of it there."""
        return _started(self.shifts, self.couplings)

    def refined(self, state: CompoundState, width: float) -> SpinSystem | None:  # noqa: ARG002 - as `Spins.refined`
        """None: multiplets that move as they are stand for no spin system."""
        return None

    def _transforms(self, axis: Axis) -> Complex[np.ndarray, "g k"]:
        if axis not in self._made:
            rows = [
                of_lines(axis, shape)[0] if isinstance(shape, Lines) else of_stretch(axis, *shape)
                for shape in self.shapes
            ]
            self._made.clear()
            self._made[axis] = np.stack(rows)
        return self._made[axis]

    def render(self, axis: Axis, frequency: float, state: CompoundState, width: float, derivatives: bool) -> Rendered:
        """Transforms on an axis: the multiplets moved and broadened as they are."""
        moved = (state.shift - self.shifts) * frequency
        value = self._transforms(axis) * np.exp(axis.turn * moved[:, None])
        none = value[:0]
        own = np.array([isinstance(shape, Lines) for shape in self.shapes])
        widths = np.where(own, width * np.exp(state.width), 0.0)
        value = value * axis.decay(widths)
        if not derivatives:
            return Rendered(value, none, none, none)
        scaled = (1 + state.response)[:, None] * value
        by_width = scaled * (-2 * np.pi * axis.time * widths[:, None])
        return Rendered(value, scaled * (axis.turn * frequency), by_width, none)


@dataclass(frozen=True, eq=False)
class Spins:
    """A spin system, simulated anew for every value of its shifts and couplings. Make it with `spins_of`.

    Attributes:
        name, identifier: of the library.
        system: the spin system of the library.
        shifts, window: of its groups in ppm, and by how much each may move.
        pairs: groups whose coupling is fitted.
        couplings: theirs, as the library has them.
    """

    name: str
    identifier: str
    system: SpinSystem
    shifts: Float[np.ndarray, " g"]
    window: Float[np.ndarray, " g"]
    pairs: Int[np.ndarray, "p 2"]
    couplings: Float[np.ndarray, " p"]
    concentrates: bool = True
    standard: bool = False

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the multiplets."""
        return self.system.names

    def start(self) -> CompoundState:
        """Where the library has it, none of it there."""
        return _started(self.shifts, self.couplings)

    def other(self, state: CompoundState, random: np.random.Generator, frequency: float) -> CompoundState:
        """Another start: two neighbors that are coupled change places, or shifts and couplings are drawn."""
        shift = state.shift.copy()
        near = [
            (a, b)
            for (a, b), j in zip(self.pairs, self.couplings, strict=True)
            if j and abs(state.shift[a] - state.shift[b]) < 0.1
        ]
        if near and random.random() < 0.4:
            a, b = near[random.integers(len(near))]
            shift[[a, b]] = shift[[b, a]]
        if random.random() < 0.3:
            shift = self.shifts.copy()
        shift = shift + random.normal(0, 3.0 / frequency, len(shift))
        # Two protons on one saturated carbon have about -14 Hz, whatever a library's fit came out with.
        drawn = np.where(state.coupling < -8, random.normal(-14, 1.0, len(state.coupling)), state.coupling)
        drawn = drawn + random.normal(0, 1.0, len(drawn)) * (np.abs(self.couplings) > 2)
        return CompoundState(
            state.amount,
            np.clip(shift, self.shifts - self.window, self.shifts + self.window),
            np.zeros_like(state.response),
            np.zeros_like(state.width),
            np.clip(drawn, self.couplings - J_MOST, self.couplings + J_MOST),
        )

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


Compound: TypeAlias = Rigid | Spins


def spins_of(compound: Rigid, system: SpinSystem) -> Spins:
    """A compound whose spin system is simulated, in place of one whose multiplets move rigidly."""
    # Libraries leave small couplings out, and now and then one that is not small.
    linked = system.couplings != 0
    if np.prod(system.multiplicity + 1.0) <= _ALL_PAIRS_STATES:
        for members in components(linked):
            linked[np.ix_(members, members)] = True
    pairs = np.argwhere(np.triu(linked, 1))
    couplings = system.couplings[pairs[:, 0], pairs[:, 1]]
    return Spins(compound.name, compound.identifier, system, system.shifts, compound.window, pairs, couplings)
