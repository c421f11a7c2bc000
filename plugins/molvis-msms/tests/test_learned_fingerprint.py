"""`learned-fingerprint`: fingerprints of structures, read from spectra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fingerprint_samples import queries, spectrum
from hypothesis import given
from hypothesis import strategies as st

from molvis_core.chemistry.structures import structure
from molvis_core.errors import BundleError, ConfigError, TrainingError
from molvis_core.records import PeakList, RankedQuery
from molvis_core.testing import ScorerContract
from molvis_msms.fingerprint.bank import Bank
from molvis_msms.fingerprint.bits import LENGTH, fingerprints
from molvis_msms.fingerprint.network import Vocabulary
from molvis_msms.fingerprint.tokens import DESCRIBED, describe, tokens
from molvis_msms.scorers.learned_fingerprint import LearnedFingerprint

SMALL: dict[str, Any] = {"dim": 24, "hidden": 32, "networks": 1, "epochs": 16, "dropout": 0.1}


@pytest.fixture(scope="module")
def learned() -> LearnedFingerprint:
    scorer = LearnedFingerprint(**SMALL)
    scorer.learn(queries(held_out=False), queries(held_out=True), seed=1)
    return scorer


@given(shift=st.floats(0, 0.002), mz=st.lists(st.floats(50, 290), min_size=1, max_size=8, unique=True))
def test_tokens_change_little_where_peaks_move_little(shift: float, mz: list[float]) -> None:
    def fine(values: list[float]) -> dict[int, float]:
        cut = tokens(spectrum(sorted(values), precursor=None), 60)
        kept = cut.key < 1 << 21  # the fine cells of m/z
        sums: dict[int, float] = {}
        for key, weight in zip(cut.key[kept].tolist(), cut.weight[kept].tolist(), strict=True):
            sums[key] = sums.get(key, 0.0) + weight
        return sums

    before, after = fine(mz), fine([value + shift for value in mz])
    change = sum(abs(before.get(k, 0.0) - after.get(k, 0.0)) for k in before.keys() | after.keys())
    assert change <= 2 * (shift / 0.01) * sum(before.values()) + 1e-5


def test_ion_modes_share_no_token_and_without_a_precursor_there_is_no_loss() -> None:
    positive, negative = tokens(spectrum([80.0, 120.5]), 60), tokens(spectrum([80.0, 120.5], ionmode="negative"), 60)
    assert not set(positive.key) & set(negative.key)
    assert len(tokens(spectrum([80.0, 120.5], precursor=None), 60).key) == len(positive.key) / 2
    assert set(positive.peak.tolist()) == {0, 1}


def test_the_precursor_itself_is_no_token() -> None:
    assert len(tokens(spectrum([299.9, 300.0]), 60).key) == 0


def test_an_ion_is_described_by_what_is_known_of_it() -> None:
    bare = describe(PeakList(np.array([50.0]), np.ones(1)))
    assert len(bare) == DESCRIBED
    assert bare.sum() == 1  # an adduct that is not known
    full = describe(spectrum([50.0], collision_energy=25.0, instrument_type="LC-ESI-QTOF"))
    assert full[-8:].tolist() == [0, 1, 1, pytest.approx(0.6), 1, 0.5, 1, 0]


def test_a_vocabulary_holds_what_several_compounds_show() -> None:
    keys = [np.array([1, 2]), np.array([1, 3]), np.array([2, 3])]
    known = Vocabulary.of(keys, np.array([0, 0, 1]), 2)
    assert known.keys.tolist() == [2, 3]
    place, weight = known.places(np.array([1, 3, 9]), np.array([0.1, 0.2, 0.3], dtype=np.float32))
    assert (place.tolist(), weight.round(1).tolist()) == ([1], [pytest.approx(0.2)])


def test_a_bank_gives_the_mean_of_the_spectra_near_in_mass_of_the_same_ion_mode() -> None:
    weights = np.array([[1.0], [3.0], [100.0]], dtype=np.float16)
    bank = Bank(weights, np.array([200.0, 210.0, 205.0]), np.array([False, False, True]))
    assert bank.mean(204.0, negative=False).tolist() == [2.0]
    assert bank.mean(204.0, negative=True).tolist() == [100.0]
    assert Bank(weights[:2], np.zeros(2), np.zeros(2, dtype=bool)).mean(1.0, negative=True).tolist() == [0.0]


def test_fingerprints_tell_structures_apart() -> None:
    bits = fingerprints([structure("CCO"), structure("CCN"), structure("OCC")])
    assert bits.shape == (3, LENGTH)
    assert (bits[0] == bits[2]).all()
    assert (bits[0] != bits[1]).any()


def test_it_ranks_compounds_that_it_has_not_seen(learned: LearnedFingerprint) -> None:
    first = [
        int(np.argmax(learned(query.record, query.candidates)[:, 0])) == query.truth for query in queries(held_out=True)
    ]
    assert np.mean(first) > 0.4  # chance: one in seven


def test_the_peaks_of_another_compound_say_nothing_for_the_truth(learned: LearnedFingerprint) -> None:
    found = queries(held_out=True)
    first: list[bool] = []
    for number, query in enumerate(found):
        other = found[(number + 8) % len(found)].record
        mixed = PeakList(
            other.mz, other.intensity, query.record.precursor_mz, "[M+H]+", 1, "positive", query.record.collision_energy
        )
        first.append(int(np.argmax(learned(mixed, query.candidates)[:, 0])) == query.truth)
    assert np.mean(first) < 0.35


def test_before_it_has_learned_all_candidates_are_equal() -> None:
    query = queries(held_out=True)[0]
    assert not LearnedFingerprint(**SMALL)(query.record, query.candidates).any()
    with pytest.raises(TrainingError, match="nothing to save"):
        LearnedFingerprint(**SMALL).save(Path("unused"))


def test_an_interrupted_training_ends_where_an_undisturbed_one_ends(
    learned: LearnedFingerprint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("molvis_nn.loop.Checkpoint.due", lambda self, seconds: True)
    examples, validation = queries(held_out=False), queries(held_out=True)

    def stop(done: int, total: int, what: str) -> None:
        if done == 5:
            raise KeyboardInterrupt

    scorer = LearnedFingerprint(**SMALL)
    with pytest.raises(KeyboardInterrupt):
        scorer.learn(examples, validation, seed=1, progress=stop, checkpoint=tmp_path)
    scorer.learn(examples, validation, seed=1, checkpoint=tmp_path)
    query = validation[0]
    assert (scorer(query.record, query.candidates) == learned(query.record, query.candidates)).all()


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    examples, validation = queries(held_out=False), queries(held_out=True)
    LearnedFingerprint(**{**SMALL, "epochs": 1}).learn(examples, validation, checkpoint=tmp_path)
    with pytest.raises(TrainingError, match="this checkpoint is of"):
        LearnedFingerprint(**{**SMALL, "epochs": 2}).learn(examples, validation, checkpoint=tmp_path)


@pytest.mark.parametrize("change", [{"dim": 25}, {"hidden": 33}, {"networks": 2}])
def test_what_a_scorer_of_other_settings_learned_is_refused(
    learned: LearnedFingerprint, tmp_path: Path, change: dict[str, int]
) -> None:
    learned.save(tmp_path)
    with pytest.raises(BundleError, match="other settings"):
        LearnedFingerprint(**{**SMALL, **change}).load(tmp_path)


def test_a_damaged_file_is_refused(learned: LearnedFingerprint, tmp_path: Path) -> None:
    learned.save(tmp_path)
    file = tmp_path / "networks.safetensors"
    content = file.read_bytes()
    for damaged in (b"", content[:100], content[: len(content) // 2]):
        file.write_bytes(damaged)
        with pytest.raises(BundleError, match="damaged"):
            LearnedFingerprint(**SMALL).load(tmp_path)
    file.unlink()
    with pytest.raises(BundleError):
        LearnedFingerprint(**SMALL).load(tmp_path)


def test_nothing_to_learn_from_is_an_error() -> None:
    with pytest.raises(TrainingError, match="no spectra"):
        LearnedFingerprint(**SMALL).learn([], queries(held_out=True))


@pytest.mark.parametrize(("name", "value"), [("dim", 0), ("networks", 0), ("dropout", 1.0), ("top_peaks", -1)])
def test_settings_that_cannot_be_are_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=name):
        LearnedFingerprint(**{name: value})


class TestLearnedFingerprint(ScorerContract):
    @pytest.fixture
    def scorer(self, learned: LearnedFingerprint) -> LearnedFingerprint:
        return learned

    @pytest.fixture
    def examples(self) -> list[RankedQuery]:
        return queries(held_out=False)[:40]
