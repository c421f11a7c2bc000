"""What an ion is made of: atoms that an adduct adds to the molecule, and the forms that its fragments have."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from molvis_core.chemistry.adducts import Adduct, added_atoms, parse_adduct
from molvis_core.chemistry.formula import ISOTOPE_MASS
from molvis_core.errors import AdductError
from molvis_formula.elements import ELECTRON, ELEMENTS, units

_CHANGES = re.compile(r"\[\d*M([^\]]*)\]")
_METALS = ("Li", "Na", "K")
"""Carriers of charge that a fragment keeps or leaves behind as a whole."""


@dataclass(frozen=True, eq=False)
class IonAtoms:
    """An adduct by its atoms.

    Attributes:
        adduct: as core reads it.
        added: atoms of each of `ELEMENTS` beside the molecules; negative where it takes some away.
        metals: masses in units of the alkali metals in it.
        metal_names: their symbols.
    """

    adduct: Adduct
    added: Int[np.ndarray, " e"]
    metals: tuple[int, ...]
    metal_names: tuple[str, ...]

    @property
    def mass(self) -> int:
        """Of what is added, in units, with all electrons."""
        return sum(int(n) * units(ISOTOPE_MASS[e]) for n, e in zip(self.added, ELEMENTS, strict=True)) + sum(
            self.metals
        )

    @property
    def bare(self) -> bool:
        """Whether the ion is nothing but the molecule, so that its formula may have an odd number of electrons."""
        return not self.added.any() and not self.metals

    def forms(self) -> Int[np.ndarray, "f 3"]:
        """Forms of fragments: kept metals' mass and electrons' mass in units, and the number of charges.

        A fragment weighs (atoms + metals - electrons) / charges, electrons being negative in an anion.
        """
        sign = 1 if self.adduct.charge > 0 else -1
        kept = sorted({0, *self.metals})
        return np.array(
            [(metal, sign * z * ELECTRON, z) for z in range(1, abs(self.adduct.charge) + 1) for metal in kept],
            dtype=np.int64,
        )


def ion_atoms(adduct: str | Adduct) -> IonAtoms:
    """What an adduct adds to the molecule.

    Raises:
        AdductError: it cannot be read, or adds an element that formulas are not made of.
    """
    return _ion_atoms(adduct.name if isinstance(adduct, Adduct) else adduct)


@functools.lru_cache(maxsize=1000)
def _ion_atoms(name: str) -> IonAtoms:
    adduct = parse_adduct(name)
    match = _CHANGES.match(adduct.name)
    assert match is not None, adduct.name
    atoms, _ = added_atoms(adduct.name, match[1])
    added = np.zeros(len(ELEMENTS), dtype=np.int64)
    metals: list[str] = []
    for element, count in atoms.items():
        if element in ELEMENTS:
            added[ELEMENTS.index(element)] = count
        elif element in _METALS and count > 0:
            metals += [element] * count
        elif count:
            raise AdductError(
                f"adduct {adduct.name}: formulas are not listed for ions with {element}; "
                f"they are for {' '.join((*ELEMENTS, *_METALS))}"
            )
    return IonAtoms(adduct, added, tuple(units(ISOTOPE_MASS[m]) for m in metals), tuple(metals))
