"""Multiplets on an axis: sums of lines that are mixtures of a Lorentzian and a Gaussian of one width (pseudo-Voigt).

Reference: G. K. Wertheim, M. A. Butler, K. W. West, D. N. E. Buchanan, Rev. Sci. Instrum. 45 (1974) 1369,
doi:10.1063/1.1686503
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numba import njit

_LN2 = float(np.log(2.0))


@njit(cache=True, fastmath=True)
def _drawn(
    position: np.ndarray, weight: np.ndarray, width: float, gauss: float, start: float, step: float, rows: np.ndarray
) -> None:
    points = rows.shape[1]
    lorentz = (1 - gauss) / np.pi
    normal = gauss * np.sqrt(_LN2 / np.pi)
    square = width * width
    near = 4.5 * width
    for k in range(len(position)):
        h = weight[k]
        for t in range(points):
            d = start + step * t - position[k]
            q = 1.0 / (square + d * d)
            value = lorentz * width * q
            rows[0, t] += h * value
            rows[1, t] += h * value * 2 * d * q
            rows[2, t] += h * value * (1 - 2 * square * q)
            rows[3, t] -= h * width * q / np.pi
            if -near < d < near:
                bell = np.exp(-_LN2 * d * d / square) / width
                rows[0, t] += h * normal * bell
                rows[1, t] += h * normal * bell * 2 * _LN2 * d / square
                rows[2, t] += h * normal * bell * (2 * _LN2 * d * d / square - 1)
                rows[3, t] += h * np.sqrt(_LN2 / np.pi) * bell


def draw(
    position: Float[np.ndarray, " l"],
    weight: Float[np.ndarray, " l"],
    width: float,
    gauss: float,
    start: float,
    step: float,
    points: int,
) -> Float[np.ndarray, "4 p"]:
    """A multiplet, and how it changes with its place (per Hz), the logarithm of its width, and the Gaussian's share.

    Args:
        position: of lines in Hz.
        weight: their areas.
        width: half at half height, in Hz.
        gauss: share of the Gaussian in every line's area.
        start: of the axis, in Hz.
        step: of the axis, in Hz.
        points: of the axis.
    """
    rows = np.zeros((4, points))
    if points:
        _drawn(position, weight, float(width), float(gauss), float(start), float(step), rows)
    return rows


def binned(
    position: Float[np.ndarray, " l"], weight: Float[np.ndarray, " l"], apart: float = 0.08
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """Lines nearer than `apart` Hz as one where their center is, without those that nobody could see."""
    order = np.argsort(position, kind="stable")
    position, weight = position[order], weight[order]
    if not len(position):
        return position, weight
    cell = np.floor(position / apart)
    starts = np.append(0, np.flatnonzero(np.diff(cell) > 0) + 1)
    total = np.add.reduceat(weight, starts)
    strength = np.maximum(np.abs(weight), 1e-12)
    center = np.add.reduceat(position * strength, starts) / np.add.reduceat(strength, starts)
    some = np.abs(total) > 3e-4 * np.abs(total).max()
    factor = weight.sum() / total[some].sum()
    return center[some], total[some] * factor
