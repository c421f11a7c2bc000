"""Tables, pictures and reports of fits; designs of experiments; the commands."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from molvis_core import output
from molvis_core.errors import ReadError
from molvis_flux.errors import FitError
from molvis_flux.fit.design import design
from molvis_flux.fit.identifiability import UNSEEN
from molvis_flux.fit.multistart import FluxResult, fit
from molvis_flux.formats.writers import write_study
from molvis_flux.model.examples import antoniewicz
from molvis_flux.model.network import Tracer
from molvis_flux.report import figures, tables
from molvis_flux.report.page import report
from molvis_flux.report.saved import read_fit


@pytest.fixture(scope="module")
def found() -> FluxResult:
    return fit(antoniewicz(), samples=100, starts=4)


@pytest.fixture(scope="module")
def blind() -> FluxResult:
    """A fit to measured fluxes alone: nothing sees the exchange flux."""
    from dataclasses import replace

    model = antoniewicz()
    kept = tuple(datum for datum in model.experiments[0].data if datum.kind != "mid")
    return fit(replace(model, experiments=(replace(model.experiments[0], data=kept),)), starts=2)


def test_a_flux_that_is_not_seen_has_no_estimate_in_any_table(blind: FluxResult) -> None:
    columns, rows = tables.fluxes(blind)
    [row] = [row for row in rows if row[:2] == ["exchange", "v2"]]
    found = dict(zip(columns, row, strict=True))
    assert found["identifiability"] == UNSEEN
    assert found["estimate"] is None
    assert found["sd"] is None
    assert found["posterior mean"] is not None


def test_every_picture_is_an_svg(found: FluxResult) -> None:
    drawn = figures.figures(found)
    assert set(drawn) == {"network", "intervals", "distributions", "posterior"}
    for text in drawn.values():
        assert ET.fromstring(text).tag.endswith("svg")


def test_the_picture_of_the_network_names_every_metabolite_and_flux(found: FluxResult) -> None:
    text = figures.network(found)
    for name in (*found.least_squares.study.network.metabolites, "v1", "v2", "v4", "v5", "v6"):
        assert f">{name}" in text


def test_a_report_loads_nothing_and_says_what_was_found(found: FluxResult, blind: FluxResult) -> None:
    page = report(found, title="A & B")
    assert "A &amp; B" in page
    for loaded in ("<link", "src=", "@import", "url(http"):
        assert loaded not in page
    assert "identifiable" in page
    assert UNSEEN in report(blind)


def test_a_folder_holds_tables_pictures_and_the_report(found: FluxResult, tmp_path: Path) -> None:
    tables.save(found, tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names >= {"fluxes.csv", "data.csv", "starts.csv", "posterior.csv", "network.svg", "report.html"}
    with (tmp_path / "out" / "fluxes.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [name for _, name in found.names]
    kept = read_fit(tmp_path / "out")
    assert kept.verdicts == found.verdicts
    assert np.array_equal(kept.covariance, found.covariance)
    assert set(kept.study.network.reactions) == set(found.least_squares.study.network.reactions)
    with pytest.raises(ReadError, match="no folder of a fit"):
        read_fit(tmp_path)
    (tmp_path / "out" / "fit.json").write_text('{"format": 1}')
    with pytest.raises(ReadError, match="damaged"):
        read_fit(tmp_path / "out")
    assert float(rows[0]["estimate"]) == pytest.approx(100, rel=1e-3)
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


def test_the_tracer_that_tells_a_turned_route_apart_is_preferred() -> None:
    chosen = design(
        antoniewicz(),
        fluxes=[("exchange", "v2")],
        candidates=[{"A": Tracer((("111", 1.0),))}, {"A": Tracer((("010", 1.0),))}],
    )
    # Wholly labelled, every molecule looks the same whatever its way.
    assert chosen.tracers[0].name == "A 010"
    assert chosen.tracers[1].gain == pytest.approx(0.0, abs=1e-6)
    assert chosen.tracers[1].left == pytest.approx(1.0, abs=1e-6)
    assert chosen.tracers[0].left < 0.9


def test_more_experiments_and_fragments_never_tell_less() -> None:
    chosen = design(antoniewicz(), experiments=3, draws=8)
    gains = [option.gain for option in chosen.experiments]
    assert gains == sorted(gains)
    assert len(chosen.fragments) == 1
    assert any("%" in option.name for option in chosen.tracers)
    ranked = [option.gain for option in chosen.tracers]
    assert np.diff(ranked).max() < 2e-6  # of tracers worth the same the first given comes first


def test_a_design_for_what_does_not_exist_is_refused() -> None:
    with pytest.raises(FitError, match="Did you mean 'v4'"):
        design(antoniewicz(), fluxes=[("net", "v44")])
    with pytest.raises(FitError, match="no fragment"):
        design(antoniewicz(), fragments=["G"])
    with pytest.raises(FitError, match="'A' or 'D'"):
        design(antoniewicz(), criterion="E")


def test_the_commands_fit_and_design_print_json(tmp_path: Path) -> None:
    import typer

    from molvis_flux.commands.design import design as design_command
    from molvis_flux.commands.fit import fit as fit_command

    path = tmp_path / "network.toml"
    write_study(path, antoniewicz())
    app = typer.Typer()
    app.command("fit")(fit_command)
    app.command("design")(design_command)
    with output.asked(json=True):
        run = CliRunner().invoke(app, ["fit", str(path), "--starts", "3", "--parsimonious"])
    assert run.exit_code == 0, run.output
    told = json.loads(run.stdout)
    values = {"/".join(row["name"]): row["value"] for row in told["fluxes"]}
    assert values["net/v4"] == pytest.approx(20, rel=1e-3)
    assert told["parsimonious"]["total"] < told["parsimonious"]["total_of_fit"]
    with output.asked(json=True):
        run = CliRunner().invoke(app, ["design", str(path), "--draws", "4"])
    assert run.exit_code == 0, run.output
    assert np.isfinite([option["gain"] for option in json.loads(run.stdout)["tracers"]]).all()
    run = CliRunner().invoke(app, ["fit", str(path), "--starts", "2", "--out", str(tmp_path / "out")])
    assert run.exit_code == 0, run.output
    assert "identifiable" in run.stdout
    assert (tmp_path / "out" / "report.html").is_file()
