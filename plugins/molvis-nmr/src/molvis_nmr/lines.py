"""Lines of a spin system: where they are, how strong, and how both change with shifts and couplings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from molvis.errors import RecordError
from molvis_nmr.hamiltonian import Blocks, Part, Step, blocks, larmor, parts
from molvis_nmr.system import SpinSystem

NEAR = 1e-3
"""Levels nearer than this, in Hz, mix as if they were this far apart: e of dE / (dE^2 + e^2)."""


@dataclass(frozen=True, eq=False, slots=True)
class Lines:
    """Lines of one nucleus.

    Attributes:
        position: in Hz from 0 ppm of that nucleus.
        weight: intensity by the group whose magnetization it comes from: the signal of a line is `weight @ r`. The
            lines of a group add up to its number of spins.
        share: the parts that the groups have in the spin flip; rows add up to 1, and `share @ widths` is the width.
    """

    position: Float[np.ndarray, " l"]
    weight: Float[np.ndarray, "l g"]
    share: Float[np.ndarray, "l g"]

    def __len__(self) -> int:
        return len(self.position)


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


@lru_cache(maxsize=1)
def _threads() -> object:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def one_thread() -> AbstractContextManager[object]:
    """Within it, linear algebra keeps to one thread: on matrices this small, more of them wait for each other."""
    return _threads().limit(limits=1, user_api="blas")  # pyright: ignore[reportAttributeAccessIssue]


@dataclass(frozen=True, eq=False, slots=True)
class Solved:
    """A diagonalized part."""

    part: Part
    blocks: Blocks
    pair_index: Int[np.ndarray, "p 2"]
    levels: list[Float[np.ndarray, " n"]]
    vectors: list[Float[np.ndarray, "n n"]]

    def flips(self, step: Step) -> Float[np.ndarray, "o n m"]:
        """I+ of each observed group between the eigenstates of two blocks; rows are those of the higher one."""
        high = self.vectors[step.high][step.rows] * step.amplitude[:, :, None]
        low = self.vectors[step.low][step.columns]
        return high.transpose(0, 2, 1) @ low


def solve(
    part: Part, observed: str, frequencies: Float[np.ndarray, " g"], couplings: Float[np.ndarray, "g g"]
) -> Solved:
    """Levels and states of a part, from the frequencies and couplings of the system in Hz."""
    operators = blocks(part.doubles, part.nuclei, observed)
    at = np.array(part.groups)
    index = at[operators.pairs]
    found = [np.linalg.eigh(h) for h in operators.hamiltonian(frequencies[at], couplings[index[:, 0], index[:, 1]])]
    return Solved(part, operators, index, [e for e, _ in found], [v for _, v in found])


def _frequencies(system: SpinSystem, frequency: float) -> Float[np.ndarray, " g"]:
    return system.shifts * np.array([larmor(nucleus, frequency) for nucleus in system.nuclei])


def _check(system: SpinSystem, nucleus: str) -> None:
    if nucleus not in system.nuclei:
        present = ", ".join(sorted(set(system.nuclei)))
        raise RecordError(f"the spin system {system.name!r} has no {nucleus}; it has {present}")


def _significant(flips: Float[np.ndarray, "o n m"], threshold: float) -> tuple[Int[np.ndarray, " l"], np.ndarray]:
    total = flips.sum(axis=0)
    height = np.abs(total) * np.abs(flips).max(axis=0)
    return np.flatnonzero(height > threshold), total


def lines(system: SpinSystem, frequency: float, *, nucleus: str = "1H", threshold: float = 1e-6) -> Lines:
    """All lines of one nucleus, with full strong coupling.

    Args:
        system: groups of spins.
        frequency: of 1H in the same field, in MHz.
        nucleus: whose lines.
        threshold: lines weaker than this share of a spin's squared flip are left out.

    Raises:
        RecordError: the system has no such nucleus, or a nucleus is not known.
    """
    _check(system, nucleus)
    size = len(system)
    hertz = _frequencies(system, frequency)
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    with one_thread():
        for part in parts(system.multiplicity.tolist(), system.nuclei, system.couplings != 0, nucleus):
            solved = solve(part, nucleus, hertz, system.couplings)
            for step in solved.blocks.steps:
                flips = solved.flips(step)
                chosen, total = _significant(flips, threshold)
                found.append(_gather(solved, step, flips, total, chosen, size))
    position, weight, share = (np.concatenate(column) for column in zip(*found, strict=True))
    return Lines(position, weight, share)


def _gather(
    solved: Solved,
    step: Step,
    flips: Float[np.ndarray, "o n m"],
    total: Float[np.ndarray, "n m"],
    chosen: Int[np.ndarray, " l"],
    size: int,
) -> tuple[Float[np.ndarray, " l"], Float[np.ndarray, "l s"], Float[np.ndarray, "l s"]]:
    at = np.array(solved.part.groups)[solved.blocks.seen]
    high, low = np.divmod(chosen, total.shape[1])
    some = flips.reshape(len(at), -1)[:, chosen].T
    weight, share = np.zeros((2, len(chosen), size))
    weight[:, at] = solved.part.factor * total.ravel()[chosen, None] * some
    square = some * some
    share[:, at] = square / square.sum(axis=1, keepdims=True)
    return solved.levels[step.high][high] - solved.levels[step.low][low], weight, share


def lines_and_derivatives(
    system: SpinSystem,
    frequency: float,
    *,
    nucleus: str = "1H",
    threshold: float = 1e-6,
    pairs: Sequence[tuple[int, int]] | None = None,
    intensities: Float[np.ndarray, " g"] | None = None,
) -> LineDerivatives:
    """Lines, and their derivatives by shifts and couplings.

    Positions follow Hellmann and Feynman. Signals follow from perturbation theory, with dE / (dE^2 + e^2), e = 1e-3 Hz,
    in place of 1 / dE: levels that cross give a finite answer.

    Args:
        system: groups of spins.
        frequency: of 1H in the same field, in MHz.
        nucleus: whose lines.
        threshold: lines weaker than this share of a spin's squared flip are left out.
        pairs: groups whose coupling to derive by, also where it is 0; without them, all that are not 0.
        intensities: r, of which `signal` is the derivative at; those of the system if not given.

    Raises:
        RecordError: the system has no such nucleus, or a nucleus is not known, or a pair is no pair of its groups.
    """
    _check(system, nucleus)
    size = len(system)
    hertz = _frequencies(system, frequency)
    scale = np.array([larmor(n, frequency) for n in system.nuclei])
    if pairs is None:
        wanted = np.argwhere(np.triu(system.couplings) != 0)
    else:
        wanted = np.sort(np.array(pairs, dtype=np.int64).reshape(-1, 2), axis=1)
    if len(wanted) and (wanted.min() < 0 or wanted.max() >= size or (wanted[:, 0] == wanted[:, 1]).any()):
        raise RecordError(f"pairs holds what are no two of the {size} groups: {pairs}")
    linked = system.couplings != 0
    linked[wanted[:, 0], wanted[:, 1]] = linked[wanted[:, 1], wanted[:, 0]] = True
    r = system.intensities if intensities is None else intensities
    column = np.full((size, size), -1)
    column[wanted[:, 0], wanted[:, 1]] = size + np.arange(len(wanted))
    found: list[tuple[np.ndarray, ...]] = []
    width = size + len(wanted)
    with one_thread():
        for part in parts(system.multiplicity.tolist(), system.nuclei, linked, nucleus):
            solved = solve(part, nucleus, hertz, system.couplings)
            at = np.array(part.groups)
            seen_r = r[at[solved.blocks.seen]]
            index = column[solved.pair_index[:, 0], solved.pair_index[:, 1]]
            places = np.append(at, index[index >= 0])
            known: dict[int, tuple[np.ndarray, np.ndarray]] = {}
            for step in solved.blocks.steps:
                for block in (step.low, step.high):
                    if block not in known:
                        known[block] = _perturbed(solved, block, np.flatnonzero(index >= 0))
                flips = solved.flips(step)
                chosen, total = _significant(flips, threshold)
                rows = _gather(solved, step, flips, total, chosen, size)
                high, low = np.divmod(chosen, total.shape[1])
                (rise_low, turn_low), (rise_high, turn_high) = known.pop(step.low), known[step.high]
                position, signal = np.zeros((2, len(chosen), width))
                position[:, places] = (rise_high[:, high] - rise_low[:, low]).T
                by_r = np.tensordot(seen_r, flips, axes=1)
                alike = bool(np.ptp(seen_r) == 0)
                for some in _portions(len(places), total.size):
                    change = _changed(total, turn_high[some], turn_low[some], chosen)
                    product = change * by_r.ravel()[chosen]
                    product += (
                        product
                        if alike
                        else _changed(by_r, turn_high[some], turn_low[some], chosen) * total.ravel()[chosen]
                    )
                    signal[:, places[some]] = part.factor * product.T
                found.append((*rows, position, signal))
    position, weight, share, by_position, by_signal = (np.concatenate(c) for c in zip(*found, strict=True))
    by_position[:, :size] *= scale
    by_signal[:, :size] *= scale
    return LineDerivatives(Lines(position, weight, share), wanted, by_position, by_signal)


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
