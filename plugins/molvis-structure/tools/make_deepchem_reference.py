"""Make `tests/data/deepchem_features.npz`: features by DeepChem's MolGraphConvFeaturizer(use_edges=True).

    python plugins/molvis-structure/tools/make_deepchem_reference.py
    python plugins/molvis-structure/tools/make_deepchem_reference.py structures.parquet 2500

Wants DeepChem 2.8 beside molvis-structure. The second form writes nothing: it compares DeepChem with `featurise` on so
many structures of a table, drawn at random, and fails where a bit differs. DeepChem refuses graphs without a bond; of
those it is asked atom by atom.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from deepchem.feat import MolGraphConvFeaturizer
from deepchem.feat.molecule_featurizers.mol_graph_conv_featurizer import _construct_atom_feature
from deepchem.utils.molecule_feature_utils import construct_hydrogen_bonding_info
from rdkit import Chem, rdBase
from reference_molecules import MOLECULES

from molvis_structure.chemistry.graphs import EDGE_FEATURES, featurise

OUT = Path(__file__).parents[1] / "tests" / "data" / "deepchem_features.npz"


def of_deepchem(smiles: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Node features, edge features, edges, and the order into which DeepChem brings the atoms of a SMILES."""
    mol = Chem.MolFromSmiles(smiles)
    order = np.array(Chem.CanonicalRankAtoms(mol))
    if mol.GetNumBonds():
        (graph,) = MolGraphConvFeaturizer(use_edges=True).featurize([smiles])
        return graph.node_features, graph.edge_features, graph.edge_index, order
    mol = Chem.RenumberAtoms(mol, order.tolist())
    bonding = construct_hydrogen_bonding_info(mol)
    atoms = np.array([_construct_atom_feature(atom, bonding, False, False) for atom in mol.GetAtoms()], dtype=float)
    return atoms, np.zeros((0, EDGE_FEATURES)), np.zeros((2, 0), int), order


def make() -> None:
    """Write the reference file."""
    made = [of_deepchem(smiles) for smiles in MOLECULES]
    atoms, bonds = (np.concatenate(parts) for parts in list(zip(*made, strict=True))[:2])
    for array in (atoms, bonds):
        assert np.array_equal(array, array.astype(np.int8))
    OUT.parent.mkdir(exist_ok=True)
    np.savez_compressed(
        OUT,
        smiles=np.array(MOLECULES),
        atoms=atoms.astype(np.int8),
        bonds=bonds.astype(np.int8),
        edges=np.concatenate([m[2] for m in made], axis=1).astype(np.int16),
        order=np.concatenate([m[3] for m in made]).astype(np.int16),
        atom_counts=np.array([len(m[0]) for m in made], dtype=np.int16),
        bond_counts=np.array([len(m[1]) for m in made], dtype=np.int16),
        rdkit=np.array(rdBase.rdkitVersion),
    )
    sys.stdout.write(f"{OUT}: {len(MOLECULES)} molecules, {OUT.stat().st_size} bytes\n")


def compare(table: str, count: int) -> None:
    """Raise where a feature of one of so many structures differs."""
    import pyarrow.parquet as pq

    smiles = pq.read_table(table, columns=["smiles"])["smiles"].to_pylist()
    drawn = np.random.default_rng(0).choice(len(smiles), count, replace=False)
    for one in (smiles[i] for i in drawn):
        atoms, bonds, edges, order = of_deepchem(one)
        ours = featurise(one)
        wanted = (ours[0][order], ours[1], np.argsort(order)[ours[2]])
        if not all(np.array_equal(a, b) for a, b in zip(wanted, (atoms, bonds, edges), strict=True)):
            raise SystemExit(f"{one}: the features differ")
    sys.stdout.write(f"{count} structures: every bit is the same\n")


if __name__ == "__main__":
    compare(sys.argv[1], int(sys.argv[2])) if len(sys.argv) > 1 else make()
