"""Readers of electron ionization spectra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ei_samples import JCAMP, MASSBANK, NIST_MSP, ROW

from molvis_core.errors import LeftOutError, ReadError
from molvis_core.records import Measurement
from molvis_core.registry import for_suffix
from molvis_core.testing import ReaderContract
from molvis_ei.readers.fields import one_form
from molvis_ei.readers.jcamp import read_jcamp
from molvis_ei.readers.massbank import read_massbank
from molvis_ei.readers.msp import read_msp
from molvis_ei.readers.parquet import read_parquet


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def table(path: Path, *rows: dict[str, Any]) -> Path:
    pq.write_table(pa.Table.from_pylist([{**ROW, **row} for row in rows]), path)
    return path


def all_of(items: Any) -> list[Measurement]:
    return [item for item in items if isinstance(item, Measurement)]


def test_an_msp_library_gives_index_column_and_derivative(tmp_path: Path) -> None:
    acid, benzene = all_of(read_msp(write(tmp_path / "a.msp", NIST_MSP)))
    assert (acid.modality, acid.structure.smiles if acid.structure else "") == ("ei", "O=C(O)c1ccccc1")
    np.testing.assert_array_equal(acid.record.mz, [73, 77, 105, 135, 179])
    assert (acid.record.retention_index, acid.record.column) == (1250.0, "semi-standard non-polar")
    assert (acid.record.derivative, benzene.record.derivative) == ("TMS", None)
    assert (benzene.record.retention_index, benzene.record.column, benzene.record.energy) == (855.0, "DB-5MS", 70.0)


def test_a_massbank_record_gives_what_its_title_states(tmp_path: Path) -> None:
    (found,) = all_of(read_massbank(write(tmp_path / "a.txt", MASSBANK)))
    assert found.record.derivative == "2 TMS"
    assert (found.record.retention_index, found.record.column) == (1105.3, "DB-17MS")
    assert (found.name, found.licence, found.record.instrument_type) == ("L-Alanine", "CC BY", "GC-EI-TOF")


@pytest.mark.parametrize(
    ("change", "reason"),
    [(("GC-EI-TOF\n", "LC-ESI-QTOF\n"), "not of EI"), (("MS_TYPE MS\n", "MS_TYPE MS2\n"), "isolated ion")],
)
def test_records_of_other_spectra_are_left_out(change: tuple[str, str], reason: str, tmp_path: Path) -> None:
    (found,) = read_massbank(write(tmp_path / "a.txt", MASSBANK.replace(*change)))
    assert isinstance(found, LeftOutError)
    assert reason in found.reason


def test_a_mass_spectrum_of_jcamp_is_read_and_an_infrared_one_refused(tmp_path: Path) -> None:
    (found,) = all_of(read_jcamp(write(tmp_path / "a.jdx", JCAMP)))
    np.testing.assert_array_equal(found.record.mz, [65, 91, 106])
    assert found.structure is not None
    (bad,) = read_jcamp(write(tmp_path / "b.jdx", JCAMP.replace("MASS SPECTRUM", "INFRARED SPECTRUM")))
    assert isinstance(bad, ReadError)
    assert "MASS SPECTRUM" in bad.reason


def test_rows_of_a_table_keep_what_is_known(tmp_path: Path) -> None:
    drawn = {"smiles": "C[Si](C)(C)OC(=O)c1ccccc1", "derivative": "TMS", "derivative_kind": "structure contains Si"}
    plain = {"derivative": None, "derivative_kind": "none", "retention_index": None}
    path = table(tmp_path / "a.parquet", {}, drawn, plain, {"ms_type": "MS2"}, {"isotope_labelled": True})
    found = list(read_parquet(path))
    alanine, silyl, none = all_of(found)
    assert [type(item) for item in found[3:]] == [LeftOutError, LeftOutError]
    assert (alanine.record.derivative, silyl.record.derivative, none.record.derivative) == ("2 TMS", "none", "none")
    assert (alanine.fold, alanine.cluster, alanine.record.retention_index) == ("train", 7, 1105.0)
    assert none.record.retention_index is None


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("Glucose, 5TMS derivative", "5 TMS"),
        ("Glucose; GC-EI-TOF; MS; 5 TMS; 1 MEOX; BP:73", "5 TMS; 1 MeOX"),
        ("n TMS", "n TMS"),
        ("Trimethylamine", None),
    ],
)
def test_a_derivative_has_one_form(text: str, form: str | None) -> None:
    assert one_form(text) == form


def test_files_that_share_an_ending_are_told_by_what_is_in_them(tmp_path: Path) -> None:
    pytest.importorskip("molvis_msms", reason="molvis-msms is not installed, whose readers claim the same endings")
    ion = "Name: x\nPrecursorMZ: 100.1\nPrecursor_type: [M+H]+\nNum Peaks: 1\n50 1\n"
    files = {
        "ei-msp": write(tmp_path / "a.msp", NIST_MSP),
        "msp": write(tmp_path / "b.msp", ion),
        "ei-massbank": write(tmp_path / "a.txt", MASSBANK),
        "massbank": write(tmp_path / "b.txt", MASSBANK.replace("GC-EI-TOF\n", "LC-ESI-QTOF\n")),
        "ei-jcamp": write(tmp_path / "a.jdx", JCAMP),
        "ei-parquet": table(tmp_path / "a.parquet", {}),
    }
    measured = {"msms", "ir", "ei", "ccs"}
    assert {name: for_suffix("reader", path, modality=measured).name for name, path in files.items()} == {
        name: name for name in files
    }


def test_a_dataset_keeps_every_field(tmp_path: Path) -> None:
    pytest.importorskip("molvis_retrieval", reason="molvis-retrieval is not installed")
    from molvis_retrieval.dataset import Dataset
    from molvis_retrieval.importing import import_files

    report = import_files([table(tmp_path / "a.parquet", {})], tmp_path / "data")
    assert report.imported == {"ei": 1}
    record = Dataset.open(tmp_path / "data").record("ei", 0)
    assert (record.derivative, record.column, record.energy, record.retention_index) == ("2 TMS", "DB-17MS", 70, 1105)


class TestMsp(ReaderContract):
    @pytest.fixture
    def read(self) -> Any:
        return read_msp

    @pytest.fixture
    def modality(self) -> str:
        return "ei"

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return write(tmp_path / "good.msp", NIST_MSP)

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return write(tmp_path / "bad.msp", NIST_MSP.replace("91 99.99", "91 -3"))


class TestMassbank(TestMsp):
    @pytest.fixture
    def read(self) -> Any:
        return read_massbank

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return write(tmp_path / "good.txt", MASSBANK)

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return write(tmp_path / "bad.txt", MASSBANK.replace("  116 999", "  0 999"))


class TestJcamp(TestMsp):
    @pytest.fixture
    def read(self) -> Any:
        return read_jcamp

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return write(tmp_path / "good.jdx", JCAMP)

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return write(tmp_path / "bad.jdx", JCAMP.replace("91 9999", "91 -9999"))


class TestParquet(TestMsp):
    @pytest.fixture
    def read(self) -> Any:
        return read_parquet

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return table(tmp_path / "good.parquet", {})

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return table(tmp_path / "bad.parquet", {"mzs": [-1.0, 2.0]})
