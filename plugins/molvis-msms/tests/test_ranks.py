"""Figures of how well logits rank the truth."""

from __future__ import annotations

import numpy as np
import pytest

from molvis_msms.ranks import hit_rate, loss, mean_over_compounds

LOGITS = [np.array([2.0, 1.0, 0.0]), np.array([1.0, 1.0, 0.0]), np.array([3.0, 2.0, 1.0])]
TRUTH, OWNERS = np.array([0, 0, 2]), np.array([0, 0, 1])


def test_each_compound_counts_once() -> None:
    assert mean_over_compounds(np.array([1.0, 0.0, 1.0]), OWNERS) == 0.75


def test_places_among_those_that_tie_are_equally_likely() -> None:
    assert hit_rate(LOGITS, TRUTH, OWNERS, 1) == pytest.approx((0.75 + 0) / 2)
    assert hit_rate(LOGITS, TRUTH, OWNERS, 2) == pytest.approx((1 + 0) / 2)
    assert hit_rate(LOGITS, TRUTH, OWNERS, 3) == 1


def test_the_loss_is_that_of_the_truth_under_a_softmax() -> None:
    shares = [np.exp(one[t]) / np.exp(one).sum() for one, t in zip(LOGITS, TRUTH.tolist(), strict=True)]
    expected = -((np.log(shares[0]) + np.log(shares[1])) / 2 + np.log(shares[2])) / 2
    assert loss(LOGITS, TRUTH, OWNERS) == pytest.approx(expected)
