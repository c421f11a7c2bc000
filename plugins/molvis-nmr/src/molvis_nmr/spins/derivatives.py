"""Derivatives of transitions by shifts and couplings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from molvis_core.errors import RecordError
from molvis_files.threads import one_thread
from molvis_nmr.spins.eigenstates import Solved, solve, tasks
from molvis_nmr.spins.hamiltonian import larmor
from molvis_nmr.spins.system import SpinSystem
from molvis_nmr.spins.transitions import (
    Lines,
    check_nucleus,
    gather,
    merged,
    resonances,
    significant,
    spread_groups,
)

NEAR = 1e-3
"""Levels nearer than this, in Hz, mix as if they were this far apart: e of dE / (dE^2 + e^2)."""


@dataclass(frozen=True, eq=False, slots=True)
class LineDerivatives:
    """Lines, and their derivatives by the q = g + p parameters: shifts of all groups, then couplings of `pairs`.

    Attributes:
        lines: the lines.
        pairs: couplings that were derived by, as pairs of groups.
        position: in Hz per ppm, and in Hz per Hz.
        signal: of `weight @ r`, r being what was asked for.
    """

    lines: Lines
    pairs: Int[np.ndarray, "p 2"]
    position: Float[np.ndarray, "l q"]
    signal: Float[np.ndarray, "l q"]


def lines_and_derivatives(
    system: SpinSystem,
    frequency: float,
    *,
    nucleus: str = "1H",
    threshold: float = 1e-6,
    pairs: Sequence[tuple[int, int]] | None = None,
    intensities: Float[np.ndarray, " g"] | None = None,
    states: int = 4096,
) -> LineDerivatives:
    """Lines, and their derivatives by shifts and couplings.

    Positions are differences of levels, whose derivatives are dE/dp = <a| dH/dp |a> (Hellmann and Feynman). Signals
    follow from perturbation theory of first order, |a>' = sum_b |b> <b| dH/dp |a> / (E_a - E_b), with
    dE / (dE^2 + e^2), e = 1e-3 Hz, in place of 1 / dE: levels that cross have a finite derivative.

    Args:
        system: groups of spins.
        frequency: of 1H in the same field, in MHz.
        nucleus: whose lines.
        threshold: lines weaker than this share of a spin's squared flip are left out.
        pairs: groups whose coupling to derive by, also where it is 0; without them, all that are not 0.
        intensities: r, of which `signal` is the derivative at; those of the system if not given.
        states: coupled groups with more of them are simulated in clusters, whose derivatives these are.

    Raises:
        RecordError: the system has no such nucleus, or a nucleus is not known, or a pair is no pair of its groups.
    """
    check_nucleus(system, nucleus)
    size = len(system)
    if pairs is None:
        requested = np.argwhere(np.triu(system.couplings) != 0)
    else:
        requested = np.sort(np.array(pairs, dtype=np.int64).reshape(-1, 2), axis=1)
    one, other = requested.T
    if len(requested) and (requested.min() < 0 or requested.max() >= size or (one == other).any()):
        raise RecordError(f"each of pairs must be two different groups of the {size}, got {pairs}")
    if intensities is not None:
        system = replace(system, intensities=intensities)
    # Of equivalent groups, which turn into each other, a line has no derivatives of its own; of all together it has.
    whole, place = merged(system)
    inner = np.sort(place[requested], axis=1)
    apart = inner[:, 0] != inner[:, 1]
    unique, back = np.unique(inner[apart], axis=0, return_inverse=True)
    found, by_position, by_signal = _derived(whole, frequency, nucleus, threshold, unique, states)
    part = system.multiplicity / whole.multiplicity[place]
    scale = np.array([larmor(n, frequency) for n in system.nuclei])
    columns = np.concatenate([place, np.full(len(requested), -1)])
    columns[size:][apart] = len(whole) + back.ravel()
    factor = np.concatenate([part * scale, np.where(apart, part[requested[:, 0]] * part[requested[:, 1]], 0)])
    shown = Lines(found.position, found.weight[:, place] * part, found.share[:, place] * part)
    return LineDerivatives(shown, requested, by_position[:, columns] * factor, by_signal[:, columns] * factor)


def _derived(
    system: SpinSystem, frequency: float, nucleus: str, threshold: float, requested: Int[np.ndarray, "p 2"], states: int
) -> tuple[Lines, Float[np.ndarray, "l q"], Float[np.ndarray, "l q"]]:
    """Lines, and the derivatives of their positions and signals by the groups' frequencies and by some couplings."""
    size = len(system)
    hertz = resonances(system, frequency)
    linked = system.couplings != 0
    linked[requested[:, 0], requested[:, 1]] = linked[requested[:, 1], requested[:, 0]] = True
    column = np.full((size, size), -1)
    column[requested[:, 0], requested[:, 1]] = size + np.arange(len(requested))
    found: list[tuple[np.ndarray, ...]] = []
    with one_thread():
        for task in tasks(system, hertz, linked, nucleus, states):
            solved = solve(task, hertz, system.couplings)
            at = np.array(task.part.groups)
            index = column[solved.pair_index[:, 0], solved.pair_index[:, 1]]
            places = np.append(at, index[index >= 0])
            known: dict[int, tuple[np.ndarray, np.ndarray]] = {}
            for step in solved.blocks.steps:
                for block in (step.low, step.high):
                    if block not in known:
                        known[block] = _perturbed(solved, block, np.flatnonzero(index >= 0))
                (rise_low, turn_low), (rise_high, turn_high) = known.pop(step.low), known[step.high]
                flips = solved.flips(step)
                chosen = significant(flips, threshold)
                high, low = np.divmod(chosen, flips.detected.shape[1])
                position, signal = np.zeros((2, len(chosen), size + len(requested)))
                position[:, places] = (rise_high[:, high] - rise_low[:, low]).T
                r = system.intensities[flips.groups]
                started = np.tensordot(r, flips.each, axes=1)
                alike = task.targets is None and np.ptp(r) == 0
                for some in _portions(len(places), started.size):
                    turns = turn_high[some], turn_low[some], chosen
                    product = _changed(flips.detected, *turns) * started.ravel()[chosen]
                    if alike:
                        product *= 2
                    else:
                        product += _changed(started, *turns) * flips.detected.ravel()[chosen]
                    signal[:, places[some]] = task.part.factor * product.T
                found.append((*spread_groups(gather(solved, step, flips, chosen), size), position, signal))
    position, weight, share, by_position, by_signal = (np.concatenate(c) for c in zip(*found, strict=True))
    return Lines(position, weight, share), by_position, by_signal


