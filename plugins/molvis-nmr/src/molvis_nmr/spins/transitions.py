"""Lines of a spin system: where they are, how strong, and how both change with shifts and couplings."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, Int

from molvis_core.errors import RecordError
from molvis_nmr.spins.clusters import split
from molvis_nmr.spins.hamiltonian import Blocks, Part, Step, blocks, components, larmor, parts
from molvis_nmr.spins.system import SpinSystem

TOGETHER = 4e-3
"""Lines of a cluster nearer than this, in Hz, are made one where their center is."""

log = logging.getLogger("molvis")

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
class Task:
    """A part to diagonalize, and whose magnetization to detect.

    Attributes:
        part: with the labels of a cluster in place of nuclei, where it is of a cluster.
        observed: nucleus or label.
        weak: J over the difference in frequency where a coupling has lost its flip-flop, "g g" of the system.
        targets: groups to detect; None for all.
    """

    part: Part
    observed: str
    weak: Float[np.ndarray, "g g"] | None = None
    targets: tuple[int, ...] | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Flips:
    """I+ between the eigenstates of two blocks; rows are those of the higher one.

    Attributes:
        groups: the groups of the system it is given for.
        each: of each of them. The first ones flip themselves, those that follow only lend intensity.
        detected: of what is detected, together.
        own: how many flip themselves.
    """

    groups: Int[np.ndarray, " o"]
    each: Float[np.ndarray, "o n m"]
    detected: Float[np.ndarray, "n m"]
    own: int


@dataclass(frozen=True, eq=False, slots=True)
class Solved:
    """A diagonalized part."""

    task: Task
    blocks: Blocks
    pair_index: Int[np.ndarray, "p 2"]
    levels: list[Float[np.ndarray, " _"]]
    vectors: list[Float[np.ndarray, "_ _"]]

    def flips(self, step: Step) -> Flips:
        """I+ from one block to the next."""
        at = np.array(self.task.part.groups)
        seen = self.blocks.seen
        high = self.vectors[step.high][step.rows].transpose(0, 2, 1)
        low = self.vectors[step.low][step.columns]
        weak, targets = self.task.weak, self.task.targets
        if weak is None or targets is None:
            each = high @ (low if step.ones else low * step.amplitude[:, :, None])
            return Flips(at[seen], each, each.sum(axis=0), len(seen))
        # Where a weak coupling is turned away, I+ becomes I+ (1 - J / difference Iz of the other), and what is started
        # at the other appears here with the same factor: the roofs of multiplets. Second order keeps their sum.
        others = np.delete(np.arange(len(at)), seen)
        iz = self.blocks.iz[self.blocks.starts[step.low] :][step.columns]
        own, iz = np.take_along_axis(iz, seen[:, None, None], axis=2), iz[:, :, others]
        ratio = weak[at[seen]][:, None, at[others]]
        spin = np.array(self.task.part.doubles)[others] / 2
        second = (ratio**2 * (spin * (spin + 1) - iz**2 - iz + 2 * (own + 1) * iz)).sum(axis=2) / 4
        each = high @ (low * (step.amplitude * (1 - second))[:, :, None])
        lent = step.amplitude[:, :, None] * iz * -ratio
        lending = np.flatnonzero(np.abs(weak[np.ix_(at[seen], at[others])]).max(axis=0, initial=0) > 1e-5)
        chosen = [i for i, k in enumerate(at[seen].tolist()) if k in targets]
        detected = each[chosen].sum(axis=0)
        roof = lent[chosen].sum(axis=2)
        detected += (high[chosen] @ (low[chosen] * roof[:, :, None])).sum(axis=0)
        extra = [(high @ (low * lent[:, :, i, None])).sum(axis=0) for i in lending]
        groups = np.append(at[seen], at[others[lending]])
        return Flips(groups, np.concatenate([each, *(e[None] for e in extra)]), detected, len(seen))


def solve(task: Task, frequencies: Float[np.ndarray, " g"], couplings: Float[np.ndarray, "g g"]) -> Solved:
    """Levels and states of a part, from the frequencies and couplings of the system in Hz."""
    part = task.part
    operators = blocks(part.doubles, part.nuclei, task.observed)
    at = np.array(part.groups)
    index = at[operators.pairs]
    j = couplings[index[:, 0], index[:, 1]]
    further = flipping = 0.0
    if task.weak is not None:
        labels = np.array(part.nuclei)
        apart = labels[:, None] != labels
        weak, strength = task.weak[np.ix_(at, at)] * apart, couplings[np.ix_(at, at)] * apart
        spin = np.array(part.doubles) / 2
        rest = spin * (spin + 1) - operators.iz**2
        first, second = operators.pairs.T
        turned = operators.iz[:, first] * rest[:, second] - operators.iz[:, second] * rest[:, first]
        further = turned @ (strength * weak / 2)[first, second]
        # A third group that both of a pair are coupled to weakly makes them flip, one way or the other with its Iz.
        lent = strength[:, first] * weak[:, second] + strength[:, second] * weak[:, first]
        flipping = np.zeros(len(operators.flip_row))
        for k in np.flatnonzero(np.abs(lent).max(axis=1, initial=0) > 0):
            flipping += operators.iz[operators.flip_row, k] * lent[k, operators.flip_pair] / 2
    found = [np.linalg.eigh(h) for h in operators.hamiltonian(frequencies[at], j, further, flipping)]
    return Solved(task, operators, index, [e for e, _ in found], [v for _, v in found])


def _frequencies(system: SpinSystem, frequency: float) -> Float[np.ndarray, " g"]:
    return system.shifts * np.array([larmor(nucleus, frequency) for nucleus in system.nuclei])


def _check(system: SpinSystem, nucleus: str) -> None:
    if nucleus not in system.nuclei:
        present = ", ".join(sorted(set(system.nuclei)))
        raise RecordError(f"the spin system {system.name!r} has no {nucleus}; it has {present}")


def _tasks(
    system: SpinSystem, hertz: Float[np.ndarray, " g"], linked: Bool[np.ndarray, "g g"], nucleus: str, states: int
) -> Iterator[Task]:
    """What to diagonalize: whole components where they are small enough, clusters where they are not."""
    multiplicity = system.multiplicity.tolist()
    for members in components(linked):
        at = np.array(members)
        if np.prod(system.multiplicity[at] + 1.0) <= states:
            yield from (
                Task(part, nucleus)
                for part in _placed(at, system.multiplicity[at], [system.nuclei[k] for k in members], linked, nucleus)
            )
            continue
        clusters = split(hertz, system.couplings, multiplicity, system.nuclei, members, nucleus, (states / 7) ** 3)
        log.info(
            "%s: %d spins of %d groups are simulated in %d clusters; what is left out moves lines by %.1g Hz at most",
            system.name, sum(multiplicity[k] for k in members), len(members), len(clusters),
            max(cluster.error for cluster in clusters),
        )  # fmt: skip
        gap = hertz[:, None] - hertz[None, :]
        ratio = np.where(gap != 0, system.couplings / np.where(gap != 0, gap, 1), 0)
        same = np.array([[a == b for b in system.nuclei] for a in system.nuclei])
        for cluster in clusters:
            label = cluster.labels[cluster.groups.index(cluster.targets[0])]
            inside = np.array(cluster.groups)
            for part in _placed(inside, system.multiplicity[inside], cluster.labels, linked, label):
                if set(part.groups) & set(cluster.targets):
                    yield Task(part, label, ratio * same, cluster.targets)


def _placed(
    at: Int[np.ndarray, " k"],
    multiplicity: Int[np.ndarray, " k"],
    nuclei: Sequence[str],
    linked: Bool[np.ndarray, "g g"],
    observed: str,
) -> Iterator[Part]:
    for part in parts(multiplicity.tolist(), nuclei, linked[np.ix_(at, at)], observed):
        yield replace(part, groups=tuple(at[list(part.groups)].tolist()))


def merged(system: SpinSystem) -> tuple[SpinSystem, Int[np.ndarray, " g"]]:
    """The system with magnetically equivalent groups made one, and which of its groups each one became part of.

    Groups are taken as one that have the same nucleus, shift, width, intensity and couplings to all others.
    """
    into = np.arange(len(system))
    same = np.abs(system.shifts[:, None] - system.shifts) < 1e-12
    for values in (system.widths, system.intensities):
        same &= values[:, None] == values
    for k, m in np.argwhere(np.triu(same, 1)).tolist():
        if into[k] == k and into[m] == m and system.nuclei[k] == system.nuclei[m]:
            away = np.abs(system.couplings[k] - system.couplings[m])
            away[[k, m]] = 0
            if away.max() < 1e-12:
                into[m] = k
    kept, place = np.unique(into, return_inverse=True)
    if len(kept) == len(system):
        return system, place
    return replace(
        system,
        names=tuple(system.names[k] for k in kept),
        shifts=system.shifts[kept],
        couplings=system.couplings[np.ix_(kept, kept)],
        multiplicity=np.bincount(place, weights=system.multiplicity).astype(np.int64),
        nuclei=tuple(system.nuclei[k] for k in kept),
        widths=system.widths[kept],
        intensities=system.intensities[kept],
    ), place


def lines(
    system: SpinSystem, frequency: float, *, nucleus: str = "1H", threshold: float = 1e-6, states: int = 4096
) -> Lines:
    """All lines of one nucleus, with full strong coupling.

    Args:
        system: groups of spins.
        frequency: of 1H in the same field, in MHz.
        nucleus: whose lines.
        threshold: lines weaker than this share of a spin's squared flip are left out.
        states: coupled groups with more of them are simulated in overlapping clusters (see
            `molvis_nmr.spins.clusters`); what that may leave out goes to the log.

    Raises:
        RecordError: the system has no such nucleus, or a nucleus is not known.
    """
    _check(system, nucleus)
    whole, place = merged(system)
    size = len(whole)
    hertz = _frequencies(whole, frequency)
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    with one_thread():
        for task in _tasks(whole, hertz, whole.couplings != 0, nucleus, states):
            solved = solve(task, hertz, whole.couplings)
            rows: list[tuple[np.ndarray, ...]] = []
            for step in solved.blocks.steps:
                flips = solved.flips(step)
                rows.append(_gather(solved, step, flips, _significant(flips, threshold)))
            found.append(_spread(_joined(rows, together=task.targets is not None), size))
    position, weight, share = (np.concatenate(column) for column in zip(*found, strict=True))
    if size < len(system):
        part = system.multiplicity / whole.multiplicity[place]
        weight, share = weight[:, place] * part, share[:, place] * part
    return Lines(position, weight, share)


def distinct(found: Lines, apart: float = 1e-6) -> Lines:
    """Lines in ascending order, those at one place as one: how equal levels share their intensity is for rounding.

    Args:
        found: as `lines` gives them.
        apart: what is nearer, in Hz, is at one place.
    """
    order = np.argsort(found.position, kind="stable")
    position, weight, share = found.position[order], found.weight[order], found.share[order]
    starts = np.append(0, np.flatnonzero(np.diff(position) > apart) + 1)
    height = np.maximum(np.abs(weight).sum(axis=1), 1e-300)
    total = np.add.reduceat(height, starts)
    return Lines(
        np.add.reduceat(position * height, starts) / total,
        np.add.reduceat(weight, starts),
        np.add.reduceat(share * height[:, None], starts) / total[:, None],
    )


def _significant(flips: Flips, threshold: float) -> Int[np.ndarray, " l"]:
    return np.flatnonzero(np.abs(flips.detected) * np.abs(flips.each).max(axis=0) > threshold)


def _gather(
    solved: Solved, step: Step, flips: Flips, chosen: Int[np.ndarray, " l"]
) -> tuple[Float[np.ndarray, " l"], Float[np.ndarray, "o l"], Float[np.ndarray, "s l"], Int[np.ndarray, " o"]]:
    """Positions, weights and shares, of the groups that have any, and which groups these are."""
    high, low = np.divmod(chosen, flips.detected.shape[1])
    some = flips.each.reshape(len(flips.groups), -1)[:, chosen]
    share = some[: flips.own] ** 2
    share /= share.sum(axis=0)
    some *= solved.task.part.factor * flips.detected.ravel()[chosen]
    return solved.levels[step.high][high] - solved.levels[step.low][low], some, share, flips.groups


def _joined(
    rows: Sequence[tuple[np.ndarray, ...]], *, together: bool
) -> tuple[Float[np.ndarray, " l"], Float[np.ndarray, "o l"], Float[np.ndarray, "s l"], Int[np.ndarray, " o"]]:
    """The lines of one task; `together`, near ones as one."""
    position, weight, share = (np.concatenate(column, axis=-1) for column in list(zip(*rows, strict=True))[:3])
    groups = rows[0][3]
    if not together or len(position) == 0:
        return position, weight, share, groups
    order = np.argsort(position, kind="stable")
    position, weight, share = position[order], weight[:, order], share[:, order]
    starts = np.append(0, np.flatnonzero(np.diff(np.floor(position / TOGETHER))) + 1)
    height = np.abs(weight).sum(axis=0)
    total = np.add.reduceat(height, starts)
    return (
        np.add.reduceat(position * height, starts) / total,
        np.add.reduceat(weight, starts, axis=1),
        np.add.reduceat(share * height, starts, axis=1) / total,
        groups,
    )


def _spread(
    columns: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], size: int
) -> tuple[Float[np.ndarray, " l"], Float[np.ndarray, "l g"], Float[np.ndarray, "l g"]]:
    """Weights and shares of all groups of the system, from those that have any."""
    position, some, part, groups = columns
    if len(part) == size and (np.diff(groups) > 0).all():
        return position, some.T, part.T
    weight, share = np.zeros((2, len(position), size))
    weight[:, groups] = some.T
    share[:, groups[: len(part)]] = part.T
    return position, weight, share


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

    Positions follow Hellmann and Feynman. Signals follow from perturbation theory, with dE / (dE^2 + e^2), e = 1e-3 Hz,
    in place of 1 / dE: levels that cross give a finite answer.

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
    _check(system, nucleus)
    size = len(system)
    if pairs is None:
        wanted = np.argwhere(np.triu(system.couplings) != 0)
    else:
        wanted = np.sort(np.array(pairs, dtype=np.int64).reshape(-1, 2), axis=1)
    if len(wanted) and (wanted.min() < 0 or wanted.max() >= size or (wanted[:, 0] == wanted[:, 1]).any()):
        raise RecordError(f"pairs holds what are no two of the {size} groups: {pairs}")
    if intensities is not None:
        system = replace(system, intensities=intensities)
    # Of equivalent groups, which turn into each other, a line has no derivatives of its own; of all together it has.
    whole, place = merged(system)
    inner = np.sort(place[wanted], axis=1)
    apart = inner[:, 0] != inner[:, 1]
    unique, back = np.unique(inner[apart], axis=0, return_inverse=True)
    found, by_position, by_signal = _derived(whole, frequency, nucleus, threshold, unique, states)
    part = system.multiplicity / whole.multiplicity[place]
    scale = np.array([larmor(n, frequency) for n in system.nuclei])
    columns = np.concatenate([place, np.full(len(wanted), -1)])
    columns[size:][apart] = len(whole) + back.ravel()
    factor = np.concatenate([part * scale, np.where(apart, part[wanted[:, 0]] * part[wanted[:, 1]], 0)])
    shown = Lines(found.position, found.weight[:, place] * part, found.share[:, place] * part)
    return LineDerivatives(shown, wanted, by_position[:, columns] * factor, by_signal[:, columns] * factor)


def _derived(
    system: SpinSystem, frequency: float, nucleus: str, threshold: float, wanted: Int[np.ndarray, "p 2"], states: int
) -> tuple[Lines, Float[np.ndarray, "l q"], Float[np.ndarray, "l q"]]:
    """Lines, and the derivatives of their positions and signals by the groups' frequencies and by some couplings."""
    size = len(system)
    hertz = _frequencies(system, frequency)
    linked = system.couplings != 0
    linked[wanted[:, 0], wanted[:, 1]] = linked[wanted[:, 1], wanted[:, 0]] = True
    column = np.full((size, size), -1)
    column[wanted[:, 0], wanted[:, 1]] = size + np.arange(len(wanted))
    found: list[tuple[np.ndarray, ...]] = []
    with one_thread():
        for task in _tasks(system, hertz, linked, nucleus, states):
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
                chosen = _significant(flips, threshold)
                high, low = np.divmod(chosen, flips.detected.shape[1])
                position, signal = np.zeros((2, len(chosen), size + len(wanted)))
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
                found.append((*_spread(_gather(solved, step, flips, chosen), size), position, signal))
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
