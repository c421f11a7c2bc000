"""Fluxes from labelling data: known fluxes come back, with the right intervals and verdicts."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float

from molvis_flux.errors import FitError, FluxSpaceError
from molvis_flux.fit.identifiability import BOUNDED, FIXED, IDENTIFIABLE, UNSEEN
from molvis_flux.fit.intervals import goodness, monte_carlo, profile, slope_at
from molvis_flux.fit.levenberg_marquardt import minimise
from molvis_flux.fit.multistart import FluxResult, fit, multistart
from molvis_flux.fit.parsimonious import parsimonious
from molvis_flux.fit.problem import flux_problem
from molvis_flux.labelling.stationary import compile_plan
from molvis_flux.model.examples import antoniewicz
from molvis_flux.model.network import (
    Constraint,
    Datum,
    Experiment,
    Fragment,
    Metabolite,
    Network,
    Participant,
    Reaction,
    Study,
    Tracer,
)
from molvis_flux.sampling.smc import posterior
from molvis_flux.space.coordinates import coordinates
from molvis_flux.space.flux_space import flux_space

DATA = Path(os.environ.get("MOLVIS_DATA") or Path(__file__).parents[4] / "shared" / "data") / "flux"


def reaction(name: str, left: str, right: str, net: tuple[float, float], **more: Any) -> Reaction:
    """`"A abc + D d"` to `"B cba"`."""

    def side(text: str) -> tuple[Participant, ...]:
        parts = [part.split() for part in text.split("+") if part.strip()]
        return tuple(Participant(metabolite, atoms=tuple(atoms)) for metabolite, atoms in parts)

    return Reaction(name, side(left), side(right), net=net, **more)


def study(reactions: list[Reaction], sizes: dict[str, int], sources: str, sinks: str, **more: Any) -> Study:
    """A network with a fragment of every balanced metabolite, and one experiment."""
    role = dict.fromkeys(sources, "source") | dict.fromkeys(sinks, "sink")
    pools = {m: Metabolite(m, ("C",) * n, role.get(m, "balanced")) for m, n in sizes.items()}
    fragments = {m: Fragment(m, ((1.0, m, tuple(range(n))),)) for m, n in sizes.items() if m not in role}
    network = Network("test", pools, {r.name: r for r in reactions}, fragments, **more)
    patterns = {m: Tracer((("1" + "0" * (sizes[m] - 1), 1.0),)) for m in sources[:1]}
    return Study(network, (Experiment("one", patterns),))


def routes(turned: float = 0.3) -> Study:
    """A becomes B straight or turned round; what else goes on does not touch B's labelling."""
    given = [
        reaction("in", "A abc", "M abc", (1.0, 1.0)),
        reaction("straight", "M abc", "B abc", (0.0, 1.0)),
        reaction("turned", "M abc", "B cba", (0.0, 1.0)),
        reaction("out", "B abc", "F abc", (0.0, 2.0)),
        reaction("aside", "A abc", "E abc", (0.0, 3.0)),
        reaction("gone", "E abc", "G abc", (0.0, 3.0)),
    ]
    model = study(given, dict.fromkeys("ABMEFG", 3), "A", "FG")
    fragment = Fragment("B12", ((1.0, "B", (0, 1)),))
    network = replace(model.network, fragments={"B12": fragment})
    mid = (turned, 1 - turned, 0.0)
    datum = Datum("B12", "mid", mid, (0.01,) * 3)
    return Study(network, (replace(model.experiments[0], data=(datum,)),))


def simulated(model: Study, net: list[float], names: list[str], *, sd: float = 0.01, **more: Any) -> Study:
    """The study with exact data of some fragments."""
    bare = [replace(experiment, data=()) for experiment in model.experiments]
    plan = compile_plan(model.network, bare, names)
    found = plan.simulate(np.array([net]), None)[0]
    experiments = []
    for experiment in model.experiments:
        data = []
        for name in names:
            values = found[plan.slot(experiment.name, name)]
            data.append(Datum(name, "mid", tuple(values.tolist()), (sd,) * len(values), **more))
        experiments.append(replace(experiment, data=(*experiment.data, *data)))
    return replace(model, experiments=tuple(experiments))


@pytest.fixture(scope="module")
def published() -> FluxResult:
    return fit(antoniewicz())


