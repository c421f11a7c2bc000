"""Scorers that learn: what they learn from, how they go on after an interruption, and how a bundle keeps it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import toy

from molvis_core.chemistry.adducts import ion_mz
from molvis_core.chemistry.structures import structure
from molvis_core.errors import BundleError, ConfigError, RecordError
from molvis_core.records import Measurement, PeakList, RankedQuery
from molvis_core.testing import ScorerContract, offer
from molvis_nn.loop import TrainingProgress
from molvis_retrieval.bundle import Bundle, load_bundle, save_bundle
from molvis_retrieval.config import RunConfig, parse_config
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.importing import write
from molvis_retrieval.library import Library
from molvis_retrieval.training.loop import load_trained, train
from molvis_retrieval.training.windows import Windows

SCORER = """
[scorers.oxygen]
use = "toy-oxygen"
[windows]
candidates = 4
"""
CONFIG = toy.CONFIG + SCORER + toy.TRAIN + "epochs = 1\n"


@pytest.fixture(autouse=True)
def toys() -> Iterator[None]:
    with offer(toy.PLUGIN):
        yield


def ethers() -> dict[str, str]:
    """Chains with an oxygen at each place, by fold. Chains of one length weigh the same."""
    chains = {f"{'C' * before}O{'C' * (length - before)}": before for length in range(4, 13) for before in (1, 2)}
    folds = ("train", "train", "train", "val", "test")
    return {smiles: folds[number % 5] for number, smiles in enumerate(chains)}


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    items = [
        Measurement(
            PeakList(
                np.array([20.0 + known.smiles.find("O")]), np.ones(1), ion_mz(known.exact_mass, adduct), adduct, 1,
                "positive", energy,
            ),
            known, "msms", fold=fold,
        )
        for known, fold in ((structure(smiles), fold) for smiles, fold in ethers().items())
        for adduct, energy in (("[M+H]+", 10.0), ("[M+H]+", 11.0), ("[M+H]+", 40.0), ("[M+Na]+", 10.0))
    ]  # fmt: skip
    write(items, tmp_path / "dataset")
    isomers = {f"{'C' * before}O{'C' * (length - before)}" for length in range(4, 13) for before in range(length)}
    (tmp_path / "library.structures").write_text("\n".join(sorted(isomers)))
    made = parse_config(CONFIG)
    return replace(
        made,
        data=replace(made.data, path=str(tmp_path / "dataset")),
        negatives=replace(made.negatives, path=str(tmp_path / "library.structures")),
    )


def windows(config: RunConfig) -> Windows:
    return Windows(Dataset.open(config.data.path), Library.read(config.negatives.path), config.data, config.windows)


def test_a_window_has_the_truth_and_structures_of_its_mass_but_no_compound_of_another_fold(config: RunConfig) -> None:
    held_out = {structure(smiles).inchikey14 for smiles, fold in ethers().items() if fold != "train"}
    drawn = windows(config).training("msms")
    assert {one.compound for one in drawn} == {structure(s).inchikey14 for s, f in ethers().items() if f == "train"}
    for one in drawn:
        assert 2 <= len(one.candidates) <= 4
        assert len({c.formula for c in one.candidates}) == 1
        assert not {c.inchikey14 for c in one.candidates} & held_out
    assert len({one.truth for one in drawn}) > 1, "the place of the truth tells nothing"
    again = windows(config).training("msms")
    assert [(a.truth, a.candidates) for a in again] == [(a.truth, a.candidates) for a in drawn]


def test_of_a_compound_unlike_spectra_are_drawn(config: RunConfig) -> None:
    drawn = windows(replace(config, windows=replace(config.windows, spectra=3))).training("msms")
    first = [one.record for one in drawn if one.compound == drawn[0].compound]
    kinds = {(one.adduct, one.collision_energy // 15) for one in first}
    assert len(first) == len(kinds) == 3


def test_too_few_structures_are_filled_up_with_less_near_ones(config: RunConfig) -> None:
    def largest(fill_ppm: float) -> int:
        settings = replace(config.windows, candidates=40, fill_ppm=fill_ppm)
        return max(len(one.candidates) for one in windows(replace(config, windows=settings)).training("msms"))

    assert largest(10.0) < largest(300_000.0)


def test_validation_may_meet_training_compounds_but_none_of_the_test_fold(config: RunConfig) -> None:
    kept_apart = {structure(smiles).inchikey14 for smiles, fold in ethers().items() if fold == "test"}
    drawn = windows(config).validation("msms")
    assert {one.compound for one in drawn} == {structure(s).inchikey14 for s, f in ethers().items() if f == "val"}
    assert not {c.inchikey14 for one in drawn for c in one.candidates} & kept_apart


def test_settings_that_cannot_be_are_refused() -> None:
    for setting in ("candidates = 1", "spectra = 0", "candidates = 4\nfill_ppm = 5.0"):
        with pytest.raises(ConfigError, match=r"<config>:\d+: windows\.\w+ must be at least"):
            parse_config(CONFIG.replace("candidates = 4", setting))


def test_training_teaches_the_scorer_and_the_bundle_keeps_it(config: RunConfig, tmp_path: Path) -> None:
    result = train(config, tmp_path / "run")
    assert result.metrics["val_hit1/oxygen"] == 1.0
    bundle = load_trained(tmp_path / "run")
    assert bundle.metadata["metrics"]["val_hit1/oxygen"] == 1.0
    assert bundle.scorers["oxygen"].weight > 0.1
    kept = sorted(str(f.relative_to(bundle.path)) for f in bundle.path.rglob("*.*"))
    assert kept == ["CARD.md", "bundle.toml", "msms.safetensors", "scorers/oxygen/weight.safetensors",
                    "structure.safetensors"]  # fmt: skip


def test_learning_that_was_interrupted_goes_on_to_the_same_end(config: RunConfig, tmp_path: Path) -> None:
    def killer(state: TrainingProgress) -> None:
        if state.message == "oxygen: learning" and state.step == 2:
            raise KeyboardInterrupt

    train(config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "killed", progress=killer)
    seen: list[int] = []
    train(config, tmp_path / "killed", progress=lambda s: seen.append(s.step) if "oxygen" in s.message else None)
    assert seen == [3, 4, 5]
    whole, killed = (load_trained(tmp_path / name).scorers["oxygen"].weight for name in ("whole", "killed"))
    assert whole == killed
    train(config, tmp_path / "whole", progress=lambda s: seen.append(s.step) if "oxygen" in s.message else None)
    assert seen == [3, 4, 5], "what has learned learns no further"


def test_a_scorer_without_rivals_to_learn_from_is_left_out_and_the_log_tells_it(
    config: RunConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "library.structures").write_text("c1ccccc1")
    train(config, tmp_path / "run")
    assert "scorer 'oxygen' is left out" in caplog.text
    assert "--negatives" in caplog.text
    assert load_trained(tmp_path / "run").scorers == {}


@pytest.fixture
def saved(tmp_path: Path) -> Bundle:
    scorer = toy.Oxygen()
    scorer.weight = 0.25
    states = {"msms": toy.Peaks().state_dict(), "structure": toy.Letters().state_dict()}
    return save_bundle(tmp_path / "tiny", parse_config(CONFIG), states, scorers={"oxygen": scorer})


def test_what_a_scorer_learned_is_part_of_the_digest_of_the_bundle_and_not_of_its_encoders(
    saved: Bundle, tmp_path: Path
) -> None:
    assert load_bundle(saved.path).scorers["oxygen"].weight == 0.25
    states = {key: saved.encoder(key).state_dict() for key in ("msms", "structure")}
    other = save_bundle(tmp_path / "other", saved.config, states, scorers={"oxygen": toy.Oxygen()})
    assert other.encoders_digest == saved.encoders_digest
    assert other.digest != saved.digest


def test_a_flipped_bit_and_a_missing_file_of_a_scorer_are_refused(saved: Bundle) -> None:
    file = saved.path / "scorers" / "oxygen" / "weight.safetensors"
    good = file.read_bytes()
    file.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(BundleError, match=r"weight\.safetensors: damaged: its digest is"):
        load_bundle(saved.path)
    file.unlink()
    with pytest.raises(BundleError, match=r"incomplete: scorers.oxygen.weight\.safetensors is missing"):
        load_bundle(saved.path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"weight.safetensors" =', '"../../../secret.toml" ='),
        ('"weight.safetensors" =', '"weight.pickle" ='),
        ("[states.oxygen]", "[states.nobody]"),
    ],
)
def test_a_bundle_that_names_files_elsewhere_is_refused(saved: Bundle, old: str, new: str) -> None:
    from molvis_retrieval.bundle import verify_bundle

    file = saved.path / "bundle.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(BundleError, match=r"damaged: \[states\.\w+\]"):
        verify_bundle(saved.path, accept=True)


def test_a_scorer_that_learned_nothing_is_not_used_in_silence(saved: Bundle, tmp_path: Path) -> None:
    states = {key: saved.encoder(key).state_dict() for key in ("msms", "structure")}
    empty = save_bundle(tmp_path / "empty", saved.config, states)
    with pytest.raises(BundleError, match=r"scorers\.oxygen: scorer 'toy-oxygen' must learn, and the bundle holds"):
        _ = empty.scorers


def test_a_scorer_that_writes_what_a_bundle_does_not_keep_is_refused(saved: Bundle, tmp_path: Path) -> None:
    class Pickler(toy.Oxygen):
        def save(self, folder: Path) -> None:
            (folder / "weight.pkl").write_bytes(b"")

    states = {key: saved.encoder(key).state_dict() for key in ("msms", "structure")}
    with pytest.raises(BundleError, match=r"scorers\.oxygen wrote weight\.pkl; a scorer must write .* \.safetensors"):
        save_bundle(tmp_path / "bad", saved.config, states, scorers={"oxygen": Pickler()})
    assert not (tmp_path / "bad").exists()


def test_a_copied_bundle_keeps_what_its_scorers_learned(saved: Bundle, tmp_path: Path) -> None:
    shutil.copytree(saved.path, tmp_path / "copy")
    assert load_bundle(tmp_path / "copy").scorers["oxygen"].weight == 0.25


def test_a_ranked_query_without_its_truth_is_refused() -> None:
    with pytest.raises(RecordError, match=r"RankedQuery\.truth is 1, no place among 1 candidates"):
        RankedQuery(None, (structure("CCO"),), 1)


class TestOxygen(ScorerContract):
    @pytest.fixture
    def scorer(self) -> toy.Oxygen:
        return toy.Oxygen()
