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
from molvis_retrieval.training.run import prepare

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


@pytest.fixture
def both(apart: RunConfig) -> RunConfig:
    """A part that is trained in steps, and behind it one that learns apart."""
    first = {"msms": {"use": "toy-peaks"}, "structure": {"use": "toy-letters"}}
    encoders = {key: {"use": "concatenated", "of": [first[key], spec]} for key, spec in apart.encoders.items()}
    return replace(apart, encoders=encoders, train=replace(apart.train, epochs=4, validate_every=2))


def test_other_parts_are_trained_in_steps_beside_them(apart: RunConfig, both: RunConfig, tmp_path: Path) -> None:
    train(apart, tmp_path / "alone")
    alone = load_trained(tmp_path / "alone").encoder("msms")
    result = train(both, tmp_path / "both")
    query = load_trained(tmp_path / "both").encoder("msms")
    assert (query.parts[1].seen == alone.seen).all()
    assert result.best_epoch in (2, 4)
    fresh = prepare(both).encoders["msms"]
    assert not (query.parts[0].layers[0].weight == fresh.parts[0].layers[0].weight).all()
    with (tmp_path / "both" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["epoch"]) for row in rows] == [2, 4]
    assert {float(row["examples"]) for row in rows} == {float(alone.seen.sum())}


def test_what_learned_apart_does_not_change_how_the_other_parts_are_trained(both: RunConfig, tmp_path: Path) -> None:
    both = replace(both, train=replace(both.train, validate_every=4))
    train(both, tmp_path / "both")
    single = {key: {"use": "concatenated", "of": spec["of"][:1]} for key, spec in both.encoders.items()}
    train(replace(both, encoders=single), tmp_path / "single")
    first, second = (load_file(tmp_path / run / "bundle" / "msms.safetensors") for run in ("single", "both"))
    for name in first:
        assert first[name].numpy() == pytest.approx(second[name].numpy(), abs=1e-4)


def test_a_run_of_both_goes_on_after_an_interruption(both: RunConfig, tmp_path: Path) -> None:
    def stop(state: TrainingProgress) -> None:
        if state.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(both, tmp_path / "run", progress=stop)
    messages: list[str] = []
    train(both, tmp_path / "run", progress=lambda state: messages.append(state.message))
    assert not any("places" in message for message in messages)
    train(both, tmp_path / "whole")
    first, second = (load_file(tmp_path / run / "bundle" / "structure.safetensors") for run in ("run", "whole"))
    assert all((first[name] == second[name]).all() for name in first)


def test_with_another_encoder_on_the_other_side_they_are_refused(apart: RunConfig, tmp_path: Path) -> None:
    mixed = replace(apart, encoders={**apart.encoders, "structure": {"use": "toy-letters"}})
    with pytest.raises(ConfigError, match="toy-places learns with toy-oxygens"):
        train(mixed, tmp_path / "run")


def test_without_structures_of_equal_mass_there_is_nothing_to_learn(apart: RunConfig, tmp_path: Path) -> None:
    (tmp_path / "other.structures").write_text("c1ccccc1\n")
    alone = replace(apart, negatives=replace(apart.negatives, path=str(tmp_path / "other.structures")))
    with pytest.raises(TrainingError, match="Name a library of structures with --negatives"):
        train(alone, tmp_path / "run")
