"""Organs of a whole body and what they exchange through the blood."""

from __future__ import annotations

import json
import os
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from molvis_core import output
from molvis_flux.errors import MapError
from molvis_flux.fit.estimates import Estimates
from molvis_flux.fit.identifiability import BOUNDED, Verdict
from molvis_flux.fit.information import normal_reach
from molvis_flux.fit.multistart import fit
from molvis_flux.fit.organs import exchanges, organs_of
from molvis_flux.formats import read_study
from molvis_flux.maps.frame import map_page
from molvis_flux.maps.organs import draw_organs
from molvis_flux.model.composition import Part, Pool, Port, compose
from molvis_flux.model.examples import antoniewicz, network
from molvis_flux.model.network import Datum, Experiment, Network, Study
from molvis_flux.report import tables

DATA = Path(os.environ.get("MOLVIS_DATA", Path(__file__).parents[3] / ".." / "shared" / "data")) / "flux"


def animal() -> Network:
    """A liver that makes glucose of lactate, and a muscle that does the opposite."""
    liver = network("l", {"Glc": 3, "Lac": 3, "X": 3}, {"gng": "Lac abc -> Glc abc", "x": "X abc -> Glc abc"}, "X")
    turned = {"gly": "Glc abc -> Lac abc", "burn": "Lac abc -> Out abc"}
    muscle = network("m", {"Glc": 3, "Lac": 3, "Out": 3}, turned, "", "Out")
    ports = {"liver": Port("Glc"), "muscle": Port("Glc")}
    pools = {"Glc": Pool(ports), "Lac": Pool({"liver": Port("Lac"), "muscle": Port("Lac")})}
    parts = {"liver": Part(Study(liver)), "muscle": Part(Study(muscle))}
    return compose("animal", parts, pools, infusions={"Glc": (10.0, 10.0)}).network


def of(model: Network, values: dict[str, float], covariance: np.ndarray | None = None) -> Estimates:
    names = list(model.reactions)
    spread = np.eye(len(names)) if covariance is None else covariance
    verdicts = tuple(
        Verdict(("net", name), BOUNDED, value, value - 2, value + 2, 0.1, "data", "data")
        for name, value in ((name, values.get(name, 1.0)) for name in names)
    )
    return Estimates("made", Study(model), verdicts, spread, 0.9, 1.0, True)


def test_organs_of_a_composed_network_are_its_parts() -> None:
    assert organs_of(animal()) == ("liver", "muscle")
    assert organs_of(antoniewicz().network) == ()


def test_what_crosses_a_border_has_the_sign_of_uptake() -> None:
    model = animal()
    values = {"liver.uptake.Glc": -30.0, "muscle.uptake.Glc": 40.0, "liver.uptake.Lac": 20.0, "infusion.Glc": 10.0}
    organs, found = exchanges(of(model, values))
    assert organs == ("liver", "muscle")
    got = {(one.organ, one.pool): one for one in found}
    assert got["liver", "plasma.Glc"].value == -30
    assert (got["liver", "plasma.Glc"].low, got["liver", "plasma.Glc"].high) == (-32, -28)
    assert got["muscle", "plasma.Glc"].value == 40
    assert got["", "plasma.Glc"].value == 10
    assert got["", "plasma.Glc"].reactions == (("infusion.Glc", 1),)
    assert not any("burn" in name for one in found for name, _ in one.reactions), "what stays within an organ is none"


def test_one_way_reactions_are_added_up_with_their_covariance() -> None:
    model = network(
        "split", {"S": 2, "Glc": 2, "Glcliver": 2, "Pliver": 2, "Qlung": 2, "Rlung": 2},
        {"in": "S ab -> Glc ab", "up_liver": "Glc ab -> Glcliver ab", "down_liver": "Glcliver ab -> Glc ab",
         "p_liver": "Glcliver ab -> Pliver ab", "q_lung": "Glc ab -> Qlung ab", "r_lung": "Qlung ab -> Rlung ab"},
        "S", "Pliver Rlung",
    )  # fmt: skip
    names = list(model.reactions)
    covariance = np.eye(len(names))
    a, b = names.index("up_liver"), names.index("down_liver")
    covariance[np.ix_([a, b], [a, b])] = [[100.0, 99.5], [99.5, 100.0]]
    organs, found = exchanges(of(model, {"up_liver": 90.0, "down_liver": 70.0}, covariance))
    assert organs == ("liver", "lung")
    [liver] = [one for one in found if (one.organ, one.pool) == ("liver", "Glc")]
    assert dict(liver.reactions) == {"up_liver": 1, "down_liver": -1}
    assert liver.value == 20
    assert liver.high - liver.value == pytest.approx(normal_reach(0.9)), "errors that go together cancel"
    assert liver.known


