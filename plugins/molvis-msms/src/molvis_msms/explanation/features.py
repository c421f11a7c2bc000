"""What the model of fragments sees of a match, of its peak and of the spectrum, as numbers near 1."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Int64, UInt8

from molvis_core.records import PeakList
from molvis_fragmentation.ions import polarity
from molvis_fragmentation.matching import COLUMNS
from molvis_msms.peak_fragments.cases import ADDUCTS, INSTRUMENTS, adduct_class, instrument_class

_PLACE = {name: number for number, name in enumerate(COLUMNS)}
_SITES = slice(_PLACE["basic"], len(COLUMNS))
_CUTS, _SHIFTS, _FORMS = 4, 9, 4
_SCALES = (("cost", 75.0), ("bonds", 3.0), ("odd", 1.0), ("overfull", 1.0), ("rank", 8.0))
MATCH_NUMBERS = _CUTS + _SHIFTS + _FORMS + len(_SCALES) + 2 * (len(COLUMNS) - _PLACE["basic"]) + 2
ENERGY, INSTRUMENT = slice(11, 14), slice(15 + len(ADDUCTS), 15 + len(ADDUCTS) + len(INSTRUMENTS))
"""Columns of the numbers of a peak."""
PEAK_NUMBERS = 11 + 4 + len(ADDUCTS) + len(INSTRUMENTS) + 4

_SCALES_OF_PREDICTED = np.array([1e-6, 1e-4, 1e-3, 1e-2, 1e-1])
_SCALES_OF_STRAYS = np.array([1e-4, 1e-2])
PREDICTED_NUMBERS = len(_SCALES_OF_PREDICTED) + 4
STRAY_NUMBERS = len(_SCALES_OF_STRAYS) + 1


def match_numbers(
    rows: UInt8[np.ndarray, "m c"], atoms: Float[np.ndarray, " m"], size: int
) -> Float[np.ndarray, "m f"]:
    """Matches as numbers.

    Args:
        rows: as `molvis_msms.explanation.matching.Matches` has them.
        atoms: heavy atoms of each part.
        size: heavy atoms of the molecule.
    """
    out = np.zeros((len(rows), MATCH_NUMBERS), dtype=np.float32)
    every, start = np.arange(len(rows)), 0
    for name, wide in (("cuts", _CUTS), ("shift", _SHIFTS), ("form", _FORMS)):
        out[every, start + np.minimum(rows[:, _PLACE[name]], wide - 1)] = 1
        start += wide
    for name, scale in _SCALES:
        out[:, start] = rows[:, _PLACE[name]] / scale
        start += 1
    sites = rows[:, _SITES]
    out[:, start:-2:2] = np.minimum(sites, 3) / 3
    out[:, start + 1 : -2 : 2] = sites > 0
    out[:, -2], out[:, -1] = atoms / size, np.log(atoms) / 3
    return out


def peak_numbers(
    spectrum: PeakList, matches: Float[np.ndarray, " p"], parts: int, size: int
) -> Float[np.ndarray, "p g"]:
    """Peaks and their spectrum as numbers.

    Args:
        spectrum: its peaks, and the settings that it was measured with.
        matches: how many each peak has.
        parts: how many the molecule has.
        size: heavy atoms of the molecule.
    """
    mz, height = spectrum.mz, spectrum.intensity.astype(np.float64)
    height = height / height.max(initial=1e-30)
    precursor = spectrum.precursor_mz or float(mz.max(initial=100.0))
    roots, loss = np.sqrt(height), np.abs(precursor - mz)
    out = np.zeros((len(mz), PEAK_NUMBERS), dtype=np.float32)
    out[:, :11] = np.stack(
        [
            roots,
            np.log10(np.maximum(height, 1e-6)) / 3 + 1,
            np.minimum(mz / precursor, 2.0),
            np.log(mz) / 6,
            np.minimum(loss, 200) / 200,
            np.minimum(loss, 50) / 50,
            roots / max(roots.sum(), 1e-12) * 5,
            np.argsort(np.argsort(-height, kind="stable"), kind="stable") / 40,
            np.sin(2 * np.pi * mz),
            np.cos(2 * np.pi * mz),
            mz > precursor - 0.5,
        ],
        axis=1,
    )
    energy = spectrum.collision_energy
    known = energy is not None and math.isfinite(energy) and energy >= 0
    value = float(energy) if known and energy is not None else 0.0
    out[:, 11:15] = known, min(value, 120) / 60, np.log1p(value) / 4, polarity(spectrum) > 0
    out[:, 15 + adduct_class(spectrum.adduct)] = 1
    out[:, 15 + len(ADDUCTS) + instrument_class(spectrum.instrument_type or "")] = 1
    out[:, -4] = np.log(len(mz) + 1) / 4
    out[:, -3] = precursor / 500
    out[:, -2] = np.log1p(matches) / 3
    out[:, -1] = math.log(parts) / 10 - math.log(size + 1) / 5
    return out


def predicted_numbers(
    predicted: Float[np.ndarray, " m"], peak: Int64[np.ndarray, " m"], height: Float[np.ndarray, " p"]
) -> Float[np.ndarray, "m f"]:
    """Predicted probabilities of matches as `PREDICTED_NUMBERS` numbers: logarithms above several levels.

    Args:
        predicted: probability of each match; 0 where it was not looked at.
        peak: that each match is of.
        height: intensities of the peaks.
    """
    levels = np.log1p(predicted[:, None] / _SCALES_OF_PREDICTED)
    roots = np.sqrt(height)
    tall = np.minimum(np.sqrt(roots / max(float(roots.mean()) if len(roots) else 0.0, 1e-12)), 3.0)[peak]
    rest = [predicted <= 0, tall * levels[:, 1], tall * levels[:, 3], tall]
    return np.concatenate([levels, np.stack(rest, axis=1)], axis=1)


def stray_numbers(stray: Float[np.ndarray, " p"]) -> Float[np.ndarray, "p f"]:
    """Predicted probabilities of peaks of being fragments that formed anew, as `STRAY_NUMBERS` numbers.

    Args:
        stray: of each peak.
    """
    return np.concatenate([np.log1p(stray[:, None] / _SCALES_OF_STRAYS), np.ones((len(stray), 1))], axis=1)
