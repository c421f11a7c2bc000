"""Steps in time: an implicit Runge-Kutta method whose stages are stationary simulations with one more inflow."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from molvis_flux.labelling.backends.numba_kernels import (
    add_product,
    fill,
    furthest,
    load,
    run,
    set_constants,
    spread,
    store,
)

MOST_STEPS = 20_000


@numba.njit(nogil=True, cache=True)
def _conduct(work: Any, pools: Any, first: int, here: int, factor: float, ways: int, inputs: Any) -> None:
    for p in range(pools.shape[1]):
        if inputs[ways + p] >= 0:
            for lane in range(work.shape[1]):
                work[inputs[ways + p], lane] = pools[first + min(lane, here - 1), p] * factor


@numba.njit(nogil=True, cache=True)
def _slopes(work: Any, state: Any, step: Any, start: int, stage: int, factor: float) -> float:
    """Slopes of a stage, from what it came out as and its base; returns the steepest."""
    size, steepest = len(step[8]), spread(work, work.dtype.type(0))
    nothing, plus = spread(work, work.dtype.type(0)), spread(work, work.dtype.type(factor))
    minus = spread(work, work.dtype.type(-factor))
    for i in range(size):
        slope = add_product(nothing, load(work, step[8][i]), plus)
        slope = add_product(slope, load(work, step[7][start + i]), minus)
        steepest = furthest(steepest, slope)
        store(state, (1 + stage) * size + i, slope)
    return _largest(state, steepest)


@numba.njit(nogil=True, cache=True)
def _error(work: Any, state: Any, weights: Any, size: int, h: float) -> float:
    """Largest difference between the two orders of the method."""
    worst = spread(work, work.dtype.type(0))
    for i in range(size):
        error = spread(work, work.dtype.type(0))
        for j in range(len(weights)):
            error = add_product(error, spread(work, work.dtype.type(h * weights[j])), load(state, (1 + j) * size + i))
        worst = furthest(worst, error)
    return _largest(state, worst)


@numba.njit(nogil=True, cache=True)
def _largest(state: Any, values: Any) -> float:
    scratch = len(state) - 1
    store(state, scratch, values)
    return state[scratch].max()


@numba.njit(nogil=True, cache=True)
def _between(work: Any, after_work: Any, state: Any, last: int, step: Any, after: Any, share: float, h: float) -> None:
    """What is seen at a share of a step: cubic between labelling and slopes at both ends."""
    size, rest = len(step[8]), 1 - share
    for i in range(size):
        if after[7][i] >= 0:
            new = add_product(
                spread(work, work.dtype.type(0)),
                spread(work, work.dtype.type((1 + 2 * share) * rest * rest)),
                load(state, i),
            )
            if share > 0:
                new = add_product(
                    new, spread(work, work.dtype.type(share * share * (3 - 2 * share))), load(work, step[8][i])
                )
                new = add_product(new, spread(work, work.dtype.type(h * share * rest * rest)), load(state, size + i))
                new = add_product(
                    new,
                    spread(work, work.dtype.type(-h * share * share * rest)),
                    load(state, (1 + last) * size + i),
                )
            store(after_work, after[7][i], new)
    run(after_work, after, 0, len(after[1]))


@numba.njit(nogil=True, cache=True)
def _write(after_work: Any, after: Any, first: int, here: int, out: Any, at: int) -> None:
    for lane in range(here):
        for d in range(len(after[8])):
            out[first + lane, at, d] = after_work[after[8][d], lane]


@numba.njit(nogil=True, cache=True)
def _begin(
    works: Any, state: Any, net: Any, exchange: Any, pools: Any, first: int, here: int, ways: Any, programs: Any
) -> float:
    """Labelling before the tracer and its slopes at time 0, into `state`; returns the steepest slope."""
    before_work, work, _ = works
    before, step, _ = programs
    size, start = len(step[8]), len(ways) + pools.shape[1]
    fill(before_work, net, exchange, first, here, ways, before[7])
    run(before_work, before, 0, len(before[1]))
    for i in range(size):
        store(state, i, load(before_work, before[8][i]))
    fill(work, net, exchange, first, here, ways, step[7])
    # Slopes at the start: a step of implicit Euler much shorter than any pool lasts.
    fastest = (np.abs(net[first : first + here]) + exchange[first : first + here]).max()
    tiny = (1e-3 if work.itemsize == 4 else 1e-5) * pools[first : first + here].min() / fastest
    _conduct(work, pools, first, here, 1 / tiny, len(ways), step[7])
    for i in range(size):
        store(work, step[7][start + i], load(state, i))
    run(work, step, 0, len(step[1]))
    return _slopes(work, state, step, start, 0, 1 / tiny)


@numba.njit(nogil=True, cache=True)
def _attempt(work: Any, state: Any, step: Any, start: int, stages: Any, early: int, h: float) -> None:
    """All stages of a step of length `h`: slopes into `state`, the labelling at its end stays in `work`."""
    size, gamma = len(step[8]), stages[-1, -1]
    for stage in range(1, len(stages)):
        for i in range(size):
            base = load(state, i)
            for j in range(stage):
                factor = spread(work, work.dtype.type(h * stages[stage, j]))
                base = add_product(base, factor, load(state, (1 + j) * size + i))
            store(work, step[7][start + i], base)
        run(work, step, early, len(step[1]))
        _slopes(work, state, step, start, stage, 1 / (h * gamma))


@numba.njit(nogil=True, cache=True)
def _accept(work: Any, state: Any, step: Any, last: int) -> None:
    """The end of a step becomes the start of the next: its labelling, and its last slopes as the first."""
    size = len(step[8])
    for i in range(size):
        store(state, i, load(work, step[8][i]))
        store(state, size + i, load(state, (1 + last) * size + i))


@numba.njit(nogil=True, cache=True)
def integrate(
    works: Any,
    state: Any,
    net: Any,
    exchange: Any,
    pools: Any,
    times: Any,
    tolerance: float,
    out: Any,
    ways: Any,
    tableau: Any,
    early: int,
    programs: Any,
) -> float:
    """Labelling of all flux vectors at ascending `times`, into `out "n t d"`; `state` holds labelling and slopes.

    In a stage, X = base + h g dX/dt reads: what flows in, and base with a flow of pool / (h g), make up X. The first
    stage is the last of the step before.

    Returns:
        The time that was reached.
    """
    before_work, work, after_work = works
    before, step, after = programs
    stages, weights, order = tableau
    count, block = len(net), work.shape[1]
    size, last, gamma = len(step[8]), len(stages) - 1, stages[-1, -1]
    start = len(ways) + pools.shape[1]
    reached = times[-1]
    set_constants(before_work, before)
    set_constants(work, step)
    set_constants(after_work, after)
    for first in range(0, count, block):
        here = min(block, count - first)
        steepest = _begin(works, state, net, exchange, pools, first, here, ways, programs)
        h = min(tolerance ** (1 / order) / max(steepest, 1e-30), times[-1])
        now, set_for, written, tries = 0.0, 0.0, 0, 0
        while written < len(times) and times[written] <= 0:
            _between(work, after_work, state, 0, step, after, 0.0, h)
            _write(after_work, after, first, here, out, written)
            written += 1
        while written < len(times):
            tries += 1
            if tries > MOST_STEPS or now + h == now:
                reached = min(reached, now)
                break
            if h != set_for:
                _conduct(work, pools, first, here, 1 / (h * gamma), len(ways), step[7])
                run(work, step, 0, early)
                set_for = h
            _attempt(work, state, step, start, stages, early, h)
            error = _error(work, state, weights, size, h)
            if error <= tolerance:
                while written < len(times) and times[written] <= now + h:
                    _between(work, after_work, state, last, step, after, (times[written] - now) / h, h)
                    _write(after_work, after, first, here, out, written)
                    written += 1
                _accept(work, state, step, last)
                now += h
            h *= min(5.0, max(0.2, 0.9 * (tolerance / max(error, 1e-30)) ** (1 / order)))
    return reached
