"""Candidate structures are ranked by a 1H spectrum, with what was known before; bad input is told apart."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from molvis_core import output
from molvis_core.errors import ConfigError, ReadError, RecordError
from molvis_core.records import Trace
from molvis_nmr.commands.rank import rank as command
from molvis_nmr.formats.writers import write_spectrum
from molvis_nmr.prediction.ranking import predicted, rank
from molvis_nmr.workflows.candidates import read_candidates
from molvis_nmr.workflows.rank import rank_file

FREQUENCY = 500.0
AXIS = np.arange(-0.2, 9.0, 0.0006)
BUTANOLS = ["CCCCO", "CCC(C)O", "CC(C)CO", "CC(C)(C)O", "CCOCC"]


def measured(smiles: str, *, moved: float = 0.04, water: float = 3.0, seed: int = 0) -> Trace:
    """As another sample has it: moved, with noise, water and a reference."""
    random = np.random.default_rng(seed)
    y = predicted(smiles, AXIS - moved, FREQUENCY)
    for place, height in ((4.75, water), (0.0, 0.5)):
        y = y + height * y.max() / (1 + ((AXIS - place) * FREQUENCY / 2) ** 2)
    return Trace(AXIS, y + random.normal(0, y.max() / 500, len(y)), frequency=FREQUENCY)


@pytest.fixture
def spectrum(tmp_path: Path) -> Path:
    path = tmp_path / "unknown.jdx"
    write_spectrum(path, measured(BUTANOLS[2]))
    return path


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(command)
    with output.asked(json="--json" in arguments):
        return CliRunner().invoke(app, [str(a) for a in arguments if a != "--json"], catch_exceptions=False)


@pytest.mark.parametrize("truth", BUTANOLS)
def test_the_truth_is_first_among_its_isomers(truth: str) -> None:
    found = rank(measured(truth), BUTANOLS)
    assert found[0].smiles == truth
    assert found[0].probability > 0.5
    assert sum(one.probability for one in found) == pytest.approx(1.0)
    assert found[0].moved == min(one.moved for one in found)


def test_ranks_do_not_depend_on_the_order_of_candidates_or_of_points() -> None:
    trace = measured(BUTANOLS[1])
    turned = Trace(trace.x[::-1].copy(), trace.y[::-1].copy(), frequency=FREQUENCY)
    twins = ["CCC(C)O", "CC(O)CC"]
    there, back = rank(trace, [*BUTANOLS, *twins[1:]]), rank(turned, [*twins[1:], *BUTANOLS[::-1]])
    assert [one.smiles for one in there] == [one.smiles for one in back]
    assert {one.smiles for one in there[:2]} == set(twins)
    assert there[0].probability == pytest.approx(there[1].probability)


def test_what_cannot_be_compared_is_last_and_says_why() -> None:
    found = rank(measured(BUTANOLS[0]), ["C1CC", "O=C=O", *BUTANOLS])
    assert [one.smiles for one in found[-2:]] == ["C1CC", "O=C=O"]
    assert "RDKit refuses" in found[-2].problem
    assert "no hydrogen on carbon" in found[-1].problem
    assert found[-1].probability == 0.0
    assert np.isnan(found[-1].moved)
    none = rank(measured(BUTANOLS[0]), ["C1CC"])
    assert none[0].probability == 0.0
    hidden = rank(measured(BUTANOLS[0]), ["CCCCO", "CO"], exclude=[(-1.0, 0.3), (3.2, 3.45), (4.6, 5.0)])
    assert hidden[1].problem == "its signal is outside of the spectrum or in windows that are left out"
    cut = Trace(AXIS[AXIS < 2.5], measured(BUTANOLS[0]).y[AXIS < 2.5], frequency=FREQUENCY)
    assert rank(cut, ["c1ccccc1", "CCCCO"])[1].problem == hidden[1].problem


def test_what_was_known_before_counts_as_evidence_does() -> None:
    trace = measured(BUTANOLS[0])
    alone = {one.smiles: one.probability for one in rank(trace, BUTANOLS)}
    before = [0.01, 0.6, 0.3, 0.09, 0.0]
    found = {one.smiles: one for one in rank(trace, BUTANOLS, prior=before)}
    least = 0.01 / 1000
    shares = np.array([*before[:4], least]) * np.array([alone[s] for s in BUTANOLS])
    assert [found[s].probability for s in BUTANOLS] == pytest.approx(shares / shares.sum())
    assert found["CCC(C)O"].prior == pytest.approx(0.6 / (1 + least))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"candidates": []}, "no candidates"),
        ({"prior": [1.0]}, "1 priors for 5 candidates"),
        ({"exclude": [(-5.0, 12.0)]}, "exclude less"),
        ({"spectrum": Trace(AXIS, predicted("CCO", AXIS, FREQUENCY))}, "frequency"),
        ({"spectrum": Trace(AXIS, np.zeros(len(AXIS)), frequency=FREQUENCY)}, "nothing stands above the noise"),
    ],
)
def test_bad_input_is_told_apart(settings: dict[str, Any], words: str) -> None:
    given = {"spectrum": measured(BUTANOLS[0]), "candidates": BUTANOLS, **settings}
    with pytest.raises(RecordError, match=words):
        rank(given.pop("spectrum"), given.pop("candidates"), **given)


def test_a_table_of_identify_is_ranked_with_its_probabilities(spectrum: Path, tmp_path: Path) -> None:
    table = tmp_path / "found.csv"
    rows = [
        "query,rank,smiles,probability",
        "a,1,CCCCO,0.5",
        "a,2,CC(C)CO,0.3",
        "a,3,CC(C)CO,0.15",
        "b,1,CCO,1",
        "c,,,",
    ]
    table.write_text("\n".join(rows), encoding="utf-8")
    with pytest.raises(ReadError, match=r"of 2 unknowns: a, b\. Say which by --query"):
        read_candidates(table)
    with pytest.raises(ReadError, match="no candidates of 'd'; it has those of a, b"):
        read_candidates(table, "d")
    some = read_candidates(table, "a")
    assert some.smiles == ("CCCCO", "CC(C)CO")
    assert some.prior == pytest.approx((0.5, 0.45))
    done = run(spectrum, "--candidates", table, "--query", "a", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)["candidates"]
    assert [one["smiles"] for one in told] == ["CC(C)CO", "CCCCO"]
    assert told[0]["prior"] == pytest.approx(0.45 / 0.95)


@pytest.mark.parametrize(
    ("text", "smiles"),
    [
        ("CCO ethanol\n\n# none\nCO methanol\nCCO again\n", ("CCO", "CO")),
        ("name;SMILES\nethanol;CCO\nnone;\nmethanol;CO\n", ("CCO", "CO")),
        ("\ufeffsmiles\tname\nCCO\tethanol\n", ("CCO",)),
    ],
)
def test_candidates_are_read_from_lines_and_tables(text: str, smiles: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "some.txt").write_text(text, encoding="utf-8")
    assert read_candidates(tmp_path / "some.txt").smiles == smiles
    assert read_candidates(tmp_path / "some.txt").prior is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds no structures"),
        (b"\xff\xfe\x00", "is no text"),
        (b"smiles,probability\nCCO,much\n", "line 2: a probability must be a number, got 'much'"),
    ],
)
def test_a_file_without_candidates_is_named(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "some.csv").write_bytes(content)
    with pytest.raises(ReadError, match=words) as raised:
        read_candidates(tmp_path / "some.csv")
    assert "some.csv" in str(raised.value)


def test_the_command_writes_a_table_and_a_picture(spectrum: Path, tmp_path: Path) -> None:
    table, picture = tmp_path / "ranked.csv", tmp_path / "ranked.svg"
    chosen = [word for one in [*BUTANOLS, "C1CC"] for word in ("--smiles", one)]
    done = run(spectrum, *chosen, "--out", table, "--picture", picture)
    assert done.exit_code == 0, done.output
    assert "CC(C)CO" in done.output
    assert "none of them need be right" in " ".join(done.output.split())
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["rank"] for row in rows] == list("123456")
    assert rows[0]["smiles"] == "CC(C)CO"
    assert rows[-1]["moved"] == ""
    drawn = picture.read_text(encoding="utf-8")
    assert "measured" in drawn
    assert f"1. probability {float(rows[0]['probability']):.3f}: CC(C)CO" in drawn
    assert "C1CC" not in drawn


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "no candidates: name a file"),
        ({"smiles": ["CCO"], "query": "a"}, "query 'a' is one of a table"),
        ({"smiles": ["CCO"], "width": 0.0}, "width must be positive, got 0"),
        ({"smiles": ["CCO"], "exclude": ["water"]}, "got 'water'"),
        ({"smiles": ["CCO"], "out": Path("found.xlsx")}, r"found\.xlsx: the table is written as \.csv"),
        ({"smiles": ["CCO"], "picture": Path("found.gif")}, r"found\.gif: a picture ends in \.png"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_read(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        rank_file(Path("nothing.jdx"), None, **settings)
