"""Parquet tables of infrared spectra."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ir_samples import DATA, Read, read_all, table_file, with_tables, write_file

from molvis_core.errors import ReadError
from molvis_core.records import Measurement, Trace
from molvis_core.testing import ReaderContract
from molvis_ir.readers.parquet import read_parquet


def test_a_table_gives_a_spectrum_for_each_row(tmp_path: Path) -> None:
    (one, two), errors = read_all(read_parquet, table_file(tmp_path / "a.parquet"))
    assert not errors
    assert one.structure is not None
    assert (one.structure.smiles, one.name, one.fold, one.licence) == ("CCO", "Ethanol", "train", "CC0")
    assert isinstance(one.record, Trace)
    assert isinstance(two.record, Trace)
    assert one.record.identifier == "s1"
    np.testing.assert_allclose(one.record.y, [0.1, 0.2, 0.4])
    np.testing.assert_allclose(two.record.x, [1000, 1002, 1004])
    np.testing.assert_allclose(two.record.y, [0.5, 1, 1.5])
    assert two.structure is None


def test_a_bad_row_is_refused_and_the_rest_is_read(tmp_path: Path) -> None:
    for columns, reason in (
        ({"n_points": [3, 4]}, "n_points is 4, y has 3 values"),
        ({"y_units": ["absorbance", "reflectance"]}, "a reflectance"),
        ({"first_x": [1000.0, None]}, "is missing"),
        ({"y": [[1, 2, 4], None]}, "y has 0 values"),
        ({"smiles": ["OCC", "C(C"]}, "RDKit refuses"),
        ({"y_scale": [0.1, float("nan")]}, "0 points are no spectrum"),
    ):
        found, (error,) = read_all(read_parquet, table_file(tmp_path / "a.parquet", **columns))
        assert len(found) == 1
        assert reason in error.reason
        assert (error.line, error.record) == (2, "s2")


def test_a_table_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no column y_scale"):
        list(read_parquet(table_file(tmp_path / "a.parquet", y_scale=None)))
    with pytest.raises(ReadError, match="column y must hold lists of numbers"):
        list(read_parquet(table_file(tmp_path / "a.parquet", y=[1, 2])))
    with pytest.raises(ReadError, match="not a Parquet file"):
        list(read_parquet(write_file(tmp_path / "a.parquet", "hello")))


@with_tables
def test_of_optical_constants_the_absorption_index_is_kept() -> None:
    found, errors = read_all(read_parquet, DATA / "ir" / "ir_public_domain.parquet")
    assert len(found) == 8
    assert len(errors) == 68
    kinds = {e.reason.partition(":")[0] for e in errors}
    assert kinds == {"y in 'reflectance'", "y in 'dispersion index'"}


@with_tables
def test_the_benchmark_table_keeps_folds_and_identities() -> None:
    items = [item for item, _ in zip(read_parquet(DATA / "ir" / "ir_gas.parquet"), range(50), strict=False)]
    assert all(isinstance(i, Measurement) and i.structure is not None and i.fold for i in items)


class TestParquet(ReaderContract):
    @pytest.fixture
    def read(self) -> Read:
        return read_parquet

    @pytest.fixture
    def modality(self) -> str:
        return "ir"

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return table_file(tmp_path / "good.parquet")

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return table_file(tmp_path / "bad.parquet", n_points=[3, 4])
