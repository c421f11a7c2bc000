"""Maps of Escher: what we write is one, and what others drew is matched to a network."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from molvis_core import output
from molvis_flux.errors import MapError
from molvis_flux.formats.writers import write_study
from molvis_flux.maps.escher import read_escher
from molvis_flux.maps.escher_writer import SCHEMA, escher_json
from molvis_flux.maps.flows import flows_without_fit
from molvis_flux.maps.layout import own_map
from molvis_flux.maps.svg import draw
from molvis_flux.model.examples import antoniewicz
from molvis_flux.model.network import Network

NUMBER = (int, float)
# Keys and types of the schema that the files name, jsonschema/1-0-0 of Escher: each object has exactly these.
NODE: dict[str, Any] = {
    "node_type": str, "x": NUMBER, "y": NUMBER, "bigg_id": str, "name": str, "label_x": NUMBER, "label_y": NUMBER,
    "node_is_primary": bool,
}  # fmt: skip
MARKER: dict[str, Any] = {"node_type": str, "x": NUMBER, "y": NUMBER}
REACTION: dict[str, Any] = {
    "name": str, "bigg_id": str, "reversibility": bool, "label_x": NUMBER, "label_y": NUMBER,
    "gene_reaction_rule": str, "genes": list, "metabolites": list, "segments": dict,
}  # fmt: skip
SEGMENT: dict[str, Any] = {
    "from_node_id": str, "to_node_id": str, "b1": (dict, type(None)), "b2": (dict, type(None)),
}  # fmt: skip


def has(thing: dict[str, Any], keys: dict[str, Any]) -> None:
    assert set(thing) == set(keys)
    for key, kind in keys.items():
        assert isinstance(thing[key], kind), (key, thing[key])


def conforms(given: Any) -> None:
    head, body = given
    has(head, dict.fromkeys(("schema", "homepage", "map_id", "map_name", "map_description"), str))
    assert head["schema"] == SCHEMA
    has(body, dict.fromkeys(("nodes", "reactions", "text_labels", "canvas"), dict))
    has(body["canvas"], dict.fromkeys(("x", "y", "width", "height"), NUMBER))
    used = set()
    for key, node in body["nodes"].items():
        assert key.isdigit()
        has(node, NODE if node["node_type"] == "metabolite" else MARKER)
        assert node["node_type"] in ("metabolite", "midmarker", "multimarker")
    for key, reaction in body["reactions"].items():
        assert key.isdigit()
        has(reaction, REACTION)
        for metabolite in reaction["metabolites"]:
            has(metabolite, {"bigg_id": str, "coefficient": NUMBER})
        for name, segment in reaction["segments"].items():
            assert name.isdigit()
            has(segment, SEGMENT)
            used |= {segment["from_node_id"], segment["to_node_id"]}
            for bend in filter(None, (segment["b1"], segment["b2"])):
                has(bend, {"x": NUMBER, "y": NUMBER})
    assert used == set(body["nodes"])


@pytest.fixture(scope="module")
def network() -> Network:
    return antoniewicz().network


@pytest.fixture(scope="module")
def written(network: Network) -> Any:
    return json.loads(json.dumps(escher_json(own_map(network), network)))


def saved(tmp_path: Path, given: Any) -> Path:
    path = tmp_path / "map.json"
    path.write_text(json.dumps(given), encoding="utf-8")
    return path


def test_our_layout_is_a_map_after_the_schema_of_escher(written: Any) -> None:
    conforms(written)
    reactions = {reaction["bigg_id"]: reaction for reaction in written[1]["reactions"].values()}
    assert set(reactions) == {"v1", "v2", "v4", "v5", "v6"}
    assert reactions["v2"]["reversibility"]
    assert {m["bigg_id"]: m["coefficient"] for m in reactions["v5"]["metabolites"]} == {
        "B": -1,
        "C": -1,
        "D": 1,
        "E": 2,
    }


def test_a_map_that_was_written_is_read_with_all_its_reactions(network: Network, written: Any, tmp_path: Path) -> None:
    chart = read_escher(saved(tmp_path, written), network)
    assert (chart.missing, chart.foreign, chart.notes) == ((), (), ())
    assert {pool.name for pool in chart.pools} == set("ABCDEF")
    at = {pool.key: pool.at for pool in chart.pools}
    for track in chart.tracks:
        ends = {(limb.side, limb.pool) for limb in track.limbs if limb.pool}
        assert {side for side, _ in ends} == {-1, 1}
        assert all(limb.curve[-1] == at[limb.pool] for limb in track.limbs if limb.pool)
    drawing = draw(chart, flows_without_fit(network, antoniewicz().fluxes))
    assert drawing.count('class="head"') == 5


def test_places_on_a_written_map_are_read_as_they_stand(network: Network, written: Any, tmp_path: Path) -> None:
    chart = read_escher(saved(tmp_path, written), network)
    nodes = {key: n for key, n in written[1]["nodes"].items() if n["node_type"] == "metabolite"}
    assert {pool.key: (pool.name, pool.at) for pool in chart.pools} == {
        key: (node["bigg_id"], (node["x"], node["y"])) for key, node in nodes.items()
    }
    sums = {
        r["bigg_id"]: {m["bigg_id"]: m["coefficient"] for m in r["metabolites"]}
        for r in written[1]["reactions"].values()
    }
    assert sums["v5"] == {"B": -1.0, "C": -1.0, "D": 1.0, "E": 2.0}
    assert sums["v2"] == {"B": -1.0, "D": 1.0}


def drawing(given: Any) -> dict[str, Any]:
    """What a map shows, without the keys of its nodes; the curve of a segment in either direction."""
    nodes = given[1]["nodes"]

    def end(key: str) -> tuple[Any, ...]:
        node = nodes[key]
        return node["x"], node["y"], node.get("bigg_id", ""), node["node_type"]

    def curve(segment: Any) -> Any:
        ends = [end(segment["from_node_id"]), end(segment["to_node_id"])]
        if segment["b1"] is None:
            return min((*ends,), (*ends[::-1],))
        bends = [(segment[b]["x"], segment[b]["y"]) for b in ("b1", "b2")]
        return min((ends[0], *bends, ends[1]), (ends[1], *bends[::-1], ends[0]))

    reactions = given[1]["reactions"].values()
    return {
        "canvas": given[1]["canvas"],
        "texts": sorted((t["x"], t["y"], t["text"]) for t in given[1]["text_labels"].values()),
        "nodes": sorted(
            (*end(key), node.get("label_x"), node.get("label_y"), node.get("node_is_primary"))
            for key, node in nodes.items() if node["node_type"] == "metabolite"
        ),
        "reactions": [{key: v for key, v in r.items() if key != "segments"} for r in reactions],
        "curves": [sorted(curve(s) for s in r["segments"].values() if s["b1"] is not None) for r in reactions],
    }  # fmt: skip


def test_a_map_that_somebody_has_comes_back_as_it_was_drawn(network: Network, written: Any, tmp_path: Path) -> None:
    given = copy.deepcopy(written)
    given[1]["canvas"] = {"x": -7.25, "y": 3.0, "width": 1203.5, "height": 640.0}
    given[1]["text_labels"] = {"900": {"x": 12.5, "y": -4.0, "text": "glycolysis"}}
    reactions = {reaction["bigg_id"]: reaction for reaction in given[1]["reactions"].values()}
    # One that the network calls otherwise, one that it does not have, and one that it writes the other way round.
    reactions["v4"] |= {"bigg_id": "R_v4", "name": "fourth", "gene_reaction_rule": "b0001"}
    reactions["v6"] |= {"bigg_id": "PFK", "name": "of another model"}
    for metabolite in reactions["v5"]["metabolites"]:
        metabolite["coefficient"] *= -1
    for segment in [s for r in reactions.values() for s in r["segments"].values() if s["b1"] is None]:
        a, b = (given[1]["nodes"][segment[end]] for end in ("from_node_id", "to_node_id"))
        for bend, t in (("b1", 0.25), ("b2", 0.75)):
            segment[bend] = {z: round(a[z] + t * (b[z] - a[z]), 2) for z in ("x", "y")}
    again = json.loads(json.dumps(escher_json(read_escher(saved(tmp_path, given), network), network)))
    conforms(again)
    assert drawing(again) == drawing(given)
    twice = json.loads(json.dumps(escher_json(read_escher(saved(tmp_path, again), network), network)))
    assert twice == again


def test_names_are_found_without_regard_to_prefix_and_case_and_what_is_not_is_said(
    network: Network, written: Any, tmp_path: Path
) -> None:
    given = copy.deepcopy(written)
    for reaction in given[1]["reactions"].values():
        reaction["bigg_id"] = {"v1": "R_V1", "v2": "isomerase", "v4": "v4"}.get(reaction["bigg_id"], "other")
    path = saved(tmp_path, given)
    chart = read_escher(path, network)
    assert {track.reaction for track in chart.tracks} == {"v1", "v4", ""}
    assert chart.missing == ("v2", "v5", "v6")
    assert chart.foreign == ("isomerase", "other", "other")
    drawing = draw(chart, flows_without_fit(network, {("net", "v1"): 1.0}))
    assert "Not in the network: isomerase, other, other." in drawing
    assert "Not on the map: v2; v5; v6." in drawing
    named = read_escher(path, network, {"v2": "isomerase"})
    assert named.missing == ("v5", "v6")
    with pytest.raises(MapError, match="no reaction 'isomerise'. Did you mean 'isomerase'"):
        read_escher(path, network, {"v2": "isomerise"})
    with pytest.raises(MapError, match="the network has no reaction 'v22'"):
        read_escher(path, network, {"v22": "isomerase"})


def test_a_reaction_that_is_drawn_the_other_way_round_is_turned(network: Network, written: Any, tmp_path: Path) -> None:
    given = copy.deepcopy(written)
    for reaction in given[1]["reactions"].values():
        if reaction["bigg_id"] == "v6":
            for metabolite in reaction["metabolites"]:
                metabolite["coefficient"] *= -1
    chart = read_escher(saved(tmp_path, given), network)
    v6 = next(track for track in chart.tracks if track.reaction == "v6")
    assert v6.sign == -1
    assert "v6 the other way round" in chart.notes[0]
    drawing = draw(chart, flows_without_fit(network, {("net", "v6"): 5.0}))
    flow = drawing[drawing.index('data-name="v6"') :]
    x, y = map(float, re.findall(r'class="head" d="M([-\d.]+) ([-\d.]+)', flow)[0])
    f, d = ({pool.name: pool.at for pool in chart.pools}[name] for name in "FD")
    assert abs(y - f[1]) + abs(x - f[0]) < abs(y - d[1]) + abs(x - d[0]), "the arrow still goes to F"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda m: {"reactions": {}}, "list of two objects"),
        (lambda m: [m[0], {"nodes": {}, "canvas": {}}], "no object 'reactions'"),
        (lambda m: [m[0], {**m[1], "canvas": {"x": 0}}], "the canvas has no number 'y'"),
        (lambda m: [m[0], {**m[1], "nodes": {}}], "a 'from_node_id' that is no node"),
        (lambda m: [m[0], {**m[1], "reactions": {"1": {"label_x": 0, "label_y": 0}}}], "has no 'bigg_id'"),
    ],
)
def test_what_is_no_map_is_refused_with_its_place(
    spoil: Any, said: str, network: Network, written: Any, tmp_path: Path
) -> None:
    path = saved(tmp_path, spoil(copy.deepcopy(written)))
    with pytest.raises(MapError, match=said) as caught:
        read_escher(path, network)
    assert str(path) in str(caught.value)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(MapError, match="no JSON"):
        read_escher(path, network)


def test_the_command_draws_on_a_map_and_says_what_does_not_match(tmp_path: Path, written: Any) -> None:
    import typer

    from molvis_flux.commands.map import map_

    given = copy.deepcopy(written)
    first = next(iter(given[1]["reactions"].values()))
    first["bigg_id"] = "elsewhere"
    on = saved(tmp_path, given)
    write_study(tmp_path / "network.toml", antoniewicz())
    app = typer.Typer()
    app.command("map")(map_)
    out = tmp_path / "map.svg"
    with output.asked(json=True):
        run = CliRunner().invoke(app, [str(tmp_path / "network.toml"), "--on", str(on), "--out", str(out)])
    assert run.exit_code == 0, run.output
    told = json.loads(run.stdout)
    assert (told["missing"], told["foreign"]) == (["v1"], ["elsewhere"])
    assert out.read_text().startswith("<svg")
    run = CliRunner().invoke(app, [str(tmp_path / "network.toml"), "--out", str(tmp_path / "map.json")])
    assert run.exit_code == 0, run.output
    conforms(json.loads((tmp_path / "map.json").read_text()))
    on, again = saved(tmp_path, given), tmp_path / "again.json"
    run = CliRunner().invoke(app, [str(tmp_path / "network.toml"), "--on", str(on), "--out", str(again)])
    assert run.exit_code == 0, run.output
    # Straight segments come back as curves that are straight.
    found, wanted = drawing(json.loads(again.read_text())), drawing(given)
    assert [found[what] for what in ("texts", "nodes", "reactions")] == [
        wanted[what] for what in ("texts", "nodes", "reactions")
    ]
    run = CliRunner().invoke(app, [str(tmp_path / "network.toml"), "--out", str(tmp_path / "map.pdf")])
    assert run.exit_code == 1
