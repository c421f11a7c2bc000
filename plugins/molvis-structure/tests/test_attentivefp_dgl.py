"""Ours and DGL-LifeSci's AttentiveFP are one function of the same weights."""

from __future__ import annotations

import importlib
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from molvis_core.errors import ConfigError
from molvis_core.registry import build
from molvis_core.testing import EncoderContract
from molvis_core.testing.synthetic import synthetic_structures
from molvis_structure.chemistry.graphs import featurise
from molvis_structure.encoders.attentivefp import AttentiveFPEncoder
from molvis_structure.encoders.attentivefp_dgl import attentivefp_dgl, from_dgl, to_dgl
from molvis_structure.encoders.graph_batch import GraphBatch, collate

# Made by tools/make_dgl_reference.py with DGL 1.1.3 and DGL-LifeSci 0.3.2.
with safe_open(Path(__file__).parent / "data" / "dgl_attentivefp.safetensors", "pt") as reference:
    ABOUT: dict[str, str] = reference.metadata()
    TENSORS: dict[str, Tensor] = {name: reference.get_tensor(name) for name in reference.keys()}  # noqa: SIM118
BATCH = collate([featurise(smiles) for smiles in ABOUT["smiles"].split("\n")])
WEIGHTS = {name.removeprefix("weights."): t for name, t in TENSORS.items() if name.startswith("weights.")}
SIZES: dict[str, Any] = {
    "dim": TENSORS["rows"].shape[1],
    "width": WEIGHTS["predict.1.weight"].shape[1],
    "layers": int(ABOUT["layers"]),
    "timesteps": int(ABOUT["timesteps"]),
}


