"""A molecule as arrays, for the loops that break it and compare its parts with peaks."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64, UInt8, UInt64
from rdkit import Chem

from molvis_core.chemistry.formula import ISOTOPE_MASS
from molvis_core.chemistry.structures import parse_smiles
from molvis_fragmentation.atoms import surroundings
from molvis_fragmentation.costs import bond_cost

MAX_ATOMS = 128
"""Heavy atoms of a molecule that can be broken: one bit each in two words."""
HYDROGEN = ISOTOPE_MASS["H"]

_KINDS = 11
_RING_KINDS = 6
_SINGLE = 0
_RING = _SINGLE + _KINDS * _KINDS
_AROMATIC = _RING + _RING_KINDS * _RING_KINDS
_MULTIPLE = _AROMATIC + 4
BOND_CLASSES = _MULTIPLE + 16
"""Kinds of broken bonds, each with the side that is kept."""

SITES = {
    "carbon": "[#6]",
    "nitrogen": "[#7,#15]",
    "halogen": "[F,Cl,Br,I]",
    "basic": "[$([NX3;+0;!$(N-C=[O,S,N]);!$(N-[S,P]=O);!$(N-a);!$(N~[N,O])]),$([NX2;+0]=[#6])]",
    "pyridine": "[nX2;+0]",
    "acid": "[$([OX2H][C,P,S]=O),$([OX1-][C,P,S]=O)]",
    "phenol": "[OX2H]c",
    "carbonyl": "[#6]=[O,S]",
    "cation": "[+;!$([+]~[-])]",
    "anion": "[-;!$([-]~[+])]",
}
"""Atoms that decide where a charge is, or how many hydrogens there can be."""


@dataclass(frozen=True, eq=False, slots=True)
class Molecule:
    """What fragmentation needs of a molecule. Sets of atoms are bits of two words; atom 64 is bit 0 of the second.

    Attributes:
        mass: Da of each heavy atom with its hydrogens.
        hydrogens: of each heavy atom.
        bonds: atoms at both ends.
        ring, fused: whether a bond is in a ring, and in several.
        neighbours: of each atom, as a set.
        cost: of the bond between two atoms in hundredths, 0 where there is none; empty where there are no bonds.
        classes: of the bond between two atoms where the first is kept.
        sites: the atoms of each of `SITES`, as sets; then those with an odd number of protons, hydrogens included.
        surroundings: what stands around each atom.
    """

    mass: Float[np.ndarray, " a"]
    hydrogens: Int64[np.ndarray, " a"]
    bonds: Int64[np.ndarray, "b 2"]
    ring: Bool[np.ndarray, " b"]
    fused: Bool[np.ndarray, " b"]
    neighbours: UInt64[np.ndarray, "a 2"]
    cost: Int64[np.ndarray, "w w"]
    classes: UInt8[np.ndarray, "w w"]
    sites: UInt64[np.ndarray, "s 2"]
    surroundings: UInt8[np.ndarray, "a f"]


def molecule(smiles: str) -> Molecule:
    """The arrays of a molecule; one of more than 128 heavy atoms is left without bonds, so that it does not break.

    Raises:
        StructureError: RDKit refuses the SMILES.
    """
    mol = parse_smiles(smiles)
    atoms = list(mol.GetAtoms())
    size = len(atoms)
    bonds = list(mol.GetBonds()) if size <= MAX_ATOMS else []
    carried = np.array([a.GetTotalNumHs() for a in atoms], dtype=np.int64)
    masses = np.array([ISOTOPE_MASS.get(a.GetSymbol(), 0.0) for a in atoms]) + carried * HYDROGEN
    rings = mol.GetRingInfo()
    wide = size if bonds else 0
    neighbours = np.zeros((size, 2), dtype=np.uint64)
    cost = np.zeros((wide, wide), dtype=np.int64)
    classes = np.zeros((wide, wide), dtype=np.uint8)
    ends = np.array([(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in bonds], dtype=np.int64).reshape(-1, 2)
    for bond, (i, j) in zip(bonds, ends.tolist(), strict=True):
        neighbours[i] |= _bits([j])
        neighbours[j] |= _bits([i])
        cost[i, j] = cost[j, i] = round(100 * bond_cost(bond))
        classes[i, j] = _directed(bond, atoms[i], atoms[j])
        classes[j, i] = _directed(bond, atoms[j], atoms[i])
    odd = [a.GetIdx() for a, h in zip(atoms, carried.tolist(), strict=True) if (a.GetAtomicNum() + h) % 2]
    found = [[hit[0] for hit in mol.GetSubstructMatches(p, maxMatches=MAX_ATOMS)] for p in _patterns()] if bonds else []
    found = found or [[] for _ in SITES]
    return Molecule(
        mass=masses,
        hydrogens=carried,
        bonds=ends,
        ring=np.array([b.IsInRing() for b in bonds], dtype=bool),
        fused=np.array([rings.NumBondRings(b.GetIdx()) > 1 for b in bonds], dtype=bool),
        neighbours=neighbours,
        cost=cost,
        classes=classes,
        sites=np.array([_bits(some) for some in [*found, odd if bonds else []]]),
        surroundings=surroundings(mol),
    )


@functools.cache
def _patterns() -> list[Chem.Mol]:
    return [Chem.MolFromSmarts(text) for text in SITES.values()]


def _bits(places: Sequence[int]) -> UInt64[np.ndarray, " 2"]:
    value = sum(1 << place for place in set(places))
    return np.array([value & (2**64 - 1), value >> 64], dtype=np.uint64)


def _directed(bond: Chem.Bond, kept: Chem.Atom, lost: Chem.Atom) -> int:
    """Class of a broken bond by its order, its ring, and what stands at the end that is kept and at the other."""
    order = bond.GetBondTypeAsDouble()
    if bond.GetIsAromatic():
        return _AROMATIC + 2 * (kept.GetAtomicNum() != 6) + (lost.GetAtomicNum() != 6)
    if order > 1.5:
        return _MULTIPLE + 4 * _element(kept) + _element(lost)
    here, there = _kind(kept, lost), _kind(lost, kept)
    if bond.IsInRing():
        return _RING + _RING_KINDS * _IN_RING[here] + _IN_RING[there]
    return _SINGLE + _KINDS * here + there


def _element(atom: Chem.Atom) -> int:
    return {6: 0, 7: 1, 8: 2}.get(atom.GetAtomicNum(), 3)


_IN_RING = (0, 0, 0, 1, 2, 3, 3, 4, 4, 5, 5)
_HETERO = (7, 8, 15, 16)


def _kind(atom: Chem.Atom, partner: Chem.Atom) -> int:
    """What an atom at the end of a single bond is: element, saturation, and what else it is bound to."""
    number = atom.GetAtomicNum()
    others = [b for b in atom.GetBonds() if b.GetOtherAtomIdx(atom.GetIdx()) != partner.GetIdx()]
    if number == 6:
        if atom.GetIsAromatic():
            return 0
        double = [b.GetOtherAtom(atom).GetAtomicNum() for b in others if b.GetBondTypeAsDouble() > 1]
        if double:
            return 1 if 8 in double or 16 in double else 2
        return 3 if any(b.GetOtherAtom(atom).GetAtomicNum() in _HETERO for b in others) else 4
    if number in (7, 8):
        acyl = any(_is_acyl(b.GetOtherAtom(atom)) for b in atom.GetBonds())
        return (5 if acyl else 6) if number == 7 else (7 if acyl else 8)
    return 10 if number in (9, 17, 35, 53) else 9


def _is_acyl(atom: Chem.Atom) -> bool:
    """Whether an atom has a double bond to oxygen or sulfur, as that of a carbonyl, sulfonyl or phosphoryl group."""
    if atom.GetAtomicNum() not in (6, 15, 16):
        return False
    return any(b.GetBondTypeAsDouble() == 2 and b.GetOtherAtom(atom).GetAtomicNum() in (8, 16) for b in atom.GetBonds())
