"""Rank formulas."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from molvis_formula.decomposition import masses_of
from molvis_formula.elements import ELECTRON, units
from molvis_formula.ions import IonAtoms


def deviations(
    counts: Int[np.ndarray, "n e"], precursor_mz: float, ion: IonAtoms, ppm: float
) -> Float[np.ndarray, " n"]:
    """How far the measured m/z is above that of each candidate's ion, as a multiple of a third of the tolerance."""
    return errors_ppm(counts, precursor_mz, ion) / (ppm / 3)


def errors_ppm(counts: Int[np.ndarray, "n e"], precursor_mz: float, ion: IonAtoms) -> Float[np.ndarray, " n"]:
    """How far the measured m/z is above that of each candidate's ion, in ppm."""
    charge = abs(ion.adduct.charge)
    mz = units(precursor_mz) * charge
    away = mz - (masses_of(counts) * ion.adduct.molecules + ion.mass - ion.adduct.charge * ELECTRON)
    return away / mz * 1e6
