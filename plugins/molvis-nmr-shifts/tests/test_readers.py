"""Lists of shifts from the text of papers, tables, NMReDATA, JCAMP-DX, nmrML and Parquet."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shift_samples import HSQC, NMREDATA, NMRML, PAPER, PEAK_TABLE, PLAIN, TABLE, WIDE, table, write

from molvis_core.chemistry.structures import structure
from molvis_core.errors import ReadError, RecordError, WriteError
from molvis_core.records import Measurement, ShiftList
from molvis_core.registry import for_suffix
from molvis_core.testing import PluginContract, ReaderContract, checks
from molvis_nmr_shifts.readers.experimental import read_experimental
from molvis_nmr_shifts.readers.items import nucleus_of, solvent_of
from molvis_nmr_shifts.readers.jcamp import read_peak_table
from molvis_nmr_shifts.readers.nmredata import read_nmredata
from molvis_nmr_shifts.readers.nmrml import read_nmrml
from molvis_nmr_shifts.readers.parquet import read_parquet
from molvis_nmr_shifts.readers.table import read_shift_text
from molvis_nmr_shifts.writers import write_nmredata


def all_of(items: Iterable[Any]) -> list[Measurement]:
    found = list(items)
    assert all(isinstance(item, Measurement) for item in found), found
    return found


def test_the_text_of_a_paper_gives_its_lists_with_their_structure(tmp_path: Path) -> None:
    proton, carbon, fluorine, other = all_of(read_experimental(write(tmp_path / "a.txt", PAPER)))
    assert proton.structure == structure("CCOC(=O)c1ccccc1")
    record = proton.record
    np.testing.assert_allclose(record.shifts, [1.39, 4.38, 7.43, 7.55, 8.05])
    np.testing.assert_array_equal(record.intensity, [3, 2, 2, 1, 2])
    assert (record.nucleus, record.solvent, record.multiplicity) == ("1H", "CDCl3", ("t", "q", "m", "tt", "m"))
    record = carbon.record
    np.testing.assert_allclose(record.shifts, [14.5, 61.1, 128.4, 128.4, 129.6, 129.6, 130.6, 132.9, 166.8])
    assert record.multiplicity == ("Q", "T", "", "", "", "", "", "D", "")
    assert (record.nucleus, record.intensity) == ("13C", None)
    assert fluorine.record.shifts.tolist() == [-135.2]
    assert (fluorine.record.nucleus, fluorine.record.solvent) == ("19F", "DMSO-d6")
    assert other.record.shifts.tolist() == [114.7, 136.2, 151.4]
    assert (other.record.solvent, other.record.multiplicity) == ("DMSO-d6", ())


@pytest.mark.parametrize(
    ("text", "shifts"),
    [
        ("13C NMR (CDCl3): 170.1; 137.4; 21.0.", [21.0, 137.4, 170.1]),
        ("13C NMR (75 MHz, CDCl3, ppm) δC: 170.1 (C=O), 55.2 (OCH3), 21.0", [21.0, 55.2, 170.1]),
        ("C-13 NMR 170.1, 137.4 ppm. IR 1730 cm-1", [137.4, 170.1]),
        ("1H NMR (300 MHz, D2O) δ = 7.26 (s, 5 H, Ph), 3.5 - 3.7 (m, 2 H); MS 120.", [3.6, 7.26]),
        ("1H NMR (D2O) δ -0.5 (br s, 1H), 12.1 (s, 1H)", [-0.5, 12.1]),
    ],
)
def test_lists_are_read_however_they_are_punctuated(text: str, shifts: list[float], tmp_path: Path) -> None:
    (found,) = all_of(read_experimental(write(tmp_path / "a.txt", text)))
    np.testing.assert_allclose(found.record.shifts, shifts)


def test_a_plain_list_is_of_the_nucleus_that_the_file_states(tmp_path: Path) -> None:
    (found,) = all_of(read_shift_text(write(tmp_path / "a.txt", PLAIN)))
    assert (found.record.nucleus, found.record.solvent, len(found.record)) == ("13C", "CDCl3", 7)
    (found,) = all_of(read_shift_text(write(tmp_path / "h1.txt", "7.2 3.1 1.2\n")))
    assert found.record.nucleus == "1H"
    (found,) = all_of(read_shift_text(write(tmp_path / "b.txt", "177.2\n13.1\n")))
    assert found.record.nucleus == "13C"
    (bad,) = read_shift_text(write(tmp_path / "c.txt", "7.2\n1.3\n"))
    assert isinstance(bad, ReadError)
    assert "of which nucleus" in bad.reason


def test_rows_of_a_table_are_joined_by_spectrum_and_lists_in_cells_are_taken_apart(tmp_path: Path) -> None:
    found = all_of(read_shift_text(write(tmp_path / "a.csv", TABLE)))
    assert [(m.record.identifier, m.record.nucleus, m.record.shifts.tolist()) for m in found] == [
        ("a", "13C", [18.3, 58.4]), ("a", "1H", [1.22, 3.69]), ("b", "13C", [50.1]),
    ]  # fmt: skip
    assert found[0].record.multiplicity == ("Q", "T")
    assert found[2].structure == structure("CO")
    wide = all_of(read_shift_text(write(tmp_path / "b.tsv", WIDE)))
    assert [m.record.shifts.tolist() for m in wide] == [[18.3, 58.4], [50.1]]
    assert wide[1].name == "methanol"


def test_two_headers_that_are_nuclei_are_cross_peaks(tmp_path: Path) -> None:
    (found,) = all_of(read_shift_text(write(tmp_path / "a.csv", HSQC)))
    assert (found.record.nucleus, found.record.experiment) == ("13C", "HSQC")
    assert found.record.partners is not None
    assert found.record.partners.tolist() == [1.22, 3.69]


def test_nmredata_gives_spectra_with_the_atoms_of_their_signals(tmp_path: Path) -> None:
    carbon, proton, cross = all_of(read_nmredata(write(tmp_path / "a.sdf", NMREDATA)))
    assert carbon.structure is not None
    # The drawing counts from the oxygen, the SMILES CCO from the other end.
    assert (carbon.structure.smiles, carbon.record.atoms) == ("CCO", ("0", "1"))
    assert (carbon.record.multiplicity, carbon.record.solvent) == (("Q", "T"), "CDCl3")
    np.testing.assert_allclose(proton.record.shifts, [1.22, 3.69])
    assert proton.record.atoms == ("0", "1")
    assert proton.record.intensity is not None
    assert proton.record.intensity.tolist() == [3, 2]
    assert (cross.record.experiment, cross.record.nucleus) == ("HSQC", "13C")
    assert cross.record.partners.tolist() == [1.22, 3.69]


def test_an_assignment_without_spectra_is_a_list_for_each_nucleus(tmp_path: Path) -> None:
    text = NMREDATA.split(">  <NMREDATA_1D_13C>")[0] + "$$$$\n"
    carbon, proton = all_of(read_nmredata(write(tmp_path / "a.sdf", text)))
    assert (carbon.record.nucleus, proton.record.nucleus) == ("13C", "1H")
    assert proton.record.shifts.tolist() == [1.22, 3.69]


def test_a_table_of_peaks_in_hertz_is_divided_by_the_frequency(tmp_path: Path) -> None:
    (found,) = all_of(read_peak_table(write(tmp_path / "a.jdx", PEAK_TABLE)))
    np.testing.assert_allclose(found.record.shifts, [18.3, 58.4])
    assert (found.record.nucleus, found.record.solvent, found.structure) == ("13C", "CDCl3", structure("CCO"))
    lacking = PEAK_TABLE.replace("##.OBSERVE FREQUENCY= 100.0\n", "")
    (bad,) = read_peak_table(write(tmp_path / "b.jdx", lacking))
    assert "OBSERVE FREQUENCY" in str(bad)


def test_multiplets_of_nmrml_count_their_protons(tmp_path: Path) -> None:
    (found,) = all_of(read_nmrml(write(tmp_path / "a.nmrML", NMRML)))
    assert found.record.shifts.tolist() == [1.22, 3.69]
    assert found.record.intensity is not None
    assert found.record.intensity.tolist() == [3, 2]
    assert (found.record.multiplicity, found.structure) == (("t", "q"), structure("CCO"))


def test_atoms_of_a_table_that_are_not_sure_are_left_out_and_others_follow_the_smiles(tmp_path: Path) -> None:
    sure, unnamed = all_of(read_parquet(table(tmp_path / "a.parquet", {}, {"atoms": None})))
    assert sure.structure is not None
    assert (sure.structure.smiles, sure.record.atoms) == ("CCO", ("0", ""))
    assert (sure.record.multiplicity, sure.fold, sure.cluster) == (("Q", ""), "train", 3)
    assert unnamed.record.atoms == ()


@pytest.mark.parametrize(
    ("text", "nucleus"),
    [("13C", "13C"), ("^1H", "1H"), ("C13", "13C"), ("¹³C", "13C"), ("carbon", "13C"), ("F-19", "19F"), ("x", None)],
)
def test_a_nucleus_has_one_name(text: str, nucleus: str | None) -> None:
    assert nucleus_of(text) == nucleus


def test_a_solvent_has_one_name() -> None:
    assert [solvent_of(t) for t in ("cdcl3", "d6-DMSO", "MeOD", "CDCl₃", "brine", " ", None)] == [
        "CDCl3", "DMSO-d6", "CD3OD", "CDCl3", "brine", None, None,
    ]  # fmt: skip


def test_a_list_keeps_what_belongs_together_in_order_and_refuses_what_does_not() -> None:
    record = ShiftList([3.0, 1.0], "1H", [1, 2], multiplicity=("s", "d"), atoms=("4", ""))
    assert (record.shifts.tolist(), record.multiplicity, record.atoms) == ([1.0, 3.0], ("d", "s"), ("", "4"))
    with pytest.raises(RecordError, match="different lengths"):
        ShiftList([3.0, 1.0], multiplicity=("s",))
    with pytest.raises(RecordError, match="finite"):
        ShiftList([float("nan")])


def test_a_shift_that_cannot_be_names_itself(tmp_path: Path) -> None:
    (bad,) = read_shift_text(write(tmp_path / "a.txt", "# 13C\n1661.8 20\n"))
    assert isinstance(bad, ReadError)
    assert "1661.8 ppm is no 13C shift" in bad.reason


def test_files_that_share_an_ending_are_told_by_what_is_in_them(tmp_path: Path) -> None:
    pytest.importorskip("molvis_nmr", reason="molvis-nmr is not installed, whose readers claim the same endings")
    pytest.importorskip("molvis_structure", reason="molvis-structure is not installed")
    files = {
        "nmr-experimental": write(tmp_path / "a.txt", PAPER),
        "nmr-shift-text": write(tmp_path / "b.csv", TABLE),
        "nmredata": write(tmp_path / "a.sdf", NMREDATA),
        "nmr-peak-table": write(tmp_path / "a.jdx", PEAK_TABLE),
        "nmrml-peaks": write(tmp_path / "a.nmrML", NMRML),
        "nmr-shift-parquet": table(tmp_path / "a.parquet", {}),
    }
    assert {name: for_suffix("reader", path).name for name, path in files.items()} == {name: name for name in files}
    points = write(tmp_path / "points.csv", "ppm,intensity\n" + "".join(f"{i}.5,{i}\n" for i in range(10)))
    assert for_suffix("reader", points, modality={"nmr", "nmr-shifts"}).modality == "nmr"


def test_a_list_without_structure_cannot_be_written_as_nmredata(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="SMILES"):
        write_nmredata(tmp_path / "a.sdf", [Measurement(ShiftList([20.0]), None, "nmr-shifts")])


def test_a_dataset_keeps_every_field(tmp_path: Path) -> None:
    pytest.importorskip("molvis_retrieval", reason="molvis-retrieval is not installed")
    from molvis_retrieval.dataset import Dataset
    from molvis_retrieval.importing import import_files

    report = import_files([table(tmp_path / "a.parquet", {})], tmp_path / "data")
    assert report.imported == {"nmr-shifts": 1}
    record = Dataset.open(tmp_path / "data").record("nmr-shifts", 0)
    assert (record.shifts.tolist(), record.atoms, record.multiplicity) == ([18.3, 58.4], ("0", ""), ("Q", ""))
    assert (record.intensity, record.partners, record.solvent) == (None, None, "CDCl3")


class TestPlugin(PluginContract):
    @pytest.fixture
    def name(self) -> str:
        return "molvis-nmr-shifts"


class TestExperimental(ReaderContract):
    @pytest.fixture
    def read(self) -> Any:
        return read_experimental

    @pytest.fixture
    def modality(self) -> str:
        return "nmr-shifts"

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return write(tmp_path / "good.txt", PAPER)

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return write(tmp_path / "bad.txt", "x\n13C NMR (CDCl3) was not recorded.\n")


class TestText(TestExperimental):
    @pytest.fixture
    def read(self) -> Any:
        return read_shift_text

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return write(tmp_path / "good.csv", TABLE)

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return write(tmp_path / "bad.csv", TABLE.replace("58.4", "high"))


class TestNmredata(TestExperimental):
    @pytest.fixture
    def read(self) -> Any:
        return read_nmredata

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return write(tmp_path / "good.sdf", NMREDATA)

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return write(tmp_path / "bad.sdf", NMREDATA.replace("58.4, S=T", "5840, S=T"))


class TestPeakTable(TestExperimental):
    @pytest.fixture
    def read(self) -> Any:
        return read_peak_table

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return write(tmp_path / "good.jdx", PEAK_TABLE)

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return write(tmp_path / "bad.jdx", PEAK_TABLE.replace("^13C", "?"))


class TestNmrml(TestExperimental):
    @pytest.fixture
    def read(self) -> Any:
        return read_nmrml

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return write(tmp_path / "good.nmrML", NMRML)

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return write(tmp_path / "bad.nmrML", NMRML.replace("3.69", "369"))


class TestParquet(TestExperimental):
    @pytest.fixture
    def read(self) -> Any:
        return read_parquet

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return table(tmp_path / "good.parquet", {})

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return table(tmp_path / "bad.parquet", {"nucleus": "x"})


def test_what_is_written_as_nmredata_is_read_back() -> None:
    ethanol, phenol = structure("CCO"), structure("Oc1ccccc1")
    records = [
        (ethanol, ShiftList([58.4, 18.3], multiplicity=("T", "Q"), atoms=("1", "0"), solvent="D2O", identifier="a")),
        (ethanol, ShiftList([3.69, 1.22], "1H", [2, 3], atoms=("1", "0"), solvent="D2O", identifier="b")),
        (phenol, ShiftList([155.1, 129.5, 120.8, 115.3], identifier="c")),
        (phenol, ShiftList([129.5, 115.3], partners=[7.2, 6.8], experiment="HSQC", identifier="d")),
    ]
    measurements = [Measurement(record, known, "nmr-shifts") for known, record in records]
    checks.writer_round_trip(write_nmredata, read_nmredata, measurements, ".sdf")
