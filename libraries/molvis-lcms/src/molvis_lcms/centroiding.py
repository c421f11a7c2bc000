"""Peaks of a profile."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from molvis_lcms.elements import is_profile

__all__ = ["centroid", "looks_like_profile"]

_FAR = 2.5
"""A neighbour that is so many times as far as the nearer one is beyond a gap: converters leave zeros out."""
_RISING = 0.25
"""Share of points that are local maxima, at most, in a profile. Of unrelated heights every third point is one."""


def looks_like_profile(mz: Float[np.ndarray, " p"], intensity: Float[np.ndarray, " p"], stated: bool | None) -> bool:
    """Whether the points of a scan are a profile.

    Args:
        mz: ascending.
        intensity: of the points.
        stated: what the file says; None where it says nothing. Points too far apart are none whatever it says, and
            what it calls peaks are a profile only where they rise and fall as one.
    """
    if len(mz) < 5 or not is_profile(mz):
        return False
    if stated:
        return True
    inner = intensity[1:-1]
    maxima = (inner > intensity[:-2]) & (inner >= intensity[2:])
    return len(mz) >= 30 and float(maxima.mean()) < _RISING


def centroid(
    mz: Float[np.ndarray, " p"], intensity: Float[np.ndarray, " p"]
) -> tuple[Float[np.ndarray, " q"], Float[np.ndarray, " q"]]:
    """m/z and heights of the peaks of a profile.

    A peak is a point higher than the two on either side. Its m/z and height are those of the Gaussian through the
    point and its neighbours, a parabola in the logarithm; where a neighbour is missing, those of the point itself.

    Args:
        mz: of the points, ascending.
        intensity: of the points; zeros may be there or not.
    """
    if len(mz) < 3:
        return mz[:0], intensity[:0]
    gap = np.diff(mz)
    left = np.concatenate([[np.inf], gap])
    right = np.concatenate([gap, [np.inf]])
    near = np.minimum(left, right)
    before = np.where(left <= _FAR * near, np.concatenate([[0.0], intensity[:-1]]), 0.0)
    after = np.where(right <= _FAR * near, np.concatenate([intensity[1:], [0.0]]), 0.0)
    second = np.concatenate([[0.0, 0.0], intensity[:-2]]), np.concatenate([intensity[2:], [0.0, 0.0]])
    top = (intensity > before) & (intensity >= after) & ((before > 0) | (after > 0))
    top &= ((intensity > second[0]) | (before == 0)) & ((intensity >= second[1]) | (after == 0))
    at = np.flatnonzero(top)
    if not len(at):
        return mz[:0], intensity[:0]
    whole = (before[at] > 0) & (after[at] > 0)
    x, height = mz[at].copy(), intensity[at].astype(np.float64)
    inside = at[whole]
    # The parabola through (-l, a), (0, b), (r, c), heights as logarithms.
    low, high = left[inside], right[inside]
    a, b, c = np.log(before[inside]), np.log(intensity[inside]), np.log(after[inside])
    slope = ((c - b) * low**2 + (b - a) * high**2) / (low * high * (low + high))
    bend = ((c - b) * low - (b - a) * high) / (low * high * (low + high))
    curved = bend < 0
    move = np.where(curved, np.clip(-slope / np.where(curved, 2 * bend, 1.0), -low / 2, high / 2), 0.0)
    x[whole] += move
    height[whole] = np.exp(b + slope * move + bend * move**2)
    order = np.argsort(x, kind="stable")
    return x[order], height[order]
