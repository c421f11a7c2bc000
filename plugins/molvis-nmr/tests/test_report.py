"""Pictures and reports show what was found, and load nothing from elsewhere."""

from __future__ import annotations

import csv
import datetime as dt
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from molvis_core.errors import RecordError
from molvis_core.records import Trace
from molvis_nmr.fitting.spin_system import SpinSystemFit, fit
from molvis_nmr.formats.spin_systems import read_system
from molvis_nmr.report import mixture
from molvis_nmr.report import page as report
from molvis_nmr.report.figures import as_svg, draw_fit, multiplets, save
from molvis_nmr.spins.simulation import simulate
from molvis_nmr.spins.system import SpinSystem

NOON = dt.datetime(2026, 3, 1, 12, 0)


def ethyl() -> SpinSystem:
    return SpinSystem(
        ("CH2 <a>", "CH3"), np.array([3.6, 1.2]), np.array([[0, 7.0], [7.0, 0]]), np.array([2, 3]), name="ethyl & co"
    )


@pytest.fixture(scope="module")
def found() -> SpinSystemFit:
    clean = simulate(ethyl(), 400.0, window=(0.5, 4.5), points=8000)
    noise = np.random.default_rng(0).normal(0, 0.01, 8000)
    start = replace(ethyl(), shifts=np.array([3.602, 1.199]))
    return fit(Trace(clean.x, clean.y + noise, frequency=400.0), start)


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [
            f"{tag} {n}={v}" for n, v in attrs if n in ("src", "href", "xlink:href") and v and v[0] != "#"
        ]
        if tag in ("script", "link", "iframe"):
            self.addresses.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_windows_hold_every_multiplet_and_little_else() -> None:
    trace = simulate(ethyl(), 400.0, window=(0.5, 4.5), points=8000)
    (low, high), (low2, high2) = multiplets(trace)
    assert 1.0 < low < 1.18 < 1.22 < high < 1.4
    assert 3.4 < low2 < 3.57 < 3.63 < high2 < 3.8


def test_signals_that_are_near_share_a_window() -> None:
    trace = simulate(ethyl(), 400.0, window=(0.5, 4.5), points=8000)
    assert len(multiplets(trace, gap=2000)) == 1
    assert len(multiplets(trace, most=1)) == 1


def test_a_spectrum_without_frequency_has_no_windows() -> None:
    with pytest.raises(RecordError, match="frequency"):
        multiplets(Trace(np.arange(5.0), np.ones(5)))


def test_the_parts_add_up_to_the_fitted_spectrum(found: SpinSystemFit) -> None:
    parts = report.parts(found)
    assert list(parts) == ["CH2 <a>", "CH3"]
    total = sum(parts.values())
    assert np.abs(total - found.simulated[0].y).max() < 2e-3 * found.simulated[0].y.max()
    areas = [part.sum() for part in parts.values()]
    assert areas[0] / areas[1] == pytest.approx(2 / 3, rel=0.02)


def test_measured_and_fitted_are_what_they_are_called(found: SpinSystemFit) -> None:
    off = report.measured(found).y - report.fitted(found).y
    assert off == pytest.approx(found.residual[0].y)


def test_a_picture_has_a_panel_for_the_whole_and_one_for_each_multiplet(found: SpinSystemFit) -> None:
    figure = draw_fit(report.measured(found), report.fitted(found), report.parts(found), title="ethyl")
    assert len(figure.axes) == 3
    assert figure.axes[0].get_title(loc="left") == "ethyl"
    left, right = figure.axes[0].get_xlim()
    assert left > right


def test_the_overview_reaches_from_end_to_end_and_loses_no_peak() -> None:
    x = np.linspace(0, 10, 20_011)
    y = np.zeros(20_011)
    y[[77, 20_003]] = 1.0
    trace = Trace(x, y, frequency=400.0)
    figure = draw_fit(trace, trace, windows=[])
    drawn = figure.axes[0].lines[0]
    assert drawn.get_xdata()[[0, -1]] == pytest.approx([0, 10])
    assert set(x[[77, 20_003]]) <= set(drawn.get_xdata())


