"""An encoder that gives everything one vector is reported, in training and in calibration, and gets no weight."""

from __future__ import annotations

import csv
import logging
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy
from torch import Tensor, nn

from molvis_core.chemistry.structures import structure
from molvis_core.plugins import Component, Plugin
from molvis_core.records import Measurement, PeakList
from molvis_core.testing import offer
from molvis_nn.concatenated import Concatenated
from molvis_retrieval.bundle import load_bundle
from molvis_retrieval.calibration import conditional_logit
from molvis_retrieval.calibration.weights import calibrate
from molvis_retrieval.config import RunConfig, parse_config
from molvis_retrieval.importing import write
from molvis_retrieval.training.collapse import collapses, spread, spread_metrics
from molvis_retrieval.training.loop import train

sys.path.insert(0, str(Path(__file__).parent))
import barcode

CONFIG = toy.CONFIG + toy.TRAIN + "epochs = 2\n"


class Flat(toy.Peaks):
    """Whatever the peaks are, nearly the same vector."""

    def forward(self, batch: toy.Features) -> Tensor:
        return nn.functional.normalize(1 + 1e-3 * self.layers(batch.values), dim=-1)


class Opposed(barcode.Spelled):
    """The vector of whatever the spectrum does not spell."""

    def forward(self, batch: toy.Features) -> Tensor:
        return -super().forward(batch)


PLUGIN = Plugin(
    "collapse", "molvis-collapse", "1.0", "test_collapse",
    (
        Component("encoder", "flat", "test_collapse:Flat", "Flat."),
        Component("encoder", "opposed", "test_collapse:Opposed", "Opposed."),
    ),
)  # fmt: skip


@pytest.fixture(autouse=True)
def toys() -> Iterator[None]:
    with offer(toy.PLUGIN, barcode.PLUGIN, PLUGIN):
        yield


def config(tmp_path: Path, encoder: str) -> RunConfig:
    items: list[Measurement] = []
    for number, text in enumerate("C" * n + tail for n in range(1, 9) for tail in ("O", "N", "S", "Cl", "F")):
        known = structure(text)
        mz = np.array([20.0 + ord(c) % 64 for c in known.smiles])
        items.append(Measurement(PeakList(mz, np.ones(len(mz))), known, "msms", fold="train" if number % 3 else "val"))
    write(items, tmp_path / "dataset")
    made = parse_config(CONFIG.replace("toy-peaks", encoder))
    return replace(made, data=replace(made.data, path=str(tmp_path / "dataset")))


def test_a_collapsed_encoder_is_told_in_the_log_the_summary_and_the_card(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "molvis"):
        result = train(config(tmp_path, "flat"), tmp_path / "run")
    told = [r.getMessage() for r in caplog.records]
    assert any("epoch 1: the encoder 'msms' has collapsed" in text and "learning_rate" in text for text in told)
    assert len(result.warnings) == 1
    bundle = load_bundle(tmp_path / "run" / "bundle")
    assert bundle.metadata["warnings"] == list(result.warnings)
    assert result.warnings[0] in (bundle.path / "CARD.md").read_text(encoding="utf-8")
    with (tmp_path / "run" / "metrics.csv").open() as file:
        assert float(next(csv.DictReader(file))["val_mean_cosine/msms"]) > 0.99


def test_an_encoder_that_tells_records_apart_is_not_called_collapsed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "molvis"):
        result = train(config(tmp_path, "toy-peaks"), tmp_path / "run")
    assert result.warnings == ()
    assert not [r for r in caplog.records if "collapsed" in r.getMessage()]
    assert "warnings" not in load_bundle(tmp_path / "run" / "bundle").metadata
    assert result.metrics["val_effective_rank/msms"] > 1.5


def test_a_fixed_part_does_not_hide_that_the_learned_one_collapsed() -> None:
    encoder = Concatenated([{"use": "flat"}, {"use": "neutral-mass", "of": "ion", "dim": 8}], [0.7, 0.3])
    rng = np.random.default_rng(0)
    learned, mass = np.ones((20, 8)) + 1e-3 * rng.normal(size=(20, 8)), rng.normal(size=(20, 8))
    parts = [w**0.5 * v / np.linalg.norm(v, axis=1, keepdims=True) for w, v in ((0.7, learned), (0.3, mass))]
    vectors = np.concatenate(parts, axis=1)
    assert collapses(spread_metrics("msms", nn.Identity(), vectors)) == []
    (text,) = collapses(spread_metrics("msms", encoder, vectors))
    assert "'msms.1' has collapsed" in text


def test_the_spread_of_known_vectors() -> None:
    assert spread(np.eye(5)) == pytest.approx((0.0, 5.0))
    assert spread(np.tile([[0.6, 0.8]], (9, 1))) == pytest.approx((1.0, 1.0), abs=1e-6)
    cosine, rank = spread(np.array([[1.0, 0.0], [-1.0, 0.0]]))
    assert (cosine, rank) == pytest.approx((-1.0, 1.0))
    assert spread_metrics("few", nn.Identity(), np.eye(3)) == {}


def test_no_cosine_counts_against_a_candidate(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = barcode.make_bundle(tmp_path / "good")
    index = barcode.make_index(good, tmp_path / "index")
    queries: list[Any] = [barcode.measurement(s, noise=0.7, seed=i) for i in range(2) for s in barcode.STRUCTURES[:21]]
    opposed = replace(good, _encoders={**good._encoders, "msms": Opposed(), "structure": good.encoder("structure")})
    with caplog.at_level(logging.WARNING, "molvis"):
        found = calibrate(opposed, queries, index)
    assert found.weights["msms"] == found.weights["msms.alone"] == 0
    assert any("the cosine of 'msms' gets weight 0" in r.getMessage() for r in caplog.records)
    caplog.clear()
    assert calibrate(good, queries, index).weights["msms"] > 0
    assert not caplog.records


def test_a_bounded_fit_is_the_best_of_those_allowed() -> None:
    rng = np.random.default_rng(3)
    true = np.array([1.5, -1.0, 0.7])
    cases: list[conditional_logit.Case] = []
    for _ in range(300):
        values = rng.normal(size=(6, 3))
        odds = np.exp(values @ true)
        cases.append((values, int(rng.choice(6, p=odds / odds.sum())), 1.0))

    def loss(weights: np.ndarray) -> float:
        return sum(float(np.log(np.exp(v @ weights).sum()) - (v @ weights)[t]) for v, t, _ in cases)

    free, none = conditional_logit.fit_bounded(cases, 0.0, ())
    assert none == {}
    np.testing.assert_allclose(free, true, atol=0.25)
    weights, held = conditional_logit.fit_bounded(cases, 0.0, (0, 1, 2))
    assert weights[1] == 0
    assert held[1] == pytest.approx(free[1])
    for column in range(3):
        for step in (-0.05, 0.05):
            moved = weights + step * np.eye(3)[column]
            assert moved.min() < 0 or loss(moved) > loss(weights)


def test_the_tensor_of_a_flat_encoder_is_nearly_one_vector() -> None:
    with torch.inference_mode():
        vectors = Flat()(toy.Features(torch.rand(20, 64))).numpy()
    assert spread(vectors)[0] > 0.999
