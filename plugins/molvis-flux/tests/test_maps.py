"""Maps: what is drawn of a network, that it can be read, and how fluxes look on it."""

from __future__ import annotations

import itertools
import os
import random
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from molvis_flux.fit.estimates import Estimates
from molvis_flux.fit.identifiability import IDENTIFIABLE, UNSEEN, Verdict
from molvis_flux.formats import read_study
from molvis_flux.maps.flows import flows_of, flows_without_fit
from molvis_flux.maps.frame import map_page
from molvis_flux.maps.layered import Edge, arrange
from molvis_flux.maps.layout import HALF, LETTER, clipped, own_map
from molvis_flux.maps.network_map import NetworkMap
from molvis_flux.maps.sketch import is_carrier, sketch
from molvis_flux.maps.svg import draw
from molvis_flux.model.examples import antoniewicz
from molvis_flux.model.examples import network as made
from molvis_flux.model.network import Network, Study

DATA = Path(os.environ.get("MOLVIS_DATA", Path(__file__).parents[3] / ".." / "shared" / "data")) / "flux"
SVG = "{http://www.w3.org/2000/svg}"


def cell() -> Network:
    """Glycolysis and what is around it, with a transamination and a growth that takes from everywhere."""
    return made(
        "cell",
        {"Glc": 6, "G6P": 6, "T3P": 3, "Pyr": 3, "AcCoA": 2, "OAA": 4, "AKG": 5, "Glu": 5, "Asp": 4, "Leu": 6, "CO2": 1,
         "Out": 1, "ATP": 0},
        {
            "glk": "Glc abcdef -> G6P abcdef",
            "gly": "G6P abcdef -> T3P cba + T3P def",
            "pyk": "T3P abc <-> Pyr abc + ATP",
            "pdh": "Pyr abc -> AcCoA bc + CO2 a",
            "pc": "Pyr abc + CO2 d -> OAA abcd",
            "cs": "OAA abcd + AcCoA ef -> AKG dcbfe + CO2 a",
            "gdh": "AKG abcde -> Glu abcde",
            "asp": "OAA abcd + Glu efghi -> Asp abcd + AKG efghi",
            "leu": "Pyr abc + Pyr def + AcCoA gh -> Leu abdghe + CO2 c + CO2 f",
            "co2": "CO2 a -> Out a",
            "maintain": "ATP -> ATP",
        },
        sources="Glc",
        sinks="Out Asp Leu",
    )  # fmt: skip


def randomly(reactions: int, seed: int) -> Network:
    """Chains that branch and close at random, about as dense as central metabolism."""
    rng = random.Random(seed)
    pools = ["M0"]
    equations: dict[str, str] = {}
    for i in range(reactions):
        start = rng.choice(pools[-12:])
        if rng.random() < 0.7 or len(pools) < 4:
            pools.append(f"M{len(pools)}")
            end = pools[-1]
        else:
            end = rng.choice([name for name in pools if name != start])
        equations[f"reaction{i}"[: rng.randint(4, 10)] + f"_{i}"] = f"{start} abc <-> {end} abc"
    return made("random", dict.fromkeys(pools, 3), equations, sources="M0")


def boxes(chart: NetworkMap) -> list[tuple[float, float, float, float, str]]:
    """Where there is text: metabolites' boxes, and both lines beside each reaction."""
    out = [(p.at[0] - p.half, p.at[1] - HALF, p.at[0] + p.half, p.at[1] + HALF, p.name) for p in chart.pools]
    for track in chart.tracks:
        x, y = track.label
        wide = LETTER * max(len(clipped(track.shown)), 7)
        out.append((x, y - HALF + 1, x + wide, y + HALF - 1, track.shown))
    return out


def covered(chart: NetworkMap) -> list[tuple[str, str]]:
    return [
        (a[4], b[4])
        for a, b in itertools.combinations(boxes(chart), 2)
        if min(a[2], b[2]) - max(a[0], b[0]) > 0.1 and min(a[3], b[3]) - max(a[1], b[1]) > 0.1
    ]


