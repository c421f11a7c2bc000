"""Moves of draws: they leave their density as it is, and forget where they began."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from molvis_flux.fit.intervals import coordinate_covariance, covariance, covariance_intervals
from molvis_flux.fit.multistart import multistart
from molvis_flux.fit.problem import FluxProblem, flux_problem
from molvis_flux.model.examples import antoniewicz
from molvis_flux.sampling import gibbs
from molvis_flux.sampling.smc import posterior


@pytest.fixture(scope="module")
def wide() -> FluxProblem:
    """The EMU paper's network, with errors so large that bounds cut what the data leave open."""
    study = antoniewicz()
    data = tuple(replace(d, sd=tuple(40 * x for x in d.sd)) for d in study.experiments[0].data if d.kind == "mid")
    others = tuple(d for d in study.experiments[0].data if d.kind != "mid")
    return flux_problem(replace(study, experiments=(replace(study.experiments[0], data=data + others),)))


def test_steps_of_gibbs_leave_a_normal_density_in_a_corner_as_it_is() -> None:
    rows, low, high = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), np.zeros(3), np.array([1.0, 1.0, 1.2])
    precision, peak = np.array([[30.0, 12.0], [12.0, 9.0]]), np.array([0.1, 0.9])
    x, y = np.meshgrid(*[np.linspace(0, 1, 401)] * 2)
    grid = np.stack([x, y], axis=-1) - peak
    density = np.exp(-0.5 * np.einsum("abi,ij,abj->ab", grid, precision, grid)) * (x + y <= 1.2)
    mean = np.array([(x * density).sum(), (y * density).sum()]) / density.sum()
    metric = 10.0 * np.eye(2)
    drawn = gibbs.sample(
        rows, low, high, metric, np.array([0.3, 0.5]), 4000, seed=0, peak=peak, precision=precision
    )  # fmt: skip
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.02)
    axes, curvature = gibbs.diagonal_axes(metric, precision)
    at, inner = np.linalg.solve(axes, (drawn - peak).T).T.copy(), drawn @ rows.T
    gibbs.walk(
        np.ascontiguousarray((rows @ axes).T), inner - low, high - inner, at, curvature, 7, np.random.default_rng(1)
    )
    moved = peak + at @ axes.T
    assert (moved @ rows.T <= high + 1e-9).all()
    assert (moved @ rows.T >= low - 1e-9).all()
    assert np.abs(moved - drawn).mean() > 0.05
    np.testing.assert_allclose(moved.mean(axis=0), mean, atol=0.02)


def test_draws_do_not_depend_on_how_wide_they_began(wide: FluxProblem, monkeypatch: pytest.MonkeyPatch) -> None:
    found = multistart(wide, starts=2)
    quantiles = []
    for wider in (3.0, 30.0):
        monkeypatch.setattr("molvis_flux.sampling.smc.WIDER", wider)
        drawn = posterior(wide, found.y[0], n=2000, seed=3).samples
        quantiles.append(np.quantile(drawn, [0.05, 0.5, 0.95], axis=0))
    room = quantiles[0][2] - quantiles[0][0]
    assert np.abs(quantiles[0] - quantiles[1]).max() < 0.12 * room.max()


def test_intervals_from_residuals_made_linear_are_near_the_posterior(wide: FluxProblem) -> None:
    found = multistart(wide, starts=2)
    drawn = posterior(wide, found.y[0], n=2000, seed=3).samples
    net = [i for i, (kind, _) in enumerate(wide.map.names) if kind == "net"]
    exact = np.quantile(drawn[:, net], [0.05, 0.95], axis=0).T
    linear = covariance_intervals(wide, found.y[0], 0.9)[net]
    width = np.maximum(exact[:, 1] - exact[:, 0], 1e-9)
    assert (np.abs(linear - exact).max(axis=1) <= 0.2 * width + 1e-6).all()


def test_no_variance_is_negative_where_data_see_one_direction_a_billion_times_better(wide: FluxProblem) -> None:
    rng = np.random.default_rng(0)
    y = multistart(wide, starts=1).y[0]
    seen = rng.standard_normal((1, len(y)))
    jacobian = 1e9 * np.repeat(seen, 3, axis=0)
    found = coordinate_covariance(wide, jacobian)
    # What data see is known to the precision that they have, and what they do not see as without them.
    assert seen[0] @ found @ seen[0] == pytest.approx(1 / 3e18, rel=1e-6)
    across = np.linalg.svd(seen)[2][1:]
    blind = coordinate_covariance(wide, np.zeros((1, len(y))))
    narrowed = across @ found @ across.T
    assert (np.diag(narrowed) > 0).all()
    assert (np.diag(narrowed) <= np.diag(across @ blind @ across.T) * (1 + 1e-9)).all()
    assert (np.diag(covariance(wide, y, jacobian)) >= 0).all()