def test_the_fluxes_of_the_emu_paper_come_back(published: FluxResult) -> None:
    for (kind, name), value in antoniewicz().fluxes.items():
        assert published.value(name, kind) == pytest.approx(value, rel=1e-3)
    assert published.ssr < 0.01
    assert published.problem == published.fit.problem == ""
    assert published.fit.values.tolist() == published.values.tolist()


def test_every_start_ends_at_the_one_minimum(published: FluxResult) -> None:
    assert published.converged.all()
    np.testing.assert_allclose(published.starts, published.starts[0], atol=1e-4)


def test_profile_and_covariance_agree_where_the_model_is_nearly_linear(published: FluxResult) -> None:
    for name in ("v1", "v4", "v6"):
        row = published.names.index(("net", name))
        reach = 1.645 * np.sqrt(published.covariance[row, row])
        np.testing.assert_allclose(published.intervals[row] - published.values[row], [-reach, reach], rtol=0.05)


def test_the_ends_of_a_profile_interval_cost_the_chi_square_quantile(published: FluxResult) -> None:
    problem = published.least_squares
    row = published.names.index(("exchange", "v2"))
    for end in published.intervals[row]:
        held = flux_problem(antoniewicz(), fixed={("exchange", "v2"): float(end)})
        found = multistart(held, starts=4)
        assert found.ssr[0] - published.ssr == pytest.approx(2.706, rel=0.06)
    assert problem.map.names[row] == ("exchange", "v2")


def test_jacobians_agree_with_differences() -> None:
    model = antoniewicz()
    scaled = replace(model.experiments[0].data[0], scaled=True, values=(0.02, 160.0, 40.0, 0.2), sd=(0.5,) * 4)
    experiment = replace(model.experiments[0], data=(scaled, *model.experiments[0].data[1:]))
    problem = flux_problem(replace(model, experiments=(experiment,)))
    y = problem.middle[None]
    _, slope = problem.jacobian(y, np.zeros(1, int))
    for k in range(y.shape[1]):
        step = np.zeros_like(y)
        step[0, k] = 1e-6 * max(1.0, abs(y[0, k]))
        up, down = (problem.residuals(y + sign * step, np.zeros(1, int)) for sign in (1, -1))
        np.testing.assert_allclose(slope[0, :, k], (up - down)[0] / (2 * step[0, k]), rtol=2e-4, atol=1e-5)


def test_what_the_data_tell_bound_or_do_not_see_gets_its_verdict() -> None:
    found = fit(routes(), starts=4)
    judged = {verdict.name[1]: verdict for verdict in found.verdicts}
    assert judged["straight"].kind == judged["turned"].kind == IDENTIFIABLE
    assert judged["turned"].value == pytest.approx(0.3, abs=1e-3)
    assert judged["in"].kind == FIXED
    for name in ("aside", "gone"):
        assert judged[name].kind == UNSEEN
        assert judged[name].value is None
        # The posterior of what is not seen is the prior: uniform between 0 and 3.
        assert judged[name].mean == pytest.approx(1.5, abs=0.2)
        assert (judged[name].low, judged[name].high) == (pytest.approx(0.15, abs=0.1), pytest.approx(2.85, abs=0.1))


def test_a_flux_that_the_data_only_bound_is_called_so() -> None:
    model = routes()
    wide = replace(model.experiments[0].data[0], sd=(0.3,) * 3)
    found = fit(replace(model, experiments=(replace(model.experiments[0], data=(wide,)),)), starts=4)
    [verdict] = [verdict for verdict in found.verdicts if verdict.name == ("net", "turned")]
    assert verdict.kind == BOUNDED
    assert verdict.low == 0.0
    assert 0.5 < verdict.high < 0.9


def twins(most: float) -> Study:
    """100 of A become B straight, by one of two reactions with the same atoms, or turned round; E is a loop aside."""
    given = [
        reaction("in", "A abc", "M abc", (100.0, 100.0)),
        reaction("one", "M abc", "B abc", (0.0, most)),
        reaction("other", "M abc", "B abc", (0.0, most)),
        reaction("turned", "M abc", "B cba", (0.0, most)),
        reaction("out", "B abc", "F abc", (0.0, most)),
        reaction("forth", "B abc", "E abc", (0.0, most)),
        reaction("back", "E abc", "B abc", (0.0, most)),
    ]
    model = study(given, dict.fromkeys("ABMEF", 3), "A", "F")
    network = replace(model.network, fragments={"B12": Fragment("B12", ((1.0, "B", (0, 1)),))})
    datum = Datum("B12", "mid", (0.3, 0.7, 0.0), (0.01,) * 3)
    return Study(network, (replace(model.experiments[0], data=(datum,)),))


