from __future__ import annotations

import copy
import pickle
from dataclasses import fields

import pytest
import torch
from torch_geometric.nn import FiLMConv

from molvis_core import structure
from molvis_core.errors import ConfigError, StructureError
from molvis_core.records import Structure
from molvis_core.registry import build
from molvis_core.testing import EncoderContract
from molvis_core.testing.synthetic import synthetic_structures
from molvis_structure.chemistry.motifs import ATOMS, FIRST_TYPE, RELATIONS
from molvis_structure.encoders import gldm as module
from molvis_structure.encoders.gldm import FiLMConvolution, GLDMEncoder, MotifBatch

SPECS = [
    {"use": "gldm", "dim": 8, "width": 8, "layers": 2},
    {"use": "gldm", "dim": 8, "width": 4, "layers": 12, "motifs": ["c1ccccc1", "CCO"], "dropout": 0.1},
]


class TestEncoder(EncoderContract):
    @pytest.fixture(params=SPECS, ids=lambda spec: f"{spec['layers']} layers")
    def spec(self, request: pytest.FixtureRequest) -> dict:
        return request.param

    @pytest.fixture
    def encoder(self, spec: dict):
        torch.manual_seed(0)
        return build("encoder", spec)


@pytest.fixture
def encoder() -> GLDMEncoder:
    torch.manual_seed(0)
    return GLDMEncoder(dim=8, width=8, layers=3).eval()


def _relation(batch: MotifBatch) -> torch.Tensor:
    return torch.repeat_interleave(torch.arange(RELATIONS), torch.tensor(batch.sizes))


def test_by_default_it_is_as_the_report_has_it() -> None:
    encoder = GLDMEncoder()
    assert (encoder.dim, encoder.joined, len(encoder.convolutions)) == (512, 64 * (12 + 1), 12)
    assert len(encoder.place) == 128


def test_the_convolution_is_that_of_pytorch_geometric(encoder: GLDMEncoder) -> None:
    torch.manual_seed(1)
    ours, theirs = FiLMConvolution(6, RELATIONS), FiLMConv(6, 6, RELATIONS)
    theirs.lin_skip.load_state_dict(ours.own.state_dict())
    theirs.film_skip.load_state_dict(ours.own_film.state_dict())
    theirs.lins.load_state_dict(ours.said.state_dict())
    theirs.films.load_state_dict(ours.film.state_dict())
    batch = encoder.collate(synthetic_structures(12))
    assert sum(size > 0 for size in batch.sizes) > 4
    x = torch.randn(len(batch.atoms), 6)
    torch.testing.assert_close(ours(x, batch), theirs(x, batch.edges, _relation(batch)), atol=1e-5, rtol=1e-5)


def test_edges_stand_in_the_order_of_their_kinds_and_each_kind_shares_one(encoder: GLDMEncoder) -> None:
    batch = encoder.collate(synthetic_structures(12))
    assert sum(batch.sizes) == batch.edges.shape[1]
    heard = torch.zeros(len(batch.atoms) * RELATIONS).index_add(
        0, batch.edges[1] * RELATIONS + _relation(batch), batch.share
    )
    assert set(heard.round(decimals=5).tolist()) == {0.0, 1.0}
    assert (batch.owner[batch.edges[0]] == batch.owner[batch.edges[1]]).all()


def test_the_order_of_atoms_does_not_matter(encoder: GLDMEncoder) -> None:
    records = [Structure(s, "A" * 14, "C7H7NO2", 137.0) for s in ("OC(=O)c1ccccc1N", "Nc1ccccc1C(O)=O")]
    one, other = encoder(encoder.collate(records))
    torch.testing.assert_close(one, other, atol=2e-5, rtol=0)


@pytest.mark.parametrize("pair", [("CCO", "CCCO"), ("c1ccccc1", "C1CCCCC1"), ("Cc1ccncc1", "Cc1cccnc1"), ("C", "CC")])
def test_different_molecules_have_different_vectors(encoder: GLDMEncoder, pair: tuple[str, str]) -> None:
    one, other = encoder(encoder.collate([structure(s) for s in pair]))
    assert (one - other).norm() > 1e-3


@pytest.mark.parametrize("smiles", ["C", "[Na+]", "[Na+].[Cl-]", "CCO.Cl"])
def test_lone_atoms_and_separate_fragments_have_unit_vectors(encoder: GLDMEncoder, smiles: str) -> None:
    row = encoder(encoder.collate([structure(smiles)]))
    assert row.norm().item() == pytest.approx(1, abs=1e-5)


