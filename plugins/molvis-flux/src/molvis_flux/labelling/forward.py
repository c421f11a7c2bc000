"""Derivatives of labelling in time along directions: the steps of `integrator`, carried on beside the labelling."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from molvis_flux.labelling.backends.numba_kernels import add_product, load, one_way, slope_of, spread, store
from molvis_flux.labelling.integrator import MOST_STEPS


@numba.njit(nogil=True, cache=True, fastmath={"contract"})
def _run(work: Any, change: Any, program: Any, first: int, last: int) -> None:
    """Operations of a program on single numbers, and on their changes, whose lanes are directions."""
    constants, target, init, inverse, start, left, right, _, _ = program
    nothing = spread(change, change.dtype.type(0))
    for op in range(first, last):
        total, moved = work[init[op]], load(change, init[op])
        for q in range(start[op], start[op + 1]):
            a, b = left[q], right[q]
            total += work[a] * work[b]
            # A constant, which stands in one of the first rows, does not change.
            if a >= len(constants):
                moved = add_product(moved, spread(change, work[b]), load(change, a))
            if b >= len(constants):
                moved = add_product(moved, spread(change, work[a]), load(change, b))
        if inverse[op]:
            total = 1 / total if total != 0 else 0.0
            moved = add_product(nothing, spread(change, -total * total), moved)
        work[target[op]] = total
        store(change, target[op], moved)


@numba.njit(nogil=True, cache=True)
def _fill(work: Any, change: Any, given: Any, moves: Any, k: int, width: int, ways: Any, inputs: Any) -> None:
    """Fluxes of the directed reactions, and how they change."""
    (net, exchange, _), (moved_net, moved_exchange, _) = given, moves
    for i in range(len(ways)):
        if inputs[i] >= 0:
            place, slope = ways[i, 0], slope_of(net, ways[i])
            work[inputs[i]] = one_way(net, exchange, ways[i])
            for j in range(width):
                both = moved_exchange[place, k + j] if ways[i, 2] else 0.0
                change[inputs[i], j] = slope * moved_net[place, k + j] + both


@numba.njit(nogil=True, cache=True)
def _conduct(work: Any, change: Any, given: Any, moves: Any, k: int, width: int, factor: float, rows: Any) -> None:
    """Pools as flows of their size times `factor`, and how these change."""
    pools, moved_pools = given[2], moves[2]
    for p in range(len(pools)):
        if rows[p] >= 0:
            work[rows[p]] = pools[p] * factor
            for j in range(width):
                change[rows[p], j] = moved_pools[p, k + j] * factor


@numba.njit(nogil=True, cache=True)
def _slopes(work: Any, change: Any, kept: Any, moved: Any, step: Any, start: int, stage: int, factor: float) -> float:
    """Slopes of a stage, from what it came out as and its base; returns the steepest."""
    size, steepest = len(step[8]), 0.0
    plus, minus = spread(change, change.dtype.type(factor)), spread(change, change.dtype.type(-factor))
    for i in range(size):
        row, base = step[8][i], step[7][start + i]
        slope = (work[row] - work[base]) * factor
        kept[(1 + stage) * size + i] = slope
        steepest = max(steepest, abs(slope))
        along = add_product(spread(change, change.dtype.type(0)), load(change, row), plus)
        store(moved, (1 + stage) * size + i, add_product(along, load(change, base), minus))
    return steepest


@numba.njit(nogil=True, cache=True)
def _begin(works: Any, given: Any, moves: Any, k: int, width: int, ways: Any, programs: Any) -> float:
    """Labelling before the tracer and its slopes at time 0, with their changes; returns the steepest slope."""
    (before_work, work, _, kept), (before_change, change, _, moved) = works
    before, step, _ = programs
    net, exchange, pools = given
    size, start = len(step[8]), len(ways) + len(pools)
    _fill(before_work, before_change, given, moves, k, width, ways, before[7])
    _run(before_work, before_change, before, 0, len(before[1]))
    _fill(work, change, given, moves, k, width, ways, step[7])
    # As in `integrator`: a step of implicit Euler much shorter than any pool lasts.
    tiny = 1e-5 * pools.min() / (np.abs(net) + exchange).max()
    _conduct(work, change, given, moves, k, width, 1 / tiny, step[7][len(ways) : start])
    for i in range(size):
        row = before[8][i]
        kept[i] = work[step[7][start + i]] = before_work[row]
        store(moved, i, load(before_change, row))
        store(change, step[7][start + i], load(before_change, row))
    _run(work, change, step, 0, len(step[1]))
    return _slopes(work, change, kept, moved, step, start, 0, 1 / tiny)


@numba.njit(nogil=True, cache=True)
def _attempt(works: Any, step: Any, start: int, stages: Any, early: int, h: float) -> None:
    """All stages of a step of length `h`; the labelling at its end stays in the workspace."""
    (_, work, _, kept), (_, change, _, moved) = works
    size = len(step[8])
    for stage in range(1, len(stages)):
        for i in range(size):
            base, along = kept[i], load(moved, i)
            for j in range(stage):
                factor = h * stages[stage, j]
                base += factor * kept[(1 + j) * size + i]
                along = add_product(along, spread(change, change.dtype.type(factor)), load(moved, (1 + j) * size + i))
            work[step[7][start + i]] = base
            store(change, step[7][start + i], along)
        _run(work, change, step, early, len(step[1]))
        _slopes(work, change, kept, moved, step, start, stage, 1 / (h * stages[-1, -1]))


@numba.njit(nogil=True, cache=True)
def _see(works: Any, last: int, step: Any, after: Any, share: float, h: float) -> None:
    """What is seen at a share of a step: cubic between labelling and slopes at both ends."""
    (_, work, after_work, kept), (_, change, after_change, moved) = works
    size, rest = len(step[8]), 1 - share
    old, new = (1 + 2 * share) * rest * rest, share * share * (3 - 2 * share)
    begun, ended = h * share * rest * rest, -h * share * share * rest
    for i in range(size):
        to, row = after[7][i], step[8][i]
        if to < 0:
            continue
        value = old * kept[i]
        along = add_product(spread(change, change.dtype.type(0)), spread(change, old), load(moved, i))
        if share > 0:
            end = (1 + last) * size + i
            value += new * work[row] + begun * kept[size + i] + ended * kept[end]
            along = add_product(along, spread(change, new), load(change, row))
            along = add_product(along, spread(change, begun), load(moved, size + i))
            along = add_product(along, spread(change, ended), load(moved, end))
        after_work[to] = value
        store(after_change, to, along)
    _run(after_work, after_change, after, 0, len(after[1]))


@numba.njit(nogil=True, cache=True)
def _write(works: Any, after: Any, k: int, width: int, out: Any, slopes: Any) -> None:
    """What was seen, and its changes."""
    (_, _, after_work, _), (_, _, after_change, _) = works
    for d in range(len(after[8])):
        out[d] = after_work[after[8][d]]
        for j in range(width):
            slopes[d, k + j] = after_change[after[8][d], j]


@numba.njit(nogil=True, cache=True)
def _error(kept: Any, weights: Any, size: int, h: float) -> float:
    """Largest difference between the two orders of the method."""
    worst = 0.0
    for i in range(size):
        error = 0.0
        for j in range(len(weights)):
            error += h * weights[j] * kept[(1 + j) * size + i]
        worst = max(worst, abs(error))
    return worst


@numba.njit(nogil=True, cache=True)
def _accept(works: Any, step: Any, last: int) -> None:
    """The end of a step becomes the start of the next."""
    (_, work, _, kept), (_, change, _, moved) = works
    size = len(step[8])
    for i in range(size):
        kept[i], kept[size + i] = work[step[8][i]], kept[(1 + last) * size + i]
        store(moved, i, load(change, step[8][i]))
        store(moved, size + i, load(moved, (1 + last) * size + i))


@numba.njit(nogil=True, cache=True)
def differentiate(
    works: Any,
    given: Any,
    moves: Any,
    times: Any,
    tolerance: float,
    out: Any,
    slopes: Any,
    ways: Any,
    tableau: Any,
    early: int,
    programs: Any,
) -> float:
    """Labelling of one flux vector at ascending `times`, into `out "t d"`, and its changes, into `slopes "t d k"`.

    Each stage's equations are differentiated as they stand, so that the changes are exactly those of the numbers that
    come out, at the steps that these take. The steps are chosen with the first block of directions, and taken again
    with each further one.

    Args:
        works: workspaces of the programs and of the state: of single numbers, and of lanes.
        given: net and exchange fluxes and pools.
        moves: directions of each, "r k", "r k" and "p k".
        times: as in `integrator.integrate`.
        tolerance: as there.
        out: as there, of one vector.
        slopes: the changes.
        ways: as in `integrator.integrate`.
        tableau: as there.
        early: as there.
        programs: as there.

    Returns:
        The time that was reached.
    """
    (before_work, work, after_work, kept), (_, change, _, _) = works
    before, step, after = programs
    stages, weights, order = tableau
    directions, block = moves[0].shape[1], change.shape[1]
    size, last, gamma = len(step[8]), len(stages) - 1, stages[-1, -1]
    start = len(ways) + len(given[2])
    rows = step[7][len(ways) : start]
    taken = np.empty(MOST_STEPS + 1)
    before_work[: len(before[0])], work[: len(step[0])], after_work[: len(after[0])] = before[0], step[0], after[0]
    for k in range(0, max(directions, 1), block):
        width = min(block, directions - k)
        steepest = _begin(works, given, moves, k, width, ways, programs)
        replay = k > 0
        h = taken[0] if replay else min(tolerance ** (1 / order) / max(steepest, 1e-30), times[-1])
        now, set_for, written, done, tries = 0.0, 0.0, 0, 0, 0
        while written < len(times) and times[written] <= 0:
            _see(works, last, step, after, 0.0, h)
            _write(works, after, k, width, out[written], slopes[written])
            written += 1
        while written < len(times):
            tries += 1
            if tries > MOST_STEPS or now + h == now:
                return now
            if h != set_for:
                _conduct(work, change, given, moves, k, width, 1 / (h * gamma), rows)
                _run(work, change, step, 0, early)
                set_for = h
            _attempt(works, step, start, stages, early, h)
            error = _error(kept, weights, size, h)
            if replay or error <= tolerance:
                while written < len(times) and times[written] <= now + h:
                    _see(works, last, step, after, (times[written] - now) / h, h)
                    _write(works, after, k, width, out[written], slopes[written])
                    written += 1
                _accept(works, step, last)
                now += h
                taken[done] = h
                done += 1
            h = taken[done] if replay else h * min(5.0, max(0.2, 0.9 * (tolerance / max(error, 1e-30)) ** (1 / order)))
    return times[-1]
