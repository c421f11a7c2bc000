"""Wholes of several parts: names, units, labelling against balances written out, and plans that cannot be."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from molvis_core import output
from molvis_core.errors import ReadError
from molvis_flux.commands.compose import compose as command
from molvis_flux.errors import CompositionError
from molvis_flux.formats import read_study
from molvis_flux.labelling.stationary import compile_plan
from molvis_flux.model.composition import Mixture, Part, Pool, Port, arterio_venous, compose, spread_mid, uptake
from molvis_flux.model.network import Datum, Experiment, Study, Tracer
from molvis_flux.space.consistency import check
from molvis_flux.space.flux_space import flux_space

LIVER = """
[reactions]
glycogen = "Glycogen(abcdef) -> Glc(abcdef)"
gng = { text = "Pyr(abc) + Pyr(def) -> Glc(cbadef)", net = [0, 40] }
ldh = "Lac(abc) <-> Pyr(abc)"
loss = "Pyr(abc) ->"
[metabolites]
Glycogen = "source"
[fragments]
Pyr = "Pyr[1-3]"
"""
MUSCLE = """
[reactions]
gly = { text = "Glc(abcdef) -> Pyr(cba) + Pyr(def)", net = [0, 40] }
ldh = "Pyr(abc) <-> Lac(abc)"
burn = "Pyr(abc) ->"
[metabolites]
Pyr = { pool = [0, 2] }
[fragments]
Pyr = "Pyr[1-3]"
[experiments.day]
fluxes = { gly = [3, 0.3] }
mids.Pyr = { values = [0.6, 0.1, 0.1, 0.2], sd = 0.02 }
"""
GLUCOSE = Pool({"liver": Port("Glc"), "muscle": Port("Glc")})
LACTATE = Pool({"liver": Port("Lac"), "muscle": Port("Lac")})


@pytest.fixture
def parts(tmp_path: Path) -> dict[str, Part]:
    (tmp_path / "liver.toml").write_text(LIVER)
    (tmp_path / "muscle.toml").write_text(MUSCLE)
    return {
        "liver": Part(read_study(tmp_path / "liver.toml", strict=False)),
        "muscle": Part(read_study(tmp_path / "muscle.toml", strict=False), mass=10.0),
    }


@pytest.fixture
def body(parts: dict[str, Part]) -> Study:
    return compose("body", parts, {"Glc": GLUCOSE, "Lac": LACTATE}, infusions={"Glc": (10.0, 10.0)})


def test_parts_are_named_apart_and_joined(body: Study) -> None:
    network = body.network
    assert check(body)[0].severity == "warning"  # the data of the muscle have no tracer yet
    assert {name.partition(".")[0] for name in network.metabolites} == {"liver", "muscle", "plasma", "infused"}
    assert network.metabolites["liver.Glycogen"].role == "source"
    exchange = network.reactions[uptake("liver", "Glc")]
    assert exchange.reversible
    assert exchange.net == (-1000.0, 1000.0)
    assert [p.metabolite for p in (*exchange.substrates, *exchange.products)] == ["plasma.Glc", "liver.Glc"]
    assert exchange.substrates[0].atoms == exchange.products[0].atoms == tuple("abcdef")
    assert network.reactions["infusion.Glc"].net == (10.0, 10.0)
    assert network.metabolites["infused.Glc"].role == "source"


def test_what_is_per_mass_is_multiplied_by_the_mass(body: Study) -> None:
    assert body.network.reactions["muscle.gly"].net == (0.0, 400.0)
    assert body.network.reactions["liver.gng"].net == (0.0, 40.0)
    assert body.network.metabolites["muscle.Pyr"].pool == (0.0, 20.0)
    [experiment] = body.experiments
    flux, mid = sorted(experiment.data, key=lambda datum: datum.kind, reverse=True)
    assert (flux.target, flux.values, flux.sd) == ("muscle.gly", (30.0,), (3.0,))
    assert (mid.target, mid.values[0]) == ("muscle.Pyr", 0.6)
    assert any("divide by 10" in note for note in body.notes)


def cori_cycle(fluxes: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Isotopomers of plasma glucose and of muscle pyruvate, by iteration of balances written out.

    Glucose comes from the infusion (all heavy), from glycogen (all light) and from pairs of liver pyruvate; pools of
    one molecule are the same everywhere, since net fluxes run one way and exchange is zero.
    """
    glucose, pyruvate = np.zeros((2,) * 6), np.zeros((2,) * 3)
    glucose[(0,) * 6] = pyruvate[(0,) * 3] = 1.0
    infused, glycogen = np.zeros_like(glucose), np.zeros_like(glucose)
    infused[(1,) * 6], glycogen[(0,) * 6] = 1.0, 1.0
    for _ in range(500):
        # gng: Pyr(abc) + Pyr(def) -> Glc(cbadef)
        made = np.einsum("abc,def->cbadef", pyruvate, pyruvate)
        released = fluxes["glycogen"] * glycogen + fluxes["gng"] * made
        glucose = (fluxes["infusion"] * infused + released) / (fluxes["infusion"] + fluxes["glycogen"] + fluxes["gng"])
        # gly: Glc(abcdef) -> Pyr(cba) + Pyr(def)
        pyruvate = 0.5 * np.einsum("abcdef->cba", glucose) + 0.5 * np.einsum("abcdef->def", glucose)
    return glucose, pyruvate


