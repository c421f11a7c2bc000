"""Simulated labelling in the stationary state against isotopomer balances that are written out."""

from __future__ import annotations

import itertools
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from isotopomers import MODELS, Isotopomers, duplicates, fed, fluxes, symmetric, whole

from molvis_flux.errors import SimulationError
from molvis_flux.labelling.fragments import source_mid
from molvis_flux.labelling.stationary import compile_plan
from molvis_flux.model.examples import antoniewicz, network, reaction
from molvis_flux.model.network import Datum, Experiment, Fragment, Metabolite, Tracer

DATA = Path(os.environ.get("MOLVIS_DATA", Path(__file__).parents[3] / ".." / "shared" / "data")) / "flux"
with_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no flux data in {DATA}: set MOLVIS_DATA")


@pytest.mark.parametrize("name", MODELS)
def test_labelling_agrees_with_isotopomer_balances(name):
    model, experiment = MODELS[name]()
    model = whole(model)
    plan = compile_plan(model, [experiment])
    truth = Isotopomers(model, experiment)
    for seed in (1, 2):
        net, exchange = fluxes(model, seed)
        found = plan.simulate(net, exchange)[0]
        pools = truth.stationary(net[0], exchange[0])
        for slot in plan.layout:
            ((_, metabolite, atoms),) = model.fragments[slot.fragment].parts
            wanted = truth.masses(pools, metabolite, atoms)
            np.testing.assert_allclose(found[slot.start : slot.stop], wanted, atol=1e-12, err_msg=slot.fragment)


def test_the_network_of_the_emu_paper_gives_its_published_labelling():
    study = antoniewicz()
    plan = compile_plan(study.network, study.experiments)
    net, exchange = ([[study.fluxes.get((kind, r), 0.0) for r in plan.reactions]] for kind in ("net", "exchange"))
    found = plan.simulate(np.array(net), np.array(exchange))[0]
    assert found.round(4).tolist() == [0.0001, 0.8008, 0.1983, 0.0009]
    assert plan.layout[0].fragment == "F"
    assert plan.units == 10  # B, C, D and F of the paper's figure 3, and what they are made of


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_one_vector_at_a_call_gives_what_a_batch_gives(name, dtype):
    model, experiment = MODELS[name]()
    model = whole(model)
    plan = compile_plan(model, [experiment])
    net, exchange = fluxes(model, 6, n=9)
    net[3] = 0.0  # where nothing flows
    together = plan.simulate(net, exchange, dtype=dtype)
    apart = np.concatenate([plan.simulate(net[i : i + 1], exchange[i : i + 1], dtype=dtype) for i in range(9)])
    np.testing.assert_allclose(apart, together, rtol=0, atol=4 * np.finfo(dtype).eps)
    assert (plan.simulate(net[:3], exchange[:3], dtype=dtype) == apart[:3]).all()


def test_two_equal_products_each_carry_the_full_flux():
    model = network(
        "split", {"S": 4, "U": 2, "G": 2}, {"split": "S abcd -> G ab + G cd", "dilute": "U ab -> G ab"}, sources="S U"
    )
    plan = compile_plan(whole(model), [fed(S="1111")], ["G"])
    # One S makes two G: with two U to every S, half of G is labelled.
    np.testing.assert_allclose(plan.simulate(np.array([[1.0, 2.0]]))[0], [0.5, 0.0, 0.5], atol=1e-15)


def test_two_equal_substrates_are_labelled_apart():
    model = network("pair", {"S": 1, "P": 2}, {"pair": "S a + S b -> P ab"}, sources="S")
    half = Experiment("half", {"S": Tracer((("1", 0.5), ("0", 0.5)))})
    plan = compile_plan(whole(model), [half], ["P"])
    np.testing.assert_allclose(plan.simulate(np.array([[1.0]]))[0], [0.25, 0.5, 0.25], atol=1e-15)


