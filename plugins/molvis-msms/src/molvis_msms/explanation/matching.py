"""All substructures of a molecule that a peak can be, not only the cheapest: enumerated, described, made unique."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64, UInt8

from molvis_core.chemistry.formula import ISOTOPE_MASS
from molvis_core.records import PeakList
from molvis_fragmentation.ions import forms_of
from molvis_fragmentation.matching import describe, fits
from molvis_fragmentation.parts import Parts
from molvis_msms.peak_fragments.cases import ABSOLUTE

PPM = 15.0
"""Tolerance of m/z unless another is given. It is wider than most instruments need: the errors of a spectrum are
estimated, and count as evidence within it."""
MOST = 24
"""Matches of a peak that are looked at: the cheapest."""


@dataclass(frozen=True, eq=False, slots=True)
class Matches:
    """Substructures that fit peaks, those of one peak after those of the other, cheapest first.

    Attributes:
        peak: that each fits, by its number in the spectrum.
        part: which part of the molecule it is.
        form: row of `forms` that the ion has.
        gained: hydrogens against those that the part carries in the molecule, those of the charge included.
        error: measured less calculated m/z, in tolerances from -1 to 1.
        rows: what is known of each, columns as `molvis_fragmentation.matching.COLUMNS` names them.
        forms: as `molvis_fragmentation.ions.forms_of` returns them.
        tolerance: of each peak of the spectrum in Da.
    """

    peak: Int64[np.ndarray, " m"]
    part: Int64[np.ndarray, " m"]
    form: Int64[np.ndarray, " m"]
    gained: Int64[np.ndarray, " m"]
    error: Float[np.ndarray, " m"]
    rows: UInt8[np.ndarray, "m c"]
    forms: Float[np.ndarray, "v 4"]
    tolerance: Float[np.ndarray, " p"]

    def __len__(self) -> int:
        return len(self.peak)


def match_peaks(spectrum: PeakList, exact_mass: float, made: Parts, ppm: float) -> Matches:
    """What of a molecule fits each peak of a spectrum.

    Args:
        spectrum: all its peaks are looked at.
        exact_mass: of the molecule in Da.
        made: its parts.
        ppm: tolerance; it is not less than 0.8 mDa.
    """
    forms = forms_of(spectrum, exact_mass)
    found, form, shift, error = fits(
        spectrum.mz, made.mass, made.hydrogens, made.cost, forms, ppm, ABSOLUTE, ISOTOPE_MASS["H"], MOST
    )
    molecule = made.molecule
    rows, peak = describe(
        found, form, shift, error, forms, made.sets, made.depth, made.cost, made.hydrogens, molecule.neighbours,
        molecule.classes, molecule.sites,
    )  # fmt: skip
    there = found >= 0
    return Matches(
        peak=peak,
        part=found[there],
        form=form[there],
        gained=shift[there] + forms[form[there], 2].astype(np.int64),
        error=error[there],
        rows=rows,
        forms=forms,
        tolerance=np.maximum(spectrum.mz * ppm * 1e-6, ABSOLUTE),
    )
