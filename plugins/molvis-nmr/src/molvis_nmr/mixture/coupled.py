"""Multiplets of strongly coupled spins, simulated anew where their shifts have moved.

How two coupled spins share their intensity, and where their lines are, depends on how far apart they resonate. A
multiplet therefore keeps its shape only while its spins move together: where they do not, the system is simulated again
with the shifts that it has in the sample. Beside the lines themselves the fit is given by how much they change with
each shift, as a difference of two line lists, which is made anew only after a way of half a hertz.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from molvis_nmr.mixture.compounds import Compound, Multiplet, State
from molvis_nmr.mixture.shapes import binned
from molvis_nmr.spins.hamiltonian import components
from molvis_nmr.spins.system import SpinSystem
from molvis_nmr.spins.transitions import Lines, lines

_STRONG = 0.08  # couplings larger than this share of the distance between two shifts show in intensities
_STATES = 600  # of the largest coupled part that is simulated again and again
_STILL = 0.02  # Hz of movement that no shape shows
_FAR = 0.5  # Hz after which derivatives are made anew
_STEP = 0.05  # Hz of the differences that derivatives are; 0.3 was wrong by up to half of the largest derivative


def flexible(system: SpinSystem, frequency: float) -> bool:
    """Whether multiplets change their shape where shifts move, and are small enough to be simulated again."""
    apart = np.abs(system.shifts[:, None] - system.shifts) * frequency
    strong = (np.abs(system.couplings) > _STRONG * apart) & (apart > 0)
    if not strong.any():
        return False
    sizes = [float(np.prod(system.multiplicity[list(part)] + 1.0)) for part in components(system.couplings != 0)]
    return max(sizes) <= _STATES


def movers_of(system: SpinSystem, members: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Groups of a multiplet by shift: those with one shift move as one."""
    found: list[list[int]] = []
    for g in sorted(members, key=lambda g: system.shifts[g]):
        if found and system.shifts[g] - system.shifts[found[-1][0]] < 5e-4:
            found[-1].append(g)
        else:
            found.append([g])
    return tuple(tuple(run) for run in found)


def lines_of(found: Lines, members: Sequence[int]) -> tuple[Float[np.ndarray, " l"], Float[np.ndarray, " l"]]:
    """Lines of some groups of a system: their places in Hz and their areas."""
    weight = found.weight[:, list(members)].sum(axis=1)
    some = np.abs(weight) > 1e-5
    return binned(found.position[some], weight[some])


def settle(compound: Compound, state: State, frequency: float) -> None:
    """Give a state's multiplets the shape that they have where its spins are, in place."""
    if compound.system is None:
        return
    off, mean = _displaced(compound, state)
    if state.multiplets and np.abs(off - state.at).max() < _STILL:
        return
    if not state.multiplets and np.abs(off).max() < _STILL:
        state.multiplets, state.at = compound.multiplets, np.zeros_like(off)
        return
    before = state.multiplets or compound.multiplets
    found = lines(_shifted(compound.system, off, frequency), frequency, threshold=1e-5)
    state.multiplets = tuple(
        replace(m, position=position - (m.center + float(moved) - mean), weight=weight)
        for m, moved in zip(before, state.moved, strict=True)
        for position, weight in [lines_of(found, m.groups)]
    )
    state.at = off


def derive(compound: Compound, state: State, frequency: float) -> None:
    """Give a state's multiplets their changes by the shifts within them, in place, where those are too old."""
    if compound.system is None or not any(m.movers for m in compound.multiplets):
        return
    settle(compound, state, frequency)
    if len(state.derived) and np.abs(state.at - state.derived).max() < _FAR:
        return
    _, mean = _displaced(compound, state)
    made: list[Multiplet] = []
    for m, moved in zip(state.multiplets, state.moved, strict=True):
        turns: list[tuple[np.ndarray, np.ndarray]] = []
        for mover in m.movers:
            off = state.at.copy()
            off[list(mover)] += _STEP
            found = lines(_shifted(compound.system, off, frequency), frequency, threshold=1e-5)
            position, weight = lines_of(found, m.groups)
            position = position - (m.center + float(moved) - mean)
            turns.append((np.concatenate([position, m.position]), np.concatenate([weight, -m.weight]) / _STEP))
        made.append(replace(m, turns=tuple(turns)))
    state.multiplets, state.derived = tuple(made), state.at


def _displaced(compound: Compound, state: State) -> tuple[Float[np.ndarray, " g"], float]:
    """By how much each group has moved against the mean of all, and that mean, in Hz."""
    assert compound.system is not None
    off = np.full(len(compound.system), np.nan)
    for m, moved, inner in zip(compound.multiplets, state.moved, state.inner, strict=True):
        off[list(m.groups)] = moved
        for mover, further in zip(m.movers, inner, strict=True):
            off[list(mover)] += further
    mean = float(np.nanmean(off))
    return np.where(np.isnan(off), 0.0, off - mean), mean


def _shifted(system: SpinSystem, off: Float[np.ndarray, " g"], frequency: float) -> SpinSystem:
    return replace(system, shifts=system.shifts + off / frequency)
