"""Columns of a Parquet table hold what they are said to, or the file is refused before a row is read."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from molvis_core.errors import ReadError
from molvis_files.parquet import Kind, column_names, parquet_columns, read_batches

KINDS: dict[str, Kind] = {"t": "text", "l": "label", "n": "number", "f": "flag", "v": "numbers"}
GOOD = {"t": ["a", None], "l": [1, None], "n": [0.5, None], "f": [True, None], "v": [[1.0, 2.0], None], "other": [1, 2]}


def _write(path: Path, **columns: object) -> Path:
    pq.write_table(pa.table({**GOOD, **columns}), path)
    return path


def test_the_columns_that_are_asked_for_come_in_batches(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.parquet")
    packed = tmp_path / "b.parquet.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    for file in (path, packed):
        found = [row for batch in read_batches(file, KINDS, need=("t",), size=1) for row in batch.to_pylist()]
        assert found == [{k: v[i] for k, v in GOOD.items() if k in KINDS} for i in (0, 1)]
        assert column_names(file) == list(GOOD)


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("t", [1, 2], "column t must hold text, got int64"),
        ("l", [[1], [2]], "must hold text or numbers, got list"),
        ("n", ["1", "2"], "column n must hold numbers, got string"),
        ("f", [1, 0], "must hold true or false, got int64"),
        ("v", [1.0, 2.0], "must hold lists of numbers, got "),
        ("v", [["a"], ["b"]], "must hold lists of numbers, got "),
        ("v", [[[1.0]], [[2.0]]], "must hold lists of numbers, got "),
    ],
)
def test_a_column_of_another_kind_is_named(column: str, values: list[object], said: str, tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=said):
        list(read_batches(_write(tmp_path / "a.parquet", **{column: values}), KINDS))


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("t", pa.array(["a", "a"]).dictionary_encode()),
        ("t", pa.array(["a", "b"], pa.large_string())),
        ("t", [None, None]),
        ("l", ["a", "b"]),
        ("n", [1, 2]),
        ("v", pa.array([[1], [2]], pa.large_list(pa.int16()))),
    ],
)
def test_kinds_that_mean_the_same_are_taken(column: str, values: object, tmp_path: Path) -> None:
    assert len(list(read_batches(_write(tmp_path / "a.parquet", **{column: values}), KINDS))) == 1


def test_what_is_lacking_or_damaged_is_named(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.parquet")
    with pytest.raises(ReadError, match="no column x, y; it has f, l, n, other, t, v"):
        list(read_batches(path, KINDS, need=("y", "x", "t")))
    path.write_bytes(path.read_bytes()[:-20])
    for read in (lambda: list(read_batches(path, KINDS)), lambda: column_names(path)):
        with pytest.raises(ReadError, match="not a Parquet file, or damaged"):
            read()


def test_text_that_is_no_utf_8_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"t": ["abcdefgh"] * 2}), path, compression="none", use_dictionary=False)
    path.write_bytes(path.read_bytes().replace(b"abcdefgh", b"\xff" * 8))
    with pytest.raises(ReadError, match="damaged"):
        list(read_batches(path, KINDS))


def test_whether_a_file_is_a_table_is_known_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, other = _write(tmp_path / "a.parquet"), tmp_path / "a.txt"
    other.write_text("1 2\n", encoding="utf-8")
    assert parquet_columns(table) == set(column_names(table))
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    assert parquet_columns(other) == parquet_columns(tmp_path) == parquet_columns(tmp_path / "none") == set()
    with pytest.raises(ReadError, match="pip install 'molvis-files"):
        parquet_columns(table)
