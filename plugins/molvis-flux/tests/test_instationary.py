"""Simulated labelling in time against isotopomer balances that are integrated."""

from __future__ import annotations

import numpy as np
import pytest
from isotopomers import MODELS, Isotopomers, fluxes, whole

from molvis_flux.errors import SimulationError
from molvis_flux.labelling.instationary import compile_instationary
from molvis_flux.labelling.stationary import compile_plan
from molvis_flux.model.examples import network
from molvis_flux.model.network import Experiment, Tracer


def in_time(name: str):
    model, experiment = MODELS[name]()
    model = whole(model)
    plan = compile_instationary(model, [experiment])
    net, exchange = fluxes(model, 12)
    sizes = dict(zip(plan.pools, np.random.default_rng(13).uniform(0.2, 4.0, len(plan.pools)), strict=True))
    return model, experiment, plan, net, exchange, sizes


@pytest.mark.parametrize("name", ["toy", "duplicates"])
def test_labelling_in_time_agrees_with_isotopomer_balances(name):
    model, experiment, plan, net, exchange, sizes = in_time(name)
    times = np.array([0.0, 0.01, 0.1, 0.5, 2.0, 5.0, 50.0])
    truth = Isotopomers(model, experiment)
    wanted = truth.in_time(net[0], exchange[0], {n: sizes.get(n, 1.0) for n in truth.inner}, times)
    pools = np.array([list(sizes.values())])
    for tolerance in (1e-3, 1e-5, 1e-7):
        found = plan.simulate(net, exchange, pools, times, tolerance=tolerance)[0]
        for t in range(len(times)):
            for slot in plan.layout:
                ((_, metabolite, atoms),) = model.fragments[slot.fragment].parts
                if metabolite not in truth.given:
                    mid = truth.masses(wanted[t], metabolite, atoms)
                    np.testing.assert_allclose(found[t, slot.start : slot.stop], mid, atol=tolerance)


def test_labelling_in_time_does_not_depend_on_the_times_asked_for():
    _, _, plan, net, exchange, sizes = in_time("symmetric")
    pools = np.array([list(sizes.values())])
    many = np.geomspace(0.01, 30, 40)
    found = plan.simulate(net, exchange, pools, many)
    few = plan.simulate(net, exchange, pools, many[[39, 20]])
    np.testing.assert_allclose(few[:, ::-1], found[:, [20, 39]], atol=1e-4)


def test_labelling_in_time_ends_in_the_stationary_state():
    model, experiment, plan, net, exchange, sizes = in_time("elements")
    found = plan.simulate(net, exchange, np.array([list(sizes.values())]), np.array([1e5]), tolerance=1e-6)
    np.testing.assert_allclose(found[:, 0], compile_plan(model, [experiment]).simulate(net, exchange), atol=1e-6)


def test_before_the_tracer_carbon_has_its_natural_abundance():
    model = whole(network("one", {"S": 2, "P": 2}, {"in": "S ab -> P ab"}, sources="S"))
    experiment = Experiment("e", {"S": Tracer((("11", 1.0),), natural=True)})
    plan = compile_instationary(model, [experiment], ["P"])
    found = plan.simulate(np.ones((1, 1)), None, np.ones((1, 1)), np.array([0.0]))[0, 0]
    np.testing.assert_allclose(found, [0.9893**2, 2 * 0.9893 * 0.0107, 0.0107**2], atol=1e-15)


def test_labelling_in_time_in_single_precision_and_in_batches():
    _, _, plan, net, exchange, sizes = in_time("symmetric")
    rng = np.random.default_rng(14)
    pools = np.array([list(sizes.values())]) * rng.uniform(0.5, 2.0, (70, len(sizes)))
    net, exchange, times = np.repeat(net, 70, 0), np.repeat(exchange, 70, 0), np.array([0.3, 3.0])
    found = plan.simulate(net, exchange, pools, times, tolerance=1e-5)
    single = plan.simulate(net, exchange, pools, times, tolerance=1e-4, dtype=np.float32)
    np.testing.assert_allclose(single, found, atol=1.1e-4)
    alone = plan.simulate(net[65:66], exchange[65:66], pools[65:66], times, tolerance=1e-5)
    np.testing.assert_allclose(alone[0], found[65], atol=2e-5)