def _portions(count: int, size: int) -> Iterator[slice]:
    """Parameters to take at once, so that small matrices go together and large ones stay in the cache."""
    several = max(1, 65536 // max(size, 1))
    yield from (slice(i, i + several) for i in range(0, count, several))


def _changed(
    flips: Float[np.ndarray, "n m"],
    high: Float[np.ndarray, "q n n"],
    low: Float[np.ndarray, "q m m"],
    chosen: Int[np.ndarray, " l"],
) -> Float[np.ndarray, "q l"]:
    """Derivatives of flips where states turn; a turn is antisymmetric, and its transpose the turn back."""
    change = flips @ low
    change -= high @ flips
    return change.reshape(len(low), -1)[:, chosen]


def _perturbed(
    solved: Solved, block: int, pairs: Int[np.ndarray, " p"]
) -> tuple[Float[np.ndarray, "q n"], Float[np.ndarray, "q n n"]]:
    """Derivatives of the levels of a block, and how its states turn: d|a> = sum_c |c> turn[c, a]."""
    operators = solved.blocks
    vectors, levels = solved.vectors[block], solved.levels[block]
    start, size = int(operators.starts[block]), int(operators.sizes[block])
    rows = slice(start, start + size)
    groups = operators.iz.shape[1]
    applied = np.empty((groups + len(pairs), size, size))  # each derivative of H on each state
    applied[:groups] = operators.iz[rows].T[:, :, None] * vectors
    applied[groups:] = operators.zz[rows][:, pairs].T[:, :, None] * vectors
    number = np.full(len(operators.pairs), -1)
    number[pairs] = groups + np.arange(len(pairs))
    first, last = np.searchsorted(operators.flip_block, [block, block + 1])
    some = np.arange(first, last)[number[operators.flip_pair[first:last]] >= 0]
    q = number[operators.flip_pair[some]]
    row, column = operators.flip_row[some] - start, operators.flip_column[some] - start
    value = operators.flip_value[some, None]
    # Within one pair a state flips to one other state with k up, and to one with k down: no index repeats.
    applied[q, row] += value * vectors[column]
    applied[q, column] += value * vectors[row]
    mixed = vectors.T @ applied
    gap = levels[None, :] - levels[:, None]
    return np.einsum("qaa->qa", mixed).copy(), mixed * (gap / (gap * gap + NEAR * NEAR))


def parameters(system: SpinSystem) -> Iterator[str]:
    """Names of what `lines_and_derivatives` derives by: `shift/H3`, ..., `coupling/H3-H4`, ..."""
    yield from (f"shift/{name}" for name in system.names)
    for k, m in np.argwhere(np.triu(system.couplings) != 0).tolist():
        yield f"coupling/{system.names[k]}-{system.names[m]}"
