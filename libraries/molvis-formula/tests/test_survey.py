"""MS1 spectra, and answers for whole files."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from molvis_core.errors import ReadError
from molvis_core.records import Measurement, PeakList
from molvis_formula.results import COLUMNS, rank_all, read_known, write_csv
from molvis_formula.survey import pattern_for, read_surveys

MGF = """BEGIN IONS
TITLE=one
MSLEVEL=1
PEPMASS=195.0877
195.0877 1000
196.0905 95
END IONS
BEGIN IONS
TITLE=one
MSLEVEL=2
PEPMASS=195.0877
138.0662 100
END IONS
"""
MS = """>compound two
>parentmass 195.0877
>ms1merged
195.0877 1000
196.0905 95

>ms2
138.0662 100
"""


def query(name: str = "one", mz: float = 195.0877) -> Measurement:
    spectrum = PeakList(np.array([110.0713, 138.0662]), np.array([30, 100]), mz, "[M+H]+", identifier=name)
    return Measurement(spectrum, None, "msms")


@pytest.mark.parametrize(
    ("name", "text"), [("a.mgf", MGF), ("a.ms", MS), ("a.txt", "mz,intensity\n195.0877, 1000\n196.0905;95\n")]
)
def test_survey_spectra_are_read_and_no_fragments(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    (survey,) = read_surveys(path)
    assert survey.peaks.mz.tolist() == [195.0877, 196.0905]


def test_a_pattern_belongs_to_the_spectrum_of_its_name_or_of_its_precursor(tmp_path: Path) -> None:
    (tmp_path / "a.mgf").write_text(MGF)
    (tmp_path / "a.ms").write_text(MS)
    (tmp_path / "a.txt").write_text("195.0877 1000\n")
    mgf, ms, plain = (read_surveys(tmp_path / f"a.{end}") for end in ("mgf", "ms", "txt"))
    assert pattern_for(query("one", 300.0), mgf, 10.0) is mgf[0].peaks
    assert pattern_for(query("other"), ms, 10.0) is ms[0].peaks
    assert pattern_for(query("other", 300.0), ms, 10.0) is None
    assert pattern_for(query("other", 300.0), plain, 10.0) is plain[0].peaks


def test_a_line_that_is_no_peak_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.ms"
    path.write_text(MS.replace("196.0905 95", "196.0905"))
    with pytest.raises(ReadError, match=r"a\.ms.*5.*a peak is an m/z and an intensity"):
        read_surveys(path)


def test_what_cannot_be_answered_is_said_and_the_rest_goes_on(tmp_path: Path) -> None:
    bad = ReadError(tmp_path / "x.mgf", "no peaks", record="broken")
    nothing = query("nothing", mz=13.0)
    found = rank_all([bad, nothing, query()], top=2)
    assert [bool(one.formulas) for one in found] == [False, False, True]
    assert "no peaks" in found[0].problem
    assert found[1].problem
    assert found[2].formulas[0].formula == "C8H10N4O2"
    assert found[2].listed > 2 == len(found[2].formulas)
    path = tmp_path / "out.csv"
    write_csv(path, found)
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert tuple(rows[0]) == COLUMNS
    assert [row["spectrum"] for row in rows] == ["broken", "nothing", "one", "one"]


def test_known_formulas_are_read_in_any_order_of_elements(tmp_path: Path) -> None:
    path = tmp_path / "known.csv"
    path.write_text("name,formula\ncaffeine,N4C8H10O2\nplatinum,PtCl2\n,\n")
    assert read_known(path) == {"C8H10N4O2"}
    path.write_text("C8H10N4O2\nC15H10O6\n")
    assert read_known(path) == {"C8H10N4O2", "C15H10O6"}
    path.write_text("C8H10N4O2\nCaffeine\n")
    with pytest.raises(ReadError, match="a formula a line"):
        read_known(path)
