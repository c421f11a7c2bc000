"""Molecules as graphs of categories: what each atom and each bond is, and which atoms are equivalent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64
from rdkit import Chem
from torch import Tensor

from molvis_core.chemistry.structures import parse_smiles
from molvis_nn.batches import TensorBatch

ELEMENTS = ("C", "N", "O", "S", "F", "Cl", "Br", "I", "P", "Si", "Se", "B", "Te", "Sn", "Ge", "Li", "Na", "K", "Hg")
SOLVENTS = (
    "",
    "CDCl3",
    "DMSO-d6",
    "CD3OD",
    "acetone-d6",
    "D2O",
    "pyridine-d5",
    "C6D6",
    "CCl4",
    "THF-d8",
    "CD3CN",
    "CD2Cl2",
)
"""Solvents that a prediction depends on; the first is none, or another one."""
_HYBRIDS = ("SP", "SP2", "SP3", "SP3D", "SP3D2")
_BONDS = ("SINGLE", "DOUBLE", "TRIPLE", "AROMATIC")
_RINGS = (3, 4, 5, 6, 7, 8)
ATOM_KINDS = (len(ELEMENTS) + 1, 8, 5, 5, len(_HYBRIDS) + 1, 2, len(_RINGS) + 2, 4, 3)
"""How many categories each feature of an atom has.

Element, neighbors, charge from -2, hydrogens, hybridization, aromatic, smallest ring, rings, and stereocentre.
"""
BOND_KINDS = (len(_BONDS) + 1, 3, 2, 4)
"""Of a bond: order, stereo (none, Z, E), conjugated, and smallest ring (none, small, five or six, larger)."""


@dataclass(frozen=True, eq=False)
class Graph:
    """One molecule.

    Attributes:
        atoms: category of each feature of each atom.
        bonds: the same of bonds, each in both directions.
        edges: from which atom to which.
        numbers: atomic numbers.
        hydrogens: on each atom.
        classes: equal numbers for atoms that the graph cannot tell apart.
    """

    atoms: Int64[np.ndarray, "a 9"]
    bonds: Int64[np.ndarray, "b 4"]
    edges: Int64[np.ndarray, "2 b"]
    numbers: Int64[np.ndarray, " a"]
    hydrogens: Int64[np.ndarray, " a"]
    classes: Int64[np.ndarray, " a"]


@dataclass(frozen=True, eq=False)
class GraphBatch(TensorBatch):
    """Molecules as one large graph.

    Attributes:
        solvents: of each molecule, its place in `SOLVENTS`.
        atoms, bonds, edges: as of a `Graph`, atoms numbered through.
        owner: which molecule an atom is in.
        numbers, hydrogens: of each atom.
    """

    solvents: Int64[Tensor, " n"]
    atoms: Int64[Tensor, "a 9"]
    bonds: Int64[Tensor, "b 4"]
    edges: Int64[Tensor, "2 b"]
    owner: Int64[Tensor, " a"]
    numbers: Int64[Tensor, " a"]
    hydrogens: Int64[Tensor, " a"]


def graph_of(smiles: str) -> Graph:
    """The graph of a molecule; atoms have the order of the SMILES.

    Raises:
        molvis_core.errors.StructureError: RDKit refuses the SMILES.
    """
    mol = parse_smiles(smiles)
    rings = mol.GetRingInfo()
    centres = {
        place for place, _ in Chem.FindMolChiralCenters(mol, includeUnassigned=True, useLegacyImplementation=True)
    }
    # RDKit's sequences look their length up at every step.
    every = [mol.GetAtomWithIdx(place) for place in range(mol.GetNumAtoms())]
    held = [atom.GetTotalNumHs(includeNeighbors=True) for atom in every]
    atoms: list[list[int]] = []
    for place, atom in enumerate(every):
        smallest = rings.MinAtomRingSize(place)
        atoms.append([
            _place(atom.GetSymbol(), ELEMENTS),
            min(atom.GetDegree(), 7),
            min(max(atom.GetFormalCharge(), -2), 2) + 2,
            min(held[place], 4),
            _place(atom.GetHybridization().name, _HYBRIDS),
            int(atom.GetIsAromatic()),
            _place(smallest, _RINGS) + 1 if smallest else 0,
            min(rings.NumAtomRings(place), 3),
            int(place in centres),
        ])  # fmt: skip
    bonds: list[list[int]] = []
    edges: list[tuple[int, int]] = []
    for place in range(mol.GetNumBonds()):
        bond = mol.GetBondWithIdx(place)
        smallest = rings.MinBondRingSize(place)
        row = [
            _place(bond.GetBondType().name, _BONDS),
            {"STEREOZ": 1, "STEREOCIS": 1, "STEREOE": 2, "STEREOTRANS": 2}.get(bond.GetStereo().name, 0),
            int(bond.GetIsConjugated()),
            0 if not smallest else 1 if smallest < 5 else 2 if smallest < 7 else 3,
        ]
        a, b = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        edges += [(a, b), (b, a)]
        bonds += [row, row]
    ranks = Chem.CanonicalRankAtoms(mol, breakTies=False, includeChirality=False)
    return Graph(
        np.array(atoms, dtype=np.int64).reshape(-1, len(ATOM_KINDS)),
        np.array(bonds, dtype=np.int64).reshape(-1, len(BOND_KINDS)),
        np.array(edges, dtype=np.int64).reshape(-1, 2).T,
        np.array([atom.GetAtomicNum() for atom in every], dtype=np.int64),
        np.array(held, dtype=np.int64),
        np.array(list(ranks), dtype=np.int64),
    )


def _place(value: object, known: Sequence[object]) -> int:
    return known.index(value) if value in known else len(known)


def solvent_place(solvent: str | None) -> int:
    """The place of a solvent in `SOLVENTS`; 0 where it is none of them."""
    return SOLVENTS.index(solvent) if solvent in SOLVENTS else 0


def collate(graphs: Sequence[Graph], solvents: Sequence[int]) -> GraphBatch:
    """Molecules, each with the place of its solvent, as one batch."""
    sizes = np.array([len(g.atoms) for g in graphs], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64) if len(graphs) else sizes

    def joined(rows: Sequence[np.ndarray], width: int) -> Tensor:
        return torch.from_numpy(np.concatenate([np.empty((0, width), np.int64), *rows]))

    return GraphBatch(
        torch.tensor(list(solvents), dtype=torch.int64),
        joined([g.atoms for g in graphs], len(ATOM_KINDS)),
        joined([g.bonds for g in graphs], len(BOND_KINDS)),
        joined([(g.edges + start).T for g, start in zip(graphs, starts, strict=True)], 2).T.contiguous(),
        torch.from_numpy(np.repeat(np.arange(len(graphs)), sizes)),
        torch.from_numpy(np.concatenate([np.empty(0, np.int64), *(g.numbers for g in graphs)])),
        torch.from_numpy(np.concatenate([np.empty(0, np.int64), *(g.hydrogens for g in graphs)])),
    )
