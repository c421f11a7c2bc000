from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from molvis_core import output
from molvis_core.errors import ReadError
from molvis_flux.commands.simulate import simulate
from molvis_flux.errors import SimulationError
from molvis_flux.formats.writers import write_study
from molvis_flux.labelling import prediction
from molvis_flux.model.examples import antoniewicz, network
from molvis_flux.model.network import Experiment, Fragment, Study, Tracer

PUBLISHED = [0.0001, 0.8008, 0.1983, 0.0009]


@pytest.fixture
def saved(tmp_path):
    study = antoniewicz()
    write_study(tmp_path / "toy.toml", replace(study, pools=dict.fromkeys("BCDEF", 10.0)))
    return tmp_path / "toy.toml"


def run(*arguments: object):
    app = typer.Typer()
    app.command()(simulate)
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_the_citric_acid_cycle_of_the_emu_paper_gives_the_glutamate_it_prints():
    """Its second example: 25% of acetyl coenzyme A labelled at C2, 25% at both carbons."""
    model = network(
        "TCA",
        {"AcCoA": 2, "OAC": 4, "Cit": 6, "AKG": 5, "Glu": 5, "Suc": 4, "Fum": 4, "CO2": 1, "Asp": 4},
        {
            "v1": "OAC abcd + AcCoA ef -> Cit dcbfea",
            "v2": "Cit abcdef -> AKG abcde + CO2 f",
            "v3": "AKG abcde -> Glu abcde",
            "v4": "AKG abcde -> Suc bcde + CO2 a",
            "v5": "Suc abcd -> Fum abcd",
            "v6": "Fum abcd <-> OAC abcd",
            "v8": "Asp abcd -> OAC abcd",
        },
        sources="AcCoA Asp",
        sinks="CO2 Glu",
    )
    turned = {n: replace(model.metabolites[n], symmetries=((3, 2, 1, 0),)) for n in ("Suc", "Fum")}
    model = replace(
        model,
        metabolites=model.metabolites | turned,
        fragments={"Glu": Fragment("Glu", ((1.0, "Glu", (0, 1, 2, 3, 4)),))},
    )
    fed = Experiment("fed", prediction.parse_tracers(model, ["AcCoA=01:0.25", "AcCoA=11:0.25"]))
    fluxes = {("net", "v1"): 100.0, ("net", "v8"): 50.0, ("exchange", "v6"): 75.0}
    (found,) = prediction.predict(Study(model, (fed,)), *prediction.complete_fluxes(model, fluxes))
    assert np.round(found.fractions[0], 4).tolist() == [0.3464, 0.2695, 0.2708, 0.0807, 0.0286, 0.0039]


def test_the_other_fluxes_follow_from_the_balances():
    study = antoniewicz()
    known = {("net", "v1"): 100.0, ("net", "v4"): 20.0, ("exchange", "v2"): 50.0}
    net, exchange = prediction.complete_fluxes(study.network, known)
    np.testing.assert_allclose(net, [[100, 60, 20, 20, 80]])
    np.testing.assert_allclose(exchange, [[0, 50, 0, 0, 0]])


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({("net", "v1"): 100.0}, "leave 1 net fluxes open"),
        ({("net", "v40"): 1.0}, "no flux net/v40. Did you mean"),
        ({("net", "v1"): 100.0, ("net", "v6"): 180.0, ("net", "v4"): 20.0}, "contradict the network"),
    ],
)
def test_fluxes_that_do_not_determine_the_rest_or_cannot_be_are_named(known, message):
    with pytest.raises(SimulationError) as error:
        prediction.complete_fluxes(antoniewicz().network, known)
    assert message in str(error.value)


def test_what_a_tracer_leaves_of_a_source_is_unlabelled():
    model = antoniewicz().network
    found = prediction.parse_tracers(model, ["A=010:0.5", "A=111:0.2"])
    assert found["A"].isotopomers == (("010", 0.5), ("111", 0.2), ("000", pytest.approx(0.3)))
    assert prediction.parse_tracers(model, ["A=010"]) == {"A": Tracer((("010", 1.0),))}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A:010", "is not understood"),
        ("A=010:x", "'x' is no number"),
        ("AA=010", "no metabolite 'AA'. Did you mean 'A'"),
    ],
)
def test_a_tracer_that_is_not_understood_is_named(text, message):
    with pytest.raises(SimulationError) as error:
        prediction.parse_tracers(antoniewicz().network, [text])
    assert message in str(error.value)


