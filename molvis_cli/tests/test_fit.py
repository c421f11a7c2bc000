"""`molvis fit` works with any fitter: one of a third party, and those that come with molvis."""

from __future__ import annotations

import csv
import json
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from molvis_cli import app
from molvis_core.fitting import Fit, Normal, Prior, Section
from molvis_core.records import Measurement, Trace
from molvis_core.testing import offer, toy_component


class Line:
    """A straight line by least squares; `shift` moves the axis."""

    def __init__(self, shift: float = 0.0) -> None:
        self.shift = shift

    def prior(self, records: Sequence[Trace]) -> Prior:
        return {"slope": Normal(0.0, 10.0), "intercept": Normal(0.0, 10.0)}

    def simulate(self, values: np.ndarray, like: Sequence[Trace]) -> tuple[Trace, ...]:
        return tuple(Trace(r.x, values[0] * (r.x - self.shift) + values[1]) for r in like)

    def fit(self, records: Sequence[Trace], prior: Prior, *, seed: int = 0) -> Fit:
        x, y = (np.concatenate([getattr(r, axis) for r in records]) for axis in "xy")
        free = [name for name, belief in prior.items() if isinstance(belief, Normal)]
        model = {"slope": x - self.shift, "intercept": np.ones_like(x)}
        values = np.linalg.lstsq(np.stack([model[name] for name in free], axis=1), y, rcond=None)[0]
        problem = "a line must have two points" if len(x) < 2 else ""
        units = tuple("1/s" if name == "slope" else "" for name in free)
        return Fit(tuple(free), units, values, 0.01 * np.eye(len(free)), None, tuple(records), problem)


class Knowing(Line):
    """It is constructed with its measurements."""

    def __init__(self, source: Trace) -> None:
        super().__init__()
        self.source = source

    def measured(self) -> tuple[Trace, ...]:
        return (self.source,)


def read_points(path: Path) -> Iterator[Measurement]:
    points = np.array([[float(n) for n in line.split()] for line in path.read_text().splitlines()])
    yield Measurement(Trace(points[:, 0], points[:, 1]), None, "ir")


@pytest.fixture(autouse=True)
def points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    Path("a.points").write_text("0 1\n1 3\n2 5\n")
    with offer(
        toy_component("reader", "toy-points", read_points, modality="ir", suffixes=(".points",)),
        fitter={"toy-line": Line, "toy-knowing": Knowing},
    ):
        app.make_app.cache_clear()
        yield


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as caught:
        app.main(list(words))
    return int(caught.value.code or 0)


def test_a_third_partys_fitter_is_run_on_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fit", "toy-line", "a.points", "--set", "shift=1", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    slope, intercept = found["parameters"]
    assert (slope["name"], slope["value"], slope["unit"]) == ("slope", pytest.approx(2), "1/s")
    assert intercept["value"] == pytest.approx(3)
    assert intercept["high"] - intercept["low"] == pytest.approx(2 * 1.6449 * 0.1, rel=1e-3)
    assert (found["level"], found["problem"]) == (0.9, "")


