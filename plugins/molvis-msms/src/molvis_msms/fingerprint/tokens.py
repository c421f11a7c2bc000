"""A spectrum as tokens: cells of two grids over m/z and over neutral loss, and numbers that describe the ion.

Cells over the differences between its peaks may come with them: what one fragment loses on its way to another.

A peak between the centres of two fine cells counts for both, in proportion. What a network sees then changes steadily
with m/z, and does not turn on which side of an edge rounding puts a peak.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int64

from molvis_core.records import PeakList
from molvis_msms.encoders.adducts import ADDUCTS
from molvis_msms.preparation import highest_peaks

FINE = 0.01
"""Da between the centres of fine cells."""
_DEFECT = 0.0005
"""Mass defect of organic ions, a share of their mass: nominal masses are the whole numbers nearest to what is left."""
_KIND = 1 << 21
"""Cells of each kind at most; 20,000 Da in fine cells."""
_POLARITY = 4 * _KIND
DIFFERENCES = 2 * _POLARITY
"""From this key on tokens are of differences. What is lost is neutral, so that both polarities have the same."""
_LEAST, _MOST = 12.0, 250.0
"""Differences that are looked at, Da: from the lightest loss that is no isotope and no hydrogen."""
DESCRIBED = len(ADDUCTS) + 1 + 2 + 2 + 2 + 2
"""Numbers of `describe`."""


@dataclass(frozen=True, eq=False, slots=True)
class Tokens:
    """Tokens of one spectrum.

    Attributes:
        key: of the cells.
        weight: square roots of the heights, of norm 1, times the share of the cell; of differences, the geometric mean
            of both peaks' square roots, of norm 1 among them.
        peak: which peak each is of; of differences, the heavier one.
    """

    key: Int64[np.ndarray, " k"]
    weight: Float32[np.ndarray, " k"]
    peak: Int64[np.ndarray, " k"]


def tokens(spectrum: PeakList, top_peaks: int, differences: int = 0) -> Tokens:
    """Tokens of the highest peaks below the precursor; without a precursor there are none of neutral losses.

    Args:
        spectrum: without an ion mode it is taken as positive.
        top_peaks: so many at most.
        differences: so many of the highest of them at most are looked at in pairs.
    """
    mz, height = highest_peaks(spectrum, top_peaks)
    if spectrum.precursor_mz is not None:
        below = mz < spectrum.precursor_mz - 0.5
        mz, height = mz[below], height[below]
    height = np.sqrt(height.astype(np.float64))
    height /= max(float(np.linalg.norm(height)), 1e-9)
    parts = [_fine(mz, height, 0), _coarse(mz, height, 1)]
    if spectrum.precursor_mz is not None:
        loss = spectrum.precursor_mz - mz
        parts += [_fine(loss, height, 2), _coarse(loss, height, 3)]
    offset = _POLARITY if spectrum.ionmode == "negative" else 0
    parts = [(key + offset, weight, peak) for key, weight, peak in parts]
    if differences:
        parts.append(_between(mz, height, differences))
    keys, weights, peaks = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Tokens(keys, weights.astype(np.float32), peaks)


def _between(mz: np.ndarray, height: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fine cells of the differences between the highest peaks, which come by ascending m/z."""
    high = np.sort(np.argsort(-height, kind="stable")[:most])
    light, heavy = (high[place] for place in np.triu_indices(len(high), 1))
    apart, weight = mz[heavy] - mz[light], np.sqrt(height[heavy] * height[light])
    near = (apart >= _LEAST) & (apart < _MOST)
    weight = weight[near] / max(float(np.linalg.norm(weight[near])), 1e-9)
    key, share, pair = _fine(apart[near], weight, 0)
    return key + DIFFERENCES, share, heavy[near][pair]


def _fine(x: np.ndarray, height: np.ndarray, kind: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    place = np.minimum(x / FINE, _KIND - 2)
    low = np.floor(place)
    share = place - low
    cells = np.concatenate([low, low + 1]).astype(np.int64) + kind * _KIND
    number = np.arange(len(x))
    return cells, np.concatenate([height * (1 - share), height * share]), np.concatenate([number, number])


def _coarse(x: np.ndarray, height: np.ndarray, kind: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    cells = np.minimum(np.round(x * (1 - _DEFECT)), _KIND - 1).astype(np.int64) + kind * _KIND
    return cells, height, np.arange(len(x))


def describe(spectrum: PeakList) -> Float[np.ndarray, " q"]:
    """The ion and how it was broken: adduct, ion mode, m/z and collision energy (each after a 1 if known), analyser."""
    out = np.zeros(DESCRIBED, dtype=np.float32)
    out[ADDUCTS.index(spectrum.adduct) if spectrum.adduct in ADDUCTS else len(ADDUCTS)] = 1
    out[-8] = spectrum.ionmode == "negative"
    out[-7] = spectrum.ionmode == "positive"
    out[-6:-4] = (1.0, spectrum.precursor_mz / 500) if spectrum.precursor_mz is not None else 0.0
    out[-4:-2] = (1.0, spectrum.collision_energy / 50) if spectrum.collision_energy is not None else 0.0
    instrument = (spectrum.instrument_type or "").upper()
    out[-2] = "TOF" in instrument
    out[-1] = "FT" in instrument or "ORBITRAP" in instrument
    return out
