"""Isotope patterns: what a formula predicts, and how well a measured one agrees.

The peaks of one nominal mass count as one, with their mean mass: what an instrument shows that does not resolve the
fine structure. Patterns of thousands of formulas are convolved together, element by element; masses follow as first
moments. A. L. Rockwood and P. Haimi, J. Am. Soc. Mass Spectrom. 17 (2006) 415, doi:10.1016/j.jasms.2005.12.001
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from molvis_core.errors import ConfigError
from molvis_core.records import PeakList
from molvis_formula.elements import ELEMENTS, ISOTOPES, MASSES, UNIT
from molvis_formula.ions import IonAtoms

PEAKS = 5
"""Peaks of a pattern that are looked at: the monoisotopic one and those above it."""
_SPACING = 1.0030
"""Da between the peaks of a pattern: between the 1.0034 of carbon and the 0.998 of chlorine and bromine."""
_REACH = 0.0065
"""Da on either side of that, for each nominal mass above the monoisotopic."""


@dataclass(frozen=True, slots=True)
class IsotopeErrors:
    """How far a measured pattern is expected to be from the true one, as standard deviations.

    Attributes:
        relative: of an intensity, as a share of it.
        absolute: of an intensity, as a share of the whole pattern: noise, and the threshold below which peaks are lost.
        ppm: of the distance of a peak from the monoisotopic one, of its m/z.

    Raises:
        ConfigError: one of them is not positive.
    """

    relative: float = 0.1
    absolute: float = 0.01
    ppm: float = 3.0

    def __post_init__(self) -> None:
        if not min(self.relative, self.absolute, self.ppm) > 0:
            raise ConfigError(
                f"errors of an isotope pattern are larger than 0, got relative {self.relative}, absolute "
                f"{self.absolute} and {self.ppm} ppm"
            )


def isotope_patterns(
    counts: Int[np.ndarray, "n e"], ion: IonAtoms, peaks: int = PEAKS
) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, "n k"]]:
    """Intensities and distances of the isotope peaks of ions.

    Args:
        counts: atoms of the neutral molecules.
        ion: what the adduct adds.
        peaks: how many, from the monoisotopic one upwards.

    Returns:
        Shares of all isotopologues, which add up to less than 1; and distances in m/z from the monoisotopic peak.
    """
    atoms = np.maximum(np.asarray(counts, dtype=np.int64) * ion.adduct.molecules + ion.added, 0)
    table = [(name, atoms[:, e]) for e, name in enumerate(ELEMENTS)]
    table += [(name, np.full(len(atoms), ion.metal_names.count(name))) for name in dict.fromkeys(ion.metal_names)]
    present = [(name, number) for name, number in table if number.any() and len(ISOTOPES[name]) > 1]
    below = sum(-_offsets(name)[0] * int(number.max(initial=0)) for name, number in present)
    # What lies below the monoisotopic peak brings down what lies above: the window is wider until all is convolved.
    width = peaks + 2 * below
    share = np.zeros((len(atoms), width))
    share[:, below] = 1.0
    moment = np.zeros_like(share)
    for name, number in present:
        shares, moments = _powers(name, int(number.max()), below, width)
        share, moment = _convolved(share, moment, shares[number], moments[number], below)
    chosen = slice(below, below + peaks)
    share, moment = share[:, chosen], moment[:, chosen]
    mean = np.divide(moment, share, out=np.zeros_like(share), where=share > 0)
    return share, mean / abs(ion.adduct.charge)


def _offsets(name: str) -> list[int]:
    """Nominal masses of an element's isotopes above its monoisotopic one."""
    return [round(mass) - round(_monoisotopic(name)) for mass, _ in ISOTOPES[name]]


def _monoisotopic(name: str) -> float:
    if name in ELEMENTS:
        return MASSES[ELEMENTS.index(name)] / UNIT
    return max(ISOTOPES[name], key=lambda isotope: isotope[1])[0]


@functools.lru_cache(maxsize=200)
def _powers(name: str, most: int, below: int, width: int) -> tuple[Float[np.ndarray, "m w"], Float[np.ndarray, "m w"]]:
    """Shares and first moments of 0, 1, ... `most` atoms of an element."""
    one = np.zeros((1, width))
    weighted = np.zeros((1, width))
    for (mass, share), offset in zip(ISOTOPES[name], _offsets(name), strict=True):
        if below + offset < width:
            one[0, below + offset] = share
            weighted[0, below + offset] = share * (mass - _monoisotopic(name))
    none = np.zeros((1, width))
    none[0, below] = 1.0
    rows, moments = [none], [np.zeros((1, width))]
    for _ in range(most):
        share, moment = _convolved(rows[-1], moments[-1], one, weighted, below)
        rows.append(share)
        moments.append(moment)
    return np.concatenate(rows), np.concatenate(moments)


