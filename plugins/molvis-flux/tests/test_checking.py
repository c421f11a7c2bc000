"""Faults of studies that are made in code, and of their spaces of fluxes."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from molvis_core import output
from molvis_flux.commands.check import check as command
from molvis_flux.formats.notation import reaction as read_reaction
from molvis_flux.model.checking import Finding, check_structure
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
from molvis_flux.space.consistency import check

REACTIONS = {"in": "A(ab) ->  B(ab)", "turn": "B(ab) <-> C(ab)", "out": "C(ab) -> ", "waste": "B(ab) -> "}


def network(**changes: Any) -> Network:
    reactions = {}
    for name, text in REACTIONS.items():
        left, right, reversible = read_reaction(text)
        net = (-100.0, 100.0) if reversible else (0.0, 100.0)
        reactions[name] = Reaction(name, left, right, reversible, net, (0.0, 100.0), where=f"toy.toml:{len(reactions)}")
    return Network(
        "toy",
        {
            "A": Metabolite("A", ("C", "C"), "source"),
            "B": Metabolite("B", ("C", "C")),
            "C": Metabolite("C", ("C", "C")),
        }
        | changes.get("metabolites", {}),
        reactions | changes.get("reactions", {}),
        {"C": Fragment("C", ((1.0, "C", (0, 1)),), ("C", "C"))} | changes.get("fragments", {}),
        tuple(changes.get("constraints", ())),
    )


def study(datum: Datum | None = None, tracers: dict[str, Tracer] | None = None, **changes: Any) -> Study:
    tracers = {"A": Tracer((("10", 1.0),))} if tracers is None else tracers
    data = (Datum("C", "mid", (0.1, 0.8, 0.1), (0.01,) * 3),) if datum is None else (datum,)
    return Study(
        network(**changes), (Experiment("e", tracers, data),), changes.get("fluxes", {}), changes.get("pools", {})
    )


def only(found: tuple[Finding, ...], severity: str = "error") -> Finding:
    [fault] = [finding for finding in found if finding.severity == severity]
    return fault


def test_a_sound_study_has_no_faults() -> None:
    assert check(study()) == ()


def made(name: str, left: str, right: str, **more: Any) -> dict[str, Reaction]:
    substrates, products, _ = read_reaction(f"{left} -> {right}")
    return {name: Reaction(name, substrates, products, where="toy.toml:9", **more)}


@pytest.mark.parametrize(
    ("reactions", "message"),
    [
        (made("x", "B(ab)", "C(ac)"), "atom 'c' of product 'C' comes from no substrate (B(ab) -> C(ac))"),
        (made("x", "B(ab)", "C(aa)"), "atom 'a' stands twice among the products"),
        (made("x", "B(abc)", "C(ab)"), "maps 3 atoms of 'B' (B(abc)), which has 2"),
        (made("x", "B(ab)", "Q(ab)"), "has the unknown metabolite 'Q'"),
        (made("x", "", ""), "has neither substrates nor products"),
        (made("x", "B(ab)", "C(ab)", net=(3.0, 2.0)), "bounded by 3 from below and 2 from above"),
        (made("x", "B(ab)", "C(ab)", net=(math.nan, 2.0)), "a bound of the net flux of 'x' is NaN"),
        (made("x", "B(ab)", "C(ab)", exchange=(-3.0, -2.0), reversible=True), "cannot be negative"),
    ],
)
def test_a_faulty_reaction_is_named_with_its_place(reactions: dict[str, Reaction], message: str) -> None:
    fault = only(check_structure(study(reactions=reactions)))
    assert message in fault.message
    assert fault.where == "toy.toml:9"


def test_a_coefficient_that_is_no_number_is_named() -> None:
    odd = Reaction("x", (Participant("B", -2.0),), (), where="toy.toml:9")
    assert "the coefficient of 'B' is -2" in only(check_structure(study(reactions={"x": odd}))).message


def test_an_atom_cannot_change_its_element() -> None:
    metabolites = {"N": Metabolite("N", ("C", "N"), "sink")}
    fault = only(check_structure(study(metabolites=metabolites, reactions=made("x", "B(ab)", "N(ab)"))))
    assert "turns atom 'b' from C of 'B' into N of 'N'" in fault.message


def test_atoms_that_are_lost_are_worth_a_look() -> None:
    metabolites = {"D": Metabolite("D", ("C",), "sink")}
    fault = only(check_structure(study(metabolites=metabolites, reactions=made("x", "B(ab)", "D(a)"))), "warning")
    assert "atom 'b' of 'B' is in no product (B(ab) -> D(a))" in fault.message


def test_a_product_without_a_map_is_worth_a_look() -> None:
    fault = only(check_structure(study(reactions=made("x", "A(ab)", "C"))), "warning")
    assert "makes 'C' without a map of its atoms" in fault.message


@pytest.mark.parametrize(
    ("metabolites", "reactions", "message"),
    [
        ({"D": Metabolite("D")}, made("x", "D", "B"), "'D' is used by 'x' and never made; make it a source"),
        ({"D": Metabolite("D")}, made("x", "B", "D"), "'D' is made by 'x' and never used"),
        ({"C": Metabolite("C", ("C", "C"), symmetries=((0, 0),))}, {}, "a symmetry of 'C' is no permutation"),
        ({"C": Metabolite("C", ("C", "C"), pool=(3.0, 1.0))}, {}, "the pool of 'C' is bounded by (3.0, 1.0)"),
    ],
)
def test_a_faulty_metabolite_is_named(
    metabolites: dict[str, Metabolite], reactions: dict[str, Reaction], message: str
) -> None:
    assert message in only(check_structure(study(metabolites=metabolites, reactions=reactions))).message


def test_a_metabolite_of_no_reaction_is_worth_a_look() -> None:
    assert "'D' is in no reaction" in only(check(study(metabolites={"D": Metabolite("D")})), "warning").message


@pytest.mark.parametrize(
    ("fragment", "message"),
    [
        (Fragment("f", ((1.0, "Q", (0,)),)), "of the unknown metabolite 'Q'"),
        (Fragment("f", ((1.0, "C", ()),)), "has no atom of 'C'"),
        (Fragment("f", ((1.0, "C", (0, 2)),)), "has atom 3 of 'C', which has 2"),
        (Fragment("f", ((1.0, "C", (0, 0)),)), "has an atom of 'C' twice"),
        (Fragment("f", ((0.0, "C", (0,)),)), "needs parts of positive weight"),
        (Fragment("f", ((1.0, "C", (0,)),), mix=("a", "b")), "has 1 parts and 2 mixing parameters"),
        (Fragment("f", ((1.0, "C", (0,)),), convolved=(("Q", (0,)),)), "of the unknown metabolite 'Q'"),
    ],
)
def test_a_faulty_fragment_is_named(fragment: Fragment, message: str) -> None:
    assert message in only(check_structure(study(fragments={"f": fragment}))).message


@pytest.mark.parametrize(
    ("source", "tracer", "message"),
    [
        ("Q", Tracer((("10", 1.0),)), "a tracer of the unknown metabolite 'Q'"),
        ("B", Tracer((("10", 1.0),)), "a tracer of 'B', which is no source"),
        ("N", Tracer((("10", 1.0),)), "a tracer of 'N', of which no atom is followed"),
        ("A", Tracer((("100", 1.0),)), "has the labelling '100'; it is 2 digits"),
        ("A", Tracer((("10", 0.5),)), "its fractions sum to 0.5, not to 1"),
        ("A", Tracer((("10", math.nan),)), "has nan of 10"),
        ("A", Tracer((("10", 1.0),), purity=1.5), "has a purity of 1.5"),
    ],
)
def test_a_faulty_tracer_is_named(source: str, tracer: Tracer, message: str) -> None:
    extra = {"N": Metabolite("N", (), "source")}
    found = check_structure(study(tracers={source: tracer}, metabolites=extra, reactions=made("n", "N", "")))
    assert any(message in finding.message for finding in found if finding.severity == "error")


def test_data_without_a_tracer_are_worth_a_look() -> None:
    assert "nothing labelled" in only(check_structure(study(tracers={})), "warning").message


@pytest.mark.parametrize(
    ("datum", "message"),
    [
        (Datum("C", "mid", (0.1, 0.8, 0.3), (0.1,) * 3), "sums to 1.2, not to 1"),
        (Datum("C", "mid", (0.1, 0.9), (0.1,) * 2), "has 2 fractions; the fragment has 2 atoms that may be labelled"),
        (Datum("C", "mid", (math.nan,) * 3, (0.1,) * 3), "holds no number (NaN)"),
        (Datum("C", "mid", (0.1, math.inf, 0.1), (0.1,) * 3, scaled=True), "holds inf"),
        (Datum("C", "mid", (0.1, 0.8, 0.1), (0.1, 0.1)), "has 3 values and 2 standard deviations"),
        (Datum("C", "mid", (0.1, 0.8, 0.1), (0.1, 0.0, 0.1)), "has a standard deviation of 0"),
        (Datum("C", "mid", (0.1, 0.8, 0.1), (0.1, math.nan, 0.1)), "has a standard deviation of nan"),
        (Datum("C", "mid", (0.1, 0.8, 0.1), (0.1,) * 3, time=-1.0), "was measured at -1"),
        (Datum("D", "mid", (0.1, 0.8, 0.1), (0.1,) * 3), "the network has no such fragment"),
        (Datum("C", "net", (0.1,), (0.1,)), "the network has no such reaction"),
        (Datum("in", "exchange", (0.1,), (0.1,)), "the reaction is irreversible"),
        (Datum("in", "pool", (0.1,), (0.1,)), "the network has no such metabolite"),
        (Datum("in", "flow", (0.1,), (0.1,)), "unknown kind 'flow'"),
    ],
)
def test_a_faulty_datum_is_named_with_its_place(datum: Datum, message: str) -> None:
    fault = only(check_structure(study(datum=dataclasses.replace(datum, where="data.csv:3"))))
    assert message in fault.message
    assert fault.where == "data.csv:3"


@pytest.mark.parametrize("values", [(0.1, 0.8, math.nan), (2.0, 5.0, 1.0)])
def test_fractions_that_were_not_measured_or_not_scaled_need_not_sum_to_one(values: tuple[float, ...]) -> None:
    datum = Datum("C", "mid", values, (0.1,) * 3, scaled=not any(map(math.isnan, values)))
    assert check_structure(study(datum=datum)) == ()


def test_fractions_that_nearly_sum_to_one_or_lie_below_zero_are_worth_a_look() -> None:
    found = check_structure(study(datum=Datum("C", "mid", (-0.03, 0.9, 0.14), (0.1,) * 3)))
    assert [finding.severity for finding in found] == ["warning", "warning"]


def test_values_of_what_is_not_there_are_named() -> None:
    found = check_structure(study(fluxes={("net", "inn"): 1.0, ("net", "out"): math.nan}, pools={"Q": 1.0, "C": -1.0}))
    texts = [finding.message for finding in found]
    assert texts[0].endswith("Did you mean 'in'?")
    assert "given as nan" in texts[1]
    assert "unknown metabolite 'Q'" in texts[2]
    assert "given as -1.0" in texts[3]


@pytest.mark.parametrize(
    ("constraint", "message"),
    [
        (Constraint((("net", "inn", 1.0),), 0.0, 1.0), "names the unknown reaction 'inn'"),
        (Constraint((("gross", "in", 1.0),), 0.0, 1.0), "kinds are net and exchange"),
        (Constraint((("net", "in", math.nan),), 0.0, 1.0), "has the coefficient nan"),
        (Constraint((("net", "in", 1.0),), 2.0, 1.0), "lies between 2 and 1"),
    ],
)
def test_a_faulty_condition_is_named(constraint: Constraint, message: str) -> None:
    assert message in only(check_structure(study(constraints=[constraint]))).message


def test_fluxes_that_clash_are_told_by_the_smallest_set_of_conditions() -> None:
    reactions = made("in", "A(ab)", "B(ab)", net=(10.0, 10.0)) | made("out", "C(ab)", "", net=(0.0, 4.0))
    reactions |= made("waste", "B(ab)", "", net=(0.0, 5.0)) | made("idle", "B(ab)", "C(ab)", net=(0.0, 7.0))
    fault = only(check(study(reactions=reactions)))
    assert {condition.partition(" (")[0] for condition in fault.conditions} == {
        "the balance of B",
        "the balance of C",
        "the net flux of in >= 10",
        "the net flux of out <= 4",
        "the net flux of waste <= 5",
    }


def test_a_flux_without_a_limit_is_told() -> None:
    reactions = {
        name: dataclasses.replace(reaction, net=(-math.inf if reaction.reversible else 0.0, math.inf))
        for name, reaction in network().reactions.items()
    }
    fault = only(check(study(reactions=reactions)))
    assert "the net flux of in has no upper limit" in fault.conditions


def test_a_reaction_that_cannot_carry_flux_is_worth_a_look() -> None:
    reactions = made("out", "C(ab)", "", net=(0.0, 0.0))
    fault = only(check(study(reactions=reactions)), "warning")
    assert "reaction 'turn' can carry no flux" in fault.message


def test_stated_fluxes_that_do_not_balance_are_worth_a_look() -> None:
    fluxes = {("net", "in"): 5.0, ("net", "turn"): 3.0, ("net", "waste"): 1.0}
    fault = only(check(study(fluxes=fluxes)), "warning")
    assert "B by 1" in fault.message
    assert check(study(fluxes=fluxes | {("net", "waste"): 2.0})) == ()


TEXT = """
[reactions]
v1 = "A(ab) -> B(ab)"
v2 = { text = "B(ab) -> ", net = [5, 9] }
[metabolites]
A = "source"
"""


def test_the_command_prints_faults_and_ends_with_one_where_there_is_an_error(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(command)
    path = tmp_path / "toy.toml"
    path.write_text(TEXT)
    good = CliRunner().invoke(app, [str(path)])
    assert good.exit_code == 0, good.output
    path.write_text(f'constraints = ["v1 <= 4"]\n{TEXT}')
    with output.asked(json=True):
        bad = CliRunner().invoke(app, [str(path)])
    assert bad.exit_code == 1
    [fault] = json.loads(bad.stdout)
    assert any("v1 <= 4" in condition for condition in fault["conditions"])
    assert any("v2 >= 5" in condition for condition in fault["conditions"])
    table = CliRunner().invoke(app, [str(path)])
    assert "no flux vector satisfies these together" in table.output