def test_a_symmetric_molecule_forgets_its_ends():
    model = network("ends", {"S": 4, "P": 4, "Q": 4}, {"a": "S abcd -> P abcd", "b": "P abcd -> Q abcd"}, sources="S")
    turned = replace(model.metabolites["P"], symmetries=((3, 2, 1, 0),))
    model = replace(model, metabolites=model.metabolites | {"P": turned})
    ends = {"first": (0,), "last": (3,), "pair": (0, 1), "inner": (1, 2)}
    model = replace(model, fragments={name: Fragment(name, ((1.0, "Q", atoms),)) for name, atoms in ends.items()})
    plan = compile_plan(model, [fed(S="1100")])
    found = plan.simulate(np.ones((1, 2)))[0]
    assert found[plan.slot("fed", "first")].tolist() == found[plan.slot("fed", "last")].tolist() == [0.5, 0.5]
    assert found[plan.slot("fed", "pair")].tolist() == [0.5, 0.0, 0.5]
    assert found[plan.slot("fed", "inner")].tolist() == [0.0, 1.0, 0.0]


def test_a_copy_drains_nothing_and_passes_its_labelling_on():
    copy = reaction("copy", "A ab -> M ab")
    copy = replace(copy, substrates=(replace(copy.substrates[0], coefficient=0.0),))
    model = network("copy", {"S": 2, "A": 2, "M": 2, "U": 2}, {"in": "S ab -> A ab", "un": "U ab -> M ab"}, "S U")
    model = replace(model, reactions=model.reactions | {"copy": copy})
    plan = compile_plan(whole(model), [fed(S="11")], ["M"])
    np.testing.assert_allclose(plan.simulate(np.array([[5.0, 1.0, 3.0]]))[0], [0.25, 0.0, 0.75], atol=1e-15)


def test_fragments_mix_compartments_and_add_up_condensed_molecules():
    model, experiment = symmetric()
    parts = ((3.0, "Suc", (0, 1)), (1.0, "Oaa", (2, 3)))
    mixed = Fragment("mixed", parts, convolved=(("CO2", (0,)), ("Akg", (1, 2))))
    model = replace(whole(model), fragments={"mixed": mixed})
    net, exchange = fluxes(model, 3)
    plan = compile_plan(model, [experiment])
    truth = Isotopomers(model, experiment)
    pools = truth.stationary(net[0], exchange[0])
    wanted = 0.75 * truth.masses(pools, "Suc", (0, 1)) + 0.25 * truth.masses(pools, "Oaa", (2, 3))
    for name, atoms in mixed.convolved:
        wanted = np.convolve(wanted, truth.masses(pools, name, atoms))
    np.testing.assert_allclose(plan.simulate(net, exchange)[0], wanted, atol=1e-12)


def test_parallel_experiments_stand_side_by_side():
    model, first = symmetric()
    model = whole(model)
    second = Experiment("asp", {"Asp": Tracer((("1000", 1.0),))})
    net, exchange = fluxes(model, 4, n=3)
    both = compile_plan(model, [first, second], ["Oaa", "Suc"]).simulate(net, exchange)
    alone = [compile_plan(model, [one], ["Oaa", "Suc"]).simulate(net, exchange) for one in (first, second)]
    np.testing.assert_allclose(both, np.concatenate(alone, axis=1), atol=1e-14)


def test_an_experiment_is_simulated_for_the_fragments_it_measured():
    model, experiment = symmetric()
    measured = replace(
        experiment, data=(Datum("Suc", "mid", (0.5,) * 5, (0.1,) * 5), Datum("cs", "net", (1.0,), (0.1,)))
    )
    plan = compile_plan(whole(model), [measured, replace(experiment, name="all")])
    assert [slot.fragment for slot in plan.layout if slot.experiment == "acetate"] == ["Suc"]
    assert len([slot for slot in plan.layout if slot.experiment == "all"]) == len(whole(model).fragments)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(1e-3, 1e3))
