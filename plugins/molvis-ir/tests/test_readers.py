"""Which reader reads what."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ir_samples import ROWS, jcamp_text, table_file, write_file

from molvis_core.registry import for_suffix
from molvis_ir.readers.parquet import is_ir_table
from molvis_ir.readers.xy import is_xy


@pytest.mark.parametrize(
    ("name", "reader"),
    [
        ("a.jdx", "jcamp"),
        ("A.DX.GZ", "jcamp"),
        ("a.jcamp", "jcamp"),
        ("a.csv", "xy-text"),
        ("a.dat", "xy-text"),
        ("a.spc", "spc"),
        ("a.0", "opus"),
        ("a.1.gz", "opus"),
        ("a.parquet", "ir-parquet"),
    ],
)
def test_the_ending_of_a_file_names_its_reader(name: str, reader: str) -> None:
    assert for_suffix("reader", name, modality="ir").name == reader


def test_files_that_share_an_ending_are_told_by_what_is_in_them(tmp_path: Path) -> None:
    columns = write_file(tmp_path / "a.txt", "cm-1 A\n1000 1\n1001 2\n")
    assert is_xy(columns)
    assert not is_xy(write_file(tmp_path / "b.txt", "ACCESSION: X\nCH$NAME: y\n"))
    assert not is_xy(write_file(tmp_path / "c.csv", "smiles,ccs\nCCO,120.1\nCCC,130\n"))
    assert not is_xy(tmp_path / "missing.txt")
    assert is_ir_table(table_file(tmp_path / "a.parquet"))
    assert not is_ir_table(columns)


def test_a_spectrum_is_imported_without_naming_its_reader(tmp_path: Path) -> None:
    pytest.importorskip("molvis_retrieval", reason="molvis-retrieval is not installed")
    from molvis_retrieval.dataset import Dataset
    from molvis_retrieval.importing import import_files

    files = [
        write_file(tmp_path / "a.jdx", jcamp_text(ROWS)),
        write_file(tmp_path / "b.txt", "1000 1\n1001 2\n"),
        table_file(tmp_path / "c.parquet"),
    ]
    report = import_files(files, tmp_path / "dataset")
    assert report.imported == {"ir": 4}
    record = Dataset.open(tmp_path / "dataset").record("ir", 0)
    np.testing.assert_allclose(record.y, [0.1, 0.2, 0.3, 0.5, 0.4])