def test_the_command_prints_the_published_labelling(saved):
    with output.asked(json=True):
        result = run(saved)
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)
    assert (found["experiment"], found["fragment"], found["time"]) == ("2-13C", "F", None)
    assert np.round(found["fractions"][0], 4).tolist() == PUBLISHED
    table = run(saved)
    assert "0.0001  0.8008  0.1983  0.0009" in table.stdout


def test_the_command_simulates_many_vectors_into_a_table(saved, tmp_path):
    (tmp_path / "fluxes.csv").write_text("v1,net/v4,exchange/v2\n100,20,50\n200,40,100\n100,10,0\n")
    result = run(saved, "--fluxes", tmp_path / "fluxes.csv", "--out", tmp_path / "mids.csv")
    assert result.exit_code == 0, result.output
    head, *lines = (tmp_path / "mids.csv").read_text().splitlines()
    assert head == "vector,experiment,fragment,time,M+0,M+1,M+2,M+3"
    rows = [[float(cell) for cell in line.split(",")[4:]] for line in lines]
    assert np.round(rows[0], 4).tolist() == np.round(rows[1], 4).tolist() == PUBLISHED
    assert rows[2] != rows[0]


def test_the_command_simulates_in_time_and_other_tracers(saved):
    with output.asked(json=True):
        result = run(saved, "--times", "0,0.1,1000", "--tracer", "A=111")
    assert result.exit_code == 0, result.output
    before, early, late = (np.array(found["fractions"][0]) for found in json.loads(result.stdout))
    np.testing.assert_allclose(before, [1, 0, 0, 0], atol=1e-12)
    assert 0 < early[3] < 1
    np.testing.assert_allclose(late, [0, 0, 0, 1], atol=1e-4)


def test_a_study_without_pools_is_not_simulated_in_time():
    study = antoniewicz()
    net, exchange = prediction.complete_fluxes(study.network, study.fluxes)
    with pytest.raises(SimulationError, match="needs pool sizes"):
        prediction.predict(study, net, exchange, times=[1.0])


def test_a_study_without_experiments_is_not_simulated():
    study = replace(antoniewicz(), experiments=())
    net, exchange = prediction.complete_fluxes(study.network, study.fluxes)
    with pytest.raises(SimulationError, match="has no experiment"):
        prediction.predict(study, net, exchange)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v1\n", "holds no flux vector"),
        ("v1,v77\n1,2\n", "no reaction 'v77'"),
        ("v1,v4\n1\n", "1 values for 2 fluxes"),
        ("v1\nx\n", "numbers are expected"),
        ("v1\nnan\n", "not finite"),
    ],
)
def test_a_bad_table_of_fluxes_is_named(tmp_path, text, message):
    (tmp_path / "fluxes.csv").write_text(text)
    with pytest.raises(ReadError) as error:
        prediction.read_fluxes(tmp_path / "fluxes.csv", antoniewicz().network)
    assert message in str(error.value)
    assert "fluxes.csv" in str(error.value)


def test_times_that_are_no_numbers_are_named():
    with pytest.raises(SimulationError, match="times '1,x'"):
        prediction.parse_times("1,x")


def test_the_demonstration_finds_the_fluxes_of_the_paper(tmp_path):
    from molvis_flux.commands.demo import demo
    from molvis_flux.formats import read_study

    app = typer.Typer()
    app.command()(demo)
    with output.asked(json=True):
        result = CliRunner().invoke(app, ["--out", str(tmp_path / "demo")])
    assert result.exit_code == 0, result.output
    found = {tuple(row["name"]): row["value"] for row in json.loads(result.stdout)["fluxes"]}
    for (kind, name), value in antoniewicz().fluxes.items():
        assert found[kind, name] == pytest.approx(value, rel=0.02), name
    assert read_study(tmp_path / "demo" / "network.toml").network.metabolites == antoniewicz().network.metabolites
    assert (tmp_path / "demo" / "report.html").is_file()