def test_parts_of_another_axis_are_refused(found: SpinSystemFit) -> None:
    with pytest.raises(RecordError, match="CH3 has 3 points"):
        draw_fit(report.measured(found), report.fitted(found), {"CH3": np.zeros(3)})


def test_a_picture_is_written_whole(found: SpinSystemFit, tmp_path: Path) -> None:
    save(draw_fit(report.measured(found), report.fitted(found)), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_the_svg_takes_the_ink_of_the_page(found: SpinSystemFit) -> None:
    svg = as_svg(report.measured(found), report.fitted(found), report.parts(found), excluded=[(2.0, 2.5)])
    assert ET.fromstring(svg).tag.endswith("svg")
    assert "currentColor" in svg
    assert "#010203" not in svg
    assert "not fitted" in svg
    beyond = as_svg(report.measured(found), report.fitted(found), excluded=[(90.0, 91.0)])
    assert "not fitted" not in beyond


def test_a_report_loads_nothing_and_escapes_what_it_was_given(found: SpinSystemFit) -> None:
    text = report.render_fit(found, settings={"file": "<b>.jdx"}, date=NOON)
    page = Page()
    page.feed(text)
    assert page.addresses == []
    assert "<b>.jdx" not in text
    assert "ethyl & co" in page.words
    assert "coupling/" not in text
    assert any(word.startswith("7.0") and word.endswith(" Hz") for word in page.words)
    assert "2026-03-01 12:00" in text


def test_a_problem_stands_in_the_report(found: SpinSystemFit) -> None:
    assert "did not end" in report.render_fit(replace(found, problem="it did not end"), date=NOON)


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [(7.6712, 0.0123, "7.671 ± 0.012"), (-12.9, 3.4, "-12.9 ± 3.4"), (1234.0, 250.0, "1234 ± 250"), (2.5, 0.0, "2.5")],
)
def test_errors_have_two_digits(value: float, error: float, text: str) -> None:
    assert report.with_error(value, error) == text


def test_a_folder_holds_the_fit_in_every_form(found: SpinSystemFit, tmp_path: Path) -> None:
    written = report.write_fit(tmp_path / "new" / "fit", found, title="ethyl")
    names = {p.name for p in written}
    assert names == {
        "fit.json",
        "system.json",
        "system.toml",
        "system.xml",
        "simulated.csv",
        "picture.png",
        "report.html",
    }
    assert {p.name for p in (tmp_path / "new" / "fit").iterdir()} == names
    told = json.loads(written[0].read_text(encoding="utf-8"))
    by_name = {p["name"]: p for p in told["parameters"]}
    low, high = by_name["coupling/CH2 <a>-CH3"]["interval90"]
    assert low < 7.0 < high
    for suffix in ("json", "toml"):
        back = read_system(tmp_path / "new" / "fit" / f"system.{suffix}")
        assert back.shifts == pytest.approx(found.system.shifts)


def test_there_is_no_third_spectrum(found: SpinSystemFit) -> None:
    with pytest.raises(RecordError, match="no spectrum 2"):
        report.parts(found, 2)


def test_the_table_of_amounts_is_read_back() -> None:
    rows = [
        {"name": "a, b", "identifier": "", "present": True, "amount": 1.5, "error": 0.1, "concentration": None,
         "concentration_error": None, "significance": 15.0, "probability": 0.99, "upper_limit": 1.9,
         "upper_concentration": None, "note": "one signal"}
    ]  # fmt: skip
    back = list(csv.DictReader(mixture._csv(rows, "mM").splitlines()))
    assert back[0]["name"] == "a, b"
    assert back[0]["concentration"] == ""
    assert back[0]["unit"] == ""
    assert float(back[0]["amount"]) == 1.5
    assert back[0]["note"] == "one signal"
    assert re.fullmatch(r"True", back[0]["present"])
