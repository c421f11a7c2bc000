"""Feature lists of other programs, and ours written and read back."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from lcms_samples import Eluting, made_run, write_run

from molvis_core.errors import ReadError
from molvis_lcms.finding import find_features
from molvis_lcms.formats.documents import read_json_features, write_json_features
from molvis_lcms.formats.fbmn import read_mgf_features, write_mgf_features, write_quantities
from molvis_lcms.formats.reading import is_run, read_features
from molvis_lcms.formats.targets import read_targets
from molvis_lcms.records import FeatureTable

DATA = Path(os.environ.get("MOLVIS_DATA") or Path(__file__).resolve().parents[4] / "shared" / "data")

FBMN = """BEGIN IONS
FEATURE_ID=7
PEPMASS=181.0707
SCANS=7
RTINSECONDS=60.5
CHARGE=1+
MSLEVEL=1
181.0707 1000
182.0740 66
END IONS

BEGIN IONS
FEATURE_ID=7
PEPMASS=181.0707
SCANS=7
RTINSECONDS=60.5
CHARGE=1+
MSLEVEL=2
ION=[M+H]+
85.0284 10
127.0390 6
END IONS

BEGIN IONS
FEATURE_ID=9
PEPMASS=nothing
85.0284 10
END IONS

BEGIN IONS
FEATURE_ID=12
PEPMASS=251.1278
CHARGE=0
IONMODE=negative
85.0284 10
END IONS
"""
QUANT = """row ID,row m/z,row retention time,best ion,annotation network number,a.mzML Peak area,b.mzML Peak area
7,181.0707,1.01,[M+H]+,3,1200.5,1100
12,251.1278,1.5,,,0,20.5
99,300.0,2.0,,,5,5
"""
SIRIUS = """>compound glucose
>parentmass 181.0707
>ionization [M+H]+
>formula C6H12O6
>rt 60.5s

>ms1
181.0707 1000
182.0740 66
300.1 5

>collision 20
85.0284 10
127.0390 6

>collision 40
85.0284 12

>compound unknown
>parentmass 251.1278
>ionization [M+?]-

>ms2
99.1 4

>compound broken
>ionization [M+H]+
>ms2
99.1 4
"""
MSDIAL = "\t\t\t\t\t\tClass\tA\tB\n" + "\n".join(
    "\t".join(row)
    for row in (
        [
            "Alignment ID", "Average Rt(min)", "Average Mz", "Metabolite name", "Adduct type", "MS1 isotopic spectrum",
            "MS/MS spectrum", "a", "b",
        ],
        ["0", "1.01", "181.0707", "Unknown", "[M+H]+", "181.0707:9 182.0740:1", "85.0284:10 127.039:6", "1200.5", "0"],
        ["1", "1.50", "249.1133", "a name", "[M-H]-", "249.1:5", "", "3", "4"],
        ["2", "1.50", "249.1133", "a name", "[M-H]-", "249.1:5", "85.0;10", "3", "4"],
    )
)  # fmt: skip


def put(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_list_for_networking_keeps_ids_isotopes_areas_and_adducts(tmp_path: Path) -> None:
    put(tmp_path / "x_quant.csv", QUANT)
    table = read_features(put(tmp_path / "x.mgf", FBMN))
    glucose, other = table.features
    assert (glucose.identifier, glucose.adduct, glucose.charge, glucose.group) == ("7", "[M+H]+", 1, 3)
    assert (glucose.time, glucose.ionmode) == (60.5, "positive")
    assert glucose.isotope_mz.tolist() == [181.0707, 182.0740]
    assert glucose.areas == {"a.mzML": 1200.5, "b.mzML": 1100.0}
    assert glucose.merged is not None
    assert glucose.merged.mz.tolist() == [85.0284, 127.0390]
    assert (other.identifier, other.ionmode, other.adduct, other.time) == ("12", "negative", None, 90.0)
    assert table.files == ("a.mzML", "b.mzML")
    assert "record 3: no precursor m/z" in table.notes[0]
    assert "1 of 3 rows have no MS/MS" in table.notes[1]


def test_a_sirius_file_gives_its_compounds(tmp_path: Path) -> None:
    table = read_features(put(tmp_path / "x.ms", SIRIUS))
    glucose, unknown = table.features
    assert (glucose.identifier, glucose.formula, glucose.adduct, glucose.time) == ("glucose", "C6H12O6", "[M+H]+", 60.5)
    assert [s.collision_energy for s in glucose.spectra] == [20.0, 40.0]
    assert glucose.isotope_mz.tolist() == [181.0707, 182.0740]
    assert (unknown.adduct, unknown.ionmode, len(unknown.spectra)) == (None, "negative", 1)
    assert "no '>parentmass'" in table.notes[0]


MAT = """NAME: Unknown
SCANNUMBER: 512
RETENTIONTIME: 1.01
PRECURSORMZ: 181.0707
PRECURSORTYPE: [M+H]+
IONMODE: Positive
INTENSITY: 1200.5
FORMULA:
COLLISIONENERGY: 20
COMMENT: |PEAKHEIGHT=1200|ID=37|
MSTYPE: MS1
Num Peaks: 3
100.0\t7
181.0707\t9
182.0740\t1
MSTYPE: MS2
Num Peaks: 2
85.0284\t10
127.0390\t6

