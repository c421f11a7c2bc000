"""Steps of the joint fit keep to their bounds, and pay."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import lsq_linear
from test_mixture import LIBRARY, mixture

from molvis_nmr.mixture.joint import _objective, _solve_within, equations, improve
from molvis_nmr.mixture.model import MixtureFit
from molvis_nmr.mixture.quantify import Settings, _look_first, _prepare
from molvis_nmr.mixture.selection import forward

TRUTH = {"lactate": 1.0, "taurine": 0.7, "ethanol": 0.5}


@pytest.fixture
def fit() -> MixtureFit:
    _, search = _prepare(mixture(TRUTH), LIBRARY, Settings(0.03, {}, (), "DSS", tube=False))
    _look_first(search)
    forward(search)
    return search.fit


@pytest.mark.parametrize("seed", range(20))
def test_a_step_within_bounds_is_the_best_there_is(seed: int) -> None:
    random = np.random.default_rng(seed)
    root, wanted = random.normal(size=(12, 6)), random.normal(size=12)
    low, high = -random.uniform(0.01, 0.5, 6), random.uniform(0.01, 0.5, 6)
    low[0], high[1] = -np.inf, np.inf
    best = lsq_linear(root, wanted, (low, high), method="bvls").x
    assert _solve_within(root.T @ root, root.T @ wanted, low, high) == pytest.approx(best, abs=1e-6)


def test_what_was_beyond_its_bound_is_free_again_where_another_that_is_held_no_longer_drives_it_there() -> None:
    # Alone the first would go to 1.5 since the second pulls it along; held, it leaves the first at 0.6.
    matrix, right = np.array([[1.0, -0.9], [-0.9, 1.0]]), np.array([0.15, 0.1])
    assert np.linalg.solve(matrix, right) == pytest.approx([1.2631579, 1.2368421])
    found = _solve_within(matrix, right, np.full(2, -1.0), np.array([1.0, 0.5]))
    assert found == pytest.approx([0.6, 0.5])


def test_the_width_of_all_lines_at_its_bound_leaves_each_line_as_wide_as_it_is(fit: MixtureFit) -> None:
    narrow = improve(fit, 30)
    wide = narrow.shared.width
    i = next(i for i in narrow.states if narrow.library[i].standard)
    own = np.exp(narrow.states[i].width) * wide
    fit.widest = 0.9 * wide
    held = improve(fit, 30)
    assert held.shared.width == pytest.approx(0.9 * wide)
    assert np.exp(held.states[i].width) * held.shared.width == pytest.approx(own, rel=0.03)


def test_no_step_is_taken_that_does_not_pay(fit: MixtureFit) -> None:
    fit.refresh()
    for _ in range(12):
        at = equations(fit)
        then = improve(fit, 1)
        assert _objective(then, at) <= _objective(fit, at)
        fit = then
    end = improve(fit, 30)
    at = equations(end)
    assert _objective(improve(end, 5), at) == pytest.approx(_objective(end, at), rel=1e-4)
