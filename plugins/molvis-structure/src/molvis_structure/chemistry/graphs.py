"""Molecules as graphs, with the node and edge features of DeepChem's `MolGraphConvFeaturizer(use_edges=True)`.

30 node features: atom type (C, N, O, F, P, S, Cl, Br, I, other), formal charge, hybridization (sp, sp2, sp3), hydrogen
bonding (donor, acceptor), aromatic, degree (0 to 5, other), number of hydrogens (0 to 4, other).
11 edge features: bond type (single, double, triple, aromatic), in a ring, conjugated, stereo (none, any, Z, E, other).
Definition: DeepChem, deepchem/feat/molecule_featurizers/mol_graph_conv_featurizer.py and
deepchem/utils/molecule_feature_utils.py (the latter alone documents that degree and hydrogens have an `other`), after
S. Kearnes et al., J. Comput. Aided Mol. Des. 30 (2016) 595, doi:10.1007/s10822-016-9938-8.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from rdkit import RDConfig
from rdkit.Chem import ChemicalFeatures

from molvis_core.chemistry.structures import parse_smiles

ATOMS = ("C", "N", "O", "F", "P", "S", "Cl", "Br", "I")
_HYBRIDIZATIONS = ("SP", "SP2", "SP3")
_BONDS = ("SINGLE", "DOUBLE", "TRIPLE", "AROMATIC")
_STEREO = ("STEREONONE", "STEREOANY", "STEREOZ", "STEREOE")
NODE_FEATURES = 30
EDGE_FEATURES = 11


@functools.cache
def _hydrogen_bonding() -> ChemicalFeatures.MolChemicalFeatureFactory:
    return ChemicalFeatures.BuildFeatureFactory(  # ty: ignore[missing-attribute] - RDKit adds it
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