def test_fractions_are_positive_sum_to_one_and_do_not_depend_on_the_unit_of_fluxes(seed, scale):
    model, experiment = symmetric()
    plan = compile_plan(whole(model), [experiment])
    net, exchange = fluxes(model, seed, n=2)
    found = plan.simulate(net, exchange)
    assert found.min() >= 0
    for slot in plan.layout:
        np.testing.assert_allclose(found[:, slot.start : slot.stop].sum(axis=1), 1, atol=1e-13)
    np.testing.assert_allclose(plan.simulate(scale * net, scale * exchange), found, atol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_backends_and_precisions_agree(name):
    model, experiment = MODELS[name]()
    plan = compile_plan(whole(model), [experiment])
    net, exchange = fluxes(model, 5, n=100)
    found = plan.simulate(net, exchange)
    np.testing.assert_allclose(plan.simulate(net, exchange, backend="torch"), found, atol=1e-14)
    for backend in ("numba", "torch"):
        single = plan.simulate(net, exchange, backend=backend, dtype=np.float32)
        assert single.dtype == np.float32
        np.testing.assert_allclose(single, found, atol=2e-6)


def test_single_precision_is_enough_when_a_cycle_turns_a_million_times_faster_than_it_is_fed():
    model = network(
        "fast",
        {"S": 2, "U": 2, "A": 2, "B": 2},
        {"in": "S ab -> A ab", "un": "U ab -> B ab", "turn": "A ab <-> B ab", "out": "B ab ->"},
        sources="S U",
    )
    plan = compile_plan(whole(model), [fed(S="11")], ["A", "B"])
    net, exchange = np.array([[1.0, 3.0, 1.0, 4.0]]), np.array([[0.0, 0.0, 1e6, 0.0]])
    found = plan.simulate(net, exchange, dtype=np.float32)[0]
    np.testing.assert_allclose(found, plan.simulate(net, exchange)[0], atol=1e-6)
    np.testing.assert_allclose(found[[2, 5]], 0.25, atol=1e-5)


def test_a_batch_gives_what_each_vector_gives_alone(monkeypatch):
    import numba

    monkeypatch.setattr(numba, "get_num_threads", lambda: 2)
    model, experiment = duplicates()
    plan = compile_plan(whole(model), [experiment])
    net, exchange = fluxes(model, 6, n=1500)
    found = plan.simulate(net, exchange)
    for n in (0, 31, 32, 749, 1024, 1499):
        assert plan.simulate(net[n : n + 1], exchange[n : n + 1])[0].tolist() == found[n].tolist()
    assert plan.simulate(net[:0], exchange[:0]).shape == (0, plan.size)


def test_what_nothing_flows_into_is_zero_and_harms_nothing_else():
    model, experiment = symmetric()
    plan = compile_plan(whole(model), [experiment])
    net, exchange = fluxes(model, 7)
    net[0, list(model.reactions).index("icl")] = 0.0
    found = plan.simulate(net, exchange)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[0, plan.slot("acetate", "Oaa")].sum(), 1)


@pytest.mark.parametrize("name", MODELS)
def test_derivatives_forward_along_directions_and_backward_are_those_of_differences(name):
    model, experiment = MODELS[name]()
    plan = compile_plan(whole(model), [experiment])
    net, exchange = fluxes(model, 8, n=3)
    found, by_net, by_exchange = plan.jacobian(net, exchange)
    np.testing.assert_allclose(found, plan.simulate(net, exchange), atol=1e-15)
    for slopes, kind in ((by_net, 0), (by_exchange, 1)):
        for r in range(len(plan.reactions)):
            step = np.zeros((2, *net.shape))
            step[kind, :, r] = 1e-6
            up, down = (plan.simulate(net + sign * step[0], exchange + sign * step[1]) for sign in (1, -1))
            np.testing.assert_allclose(slopes[:, :, r], (up - down) / 2e-6, atol=2e-8)
    rng = np.random.default_rng(9)
    net_moves, exchange_moves = rng.normal(size=(2, len(plan.reactions), 40))
    _, along = plan.tangents(net, exchange, net_moves, exchange_moves)
    np.testing.assert_allclose(along, by_net @ net_moves + by_exchange @ exchange_moves, atol=1e-12)
    weights = rng.normal(size=found.shape)
    _, net_pull, exchange_pull = plan.gradient(net, exchange, weights)
    np.testing.assert_allclose(net_pull, np.einsum("nd,ndr->nr", weights, by_net), atol=1e-12)
    np.testing.assert_allclose(exchange_pull, np.einsum("nd,ndr->nr", weights, by_exchange), atol=1e-12)


def test_gradients_flow_through_torch():
    import torch

    from molvis_flux.labelling.backends import torch as torch_backend

    model, experiment = symmetric()
    plan = compile_plan(whole(model), [experiment])
    net, exchange = fluxes(model, 10, n=4)
    weights = np.random.default_rng(11).normal(size=(4, plan.size))
    leaves = [torch.tensor(values, requires_grad=True) for values in (net, exchange)]
    (torch_backend.simulate(plan, *leaves) * torch.tensor(weights)).sum().backward()
    _, *wanted = plan.gradient(net, exchange, weights)
    for leaf, pull in zip(leaves, wanted, strict=True):
        assert leaf.grad is not None
        np.testing.assert_allclose(leaf.grad.numpy(), pull, atol=1e-12)


