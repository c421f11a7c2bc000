"""Isotopes of an ion in survey scans, and the charge that their distance tells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from molvis_lcms.records import Scan

__all__ = ["charge_of", "heavier_of", "isotope_pattern"]

C13 = 1.0033548
"""Mass of 13C less that of 12C, in Da (CODATA/AME, doi:10.1088/1674-1137/abddaf)."""
_SLACK = 0.002
"""Da for each isotope beside the tolerance: 34S, 37Cl and 81Br are nearer than two 13C."""
_MOST = 6
"""Isotopes looked for."""
_CHARGES = (4, 3, 2, 1)
_SHARE = 0.5
"""Of the scans around the apex: an isotope is in so many of them, at least."""
_TALLEST = 3.0
"""How many times as high as the one before it an isotope may be."""


def isotope_pattern(
    scans: Sequence[Scan], mz: float, charge: int, ppm: float
) -> tuple[Float[np.ndarray, " i"], Float[np.ndarray, " i"]]:
    """m/z and mean heights of an ion and its heavier isotopes, as far as they follow each other.

    Args:
        scans: survey scans around the apex.
        mz: of the lightest.
        charge: without sign.
        ppm: tolerance.
    """
    places, heights = [mz], [_mean(scans, mz, mz * ppm * 1e-6)[1]]
    for k in range(1, _MOST):
        expected = mz + k * C13 / charge
        place, height, share = _mean(scans, expected, mz * ppm * 1e-6 + k * _SLACK / charge)
        if share < _SHARE or height > _TALLEST * heights[-1]:
            break
        places.append(place)
        heights.append(height)
    return np.array(places), np.array(heights)


def charge_of(scans: Sequence[Scan], mz: float, ppm: float) -> int | None:
    """The charge, without sign, at whose distance isotopes follow; None where none do.

    Two isotopes are asked for where the charge is more than one, and the highest charge that has them is taken.
    """
    for charge in _CHARGES:
        if len(isotope_pattern(scans, mz, charge, ppm)[0]) > (2 if charge > 1 else 1):
            return charge
    return None


def heavier_of(scans: Sequence[Scan], mz: float, charge: int, ppm: float) -> float | None:
    """The m/z of the ion whose isotope with one 13C this probably is; None where it stands by itself.

    The lighter neighbour is then several times as high: below 1,000 Da a molecule has fewer than 90 carbon atoms.
    """
    own = _mean(scans, mz, mz * ppm * 1e-6)[1]
    place, height, share = _mean(scans, mz - C13 / charge, mz * ppm * 1e-6)
    return place if share >= _SHARE and height > 1.3 * own and mz * charge < 1000 else None


def _mean(scans: Sequence[Scan], mz: float, width: float) -> tuple[float, float, float]:
    """m/z, mean height over all scans, and the share of scans that have the peak."""
    places, heights = np.zeros(len(scans)), np.zeros(len(scans))
    for k, scan in enumerate(scans):
        low, high = np.searchsorted(scan.mz, (mz - width, mz + width))
        if low < high:
            best = low + int(np.argmax(scan.intensity[low:high]))
            places[k], heights[k] = scan.mz[best], scan.intensity[best]
    total = heights.sum()
    if total <= 0:
        return mz, 0.0, 0.0
    return float(places @ heights / total), float(total / len(scans)), float(np.mean(heights > 0))
