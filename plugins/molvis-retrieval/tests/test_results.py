"""What an identification becomes: rows, tables, files and summaries."""

from __future__ import annotations

import csv
import dataclasses
import json
import sys
from pathlib import Path

import pytest
from barcode import BUTANOL, STRUCTURES, changed, measurement

from molvis_core.errors import DatasetError, PluginError
from molvis_core.records import Origin
from molvis_retrieval.bundle import Bundle
from molvis_retrieval.identification import identify
from molvis_retrieval.index import Index
from molvis_retrieval.report import render_report
from molvis_retrieval.results import (
    COLUMNS,
    Identification,
    Searched,
    summary,
    to_frame,
    to_json,
    to_rows,
    write_csv,
    write_file,
    write_json,
)

pytestmark = pytest.mark.usefixtures("toys")


@pytest.fixture
def some(bundle: Bundle, index: Index) -> list[Identification]:
    return identify(bundle, [measurement(BUTANOL), changed(adduct="[M-H]-")], index, top=3)


def test_rows_are_flat_and_a_problem_has_one_too(some: list[Identification]) -> None:
    rows = to_rows(some)
    assert [r.get("rank") for r in rows] == [1, 2, 3, None]
    assert rows[0]["smiles"] == BUTANOL.smiles
    assert rows[0]["mass_error_ppm"] == pytest.approx(0, abs=0.01)
    assert rows[0]["evidence"] == f"msms {rows[0]['score']:.4g}"
    assert "ion mode is positive" in rows[3]["problem"]


def test_what_is_written_says_the_same(some: list[Identification], tmp_path: Path) -> None:
    write_csv(tmp_path / "found.csv", some)
    with (tmp_path / "found.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [r["rank"] for r in rows] == ["1", "2", "3", ""]
    assert float(rows[0]["probability"]) == pytest.approx(some[0].candidates[0].probability, rel=1e-8)
    assert all(len(row["mass"].replace(".", "")) <= 9 for row in rows)
    write_json(tmp_path / "found.json", some)
    read = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert read[0]["candidates"][0]["evidence"] == some[0].candidates[0].evidence
    assert read[1]["problem"] == some[1].problem
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == ["found.csv", "found.json"]


def test_tables_have_the_same_columns_whatever_was_found(some: list[Identification], tmp_path: Path) -> None:
    headers = set()
    for number, found in enumerate((some, some[1:], [])):
        write_csv(tmp_path / f"{number}.csv", found)
        headers.add((tmp_path / f"{number}.csv").read_text(encoding="utf-8").splitlines()[0])
    assert headers == {",".join(COLUMNS)}
    assert {tuple(row) for row in to_rows(some)} == {COLUMNS}


def test_a_table_of_pandas_has_the_same_columns_and_kinds_whatever_was_found(
    bundle: Bundle, index: Index, some: list[Identification]
) -> None:
    pd = pytest.importorskip("pandas")
    full = identify(bundle, [measurement(BUTANOL)], index).to_frame()
    empty = identify(bundle, [], index).to_frame()
    mixed = to_frame(some)
    assert list(full.columns) == list(empty.columns) == list(mixed.columns) == list(COLUMNS)
    assert full.dtypes.to_dict() == empty.dtypes.to_dict() == mixed.dtypes.to_dict()
    assert (len(full), len(empty), len(mixed)) == (7, 0, 4)
    assert len(pd.concat([full, empty, mixed])) == 11
    assert mixed["rank"].tolist()[:3] == [1, 2, 3]
    assert mixed["rank"].isna().tolist() == [False, False, False, True]
    assert identify(bundle, [measurement(BUTANOL)], index).to_frame().equals(full)


def test_without_pandas_its_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(PluginError, match="pip install 'molvis-core"):
        to_frame([])


def test_where_a_query_was_measured_comes_back_in_every_output(bundle: Bundle, index: Index, tmp_path: Path) -> None:
    origin = Origin("F12", "392-397", 1.9305, "features.mgf")
    query = dataclasses.replace(measurement(BUTANOL), origin=origin)
    bad = dataclasses.replace(changed(adduct="[M-H]-"), origin=origin)
    found = identify(bundle, [query, bad], index, top=1)
    for row in (*to_rows(found), *to_json(found)):
        assert [row[n] for n in ("feature_id", "scans", "rt_min", "source_file")] == list(dataclasses.astuple(origin))
    page = render_report(found, bundle=bundle, index=index)
    assert page.count("file features.mgf · feature F12 · scan 392-397 · retention time 1.93 min") == 2


@pytest.mark.parametrize(
    ("name", "identifier", "origin", "label"),
    [
        ("caffeine", "x1", Origin("7", "17"), "caffeine"),
        (None, "17", Origin("7", "17"), "feature 7"),
        (None, "17", Origin(None, "17"), "scan 17"),
        (None, "controllerType=0 controllerNumber=1 scan=17", Origin(None, "17"), "scan 17"),
        (None, "CCMSLIB00000001", Origin(None, "17"), "CCMSLIB00000001"),
        (None, "x1", Origin(), "x1"),
        (None, None, Origin(), "query 1"),
    ],
)
def test_a_query_is_called_by_what_people_know_it_by(
    name: str | None, identifier: str | None, origin: Origin, label: str, bundle: Bundle, index: Index
) -> None:
    query = dataclasses.replace(changed(identifier=identifier), name=name, origin=origin)
    assert identify(bundle, [query], index)[0].query == label


def test_each_query_says_among_what_it_was_searched(bundle: Bundle, index: Index) -> None:
    (found,) = identify(bundle, [measurement(BUTANOL)], index, ppm=5)
    assert found.searched == Searched(index.path.name, len(STRUCTURES), "mass", 5, None, ("[M+H]+",))
    page = render_report([found], bundle=bundle, index=index)
    assert f"searched index ({len(STRUCTURES)} structures) · within 5 ppm · as [M+H]+" in page
    (found,) = identify(bundle, [measurement(BUTANOL)], index, candidates="formula")
    assert found.searched is not None
    assert found.searched.words[1] == "of formula C4H10O"


def test_the_measurements_of_one_unknown_name_all_their_scans_once(bundle: Bundle, index: Index) -> None:
    one, two = (
        dataclasses.replace(measurement(BUTANOL), origin=Origin("7", scans, minutes, "a.mgf"))
        for scans, minutes in (("10", 1.0), ("12", 2.0))
    )
    (found,) = identify(bundle, [[one, two]], index)
    assert found.origin == Origin("7", "10, 12", 1.5, "a.mgf")


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "found.csv"
    write_file(path, "old")

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(DatasetError, match="No space left on device.*What was there before is kept"):
        write_file(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["found.csv"]


def test_a_summary_counts(some: list[Identification]) -> None:
    assert summary(some) == {"queries": 2, "searched": 1, "problems": 1, "known": 1, "first": 1, "contradictions": 0}


def test_a_formula_in_the_title_of_a_query_runs_in_no_spreadsheet(tmp_path: Path) -> None:
    formula = "=HYPERLINK(A1)"
    path = tmp_path / "found.csv"
    write_csv(path, [Identification(formula, "no peaks", spectra=0)])
    with path.open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["query"] == f"'{formula}"
