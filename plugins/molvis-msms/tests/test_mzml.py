"""Runs of instruments as mzML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msms_samples import NEGATIVE, MassSpectra, mzml_text, peak_lists, read_all, scan_element, write_file

from molvis_core.errors import ReadError
from molvis_msms.readers.mzml import read_mzml


class TestMzml(MassSpectra):
    @pytest.fixture
    def read(self) -> Any:
        return read_mzml

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return write_file(
            tmp_path / "good.mzML", mzml_text(scan_element(1, level=1), scan_element(2), scan_element(3, level=3))
        )

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return write_file(tmp_path / "bad.mzML", mzml_text(scan_element(1, kind="profile")))


def test_mzml_gives_centroided_scans_of_level_two_alone(tmp_path: Path) -> None:
    path = write_file(
        tmp_path / "a.mzML",
        mzml_text(scan_element(1, level=1), scan_element(2), scan_element(3, kind="profile"), scan_element(4, level=3)),
    )
    (found,), (error,) = read_all(read_mzml, path)
    spectrum = peak_lists([found])[0]
    assert spectrum.mz.tolist() == [69.0447, 138.0662]
    assert (spectrum.identifier, spectrum.precursor_mz, spectrum.collision_energy) == ("scan=2", 195.0877, 35.0)
    assert (spectrum.ionmode, spectrum.charge) == ("negative", -1)
    assert (error.record, error.line) == ("scan=3", 6)
    assert "profile" in error.reason


def test_mzml_scans_that_are_wrongly_flagged_as_profiles_are_read(tmp_path: Path) -> None:
    text = mzml_text(scan_element(1).replace("MS:1000127", "MS:1000128"), scan_element(2, kind="profile"))
    (found,), (error,) = read_all(read_mzml, write_file(tmp_path / "a.mzML", text))
    assert found.origin.scans == "1"
    assert error.record == "scan=2"


def test_mzml_that_is_cut_off_says_after_how_many_scans(tmp_path: Path) -> None:
    text = mzml_text(scan_element(1), scan_element(2))
    path = write_file(tmp_path / "a.mzML", text[: text.index('id="scan=2"') + 400])
    (_,), (error,) = read_all(read_mzml, path)
    assert "cut off or damaged after 1 scans; the 1 MS/MS scans among them are kept" in error.reason
    assert error.line == 5


def test_mzml_without_charge_or_polarity_makes_none_up(tmp_path: Path) -> None:
    text = mzml_text(scan_element(1)).replace(NEGATIVE, "")
    text = text.replace('<cvParam cvRef="MS" accession="MS:1000041" name="charge state" value="1"/>', "")
    (spectrum,) = peak_lists(read_all(read_mzml, write_file(tmp_path / "a.mzML", text))[0])
    assert (spectrum.charge, spectrum.ionmode) == (None, None)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("MS:1000744", "MS:9999999", "names no precursor"),
        ("MS:1000576", "MS:9999999", "neither zlib, MS-Numpress nor none"),
        ("MS:1000576", "MS:1002312", "MS-Numpress"),
        ("MS:1000576", "MS:1000574", "cannot be decoded"),
        ("MS:1000523", "MS:9999999", "neither 32 nor 64 bits"),
        ("MS:1000515", "MS:9999999", "2 m/z values and 0 intensities"),
        ("<binary>", "<binary>?", "cannot be decoded"),
        ('value="195.0877"', 'value="x"', "is not a number"),
    ],
)
def test_a_bad_mzml_scan_names_its_line_and_the_next_is_read(tmp_path: Path, old: str, new: str, reason: str) -> None:
    path = write_file(tmp_path / "a.mzML", mzml_text(scan_element(1).replace(old, new), scan_element(2)))
    found, (error,) = read_all(read_mzml, path)
    assert len(found) == 1
    assert (error.line, error.record) == (4, "scan=1")
    assert reason in error.reason


def test_mzml_arrays_may_be_compressed_and_of_32_bits(tmp_path: Path) -> None:
    (spectrum,) = peak_lists(
        read_all(read_mzml, write_file(tmp_path / "a.mzML", mzml_text(scan_element(1, packed=True))))[0]
    )
    assert spectrum.mz.tolist() == pytest.approx([69.0447, 138.0662], rel=1e-7)


def test_an_mzml_file_that_declares_entities_is_refused(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE mzML [<!ENTITY a "1111111111"><!ENTITY b "&a;&a;&a;&a;">]>'
    text = mzml_text(scan_element(1)).replace("<mzML", f"{bomb}<mzML").replace("<binary>", "<binary>&b;", 1)
    with pytest.raises(ReadError, match="declares entities"):
        list(read_mzml(write_file(tmp_path / "a.mzML", text)))


@pytest.mark.parametrize(("unit", "minutes"), [("UO:0000031", 4.5), ("UO:0000010", 4.5 / 60)])
def test_mzml_scans_keep_their_number_and_their_time_in_minutes(tmp_path: Path, unit: str, minutes: float) -> None:
    start = f'<scan><cvParam accession="MS:1000016" value="4.5" unitAccession="{unit}"/></scan>'
    scan = scan_element(381).replace("<precursorList", f"<scanList>{start}</scanList><precursorList")
    (found,), _ = read_all(read_mzml, write_file(tmp_path / "a.mzML", mzml_text(scan)))
    assert found.origin.scans == "381"
    assert found.origin.rt_min == pytest.approx(minutes)