def test_a_verdict_does_not_depend_on_how_far_a_bound_is() -> None:
    near, far = (fit(twins(most), starts=4) for most in (300.0, 30_000.0))
    kinds = {verdict.name[1]: verdict.kind for verdict in near.verdicts}
    assert kinds == {verdict.name[1]: verdict.kind for verdict in far.verdicts}
    assert kinds["turned"] == IDENTIFIABLE
    # The two straight ways are limited by what they are together; nothing limits what goes round.
    assert kinds["one"] == kinds["other"] == BOUNDED
    assert kinds["forth"] == kinds["back"] == UNSEEN
    [forth] = [verdict for verdict in far.verdicts if verdict.name == ("net", "forth")]
    assert (forth.low_from, forth.high_from) == ("network", "bound")


def test_verdicts_hold_however_exact_the_data_are() -> None:
    model = twins(300.0)
    first = model.experiments[0]
    exact = replace(first, data=(replace(first.data[0], sd=(1e-6,) * 3),))
    kinds = {v.name[1]: v.kind for v in fit(replace(model, experiments=(exact,)), starts=2, samples=0).verdicts}
    assert kinds["turned"] == IDENTIFIABLE
    assert kinds["one"] == BOUNDED
    assert kinds["forth"] == UNSEEN


def test_intervals_to_first_order_hold_what_a_fit_on_a_face_misses() -> None:
    # The fit is anywhere on the loop, or at its end; that says nothing of where the flux is.
    found = fit(twins(300.0), starts=2, intervals="covariance")
    row = found.names.index(("net", "forth"))
    np.testing.assert_allclose(found.intervals[row], (15.0, 285.0), atol=8.0)


def test_what_is_known_of_twins_is_their_sum() -> None:
    found = fit(twins(300.0), starts=4)
    [both] = [each for each in found.combinations if each.terms == (("one", 1), ("other", 1))]
    assert both.text == "one + other"
    assert both.value == pytest.approx(70.0, abs=0.5)
    turned = found.names.index(("net", "turned"))
    np.testing.assert_allclose((both.low, both.high), 100.0 - found.intervals[turned][::-1], atol=0.05)


def test_fluxes_without_a_measured_one_are_known_by_their_ratio() -> None:
    given = [
        reaction("in", "A abc", "M abc", (1.0, 500.0)),
        reaction("straight", "M abc", "B abc", (0.0, 500.0)),
        reaction("turned", "M abc", "B cba", (0.0, 500.0)),
        reaction("out", "B abc", "F abc", (0.0, 500.0)),
    ]
    model = study(given, dict.fromkeys("ABMF", 3), "A", "F")
    network = replace(model.network, fragments={"B12": Fragment("B12", ((1.0, "B", (0, 1)),))})
    datum = Datum("B12", "mid", (0.3, 0.7, 0.0), (0.01,) * 3)
    found = fit(Study(network, (replace(model.experiments[0], data=(datum,)),)), starts=4)
    assert {verdict.kind for verdict in found.verdicts} <= {BOUNDED, UNSEEN}
    ratios = {each.text: each for each in found.combinations if each.kind == "ratio"}
    ratio = ratios["turned / straight"]
    assert ratio.value == pytest.approx(3 / 7, abs=1e-3)
    # Of a share p = 0.3 with an error of 0.01 / sqrt(2), p / (1 - p) has one of 0.01 / sqrt(2) / (1 - p)**2.
    assert ratio.high - ratio.low == pytest.approx(2 * 1.645 * 0.01 / 2**0.5 / 0.49, rel=0.05)


def test_a_minimum_on_a_bound_is_met_exactly() -> None:
    found = fit(routes(turned=-0.005), starts=4)  # as noise has it
    assert found.value("turned") == pytest.approx(0.0, abs=1e-12)
    assert found.converged.all()


