"""Steps that lead from one optimum to another: labels or couplings that change places, couplings that share a sum.

A multiplet shows the sum of a spin's couplings far better than each of them, so that the other optima of a spin system
are mostly those in which two couplings of a spin, or two spins, have changed places, or in which one coupling has
taken what another lacks.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from molvis_core.ties import ascending
from molvis_nmr.fitting.lorentzians import Window
from molvis_nmr.fitting.noise import noise_level
from molvis_nmr.fitting.problem import EQUIVALENT, Problem, Stage
from molvis_nmr.fitting.variable_projection import evaluate

MOVES = 160
"""Most moves that are looked at from one solution."""
SHOWS = 1.0
"""Hz from which on a coupling is one that may take from another or give to it."""
DISPLACED = 0.15
"""Most ppm by which all shifts are moved together."""
AROUND = 0.8
"""ppm around start values in which signal is taken for theirs."""
BROAD = 12.0
"""Hz: signals wider than this are none of the system's lines, but those of protons that exchange."""
NEAR, PARTED = 4.0, 1.3
"""Hz: groups nearer than this may have come too near on the way; they are tried this far to either side of their
middle."""
LOPSIDED = 2.5
"""Ratio of the intensities of two groups of one size from which on one of them lacks its signal."""
GIVEN = (-3.0, -1.5, 1.5, 3.0)
"""Hz that a coupling gives to another of the same spin."""