@pytest.fixture
def dgl() -> Any:
    """DGL, whose import warns of what is old in it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            importlib.import_module("dgllife.model")
            return importlib.import_module("dgl")
        except ImportError as error:
            pytest.skip(f"DGL-LifeSci is not installed ({error}): pip install 'molvis-structure[dgl]'")


def _network_rows(encoder: AttentiveFPEncoder, batch: GraphBatch, dtype: torch.dtype = torch.float64) -> Tensor:
    """Before they are made unit vectors, in a precision of our choice."""
    return encoder.network.to(dtype)(batch.atoms.to(dtype), batch.edges, batch.bonds.to(dtype), batch.owner)


def _ours() -> AttentiveFPEncoder:
    encoder = AttentiveFPEncoder(**SIZES, form="dgl-lifesci").eval()
    encoder.network.load_state_dict(from_dgl(WEIGHTS))
    return encoder


@pytest.mark.parametrize(("name", "self_loops"), [("rows", False), ("rows_self_loops", True)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_it_says_what_dgl_said(name: str, self_loops: bool, dtype: torch.dtype, tolerance: float) -> None:
    encoder, wanted = _ours(), TENSORS[name]
    with torch.no_grad():
        rows = _network_rows(encoder, BATCH.with_self_loops() if self_loops else BATCH, dtype)
    torch.testing.assert_close(rows.double(), wanted, atol=tolerance, rtol=0)
    assert len(wanted) >= 50
    assert wanted.std(0).min() > 1000 * tolerance


def test_self_loops_make_a_difference_even_to_lone_atoms() -> None:
    apart = (TENSORS["rows"] - TENSORS["rows_self_loops"]).abs().amax(1)
    assert apart.min() > 1e-6


def test_weights_come_back_as_they_went() -> None:
    there = from_dgl(WEIGHTS)
    assert there.keys() == _ours().network.state_dict().keys()
    back = to_dgl(there)
    assert back.keys() == WEIGHTS.keys()
    assert all(back[name] is tensor for name, tensor in WEIGHTS.items())


def test_weights_of_the_other_form_are_refused() -> None:
    other = AttentiveFPEncoder(dim=4, width=6).network.state_dict()
    with pytest.raises(ConfigError, match=r"'gate_conv\.att_l' is no weight of the network of attentivefp with form"):
        to_dgl({name: other[name] for name in ("gate_conv.att_l",)})
    with pytest.raises(ConfigError, match="is no weight of DGL-LifeSci's AttentiveFPPredictor, which has: gnn"):
        from_dgl(other)


def test_the_form_that_was_there_before_stays_the_default() -> None:
    names = AttentiveFPEncoder(dim=4, width=6).state_dict()
    assert "network.gate_conv.att_l" in names


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"form = 'dgl-lifescy'\. Did you mean 'dgl-lifesci'\?"):
        build("encoder", {"use": "attentivefp", "form": "dgl-lifescy"})


def test_without_dgl_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dgl", None)
    with pytest.raises(ConfigError, match=r"pip install 'molvis-structure\[dgl\]'"):
        build("encoder", "attentivefp-dgl")


OWN_FORM: list[dict[str, Any]] = [
    {"use": "attentivefp", "form": "dgl-lifesci", "dim": 8, "width": 12},
    {"use": "attentivefp", "form": "dgl-lifesci", "dim": 8, "width": 12, "layers": 1, "timesteps": 1},
    {"use": "attentivefp", "form": "dgl-lifesci", "dim": 8, "width": 12, "self_loops": True},
    {"use": "attentivefp", "dim": 8, "width": 12, "self_loops": True},
]


class TestOwnForm(EncoderContract):
    @pytest.fixture(params=OWN_FORM, ids=lambda spec: " ".join(map(str, spec.values())))
    def spec(self, request: pytest.FixtureRequest) -> dict[str, Any]:
        return request.param

    @pytest.fixture
    def encoder(self, spec: dict[str, Any]) -> Any:
        return build("encoder", spec)


def test_dropout_drops() -> None:
    encoder = build("encoder", {"use": "attentivefp", "form": "dgl-lifesci", "dim": 8, "width": 12, "dropout": 0.5})
    batch = encoder.collate(synthetic_structures(4))
    assert not torch.equal(encoder.train()(batch), encoder(batch))
    assert torch.equal(encoder.eval()(batch), encoder(batch))


def test_it_runs_in_reduced_precision() -> None:
    encoder = _ours()
    batch = encoder.collate(synthetic_structures(4))
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        rough = encoder(batch)
    with torch.no_grad():
        torch.testing.assert_close(rough, encoder(batch), atol=0.05, rtol=0)


# With DGL itself.


@pytest.mark.usefixtures("dgl")
class TestDgl(EncoderContract):
    @pytest.fixture
    def spec(self) -> dict[str, Any]:
        return {"use": "attentivefp-dgl", "dim": 8, "width": 12}

    @pytest.fixture
    def encoder(self, spec: dict[str, Any]) -> Any:
        return build("encoder", spec)


@pytest.mark.usefixtures("dgl")
@pytest.mark.parametrize("self_loops", [False, True])
def test_dgl_and_ours_agree_in_rows_and_gradients(self_loops: bool) -> None:
    torch.manual_seed(1)
    theirs = attentivefp_dgl(dim=16, width=20, layers=3, timesteps=3)
    ours = AttentiveFPEncoder(dim=16, width=20, layers=3, timesteps=3, form="dgl-lifesci")
    model: Any = theirs.network.model
    ours.network.load_state_dict(from_dgl(model.state_dict()))
    batch = BATCH.with_self_loops() if self_loops else BATCH
    rows = {name: _network_rows(e, batch) for name, e in (("ours", ours), ("theirs", theirs))}
    torch.testing.assert_close(rows["ours"], rows["theirs"], atol=1e-12, rtol=0)
    weights = torch.randn(rows["ours"].shape, dtype=torch.float64)
    for found in rows.values():
        (found * weights).sum().backward()
    wanted = from_dgl({name: p.grad for name, p in model.named_parameters()})
    for name, parameter in ours.network.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted[name], atol=1e-10, rtol=1e-10)


@pytest.mark.usefixtures("dgl")
def test_dgl_stays_on_the_cpu() -> None:
    encoder = attentivefp_dgl(dim=4, width=6)
    with pytest.raises(ConfigError, match="runs on the CPU, not on meta"):
        encoder(BATCH.to("meta"))
