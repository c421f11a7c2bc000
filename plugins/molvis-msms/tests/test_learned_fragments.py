"""The networks over peaks and parts: they learn what tells isomers apart, and keep it exactly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from molvis_core.chemistry.adducts import ion_mz
from molvis_core.chemistry.formula import ELECTRON_MASS, formula_mass
from molvis_core.chemistry.structures import structure
from molvis_core.errors import BundleError, ConfigError, TrainingError
from molvis_core.records import PeakList, RankedQuery, Structure
from molvis_core.testing import ScorerContract, synthetic_peaks, synthetic_structures
from molvis_msms.peak_fragments.batches import MATCH_NUMBERS, PEAK_NUMBERS, Disturbance, collate
from molvis_msms.peak_fragments.cases import UNKNOWN, case, informative_peaks, join
from molvis_msms.peak_fragments.network import PeakFragmentNetwork
from molvis_msms.scorers.learned_fragments import LearnedFragments


def amide(acid: int, amine: int) -> Structure:
    """An amide of straight chains of so many carbons."""
    return structure(f"{'C' * (acid - 1)}C(=O)N{'C' * amine}")


def amide_query(acid: int, amine: int, rng: np.random.Generator) -> RankedQuery:
    """The acylium ion and the protonated amine of an amide, with two chance peaks, among its isomers."""
    isomers = [amide(a, acid + amine - a) for a in range(1, acid + amine)]
    order = rng.permutation(len(isomers))
    truth = isomers[acid - 1]
    acylium = formula_mass(f"C{acid}H{2 * acid - 1}O") - ELECTRON_MASS
    amine_ion = formula_mass(f"C{amine}H{2 * amine + 4}N") - ELECTRON_MASS
    mz = np.array([acylium, amine_ion, *rng.uniform(15, truth.exact_mass, 2)])
    peaks = PeakList(
        mz, np.array([1.0, 0.8, 0.2, 0.1]), ion_mz(truth.exact_mass, "[M+H]+"), "[M+H]+", 1, "positive", 20.0
    )
    return RankedQuery(peaks, tuple(isomers[i] for i in order), int(np.flatnonzero(order == acid - 1)[0]))


def queries(sizes: Sequence[int], seed: int = 0) -> list[RankedQuery]:
    rng = np.random.default_rng(seed)
    return [amide_query(acid, size - acid, rng) for size in sizes for acid in range(1, size)]


@pytest.fixture(scope="module")
def learned() -> LearnedFragments:
    scorer = LearnedFragments(networks=2, width=16, epochs=12)
    scorer.learn(queries((5, 6, 7, 8) * 6), queries((10,), 1), seed=3)
    return scorer


@pytest.mark.full
def test_it_learns_to_tell_isomers_apart_that_it_never_saw(learned: LearnedFragments) -> None:
    unseen = queries((9, 11), 2)
    first = [int(learned(q.record, q.candidates)[:, 0].argmax()) == q.truth for q in unseen]
    chance = np.mean([1 / len(q.candidates) for q in unseen])
    assert np.mean(first) > 5 * chance
    assert np.mean(first) > 0.7


@pytest.mark.full
def test_without_peaks_no_candidate_is_better_than_another(learned: LearnedFragments) -> None:
    unseen = queries((9, 11), 2)
    empty = PeakList(np.array([], float), np.array([], float), 158.15, "[M+H]+", 1, "positive")
    for one in unseen[:3]:
        assert np.ptp(learned(empty, one.candidates)) <= 1e-9


@pytest.mark.full
def test_permuted_candidates_have_permuted_scores(learned: LearnedFragments) -> None:
    one = queries((9,), 4)[2]
    scores = learned(one.record, one.candidates)
    order = np.random.default_rng(0).permutation(len(one.candidates))
    turned = learned(one.record, [one.candidates[i] for i in order])
    np.testing.assert_allclose(turned, scores[order], rtol=0, atol=1e-9)


@pytest.mark.full
def test_it_scores_exactly_the_same_after_a_round_trip(learned: LearnedFragments, tmp_path: Path) -> None:
    learned.save(tmp_path)
    again = LearnedFragments(networks=2, width=16)
    again.load(tmp_path)
    for one in queries((9,), 5):
        np.testing.assert_array_equal(again(one.record, one.candidates), learned(one.record, one.candidates))


def test_before_it_has_learned_all_candidates_score_alike() -> None:
    one = queries((6,))[0]
    assert LearnedFragments()(one.record, one.candidates).tolist() == [[0.0]] * len(one.candidates)
    with pytest.raises(BundleError, match="has learned nothing"):
        LearnedFragments().save(Path())


def test_learning_that_was_interrupted_ends_with_the_same_scores(tmp_path: Path) -> None:
    examples, validation = queries((5, 6)), queries((7,), 1)

    def fresh() -> LearnedFragments:
        return LearnedFragments(networks=2, width=8, epochs=2)

    def stop(done: int, total: int, what: str = "") -> None:
        if what == "training networks" and done == total - 1:
            raise KeyboardInterrupt

    whole, killed = fresh(), fresh()
    figures = whole.learn(examples, validation, seed=1)
    with pytest.raises(KeyboardInterrupt):
        killed.learn(examples, validation, seed=1, progress=stop, checkpoint=tmp_path)
    assert killed.learn(examples, validation, seed=1, checkpoint=tmp_path) == figures
    for one in validation:
        np.testing.assert_array_equal(killed(one.record, one.candidates), whole(one.record, one.candidates))
    with pytest.raises(TrainingError, match="this checkpoint is of other settings"):
        LearnedFragments(networks=2, width=8, epochs=3).learn(examples, validation, seed=1, checkpoint=tmp_path)


@pytest.mark.full
def test_weights_of_another_width_and_damaged_files_are_refused(learned: LearnedFragments, tmp_path: Path) -> None:
    learned.save(tmp_path)
    with pytest.raises(BundleError, match=r"do not fit networks of width 24"):
        LearnedFragments(width=24).load(tmp_path)
    (tmp_path / "networks.safetensors").write_bytes(b"no tensors")
    with pytest.raises(BundleError, match="damaged"):
        LearnedFragments(width=16).load(tmp_path)
    (tmp_path / "networks.json").unlink()
    with pytest.raises(BundleError, match="damaged"):
        LearnedFragments(width=16).load(tmp_path)


@pytest.mark.parametrize("arguments", [{"networks": 0}, {"width": -1}, {"epochs": 0}, {"ppm": 0.0}, {"dropout": 1.0}])
def test_settings_that_cannot_be_are_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"learned-fragments: {next(iter(arguments))} must be"):
        LearnedFragments(**arguments)


def test_a_query_scores_the_same_alone_and_in_a_batch_of_larger_ones() -> None:
    torch.manual_seed(0)
    network = PeakFragmentNetwork(16).double().eval()
    made = [case(p, synthetic_structures(n)) for p, n in zip(synthetic_peaks((3, 12, 40)), (4, 9, 2), strict=True)]
    together = join(made)

    def logits(cases: object, which: Sequence[int]) -> torch.Tensor:
        batch = collate(cases, which)
        with torch.inference_mode():
            return network(batch.double())

    batched = logits(together, [0, 1, 2])
    for number, one in enumerate(made):
        alone = logits(one, [0])[0]
        torch.testing.assert_close(batched[number, : len(alone)], alone, rtol=0, atol=1e-9)
        assert (batched[number, len(alone) :] == -1e4).all()


def test_foreign_peaks_are_seen_in_training_alone() -> None:
    spectrum, candidates = synthetic_peaks((12,))[0], synthetic_structures(3)
    noise = np.array([101.1, 120.2]), np.array([0.1, 0.2])
    mixed = case(spectrum, candidates, noise=noise)
    own = informative_peaks(spectrum)[0]
    assert mixed.mz[mixed.noise].tolist() == [101.1, 120.2]
    assert collate(mixed, [0]).present.sum() == len(own)
    always = Disturbance(peaks=0, noise=1, cut=0, offset=0, settings=0, rivals=0)
    seen = {int(collate(mixed, [0], np.random.default_rng(s), always).present.sum()) for s in range(30)}
    assert seen == {len(own), len(own) + 1, len(own) + 2}


def test_a_disturbed_batch_keeps_the_truth_and_forgets_settings() -> None:
    spectrum, candidates = synthetic_peaks((40,))[0], synthetic_structures(8)
    made = case(spectrum, candidates, truth=5)
    always = Disturbance(settings=1.0, rivals=1.0, offset=1.0, cut=1.0)
    for seed in range(20):
        batch = collate(made, [0], np.random.default_rng(seed), always)
        wide = int(batch.candidate.sum())
        assert 3 <= wide <= 8
        assert 0 <= int(batch.truth[0]) < wide
        assert batch.match.shape[1] == MATCH_NUMBERS
        assert batch.peaks.shape[2] == PEAK_NUMBERS
        assert (batch.peaks[0, :, 12] == 0).all(), "the energy is not known"
    assert made.settings[0, 2] != UNKNOWN


class TestLearnedFragments(ScorerContract):
    @pytest.fixture
    def scorer(self) -> LearnedFragments:
        return LearnedFragments(networks=1, width=8, epochs=2)
