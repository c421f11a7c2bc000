"""Derivatives of simulations as those of residuals: compiled, in one pass."""

from __future__ import annotations

from numba import njit


@njit(cache=True, nogil=True)
def scaled_tangents(tangents, columns, slopes, unit, out):
    """Some columns of a simulation's derivatives times `slopes` of each coordinate and `unit` of each row, at once."""
    for lane in range(len(tangents)):
        for row, column in enumerate(columns):
            for j in range(slopes.shape[1]):
                out[lane, row, j] = tangents[lane, column, j] * slopes[lane, j] * unit[row]
