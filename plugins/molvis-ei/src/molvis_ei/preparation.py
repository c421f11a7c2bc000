"""Spectra at unit masses, and how heights are weighed before they are compared."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int64

from molvis_core.records import EiSpectrum

MASSES = 700
"""Unit masses from 0: what is heavier is left out."""
BELOW = 0.3
"""How far below a whole number, in Da, the m/z of an ion of that mass number is at most; above it up to 0.7.

Ions of bromine and iodine lie below their mass number, those of many hydrogens far above."""


def unit_masses(spectrum: EiSpectrum) -> Int64[np.ndarray, " p"]:
    """The mass number of each peak."""
    return np.floor(spectrum.mz + BELOW).astype(np.int64)


def unit_spectrum(spectrum: EiSpectrum, size: int = MASSES) -> Float[np.ndarray, " mass"]:
    """Heights at unit masses from 0 to below `size`, the largest 1; of several peaks of one mass the highest."""
    out = np.zeros(size, dtype=np.float32)
    where = unit_masses(spectrum)
    inside = where < size
    np.maximum.at(out, where[inside], spectrum.intensity[inside])
    largest = out.max(initial=0.0)
    return out / largest if largest > 0 else out


def weighed(
    heights: Float[np.ndarray, "... mass"], mass_power: float = 1.0, height_power: float = 0.5
) -> Float[np.ndarray, "... mass"]:
    """Powers of heights and masses as rows of length 1: heavy ions tell compounds apart, and the highest peaks do not.

    Reference: S. E. Stein and D. R. Scott, J. Am. Soc. Mass Spectrom. 5 (1994) 859, doi:10.1016/1044-0305(94)87009-8
    """
    masses = np.arange(heights.shape[-1], dtype=np.float32)
    rows = heights.astype(np.float32) ** height_power * masses**mass_power
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-9)