def displaced(problem: Problem, first: Float[np.ndarray, " k"], width: float) -> Float[np.ndarray, " k"]:
    """All shifts of a spectrum moved together to where lines `width` Hz broader fit best: as by another reference."""
    theta = first.copy()
    for s, m in enumerate(problem.measured):
        every = max(int(width / 4 / m.step), 1)
        data = np.where(m.keep, m.broadened(width), 0.0)[::every]
        axis = Window(float(m.hertz[0]), m.step * every, data, m.keep[::every])
        model = problem.basis(theta, [axis], s, width) @ problem.r_mean[s]
        mask = (model > 0.02 * model.max()).astype(np.float64)
        most = min(int(DISPLACED * m.observed / axis.step), len(data) // 4)
        padded = np.pad(data, most)
        score = np.correlate(padded, model) / np.sqrt(np.maximum(np.correlate(padded**2, mask), 1e-300))
        offset = (int(score.argmax()) - most) * axis.step / m.observed
        if score.max() > 1.02 * score[most]:
            at = problem.at(s, "shift")
            theta[at] += np.where(problem.free[at], offset, 0.0)
    return np.clip(problem.tied(theta, first), problem.low, problem.high)


def transported(problem: Problem, theta: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """Shifts where the signal is: in their order, each group gets the share of the area that its spins make.

    That is the map of least transport between the two distributions, for start values that are off by more than the
    multiplets are wide, as those of a structure are. It takes all signal near the start values for that of the system,
    or only what is sharp, for protons that exchange with water are broad; and the shares are those of the whole, or of
    each range of shifts by itself, where signal of something else spoils but its own. Of these four what is nearest to
    the data with broad lines.
    """
    found: list[Float[np.ndarray, " k"]] = []
    for sharp, apart in itertools.product((False, True), repeat=2):
        new = theta.copy()
        for s in range(len(problem.measured)):
            _transport(problem, theta, new, s, sharp=sharp, apart=apart)
        new = problem.tied(new, theta)
        if not any(np.allclose(new, one, atol=1e-3) for one in found):
            found.append(new)
    return found[0] if len(found) == 1 else min(found, key=lambda new: _apart(problem, new))


def _transport(
    problem: Problem, theta: Float[np.ndarray, " k"], new: Float[np.ndarray, " k"], s: int, *, sharp: bool, apart: bool
) -> None:
    """`transported` of one spectrum, into `new`: of what is sharp alone, and of each range of shifts by itself."""
    m, at, sizes = problem.measured[s], problem.at(s, "shift"), problem.systems[s].multiplicity
    shifts, free = theta[at], problem.free[at]
    ppm, height = m.hertz / m.observed, _signal(problem, s, sharp=sharp)
    values = np.array(sorted({float(shifts[k]) for k in problem.observed}))
    ranges = np.split(values, np.flatnonzero(np.diff(values) > 2 * AROUND) + 1) if apart else [values]
    for some in ranges:
        area = np.cumsum(np.where((ppm > some[0] - AROUND) & (ppm < some[-1] + AROUND), height, 0.0))
        if not area[-1] > 0:
            continue
        spins = [sum(int(sizes[k]) for k in problem.observed if shifts[k] == v) for v in some]
        ends = np.concatenate([[0.0], np.cumsum(spins)]) / sum(spins)
        for value, low, high in zip(some, ends[:-1], ends[1:], strict=True):
            middles = np.interp(np.linspace(low, high, 41)[1::2], area / area[-1], ppm)
            for k in problem.observed:
                if shifts[k] == value and free[k]:
                    new[at.start + k] = middles.mean()


def _signal(problem: Problem, s: int, *, sharp: bool) -> Float[np.ndarray, " t"]:
    """The height of a spectrum where it is above the noise, or what is sharp of it."""
    from scipy.ndimage import grey_opening

    m = problem.measured[s]
    height = np.where(m.keep & (m.data > 4 * noise_level(m.data)), m.data, 0.0)
    if sharp:  # an opening keeps what is broader, and no line
        height = height - grey_opening(height, max(int(BROAD / m.step), 3))
    return height


def _apart(problem: Problem, theta: Float[np.ndarray, " k"]) -> float:
    """How far lines `BROAD` broader are from the data near the start values, intensities being as they were given.

    By the cosine between the two, so that it does not depend on their scale.
    """
    total = 0.0
    for s, m in enumerate(problem.measured):
        every = max(int(BROAD / 4 / m.step), 1)
        some = problem.systems[s].shifts[problem.observed] * m.observed
        reach = AROUND * m.observed
        near = (np.abs(m.hertz[:, None] - some) < reach).any(axis=1) & m.keep
        data = np.where(near, m.broadened(BROAD), 0.0)[::every]
        axis = Window(float(m.hertz[0]), m.step * every, data, near[::every])
        model = np.where(near[::every], problem.basis(theta, [axis], s, BROAD) @ problem.r_mean[s], 0.0)
        size = float(np.linalg.norm(model) * np.linalg.norm(data))
        total -= float(model @ data) / max(size, 1e-300)
    return total


def assigned(
    problem: Problem, theta: Float[np.ndarray, " k"], stage: Stage, most: int
) -> list[Float[np.ndarray, " k"]]:
    """Shifts that change places once or twice, as far as start values may have had them in the wrong order: best first.

    Args:
        problem: what is fitted; its start values say which shifts are near.
        theta: shifts where the signal is, in the order of the start values: `transported`.
        stage: broad enough that it tells multiplets of one order from those of another.
        most: how many.
    """
    at, sizes = problem.at(0, "shift"), problem.systems[0].multiplicity
    shifts, members = problem.mean[at], dict[float, list[int]]()
    for k in problem.observed:
        if problem.free[at][k]:
            members.setdefault(float(shifts[k]), []).append(k)
    near = [
        list(zip(members[a], members[b], strict=True))
        for a, b in itertools.combinations(sorted(members), 2)
        if b - a < AROUND / 2 and sorted(sizes[members[a]]) == sorted(sizes[members[b]])
    ]
    found: list[Float[np.ndarray, " k"]] = []
    for some in itertools.islice([*((one,) for one in near), *itertools.permutations(near, 2)], MOVES):
        new = theta.copy()
        for s, (k, m) in itertools.product(range(len(problem.measured)), itertools.chain(*some)):
            first = problem.at(s, "shift").start
            new[[first + k, first + m]] = new[[first + m, first + k]]
        if not any(np.array_equal(new, one) for one in found):
            found.append(new)
    cost = np.array([evaluate(problem, new, stage).objective for new in found])
    return [found[i] for i in ascending(cost, 1e-3 * EQUIVALENT)[:most]]


def moves(problem: Problem, theta: Float[np.ndarray, " k"], stage: Stage, most: int) -> list[Float[np.ndarray, " k"]]:
    """The `most` of all moves that cost least before anything is fitted again, cheapest last.

    Args:
        problem: what is fitted.
        theta: from where.
        stage: broad enough that lines a few hertz off still overlap.
        most: how many.
    """
    here = evaluate(problem, theta, stage)
    found: list[Float[np.ndarray, " k"]] = []
    # Groups that were parted have yet to find each other's couplings: beside other moves they look bad.
    gathered = _gathered(problem, theta, here.linear)
    for some, count in ((gathered, 1), (_parted(problem, theta), 1), (_all(problem, theta), most)):
        tried = [evaluate(problem, problem.tied(new, theta), stage, here) for new in itertools.islice(some, MOVES)]
        order = ascending(np.array([state.objective for state in tried]), 1e-3 * EQUIVALENT)[:count]
        found += [tried[i].theta for i in order]
    return found[::-1]


def _all(problem: Problem, theta: Float[np.ndarray, " k"]) -> Iterator[Float[np.ndarray, " k"]]:
    for pairs in _exchanges(problem, theta):
        new = theta.copy()
        for i, j in pairs:
            new[[i, j]] = theta[[j, i]]
        yield new
    for i, j in _sharing(problem, theta):
        for given in GIVEN:
            new = theta.copy()
            new[i] -= given * np.sign(theta[i])
            new[j] += given * np.sign(theta[j])
            yield new


def _gathered(
    problem: Problem, theta: Float[np.ndarray, " k"], linear: Sequence[Float[np.ndarray, " _"]]
) -> Iterator[Float[np.ndarray, " k"]]:
    """Two coupled groups of which one has nearly all signal, both there, with their coupling as it was given.

    The inner lines of a strongly coupled pair have nearly all of its intensity: where one group has taken them and the
    other an outer line, no step leads back.
    """
    sizes, r = problem.systems[0].multiplicity, np.maximum(linear[0][: problem.groups], 0.0)
    for i, (k, m) in enumerate(problem.pairs):
        if sizes[k] != sizes[m] or max(r[k], r[m]) < LOPSIDED * min(r[k], r[m]) or abs(problem.mean[i]) < SHOWS:
            continue
        for sign in (1.0, -1.0):
            new = theta.copy()
            new[i] = problem.mean[i]
            for s, one in enumerate(problem.measured):
                first, part = problem.at(s, "shift").start, np.maximum(linear[s][[k, m]], 0.0)
                middle = float(part @ theta[[first + k, first + m]]) / max(float(part.sum()), 1e-300)
                new[first + k], new[first + m] = (
                    middle + sign * PARTED / one.observed,
                    middle - sign * PARTED / one.observed,
                )
            yield new


def _parted(problem: Problem, theta: Float[np.ndarray, " k"]) -> Iterator[Float[np.ndarray, " k"]]:
    """Shifts of groups that are nearly one, farther apart, in either order; of two such pairs in all four.

    Where two protons of one pair couple to those of another, as in ortho-disubstituted rings that are nearly
    symmetric, which goes with which decides; once both have met in the middle no step leads out, and couplings that
    are alike have become unlike: they take their mean.
    """
    place = {frozenset(p): i for i, p in enumerate(problem.pairs)}
    shifts, pairs = theta[problem.at(0, "shift")], near_pairs(problem, theta)
    for some in [*itertools.combinations(pairs, 2), *((pair,) for pair in pairs)]:
        if len({k for pair in some for k in pair}) < 2 * len(some):
            continue
        for signs in itertools.product((1.0, -1.0), repeat=len(some)):
            new = theta.copy()
            for both in _across(*some) if len(some) == 2 else ():
                here = [place[frozenset(p)] for p in both if frozenset(p) in place]
                new[here] = theta[here].mean() if len(here) == 2 else theta[here]
            for sign, (k, m) in zip(signs, some, strict=True):
                middle = 0.5 * (shifts[k] + shifts[m])
                for s, one in enumerate(problem.measured):
                    first = problem.at(s, "shift").start
                    new[first + k] = middle + sign * PARTED / one.observed
                    new[first + m] = middle - sign * PARTED / one.observed
            yield new


def near_pairs(problem: Problem, theta: Float[np.ndarray, " k"]) -> list[tuple[int, int]]:
    """Groups of one size whose shifts are nearly one."""
    at, sizes, hertz = problem.at(0, "shift"), problem.systems[0].multiplicity, problem.measured[0].observed
    shifts, free = theta[at], problem.free[at]
    return [
        (k, m)
        for k, m in itertools.combinations(problem.observed, 2)
        if sizes[k] == sizes[m] and free[k] and free[m] and abs(shifts[k] - shifts[m]) * hertz < NEAR
    ]


def _across(one: tuple[int, int], other: tuple[int, int]) -> tuple[tuple[tuple[int, int], tuple[int, int]], ...]:
    """The pairs whose couplings are alike, by either way in which two pairs go together."""
    (k, m), (a, b) = one, other
    return ((k, a), (m, b)), ((k, b), (m, a))


def _sharing(problem: Problem, theta: Float[np.ndarray, " k"]) -> Iterator[tuple[int, int]]:
    """Places of couplings that share a spin, both large enough to show."""
    large = [i for i in range(len(problem.pairs)) if problem.free[i] and abs(theta[i]) > SHOWS]
    for i, j in itertools.combinations(large, 2):
        if set(problem.pairs[i]) & set(problem.pairs[j]):
            yield i, j


def _exchanges(problem: Problem, theta: Float[np.ndarray, " k"]) -> list[list[tuple[int, int]]]:
    """Places of parameters that change places together.

    Two groups that are near each other change their shifts; or a group changes its couplings to two others.
    """
    place = {frozenset(p): i for i, p in enumerate(problem.pairs)}
    at, sizes = problem.at(0, "shift"), problem.systems[0].multiplicity
    free, apart = problem.free[at], 3 * np.minimum(problem.sd[at], 1.0)
    found: list[list[tuple[int, int]]] = []
    for k, m in itertools.combinations(problem.observed, 2):
        if sizes[k] != sizes[m]:
            continue
        if free[k] and free[m] and abs(theta[at][k] - theta[at][m]) < min(apart[k], apart[m]):
            starts = [problem.at(s, "shift").start for s in range(len(problem.measured))]
            found.append([(first + k, first + m) for first in starts])
        found += [[pair] for pair in _exchanged_couplings(problem, theta, place, k, m)]
    return found


def _exchanged_couplings(
    problem: Problem, theta: Float[np.ndarray, " k"], place: Mapping[frozenset[int], int], k: int, m: int
) -> Iterator[tuple[int, int]]:
    """Places of the couplings of two groups to a third, of the same sign and far enough apart to matter."""
    for a in range(problem.groups):
        i, j = place.get(frozenset((k, a)), -1), place.get(frozenset((m, a)), -1)
        if a in (k, m) or min(i, j) < 0 or not (problem.free[i] and problem.free[j]):
            continue
        if theta[i] * theta[j] > 0 and abs(theta[i] - theta[j]) > 0.5:
            yield i, j
