"""What parts of a molecule are made of: their atoms, elements and formulas."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64, UInt64
from rdkit import Chem

from molvis_core.chemistry.structures import parse_smiles
from molvis_fragmentation.ions import DIMER

Counts = Mapping[str, int]
_METAL_OR_HALIDE = re.compile(r"\+\d*(Na|K|Li|Cl|Br)(?![a-z])")


@dataclass(frozen=True, eq=False, slots=True)
class Composition:
    """Elements of the heavy atoms of a molecule.

    Attributes:
        mol: in the order of the SMILES.
        elements: that it has, in Hill order without hydrogen.
        of: element of each heavy atom, by its place in `elements`.
        hydrogens: that each heavy atom carries.
        like: class of each atom; atoms of one class are equivalent by symmetry.
    """

    mol: Chem.Mol
    elements: tuple[str, ...]
    of: Int64[np.ndarray, " a"]
    hydrogens: Int64[np.ndarray, " a"]
    like: Int64[np.ndarray, " a"]


@functools.lru_cache(maxsize=600)
def composition(smiles: str) -> Composition:
    """The elements of a molecule.

    Raises:
        StructureError: RDKit refuses the SMILES.
    """
    mol = parse_smiles(smiles)
    symbols = [atom.GetSymbol() for atom in mol.GetAtoms()]
    elements = tuple(sorted(set(symbols), key=lambda e: (e != "C", e)))
    return Composition(
        mol,
        elements,
        np.array([elements.index(s) for s in symbols], dtype=np.int64),
        np.array([atom.GetTotalNumHs() for atom in mol.GetAtoms()], dtype=np.int64),
        np.array(list(Chem.CanonicalRankAtoms(mol, breakTies=False)), dtype=np.int64),
    )


def members(sets: UInt64[np.ndarray, "f 2"], size: int) -> Bool[np.ndarray, "f a"]:
    """Which atoms are in each set; all of them in a set of no bits, which is a molecule too large to be broken."""
    places = np.arange(size, dtype=np.uint64)
    words = np.minimum(places // np.uint64(64), np.uint64(1)).astype(np.int64)
    inside = ((sets[:, words] >> (places % np.uint64(64))) & np.uint64(1)).astype(bool)
    return inside | ~np.any(sets, axis=1, keepdims=True)


def element_counts(made: Composition, inside: Bool[np.ndarray, "f a"]) -> Int64[np.ndarray, "f e"]:
    """Atoms of each element in each set, and in the last column the hydrogens that they carry."""
    table = np.zeros((len(made.of), len(made.elements) + 1), dtype=np.int64)
    table[np.arange(len(made.of)), made.of] = 1
    table[:, -1] = made.hydrogens
    return inside.astype(np.int64) @ table


def ion_counts(
    made: Composition, counts: Int64[np.ndarray, " e"], gained: int, form: tuple[float, ...], adduct: str | None
) -> dict[str, int]:
    """Elements of an ion: those of a set of atoms, the hydrogens gained, and what its form adds.

    Args:
        made: the molecule.
        counts: of the set, as `element_counts` returns them.
        gained: hydrogens against those that the set carries.
        form: row of `molvis_fragmentation.ions.forms_of`.
        adduct: of the spectrum.
    """
    total = dict(zip(made.elements, counts[:-1].tolist(), strict=True))
    total["H"] = total.get("H", 0) + int(counts[-1]) + gained
    if int(form[3]) == DIMER:
        for element, number in zip(made.elements, np.bincount(made.of).tolist(), strict=True):
            total[element] = total.get(element, 0) + number
        total["H"] += int(made.hydrogens.sum())
    if holds_metal(form) and (kept := _METAL_OR_HALIDE.search(adduct or "")):
        total[kept[1]] = total.get(kept[1], 0) + 1
    return {element: number for element, number in total.items() if number}


def holds_metal(form: tuple[float, ...]) -> bool:
    """Whether an ion of this form keeps the metal or the halide of the adduct in place of a proton."""
    return abs(int(form[2])) < int(form[0])


def hill(counts: Counts) -> str:
    """A formula in Hill order: carbon, hydrogen, then the other elements by the alphabet."""
    first = ["C", "H"] if counts.get("C") else []
    names = [*(e for e in first if counts.get(e)), *sorted(e for e in counts if e not in first and counts[e])]
    return "".join(f"{e}{counts[e] if counts[e] > 1 else ''}" for e in names)


def charged(charge: int) -> str:
    """A charge as it stands behind a formula: `+`, `-`, `2+`."""
    sign = "+" if charge > 0 else "-"
    return sign if abs(charge) == 1 else f"{abs(charge)}{sign}"
