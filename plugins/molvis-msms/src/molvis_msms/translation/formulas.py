"""Sub-formulas of an ion: which part of its atoms, if any, has the m/z of a peak."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int16, Int64

from molvis_core.chemistry.adducts import parse_adduct
from molvis_core.chemistry.formula import ELECTRON_MASS, ISOTOPE_MASS, parse_formula

ELEMENTS = ("C", "H", "N", "O", "S", "P", "F", "Cl", "Br", "I", "Si", "Na", "K", "B", "Se")
"""Those that a sub-formula may hold; a formula with others has no sub-formulas here."""
MASSES: Float[np.ndarray, " e"] = np.array([ISOTOPE_MASS[e] for e in ELEMENTS])
_VALENCE = np.array([4, 1, 3, 2, 2, 3, 1, 1, 1, 1, 4, 1, 1, 3, 2])
_HYDROGEN = ELEMENTS.index("H")
_MOST = 300_000
"""Combinations of heavy atoms; an ion with more is too large to be taken apart in a reasonable time."""
_RADICAL = 2.0
"""ppm that a radical ion must fit better than one with paired electrons, which most fragments are."""


def ion_atoms(formula: str, adduct: str) -> Int16[np.ndarray, " e"] | None:
    """Atoms of a singly charged ion of one molecule; None where it is another ion, or has elements not in `ELEMENTS`.

    Raises:
        ValueError: the formula cannot be read.
        molvis_core.errors.AdductError: the adduct cannot be read.
    """
    ion = parse_adduct(adduct)
    if ion.molecules != 1 or abs(ion.charge) != 1:
        return None
    counts = dict(parse_formula(formula))
    for sign, number, part in re.findall(r"([+-])(\d*)([A-Z][A-Za-z0-9]*)", ion.name.split("]")[0]):
        for element, count in parse_formula("C2H3N" if part == "ACN" else part).items():
            counts[element] = counts.get(element, 0) + (1 if sign == "+" else -1) * count * int(number or 1)
    counts = {element: count for element, count in counts.items() if count}
    if set(counts) - set(ELEMENTS) or min(counts.values(), default=0) < 0:
        return None
    return np.array([counts.get(e, 0) for e in ELEMENTS], dtype=np.int16)


def ion_mass(atoms: Int16[np.ndarray, "k e"], charge: int) -> Float[np.ndarray, " k"]:
    """m/z of singly charged ions of these atoms."""
    return atoms @ MASSES - charge * ELECTRON_MASS


def hill(atoms: Mapping[str, int] | Int16[np.ndarray, " e"]) -> str:
    """A formula as text: carbon, hydrogen, then the others by the alphabet."""
    counts: Mapping[str, int] = (
        atoms if isinstance(atoms, Mapping) else dict(zip(ELEMENTS, atoms.tolist(), strict=True))
    )
    first = [e for e in ("C", "H") if counts.get(e)]
    rest = sorted(e for e, n in counts.items() if n and e not in first)
    return "".join(f"{e}{counts[e] if counts[e] > 1 else ''}" for e in [*first, *rest])


def sub_formulas(
    mz: Float[np.ndarray, " p"], atoms: Int16[np.ndarray, " e"], charge: int, ppm: float = 10.0, least: float = 0.001
) -> Int16[np.ndarray, "p e"]:
    """The sub-formula of an ion that fits each m/z best; -1 throughout where none does.

    Args:
        mz: of peaks.
        atoms: of the ion.
        charge: 1 or -1.
        ppm: how far a sub-formula may be from the m/z.
        least: Da that it may be away at least, where ppm are less.
    """
    found = np.full((len(mz), len(ELEMENTS)), -1, dtype=np.int16)
    heavy = [i for i in np.flatnonzero(atoms) if i != _HYDROGEN]
    if np.prod([int(atoms[i]) + 1 for i in heavy], dtype=float) > _MOST:
        return found
    grid = np.stack(np.meshgrid(*(np.arange(atoms[i] + 1) for i in heavy), indexing="ij"), -1).reshape(-1, len(heavy))
    mass = grid @ MASSES[heavy] - charge * ELECTRON_MASS
    # Rings and double bonds of the heavy atoms alone, doubled; each hydrogen takes one away.
    bonds = 2 + grid @ (_VALENCE[heavy] - 2)
    order = np.argsort(mass, kind="stable")
    grid, mass, bonds = grid[order], mass[order], bonds[order]
    for place, (wanted, width) in enumerate(zip(mz, np.maximum(mz * ppm * 1e-6, least), strict=True)):
        low = np.searchsorted(mass, wanted - width - (atoms[_HYDROGEN] + 0.1) * MASSES[_HYDROGEN])
        part = slice(int(low), int(np.searchsorted(mass, wanted + width)))
        hydrogens = np.rint((wanted - mass[part]) / MASSES[_HYDROGEN]).astype(np.int64)
        error = np.abs(wanted - mass[part] - hydrogens * MASSES[_HYDROGEN])
        # An ion has one electron too few or too many: -1 stands for a saturated one with all electrons paired.
        spare = bonds[part] - hydrogens
        fits = (error <= width) & (hydrogens >= 0) & (hydrogens <= atoms[_HYDROGEN]) & (spare >= -1)
        if not fits.any():
            continue
        cost = error + (spare % 2 == 0) * _RADICAL * 1e-6 * wanted
        best = int(np.argmin(np.where(fits, cost, np.inf)))
        found[place, heavy] = grid[part][best]
        found[place] = np.where(found[place] < 0, 0, found[place])
        found[place, _HYDROGEN] = hydrogens[best]
    return found


def within(parts: Int16[np.ndarray, "k e"], atoms: Int16[np.ndarray, " e"]) -> Int64[np.ndarray, " q"]:
    """Places of the formulas that are part of an ion."""
    return np.flatnonzero((parts <= atoms).all(axis=1))