def mid(isotopomers: np.ndarray) -> list[float]:
    """Sums over isotopomers of one mass."""
    found = [0.0] * (isotopomers.ndim + 1)
    for pattern in itertools.product((0, 1), repeat=isotopomers.ndim):
        found[sum(pattern)] += float(isotopomers[pattern])
    return found


def test_labelling_goes_round_between_tissues_as_balances_say(body: Study) -> None:
    fluxes = {"infusion": 10.0, "glycogen": 6.0, "gng": 4.0}
    net = {
        "liver.glycogen": 6.0, "liver.gng": 4.0, "liver.ldh": 9.0, "liver.loss": 1.0, "muscle.gly": 20.0,
        "muscle.ldh": 9.0, "muscle.burn": 31.0, uptake("liver", "Glc"): -10.0, uptake("muscle", "Glc"): 20.0,
        uptake("liver", "Lac"): 9.0, uptake("muscle", "Lac"): -9.0, "infusion.Glc": 10.0,
    }  # fmt: skip
    values = np.array([[net[name] for name in body.network.reactions]])
    experiment = Experiment("day", {"infused.Glc": Tracer((("111111", 1.0),))})
    plan = compile_plan(body.network, [experiment])
    found = plan.simulate(values)[0]
    glucose, pyruvate = cori_cycle(fluxes)
    assert found[plan.slot("day", "muscle.Pyr")] == pytest.approx(mid(pyruvate), abs=1e-10)
    assert found[plan.slot("day", "liver.Pyr")] == pytest.approx(mid(pyruvate), abs=1e-10)
    assert sum(mid(glucose)) == pytest.approx(1)


def test_two_tissues_of_one_template_are_told_apart(parts: dict[str, Part]) -> None:
    twice = {
        "left": dataclasses.replace(parts["muscle"], mass=1.0),
        "right": dataclasses.replace(parts["muscle"], mass=3.0),
    }
    pools = {name: Pool({"left": Port(name), "right": Port(name)}) for name in ("Glc", "Lac")}
    study = compose("legs", twice, pools, infusions={"Glc": (1.0, 2.0)}, medium="blood")
    assert study.network.reactions["right.gly"].net == (0.0, 120.0)
    assert study.network.reactions["left.gly"].net == (0.0, 40.0)
    assert "blood.Glc" in study.network.metabolites
    space = flux_space(study.network)
    assert space.ranges[space.index["net", "right.gly"]] == pytest.approx([0.0, 2.0])


def test_a_part_may_lack_reactions_of_its_template(parts: dict[str, Part]) -> None:
    lean = {"liver": dataclasses.replace(parts["liver"], without=("glycogen", "loss"))}
    study = compose(
        "liver",
        lean,
        {"Glc": Pool({"liver": Port("Glc")}, role="sink"), "Lac": Pool({"liver": Port("Lac")}, role="source")},
    )
    assert "liver.Glycogen" not in study.network.metabolites
    assert "liver.glycogen" not in study.network.reactions
    assert not [finding for finding in check(study) if finding.severity == "error"]


def test_a_source_of_a_part_is_fed_by_its_pool(tmp_path: Path) -> None:
    (tmp_path / "cell.toml").write_text(
        '[reactions]\nv = "G(ab) -> P(ab)"\nw = "P(ab) ->"\n[metabolites]\nG = "source"\n'
        '[experiments.e]\ntracers.G = "10"\n'
    )
    cell = Part(read_study(tmp_path / "cell.toml"))
    study = compose("c", {"a": cell}, {"G": Pool({"a": Port("G")}, role="source")}, medium="medium")
    assert study.network.metabolites["a.G"].role == "balanced"
    assert study.network.metabolites["medium.G"].role == "source"
    assert study.experiments[0].tracers == {}


