"""Molecules as graphs, with the node and edge features of DeepChem's `MolGraphConvFeaturizer(use_edges=True)`.

30 node features: atom type (C, N, O, F, P, S, Cl, Br, I, other), formal charge, hybridization (sp, sp2, sp3), hydrogen
bonding (donor, acceptor), aromatic, degree (0 to 5, other), number of hydrogens (0 to 4, other).
11 edge features: bond type (single, double, triple, aromatic), in a ring, conjugated, stereo (none, any, Z, E, other).
Definition: DeepChem, deepchem/feat/molecule_featurizers/mol_graph_conv_featurizer.py and
deepchem/utils/molecule_feature_utils.py (the latter alone says that degree and hydrogens have an `other`), after
S. Kearnes et al., J. Comput. Aided Mol. Des. 30 (2016) 595, doi:10.1007/s10822-016-9938-8.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int64
from rdkit import RDConfig
from rdkit.Chem import ChemicalFeatures
from torch import Tensor

from molvis_core.identity import parse_smiles

ATOMS = ("C", "N", "O", "F", "P", "S", "Cl", "Br", "I")
_HYBRIDIZATIONS = ("SP", "SP2", "SP3")
_BONDS = ("SINGLE", "DOUBLE", "TRIPLE", "AROMATIC")
_STEREO = ("STEREONONE", "STEREOANY", "STEREOZ", "STEREOE")
NODE_FEATURES = 30
EDGE_FEATURES = 11


@dataclass(frozen=True, eq=False)
class GraphBatch:
    """Molecules as one large graph.

    Attributes:
        atoms: features of atoms.
        bonds: features of bonds, each bond in both directions.
        edges: from which atom to which.
        owner: which molecule an atom is in.
        count: number of molecules.
    """

    atoms: Float[Tensor, "a 30"]
    bonds: Float[Tensor, "b 11"]
    edges: Int64[Tensor, "2 b"]
    owner: Int64[Tensor, " a"]
    count: int

    def __len__(self) -> int:
        return self.count

    def to(self, device: torch.device | str) -> GraphBatch:
        """The same batch on another device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> GraphBatch:
        """What PyTorch's DataLoader calls when it pins."""
        return self._each(lambda tensor: tensor.pin_memory())

    def with_self_loops(self) -> GraphBatch:
        """The same with an edge from each atom to itself, whose features are 0, behind the others."""
        loops = torch.arange(len(self.atoms), device=self.edges.device).repeat(2, 1)
        bonds = torch.cat([self.bonds, self.bonds.new_zeros(len(self.atoms), EDGE_FEATURES)])
        return replace(self, bonds=bonds, edges=torch.cat([self.edges, loops], dim=1))

    def _each(self, act: Callable[[Tensor], Tensor]) -> GraphBatch:
        return GraphBatch(act(self.atoms), act(self.bonds), act(self.edges), act(self.owner), self.count)


@functools.cache
def _hydrogen_bonding() -> ChemicalFeatures.MolChemicalFeatureFactory:
    return ChemicalFeatures.BuildFeatureFactory(  # pyright: ignore[reportAttributeAccessIssue] - RDKit adds it
        f"{RDConfig.RDDataDir}/BaseFeatures.fdef"
    )


def _one_hot(value: object, known: Sequence[object], *, other: bool = False) -> list[float]:
    row = [float(value == k) for k in known]
    return [*row, float(not any(row))] if other else row


def featurise(smiles: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Node features "a 30", edge features "b 11" and edges "2 b" of one molecule.

    Raises:
        molvis_core.errors.StructureError: RDKit refuses the SMILES.
    """
    mol = parse_smiles(smiles)
    bonding = {
        (atom, feature.GetFamily())
        for feature in _hydrogen_bonding().GetFeaturesForMol(mol)
        for atom in feature.GetAtomIds()
    }
    atoms = [
        [
            *_one_hot(atom.GetSymbol(), ATOMS, other=True),
            float(atom.GetFormalCharge()),
            *_one_hot(str(atom.GetHybridization()), _HYBRIDIZATIONS),
            float((atom.GetIdx(), "Donor") in bonding),
            float((atom.GetIdx(), "Acceptor") in bonding),
            float(atom.GetIsAromatic()),
            *_one_hot(atom.GetTotalDegree(), range(6), other=True),
            *_one_hot(atom.GetTotalNumHs(), range(5), other=True),
        ]
        for atom in mol.GetAtoms()
    ]
    pairs: list[tuple[int, int]] = []
    bonds: list[list[float]] = []
    for bond in mol.GetBonds():
        row = [
            *_one_hot(str(bond.GetBondType()), _BONDS),
            float(bond.IsInRing()),
            float(bond.GetIsConjugated()),
            *_one_hot(str(bond.GetStereo()), _STEREO, other=True),
        ]
        a, b = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        pairs += [(a, b), (b, a)]
        bonds += [row, row]
    return (
        np.array(atoms, dtype=np.float32),
        np.array(bonds, dtype=np.float32).reshape(-1, EDGE_FEATURES),
        np.array(pairs, dtype=np.int64).reshape(-1, 2).T,
    )


def collate(parts: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> GraphBatch:
    """Featurised molecules as one batch."""
    sizes = np.array([len(p[0]) for p in parts], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]) if len(parts) else sizes
    none = (
        np.empty((0, NODE_FEATURES), np.float32),
        np.empty((0, EDGE_FEATURES), np.float32),
        np.empty((2, 0), np.int64),
    )
    edges = [p[2] + start for p, start in zip(parts, starts, strict=True)]
    return GraphBatch(
        torch.from_numpy(np.concatenate([none[0], *(p[0] for p in parts)])),
        torch.from_numpy(np.concatenate([none[1], *(p[1] for p in parts)])),
        torch.from_numpy(np.concatenate([none[2], *edges], axis=1)),
        torch.from_numpy(np.repeat(np.arange(len(parts)), sizes)),
        len(parts),
    )
