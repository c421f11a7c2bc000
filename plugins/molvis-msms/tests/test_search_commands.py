"""`molvis references` and `molvis search`, and the page that a search writes."""

from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import typer
from reference_samples import measurement, references

from molvis_core import output
from molvis_core.errors import ConfigError, ReadError
from molvis_core.records import PeakList
from molvis_msms.commands.references import build, describe
from molvis_msms.commands.search import NOTHING_SEARCHED, search
from molvis_msms.references.drawing import mirror_plot
from molvis_msms.references.index import References
from molvis_msms.references.report import render_report
from molvis_msms.references.search import Searched, Settings
from molvis_msms.references.search import search as run
from molvis_msms.writers import write_mgf


@pytest.fixture
def refs(tmp_path: Path) -> References:
    return references(tmp_path / "refs")


@pytest.fixture
def queries(tmp_path: Path) -> Path:
    write_mgf(tmp_path / "queries.mgf", [measurement("caffeine", 0), measurement("aspirin", 77)])
    return tmp_path / "queries.mgf"


def test_references_are_built_and_described(tmp_path: Path, queries: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build([queries], tmp_path / "made")
    assert re.search(r"^ *2 +2 +24 +0\.0 MB$", capsys.readouterr().out, re.MULTILINE)
    describe(tmp_path / "made")
    shown = capsys.readouterr().out
    assert re.search(r"^spectra +2$", shown, re.MULTILINE)
    assert re.search(r"^adduct +\[M\+H\]\+: 2$", shown, re.MULTILINE)
    with output.asked(json=True):
        describe(tmp_path / "made")
    assert json.loads(capsys.readouterr().out)["compounds"] == 2


def test_what_a_build_leaves_out_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "BEGIN IONS\nTITLE=x\nPEPMASS=195.0877\n100.0 1\nEND IONS\n"
    (tmp_path / "a.mgf").write_text(text + text)
    build([tmp_path / "a.mgf"], tmp_path / "made")
    shown = capsys.readouterr()
    assert re.search(r"^the same peaks of the same ion are there already +1$", shown.out, re.MULTILINE)
    assert "1 records left out" in shown.err


def test_a_search_prints_its_best_hits_and_writes_tables_and_a_page(
    tmp_path: Path, refs: References, queries: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, page, text = tmp_path / "a.csv", tmp_path / "a.html", tmp_path / "a.json"
    search([queries], refs.path, csv=table, report=page, json_file=text)
    shown = capsys.readouterr().out
    assert re.search(r"^caffeine +1 +1\.000 +12 +\[M\+H\]\+ +C8H10N4O2 +RYYVLZVUVIJVGH", shown, re.MULTILINE)
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["reference"] == "caffeine-0"
    assert rows[0]["licence"] == "CC BY"
    assert float(rows[0]["score"]) == pytest.approx(1.0)
    assert json.loads(text.read_text())[0]["hits"][0]["reference"] == "caffeine-0"
    assert "<svg" in page.read_text()


def test_a_search_prints_json(refs: References, queries: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with output.asked(json=True):
        search([queries], refs.path, similarity="hybrid", top=2)
    found = json.loads(capsys.readouterr().out)
    assert [len(one["hits"]) for one in found] == [2, 2]


def test_a_search_of_nothing_ends_with_a_status_of_its_own(
    tmp_path: Path, refs: References, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.mgf").write_text("BEGIN IONS\nTITLE=bad\nPEPMASS=many\n100.0 1\nEND IONS\n")
    with pytest.raises(typer.Exit) as ended:
        search([tmp_path / "bad.mgf"], refs.path)
    assert ended.value.exit_code == NOTHING_SEARCHED
    assert "not searched: bad: " in capsys.readouterr().err


def test_the_tolerance_of_the_precursor_follows_the_similarity(
    tmp_path: Path, refs: References, capsys: pytest.CaptureFixture[str]
) -> None:
    write_mgf(tmp_path / "far.mgf", [measurement("caffeine", 9, smiles="CCCCCCCCCCCC")])
    with output.asked(json=True):
        search([tmp_path / "far.mgf"], refs.path, tolerance="0.5Da")
        assert json.loads(capsys.readouterr().out)[0]["hits"] == []
        search([tmp_path / "far.mgf"], refs.path, tolerance="0.5Da", precursor_tolerance="none")
        assert json.loads(capsys.readouterr().out)[0]["hits"]
        search([tmp_path / "far.mgf"], refs.path, tolerance="0.5Da", similarity="hybrid")
        assert json.loads(capsys.readouterr().out)[0]["hits"]
    search([tmp_path / "far.mgf"], refs.path)
    assert "1 of 1 queries are like no reference within 10 ppm of the precursor" in capsys.readouterr().err


def test_wrong_arguments_are_named(tmp_path: Path, refs: References, queries: Path) -> None:
    with pytest.raises(ReadError, match="no such file"):
        search([tmp_path / "nowhere.mgf"], refs.path)
    with pytest.raises(ConfigError, match="make it first"):
        search([queries], refs.path, report=tmp_path / "no" / "a.html")
    with pytest.raises(ConfigError, match="10ppm"):
        search([queries], refs.path, precursor_tolerance="near")


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.loaded += [str(v) for k, v in attributes if k == "src"] + ["script"] * (tag == "script")


def test_the_page_loads_nothing_and_escapes_names(refs: References) -> None:
    item = measurement("caffeine", 0)
    bad = Searched("<script>alert(1)</script>", problem="<b>nothing</b>")
    page = render_report([*run(refs, [item]), bad], refs, Settings(), file="<i>.mgf")
    links = Links()
    links.feed(page)
    assert links.loaded == []
    assert "&lt;script&gt;" in page
    assert "&lt;i&gt;.mgf" in page
    assert "true compound" in page


def test_a_mirror_plot_has_a_line_for_each_peak_and_marks_those_that_match() -> None:
    one = PeakList(np.array([100.0, 150.0]), np.array([1.0, 0.5]))
    other = PeakList(np.array([100.0]), np.array([2.0]))
    drawing = ET.fromstring(mirror_plot(one, other, np.array([[0, 0]])))
    lines = [line for line in drawing.iter("line") if line.get("class") in ("peak", "paired")]
    assert sorted(line.get("class") for line in lines) == ["paired", "paired", "peak"]
    up, down = (float(line.get("y2")) - float(line.get("y1")) for line in lines if line.get("class") == "paired")
    assert up == -down
    assert "query: m/z 150.0000, 50.0%" in {title.text for title in drawing.iter("title")}


def test_a_spectrum_of_one_peak_is_drawn() -> None:
    one = PeakList(np.array([100.0]), np.array([1.0]))
    ET.fromstring(mirror_plot(one, one, np.array([[0, 0]])))
    ET.fromstring(mirror_plot(one, PeakList(np.empty(0), np.empty(0)), np.empty((0, 2), dtype=np.int64)))