def test_natural_abundance_and_purity_of_a_tracer():
    model = network("one", {"S": 2, "P": 2}, {"in": "S ab -> P ab"}, sources="S")
    tracer = Tracer((("10", 0.5), ("00", 0.5)), purity=0.98, natural=True)
    mid = source_mid(model, Experiment("e", {"S": tracer}), "S", (0, 1))
    c13 = 0.0107
    fed_half = np.convolve([0.02, 0.98], [1 - c13, c13])
    natural = np.convolve([1 - c13, c13], [1 - c13, c13])
    np.testing.assert_allclose(mid, 0.5 * fed_half + 0.5 * natural, atol=1e-15)


BAD = {
    "no fragment 'Sux'. Did you mean 'Suc'": lambda m, e: compile_plan(m, [e], ["Sux"]),
    "a tracer of 'Asq', which is no metabolite": lambda m, e: compile_plan(m, [fed(Asq="1111")]),
    "a tracer of 'Suc', which the network makes itself": lambda m, e: compile_plan(m, [fed(Suc="1111")]),
    "pattern '111'; 4 digits 0 or 1": lambda m, e: compile_plan(m, [fed(Asp="111")]),
    "fractions add up to 0.9, not to 1": lambda m, e: compile_plan(
        m, [Experiment("e", {"Ac": Tracer((("01", 0.6), ("11", 0.3)))})]
    ),
    "a fraction of -0.2": lambda m, e: compile_plan(m, [Experiment("e", {"Ac": Tracer((("11", -0.2), ("01", 1.2)))})]),
    "a purity of 1.2": lambda m, e: compile_plan(m, [Experiment("e", {"Ac": Tracer((("01", 1.0),), purity=1.2)})]),
    "measured by 1h-nmr and names no channels": lambda m, e: compile_plan(
        replace(m, fragments={"Suc": replace(m.fragments["Suc"], kind="1h-nmr")}), [e], ["Suc"]
    ),
    "no reaction makes metabolite 'Lost'": lambda m, e: compile_plan(
        replace(
            m,
            metabolites=m.metabolites | {"Lost": Metabolite("Lost", ("C",))},
            fragments={"Lost": Fragment("Lost", ((1.0, "Lost", (0,)),))},
        ),
        [e],
    ),
    "stands on one side only": lambda m, e: compile_plan(
        replace(m, reactions=m.reactions | {"idh": reaction("idh", "Cit abcdef -> Akg abcdx + CO2 f")}), [e]
    ),
    "'akgdh' makes 'Suc' with a map of only 3 atoms": lambda m, e: compile_plan(
        replace(m, reactions=m.reactions | {"akgdh": reaction("akgdh", "Akg abcde -> Suc bcd + CO2 a")}), [e]
    ),
    "atoms [9] of 'Suc', which has 4": lambda m, e: compile_plan(
        replace(m, fragments={"Suc": Fragment("Suc", ((1.0, "Suc", (8,)),))}), [e]
    ),
    "no metabolite 'Sux'": lambda m, e: compile_plan(
        replace(m, fragments={"Suc": Fragment("Suc", ((1.0, "Sux", (0,)),))}), [e]
    ),
    "is no permutation": lambda m, e: compile_plan(
        replace(m, metabolites=m.metabolites | {"Suc": replace(m.metabolites["Suc"], symmetries=((1, 1, 2, 3),))}), [e]
    ),
    "no backend 'jax'": lambda m, e: compile_plan(m, [e]).simulate(*fluxes(m, 1), backend="jax"),
    "net fluxes have shape (1, 2)": lambda m, e: compile_plan(m, [e]).simulate(np.ones((1, 2))),
    "net flux of 'idh' in vector 0 is nan": lambda m, e: compile_plan(m, [e]).simulate(
        np.where(np.arange(len(m.reactions)) == 1, np.nan, 1.0)[None]
    ),
    "2 vectors of net fluxes and 1 of exchange": lambda m, e: compile_plan(m, [e]).simulate(
        fluxes(m, 1, n=2)[0], fluxes(m, 1)[1]
    ),
    "'acetate/Sux' is not simulated. Did you mean 'acetate/Suc'": lambda m, e: compile_plan(m, [e]).slot(
        "acetate", "Sux"
    ),
}


