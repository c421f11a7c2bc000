"""What a fit answers beyond its tables: profiles, verdicts, draws."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from molvis_flux.errors import FitError
from molvis_flux.fit.estimates import estimates
from molvis_flux.fit.multistart import FluxResult, fit
from molvis_flux.model.examples import antoniewicz
from molvis_flux.report import tables


@pytest.fixture(scope="module")
def found() -> FluxResult:
    return fit(antoniewicz(), starts=4)


@pytest.mark.parametrize("name", ["net/v4", "exchange/v2"])
def test_a_profile_rises_by_the_quantile_at_the_ends_of_the_interval(found: FluxResult, name: str) -> None:
    verdict = found.verdict(name)
    middle = found.values[found.names.index(verdict.name)]
    rise = found.profile(name, [verdict.low, float(middle), verdict.high])
    assert rise[1] == pytest.approx(0, abs=1e-4)
    assert rise[[0, 2]] == pytest.approx(2.7055, rel=0.05)


def test_a_profile_is_that_of_a_fit_with_the_flux_fixed(found: FluxResult) -> None:
    fixed = fit(antoniewicz(), starts=4, intervals="none", fixed={("net", "v4"): 21.0})
    [rise] = found.profile(("net", "v4"), [21.0])
    assert rise == pytest.approx(fixed.ssr - found.ssr, rel=1e-3)


def test_a_profile_comes_in_the_order_that_was_asked(found: FluxResult) -> None:
    at = [21.0, 19.0, 20.0]
    assert found.profile("v4", at)[[1, 2, 0]] == pytest.approx(found.profile("v4", sorted(at)), rel=1e-3, abs=1e-6)
    assert found.profile("v4", []).shape == (0,)


def test_names_are_paths_or_net_fluxes(found: FluxResult) -> None:
    assert found.verdict("v2") is found.verdict("net/v2") is found.verdict(("net", "v2"))
    assert found.verdict("exchange/v2").name == ("exchange", "v2")
    assert estimates(found).verdict("v2") is found.verdict("v2")
    with pytest.raises(FitError, match="no value 'v44'. Did you mean 'v4'"):
        found.verdict("v44")


def test_what_has_no_profile_is_said(found: FluxResult) -> None:
    with pytest.raises(FitError, match="cannot be -3: the constraints allow"):
        found.profile("v4", [20.0, -3.0])
    with pytest.raises(FitError, match="cannot be nan"):
        found.profile("v4", [float("nan")])
    fixed = fit(antoniewicz(), starts=2, intervals="none", fixed={("net", "v4"): 20.0})
    with pytest.raises(FitError, match="fixed by the network"):
        fixed.profile("v4", [20.0])


def test_draws_can_be_had_whatever_the_intervals_were(found: FluxResult) -> None:
    assert found.samples is None
    draws = found.posterior(200, seed=3)
    assert draws.names == found.names
    assert draws.samples.shape == (200, len(found.names))
    row = found.names.index(("net", "v4"))
    assert np.quantile(draws.samples[:, row], 0.02) < found.values[row] < np.quantile(draws.samples[:, row], 0.98)


def test_progress_says_what_runs_and_goes_on_after_the_last_temperature() -> None:
    said: list[tuple[int, int, str]] = []
    fit(antoniewicz(), starts=2, samples=200, progress=lambda done, total, what="": said.append((done, total, what)))
    stages = list(dict.fromkeys(what for _, _, what in said))
    assert [what.split(",")[0] for what in stages] == ["starts", "draws", "draws", "profile intervals"]
    way = [done for done, total, what in said if what == stages[1] and total == 1000]
    assert way == sorted(way)
    assert way[-1] < 1000, "1,000 of 1,000 would stand there while the particles move on"
    sweeps = [(done, total) for done, total, what in said if what == stages[2]]
    assert sweeps == [(i, 0) for i in range(len(sweeps))]
    assert len(sweeps) > 1


def test_standard_deviations_are_the_same_wherever_they_stand(found: FluxResult) -> None:
    np.testing.assert_allclose(found.sd**2, np.diag(found.covariance), rtol=1e-12, atol=1e-300)
    np.testing.assert_array_equal(estimates(found).sd, found.sd)
    columns, rows = tables.fluxes(found)
    assert [row[columns.index("sd")] for row in rows] == found.sd.tolist()
    below = dataclasses.replace(found, covariance=np.diag(np.full(len(found.names), -1e-20)))
    assert not below.sd.any()