def test_mixed_biomass_is_the_mean_of_its_parts(tmp_path: Path) -> None:
    (tmp_path / "strain.toml").write_text(
        '[reactions]\nv = "G(ab) -> P(ab)"\nu = "U(ab) -> P(ab)"\nw = "P(ab) ->"\n'
        '[metabolites]\nG = "source"\nU = "source"\n'
        '[fragments]\nP = "P[1-2]"\n'
    )
    strain = Part(read_study(tmp_path / "strain.toml"))
    pools = {"G": Pool({"a": Port("G", exchange=(0, 0)), "b": Port("G", exchange=(0, 0))}, role="source")}
    mixture = {"mixed": Mixture(("P",), {"a": 3.0, "b": 1.0})}
    study = compose("co-culture", {"a": strain, "b": strain}, pools, mixtures=mixture, medium="medium")
    net = {"a.v": 4.0, "a.u": 1.0, "b.v": 1.0, "b.u": 1.0, "a.w": 5.0, "b.w": 2.0, "a.uptake.G": 4.0, "b.uptake.G": 1.0}
    plan = compile_plan(study.network, [Experiment("e", {"medium.G": Tracer((("11", 1.0),))})])
    found = plan.simulate(np.array([[net[name] for name in study.network.reactions]]))[0]
    assert found[plan.slot("e", "mixed.P")] == pytest.approx([0.75 * 0.2 + 0.25 * 0.5, 0.0, 0.75 * 0.8 + 0.25 * 0.5])
    fitted = compose(
        "c", {"a": strain, "b": strain}, pools, mixtures={"mixed": dataclasses.replace(mixture["mixed"], fitted=True)}
    )
    assert fitted.network.fragments["mixed.P"].mix == ("mixed.a", "mixed.b")


def test_an_arterio_venous_difference_is_a_measured_uptake() -> None:
    datum = arterio_venous("liver", "Lac", 2.0, (1.5, 0.03), (0.9, 0.04), flow_sd=0.1)
    assert datum == Datum(
        "liver.uptake.Lac", "net", (pytest.approx(1.2),), (pytest.approx(math.sqrt(0.06**2 + 0.08**2 + 0.06**2)),)
    )
    with pytest.raises(CompositionError, match="has a flow of 0"):
        arterio_venous("liver", "Lac", 0.0, (1.5, 0.1), (0.9, 0.1))


