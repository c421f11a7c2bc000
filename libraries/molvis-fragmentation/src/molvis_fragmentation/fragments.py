"""Substructures that a molecule can break into.

Bonds are broken one by one, or two of a ring at a time, to a depth of two; what remains connected is a fragment, a set
of atoms of the molecule: a substructure by construction. After S. Wolf et al., In silico fragmentation for computer
assisted identification of metabolite mass spectra, BMC Bioinformatics 11 (2010) 148, doi:10.1186/1471-2105-11-148, with
sets of atoms as bits of one integer, so that a molecule takes milliseconds.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64, UInt64

from molvis_core.chemistry.formula import ISOTOPE_MASS
from molvis_core.chemistry.structures import parse_smiles
from molvis_fragmentation.costs import bond_costs
from molvis_fragmentation.graph import graph
from molvis_fragmentation.kernels import break_bonds

MAX_ATOMS = 63
"""Heavy atoms of a molecule that can be broken: one bit each."""
MAX_FRAGMENTS = 6000
ABSOLUTE = 0.0008
"""Da. Below m/z 80 a tolerance of 10 ppm is finer than instruments are."""
HYDROGEN = ISOTOPE_MASS["H"]
_ELEMENTS = ("C", "N", "O", "S", "P", "F", "Cl", "Br", "I")
ELEMENT_MASSES = np.array([ISOTOPE_MASS[e] for e in _ELEMENTS])


@dataclass(frozen=True, eq=False, slots=True)
class Fragments:
    """Substructures of one molecule, by ascending mass.

    Attributes:
        mass: Da, with the hydrogens that the atoms carry in the molecule.
        cost: what the bonds cost that must break: 1 for a single bond between carbons.
        atoms: bit i is set where atom i is in the fragment.
        counts: of the elements C, N, O, S, P, F, Cl, Br, I in the whole molecule.
        hydrogens: in the whole molecule.
        size: heavy atoms of the molecule.
    """

    mass: Float[np.ndarray, " f"]
    cost: Float[np.ndarray, " f"]
    atoms: UInt64[np.ndarray, " f"]
    counts: Int64[np.ndarray, " 9"]
    hydrogens: int
    size: int


@functools.lru_cache(maxsize=4096)
def fragments(smiles: str) -> Fragments:
    """Break a molecule. One of more than 63 heavy atoms is not broken: it has itself as its only fragment.

    Raises:
        StructureError: RDKit refuses the SMILES.
    """
    made = graph(parse_smiles(smiles))
    carried = made.hydrogens
    masses = np.array([ISOTOPE_MASS.get(e, 0.0) + h * HYDROGEN for e, h in zip(made.symbols, carried, strict=True)])
    counts = np.array([made.symbols.count(e) for e in _ELEMENTS], dtype=np.int64)
    size = len(made.symbols)
    bonds = np.array(made.ends, dtype=np.int64).reshape(-1, 2)
    if size > MAX_ATOMS or not len(bonds):
        whole = np.array([(1 << min(size, MAX_ATOMS)) - 1], dtype=np.uint64)
        return Fragments(masses.sum(keepdims=True), np.zeros(1), whole, counts, sum(carried), size)
    costs = np.array(bond_costs(made))
    in_ring = np.array(made.rings) > 0
    mass, cost, atoms = break_bonds(size, masses, bonds, costs, in_ring, MAX_FRAGMENTS)
    order = np.argsort(mass, kind="stable")
    return Fragments(mass[order], cost[order], atoms[order], counts, sum(carried), size)
