"""Figures of merit against values worked out by hand or by brute force."""

from __future__ import annotations

import numpy as np
import pytest

from molvis_core.errors import ScoreError
from molvis_retrieval import metrics


def test_the_best_score_has_rank_1() -> None:
    scores = np.array([[0.1, 0.9, 0.5], [0.3, 0.2, 0.1]])
    np.testing.assert_array_equal(metrics.rank_of_truth(scores, np.array([1, 2])).rank, [1, 3])


def test_ties_count_half() -> None:
    scores = np.array([[0.5, 0.5, 0.1], [0.5, 0.5, 0.5], [0.9, 0.5, 0.5]])
    np.testing.assert_array_equal(metrics.rank_of_truth(scores, np.array([0, 1, 2])).rank, [1.5, 2, 2.5])


@pytest.mark.parametrize("size", [1e-3, 1.0, 40.0])
def test_scores_that_differ_by_rounding_alone_tie_whatever_their_size(size: float) -> None:
    scores = size * np.array([[0.5, 0.5 + 1e-8, 0.5 - 1e-8, 0.9, 0.1]])
    rank, tied = metrics.rank_of_truth(scores, np.array([2]))
    assert (rank[0], tied[0]) == (3, 2)


def test_a_library_in_blocks_is_ranked_as_the_whole() -> None:
    scores = np.round(np.random.default_rng(0).normal(size=(6, 90)), 1).clip(-1, 1)  # with many ties
    own = scores[:, 7]
    blocks = [metrics.compare(scores[:, start : start + 25], own) for start in range(0, 90, 25)]
    above, level = (sum(b[i] for b in blocks) for i in (0, 1))
    whole = metrics.rank_of_truth(scores, np.full(6, 7))
    np.testing.assert_array_equal(metrics.ranks(above, level - 1).rank, whole.rank)
    np.testing.assert_array_equal(level - 1, whole.tied)


def test_what_ties_keeps_its_order_and_the_rest_is_sorted() -> None:
    scores = np.array([0.3, 0.9 - 1e-9, 0.9, 0.1, 0.9 + 1e-9, 0.3 + 1e-9])
    assert metrics.in_order(scores).tolist() == [1, 2, 4, 0, 5, 3]
    assert metrics.in_order(np.empty(0)).tolist() == []


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_is_never_ranked(bad: float) -> None:
    scores = np.array([[0.1, 0.2], [0.3, bad]])
    with pytest.raises(ScoreError, match=r"score \(1, 1\) of query caffeine is"):
        metrics.rank_of_truth(scores, np.array([0, 0]), "query caffeine")


def test_a_rank_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ScoreError):
        metrics.retrieval(np.array([1.0, np.nan]), ["a", "b"])


def test_hits_count_the_truth_among_the_first() -> None:
    np.testing.assert_array_equal(metrics.hits(np.array([1.0, 5.0, 6.0]), 5), [1, 1, 0])


def test_a_tie_across_the_cutoff_counts_as_often_as_it_would_hit() -> None:
    # Rank 1.5 is one rival level with the truth; rank 3 with four level is the truth anywhere from 1 to 5.
    np.testing.assert_allclose(metrics.hits(np.array([1.5, 3.0]), 1, np.array([1, 4])), [0.5, 0.2])
    np.testing.assert_allclose(metrics.hits(np.array([1.5, 3.0]), 2, np.array([1, 4])), [1.0, 0.4])
    np.testing.assert_allclose(metrics.hits(np.array([1.5, 5.5]), 1), [0.5, 0.0])


@pytest.mark.parametrize("cutoff", metrics.CUTOFFS)
def test_scoring_everything_the_same_gets_what_chance_gets(cutoff: int) -> None:
    candidates = np.array([1, 4, 20, 333])
    rank, tied = metrics.ranks(np.zeros(4, dtype=np.int64), candidates - 1)
    np.testing.assert_allclose(metrics.hits(rank, cutoff, tied), metrics.chance(candidates, cutoff))


def test_chance_agrees_with_drawing_at_random() -> None:
    drawn = np.random.default_rng(0).random((20_000, 8)).argsort(axis=1)[:, 0]
    assert metrics.chance(np.array([8]), 5)[0] == pytest.approx((drawn < 5).mean(), abs=0.02)


