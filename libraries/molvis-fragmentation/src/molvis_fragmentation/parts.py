"""The parts that a molecule can break into: connected sets of its atoms, by construction.

Every part is an intersection of halves, the sides of cuts through one bond, two bonds of a ring or three of fused
rings, with up to three cuts. The bonds that leave a part follow from the part, and so no path to it is kept.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int8, Int64, UInt64

from molvis_fragmentation.cutting import find_halves, intersect, masses_of
from molvis_fragmentation.molecule import Molecule, molecule

MOST_HALVES = 2000
MOST_PARTS = 24_000
CEILINGS = np.array([10_000, 700, 460])
"""Hundredths that the bonds of a part of one, two or three cuts may cost."""


@dataclass(frozen=True, eq=False, slots=True)
class Parts:
    """Parts of one molecule by ascending mass, the whole among them.

    Attributes:
        molecule: whose they are.
        sets: their atoms, as bits of two words.
        mass: Da, with the hydrogens that the atoms carry in the molecule.
        hydrogens: that the atoms carry.
        cost: of the bonds that leave them, in hundredths: 100 for a single bond between carbons.
        depth: how many cuts they need; 0 for the whole.
    """

    molecule: Molecule
    sets: UInt64[np.ndarray, "f 2"]
    mass: Float[np.ndarray, " f"]
    hydrogens: Int64[np.ndarray, " f"]
    cost: Int64[np.ndarray, " f"]
    depth: Int8[np.ndarray, " f"]


@functools.lru_cache(maxsize=600)
def parts(smiles: str) -> Parts:
    """Break a molecule. One of more than 128 heavy atoms, or of a single one, is its own only part.

    Raises:
        StructureError: RDKit refuses the SMILES.
    """
    made = molecule(smiles)
    if not len(made.bonds):
        whole = np.zeros((1, 2), dtype=np.uint64)
        mass, hydrogens = made.mass.sum(keepdims=True), made.hydrogens.sum(keepdims=True)
        return Parts(made, whole, mass, hydrogens, np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int8))
    halves, simple = find_halves(made.bonds, made.ring, made.fused, made.neighbours, MOST_HALVES)
    sets, cost, depth = intersect(made.neighbours, made.cost, halves, simple, MOST_PARTS, CEILINGS)
    mass = masses_of(sets, made.mass)
    hydrogens = masses_of(sets, made.hydrogens.astype(np.float64)).astype(np.int64)
    order = np.argsort(mass, kind="stable")
    return Parts(made, sets[order], mass[order], hydrogens[order], cost[order], depth[order])