def test_derivatives_in_time_are_those_of_precise_simulations():
    _, _, plan, net, exchange, sizes = in_time("symmetric")
    pools, times = np.array(list(sizes.values())), np.array([0.3, 3.0])
    rng = np.random.default_rng(15)
    moves = [rng.normal(size=(len(given), 40)) for given in (net[0], exchange[0], pools)]
    found, slopes = plan.tangents(net[0], exchange[0], pools, times, *moves, tolerance=1e-6)
    assert slopes.shape == (2, plan.size, 40)
    h = 1e-4
    for k in (0, 33):
        ends = [
            plan.simulate(
                net + s * h * moves[0][:, k], exchange + s * h * moves[1][:, k], (pools + s * h * moves[2][:, k])[None],
                times, tolerance=1e-9,
            )[0]
            for s in (1, -1)
        ]  # fmt: skip
        np.testing.assert_allclose(slopes[:, :, k], (ends[0] - ends[1]) / (2 * h), atol=1e-5)
    np.testing.assert_allclose(found, plan.simulate(net, exchange, pools[None], times, tolerance=1e-6)[0], atol=1e-6)


def test_derivatives_in_time_are_those_of_the_steps_that_were_taken():
    """The two ends of a difference are simulated side by side, which makes them take the same steps."""
    _, _, plan, net, exchange, sizes = in_time("symmetric")
    pools, times = np.array(list(sizes.values())), np.array([3.0, 0.0, 0.3])
    rng = np.random.default_rng(16)
    moves = [rng.uniform(-1, 1, (len(given), 33)) * given[:, None] for given in (net[0], exchange[0], pools)]
    found, slopes = plan.tangents(net[0], exchange[0], pools, times, *moves, tolerance=1e-3)
    h = 1e-4
    for k in (0, 31, 32):
        ends = [
            np.array([v + s * h * m[:, k] for s in (1, -1)])
            for v, m in zip((net[0], exchange[0], pools), moves, strict=True)
        ]
        up, down = plan.simulate(*ends, times, tolerance=1e-3)
        # Steps are chosen by the worse of both ends, and so are about those of the middle.
        np.testing.assert_allclose(slopes[:, :, k], (up - down) / (2 * h), atol=2e-5)
    assert np.abs(slopes).max() > 0.1
    still, none = plan.tangents(net[0], exchange[0], pools, times, *(m[:, :0] for m in moves), tolerance=1e-3)
    assert none.shape == (*found.shape, 0)
    np.testing.assert_array_equal(still, found)


@pytest.mark.parametrize(
    ("message", "change"),
    [
        ("pools have shape (1, 3)", {"pools": np.ones((1, 3))}),
        ("pool of 'Suc' in vector 0 is 0.0", {"pool": 0.0}),
        ("times must be finite numbers from 0 on, got [-1.]", {"times": np.array([-1.0])}),
        ("tolerance must be a positive number, got 0", {"tolerance": 0.0}),
    ],
)
def test_what_cannot_be_simulated_in_time_is_named(message, change, unchecked_shapes):
    _, _, plan, net, exchange, sizes = in_time("symmetric")
    pools = np.array([list(sizes.values())])
    pools[0, plan.pools.index("Suc")] = change.pop("pool", 1.0)
    arguments = {"pools": pools, "times": np.ones(1)} | change
    with pytest.raises(SimulationError) as error:
        plan.simulate(net, exchange, **arguments)
    assert message in str(error.value)
    if len(arguments["pools"][0]) != len(sizes):
        return
    moves = [np.ones((len(given), 1)) for given in (net[0], exchange[0], pools[0])]
    given = (net[0], exchange[0], arguments.pop("pools")[0], arguments.pop("times"))
    with pytest.raises(SimulationError) as error:
        plan.tangents(*given, *moves, **arguments)
    assert message in str(error.value)


def test_derivatives_of_pools_that_turn_over_too_fast_are_refused():
    _, _, plan, net, exchange, sizes = in_time("symmetric")
    pools = np.array(list(sizes.values()))
    moves = [np.ones((len(given), 1)) for given in (net[0], exchange[0], pools)]
    with pytest.raises(SimulationError, match="steps without end at time .*: a pool turns over too fast"):
        plan.tangents(1e9 * net[0], 1e9 * exchange[0], pools, np.array([3e9]), *moves, tolerance=1e-13)