def test_each_compound_counts_once_or_each_spectrum() -> None:
    rank = np.array([1.0, 1.0, 1.0, 9.0])
    compound = ["a", "a", "a", "b"]
    assert metrics.retrieval(rank, compound)["hit1"].value == pytest.approx(0.5)
    assert metrics.retrieval(rank, compound, by="spectrum")["hit1"].value == pytest.approx(0.75)
    assert metrics.retrieval(rank, compound)["mrr"].value == pytest.approx((1 + 1 / 9) / 2)
    with pytest.raises(ValueError, match="by must be 'compound' or 'spectrum', got"):
        metrics.retrieval(rank, compound, by="cluster")
    with pytest.raises(ValueError, match="no values"):
        metrics.bootstrap(np.array([]), [])


def test_an_interval_covers_the_truth_about_as_often_as_it_claims() -> None:
    rng = np.random.default_rng(1)
    inside = 0
    for trial in range(200):
        # Spectra of a compound are all alike: an interval over spectra would be far too narrow.
        values = np.repeat((rng.random(60) < 0.4).astype(float), 5)
        found = metrics.bootstrap(values, np.repeat(np.arange(60), 5), draws=200, seed=trial)
        inside += found.low <= 0.4 <= found.high
    assert 0.89 < inside / 200 < 0.99


def test_the_same_seed_draws_the_same_interval() -> None:
    values, compound = np.random.default_rng(2).random(40), np.arange(40)
    assert metrics.bootstrap(values, compound, seed=3) == metrics.bootstrap(values, compound, seed=3)
    assert metrics.bootstrap(values, compound, seed=3) != metrics.bootstrap(values, compound, seed=4)


def test_auroc_and_auprc_of_a_small_case() -> None:
    scores, positive = np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])
    assert metrics.auroc(scores, positive) == pytest.approx(0.75)
    assert metrics.auprc(scores, positive) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_auroc_is_how_often_a_positive_beats_a_negative() -> None:
    rng = np.random.default_rng(4)
    scores, positive = rng.integers(0, 9, 80).astype(float), rng.random(80) < 0.3
    gap = scores[positive][:, None] - scores[~positive][None, :]
    assert metrics.auroc(scores, positive) == pytest.approx(((gap > 0) + 0.5 * (gap == 0)).mean())
    assert metrics.auroc(-scores, positive) == pytest.approx(1 - metrics.auroc(scores, positive))


def test_equal_scores_enter_a_precision_recall_curve_together() -> None:
    positive = np.array([True, False, False, True])
    assert metrics.auprc(np.zeros(4), positive) == pytest.approx(0.5)
    assert metrics.auprc(np.zeros(4), positive[::-1].copy()) == pytest.approx(0.5)


def test_curves_want_pairs_of_both_kinds() -> None:
    with pytest.raises(ValueError, match="2 positive and 0 negative"):
        metrics.auroc(np.zeros(2), np.array([True, True]))
    with pytest.raises(ValueError, match="no positive"):
        metrics.auprc(np.zeros(2), np.array([False, False]))
    with pytest.raises(ScoreError):
        metrics.auroc(np.array([0.0, np.nan]), np.array([True, False]))


def test_pairwise_accuracy_takes_a_threshold_or_the_best_one() -> None:
    scores, positive = np.array([0.9, 0.8, 0.7, 0.2]), np.array([True, False, True, False])
    assert metrics.pairwise_accuracy(scores, positive) == 0.75
    assert metrics.pairwise_accuracy(scores, positive, threshold=0.85) == 0.75
    assert metrics.pairwise_accuracy(scores, positive, threshold=0.0) == 0.5
    assert metrics.pairwise_accuracy(np.ones(4), positive) == 0.5  # no threshold parts equal scores


def test_coverage_is_the_share_of_intervals_that_hold_the_truth() -> None:
    assert metrics.coverage(np.array([0.0, 0.0]), np.array([1.0, 1.0]), np.array([1.0, 2.0])) == 0.5


def test_calibration_error_of_honest_and_of_boastful_probabilities() -> None:
    assert metrics.calibration_error(np.full(4, 0.75), np.array([1.0, 1, 1, 0])) == pytest.approx(0)
    assert metrics.calibration_error(np.full(4, 1.0), np.array([1.0, 1, 0, 0])) == pytest.approx(0.5)


def test_estimates_become_one_flat_row() -> None:
    row = metrics.table({"hit1": metrics.Estimate(0.5, 0.4, 0.6)})
    assert row == {"hit1": 0.5, "hit1_low": 0.4, "hit1_high": 0.6}