def _convolved(
    a: Float[np.ndarray, "n w"],
    ma: Float[np.ndarray, "n w"],
    b: Float[np.ndarray, "n w"],
    mb: Float[np.ndarray, "n w"],
    below: int,
) -> tuple[Float[np.ndarray, "n w"], Float[np.ndarray, "n w"]]:
    share, moment = np.zeros_like(a), np.zeros_like(a)
    width = a.shape[1]
    for i in range(width):
        for j in range(max(below - i, 0), min(width, width + below - i)):
            k = i + j - below
            share[:, k] += a[:, i] * b[:, j]
            moment[:, k] += ma[:, i] * b[:, j] + a[:, i] * mb[:, j]
    return share, moment


@dataclass(frozen=True, eq=False, slots=True)
class MeasuredPattern:
    """A measured isotope pattern, a peak for each nominal mass.

    Attributes:
        share: intensities, which add up to 1; 0 where there is no peak.
        distance: in m/z from the monoisotopic peak; NaN where there is no peak.
        mz: of the monoisotopic peak.
    """

    share: Float[np.ndarray, " k"]
    distance: Float[np.ndarray, " k"]
    mz: float


def measured_pattern(
    peaks: PeakList, precursor_mz: float, charge: int, ppm: float, count: int = PEAKS
) -> MeasuredPattern | None:
    """The isotope pattern of a precursor in an MS1 spectrum; None where its monoisotopic peak is missing.

    Args:
        peaks: of MS1; what belongs to other ions is left out.
        precursor_mz: of the monoisotopic peak, which is the highest peak within the tolerance.
        charge: of the ion, for the distance of the peaks.
        ppm: tolerance of the monoisotopic peak.
        count: peaks of the pattern.
    """
    near = np.abs(peaks.mz - precursor_mz) <= ppm * 1e-6 * precursor_mz
    if not (near & (peaks.intensity > 0)).any():
        return None
    first = int(np.flatnonzero(near)[np.argmax(peaks.intensity[near])])
    mz = float(peaks.mz[first])
    share, distance = np.zeros(count), np.full(count, np.nan)
    share[0], distance[0] = peaks.intensity[first], 0.0
    for k in range(1, count):
        reach = _REACH * k + ppm * 1e-6 * precursor_mz
        found = np.abs((peaks.mz - mz) * abs(charge) - k * _SPACING) <= reach
        height = peaks.intensity[found].astype(np.float64)
        if height.sum() > 0:
            share[k] = height.sum()
            distance[k] = float((peaks.mz[found] - mz) @ height / height.sum())
    return MeasuredPattern(share / share.sum(), distance, mz)


def isotope_evidence(
    measured: MeasuredPattern,
    share: Float[np.ndarray, "n k"],
    distance: Float[np.ndarray, "n k"],
    errors: IsotopeErrors | None = None,
) -> Float[np.ndarray, " n"]:
    """Log-likelihood of a measured pattern under predicted ones, larger being better.

    Intensities and distances have errors of Student's distribution with four degrees of freedom, so that one bad peak
    does not decide. A peak that was not found is one of intensity 0: where a formula predicts no more than the absolute
    error there, that costs next to nothing.

    Args:
        measured: of `measured_pattern`.
        share: of `isotope_patterns`.
        distance: of `isotope_patterns`.
        errors: how far off measured patterns are.
    """
    errors = errors or IsotopeErrors()
    predicted = share / share.sum(axis=1, keepdims=True)
    width = np.sqrt((errors.relative * predicted) ** 2 + errors.absolute**2)
    off = (measured.share - predicted) / width
    found = _student(off).sum(axis=1) - np.log(width).sum(axis=1)
    # The position of a weak peak is less certain.
    weak = np.sqrt(errors.absolute / np.maximum(measured.share, 1e-9))
    spread = errors.ppm * 1e-6 * measured.mz * (1 + weak)
    away = np.where(np.isnan(measured.distance) | (predicted <= 0), 0.0, (measured.distance - distance) / spread)
    return found + _student(away[:, 1:]).sum(axis=1)


def _student(off: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    return -2.5 * np.log1p(off**2 / 4)
