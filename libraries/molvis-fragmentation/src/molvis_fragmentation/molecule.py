"""A molecule as arrays, for the loops that break it and compare its parts with peaks."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64, UInt8, UInt64
from rdkit import Chem

from molvis_core.chemistry.formula import ISOTOPE_MASS
from molvis_core.chemistry.structures import parse_smiles
from molvis_fragmentation.atoms import surroundings
from molvis_fragmentation.costs import bond_costs
from molvis_fragmentation.graph import Graph, graph

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
        graph: atoms and bonds that all this is made of; of one that does not break, too.
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
    graph: Graph


def molecule(smiles: str) -> Molecule:
    """The arrays of a molecule; one of more than 128 heavy atoms is left without bonds, so that it does not break.

    Raises:
        StructureError: RDKit refuses the SMILES.
    """
    mol = parse_smiles(smiles)
    made = graph(mol)
    size = len(made.numbers)
    breaks = size <= MAX_ATOMS and bool(made.ends)
    carried = np.array(made.hydrogens, dtype=np.int64)
    masses = np.array([ISOTOPE_MASS.get(symbol, 0.0) for symbol in made.symbols]) + carried * HYDROGEN
    wide = size if breaks else 0
    neighbours = np.zeros((size, 2), dtype=np.uint64)
    cost = np.zeros((wide, wide), dtype=np.int64)
    classes = np.zeros((wide, wide), dtype=np.uint8)
    ends = np.array(made.ends if breaks else [], dtype=np.int64).reshape(-1, 2)
    rings = np.array(made.rings if breaks else [], dtype=np.int64)
    if breaks:
        first, second = ends.T
        neighbours[:] = [_words(place for place, _ in some) for some in made.neighbours]
        cost[first, second] = cost[second, first] = [round(100 * one) for one in bond_costs(made)]
        acyl = [_is_acyl(made, place) for place in range(size)]
        classes[first, second], classes[second, first] = zip(*_directed(made, acyl), strict=True)
    return Molecule(
        mass=masses,
        hydrogens=carried,
        bonds=ends,
        ring=rings > 0,
        fused=rings > 1,
        neighbours=neighbours,
        cost=cost,
        classes=classes,
        sites=_sites(mol, made) if breaks else np.zeros((len(SITES) + 1, 2), dtype=np.uint64),
        surroundings=surroundings(mol, made),
        graph=made,
    )


@functools.cache
def _patterns() -> list[Chem.Mol]:
    return [Chem.MolFromSmarts(text) for text in SITES.values()]


def _sites(mol: Chem.Mol, made: Graph) -> UInt64[np.ndarray, "s 2"]:
    """The atoms of each of `SITES`, then those with an odd number of protons."""
    found = [[hit[0] for hit in mol.GetSubstructMatches(one, maxMatches=MAX_ATOMS)] for one in _patterns()]
    odd = [place for place, protons in enumerate(zip(made.numbers, made.hydrogens, strict=True)) if sum(protons) % 2]
    return np.array([_words(some) for some in [*found, odd]], dtype=np.uint64)


def _words(places: Iterable[int]) -> tuple[int, int]:
    """A set of atoms as two words."""
    value = 0
    for place in places:
        value |= 1 << place
    return value & (2**64 - 1), value >> 64


def _directed(made: Graph, acyl: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """Classes of each bond when broken, where its first atom is kept and where its second is.

    A class follows from the bond's order, its ring, and what stands at the end that is kept and at the other.
    """
    for (i, j), order, aromatic, rings in zip(made.ends, made.orders, made.aromatic_bonds, made.rings, strict=True):
        if aromatic:
            start, wide = _AROMATIC, 2
            here, there = int(made.numbers[i] != 6), int(made.numbers[j] != 6)
        elif order > 1.5:
            start, wide = _MULTIPLE, 4
            here, there = _ELEMENT.get(made.numbers[i], 3), _ELEMENT.get(made.numbers[j], 3)
        else:
            start, wide = _SINGLE, _KINDS
            here, there = _kind(made, acyl, i, j), _kind(made, acyl, j, i)
            if rings:
                start, wide, here, there = _RING, _RING_KINDS, _IN_RING[here], _IN_RING[there]
        yield start + wide * here + there, start + wide * there + here


_ELEMENT = {6: 0, 7: 1, 8: 2}
_IN_RING = (0, 0, 0, 1, 2, 3, 3, 4, 4, 5, 5)
_HETERO = (7, 8, 15, 16)


def _kind(made: Graph, acyl: Sequence[bool], atom: int, partner: int) -> int:
    """What an atom at the end of a single bond is: element, saturation, and what else it is bound to."""
    number = made.numbers[atom]
    if number == 6:
        if made.aromatic[atom]:
            return 0
        others = [(made.numbers[place], order) for place, order in made.neighbours[atom] if place != partner]
        double = [other for other, order in others if order > 1]
        if double:
            return 1 if 8 in double or 16 in double else 2
        return 3 if any(other in _HETERO for other, _ in others) else 4
    if number in (7, 8):
        bound = any(acyl[place] for place, _ in made.neighbours[atom])
        return (5 if bound else 6) if number == 7 else (7 if bound else 8)
    return 10 if number in (9, 17, 35, 53) else 9


def _is_acyl(made: Graph, atom: int) -> bool:
    """Whether an atom has a double bond to oxygen or sulfur, as that of a carbonyl, sulfonyl or phosphoryl group."""
    if made.numbers[atom] not in (6, 15, 16):
        return False
    return any(order == 2 and made.numbers[place] in (8, 16) for place, order in made.neighbours[atom])