@pytest.mark.parametrize("message", BAD)
def test_what_cannot_be_simulated_is_named(message, unchecked_shapes):
    model, experiment = symmetric()
    with pytest.raises(SimulationError) as error:
        BAD[message](whole(model), experiment)
    for part in message.split(". "):
        assert part in str(error.value)


@with_data
def test_the_toy_network_agrees_with_its_reference_at_twenty_fluxes_and_seven_tracers():
    reference = json.loads((DATA / "reference_values" / "antoniewicz_toy_mids.json").read_text())
    model = whole(antoniewicz().network)
    patterns = reference["tracers_of_A"]
    plan = compile_plan(model, [Experiment(p, {"A": Tracer(((p, 1.0),))}) for p in patterns])
    assert len(reference["cases"]) == 20
    for case in reference["cases"]:
        v = case["fluxes"]
        net = np.array([[v["v1"], v["v2"] - v["v3"], v["v4"], v["v5"], v["v6"]]])
        exchange = np.array([[0, min(v["v2"], v["v3"]), 0, 0, 0]])
        found = plan.simulate(net, exchange)[0]
        for name, mids in case["mids"].items():
            for pattern, mid in zip(patterns, mids, strict=True):
                np.testing.assert_allclose(found[plan.slot(pattern, name.split("[")[0])], mid, atol=1e-12)


@with_data
def test_central_carbon_metabolism_agrees_with_its_reference_for_twenty_tracers():
    from molvis_flux.formats import read_study

    reference = json.loads((DATA / "reference_values" / "mlflux_ccm_20tracers_mids.json").read_text())
    model = read_study(DATA / "mlflux" / "CCM_Model.txt").network
    tracers = [{name: Tracer(((p, 1.0),)) for name, p in fed.items()} for fed in reference["tracers"]]
    plan = compile_plan(model, [Experiment(str(i), tracer) for i, tracer in enumerate(tracers)])
    (case,) = reference["cases"]
    net = np.array([[case["fluxes"][r] for r in plan.reactions]])
    found, single = plan.simulate(net)[0], plan.simulate(net, dtype=np.float32)[0]
    assert len(case["mids"]) == 31
    for name, mids in case["mids"].items():
        for i, mid in enumerate(mids):
            where = plan.slot(str(i), name.split("[")[0])
            np.testing.assert_allclose(found[where], mid, atol=1e-12)
            np.testing.assert_allclose(single[where], mid, atol=2e-6)


@with_data
def test_the_whole_body_mouse_agrees_with_its_reference():
    from molvis_flux.formats import read_study

    reference = json.loads((DATA / "reference_values" / "dietary_wholebody_mfapy_mids_flux_sol3.json").read_text())
    model = read_study(DATA / "multitissue" / "mouse" / "whole_body_model.txt").network
    share = {"SubsGlcPeri": 0.75, "SubsGlcCn": 0.35, "SubsLacPeri": 0.75, "SubsLacCn": 0.6}
    tracers = {"SubsCO2": Tracer((("1", 0.01), ("0", 0.99)))}
    for name, m in model.metabolites.items():
        if m.role == "source" and name not in tracers:
            size, part = len(m.elements), share.get(name, 0.0)
            tracers[name] = Tracer((("1" * size, part), ("0" * size, 1 - part)), natural=True)
    # The reference stops at three natural 13C in a molecule; that shows in the longest source alone.
    light, heavy = 0.9893, 0.0107
    natural = {
        p: light ** p.count("0") * heavy ** p.count("1")
        for p in ("".join(bits) for bits in itertools.product("01", repeat=9))
        if 0 < p.count("1") <= 3
    }
    rest = {"0" * 9: 1 - sum(natural.values())}
    tracers["SubsUridine"] = Tracer(tuple((natural | rest).items()))
    plan = compile_plan(model, [Experiment("mouse", tracers)])
    net = np.array([[reference["flux"][r] for r in plan.reactions]])
    found = plan.simulate(net)[0]
    assert len(reference["mdv"]) == 81
    for name, mid in reference["mdv"].items():
        np.testing.assert_allclose(found[plan.slot("mouse", name)], mid, atol=1e-7, err_msg=name)