def test_constraints_between_fluxes_hold_at_the_minimum() -> None:
    model = routes()
    tied = Constraint((("net", "turned", 1.0), ("net", "straight", -1.0)), 0.0, np.inf)
    found = fit(replace(model, network=replace(model.network, constraints=(tied,))), starts=4)
    assert found.value("turned") == pytest.approx(0.5, abs=1e-6)


def test_parallel_experiments_are_fitted_together() -> None:
    model = routes()
    first = model.experiments[0]
    again = replace(first, name="two", tracers={"A": Tracer((("001", 1.0),))})
    again = replace(again, data=(replace(first.data[0], values=(0.7, 0.3, 0.0)),))
    alone, both = fit(model, starts=2), fit(replace(model, experiments=(first, again)), starts=2)
    row = alone.names.index(("net", "turned"))
    assert both.values[row] == pytest.approx(0.3, abs=1e-3)
    assert both.covariance[row, row] == pytest.approx(alone.covariance[row, row] / 2, rel=0.02)


def test_a_measured_flux_that_experiments_share_counts_once() -> None:
    model = routes()
    first = model.experiments[0]
    datum = Datum("aside", "net", (1.0,), (0.1,), where="status.csv:3")
    shared = [replace(first, name=name, data=(*first.data, datum)) for name in "ab"]
    apart = [replace(e, data=(first.data[0], replace(datum, where=""))) for e in shared]
    assert len(flux_problem(replace(model, experiments=tuple(shared))).measured) == 7
    assert len(flux_problem(replace(model, experiments=tuple(apart))).measured) == 8


def test_data_in_arbitrary_units_get_their_scale() -> None:
    model = routes()
    first = model.experiments[0]
    datum = replace(first.data[0], values=(600.0, 1400.0, 0.0), sd=(20.0,) * 3, scaled=True)
    found = fit(replace(model, experiments=(replace(first, data=(datum,)),)), starts=4)
    assert found.value("turned") == pytest.approx(0.3, abs=1e-3)
    assert found.residuals[0].scale == pytest.approx(2000.0, rel=1e-3)
    assert found.goodness.data == 2


def test_weights_of_a_mixed_fragment_are_fitted() -> None:
    model = routes()
    mixed = Fragment("both", ((1.0, "B", (0, 1)), (1.0, "M", (0, 1))), mix=("of B", "of M"))
    network = replace(model.network, fragments=model.network.fragments | {"both": mixed})
    # M is labelled in its first atom always, B in 7 of 10: a quarter of B gives 0.25 * 0.3 unlabelled.
    datum = Datum("both", "mid", (0.075, 0.925, 0.0), (0.003,) * 3)
    first = model.experiments[0]
    found = fit(Study(network, (replace(first, data=(*first.data, datum)),)), starts=4)
    assert found.value("of B", "mix") == pytest.approx(0.25, abs=0.01)
    assert found.value("of M", "mix") == pytest.approx(0.75, abs=0.01)


def test_pool_sizes_are_fitted_to_labelling_in_time() -> None:
    model = study([reaction("in", "A a", "B a", (2.0, 2.0)), reaction("out", "B a", "F a", (0.0, 9.0))],
                  {"A": 1, "B": 1, "F": 1}, "A", "F")  # fmt: skip
    # One pool of size 4 fed by 2: its labelling is 1 - exp(-t / 2).
    data = tuple(
        Datum("B", "mid", (float(np.exp(-t / 2)), float(1 - np.exp(-t / 2))), (0.01, 0.01), time=t) for t in (1.0, 3.0)
    )
    pools = model.network.metabolites | {"B": replace(model.network.metabolites["B"], pool=(0.1, 100.0))}
    network = replace(model.network, metabolites=pools)
    found = fit(Study(network, (replace(model.experiments[0], data=data),)), starts=4)
    assert found.value("B", "pool") == pytest.approx(4.0, rel=5e-3)
    [verdict] = [verdict for verdict in found.verdicts if verdict.name == ("pool", "B")]
    assert verdict.kind == IDENTIFIABLE


def test_the_sum_of_squares_of_noisy_data_is_as_expected() -> None:
    model, rng = routes(), np.random.default_rng(0)
    problem = flux_problem(model)
    lanes = np.array([0.3, 0.7, 0.0]) + 0.01 * rng.standard_normal((400, 3))
    found = minimise(replace(problem, measured=lanes), np.tile(problem.middle, (400, 1)))
    assert found.ssr.mean() == pytest.approx(2.0, abs=0.3)
    tested = goodness(replace(problem, measured=lanes[0]), float(found.ssr[0]), slope_at(problem, found.y[0]))
    assert (tested.data, tested.seen, tested.freedom) == (3, 1, 2)


