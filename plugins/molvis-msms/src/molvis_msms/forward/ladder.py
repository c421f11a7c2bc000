"""The m/z that a molecule's ion can give: of its parts with more and fewer hydrogens, and of strays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64

from molvis_core.chemistry.formula import ISOTOPE_MASS
from molvis_fragmentation.matching import LARGEST_SHIFT
from molvis_msms.forward.pieces import Pieces
from molvis_msms.forward.settings import Setting

SHIFTS = 2 * LARGEST_SHIFT + 1
"""Hydrogens that a part may gain or lose besides those of its charge: from -4 to 4."""
FORMS = 4
"""Codes of forms, as `molvis_fragmentation.ions` counts them."""
LOWEST = 25.0
"""m/z below which nothing is predicted."""
_SAME = 2e-4
"""Da. What is nearer is one peak."""
_BESIDE = 0.004


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a measured peak may be from what it is: the larger of the two.

    It is wide, since the spectra that are learned from are of many laboratories: at 10 ppm and 0.8 mDa parts explain
    0.67 of the root intensity of open MassBank's training compounds, at 20 ppm and 5 mDa 0.79, and the chance that a
    peak agrees with a part by accident stays below 1 percent.

    Attributes:
        ppm: of m/z.
        absolute: in Da.
    """

    ppm: float = 20.0
    absolute: float = 0.005


@dataclass(frozen=True, eq=False, slots=True)
class Strays:
    """Fragments that are often seen and that no part of the molecule is: they formed anew while it broke.

    Attributes:
        mz: of ions, or masses of losses, in Da.
        loss: which of them are losses.
        sign: polarity of each.
    """

    mz: Float[np.ndarray, " q"]
    loss: Bool[np.ndarray, " q"]
    sign: Int64[np.ndarray, " q"]

    def __len__(self) -> int:
        return len(self.mz)


NO_STRAYS = Strays(np.zeros(0), np.zeros(0, dtype=bool), np.zeros(0, dtype=np.int64))


@dataclass(frozen=True, eq=False, slots=True)
class Ladder:
    """What a molecule's ion can give, as entries: parts by forms by shifts, then strays, then the precursor.

    Attributes:
        shape: parts, forms and shifts.
        forms: rows as `molvis_fragmentation.ions.forms_of` gives them.
        mz: of each entry.
        possible: which entries there can be.
        group: which peak each entry adds to; that of an entry that cannot be is one more than there are.
        peaks: m/z of the groups, ascending.
        precursor_mz: of the whole ion.
    """

    shape: tuple[int, int, int]
    forms: Float[np.ndarray, "v 4"]
    mz: Float[np.ndarray, " e"]
    possible: Bool[np.ndarray, " e"]
    group: Int64[np.ndarray, " e"]
    peaks: Float[np.ndarray, " g"]
    precursor_mz: float


def ladder(made: Pieces, setting: Setting, strays: Strays = NO_STRAYS) -> Ladder:
    """The entries of a molecule under a setting.

    An entry holds no fewer hydrogens than none and lies below the precursor, but for fragments of an ion of several
    charges. The whole molecule with the ion's own charge is the precursor's entry, and none of the parts'.
    """
    precursor = setting.precursor_mz(made.exact_mass)
    forms = setting.forms(made.exact_mass)
    beyond = np.arange(-LARGEST_SHIFT, LARGEST_SHIFT + 1)
    gained = beyond + forms[:, 2, None]
    mass = made.parts.mass[:, None, None] + gained * ISOTOPE_MASS["H"] - forms[:, 1, None]
    mz = mass / forms[:, 0, None]
    several = (forms[:, 3] == 3).any()
    most = (made.exact_mass + 2 if several else precursor) - _BESIDE
    possible = (made.parts.hydrogens[:, None, None] + gained >= 0) & (mz > LOWEST) & (mz < most)
    if several:
        possible &= np.abs(mz - precursor) > _BESIDE
    stray = np.where(strays.loss, precursor - strays.mz, strays.mz)
    can = (strays.sign == setting.sign) & (stray > LOWEST) & (stray < precursor - _BESIDE)
    every = np.concatenate([mz.ravel(), stray, [precursor]])
    allowed = np.concatenate([possible.ravel(), can, [True]])
    group, peaks = by_mz(every, allowed)
    return Ladder((len(made.parts.mass), len(forms), SHIFTS), forms, every, allowed, group, peaks, precursor)


def by_mz(
    mz: Float[np.ndarray, " e"], possible: Bool[np.ndarray, " e"]
) -> tuple[Int64[np.ndarray, " e"], Float[np.ndarray, " g"]]:
    """Entries of one m/z are one peak.

    Args:
        mz: of the entries.
        possible: which of them there can be.

    Returns:
        Which peak each entry adds to, one more than there are where it cannot be; and the m/z of the peaks, ascending.
    """
    places = np.flatnonzero(possible)
    places = places[np.argsort(mz[places], kind="stable")]
    sorted_mz = mz[places]
    new = np.diff(sorted_mz, prepend=-np.inf) > _SAME
    peaks = sorted_mz[new]
    group = np.full(len(mz), len(peaks), dtype=np.int64)
    group[places] = np.cumsum(new) - 1
    return group, peaks


def within(
    peaks: Float[np.ndarray, " g"], mz: Float[np.ndarray, " p"], tolerance: Tolerance
) -> tuple[Int64[np.ndarray, " k"], Int64[np.ndarray, " k"]]:
    """Pairs of a measured peak and a group of a ladder that agree, as places in both.

    Args:
        peaks: m/z of the groups, ascending.
        mz: of the measured peaks.
        tolerance: how far they may be apart.
    """
    reach = np.maximum(mz * tolerance.ppm * 1e-6, tolerance.absolute)
    first, last = np.searchsorted(peaks, mz - reach), np.searchsorted(peaks, mz + reach, side="right")
    counts = last - first
    peak = np.repeat(np.arange(len(mz)), counts)
    starts = np.cumsum(counts) - counts
    return peak, np.arange(int(counts.sum())) - np.repeat(starts - first, counts)
