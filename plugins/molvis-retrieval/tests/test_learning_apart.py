"""Encoders that learn apart: from windows of their own, before all else, and without a step of the loop."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import toy
from safetensors.torch import load_file
from test_learning_scorers import CONFIG as SCORERS
from test_learning_scorers import config as ethers_config

from molvis_core.errors import BundleError, ConfigError, TrainingError
from molvis_core.testing import offer
from molvis_nn.loop import TrainingProgress
from molvis_retrieval.config import RunConfig
from molvis_retrieval.training.loop import load_trained, train

config = ethers_config
assert "[scorers.oxygen]" in SCORERS


@pytest.fixture(autouse=True)
def toys() -> Iterator[None]:
    with offer(toy.PLUGIN):
        yield


@pytest.fixture
def apart(config: RunConfig) -> RunConfig:
    encoders = {"msms": {"use": "toy-places"}, "structure": {"use": "toy-oxygens"}}
    return replace(config, encoders=encoders)


def test_what_they_learn_is_in_the_bundle_beside_the_scorers(apart: RunConfig, tmp_path: Path) -> None:
    result = train(apart, tmp_path / "run")
    bundle = load_trained(tmp_path / "run")
    assert bundle.encoder("msms").seen.sum() > 0
    assert bundle.scorers["oxygen"].weight > 0
    assert result.stopped == "done"
    assert result.metrics["val_mrr"] > 0.9
    with (tmp_path / "run" / "metrics.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["examples"]) == bundle.encoder("msms").seen.sum()
    assert float(row["val_mrr"]) == pytest.approx(result.metrics["val_mrr"])


def test_they_get_as_many_spectra_and_candidates_as_they_ask_for(apart: RunConfig, tmp_path: Path) -> None:
    few = replace(apart, encoders={**apart.encoders, "msms": {"use": "toy-places", "spectra": 1}})
    train(apart, tmp_path / "several")
    train(few, tmp_path / "one")
    several, one = (load_trained(tmp_path / run).encoder("msms").seen.sum() for run in ("several", "one"))
    assert several == 3 * one  # two energies that differ, and a sodium adduct


def test_as_parts_of_others_they_learn_too(apart: RunConfig, tmp_path: Path) -> None:
    masses = [{"use": "neutral-mass", "of": of, "dim": 8} for of in ("ion", "structure")]
    joined = {
        key: {"use": "concatenated", "of": [spec, mass]}
        for (key, spec), mass in zip(apart.encoders.items(), masses, strict=True)
    }
    train(replace(apart, encoders=joined), tmp_path / "run")
    assert load_trained(tmp_path / "run").encoder("msms").parts[0].seen.sum() > 0


def test_an_interrupted_run_goes_on_from_what_they_kept(apart: RunConfig, tmp_path: Path) -> None:
    def stop(state: TrainingProgress) -> None:
        if "places" in state.message:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(apart, tmp_path / "run", progress=stop)
    assert list((tmp_path / "run" / "encoders" / "0").iterdir())  # the encoder's own checkpoint
    train(apart, tmp_path / "run")
    assert not (tmp_path / "run" / "encoders" / "0").exists()
    train(apart, tmp_path / "whole")
    first, second = (load_file(tmp_path / run / "bundle" / "msms.safetensors") for run in ("run", "whole"))
    assert all((first[name] == second[name]).all() for name in first)


def test_a_run_that_is_done_learns_no_further(apart: RunConfig, tmp_path: Path) -> None:
    train(apart, tmp_path / "run")
    messages: list[str] = []
    train(apart, tmp_path / "run", progress=lambda state: messages.append(state.message))
    assert not any("places" in message for message in messages)
    train(apart, tmp_path / "run", resume=False, progress=lambda state: messages.append(state.message))
    assert any("places" in message for message in messages)


def test_a_damaged_file_of_theirs_is_named(apart: RunConfig, tmp_path: Path) -> None:
    train(apart, tmp_path / "run")
    (tmp_path / "run" / "encoders" / "0.safetensors").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"0\.safetensors: damaged: .* Train anew with --no-resume"):
        train(apart, tmp_path / "run")


def test_beside_encoders_that_are_trained_in_steps_they_are_refused(apart: RunConfig, tmp_path: Path) -> None:
    mixed = replace(apart, encoders={**apart.encoders, "structure": {"use": "toy-letters"}})
    with pytest.raises(ConfigError, match="this run has 'structure' beside them"):
        train(mixed, tmp_path / "run")


def test_without_structures_of_equal_mass_there_is_nothing_to_learn(apart: RunConfig, tmp_path: Path) -> None:
    (tmp_path / "other.structures").write_text("c1ccccc1\n")
    alone = replace(apart, negatives=replace(apart.negatives, path=str(tmp_path / "other.structures")))
    with pytest.raises(TrainingError, match="Name a library of structures with --negatives"):
        train(alone, tmp_path / "run")