def test_a_measured_mid_spreads_over_positions() -> None:
    tracer = spread_mid([0.5, 0.3, 0.2])
    assert dict(tracer.isotopomers) == pytest.approx({"00": 0.5, "10": 0.15, "01": 0.15, "11": 0.2})
    with pytest.raises(CompositionError, match="is no MID"):
        spread_mid([0.5, -0.1, 0.6])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pools": {"Glc": Pool({"kidney": Port("Glc")})}}, "joins part 'kidney', which is not there"),
        ({"pools": {"Glc": Pool({"liver": Port("Glk")})}}, "which part 'liver' has not. Did you mean 'Glc'?"),
        ({"pools": {"Glc": Pool({"liver": Port("Glc"), "muscle": Port("Lac")})}}, "what circulates is one molecule"),
        ({"pools": {"Glc": Pool({})}}, "pool 'Glc' has no ports"),
        ({"pools": {"Glc": dataclasses.replace(GLUCOSE, role="drain")}}, "has the role 'drain'"),
        ({"infusions": {"Glk": (1.0, 1.0)}}, "'Glk' is infused, and there is no such pool. Did you mean 'Glc'?"),
        ({"infusions": {"Glc": (-1.0, 1.0)}}, "is infused at -1 to 1"),
        ({"mixtures": {"m": Mixture(("Pyr",), {"liver": 0.0, "muscle": 1.0})}}, "they are positive numbers"),
        ({"mixtures": {"m": Mixture(("Pir",), {"liver": 1.0})}}, "needs fragment 'Pir' of 'liver', which has none"),
        ({"medium": "liver"}, "a part cannot be called 'liver'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_refused(changes: dict, message: str, parts: dict[str, Part]) -> None:
    with pytest.raises(CompositionError) as caught:
        compose("body", parts, **({"pools": {"Glc": GLUCOSE, "Lac": LACTATE}} | changes))
    assert message in str(caught.value)


def test_a_part_without_mass_or_with_unknown_reactions_left_out_is_refused(parts: dict[str, Part]) -> None:
    with pytest.raises(CompositionError, match="has a mass of 0"):
        compose("b", {"liver": dataclasses.replace(parts["liver"], mass=0.0)}, {})
    with pytest.raises(CompositionError, match="without reaction 'gngg', which it has not. Did you mean 'gng'"):
        compose("b", {"liver": dataclasses.replace(parts["liver"], without=("gngg",))}, {})


PLAN = """
[network]
name = "body"
limit = 100

[parts.liver]
model = "liver.toml"

[parts.muscle]
model = { file = "muscle.toml", reader = "flux-toml" }
mass = 10

[pools.Glc]
ports = { liver = "Glc", muscle = { metabolite = "Glc", net = [0, 50] } }

[pools.Lac]
ports = { liver = "Lac", muscle = "Lac" }
exchange = [0, 5]

[infusions]
Glc = 10

[mixtures.homogenate]
fragments = ["Pyr"]
weights = { liver = 0.2, muscle = 0.8 }
fitted = true

[fragments]
plasma = "plasma.Lac[1-3]"

[experiments.day]
tracers."infused.Glc" = "U-13C"
mids.plasma = { values = [0.6, 0.1, 0.1, 0.2], sd = 0.01 }
[experiments.day.differences."liver.Lac"]
flow = [1.2, 0.1]
arterial = [1.5, 0.05]
venous = [0.6, 0.05]
"""


@pytest.fixture
def plan(parts: dict[str, Part], tmp_path: Path) -> Path:
    assert parts
    path = tmp_path / "plan.toml"
    path.write_text(PLAN)
    return path


def test_a_plan_is_read_like_any_study(plan: Path) -> None:
    study = read_study(plan)
    assert study.network.reactions["muscle.uptake.Glc"].net == (0.0, 50.0)
    assert study.network.reactions["liver.uptake.Lac"].exchange == (0.0, 5.0)
    assert study.network.fragments["homogenate.Pyr"].mix == ("homogenate.liver", "homogenate.muscle")
    [experiment] = study.experiments
    assert {datum.target for datum in experiment.data} == {"muscle.Pyr", "muscle.gly", "plasma", "liver.uptake.Lac"}
    assert not [finding for finding in check(study) if finding.severity == "error"]


@pytest.mark.parametrize(
    ("old", "new", "message", "line"),
    [
        ('model = "liver.toml"', 'model = "liver.tomb"', "which is not there", 6),
        ('model = "liver.toml"', "", "lacks `model`", 6),
        ("mass = 10", "mass = -10", "part 'muscle' has a mass of -10", 9),
        ("mass = 10", 'mass = "ten"', "it must be a number", 11),
        ('liver = "Glc", muscle', 'kidney = "Glc", muscle', "joins part 'kidney'", 13),
        ("Glc = 10", "Glc = -10", "is infused at -10", 21),
        ("Glc = 10", "Gln = 10", "'Gln' is infused, and there is no such pool", 21),
        ("flow = [1.2, 0.1]", "", "lacks flow", 34),
        ('differences."liver.Lac"', 'differences."liver.Ala"', "names reaction 'liver.uptake.Ala'", 34),
        ('fragments = ["Pyr"]', 'fragments = ["Pyx"]', "needs fragment 'Pyx' of 'liver'", 23),
        ("[pools.Glc]", "[pool.Glc]", "no section 'pool'. Did you mean 'pools'?", 13),
        ("[parts.liver]", '[model]\nfile = "x"\n[parts.liver]', "a plan has parts, and a study a model", 6),
    ],
)  # fmt: skip
def test_a_faulty_plan_is_refused_with_its_line(old: str, new: str, message: str, line: int, plan: Path) -> None:
    assert old in PLAN
    plan.write_text(PLAN.replace(old, new, 1))
    with pytest.raises(ReadError) as caught:
        read_study(plan)
    assert message in str(caught.value)
    assert caught.value.line == line


def test_infusions_without_parts_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('[reactions]\nv = "A ->"\n[infusions]\nA = 1\n')
    with pytest.raises(ReadError, match="infusions belongs to a plan"):
        read_study(path)


def test_the_command_writes_a_network_that_reads_the_same(plan: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(command)
    out = tmp_path / "whole.toml"
    with output.asked(json=True):
        done = CliRunner().invoke(app, [str(plan), "--out", str(out)])
    assert done.exit_code == 0, done.output
    whole = read_study(out)
    assert json.loads(done.stdout)["reactions"] == len(whole.network.reactions)
    assert whole.network.metabolites == read_study(plan).network.metabolites
    assert CliRunner().invoke(app, [str(plan), "--out", str(out)]).exit_code == 0
