"""Pages of fits, for any fitter."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from molvis_core.errors import ConfigError, WriteError
from molvis_core.fitting import Fit, Fixed, Normal, Prior, Section, Uniform
from molvis_core.modality import Modality
from molvis_core.records import Distribution, Measurement, PeakList, Record, Trace, Value
from molvis_files.comparison import compare
from molvis_files.fit_report import render_fit, write_report

X = np.linspace(0, 10, 50)
TRACE = Trace(X, np.sin(X), identifier="wave")
PRIOR: Prior = {"shift/<H1>": Normal(1.0, 0.5), "rate": Uniform(0.0, 3.0), "known": Fixed(2.0)}


def fit_of(*simulated: Record, problem: str = "") -> Fit:
    names, covariance = ("shift/<H1>", "rate"), np.diag([0.01, 0.04])
    return Fit(names, ("ppm", "1/s"), np.array([1.25, 0.5]), covariance, None, simulated, problem)


def page(record: object, simulated: object, **more: object) -> str:
    measurement = Measurement(record, None, "")
    return render_fit(fit_of(simulated), [measurement], PRIOR, title="toy", **more)


def numbers(svg: str, kind: str) -> np.ndarray:
    """The points of a line of a drawing."""
    found = re.search(rf'<polyline class="{kind}" points="([^"]+)"', svg)
    assert found
    return np.array([[float(n) for n in point.split(",")] for point in found[1].split()])


def test_the_table_has_value_interval_unit_and_prior_of_every_parameter() -> None:
    text = page(TRACE, TRACE)
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(<td class=\"path\">.*?)</tr>", text)]
    assert rows == [
        ["shift/&lt;H1&gt;", "1.25", "0.1", "1.08551 to 1.41449", "ppm", "1 ± 0.5"],
        ["rate", "0.5", "0.2", "0.171029 to 0.828971", "1/s", "0 to 3"],
        ["known", "2", "", "", "", "fixed"],
    ]
    with pytest.raises(ConfigError, match="level must be between 0 and 1, got 1"):
        page(TRACE, TRACE, level=1.0)


def test_a_trace_is_drawn_with_its_simulation_and_the_residual_on_the_same_scale() -> None:
    found = compare(TRACE, replace(TRACE, y=TRACE.y - 0.25))
    assert found
    assert (found.title, found.wide) == ("wave", True)
    measured, simulated, residual = (numbers(found.svg, kind) for kind in ("measured", "simulated", "residual"))
    scale = (measured[:, 1].max() - measured[:, 1].min()) / np.ptp(TRACE.y)
    np.testing.assert_allclose(simulated[:, 1] - measured[:, 1], 0.25 * scale, atol=0.11)
    assert np.ptp(residual[:, 1]) < 0.11
    assert residual[:, 1].min() > measured[:, 1].max()
    assert found.caption.startswith("Root mean square of the residual: 0.25, 3")


def test_a_modality_names_the_axis_and_turns_it() -> None:
    nmr = Modality("nmr", Trace, "chemical shift", "ppm", descending=True)
    turned = compare(TRACE, TRACE, modality=nmr)
    assert turned
    assert "chemical shift, ppm" in turned.svg
    across = numbers(turned.svg, "measured")[:, 0]
    assert (np.diff(across) < 0).all()


def test_no_peak_of_a_long_trace_is_lost() -> None:
    y = np.zeros(100_000)
    y[12_345] = 7.0
    found = compare(Trace(np.arange(100_000.0), y), None)
    assert found
    points = numbers(found.svg, "measured")
    assert len(points) < 5000
    assert points[:, 1].min() < points[:, 1].max() - 100
    assert found.caption == "Nothing was simulated for it."


def test_peaks_and_distributions_have_bars_deviations_and_marks() -> None:
    peaks = PeakList(np.array([100.0, 150.5]), np.array([10.0, 4.0]))
    drawn = compare(peaks, replace(peaks, intensity=np.array([9.0, 5.0])))
    assert drawn
    counts = [drawn.svg.count(f'class="{kind}"') for kind in ("measured", "simulated", "residual", "deviation")]
    assert counts == [2, 2, 2, 0]
    fractions = Distribution(np.array([0.6, 0.3, 0.1]), np.array([0.01, 0.01, 0.02]), "e/F")
    drawn = compare(fractions, Distribution(np.array([0.57, 0.31, 0.12]), None, "e/F"))
    assert drawn
    assert drawn.svg.count('class="deviation"') == 3
    assert "M+2" in drawn.svg
    assert drawn.caption.endswith("largest: 3 standard deviations.")


def test_single_values_are_a_table_and_what_cannot_be_drawn_is_named() -> None:
    text = page(Value(200.0, 2.0, identifier="CCS"), Value(201.5, 2.0))
    assert re.findall(r"<td[^>]*>(.*?)</td>", text)[:5] == ["CCS", "200", "2", "201.5", "-1.5"]
    elsewhere = Trace(X + 1, TRACE.y)
    assert "Without a picture: wave." in page(TRACE, elsewhere)
    assert "Without a picture: record 1." in page(Trace(np.zeros(0), np.zeros(0)), TRACE)


def test_a_fit_that_failed_shows_the_problem_and_no_simulation() -> None:
    measurement = Measurement(TRACE, None, "")
    text = render_fit(fit_of(TRACE, problem="no <line> fits"), [measurement], PRIOR, title="toy")
    assert "Not to be trusted: no &lt;line&gt; fits" in text
    assert "Nothing was simulated for it." in text
    assert "Nothing was simulated for it." in render_fit(fit_of(problem="none"), [measurement], PRIOR, title="toy")


@dataclass(frozen=True)
class Pair:
    """A record of a plugin's own type."""

    first: Trace
    second: Trace

    def as_records(self) -> tuple[Trace, ...]:
        return self.first, self.second


def test_a_record_of_a_plugins_own_is_shown_as_those_of_the_core() -> None:
    other = replace(TRACE, identifier="other")
    text = page(Pair(TRACE, other), Pair(replace(TRACE, y=TRACE.y - 1), replace(other, y=other.y - 2)))
    assert re.findall(r"<h3>(.*?)</h3>", text) == ["wave", "other"]
    assert "residual: 1, " in text
    assert "residual: 2, " in text


def test_a_fitters_own_sections_stand_in_place_of_the_plain_pictures() -> None:
    section = Section("Multiplets", "<svg>own</svg>", "of <H1>", ("spin", "remark"), (("H1", "flat"),), (("R", "2%"),))
    text = page(TRACE, TRACE, sections=[section], settings={"starts": 8, "prior": ""})
    assert "<svg>own</svg>" in text
    assert "of &lt;H1&gt;" in text
    assert "<h2>Measured and simulated</h2>" not in text
    assert "<dt>starts</dt><dd>8</dd>" in text
    assert "<dt>prior</dt>" not in text
    assert "<td>flat</td>" in text


def test_a_report_is_a_file_of_html(tmp_path: Path) -> None:
    found, measured = fit_of(TRACE), [Measurement(TRACE, None, "")]
    write_report(tmp_path / "a.html", found, measured, PRIOR, title="toy")
    assert (tmp_path / "a.html").read_text().startswith("<!doctype html>")
    with pytest.raises(WriteError, match=r"a report is written as \.html, got '\.pdf'"):
        write_report(tmp_path / "a.pdf", found, measured, PRIOR, title="toy")
