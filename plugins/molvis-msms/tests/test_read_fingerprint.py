"""`read-fingerprint` and `fingerprint-map`: encoders that learn together, apart from others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from fingerprint_samples import queries, spectrum

from molvis_core.chemistry.structures import structure
from molvis_core.errors import ConfigError
from molvis_core.records import RankedQuery
from molvis_core.testing import EncoderContract
from molvis_files.kept import Kept
from molvis_msms.encoders.read_fingerprint import FingerprintMap, ReadFingerprint
from molvis_msms.fingerprint import bits
from molvis_msms.fingerprint.compression import compressed
from molvis_msms.fingerprint.network import Bag, FingerprintNetwork
from molvis_msms.fingerprint.state import mean_weights
from molvis_nn.apart import LearnsApart

SMALL: dict[str, Any] = {
    "dim": 33, "width": 24, "hidden": 32, "networks": 1, "tokens": 400, "epochs": 10, "dropout": 0.1,
}  # fmt: skip
Pair = tuple[ReadFingerprint, FingerprintMap]


def fresh() -> Pair:
    torch.manual_seed(3)
    return ReadFingerprint(**SMALL).eval(), FingerprintMap(SMALL["dim"]).eval()


@pytest.fixture(scope="module")
def learned() -> Pair:
    read, mapped = fresh()
    figures = read.learn(mapped, queries(held_out=False), queries(held_out=True), seed=1)
    assert figures["kept"] == pytest.approx(1, abs=0.05)
    return read, mapped


def vectors(encoder: Any, records: Sequence[Any]) -> np.ndarray:
    with torch.inference_mode():
        return encoder(encoder.collate(records)).numpy()


def share_first(pair: Pair, asked: Sequence[RankedQuery]) -> float:
    read, mapped = pair
    hits = [
        float(np.argmax(vectors(mapped, q.candidates) @ vectors(read, [q.record])[0]) == q.truth) for q in asked
    ]  # fmt: skip
    return float(np.mean(hits))


class TestReadFingerprint(EncoderContract):
    @pytest.fixture
    def encoder(self, learned: Pair) -> ReadFingerprint:
        return learned[0]

    @pytest.fixture
    def spec(self) -> dict[str, Any]:
        return {"use": "read-fingerprint", **SMALL}


class TestFingerprintMap(EncoderContract):
    @pytest.fixture
    def encoder(self, learned: Pair) -> FingerprintMap:
        return learned[1]

    @pytest.fixture
    def spec(self) -> dict[str, Any]:
        return {"use": "fingerprint-map", "dim": SMALL["dim"]}


def test_what_it_learned_ranks_the_compounds_of_spectra_that_it_has_not_seen(learned: Pair) -> None:
    asked = queries(held_out=True)
    assert share_first(learned, asked) > 2 * np.mean([1 / len(q.candidates) for q in asked])


def test_another_compounds_peaks_do_not_find_the_truth(learned: Pair) -> None:
    asked = queries(held_out=True)
    swapped = [replace(q, record=replace(q.record, mz=o.record.mz, intensity=o.record.intensity))
               for q, o in zip(asked, asked[7:] + asked[:7], strict=True)]  # fmt: skip
    assert share_first(learned, swapped) < share_first(learned, asked) - 0.2


def test_without_a_peak_that_it_knows_all_structures_are_alike(learned: Pair) -> None:
    read, mapped = learned
    rows = vectors(read, [spectrum([]), spectrum([1999.5], precursor=2500.0), spectrum([300.0])])
    assert np.allclose(rows, np.eye(read.dim)[-1])
    assert not (rows @ vectors(mapped, [structure("CCO"), structure("c1ccccc1")]).T).any()


def test_structures_lie_where_their_fingerprints_do(learned: Pair) -> None:
    _, mapped = learned
    rows = vectors(mapped, [structure("OCc1ccccc1"), structure("C(O)c1ccccc1"), structure("CC#N")])
    assert np.array_equal(rows[0], rows[1])
    assert rows[0] @ rows[2] < 0.99


def test_vectors_that_hold_all_directions_give_the_networks_own_match() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    frequency = rng.uniform(0.1, 0.9, 40)
    networks = [FingerprintNetwork(5, 3, 6, 8, frequency, 0.0).eval() for _ in range(2)]
    bits = rng.random((60, 40)) < frequency
    bag = Bag.of([(np.array([0, 3]), np.ones(2, np.float32)), (np.array([4]), np.ones(1, np.float32))], np.eye(2, 3))
    with torch.inference_mode():
        inner = np.concatenate([n.inner(bag).numpy() for n in networks], axis=1)
    match = mean_weights(networks, bag) @ (bits - frequency).T
    bias = np.mean([n.match.bias.detach().numpy() for n in networks], axis=0) @ (bits - frequency).T
    whole = compressed(networks, bits, frequency, 20)
    assert whole.kept == pytest.approx(1)
    vectors = (bits - frequency) @ whole.structures
    assert np.allclose(inner @ whole.spectra.T @ vectors.T, match - bias, atol=1e-5)
    short = compressed(networks, bits, frequency, 4)
    assert 0.3 < short.kept < 1
    assert np.allclose(short.structures, whole.structures[:, :4], atol=1e-6)


def test_more_tokens_than_there_is_room_for_are_those_of_most_compounds() -> None:
    read, mapped = ReadFingerprint(**{**SMALL, "tokens": 12, "epochs": 1}).eval(), FingerprintMap(SMALL["dim"])
    read.learn(mapped, queries(held_out=False), queries(held_out=True))
    assert (read.get_buffer("keys") < torch.iinfo(torch.int64).max).sum() == 12
    assert (read.get_buffer("keys").diff() > 0).all()


@pytest.mark.parametrize("other", [FingerprintMap(12), torch.nn.Identity()])
def test_it_refuses_another_encoder_on_the_other_side(other: torch.nn.Module) -> None:
    read, _ = fresh()
    assert isinstance(read, LearnsApart)
    with pytest.raises(ConfigError, match="learns with fingerprint-map of the same length, here dim = 33"):
        read.learn(other, queries(held_out=False), queries(held_out=True))


@pytest.mark.parametrize(("name", "value"), [("dim", 1), ("tokens", 0), ("networks", 0), ("dropout", 1.0)])
def test_arguments_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"read-fingerprint: {name}"):
        ReadFingerprint(**{**SMALL, name: value})
    if name == "dim":
        with pytest.raises(ConfigError, match="fingerprint-map: dim"):
            FingerprintMap(1)


def test_fingerprints_made_ahead_are_those_that_are_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    some = [structure(smiles) for smiles in ("CCO", "CC(=O)Oc1ccccc1C(=O)O", "CCO", "c1ccncc1")]
    wanted = bits.packed_fingerprints(some)
    monkeypatch.setattr(bits, "_kept", Kept(bits._packed, 3))
    seen: list[tuple[int, int]] = []
    FingerprintMap(dim=8).featurise(some, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (3, 3)
    assert [one.smiles in bits._kept for one in some] == [True] * 4
    np.testing.assert_array_equal(bits.packed_fingerprints(some), wanted)
    bits.packed_fingerprints([structure("CCN")])  # one more than are kept: it begins anew
    assert len(bits._kept) == 1
    assert "CCN" in bits._kept