def test_no_records_make_an_empty_batch(encoder: GLDMEncoder) -> None:
    assert encoder(encoder.collate([])).shape == (0, 8)


def test_it_runs_in_reduced_precision(encoder: GLDMEncoder) -> None:
    batch = encoder.collate(synthetic_structures(4))
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        rough = encoder(batch)
    assert rough.dtype == torch.float32
    with torch.no_grad():
        torch.testing.assert_close(rough, encoder(batch), atol=0.05, rtol=0)


def test_it_keeps_graphs_and_travels_without_them(encoder: GLDMEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(pickle.dumps(encoder))
    fresh = encoder.collate(synthetic_structures(6))
    encoder.featurise(synthetic_structures(12))
    assert len(pickle.dumps(encoder)) == before

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr(module, "typed", fail)
    kept = encoder.collate(synthetic_structures(6))
    assert all(_same(getattr(fresh, f.name), getattr(kept, f.name)) for f in fields(MotifBatch))


def _same(a: object, b: object) -> bool:
    return torch.equal(a, b) if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor) else a == b


def test_what_it_keeps_is_bounded(encoder: GLDMEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder._kept, "_most", 4)
    encoder.featurise(synthetic_structures(12))
    assert len(encoder._kept) == 4
    assert len(encoder.collate(synthetic_structures(12))) == 12
    assert len(encoder._kept) <= 4


def test_a_refused_smiles_is_named(encoder: GLDMEncoder) -> None:
    with pytest.raises(StructureError, match="C1CC"):
        encoder.collate([Structure("C1CC", "A" * 14, "C3H6", 42.047)])


def test_weights_learned_with_other_motifs_are_refused(encoder: GLDMEncoder) -> None:
    motifs = list(encoder.place)
    other = GLDMEncoder(dim=8, width=8, layers=3, motifs=motifs[::-1])
    with pytest.raises(RuntimeError, match="learned with other motifs"):
        other.load_state_dict(encoder.state_dict())
    GLDMEncoder(dim=8, width=8, layers=3, motifs=motifs).load_state_dict(encoder.state_dict())
    copy.deepcopy(encoder).load_state_dict(encoder.state_dict())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": 0}, "layers must be"),
        ({"width": 7}, "width must be even"),
        ({"motifs": "common"}, "no vocabulary of motifs 'common'"),
        ({"motifs": ["CC", "CC"]}, "'CC' comes twice"),
    ],
)
def test_what_cannot_be_is_told_when_it_is_made(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        GLDMEncoder(**options)


def test_whole_pieces_are_hidden_and_one_of_each_molecule_stays(encoder: GLDMEncoder) -> None:
    batch = encoder.collate(synthetic_structures(12))
    damaged, hidden, truth = encoder.hide(batch, 0.6, torch.Generator().manual_seed(1))
    assert 0 < hidden.sum() < len(hidden)
    for piece in batch.piece.unique():
        assert len(hidden[batch.piece == piece].unique()) == 1
    for molecule in range(12):
        assert not hidden[batch.owner == molecule].all()
    assert (damaged.atoms[hidden] == 0).all()
    assert torch.equal(damaged.atoms[~hidden], batch.atoms[~hidden])
    assert torch.equal(truth[:, 0] + FIRST_TYPE, batch.atoms[:, -1])
    assert truth.min() >= 0
    assert (truth.max(0).values < torch.tensor(encoder.classes)).all()
    assert encoder.classes[1] == len(ATOMS) + 1


def test_hidden_bonds_do_not_tell_that_they_are_within_a_motif(encoder: GLDMEncoder) -> None:
    batch = encoder.collate(synthetic_structures(12))
    damaged, hidden, _ = encoder.hide(batch, 0.6, torch.Generator().manual_seed(1))
    relation = _relation(damaged)
    assert (relation[hidden[damaged.edges[0]]] < RELATIONS // 2).all()
    assert sum(damaged.sizes) == sum(batch.sizes)
    assert (_relation(batch)[hidden[batch.edges[0]]] >= RELATIONS // 2).any()


@pytest.mark.gpu
def test_a_gpu_gives_the_vectors_of_the_processor(encoder: GLDMEncoder) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU")
    batch = encoder.collate(synthetic_structures(12))
    with torch.no_grad():
        wanted = encoder(batch)
        found = encoder.cuda()(batch.to("cuda")).cpu()
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)
