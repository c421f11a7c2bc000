"""How many draws some draws are worth, and weights that leave enough of them."""

from __future__ import annotations

import numpy as np
import pytest

from molvis_flux.sampling import effective_size


@pytest.mark.parametrize("enough", [40.0, 96.0, 300.0])
def test_weights_are_tempered_until_enough_draws_count(enough: float) -> None:
    log_weight = -0.5 * np.random.default_rng(0).normal(0, 90, 1000) ** 2
    assert effective_size.of_log_weights(log_weight) < 30
    weight = effective_size.tempered(log_weight, enough)
    assert weight.sum() == pytest.approx(1.0)
    assert effective_size.of_weights(weight) == pytest.approx(enough, rel=1e-6)
    assert (np.diff(weight[np.argsort(log_weight)]) >= 0).all()


def test_weights_that_leave_enough_draws_stay_and_those_that_never_can_are_alike() -> None:
    log_weight = np.random.default_rng(1).normal(0, 0.5, 200)
    weight = np.exp(log_weight)
    assert effective_size.tempered(log_weight + 900, 100.0) == pytest.approx(weight / weight.sum())
    log_weight[:100] = -np.inf
    assert effective_size.tempered(log_weight, 500.0) == pytest.approx(np.repeat([0.0, 0.01], 100))


def test_one_draw_of_a_thousand_counts_as_one_and_equal_ones_as_all() -> None:
    assert effective_size.of_log_weights(np.where(np.arange(1000) == 3, 800.0, 0.0)) == pytest.approx(1.0)
    assert effective_size.of_weights(np.full(1000, 0.2)) == pytest.approx(1000.0)