NAME: a name
ALIGNMENTID: 41
PRECURSORMZ: 249.1133
PRECURSORTYPE: [M-H]-
MSTYPE: MS2
Num Peaks: 1
85.0\tx

NAME: a name
ALIGNMENTID: 37
PRECURSORMZ: 249.1133
IONMODE: Negative
Num Peaks: 1
85.0 1
"""


def test_files_of_ms_finder_give_their_features(tmp_path: Path) -> None:
    table = read_features(put(tmp_path / "x.mat", MAT))
    glucose, other = table.features
    assert (glucose.identifier, glucose.time, glucose.adduct, glucose.name) == (
        "37",
        pytest.approx(60.6),
        "[M+H]+",
        None,
    )
    assert (glucose.formula, glucose.scans, glucose.area) == (None, ("512",), 1200.5)
    assert glucose.isotope_mz.tolist() == [181.0707, 182.0740]
    assert [s.collision_energy for s in glucose.spectra] == [20.0]
    assert (other.identifier, other.ionmode, other.name, len(other.spectra)) == ("37-2", "negative", "a name", 1)
    assert "line 27" in table.notes[0]
    assert (table.files, glucose.areas) == (("x",), {"x": 1200.5})
    folder = tmp_path / "export"
    folder.mkdir()
    put(folder / "Peak 9.mat", "NAME: x\nPRECURSORMZ: 100.5\nSCANNUMBER: 4\n")
    put(folder / "AlignmentID 3.MAT", MAT.partition("COMMENT")[0] + "MSTYPE: MS2\n85.0284 10\n")
    assert [f.identifier for f in read_features(folder).features] == ["AlignmentID 3", "Peak 9"]
    assert read_features(folder).features[1].merged is None
    (tmp_path / "none").mkdir()
    for bad in (tmp_path / "none", put(tmp_path / "y.mat", "x")):
        with pytest.raises(ReadError, match=r"\.mat file"):
            read_features(bad)


def test_a_table_of_ms_dial_gives_its_rows(tmp_path: Path) -> None:
    table = read_features(put(tmp_path / "x.txt", MSDIAL))
    first, second = table.features
    assert (first.identifier, first.mz, first.time, first.adduct) == ("0", 181.0707, pytest.approx(60.6), "[M+H]+")
    assert (first.name, second.name) == (None, "a name")
    assert first.areas == {"a": 1200.5, "b": 0.0}
    assert second.merged is None
    assert second.ionmode == "negative"
    assert "record 2" in table.notes[0]


def test_what_is_no_feature_list_is_refused(tmp_path: Path) -> None:
    for name, text in [
        ("x.mgf", "nothing"), ("x.ms", "nothing"), ("x.txt", "a\tb"), ("x.mztab", "MTD\tmzTab-version\t1.0.0\n"),
        ("x.json", "{}"), ("x.json", "["), ("x.doc", ""), ("x.json", '{"format": 1, "features": [{}], "files": []}'),
        ("x.json", '{"format": 99, "features": []}'),
    ]:  # fmt: skip
        with pytest.raises(ReadError):
            read_features(put(tmp_path / name, text))


def test_our_own_lists_are_read_back_as_they_were(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a.mzML", made_run([Eluting(180.0634, 60.0, adducts={"[M+H]+": 1.0, "[M+Na]+": 0.4})]))
    table = find_features(run)
    write_mgf_features(tmp_path / "features.mgf", table)
    write_quantities(tmp_path / "features_quant.csv", table)
    write_json_features(tmp_path / "features.json", table)
    for found in (read_mgf_features(tmp_path / "features.mgf"), read_json_features(tmp_path / "features.json")):
        (one,), (was,) = found.features, table.features
        assert one.identifier == was.identifier
        assert one.mz == pytest.approx(was.mz, abs=1e-6)
        assert one.time == pytest.approx(was.time, abs=1e-3)
        assert one.areas == pytest.approx(was.areas, rel=1e-6)
        assert one.merged is not None
        assert was.merged is not None
        np.testing.assert_allclose(one.merged.mz, was.merged.mz, atol=1e-6)
    again = read_json_features(tmp_path / "features.json").features[0]
    assert again.adducts == table.features[0].adducts
    assert len(again.spectra) == 2
    with (tmp_path / "features_quant.csv").open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row["best ion"] == "[M+H]+"
    assert float(row["a.mzML Peak area"]) > 0
    assert json.loads((tmp_path / "features.json").read_text(encoding="utf-8"))["format"] == 1


def test_targets_state_an_ion_by_mass_or_by_formula(tmp_path: Path) -> None:
    text = "name,mz,formula,adduct,rt_min,rt_s\nadenosine,,C10H13N5O4,,3.68,\nsodium,290.0860,,[M+Na]+,,220.8\n"
    first, second = read_targets(put(tmp_path / "t.csv", text))
    assert first.mz == pytest.approx(268.1040, abs=1e-4)
    assert (first.time, first.charge, first.adduct) == (pytest.approx(220.8), 1, "[M+H]+")
    assert (second.mz, second.time, second.adduct) == (290.0860, 220.8, "[M+Na]+")
    with pytest.raises(ReadError, match="names no ion"):
        read_targets(put(tmp_path / "t.csv", "name,mz\nx,\n"))


def test_a_run_is_known_by_its_ending() -> None:
    assert is_run(Path("a.mzML"))
    assert is_run(Path("b.MZML.gz"))
    assert not is_run(Path("c.mgf"))


@pytest.mark.skipif(not (DATA / "interop").is_dir(), reason=f"no {DATA / 'interop'}: set MOLVIS_DATA")
@pytest.mark.parametrize(
    ("name", "feature"),
    [
        ("mztabm_xcms-test-export.mztab", "\nSMF\t"),
        ("mztabm_xcms-test-export-nosml.mztab", "\nSMF\t"),
        ("mztabm_MTBLS263.mztab", "\nSMF\t"),
        ("mztabm_lipidomics-example.mzTab", "\nSMF\t"),
        ("mzmine_parser_mzmine.mgf", "BEGIN IONS"),
    ],
)
def test_lists_that_other_programs_wrote_are_read(name: str, feature: str) -> None:
    path = DATA / "interop" / name
    table = read_features(path)
    assert isinstance(table, FeatureTable)
    assert len(table) == path.read_text(encoding="utf-8").count(feature) > 0
