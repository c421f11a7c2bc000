"""The features of atoms and bonds are DeepChem's, bit for bit: against what it said, and against its definition."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem, RDConfig
from rdkit.Chem import ChemicalFeatures
from rdkit.Chem.rdchem import Atom, Bond, BondStereo, BondType, HybridizationType

from molvis_structure.chemistry.graphs import EDGE_FEATURES, NODE_FEATURES, featurise

# Made by tools/make_deepchem_reference.py with DeepChem 2.8.0.
REFERENCE = np.load(Path(__file__).parent / "data" / "deepchem_features.npz")
MOLECULES: list[str] = REFERENCE["smiles"].tolist()


def _said_by_deepchem() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    arrays = {name: REFERENCE[name] for name in REFERENCE.files}
    atom = bond = 0
    for atoms, bonds in zip(arrays["atom_counts"].tolist(), arrays["bond_counts"].tolist(), strict=True):
        a, b = slice(atom, atom + atoms), slice(bond, bond + bonds)
        yield arrays["atoms"][a], arrays["bonds"][b], arrays["edges"][:, b], arrays["order"][a]
        atom, bond = a.stop, b.stop


DEEPCHEM = dict(zip(MOLECULES, _said_by_deepchem(), strict=True))


@pytest.mark.parametrize("smiles", MOLECULES)
def test_every_bit_is_what_deepchem_says(smiles: str) -> None:
    atoms, bonds, edges = featurise(smiles)
    # DeepChem renumbers the atoms of a SMILES before it looks at them; we keep their order.
    said_atoms, said_bonds, said_edges, order = DEEPCHEM[smiles]
    assert np.array_equal(atoms[order], said_atoms)
    assert np.array_equal(bonds, said_bonds)
    assert np.array_equal(np.argsort(order)[edges], said_edges)


def test_the_reference_sets_every_feature_somewhere() -> None:
    assert (REFERENCE["atoms"] != 0).any(0).all()
    # Of stereo, `any` and `other` come from no SMILES; below they are set by hand.
    assert np.flatnonzero(~REFERENCE["bonds"].any(0)).tolist() == [7, 10]
    assert {-2, -1, 0, 1, 2} == set(REFERENCE["atoms"][:, 10].tolist())


# The definition, block by block. What lies outside of a list has a place of its own only where it says `other`.
ELEMENTS = {6: 0, 7: 1, 8: 2, 9: 3, 15: 4, 16: 5, 17: 6, 35: 7, 53: 8}
HYBRIDIZATIONS = {HybridizationType.SP: 0, HybridizationType.SP2: 1, HybridizationType.SP3: 2}
BONDS = {BondType.SINGLE: 0, BondType.DOUBLE: 1, BondType.TRIPLE: 2, BondType.AROMATIC: 3}
STEREO = {BondStereo.STEREONONE: 0, BondStereo.STEREOANY: 1, BondStereo.STEREOZ: 2, BondStereo.STEREOE: 3}


def _hot(size: int, place: int | None) -> list[float]:
    return [float(i == place) for i in range(size)]


def _bonding(atom: Atom) -> list[float]:
    factory = ChemicalFeatures.BuildFeatureFactory(f"{RDConfig.RDDataDir}/BaseFeatures.fdef")
    said = {f.GetFamily() for f in factory.GetFeaturesForMol(atom.GetOwningMol()) if f.GetAtomIds()[0] == atom.GetIdx()}
    return [float("Donor" in said), float("Acceptor" in said)]


ATOM_BLOCKS: dict[str, tuple[int, int, Callable[[Atom], list[float]]]] = {
    "element, other": (0, 10, lambda a: _hot(10, ELEMENTS.get(a.GetAtomicNum(), 9))),
    "formal charge as a number": (10, 11, lambda a: [float(a.GetFormalCharge())]),
    "hybridization": (11, 14, lambda a: _hot(3, HYBRIDIZATIONS.get(a.GetHybridization()))),
    "hydrogen bonding: donor, acceptor": (14, 16, _bonding),
    "aromatic": (16, 17, lambda a: [float(any(b.GetIsAromatic() for b in a.GetBonds()))]),
    "neighbours with hydrogens, other": (17, 24, lambda a: _hot(7, min(a.GetDegree() + _bare_hydrogens(a), 6))),
    "hydrogens, other": (24, 30, lambda a: _hot(6, min(_bare_hydrogens(a), 5))),
}
BOND_BLOCKS: dict[str, tuple[int, int, Callable[[Bond], list[float]]]] = {
    "type": (0, 4, lambda b: _hot(4, BONDS.get(b.GetBondType()))),
    "in a ring": (4, 5, lambda b: [float(b.GetOwningMol().GetRingInfo().NumBondRings(b.GetIdx()) > 0)]),
    "conjugated": (5, 6, lambda b: [float(b.GetIsConjugated())]),
    "stereo, other": (6, 11, lambda b: _hot(5, STEREO.get(b.GetStereo(), 4))),
}


def _bare_hydrogens(atom: Atom) -> int:
    """Those without an atom of their own in the graph."""
    return atom.GetNumExplicitHs() + atom.GetNumImplicitHs()


def test_the_blocks_fill_the_features() -> None:
    for blocks, length in ((ATOM_BLOCKS, NODE_FEATURES), (BOND_BLOCKS, EDGE_FEATURES)):
        borders = [(start, stop) for start, stop, _ in blocks.values()]
        assert [0, *(stop for _, stop in borders)] == [*(start for start, _ in borders), length]


@pytest.mark.full
@pytest.mark.parametrize("block", ATOM_BLOCKS)
def test_a_block_of_an_atom_is_as_defined(block: str) -> None:
    start, stop, wanted = ATOM_BLOCKS[block]
    for smiles in MOLECULES:
        rows = featurise(smiles)[0][:, start:stop]
        assert rows.tolist() == [wanted(atom) for atom in Chem.MolFromSmiles(smiles).GetAtoms()], smiles


@pytest.mark.parametrize("block", BOND_BLOCKS)
def test_a_block_of_a_bond_is_as_defined_in_both_directions(block: str) -> None:
    start, stop, wanted = BOND_BLOCKS[block]
    for smiles in MOLECULES:
        rows = featurise(smiles)[1][:, start:stop]
        bonds = [wanted(bond) for bond in Chem.MolFromSmiles(smiles).GetBonds()]
        assert rows[0::2].tolist() == rows[1::2].tolist() == bonds, smiles


@pytest.mark.parametrize(("stereo", "place"), [(BondStereo.STEREOANY, 1), (BondStereo.STEREOCIS, 4)])
def test_unknown_and_other_stereo_have_their_places(
    monkeypatch: pytest.MonkeyPatch, stereo: BondStereo, place: int
) -> None:
    mol = Chem.MolFromSmiles("CC=CC")
    mol.GetBondWithIdx(1).SetStereoAtoms(0, 3)
    mol.GetBondWithIdx(1).SetStereo(stereo)
    monkeypatch.setattr("molvis_structure.chemistry.graphs.parse_smiles", lambda _: mol)
    assert featurise("CC=CC")[1][2, 6:].tolist() == _hot(5, place)
