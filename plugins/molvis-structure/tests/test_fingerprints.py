from __future__ import annotations

import inspect
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem, DataStructs
from rdkit.Chem import AllChem

from molvis_core import structure
from molvis_core.errors import ConfigError, StructureError
from molvis_core.testing.synthetic import synthetic_structures
from molvis_structure.chemistry.descriptors import DESCRIPTORS, ELEMENTS, features
from molvis_structure.chemistry.fingerprints import KINDS, fingerprint, fingerprints, length, tanimoto
from molvis_structure.targets import Tanimoto

SMILES = [s.smiles for s in synthetic_structures(12)]


@pytest.mark.parametrize("smiles", SMILES)
def test_the_path_fingerprint_is_rdkits_with_the_settings_of_the_design(smiles: str) -> None:
    # Chem.RDKFingerprint takes every setting by the name that the design gives it.
    wanted = Chem.RDKFingerprint(
        Chem.MolFromSmiles(smiles),
        minPath=1,
        maxPath=7,
        fpSize=2048,
        nBitsPerHash=2,
        useHs=True,
        tgtDensity=0,
        minSize=128,
    )
    assert fingerprint(smiles).tolist() == [bool(b) for b in wanted]


def test_a_morgan_fingerprint_of_methane_has_one_bit_and_of_ethane_two() -> None:
    # Methane has one atom and nothing around it; ethane one kind of atom, and that atom with its neighbour.
    assert fingerprint("C", "morgan2").sum() == 1
    assert fingerprint("CC", "morgan2").sum() == 2
    assert fingerprint("CC", "morgan0").sum() == 1


def test_counts_tell_chains_apart_that_plain_bits_do_not() -> None:
    short, long = "C" * 8, "C" * 16
    assert (fingerprint(short, "morgan2") == fingerprint(long, "morgan2")).all()
    assert (fingerprint(short, "morgan2-counts") != fingerprint(long, "morgan2-counts")).any()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_the_length_it_announces(kind: str) -> None:
    found = fingerprint("CC(=O)Nc1ccc(O)cc1", kind, 512)
    assert found.shape == (length(kind, 512),)
    assert found.any()


def test_maccs_keys_of_ethanol_are_those_of_their_definitions() -> None:
    # Durant et al., J. Chem. Inf. Comput. Sci. 42 (2002) 1273: 139 is OH, 160 is CH3, 164 is O, 157 is C-O; 161 is N,
    # 163 a six-membered ring, 165 any ring.
    keys = fingerprint("CCO", "maccs")
    assert keys[[139, 157, 160, 164]].all()
    assert not keys[[161, 163, 165]].any()


def test_a_misspelt_kind_is_told_with_what_was_meant() -> None:
    with pytest.raises(ConfigError, match="no fingerprint 'morgan'.*Did you mean 'morgan[23]'"):
        fingerprint("C", "morgan")
    with pytest.raises(ConfigError, match="bits must be"):
        fingerprint("C", bits=0)


def test_a_refused_smiles_is_named() -> None:
    with pytest.raises(StructureError, match="C1CC"):
        fingerprint("C1CC")
    with pytest.raises(StructureError, match="refuses"):
        fingerprint("")


def test_several_kinds_lie_end_to_end() -> None:
    found = np.unpackbits(fingerprints(SMILES, ("maccs", "morgan2"), 128), axis=1, count=167 + 128).astype(bool)
    for row, smiles in zip(found, SMILES, strict=True):
        assert (row == np.concatenate([fingerprint(smiles, "maccs"), fingerprint(smiles, "morgan2", 128)])).all()
    assert fingerprints([], ("maccs",)).shape == (0, 21)


def test_tanimoto_agrees_with_rdkit() -> None:
    mols = [Chem.MolFromSmiles(s) for s in SMILES]
    generator = AllChem.GetMorganGenerator(radius=2, fpSize=1024)
    bits = [generator.GetFingerprint(m) for m in mols]
    theirs = [DataStructs.BulkTanimotoSimilarity(one, bits) for one in bits]
    ours = np.stack([fingerprint(s, "morgan2", 1024) for s in SMILES])
    np.testing.assert_allclose(tanimoto(ours, ours), theirs, atol=1e-6)


def test_tanimoto_of_sets_by_hand() -> None:
    a = np.array([[1, 1, 0, 0], [0, 0, 0, 0]], dtype=bool)
    b = np.array([[1, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]], dtype=bool)
    np.testing.assert_allclose(tanimoto(a, b), [[1 / 3, 1, 0], [0, 0, 0]])


def test_fingerprints_of_different_lengths_are_not_compared() -> None:
    # Under test the checker of shapes would answer before us.
    with pytest.raises(ValueError, match="4 and 8 bits"):
        inspect.unwrap(tanimoto)(np.zeros((1, 4), dtype=bool), np.zeros((1, 8), dtype=bool))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=8, max_size=8), min_size=1, max_size=6))
def test_tanimoto_is_symmetric_and_1_only_for_equal_sets(rows: list[list[bool]]) -> None:
    bits = np.array(rows, dtype=bool)
    found = tanimoto(bits, bits)
    assert ((found >= 0) & (found <= 1)).all()
    np.testing.assert_array_equal(found, found.T)
    equal = (bits[:, None] == bits[None, :]).all(-1) & bits.any(1)
    np.testing.assert_array_equal(found == 1, equal)


@pytest.mark.parametrize("kind", ["rdkit", "morgan2", "maccs"])
def test_the_target_is_the_tanimoto_similarity_in_numpy(kind: str) -> None:
    target = Tanimoto(kind, 512)
    query, reference = synthetic_structures(3), synthetic_structures(5)
    found, weight = target(target.collate(query), target.collate(reference))
    bits = np.stack([fingerprint(s.smiles, kind, 512) for s in reference])
    np.testing.assert_allclose(found.numpy(), tanimoto(bits[:3], bits), atol=1e-6)
    assert (weight == 1).all()


def test_the_target_is_exact_under_autocast() -> None:
    # Counts above 256 have no exact bfloat16.
    target = Tanimoto()
    batch = target.collate([structure("O=c1c(O)c(-c2ccc(O)c(O)c2)oc2cc(O)cc(O)c12"), structure("CCO")])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under, _ = target(batch, batch)
    assert torch.equal(under, target(batch, batch)[0])
    assert under.diagonal().tolist() == [1, 1]


def test_the_target_travels_without_what_it_keeps() -> None:
    target = Tanimoto()
    target.collate(synthetic_structures(6))
    assert len(pickle.dumps(target)) < 1000
    assert len(target.collate([])) == 0


def test_features_of_ethanol_by_hand() -> None:
    _, numbers = features("CCO", ("maccs",), 8)
    found = dict(zip((*ELEMENTS, *DESCRIPTORS), np.expm1(numbers), strict=True))
    # Topological polar surface area of a hydroxyl: 20.23 square angstrom, Ertl et al., J. Med. Chem. 43 (2000) 3714.
    wanted = {"C": 2, "H": 6, "O": 1, "donors": 1, "acceptors": 1, "sp3 share": 10, "polar area": 2.023}
    for name, value in found.items():
        assert value == pytest.approx(wanted.get(name, 0), abs=1e-4), name