def crossed(chart: NetworkMap) -> list[tuple[str, str]]:
    """Labels that the curve of another reaction runs through."""
    out: list[tuple[str, str]] = []
    labels = boxes(chart)[len(chart.pools) :]
    for track, limb in [(each, limb) for each in chart.tracks for limb in each.limbs]:
        points = np.array(limb.curve)
        t = np.linspace(0, 1, 12)[:, None]
        for i in range(1, len(points), 3):
            a, b, c, d = points[i - 1 : i + 3]
            line = (1 - t) ** 3 * a + 3 * t * (1 - t) ** 2 * b + 3 * t * t * (1 - t) * c + t**3 * d
            for x0, y0, x1, y1, name in labels:
                inside = (line[:, 0] > x0) & (line[:, 0] < x1) & (line[:, 1] > y0) & (line[:, 1] < y1)
                if name != track.shown and inside.any():
                    out.append((name, track.shown))
    return out


def models() -> list[Network]:
    found = [antoniewicz().network, cell(), randomly(70, 1), randomly(70, 2)]
    if DATA.is_dir():
        found.append(read_study(DATA / "freeflux" / "ecoli" / "synthetic_data").network)
        found.append(read_study(DATA / "fluxml_examples" / "coryne.xml").network)
    return found


@pytest.mark.parametrize("network", models(), ids=lambda network: f"{network.name}-{len(network.reactions)}")
def test_no_text_of_a_map_covers_another_and_no_arrow_runs_through_one(network: Network) -> None:
    chart = own_map(network)
    assert covered(chart) == []
    assert crossed(chart) == []
    drawn = [track.reaction for track in chart.tracks]
    assert sorted([*drawn, *chart.missing]) == sorted(network.reactions)
    assert len(drawn) == len(set(drawn))


def test_the_longest_pathway_is_a_straight_column() -> None:
    chart = own_map(cell())
    at = {pool.key: pool.at for pool in chart.pools}
    column = [at[name] for name in ("Glc", "G6P", "T3P", "Pyr")]
    assert np.ptp([x for x, _ in column]) < 1e-6
    assert [y for _, y in column] == sorted(y for _, y in column)


def test_a_circle_and_parallel_edges_get_rows_and_places() -> None:
    nodes = dict.fromkeys("abcd", (5.0, 5.0))
    edges = [Edge("a", "b"), Edge("b", "c"), Edge("c", "a"), Edge("a", "b"), Edge("a", "d"), Edge("d", "c")]
    found = arrange(nodes, edges, ["a"])
    assert found.places["a"][1] == 0
    assert len({found.places[name] for name in nodes}) == 4
    for edge, way in zip(edges, found.ways, strict=True):
        assert way[0] == found.places[edge.start]
        assert way[-1] == found.places[edge.end]
        assert all(abs(a[1] - b[1]) == 1 for a, b in itertools.pairwise(way))


def test_carriers_transamination_and_what_brings_little_are_left_out() -> None:
    found, missing = sketch(cell())
    drawn = {one.name: one for one in found}
    assert missing == ("maintain",)
    assert (drawn["pyk"].substrates, drawn["pyk"].products) == (("T3P",), ("Pyr",))
    assert (drawn["pdh"].substrates, drawn["pdh"].products) == (("Pyr",), ("AcCoA",))
    assert (drawn["asp"].substrates, drawn["asp"].products) == (("OAA",), ("Asp",))
    assert drawn["cs"].substrates == ("OAA", "AcCoA")
    assert drawn["cs"].apart == frozenset()
    assert drawn["leu"].apart == {"AcCoA"}, "a synthesis that leads nowhere has its second substrate beside it"


@pytest.mark.parametrize(("name", "known"), [("atp_c", 1), ("NADPH", 1), ("co2.ex", 1), ("h2o[c]", 1), ("G6P", 0)])
def test_carriers_are_known_by_name_in_any_compartment(name: str, known: int) -> None:
    assert is_carrier(name) == bool(known)


def judged(network: Network, values: dict[str, float], unseen: tuple[str, ...] = ()) -> Estimates:
    verdicts = tuple(
        Verdict(("net", name), UNSEEN if name in unseen else IDENTIFIABLE, None if name in unseen else value,
                value - 1, value + 1, 0.1, "data", "data", value if name in unseen else None)
        for name, value in values.items()
    )  # fmt: skip
    return Estimates("made", Study(network), verdicts, np.diag(np.full(len(verdicts), 0.36)), 0.9, 1.0, True)


