"""Spectra as JSON and as tables, and the tables of MassBank."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from msms_samples import CAFFEINE, CAFFEINE_KEY, MassSpectra, peak_lists, read_all, table_file, write_file

from molvis_core.errors import LeftOutError, ReadError
from molvis_core.records import Measurement
from molvis_msms.fields import collision_energy
from molvis_msms.readers.json import read_json
from molvis_msms.readers.parquet import read_parquet
from molvis_msms.writers import write_json


class TestJson(MassSpectra):
    @pytest.fixture
    def read(self) -> Any:
        return read_json

    @pytest.fixture(params=[".json", ".jsonl"])
    def suffix(self, request: pytest.FixtureRequest) -> str:
        return request.param

    @pytest.fixture
    def write(self) -> Any:
        return write_json

    @pytest.fixture
    def good(self, tmp_path: Path, suffix: str) -> Path:
        records = [
            {"title": "one", "precursor_mz": 195.0877, "adduct": "[M+H]+", "peaks": [[69.0, 1], [138.0, 2]]},
            {"Compound_Name": "two", "Precursor_MZ": "301.5", "peaks_json": "[[60.5, 1.0]]"},
        ]
        lines = "\n".join(json.dumps(r) for r in records)
        return write_file(tmp_path / f"good{suffix}", lines if suffix == ".jsonl" else json.dumps(records))

    @pytest.fixture
    def bad(self, tmp_path: Path, suffix: str) -> Path:
        return write_file(tmp_path / f"bad{suffix}", '{"precursor_mz": 195.0, "peaks": [[69.0, NaN]]}')


class TestParquet(MassSpectra):
    @pytest.fixture
    def read(self) -> Any:
        return read_parquet

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return table_file(tmp_path / "good.parquet")

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return table_file(tmp_path / "bad.parquet", intensities=[[0.1, float("nan")], [1.0, 1.0], [1.0, 1.0]])


def test_json_of_mona_keeps_its_compound_inside(tmp_path: Path) -> None:
    record = {
        "id": "MoNA-1",
        "compound": [{"names": [{"name": "caffeine"}], "metaData": [{"name": "SMILES", "value": CAFFEINE}]}],
        "metaData": [{"name": "precursor type", "value": "[M+H]+"}, {"name": "collision energy", "value": "HCD 45%"}],
        "spectrum": "69.0447:12.5 138.0662:100",
    }
    (found,), errors = read_all(read_json, write_file(tmp_path / "a.json", json.dumps(record)))
    assert not errors
    assert found.structure is not None
    assert (found.name, found.structure.inchikey) == ("caffeine", CAFFEINE_KEY)
    spectrum = peak_lists([found])[0]
    assert spectrum.precursor_mz is not None
    assert spectrum.collision_energy == pytest.approx(45 * spectrum.precursor_mz / 500)


def test_json_may_keep_peaks_in_two_lists(tmp_path: Path) -> None:
    text = json.dumps([{"precursor_mz": 200.5, "mzs": [60.5, 61.5], "intensities": [1, 2]}])
    (spectrum,) = peak_lists(read_all(read_json, write_file(tmp_path / "a.json", text))[0])
    assert spectrum.mz.tolist() == [60.5, 61.5]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ("3", "a spectrum is an object"),
        ('"text"', "a spectrum is an object"),
        ('{"peaks": 3, "precursor_mz": 200}', "not pairs of numbers"),
        ('{"peaks": [[1]], "precursor_mz": 200}', "not pairs of numbers"),
        ('{"mzs": [1, 2], "intensities": [1], "precursor_mz": 200}', "not pairs of numbers"),
        ('{"peaks": [[60.5, 1e39]], "precursor_mz": 200}', "must be finite, got inf"),
        ('{"compound": [3], "metaData": 5, "precursor_mz": 200}', "no peaks"),
        ('{"broken": ', "not JSON"),
    ],
)
def test_a_bad_line_of_json_is_refused_and_the_others_are_read(tmp_path: Path, record: str, reason: str) -> None:
    good = '{"precursor_mz": 200.5, "peaks": [[60.5, 1]]}'
    found, (error,) = read_all(read_json, write_file(tmp_path / "a.jsonl", f"{good}\n{record}\n{good}\n"))
    assert len(found) == 2
    assert error.line == 2
    assert reason in error.reason


def test_json_lines_under_the_name_of_whole_json_are_read(tmp_path: Path) -> None:
    line = '{"precursor_mz": 200.5, "peaks": [[60.5, 1]]}'
    found, errors = read_all(read_json, write_file(tmp_path / "a.json", f"{line}\n{line}\n"))
    assert (len(found), errors) == (2, [])


def test_json_that_is_damaged_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(ReadError) as caught:
        list(read_json(write_file(tmp_path / "a.json", '[{"precursor_mz": 200.5},\n{"peaks": [[}]')))
    assert caught.value.line == 2


def test_parquet_keeps_provenance_and_leaves_out_low_resolution(tmp_path: Path) -> None:
    found, errors = read_all(read_parquet, table_file(tmp_path / "a.parquet", precursor_ok=[True, True, False]))
    assert [(type(e), e.line, e.reason) for e in errors] == [(LeftOutError, 3, "of low resolution (is_high_res)")]
    assert [(m.fold, m.cluster, m.licence, m.authors) for m in found] == [
        ("train", 1, "CC BY", "A. Tester"),
        ("test", 2, "CC BY", "A. Tester"),
    ]
    assert [s.collision_energy for s in peak_lists(found)] == [20.0, None]
    assert len(list(read_parquet(tmp_path / "a.parquet", quality=False))) == 3


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"adduct": ["[M+Q]+", "[M+H]+", "[M+H]+"]}, "adduct"),
        ({"smiles": ["C1CC", CAFFEINE, CAFFEINE]}, "RDKit refuses"),
        ({"ion_mode": ["negative", "positive", "positive"]}, "the ion mode is negative"),
        (
            {"precursor_mz": [float("nan"), 195.1, 195.1]},
            "precursor_mz must be a positive number, or None where unknown, got nan",
        ),
        ({"mzs": [None, [69.0, 138.0], [69.0, 138.0]]}, "no peaks"),
    ],
)
def test_a_bad_row_of_parquet_is_refused_with_its_number(tmp_path: Path, changed: dict[str, Any], reason: str) -> None:
    found, (error, left_out) = read_all(read_parquet, table_file(tmp_path / "a.parquet", **changed))
    assert (len(found), type(left_out)) == (1, LeftOutError)
    assert (error.line, error.record) == (1, "a")
    assert reason in error.reason


@pytest.mark.parametrize(
    ("changed", "reason"), [({"mzs": None}, "no column mzs; it has"), ({"mzs": [1.0, 2.0, 3.0]}, "lists of numbers")]
)
def test_a_table_of_another_shape_is_refused_whole(tmp_path: Path, changed: dict[str, Any], reason: str) -> None:
    with pytest.raises(ReadError, match=reason):
        list(read_parquet(table_file(tmp_path / "a.parquet", **changed)))


def test_damaged_parquet_is_a_read_error(tmp_path: Path) -> None:
    path = table_file(tmp_path / "a.parquet")
    data = bytearray(path.read_bytes())
    data[4 : len(data) // 3] = bytes(len(data) // 3 - 4)
    path.write_bytes(data)
    with pytest.raises(ReadError, match="damaged"):
        list(read_parquet(path))


@pytest.fixture
def massbank() -> Path:
    beside = Path(__file__).resolve().parents[3] / ".." / "shared" / "data"
    path = Path(os.environ.get("MOLVIS_DATA", beside)) / "msms" / "massbank_open.parquet"
    if not path.is_file():
        pytest.skip("the data of MassBank are absent: set MOLVIS_DATA")
    return path


def test_every_high_resolution_row_of_massbank_is_read_or_refused_for_a_reason(massbank: Path) -> None:
    table = pq.read_table(massbank, columns=["is_high_res", "precursor_ok"])
    wanted = (table["is_high_res"].to_numpy() & table["precursor_ok"].to_numpy()).sum()
    rows = (item for item in read_parquet(massbank) if not isinstance(item, LeftOutError))
    found = [item for _, item in zip(range(3000), rows, strict=False)]
    assert wanted > len(found) == 3000
    good = [item for item in found if isinstance(item, Measurement)]
    assert len(good) > 0.99 * len(found)
    assert all(m.structure and m.fold and m.cluster is not None and m.licence for m in good)


@pytest.mark.full
def test_energies_as_stated_agree_with_the_tables_of_massbank(massbank: Path) -> None:
    names = ["collision_energy", "ce_ev", "precursor_mz", "instrument_type"]
    rows = [r for r in pq.read_table(massbank, columns=names).slice(0, 20_000).to_pylist() if r["collision_energy"]]
    agree = 0
    for row in rows:
        found = collision_energy(row["collision_energy"], row["precursor_mz"], row["instrument_type"])
        wanted = row["ce_ev"]
        agree += found == wanted if found is None or wanted is None else abs(found - wanted) < 0.01 * wanted + 0.01
    assert agree > 0.999 * len(rows)
