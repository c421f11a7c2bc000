"""Logistic regression, and what its weights mean."""

from __future__ import annotations

import numpy as np
import pytest

from molvis_nn.logistic import balanced, logistic_regression


def _cases(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = np.c_[np.ones(80), rng.normal(size=(80, 2))]
    truth = rng.random(80) < 1 / (1 + np.exp(-x @ np.array([0.5, 2.0, -1.0])))
    return x, truth, rng.uniform(0.5, 1.5, 80)


def test_it_finds_the_most_likely_weights() -> None:
    x, truth, share = _cases()
    ridge = np.array([0.0, 0.5, 2.0])

    def loss(weights: np.ndarray) -> float:
        logit = x @ weights
        return float(share @ np.logaddexp(0, np.where(truth, -logit, logit)) + ridge @ weights**2 / 2)

    found = logistic_regression(x, truth, share, ridge)
    for direction in np.eye(3):  # the loss is convex: a slope of 0 is its minimum
        assert loss(found + 1e-4 * direction) - loss(found - 1e-4 * direction) == pytest.approx(0, abs=1e-9)
    assert loss(found) < loss(np.array([0.5, 2.0, -1.0]))


def test_cases_that_are_told_apart_wholly_end_where_the_penalty_holds_them() -> None:
    x = np.c_[np.ones(6), [-3.0, -2.0, -1.0, 1.0, 2.0, 3.0]]
    truth = x[:, 1] > 0
    found = logistic_regression(x, truth, balanced(truth), np.array([1e-6, 1e-3]))
    chance = 1 / (1 + np.exp(-x @ found))
    # At the optimum the penalty's pull is that of the cases.
    assert x[:, 1] @ (truth - chance) == pytest.approx(1e-3 * found[1], rel=1e-6)


def test_both_kinds_weigh_the_same_however_many_there_are() -> None:
    truth = np.array([True, False, False, False])
    share = balanced(truth)
    assert share[truth].sum() == pytest.approx(share[~truth].sum())
    assert share.sum() == pytest.approx(4)
    offset = logistic_regression(np.ones((4, 1)), truth, share, np.zeros(1))
    assert offset[0] == pytest.approx(0, abs=1e-9)
