"""How far particles can go along a line: compiled."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def room(at, along, low, high):
    """How far each particle can go, back and forth."""
    n, c = at.shape
    back, forth = np.full(n, -np.inf), np.full(n, np.inf)
    for i in range(n):
        for j in range(c):
            slope = along[i, j]
            if abs(slope) < 1e-14:
                continue
            one, two = (low[j] - at[i, j]) / slope, (high[j] - at[i, j]) / slope
            back[i], forth[i] = max(back[i], min(one, two)), min(forth[i], max(one, two))
        back[i], forth[i] = min(back[i], 0.0), max(forth[i], 0.0)
    return back, forth
