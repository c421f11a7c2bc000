"""A molecule's atoms and bonds as plain lists: each is asked of RDKit once, for all that is made of them."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from rdkit import Chem

_SP, _SP2, _OTHER = 0, 1, 2
_HYBRID = {Chem.HybridizationType.SP: _SP, Chem.HybridizationType.SP2: _SP2}


@dataclass(frozen=True, eq=False)
class Graph:
    """Atoms and bonds in RDKit's order.

    Attributes:
        numbers: atomic number of each atom.
        symbols: of each atom.
        hydrogens: that each atom carries.
        charges: formal charge of each atom.
        aromatic: whether each atom is.
        hybrid: of each atom: 0 for sp, 1 for sp2, 2 for any other.
        ring_sizes: of the smallest rings that each atom is in.
        ends: the atoms of each bond.
        orders: of each bond; 1.5 where it is aromatic.
        aromatic_bonds, conjugated: whether each bond is.
        rings: how many of the smallest rings each bond is in.
        ring_count: smallest rings of the molecule.
    """

    numbers: list[int]
    symbols: list[str]
    hydrogens: list[int]
    charges: list[int]
    aromatic: list[bool]
    hybrid: list[int]
    ring_sizes: list[set[int]]
    ends: list[tuple[int, int]]
    orders: list[float]
    aromatic_bonds: list[bool]
    conjugated: list[bool]
    rings: list[int]
    ring_count: int

    @functools.cached_property
    def neighbours(self) -> list[list[tuple[int, float]]]:
        """For each atom, those that it is bound to, and by which order."""
        out: list[list[tuple[int, float]]] = [[] for _ in self.numbers]
        for (i, j), order in zip(self.ends, self.orders, strict=True):
            out[i].append((j, order))
            out[j].append((i, order))
        return out


def graph(mol: Chem.Mol) -> Graph:
    """The atoms and bonds of a molecule."""
    # By place: RDKit's sequences take three times as long.
    atoms = [mol.GetAtomWithIdx(place) for place in range(mol.GetNumAtoms())]
    bonds = [mol.GetBondWithIdx(place) for place in range(mol.GetNumBonds())]
    sizes, rings = _rings(mol)
    return Graph(
        numbers=[a.GetAtomicNum() for a in atoms],
        symbols=[a.GetSymbol() for a in atoms],
        hydrogens=[a.GetTotalNumHs() for a in atoms],
        charges=[a.GetFormalCharge() for a in atoms],
        aromatic=[a.GetIsAromatic() for a in atoms],
        hybrid=[_HYBRID.get(a.GetHybridization(), _OTHER) for a in atoms],
        ring_sizes=sizes,
        ends=[(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in bonds],
        orders=[b.GetBondTypeAsDouble() for b in bonds],
        aromatic_bonds=[b.GetIsAromatic() for b in bonds],
        conjugated=[b.GetIsConjugated() for b in bonds],
        rings=rings,
        ring_count=mol.GetRingInfo().NumRings(),
    )


def _rings(mol: Chem.Mol) -> tuple[list[set[int]], list[int]]:
    """For each atom the sizes of the smallest rings that it is in, and for each bond how many of them it is in."""
    found = mol.GetRingInfo()
    sizes: list[set[int]] = [set() for _ in range(mol.GetNumAtoms())]
    for ring in found.AtomRings():
        for place in ring:
            sizes[place].add(len(ring))
    counts = [0] * mol.GetNumBonds()
    for ring in found.BondRings():
        for place in ring:
            counts[place] += 1
    return sizes, counts
