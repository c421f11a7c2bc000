"""`fingerprint-regression`: fingerprints predicted from spectra in closed form."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from fingerprint_samples import queries, spectrum

from molvis_core.errors import ConfigError, TrainingError
from molvis_core.testing import EncoderContract
from molvis_msms.encoders.fingerprint_regression import FingerprintRegression
from molvis_msms.encoders.read_fingerprint import FingerprintMap
from molvis_msms.fingerprint.spectra_kernel import SpectraKernel
from molvis_msms.fingerprint.tokens import tokens
from molvis_nn.apart import LearnsApart
from molvis_nn.regression import left_out

Pair = tuple[FingerprintRegression, FingerprintMap]
SMALL: dict[str, Any] = {"dim": 65, "penalty": 0.15, "epochs": 2, "differences": 0}
"""The peaks of the samples are drawn by chance, so that the differences between them mean nothing."""


def fresh(**other: Any) -> Pair:
    settings = {**SMALL, **other}
    return FingerprintRegression(**settings).eval(), FingerprintMap(settings["dim"]).eval()


@pytest.fixture(scope="module")
def learned() -> Pair:
    read, mapped = fresh()
    figures = read.learn(mapped, queries(held_out=False), queries(held_out=True), seed=1)
    assert figures["explained"] > 0.2
    assert figures["kept"] > 0.95
    assert figures["val_hit1"] > 0.3
    return read, mapped


def vectors(encoder: Any, records: Any) -> np.ndarray:
    with torch.inference_mode():
        return encoder(encoder.collate(records)).numpy()


def share_first(pair: Pair, asked: list[Any]) -> float:
    read, mapped = pair
    found = [vectors(mapped, q.candidates) @ vectors(read, [q.record])[0] for q in asked]
    return float(np.mean([np.argmax(scores) == q.truth for scores, q in zip(found, asked, strict=True)]))


class TestFingerprintRegression(EncoderContract):
    @pytest.fixture
    def encoder(self, learned: Pair) -> FingerprintRegression:
        return learned[0]

    @pytest.fixture
    def spec(self) -> dict[str, Any]:
        return {"use": "fingerprint-regression", **SMALL}


def test_it_ranks_the_compounds_of_spectra_that_it_has_not_seen_and_not_those_of_other_peaks(learned: Pair) -> None:
    asked = queries(held_out=True)
    chance = np.mean([1 / len(q.candidates) for q in asked])
    first = share_first(learned, asked)
    assert first > 2 * chance
    swapped = [replace(q, record=replace(q.record, mz=o.record.mz, intensity=o.record.intensity))
               for q, o in zip(asked, asked[7:] + asked[:7], strict=True)]  # fmt: skip
    assert share_first(learned, swapped) < first - 0.15


def test_the_map_that_prefers_is_learned_from_predictions_for_compounds_left_out(learned: Pair) -> None:
    plain, mapped = fresh(epochs=0)
    plain.learn(mapped, queries(held_out=False), queries(held_out=True), seed=1)
    turned, _ = learned
    size = SMALL["dim"] - 1
    assert np.array_equal(plain.array("preference"), np.eye(size))
    assert 1e-3 < np.abs(turned.array("preference") - np.eye(size)).max() < 0.5
    assert share_first(learned, queries(held_out=True)) >= share_first((plain, mapped), queries(held_out=True)) - 0.05


def test_without_a_peak_that_it_knows_all_structures_are_alike(learned: Pair) -> None:
    rows = vectors(learned[0], [spectrum([]), spectrum([1999.5], precursor=2500.0), spectrum([300.0])])
    assert np.allclose(rows, np.eye(SMALL["dim"])[-1])


def test_what_was_learned_fits_any_module_of_its_length(learned: Pair) -> None:
    read, _ = learned
    other, _ = fresh()
    some = [q.record for q in queries(held_out=True)[:5]]
    assert not np.array_equal(vectors(other, some), vectors(read, some))
    other.load_state_dict(read.state_dict())
    unused = len(pickle.dumps(other))
    assert np.array_equal(vectors(other, some), vectors(read, some))
    sent = pickle.dumps(other)
    assert len(sent) <= unused
    assert np.array_equal(vectors(pickle.loads(sent), some), vectors(read, some))


def test_a_group_left_out_is_predicted_as_if_it_had_not_been_there() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 3))
    kernel = np.exp(-0.5 * ((x[:, None] - x) ** 2).sum(-1))
    values, penalty = rng.normal(size=(12, 2)), rng.uniform(0.1, 0.4, 12)
    groups = [np.array([0, 5, 7]), np.array([1]), np.array([2, 3, 4, 6, 8, 9, 10, 11])]
    found, predicted = left_out(kernel, values, penalty, groups)
    assert np.allclose((kernel + np.diag(penalty)) @ found, values)
    for group in groups:
        rest = np.setdiff1d(np.arange(12), group)
        without = np.linalg.solve(kernel[np.ix_(rest, rest)] + np.diag(penalty[rest]), values[rest])
        assert np.allclose(predicted[group], kernel[np.ix_(group, rest)] @ without)


def test_rare_tokens_count_for_more_in_the_kernel_and_modes_are_apart() -> None:
    about = [spectrum([60.0, 90.0]), spectrum([60.0, 120.0]), spectrum([60.0, 90.0]), spectrum([60.0, 120.0])]
    cut = [tokens(one, 60) for one in about]
    kernel = SpectraKernel.of(
        [(t.key, t.weight) for t in cut], np.arange(4), np.array([False, False, False, True]), 1
    )  # fmt: skip
    alike = kernel.with_all(kernel.rows, kernel.negative)
    assert alike[0, 2] == pytest.approx(1, abs=1e-5)
    assert alike[0, 1] < alike[0, 2]
    assert alike[1, 3] == pytest.approx(0.5, abs=1e-5)
    # 60 is in all four and 90 in two: what is shared is the common peak alone, and counts for less than its height.
    same_height = np.exp(3 * (0.5 - 1))
    assert alike[0, 1] < same_height


def test_spectra_with_the_same_losses_between_other_fragments_are_alike_in_either_mode() -> None:
    peaks = [100.0, 118.0106, 146.0055]
    one, moved = spectrum(peaks), spectrum([mz + 31.3 for mz in peaks], precursor=391.7)
    negative, other = replace(moved, ionmode="negative"), spectrum([100.0, 121.5, 149.9])
    apart = np.exp(-3)
    for differences, expected in ((0, apart), (5, np.exp(-3 * 0.6))):
        cut = [tokens(each, 60, differences) for each in (one, moved, negative, other)]
        modes = np.array([False, False, True, False])
        kernel = SpectraKernel.of([(t.key, t.weight) for t in cut], np.arange(4), modes, 1)
        alike = kernel.with_all(kernel.rows, modes)
        assert np.allclose(np.diag(alike), 1, atol=1e-5)
        assert alike[0, 1] == pytest.approx(expected, abs=0.02)
        assert alike[0, 2] == pytest.approx(alike[0, 1] / 2, abs=1e-5)
        assert alike[1, 3] == pytest.approx(apart, abs=0.02)


def test_more_spectra_than_it_may_learn_from_are_thinned_out() -> None:
    read, mapped = fresh(most=40, epochs=0)
    read.learn(mapped, queries(held_out=False), queries(held_out=True))
    assert len(read.array("coefficients")) == 40


@pytest.mark.parametrize("other", [FingerprintMap(12), torch.nn.Identity()])
def test_it_refuses_another_encoder_on_the_other_side(other: torch.nn.Module) -> None:
    read, _ = fresh()
    assert isinstance(read, LearnsApart)
    with pytest.raises(ConfigError, match="fingerprint-regression learns with fingerprint-map of the same length"):
        read.learn(other, queries(held_out=False), queries(held_out=True))


def test_compounds_whose_fingerprints_do_not_differ_teach_nothing() -> None:
    one = queries(held_out=False)[:2]
    read, mapped = fresh()
    with pytest.raises(TrainingError, match="do not differ"):
        read.learn(mapped, one, one)


@pytest.mark.parametrize(
    ("name", "value"), [("dim", 1), ("epochs", -1), ("penalty", 0.0), ("most", 1), ("min_compounds", 0)]
)
def test_arguments_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"fingerprint-regression: {name}"):
        FingerprintRegression(**{**SMALL, name: value})