@pytest.mark.full
def test_profile_intervals_cover_the_truth_as_often_as_they_claim() -> None:
    model, rng, hits = routes(), np.random.default_rng(1), 0
    problem = flux_problem(model)
    row = problem.map.names.index(("net", "turned"))
    for _ in range(60):
        data = np.array([0.3, 0.7, 0.0]) + 0.01 * rng.standard_normal(3)
        one = replace(problem, measured=data)
        low, high = profile(one, multistart(one, starts=1))[row]
        hits += low <= 0.3 <= high
    assert 46 <= hits <= 60  # binomial, 0.9: outside once in a thousand


def test_monte_carlo_intervals_agree_with_the_profile(published: FluxResult) -> None:
    drawn = monte_carlo(published.least_squares, published.y[0], n=300)
    row = published.names.index(("net", "v4"))
    np.testing.assert_allclose(drawn[row], published.intervals[row], rtol=0.03)


def test_the_posterior_agrees_with_sums_over_a_grid() -> None:
    """One flux is seen by one distribution: its posterior can be summed up directly."""
    model = routes()
    wide = replace(model.experiments[0].data[0], sd=(0.2,) * 3)
    problem = flux_problem(replace(model, experiments=(replace(model.experiments[0], data=(wide,)),)))
    drawn = posterior(problem, multistart(problem, starts=2).y[0], n=4000).samples
    grid = np.linspace(0, 1, 2001)
    density = np.exp(-(((grid - 0.3) / 0.2) ** 2))
    mean = (grid * density).sum() / density.sum()
    sd = np.sqrt(((grid - mean) ** 2 * density).sum() / density.sum())
    found = drawn[:, problem.map.names.index(("net", "turned"))]
    assert found.mean() == pytest.approx(mean, abs=0.01)
    assert found.std() == pytest.approx(sd, rel=0.06)


def test_the_least_total_flux_is_lower_and_still_allowed(published: FluxResult) -> None:
    found = parsimonious(published)
    assert found.total < 0.95 * found.total_of_fit
    assert published.ssr < found.ssr <= found.limit * (1 + 1e-9)


def test_the_same_seed_gives_the_same_result(published: FluxResult) -> None:
    again = fit(antoniewicz())
    np.testing.assert_array_equal(again.values, published.values)
    np.testing.assert_array_equal(again.intervals, published.intervals)


def test_coordinates_and_values_are_inverse() -> None:
    space = flux_space(antoniewicz().network)
    map_ = coordinates(space, [], {})
    theta = space.center + 0.1 * np.random.default_rng(0).random((5, len(space)))
    values = space.values(theta)
    np.testing.assert_allclose(map_.values(map_.points(values)), values, rtol=1e-9)
    for row in range(len(map_.names)):
        np.testing.assert_allclose(map_.unbend(row, map_.bend(row, values[:, row])), values[:, row], rtol=1e-9)
        along = map_.points(values) @ map_.directions[row]
        np.testing.assert_allclose(along, map_.bend(row, values[:, row]), rtol=1e-7, atol=1e-9)


