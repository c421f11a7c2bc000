"""The space of fluxes: its coordinates, its ranges, draws from it, and what is said where there is none."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molvis_flux.errors import FluxSpaceError
from molvis_flux.model.network import Constraint, Metabolite, Network, Participant, Reaction
from molvis_flux.sampling.prior import exchange_start, sample, summary, write_fluxes
from molvis_flux.space.flux_space import flux_space


def part(text: str) -> tuple[Participant, ...]:
    return tuple(Participant(name) for name in text.split())


def network(lines: dict[str, str], bounds: dict[str, tuple[float, float]] | None = None, *constraints: Constraint):
    """Reactions from lines such as `A -> B`; `<->` for a reversible one. Metabolites in capitals alone are balanced."""
    reactions: dict[str, Reaction] = {}
    names: dict[str, Metabolite] = {}
    for name, line in lines.items():
        arrow = "<->" if "<->" in line else "->"
        left, right = line.split(arrow)
        reversible = arrow == "<->"
        low, high = (bounds or {}).get(name, (-10.0, 10.0) if reversible else (0.0, 10.0))
        reactions[name] = Reaction(
            name, part(left), part(right), reversible, (low, high), (0.0, 5.0), f"net.toml:{name}"
        )
        names |= {m: Metabolite(m) for m in (*left.split(), *right.split())}
    return Network("test", names, reactions, {}, constraints)


def branched() -> Network:
    return network({"in": "-> A", "up": "A -> B", "down": "A <-> B", "out": "B ->"}, {"in": (1.0, 1.0)})


def test_free_fluxes_give_all_the_others() -> None:
    space = flux_space(branched())
    assert len(space) == 2  # how `in` splits, and the exchange flux of `down`
    theta = np.array([[space.ranges[i].mean() for i in space.free]])
    values = space.values(theta)[0]
    assert values[space.index["net", "in"]] == pytest.approx(1)
    assert values[space.index["net", "up"]] + values[space.index["net", "down"]] == pytest.approx(1)
    np.testing.assert_allclose(space.coordinates(values[None]), theta)


def test_ranges_are_what_balances_leave() -> None:
    space = flux_space(branched())
    ranges = {space.parameters[i]: tuple(space.ranges[i]) for i in range(len(space.parameters))}
    assert ranges["net", "in"] == ranges["net", "out"] == (1.0, 1.0)
    assert ranges["net", "up"] == (0.0, 10.0)
    assert ranges["net", "down"] == (-9.0, 1.0)
    assert ranges["exchange", "down"] == (0.0, 5.0)


def test_bounds_that_leave_one_value_become_an_equality() -> None:
    # up <= 3 and down <= 2 leave only 3 and 2 for an uptake of 5, though no single bound says so.
    space = flux_space(network(
        {"in": "-> A", "up": "A -> B", "down": "A -> B", "out": "B ->"},
        {"in": (5.0, 5.0), "up": (0.0, 3.0), "down": (0.0, 2.0)},
    ))  # fmt: skip
    assert len(space) == 0
    values = space.values(np.zeros((1, 0)))[0]
    np.testing.assert_allclose(values, [5, 3, 2, 5])


def test_a_redundant_balance_changes_nothing() -> None:
    lines = {
        "in": "-> A",
        "ab": "A X -> B Y",
        "yx": "Y -> X",
        "out": "B ->",
    }  # X + Y is conserved: one balance too many
    space = flux_space(network(lines))
    assert len(space) == 1
    assert np.ptp(space.values(np.array([[7.0]]))) == pytest.approx(0)


def test_a_copy_of_coefficient_0_drains_nothing() -> None:
    model = branched()
    copy = Reaction("copy", (Participant("B", 0.0),), (Participant("C", 0.0),), net=(1.0, 1.0))
    more = dataclasses.replace(
        model, metabolites=model.metabolites | {"C": Metabolite("C")}, reactions=model.reactions | {"copy": copy}
    )
    assert flux_space(more).ranges[flux_space(more).index["net", "out"]].tolist() == [1.0, 1.0]


def test_a_constraint_cuts_the_space() -> None:
    ratio = Constraint((("net", "up", 1.0), ("net", "down", -2.0)), 0.0, 0.0)
    space = flux_space(
        network({"in": "-> A", "up": "A -> B", "down": "A -> B", "out": "B ->"}, {"in": (3.0, 3.0)}, ratio)
    )
    np.testing.assert_allclose(space.values(np.zeros((1, 0)))[0], [3, 2, 1, 3])
    least = Constraint((("net", "up", 1.0), ("net", "down", -2.0)), 0.0, math.inf)
    space = flux_space(
        network({"in": "-> A", "up": "A -> B", "down": "A -> B", "out": "B ->"}, {"in": (3.0, 3.0)}, least)
    )
    np.testing.assert_allclose(space.ranges[space.index["net", "down"]], [0, 1], atol=1e-9)
    assert not space.contains(np.full((1, 1), -0.1))[0]
    assert space.contains(space.center[None])[0]


def test_a_fixed_flux_is_no_coordinate() -> None:
    space = flux_space(branched(), fixed={("net", "up"): 0.25, ("exchange", "down"): 2.0})
    assert len(space) == 0
    net, exchange = space.net_and_exchange(space.values(np.zeros((1, 0))))
    np.testing.assert_allclose(net[0], [1, 0.25, 0.75, 1])
    np.testing.assert_allclose(exchange[0], [0, 0, 2, 0])


def test_coordinates_can_be_chosen() -> None:
    chosen = (("net", "down"), ("exchange", "down"))
    space = flux_space(branched(), free=chosen)
    assert tuple(space.parameters[i] for i in space.free) == chosen
    np.testing.assert_allclose(space.values(np.array([[0.25, 1.0]]))[0], [1, 0.75, 0.25, 1, 1])
    with pytest.raises(FluxSpaceError, match="2 independent ones are expected"):
        flux_space(branched(), free=(("net", "in"), ("net", "out")))


def test_an_impossible_problem_names_a_smallest_set_of_conditions() -> None:
    demand = Constraint((("net", "out", 1.0),), 4.0, math.inf, "model.xml:12")
    model = network({"in": "-> A", "side": "A ->", "ab": "A -> B", "out": "B ->"}, {"in": (0.0, 3.0)}, demand)
    with pytest.raises(FluxSpaceError, match="model.xml:12") as caught:
        flux_space(model)
    conditions = caught.value.conditions
    assert set(conditions) == {
        "the balance of A", "the balance of B", "model.xml:12: net out >= 4",
        "the net flux of in <= 3 (net.toml:in)", "the net flux of side >= 0 (net.toml:side)",
    }  # fmt: skip


def test_bounds_the_wrong_way_round_clash_with_each_other() -> None:
    with pytest.raises(FluxSpaceError, match=r"up <= 1.*up >= 2|up >= 2.*up <= 1"):
        flux_space(network({"in": "-> A", "up": "A ->"}, {"up": (2.0, 1.0)}))


def test_a_flux_without_a_limit_is_named() -> None:
    with pytest.raises(FluxSpaceError, match="the net flux of in has no upper limit") as caught:
        flux_space(network({"in": "-> A", "out": "A ->"}, {"in": (0.0, math.inf), "out": (0.0, math.inf)}))
    assert len(caught.value.conditions) == 2
    model = network({"in": "-> A", "turn": "A <-> B", "out": "B ->"})
    model.reactions["turn"] = dataclasses.replace(model.reactions["turn"], exchange=(0.0, math.inf))
    with pytest.raises(FluxSpaceError, match="the exchange flux of turn has no limit"):
        flux_space(model)


@pytest.mark.parametrize(
    ("fixed", "message"),
    [
        ({("net", "upp"): 1.0}, "Did you mean 'up'"),
        ({("gross", "up"): 1.0}, "Kinds are 'net' and 'exchange'"),
        ({("net", "up"): 11.0}, "the net flux of up fixed at 11"),
    ],
)
def test_a_wrong_fixed_flux_is_refused(fixed: dict[tuple[str, str], float], message: str) -> None:
    with pytest.raises(FluxSpaceError, match=message):
        flux_space(branched(), fixed=fixed)


def test_draws_lie_in_the_space_and_repeat_with_their_seed() -> None:
    space = flux_space(branched())
    values = sample(space, 500, seed=4)
    assert space.contains(space.coordinates(values)).all()
    np.testing.assert_array_equal(values, sample(space, 500, seed=4))
    assert not np.array_equal(values, sample(space, 500, seed=5))


def test_exchange_fluxes_are_uniform_in_their_logarithm() -> None:
    space = flux_space(branched())
    row = space.index["exchange", "down"]
    start = exchange_start(space, row)
    assert start == pytest.approx(9e-3)  # a thousandth of the largest net flux there
    logs = np.log(sample(space, 4000, seed=0)[:, row] / start) / np.log(5.0 / start)
    assert 0 <= logs.min() <= logs.max() <= 1
    np.testing.assert_allclose(np.quantile(logs, [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.03)
    fewer = sample(space, 100, seed=0, smallest_exchange=1.0)
    assert fewer[:, row].min() >= 1.0


def test_hit_and_run_is_uniform_on_a_simplex() -> None:
    # Five ways share one uptake: each share of a uniform draw from a simplex has mean 1/5 and variance 2/75.
    ways = {f"w{i}": "A -> B" for i in range(5)}
    space = flux_space(network({"in": "-> A", **ways, "out": "B ->"}, {"in": (1.0, 1.0)}))
    assert len(space) == 4
    shares = sample(space, 20_000, seed=1)[:, 1:6]
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    np.testing.assert_allclose(shares.mean(axis=0), 0.2, atol=0.006)
    np.testing.assert_allclose(shares.var(axis=0), 4 / 150, rtol=0.06)
    # P(share > s) = (1 - s)^4.
    np.testing.assert_allclose((shares > 0.3).mean(axis=0), 0.7**4, atol=0.015)


def test_thin_spaces_are_sampled_all_over() -> None:
    # One way carries a thousandth of the others: the body has to be rounded before it is walked.
    bounds = {"in": (1.0, 1.0), "w0": (0.0, 1e-3)}
    space = flux_space(network({"in": "-> A", "w0": "A -> B", "w1": "A -> B", "w2": "A -> B", "out": "B ->"}, bounds))
    values = sample(space, 4000, seed=2)
    thin = values[:, space.index["net", "w0"]] / 1e-3
    np.testing.assert_allclose(np.quantile(thin, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.03)


@pytest.mark.parametrize(("n", "smallest"), [(0, None), (5, 0.0), (5, -1.0)])
def test_numbers_that_mean_nothing_are_refused(n: int, smallest: float | None) -> None:
    with pytest.raises(ValueError, match="must be"):
        sample(flux_space(branched()), n, smallest_exchange=smallest)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.booleans()), min_size=1, max_size=8))
def test_every_draw_from_a_made_up_network_balances(edges: list[tuple[int, int, bool]]) -> None:
    lines = {f"r{i}": f"M{a} {'<->' if both else '->'} M{b}" for i, (a, b, both) in enumerate(edges) if a != b}
    lines |= {"in": "-> M0", "out": "M4 ->", "leak": "M0 ->"}
    model = network(lines)
    space = flux_space(model)
    values = sample(space, 20, seed=0)
    net, exchange = space.net_and_exchange(values)
    for name in model.metabolites:
        flow = sum(
            net[:, i]
            * (sum(p.metabolite == name for p in r.products) - sum(s.metabolite == name for s in r.substrates))
            for i, r in enumerate(model.reactions.values())
        )
        np.testing.assert_allclose(flow, 0, atol=1e-8)
    assert (exchange >= 0).all()
    assert ((values >= space.lower - 1e-9) & (values <= space.upper + 1e-9)).all()


def test_draws_are_written_with_the_names_of_fluxes(tmp_path) -> None:
    space = flux_space(branched())
    values = sample(space, 3)
    write_fluxes(tmp_path / "draws.csv", space, values)
    head, *rows = (tmp_path / "draws.csv").read_text().splitlines()
    assert head.split(",") == ["net/in", "net/up", "net/down", "net/out", "exchange/down"]
    np.testing.assert_allclose([[float(x) for x in row.split(",")] for row in rows], values, rtol=1e-8)
    rows = {row.name: row for row in summary(space, values)}
    assert (rows["net/up"].low, rows["net/up"].high, rows["net/in"].free) == (0.0, 10.0, False)


def test_of_fluxes_that_stand_out_equally_the_first_are_free() -> None:
    ways = {f"w{i}": "A -> B" for i in range(4)}
    space = flux_space(network({"in": "-> A", **ways, "out": "B ->"}, {"in": (1.0, 1.0)}))
    assert [space.parameters[i][1] for i in space.free] == ["w0", "w1", "w2"]
    line = flux_space(network({"in": "-> A", "on": "A -> B", "out": "B ->"}))
    assert [line.parameters[i][1] for i in line.free] == ["in"]


def test_fluxes_follow_from_the_free_ones_by_correctly_rounded_fractions() -> None:
    model = network({"in": "-> A", "split": "A -> B", "out": "B ->"})
    model.reactions["split"] = dataclasses.replace(
        model.reactions["split"], substrates=(Participant("A", 3.0),), products=(Participant("B", 0.7),)
    )
    space = flux_space(model, free=(("net", "in"),))
    assert space.basis[:, 0].tolist() == [1.0, 1 / 3, 7 / 30]


def test_equations_that_hold_up_to_rounding_only_are_solved_in_floating_point() -> None:
    # The second constraint is the first times three in theory, and not in decimals.
    again = [Constraint((("net", "up", a), ("net", "down", -b)), 0.0, 0.0) for a, b in ((0.1, 0.1), (0.1 + 0.2, 0.3))]
    lines = {"in": "-> A", "up": "A -> B", "down": "A -> B", "out": "B ->"}
    space = flux_space(network(lines, None, *again))
    assert len(space) == 1
    assert np.ptp(space.values(space.center[None])[0, 1:3]) == pytest.approx(0, abs=1e-12)
