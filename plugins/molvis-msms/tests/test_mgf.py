"""Mascot generic format, and what its titles state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msms_samples import CAFFEINE, CAFFEINE_KEY, MGF, MassSpectra, peak_lists, read_all, write_file

from molvis_core.records import Origin, PeakList
from molvis_msms.readers.mgf import read_mgf
from molvis_msms.writers import write_mgf


class TestMgf(MassSpectra):
    @pytest.fixture
    def read(self) -> Any:
        return read_mgf

    @pytest.fixture
    def write(self) -> Any:
        return write_mgf

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return write_file(tmp_path / "good.mgf", MGF)

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return write_file(tmp_path / "bad.mgf", MGF.replace("12.5", "nan"))


def test_an_mgf_spectrum_comes_with_its_ion_and_its_compound(tmp_path: Path) -> None:
    (known, unknown), errors = read_all(read_mgf, write_file(tmp_path / "a.mgf", MGF))
    assert not errors
    spectrum = peak_lists([known])[0]
    assert spectrum.mz.tolist() == [69.0447, 138.0662]
    assert spectrum.intensity.tolist() == [12.5, 100.0]
    assert (spectrum.precursor_mz, spectrum.adduct, spectrum.charge) == (195.0877, "[M+H]+", 1)
    assert (spectrum.ionmode, spectrum.collision_energy) == ("positive", 35.0)
    assert known.structure is not None
    assert (known.name, known.structure.inchikey, known.structure.name) == ("caffeine", CAFFEINE_KEY, "caffeine")
    assert unknown.structure is None
    assert (unknown.name, peak_lists([unknown])[0].adduct) == ("an unknown", None)


def test_fields_before_the_first_mgf_spectrum_hold_where_it_states_none(tmp_path: Path) -> None:
    text = "CHARGE=2+\nIONMODE=Positive\n" + MGF
    first, second = peak_lists(read_all(read_mgf, write_file(tmp_path / "a.mgf", text))[0])
    assert (first.charge, second.charge, second.ionmode) == (1, 2, "positive")


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("69.0447 12.5", "69.0447 nan", 10, "negative or not finite"),
        ("69.0447 12.5", "69.0447 -1", 10, "negative or not finite"),
        ("69.0447 12.5", "-69.0447 1", 10, "not a positive number"),
        ("69.0447 12.5", "inf 1", 10, "not a positive number"),
        ("69.0447 12.5", "69,0447 1", 10, "not a peak"),
        ("69.0447 12.5", "69.0447", 10, "write m/z and intensity"),
        ("138.0662 100 1+", "138.0662 1e39", 2, "intensity[1] must be finite, got inf"),
        ("69.0447 12.5\n138.0662 100 1+\n", "", 2, "no peaks"),
        ("12.5\n138.0662 100 1+", "0\n138.0662 0", 2, "every peak has intensity 0"),
        ("[M+H]+", "[M+Q]+", 2, "'Q' is not an element"),
        ("[M+H]+", "gibberish", 2, "is not understood"),
        ("[M+H]+", "[M-H]-", 2, "but the ion mode is positive; correct one of them"),
        (CAFFEINE, "C1CC", 2, "RDKit refuses"),
        (CAFFEINE, "CN(C)(C)(C)C", 2, "valence"),
        ("PEPMASS=195.0877", "PEPMASS=about 195", 2, "is not a number"),
        ("PEPMASS=195.0877", "PEPMASS=-195", 2, "must be a positive number, or None where unknown, got -195"),
        ("IONMODE=Positive", "MSLEVEL=1", 2, "MS1"),
    ],
)
def test_a_bad_mgf_record_names_its_line_and_the_next_is_read(
    tmp_path: Path, old: str, new: str, line: int, reason: str
) -> None:
    assert old in MGF
    found, (error,) = read_all(read_mgf, write_file(tmp_path / "a.mgf", MGF.replace(old, new)))
    assert [m.name for m in found] == ["an unknown"]
    assert (error.line, error.record) == (line, "caffeine")
    assert reason in error.reason


def test_charge_that_contradicts_the_ion_mode_is_refused(tmp_path: Path) -> None:
    text = MGF.replace("ADDUCT=[M+H]+\n", "").replace("CHARGE=1+", "CHARGE=1-")
    _, (error,) = read_all(read_mgf, write_file(tmp_path / "a.mgf", text))
    assert "charge 1- contradicts the ion mode positive" in error.reason


def test_charge_without_a_sign_takes_that_of_the_ion_mode(tmp_path: Path) -> None:
    text = MGF.replace("ADDUCT=[M+H]+\n", "").replace("CHARGE=1+", "CHARGE=2").replace("Positive", "Negative")
    assert peak_lists(read_all(read_mgf, write_file(tmp_path / "a.mgf", text))[0])[0].charge == -2


def test_mgf_that_is_cut_off_says_where_its_last_record_begins(tmp_path: Path) -> None:
    found, (error,) = read_all(read_mgf, write_file(tmp_path / "a.mgf", MGF.removesuffix("END IONS\n")))
    assert len(found) == 1
    assert (error.line, "cut off" in error.reason) == (14, True)


def test_an_mgf_record_that_never_ends_is_refused_and_the_next_is_read(tmp_path: Path) -> None:
    found, (error,) = read_all(read_mgf, write_file(tmp_path / "a.mgf", MGF.replace("END IONS\n", "", 1)))
    assert [m.name for m in found] == ["an unknown"]
    assert "BEGIN IONS of line 2 has no END IONS" in error.reason


@pytest.mark.parametrize(
    ("lines", "origin"),
    [
        ("FEATURE_ID=17\nSCANS=392-397\nRTINSECONDS=115.83", Origin("17", "392-397", 1.9305)),
        ("RETENTION_TIME=120.0", Origin(rt_min=2.0)),
        ("RTINSECONDS=PT90.5S", Origin(rt_min=1.508333)),
        ("RT=1.9112366", Origin(rt_min=1.911237)),
        ("RETENTIONTIME=-1", Origin()),
        ("TITLE=none", Origin()),
    ],
    ids=["mzmine", "matchms", "duration", "minutes", "unknown", "none"],
)
def test_feature_scans_and_retention_time_are_kept(tmp_path: Path, lines: str, origin: Origin) -> None:
    text = f"BEGIN IONS\n{lines}\nPEPMASS=195.0877\nCHARGE=1+\n110.07 5\nEND IONS\n"
    (found,), problems = read_all(read_mgf, write_file(tmp_path / "a.mgf", text))
    assert not problems
    assert found.origin == origin
    write_mgf(tmp_path / "b.mgf", [found])
    (again,), _ = read_all(read_mgf, tmp_path / "b.mgf")
    assert again.origin.rt_min == pytest.approx(origin.rt_min)
    assert (again.origin.feature_id, again.origin.scans) == (origin.feature_id, origin.scans)


@pytest.mark.parametrize(("lines", "mode"), [("ADDUCT=[M+?]+", "positive"), ("ADDUCT=[M + ?]-", "negative")])
def test_an_adduct_that_is_left_open_tells_polarity_and_charge(tmp_path: Path, lines: str, mode: str) -> None:
    text = f"BEGIN IONS\n{lines}\nPEPMASS=195.0877\n110.07 5\nEND IONS\n"
    (found,), problems = read_all(read_mgf, write_file(tmp_path / "a.mgf", text))
    assert not problems
    assert isinstance(found.record, PeakList)
    assert (found.record.adduct, found.record.ionmode, abs(found.record.charge or 0)) == (None, mode, 1)


@pytest.mark.parametrize(
    ("lines", "origin", "mode"),
    [
        (
            'TITLE=a.17.17.1 File:"a.raw", NativeID:"controllerType=0 controllerNumber=1 scan=17"\nRTINSECONDS=90',
            Origin(scans="17", rt_min=1.5),
            None,
        ),
        ("TITLE=Cmpd 1, +MSn(195.0877), 7.8 min\nCHARGE=1+", Origin(rt_min=7.8), "positive"),
        ("TITLE=Cmpd 2, -MS2(193.0731), 7.8 min #512", Origin(rt_min=7.8), "negative"),
        ("TITLE=Cmpd 3, 1.5 min\nRTINSECONDS=60\nIONMODE=-", Origin(rt_min=1.0), "negative"),
        ("TITLE=5-min-old extract of Allium-MS", Origin(), None),
    ],
    ids=["msconvert", "bruker", "bruker negative", "fields first", "a name"],
)
def test_what_only_the_title_tells_is_read(tmp_path: Path, lines: str, origin: Origin, mode: str | None) -> None:
    text = f"BEGIN IONS\n{lines}\nPEPMASS=195.0877 1000.0\n110.07 5\nEND IONS\n"
    (found,), problems = read_all(read_mgf, write_file(tmp_path / "a.mgf", text))
    assert not problems
    assert found.origin == origin
    assert isinstance(found.record, PeakList)
    assert found.record.ionmode == mode