class _Line:
    """Least squares of a line under random inequalities."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.a, self.b = rng.normal(size=(8, 6)), rng.normal(size=8)
        self.rows = rng.normal(size=(20, 6))
        self.low, self.high = -rng.uniform(0, 1, 20), rng.uniform(0, 1, 20)
        self.metric = np.eye(6)

    def residuals(self, y: Float[np.ndarray, "n k"], lanes: Any) -> Float[np.ndarray, "n m"]:
        return y @ self.a.T - self.b

    def jacobian(self, y: Float[np.ndarray, "n k"], lanes: Any) -> Any:
        return self.residuals(y, lanes), np.broadcast_to(self.a, (len(y), *self.a.shape)).copy()


@pytest.mark.parametrize("seed", range(5))
def test_a_constrained_minimum_is_that_of_another_solver(seed: int) -> None:
    from scipy.optimize import minimize

    problem = _Line(np.random.default_rng(seed))
    found = minimise(problem, np.zeros((1, 6)), tolerance=1e-12)
    sides = [
        {"type": "ineq", "fun": lambda x: problem.high - problem.rows @ x},
        {"type": "ineq", "fun": lambda x: problem.rows @ x - problem.low},
    ]
    other = minimize(lambda x: ((problem.a @ x - problem.b) ** 2).sum(), np.zeros(6), constraints=sides,
                     method="SLSQP", options={"maxiter": 1000, "ftol": 1e-14})  # fmt: skip
    assert found.ssr[0] == pytest.approx(other.fun, rel=1e-6)
    at = problem.rows @ found.y[0]
    assert (at >= problem.low - 1e-9).all()
    assert (at <= problem.high + 1e-9).all()


def _changed(**more: Any) -> Study:
    model = routes()
    first = model.experiments[0]
    return replace(model, experiments=(replace(first, data=(replace(first.data[0], where="data.csv:7", **more),)),))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (_changed(sd=(0.01, 0.0, 0.01)), "data.csv:7: mid of 'B12': standard deviations must be positive"),
        (_changed(sd=(0.01, float("nan"), 0.01)), "must be positive, got"),
        (_changed(values=(0.3, float("inf"), 0.0)), "NaN where not measured"),
        (_changed(values=(float("nan"),) * 3), "has no data"),
        (_changed(target="B21"), "Did you mean 'B12'"),
        (_changed(values=(0.1,) * 5, sd=(0.01,) * 5), "data.csv:7: 5 numbers"),
        (_changed(kind="net", target="turnd", values=(1.0,), sd=(1.0,)), "Did you mean 'turned'"),
        (_changed(kind="net", target="turned", values=(float("nan"),), sd=(1.0,)), "leave the measurement out"),
        (_changed(kind="pool", target="B", values=(1.0,), sd=(1.0,)), "no labelling in time depends on it"),
        (replace(routes(), experiments=()), "has no data"),
    ],
)
def test_bad_data_are_refused_with_their_place_and_what_to_do(model: Study, message: str) -> None:
    with pytest.raises(FitError, match=message.replace(".", r"\.")):
        fit(model)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"starts": 0}, "starts must be at least 1, got 0"),
        ({"level": 1.0}, "the level must be between 0 and 1, got 1"),
        ({"intervals": "bootstrap"}, "profile"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(FitError, match=message):
        fit(routes(), **more)


def test_an_infeasible_problem_says_which_conditions_clash() -> None:
    with pytest.raises(FluxSpaceError, match="turned"):
        fit(routes(), fixed={("net", "turned"): 0.8, ("net", "straight"): 0.8})


def test_fluxes_that_are_all_held_are_compared_with_the_data() -> None:
    found = fit(routes(), fixed={("net", "turned"): 0.4, ("net", "aside"): 1.0}, starts=2)
    assert {verdict.kind for verdict in found.verdicts} == {FIXED}
    assert found.ssr == pytest.approx(200.0)  # two fractions are off by ten standard deviations
    assert not found.goodness.accepted


def test_numbers_that_were_not_measured_are_left_out() -> None:
    found = fit(_changed(values=(0.3, float("nan"), 0.0)), starts=2)
    assert found.residuals[0].channels == (0, 2)
    assert found.value("turned") == pytest.approx(0.3, abs=1e-3)


def test_a_fit_that_has_not_converged_says_so_and_gives_its_best() -> None:
    found = fit(antoniewicz(), starts=2, limit=1, intervals="none")
    assert "had not converged" in found.problem
    assert np.isfinite(found.values).all()
    assert not found.converged[0]


@pytest.mark.skipif(not DATA.is_dir(), reason="the flux data are not here")
def test_ecoli_fits_better_than_mfapy_does() -> None:
    from molvis_flux.formats import read_study

    folder = DATA / "mfapy_samples"
    model = read_study(
        folder / "Example_2_Ecoli_model.txt",
        status=folder / "Example_2_Ecoli_status.csv",
        data=folder / "Example_2_Ecoli_mdv.txt",
        tracers={"SubsGlc": {"000000": 0.02, "100000": 0.7, "111111": 0.28}},
        merge_pairs=True,
    )
    found = multistart(flux_problem(model), starts=6, limit=40, tolerance=1e-5)
    assert found.ssr[0] < 6.0  # mfapy's: 449