def test_the_table_and_the_file_hold_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fit", "toy-line", "a.points", "--out", "found.csv") == 0
    assert "slope" in capsys.readouterr().out
    with Path("found.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["slope", "intercept"]
    assert float(rows[0]["value"]) == pytest.approx(2)
    assert run("fit", "toy-line", "a.points", "--out", "found.pdf") == 1
    assert "is written as .csv or .json, got '.pdf'" in capsys.readouterr().err


def test_a_prior_is_written_edited_and_handed_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fit", "toy-line", "a.points", "--write-prior", "prior.toml") == 0
    assert tomllib.loads(Path("prior.toml").read_text())["slope"] == {"mean": 0.0, "sd": 10.0}
    Path("prior.toml").write_text("intercept = 0\n")
    capsys.readouterr()
    assert run("fit", "toy-line", "a.points", "--prior", "prior.toml", "--json") == 0
    assert [p["name"] for p in json.loads(capsys.readouterr().out)["parameters"]] == ["slope"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slpe = 1\n", "prior.toml: there is no parameter 'slpe'. Did you mean 'slope'?"),
        ("slope = 'x'\n", "prior.toml: 'slope' must be a number or { mean, sd }"),
        ("slope = { mean = 1.0, sd = -1.0 }\n", "prior.toml: 'slope': Normal(mean=1.0, sd=-1.0)"),
        ("slope =\n", "prior.toml: is not TOML"),
    ],
)
def test_a_prior_that_cannot_be_names_file_and_parameter(
    text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("prior.toml").write_text(text)
    assert run("fit", "toy-line", "a.points", "--prior", "prior.toml") == 1
    assert message in capsys.readouterr().err


def test_a_file_can_hold_an_argument_and_with_it_the_measurements(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fit", "toy-knowing", "--set", "source=@toy-points:a.points", "--json") == 0
    assert json.loads(capsys.readouterr().out)["parameters"][0]["value"] == pytest.approx(2)


def test_an_argument_from_a_file_that_several_readers_claim_names_how_to_choose_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with offer(toy_component("reader", "toy-dots", read_points, modality="raman", suffixes=(".points",))):
        assert run("fit", "toy-knowing", "--set", "source=@a.points") == 1
        assert "claim this ending: toy-points, toy-dots. Name one: @READER:FILE." in capsys.readouterr().err
        assert run("fit", "toy-line", "a.points") == 1
        assert "Name one with --reader, or its modality with --modality." in capsys.readouterr().err
        assert run("fit", "toy-line", "a.points", "--modality", "ir") == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("toy-lime a.points", "no fitter named 'toy-lime'. Did you mean 'toy-line'?"),
        ("toy-line", "fitter 'toy-line': there is nothing to fit; name a file of measurements"),
        ("toy-line b.points", "b.points: no such file"),
        ("toy-line a.points --set shft=1", "has no argument 'shft'. Did you mean 'shift'?"),
        ("toy-line a.points --set shift", "--set 'shift' must be of the form KEY=VALUE"),
        ("toy-line a.points --set shift=1 --set shift=2", "--set shift is given twice"),
        ("toy-line a.points --level 2", "level must be between 0 and 1, got 2"),
        ("toy-knowing", "fitter 'toy-knowing' needs source"),
    ],
)
def test_what_cannot_be_run_is_an_error_with_a_remedy(
    line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fit", *line.split()) == 1
    assert message in capsys.readouterr().err


def test_a_fit_with_a_problem_is_shown_and_exits_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.points").write_text("0 1\n")
    assert run("fit", "toy-line", "a.points") == 1
    shown = capsys.readouterr()
    assert "slope" in shown.out
    assert "not to be trusted: a line must have two points" in shown.err


class Reporting(Line):
    """It has a report of its own."""

    def fit_with_report(
        self, records: Sequence[Trace], prior: Prior, *, seed: int = 0
    ) -> tuple[Fit, tuple[Section, ...]]:
        return self.fit(records, prior, seed=seed), (Section("Of its own", "<svg/>"),)


@pytest.mark.parametrize(("name", "heading"), [("toy-line", "Measured and simulated"), ("toy-own", "Of its own")])
def test_every_fitter_has_a_report(name: str, heading: str) -> None:
    with offer(fitter={"toy-own": Reporting}):
        assert run("fit", name, "a.points", "--set", "shift=1", "--report", "page.html") == 0
    text = Path("page.html").read_text()
    assert f"<h2>{heading}</h2>" in text
    cells = ('<td class="path">slope</td>', "0 ± 10", "<dd>a.points</dd>", "<dt>molvis-core</dt>", "<dt>Python</dt>")
    for shown in (*cells, "<dt>shift</dt><dd>1</dd>"):
        assert shown in text


def test_a_report_that_cannot_be_written_is_refused_before_the_fit(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fit", "toy-line", "a.points", "--report", "page.pdf") == 1
    assert "a report is written as .html, got '.pdf'" in capsys.readouterr().err
    assert run("fit", "toy-line", "a.points", "--report", "none/page.html") == 1
    assert "there is no folder none" in capsys.readouterr().err
