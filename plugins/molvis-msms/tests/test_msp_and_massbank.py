"""MSP libraries and MassBank records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msms_samples import CAFFEINE, CAFFEINE_KEY, MASSBANK, MGF, MSP, MassSpectra, peak_lists, read_all, write_file

from molvis_core import structure
from molvis_core.chemistry.adducts import ion_mz
from molvis_msms.readers.massbank import is_massbank, read_massbank
from molvis_msms.readers.mgf import read_mgf
from molvis_msms.readers.msp import read_msp
from molvis_msms.readers.parquet import is_massbank_table
from molvis_msms.writers import write_msp


class TestMsp(MassSpectra):
    @pytest.fixture
    def read(self) -> Any:
        return read_msp

    @pytest.fixture
    def write(self) -> Any:
        return write_msp

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return write_file(tmp_path / "good.msp", MSP)

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return write_file(tmp_path / "bad.msp", MSP.replace("Num Peaks: 3", "Num Peaks: 4"))


class TestMassbank(MassSpectra):
    @pytest.fixture
    def read(self) -> Any:
        return read_massbank

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return write_file(tmp_path / "good.txt", MASSBANK * 2)

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return write_file(tmp_path / "bad.txt", MASSBANK.replace("  138.0662 3000 999", "  138.0662 -3000 999"))


def test_massbank_files_are_recognised_by_what_is_in_them(tmp_path: Path) -> None:
    record = write_file(tmp_path / "a.txt", "\nACCESSION: X1\n")
    assert is_massbank(record)
    assert not is_massbank(write_file(tmp_path / "b.txt", "4000 0.1\n3999 0.2\n"))
    assert not is_massbank(tmp_path / "missing.txt")
    assert not is_massbank_table(record)


def test_an_msp_record_has_peaks_by_lines_and_by_semicolons(tmp_path: Path) -> None:
    found, errors = read_all(read_msp, write_file(tmp_path / "a.msp", MSP))
    assert not errors
    first, second = peak_lists(found)
    assert first.mz.tolist() == [69.0447, 110.0713, 138.0662]
    assert first.collision_energy == pytest.approx(30 * 195.0877 / 500)
    assert first.instrument_type == "LC-ESI-QTOF"
    assert second.mz.tolist() == [60.5, 61.5, 62.5]
    assert second.intensity.tolist() == [1.0, 2.0, 3.0]


def test_msp_records_follow_each_other_without_an_empty_line_too(tmp_path: Path) -> None:
    found, errors = read_all(read_msp, write_file(tmp_path / "a.msp", MSP.replace("\n\n", "\n")))
    assert (len(found), errors) == (2, [])


def test_mona_hides_the_structure_in_the_comments(tmp_path: Path) -> None:
    text = (
        f'Name: caffeine\nPrecursor_type: [M+H]+\nComments: "SMILES={CAFFEINE}" "author=A. Tester" "cas=58-08-2"\n'
        "Num Peaks: 1\n138.0662 100\n"
    )
    (found,), errors = read_all(read_msp, write_file(tmp_path / "a.msp", text))
    assert not errors
    assert found.structure is not None
    assert (found.structure.inchikey, found.authors) == (CAFFEINE_KEY, "A. Tester")


def test_a_missing_precursor_is_computed_from_structure_and_adduct(tmp_path: Path) -> None:
    (found, _), _ = read_all(read_mgf, write_file(tmp_path / "a.mgf", MGF.replace("PEPMASS=195.0877 1000\n", "")))
    assert peak_lists([found])[0].precursor_mz == pytest.approx(ion_mz(structure(CAFFEINE).exact_mass, "[M+H]+"))


def test_a_missing_precursor_that_nothing_tells_is_refused_with_what_to_add(tmp_path: Path) -> None:
    text = MGF.replace("PEPMASS=195.0877 1000\n", "").replace("ADDUCT=[M+H]+\n", "")
    found, (error,) = read_all(read_mgf, write_file(tmp_path / "a.mgf", text))
    assert len(found) == 1
    assert (error.line, error.record) == (2, "caffeine")
    assert "add it, or the structure and the adduct" in error.reason


def test_a_massbank_record_is_read_with_its_terms(tmp_path: Path) -> None:
    (first, second), errors = read_all(read_massbank, write_file(tmp_path / "a.txt", MASSBANK * 2))
    assert not errors
    assert (first.name, first.licence, first.authors) == ("Caffeine", "CC BY", "A. Tester")
    spectrum = peak_lists([second])[0]
    assert spectrum.mz.tolist() == [110.0713, 138.0662]
    assert spectrum.intensity.tolist() == [1200.5, 3000.0]
    assert spectrum.collision_energy == pytest.approx(45 * 195.0877 / 500)
    assert (spectrum.identifier, spectrum.instrument_type, spectrum.ms_level) == (
        "MSBNK-Test-TS000001",
        "LC-ESI-QFT",
        2,
    )


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("69.0447\t12.5", "69.0447\t-12.5", 10, "negative"),
        ("Num Peaks: 3", "Num Peaks: 5", 9, "is 5, but there are 3 peaks"),
        ("Num Peaks: 3\n", "", 1, "no 'Num Peaks' line"),
        ("[M+H]+", "[M-H]-", 1, "correct one of them"),
        (CAFFEINE, "nonsense", 1, "RDKit refuses"),
    ],
)
def test_a_bad_msp_record_names_its_line_and_the_next_is_read(
    tmp_path: Path, old: str, new: str, line: int, reason: str
) -> None:
    found, (error,) = read_all(read_msp, write_file(tmp_path / "a.msp", MSP.replace(old, new)))
    assert [m.name for m in found] == ["an unknown"]
    assert error.line == line
    assert reason in error.reason


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("  110.0713 1200.5 40", "  110.0713 nan 40", 19, "not finite"),
        ("POSITIVE", "NEGATIVE", 1, "correct one of them"),
        ("MS_TYPE MS2", "MS_TYPE MS", 1, "MS1"),
    ],
)
def test_a_bad_massbank_record_names_its_line_and_the_next_is_read(
    tmp_path: Path, old: str, new: str, line: int, reason: str
) -> None:
    found, (error,) = read_all(read_massbank, write_file(tmp_path / "a.txt", MASSBANK.replace(old, new) + MASSBANK))
    assert len(found) == 1
    assert (error.line, error.record) == (line, "MSBNK-Test-TS000001")
    assert reason in error.reason


def test_a_massbank_record_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    found, (error,) = read_all(read_massbank, write_file(tmp_path / "a.txt", MASSBANK + MASSBANK.removesuffix("//\n")))
    assert len(found) == 1
    assert "cut off" in error.reason