def drawn_flow(drawing: str, name: str) -> ET.Element:
    root = ET.fromstring(drawing)
    return next(g for g in root.iter(f"{SVG}g") if g.get("data-name") == name)


def width(flow: ET.Element) -> float:
    return next(float(p.get("stroke-width", "0")) for p in flow.iter(f"{SVG}path") if p.get("class") == "line")


def tip(flow: ET.Element) -> tuple[float, float]:
    d = next(p.get("d", "") for p in flow.iter(f"{SVG}path") if p.get("class") == "head")
    x, y = re.findall(r"[-\d.]+", d)[:2]
    return float(x), float(y)


def test_arrows_are_as_wide_as_their_flux_and_point_where_it_goes() -> None:
    network = cell()
    chart = own_map(network)
    values = dict.fromkeys(network.reactions, 10.0) | {"glk": 100.0, "pyk": -50.0, "pc": 0.0}
    drawing = draw(chart, flows_of(judged(network, values)))
    glk, pyk, pdh = (drawn_flow(drawing, name) for name in ("glk", "pyk", "pdh"))
    assert width(glk) - width(pyk) == pytest.approx(2 * (width(pyk) - width(pdh)) * 50 / 80, rel=0.02)
    at = {pool.key: pool.at for pool in chart.pools}
    assert tip(pyk)[1] == pytest.approx(at["T3P"][1] + HALF, abs=0.1), "a negative net flux goes back"
    assert tip(pdh)[1] == pytest.approx(at["AcCoA"][1] - HALF, abs=0.1)
    still = drawn_flow(drawing, "pc")
    assert "still" in still.get("class", "")
    assert not [p for p in still.iter(f"{SVG}path") if p.get("class") == "head"]


def test_what_is_not_identifiable_is_broken_and_has_an_interval_for_a_number() -> None:
    network = cell()
    values = dict.fromkeys(network.reactions, 10.0)
    drawing = draw(own_map(network), flows_of(judged(network, values, unseen=("pc",))))
    assert "unseen" in drawn_flow(drawing, "pc").get("class", "").split()
    assert ">9…11<" in drawing
    told = drawn_flow(drawing, "pc").findtext(f"{SVG}title") or ""
    assert "no estimate, 90% 9 to 11" in told
    assert "Pyr + CO2 → OAA" in told


def test_text_of_strangers_stays_text() -> None:
    network = made("<b>", {"<A>": 2, "B&": 2}, {"r<1>": "<A> ab -> B& ab"}, sources="<A>", sinks="B&")
    drawing = draw(own_map(network), flows_without_fit(network, {("net", "r<1>"): 2.0}), colours=("verdict",))
    ET.fromstring(drawing)
    page = map_page(drawing, title=network.name, colours=("verdict",))
    assert "<b>" not in page.replace("<b>", "", 0).split("<script")[0]
    assert "&lt;A&gt;" in page


def test_a_page_with_a_map_loads_nothing() -> None:
    page = map_page(draw(own_map(cell()), flows_without_fit(cell(), {})), title="cell")
    for loaded in ("<link", "src=", "@import", "url("):
        assert loaded not in page
    assert page.count("<script") == 1


def test_maps_are_the_same_whatever_the_fluxes_are() -> None:
    network = cell()
    assert own_map(network, ["Glc"]) == own_map(network, ["Glc"])
    assert len(own_map(Network("empty", {}, {})).tracks) == 0


def test_the_key_of_colours_is_on_the_map_of_a_small_network_too() -> None:
    network = antoniewicz().network
    flows = flows_without_fit(network, {("net", name): 1234.5 for name in network.reactions})
    drawn = ET.fromstring(draw(own_map(network), flows))
    x0, _, width, _ = map(float, drawn.attrib["viewBox"].split())
    words = [text for text in drawn.iter(f"{SVG}text") if text.get("class") == "note"]
    assert any("a flux of" in (text.text or "") for text in words)
    assert all(float(text.attrib["x"]) + LETTER * len(text.text or "") <= x0 + width for text in words)
