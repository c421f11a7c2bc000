"""Coordinate hit-and-run in a polytope: a kernel of its own, because importing hopsy costs ten CPU seconds."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def _room(columns, h, y):
    """`h - g @ y`, added up in one order everywhere: a chain takes another way from a difference in the last digit."""
    slack = h.copy()
    for j in range(len(y)):
        for i in range(len(h)):
            slack[i] -= columns[j, i] * y[j]
    return slack


@njit(cache=True)
def hit_and_run(
    g: np.ndarray, h: np.ndarray, start: np.ndarray, n: int, thinning: int, rng: np.random.Generator
) -> np.ndarray:
    """`n` uniform draws from `g @ y <= h`, one every `thinning` steps, after as many as burn in.

    Args:
        g: half-spaces, "h k".
        h: their limits, " h".
        start: a point inside, " k".
        n: draws to keep.
        thinning: steps between them.
        rng: of the draws.

    Reference: Smith, Operations Research 32 (1984) 1296, doi:10.1287/opre.32.6.1296
    """
    m, k = g.shape
    columns = np.ascontiguousarray(g.T)
    y = start.copy()
    slack = _room(columns, h, y)
    kept = np.empty((n, k))
    burn = 10 * thinning + 20 * k
    for step in range(-burn, n * thinning):
        j = rng.integers(0, k)
        low, high = -np.inf, np.inf
        for i in range(m):
            c = columns[j, i]
            if c > 1e-14:
                high = min(high, max(slack[i], 0.0) / c)
            elif c < -1e-14:
                low = max(low, max(slack[i], 0.0) / c)
        move = low + (high - low) * rng.random()
        y[j] += move
        for i in range(m):
            slack[i] -= move * columns[j, i]
        if step % 1000 == 0:  # rounding errors add up
            slack = _room(columns, h, y)
        if step >= 0 and (step + 1) % thinning == 0:
            kept[(step + 1) // thinning - 1] = y
    return kept
