from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from molvis_core import structure
from molvis_core.errors import ConfigError, StructureError
from molvis_core.testing.synthetic import synthetic_structures
from molvis_structure.chemistry.graphs import EDGE_FEATURES, NODE_FEATURES, featurise
from molvis_structure.encoders.attentivefp import AttentiveFPEncoder
from molvis_structure.encoders.graph_batch import collate

# Where each feature of an atom begins, after the order of DeepChem's MolGraphConvFeaturizer.
TYPE, CHARGE, HYBRIDIZATION, DONOR, ACCEPTOR, AROMATIC, DEGREE, HYDROGENS = 0, 10, 11, 14, 15, 16, 17, 24
BOND, RING, CONJUGATED, STEREO = 0, 4, 5, 6


def _atom(kind: int, hybridization: int | None, degree: int, hydrogens: int, **more: float) -> list[float]:
    row = [0.0] * NODE_FEATURES
    row[TYPE + kind] = row[DEGREE + degree] = row[HYDROGENS + hydrogens] = 1
    if hybridization is not None:
        row[HYBRIDIZATION + hybridization] = 1
    places = {"charge": CHARGE, "donor": DONOR, "acceptor": ACCEPTOR, "aromatic": AROMATIC}
    for name, value in more.items():
        row[places[name]] = value
    return row


def _bond(kind: int, stereo: int = 0, **more: float) -> list[float]:
    row = [0.0] * EDGE_FEATURES
    row[BOND + kind] = row[STEREO + stereo] = 1
    for name, value in more.items():
        row[{"ring": RING, "conjugated": CONJUGATED}[name]] = value
    return row


CARBON, NITROGEN, OXYGEN, CHLORINE, OTHER = 0, 1, 2, 6, 9
SP, SP2, SP3 = 0, 1, 2


def test_ethanol_by_hand() -> None:
    atoms, bonds, edges = featurise("CCO")
    assert atoms.tolist() == [
        _atom(CARBON, SP3, 4, 3),
        _atom(CARBON, SP3, 4, 2),
        _atom(OXYGEN, SP3, 2, 1, donor=1, acceptor=1),
    ]
    assert bonds.tolist() == [_bond(0)] * 4
    assert edges.tolist() == [[0, 1, 1, 2], [1, 0, 2, 1]]


def test_pyridine_by_hand() -> None:
    atoms, bonds, _ = featurise("n1ccccc1")
    assert (
        atoms.tolist()
        == [_atom(NITROGEN, SP2, 2, 0, acceptor=1, aromatic=1)] + [_atom(CARBON, SP2, 3, 1, aromatic=1)] * 5
    )
    assert bonds.tolist() == [_bond(3, ring=1, conjugated=1)] * 12


def test_double_triple_and_stereo_bonds_by_hand() -> None:
    assert featurise("C#N")[1].tolist() == [_bond(2)] * 2
    assert featurise("F/C=C/F")[1][2].tolist() == _bond(1, stereo=3)
    assert featurise("F/C=C\\F")[1][2].tolist() == _bond(1, stereo=2)
    assert featurise("C#N")[0][0].tolist() == _atom(CARBON, SP, 2, 1)


def test_ions_and_rare_elements_by_hand() -> None:
    atoms, bonds, edges = featurise("[Na+].[Cl-]")
    assert atoms[0, OTHER] == atoms[1, TYPE + CHLORINE] == 1
    assert atoms[:, CHARGE].tolist() == [1, -1]
    assert bonds.shape == (0, EDGE_FEATURES)
    assert edges.shape == (2, 0)


def test_a_degree_or_a_number_of_hydrogens_beyond_the_list_counts_as_other() -> None:
    # Sulfur hexafluoride has six neighbours; the list ends at five.
    sulfur = featurise("S(F)(F)(F)(F)(F)F")[0][0]
    assert sulfur[DEGREE : DEGREE + 7].tolist() == [0, 0, 0, 0, 0, 0, 1]


def test_every_atom_has_one_type_one_degree_and_one_number_of_hydrogens() -> None:
    for one in synthetic_structures(12):
        atoms, bonds, edges = featurise(one.smiles)
        for start, stop in ((TYPE, CHARGE), (DEGREE, HYDROGENS), (HYDROGENS, NODE_FEATURES)):
            assert (atoms[:, start:stop].sum(1) == 1).all()
        assert (bonds[:, BOND:RING].sum(1) == 1).all()
        assert (bonds[:, STEREO:].sum(1) == 1).all()
        assert np.array_equal(edges[:, 0::2], edges[::-1, 1::2])


def test_a_batch_numbers_the_atoms_of_all_molecules() -> None:
    batch = collate([featurise("CO"), featurise("C"), featurise("CC")])
    assert batch.owner.tolist() == [0, 0, 1, 2, 2]
    assert batch.edges.tolist() == [[0, 1, 3, 4], [1, 0, 4, 3]]
    assert len(batch) == 3
    assert len(collate([])) == 0


def test_a_refused_smiles_is_named() -> None:
    with pytest.raises(StructureError, match="C1CC"):
        featurise("C1CC")


@pytest.fixture(scope="module")
def encoder() -> AttentiveFPEncoder:
    torch.manual_seed(0)
    return AttentiveFPEncoder(dim=8, width=12).eval()


@pytest.mark.parametrize("smiles", ["C", "[Na+]", "[Na+].[Cl-]", "CCO.Cl"])
def test_lone_atoms_and_separate_fragments_have_unit_vectors(encoder: AttentiveFPEncoder, smiles: str) -> None:
    row = encoder(encoder.collate([structure(smiles)]))
    assert row.shape == (1, 8)
    assert row.norm().item() == pytest.approx(1, abs=1e-5)
    among = encoder(encoder.collate([structure("CCO"), structure(smiles)]))[1]
    torch.testing.assert_close(row[0], among, atol=2e-5, rtol=0)


def test_the_order_of_atoms_does_not_matter(encoder: AttentiveFPEncoder) -> None:
    parts = [featurise("OC(=O)c1ccccc1N"), featurise("Nc1ccccc1C(O)=O")]
    one, other = encoder(collate(parts))
    torch.testing.assert_close(one, other, atol=2e-5, rtol=0)


def test_it_runs_in_reduced_precision(encoder: AttentiveFPEncoder) -> None:
    batch = encoder.collate(synthetic_structures(4))
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        rough = encoder(batch)
    assert rough.dtype == torch.float32
    with torch.no_grad():
        torch.testing.assert_close(rough, encoder(batch), atol=0.05, rtol=0)


def test_it_keeps_graphs_and_travels_without_them(encoder: AttentiveFPEncoder) -> None:
    encoder.featurise(synthetic_structures(6))
    kept = len(pickle.dumps(encoder))
    encoder.featurise(synthetic_structures(12))
    assert len(pickle.dumps(encoder)) == kept
    assert encoder.collate(synthetic_structures(12)).count == 12


def test_a_size_that_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="timesteps must be"):
        AttentiveFPEncoder(timesteps=0)


@pytest.mark.gpu
def test_a_gpu_gives_the_vectors_of_the_processor(encoder: AttentiveFPEncoder) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU")
    batch = encoder.collate(synthetic_structures(12))
    with torch.no_grad():
        wanted = encoder(batch)
        found = encoder.cuda()(batch.to("cuda")).cpu()
    encoder.cpu()
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)
