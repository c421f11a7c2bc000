"""The forms that a fragment of an ion can have: with a proton more or less, with the ion's metal, with two charges."""

from __future__ import annotations

import functools
import re

import numpy as np
from jaxtyping import Float

from molvis_core.chemistry.adducts import Adduct, parse_adduct
from molvis_core.chemistry.formula import ELECTRON_MASS, ISOTOPE_MASS
from molvis_core.errors import AdductError
from molvis_core.records import PeakList

_KEPT = re.compile(r"\+\d*(Na|K|Li|Cl|Br)(?![a-z])")
"""What an adduct adds and a fragment may keep in place of a proton; ammonia and acids leave with their proton."""
PLAIN, KEPT, DIMER, DOUBLE = range(4)
"""Codes of the forms: a proton more or less; the metal or the halide kept; beside a whole molecule; two charges."""


@functools.lru_cache(maxsize=4096)
def adduct_of(name: str | None) -> Adduct | None:
    """The adduct of a spectrum; None where it has none, or one that cannot be read."""
    try:
        return parse_adduct(name) if name else None
    except AdductError:
        return None


def polarity(spectrum: PeakList) -> int:
    """1 for positive ions, -1 for negative ones; a spectrum that has neither ion mode nor adduct counts as positive."""
    if spectrum.ionmode is not None:
        return -1 if spectrum.ionmode == "negative" else 1
    adduct = adduct_of(spectrum.adduct)
    return -1 if adduct is not None and adduct.charge < 0 else 1


def forms_of(spectrum: PeakList, exact_mass: float) -> Float[np.ndarray, "v 4"]:
    """Forms of the fragments of a spectrum's ion, as `molvis_fragmentation.matching.fits` takes them.

    Args:
        spectrum: its adduct and its ion mode count.
        exact_mass: of the molecule in Da, which a fragment of a dimer may hold whole.
    """
    sign, adduct = polarity(spectrum), adduct_of(spectrum.adduct)
    electron = sign * ELECTRON_MASS
    rows = [(1.0, electron, sign, PLAIN)]
    if adduct is None:
        return np.array(rows)
    kept = [ISOTOPE_MASS[element] for element in dict.fromkeys(_KEPT.findall(adduct.name))]
    rows += [(1.0, electron - mass, 0, KEPT) for mass in kept]
    if adduct.molecules > 1:
        rows += [(1.0, electron - exact_mass, sign, DIMER)]
        rows += [(1.0, electron - exact_mass - mass, 0, DIMER) for mass in kept]
    if abs(adduct.charge) > 1:
        rows += [(2.0, 2 * electron, 2 * sign, DOUBLE)]
        rows += [(2.0, 2 * electron - mass, sign, DOUBLE) for mass in kept]
    return np.array(rows)