def test_organs_are_boxes_with_an_arrow_for_each_pool() -> None:
    organs, found = exchanges(
        of(animal(), {"liver.uptake.Glc": -30.0, "muscle.uptake.Glc": 40.0, "liver.uptake.Lac": 1.0})
    )
    drawing = draw_organs(organs, found, level=0.9)
    root = ET.fromstring(drawing)
    space = "{http://www.w3.org/2000/svg}"
    assert len([r for r in root.iter(f"{space}rect") if r.get("class") == "organ"]) == 3, "the outside is one"
    flows = [g for g in root.iter(f"{space}g") if "flow" in (g.get("class") or "")]
    assert len(flows) == len(found)
    told = [flow.findtext(f"{space}title") or "" for flow in flows]
    assert any("liver: plasma.Glc\nrelease 30, 90% 28 to 32" in text for text in told)
    unknown = next(g for g in flows if "liver: plasma.Lac" in (g.findtext(f"{space}title") or ""))
    assert "unseen" in (unknown.get("class") or ""), "its interval holds 0"
    assert "<script" in map_page(drawing, title="organs", colours=("verdict",))


def test_organs_that_are_not_there_are_refused() -> None:
    with pytest.raises(MapError, match="begins with 'kidney"):
        exchanges(of(animal(), {}), ["kidney"])
    with pytest.raises(MapError, match="no organs in the network"):
        exchanges(of(antoniewicz().network, {}))


@pytest.mark.skipif(not DATA.is_dir(), reason="no flux data: set MOLVIS_DATA")
def test_the_organs_of_the_whole_body_mouse_are_found_by_their_names() -> None:
    model = read_study(DATA / "multitissue" / "mouse" / "whole_body_model.txt").network
    organs, found = exchanges(of(model, {}))
    assert organs == ("liver", "lung", "brain")
    pools = {one.pool for one in found if one.organ == "brain"}
    assert {"GlcCn", "LacCn", "Gln"} <= pools
    assert "GlcPeri" not in pools


def test_the_command_and_the_report_have_organs(tmp_path: Path) -> None:
    import typer

    from molvis_flux.commands.map import map_

    model = animal()
    fed = {"liver.uptake.Glc": -30.0, "liver.uptake.Lac": 20.0, "infusion.Glc": 10.0}
    data = tuple(Datum(name, "net", (value,), (1.0,)) for name, value in fed.items())
    found = fit(Study(model, (Experiment("made", {}, data),)), starts=2, intervals="covariance", samples=0)
    tables.save(found, tmp_path / "fit")
    assert "<h2>Organs</h2>" in (tmp_path / "fit" / "report.html").read_text()
    app = typer.Typer()
    app.command("map")(map_)
    out = tmp_path / "organs.html"
    with output.asked(json=True):
        run = CliRunner().invoke(app, [str(tmp_path / "fit"), "--organs", "auto", "--out", str(out)])
    assert run.exit_code == 0, run.output
    told = json.loads(run.stdout)
    assert told["organs"] == ["liver", "muscle"]
    [muscle] = [one for one in told["exchanges"] if (one["organ"], one["pool"]) == ("muscle", "plasma.Glc")]
    assert muscle["value"] == pytest.approx(40, abs=0.1)
    assert "muscle: plasma.Glc" in out.read_text()
    run = CliRunner().invoke(app, [str(tmp_path / "fit"), "--organs", "liver", "--out", str(tmp_path / "a.svg")])
    assert run.exit_code == 0, run.output
    assert "plasma.Lac" in run.stdout
