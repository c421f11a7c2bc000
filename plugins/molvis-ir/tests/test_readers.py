from __future__ import annotations

import gzip
import os
import re
import struct
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molvis_core.dataset import Dataset, Measurement, import_files
from molvis_core.errors import ReadError, RecordError, WriteError
from molvis_core.identity import structure
from molvis_core.records import PeakList, Trace
from molvis_core.registry import for_suffix
from molvis_core.testing import ReaderContract
from molvis_ir.readers.jcamp import read_jcamp
from molvis_ir.readers.opus import read_opus
from molvis_ir.readers.parquet import is_ir_table, read_parquet
from molvis_ir.readers.spc import read_spc
from molvis_ir.readers.xy import is_xy, read_xy
from molvis_ir.units import FLOOR, absorbance, axis_kind, signal_kind, wavenumbers
from molvis_ir.writers import write_jcamp

Read = Callable[[Path], Any]
DATA = Path(os.environ.get("MOLVIS_DATA", Path(__file__).parents[3] / ".." / "shared" / "data"))
with_jcamp = pytest.mark.skipif(not (DATA / "jcamp").is_dir(), reason=f"no JCAMP-DX files in {DATA}: set MOLVIS_DATA")
with_tables = pytest.mark.skipif(not (DATA / "ir").is_dir(), reason=f"no infrared tables in {DATA}: set MOLVIS_DATA")
ETHANOL = "CCO"


def _all(read: Read, path: Path) -> tuple[list[Measurement], list[ReadError]]:
    items = list(read(path))
    return [i for i in items if isinstance(i, Measurement)], [i for i in items if isinstance(i, ReadError)]


def _trace(read: Read, path: Path) -> Trace:
    (found,), errors = _all(read, path)
    assert not errors
    assert isinstance(found.record, Trace)
    return found.record


def _refusal(read: Read, path: Path) -> ReadError:
    found, (error,) = _all(read, path)
    assert not found
    assert Path(error.path) == path
    return error


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def _jcamp(rows: Sequence[str], *, form: str = "XYDATA=(X++(Y..Y))", end: bool = True, **labels: Any) -> str:
    head: dict[str, object] = {"TITLE": "ethanol", "JCAMP-DX": 5.01, "DATA TYPE": "INFRARED SPECTRUM"}
    head |= {"XUNITS": "1/CM", "YUNITS": "ABSORBANCE", "XFACTOR": 1, "YFACTOR": 1}
    head |= {"FIRSTX": 1000, "LASTX": 1004, "NPOINTS": 5} | {k.replace("_", " "): v for k, v in labels.items()}
    lines = [f"##{k}={v}" for k, v in head.items() if v is not None]
    return "\n".join((*lines, f"##{form}", *rows, *(("##END=",) if end else ()))) + "\n"


def _smiles(text: str) -> dict[str, Any]:
    return {"$SMILES": text}


ROWS = ["1000 0.1 0.2 0.3", "1003 0.5 0.4"]


# JCAMP-DX


def test_a_spectrum_comes_with_its_structure_and_its_origin(tmp_path: Path) -> None:
    text = _jcamp(ROWS, NAMES="Ethanol\nSpirit", ORIGIN="a lab", OWNER="public domain", **_smiles("OCC"))
    (found,), errors = _all(read_jcamp, _write(tmp_path / "a.jdx", text))
    assert not errors
    assert found.structure is not None
    assert (found.structure.smiles, found.structure.formula, found.structure.name) == ("CCO", "C2H6O", "Ethanol")
    assert (found.name, found.source, found.contributor) == ("Ethanol", "a lab", "public domain")
    assert isinstance(found.record, Trace)
    assert found.record.identifier == "ethanol"
    np.testing.assert_allclose(found.record.x, [1000, 1001, 1002, 1003, 1004])
    np.testing.assert_allclose(found.record.y, [0.1, 0.2, 0.3, 0.5, 0.4])


@pytest.mark.parametrize(
    "label", ["$SMILES=CCO", "INCHI=InChI=1S/C2H6O/c1-2-3/h3H,2H2,1H3", "$InChI=1S/C2H6O/c1-2-3/h3H,2H2,1H3"]
)
def test_a_structure_is_read_from_smiles_and_inchi(tmp_path: Path, label: str) -> None:
    key, _, value = label.partition("=")
    labels: dict[str, Any] = {key: value}
    (found,), _ = _all(read_jcamp, _write(tmp_path / "a.jdx", _jcamp(ROWS, **labels)))
    assert found.structure is not None
    assert found.structure.smiles == ETHANOL


def test_a_structure_that_rdkit_refuses_is_refused(tmp_path: Path) -> None:
    error = _refusal(read_jcamp, _write(tmp_path / "a.jdx", _jcamp(ROWS, **_smiles("C(C"))))
    assert "RDKit refuses" in error.reason


def test_a_formula_that_contradicts_the_structure_is_refused(tmp_path: Path) -> None:
    for formula in ("C2 H6 O", "C2H6O", "C2 H5 D O", "(C2H4O)n"):
        found, errors = _all(read_jcamp, _write(tmp_path / "a.jdx", _jcamp(ROWS, MOLFORM=formula, **_smiles("CCO"))))
        assert (len(found), len(errors)) == (1, 0)
    error = _refusal(read_jcamp, _write(tmp_path / "a.jdx", _jcamp(ROWS, MOLFORM="C3 H8 O", **_smiles("CCO"))))
    assert error.reason == "the formula C3 H8 O contradicts CCO, which is C2H6O; correct one"


def test_an_unknown_has_no_structure_and_is_called_by_its_title(tmp_path: Path) -> None:
    (found,), _ = _all(read_jcamp, _write(tmp_path / "a.jdx", _jcamp(ROWS, CAS_REGISTRY_NO="64-17-5")))
    assert found.structure is None
    assert found.name == "ethanol"
    (found,), _ = _all(read_jcamp, _write(tmp_path / "a.jdx", _jcamp(ROWS, TITLE="", CAS_REGISTRY_NO="64-17-5")))
    assert found.name == "64-17-5"
    assert getattr(found.record, "identifier", None) == "a"


def test_percent_transmittance_over_micrometres_becomes_absorbance_over_wavenumbers(tmp_path: Path) -> None:
    rows = ["2 100 10 1", "8 50 25"]
    labels: dict[str, Any] = {
        "XUNITS": "MICROMETERS",
        "YUNITS": "% TRANSMITTANCE",
        "FIRSTX": 2,
        "LASTX": 10,
        "NPOINTS": 5,
    }
    trace = _trace(read_jcamp, _write(tmp_path / "a.jdx", _jcamp(rows, **labels)))
    np.testing.assert_allclose(trace.x, [1000, 1250, 1e4 / 6, 2500, 5000])
    np.testing.assert_allclose(trace.y, [0.60206, 0.30103, 2, 1, 0], atol=1e-5)


def test_several_spectra_in_a_link_block_share_its_structure(tmp_path: Path) -> None:
    inner = _jcamp(ROWS)
    text = f"##TITLE=all\n##DATA TYPE=LINK\n##BLOCKS=2\n##$SMILES=CCO\n{inner}{inner}##END=\n"
    found, errors = _all(read_jcamp, _write(tmp_path / "a.jdx", text))
    assert not errors
    assert [m.structure and m.structure.smiles for m in found] == ["CCO", "CCO"]


def test_other_kinds_of_data_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    text = f"##TITLE=all\n##DATA TYPE=LINK\n{_jcamp(ROWS)}{_jcamp(ROWS, DATA_TYPE='NMR SPECTRUM')}##END=\n"
    found, errors = _all(read_jcamp, _write(tmp_path / "a.jdx", text))
    assert len(found) == 1
    assert [(e.line, e.record) for e in errors] == [(17, "ethanol")]
    assert "a block of type 'NMR SPECTRUM'" in errors[0].reason


def test_missing_values_are_left_out(tmp_path: Path) -> None:
    trace = _trace(read_jcamp, _write(tmp_path / "a.jdx", _jcamp(["1000 0.1 ? 0.3", "1003 ? 0.4"])))
    np.testing.assert_allclose(trace.x, [1000, 1002, 1004])


def test_points_at_uneven_places_are_read(tmp_path: Path) -> None:
    text = _jcamp(["1000, 0.1", "1002, 0.2", "1007, 0.4"], form="XYPOINTS=(XY..XY)", NPOINTS=3)
    trace = _trace(read_jcamp, _write(tmp_path / "a.jdx", text))
    np.testing.assert_allclose(trace.x, [1000, 1002, 1007])


def test_a_table_of_peaks_is_no_spectrum_unless_it_is_dense(tmp_path: Path) -> None:
    rows = [f"{x} {np.sin(x / 50) ** 2}" for x in range(1000, 1200)]
    dense = _jcamp(rows, form="PEAK TABLE=(XY..XY)", NPOINTS=200)
    assert len(_trace(read_jcamp, _write(tmp_path / "a.jdx", dense))) == 200
    for sparse in (rows[:20], [*rows[:150], "1900 0.5"]):
        text = _jcamp(sparse, form="PEAK TABLE=(XY..XY)", NPOINTS=len(sparse))
        assert "a list of peaks" in _refusal(read_jcamp, _write(tmp_path / "a.jdx", text)).reason


def test_pages_of_a_series_are_spectra_of_their_own(tmp_path: Path) -> None:
    text = """##TITLE=series
##DATA TYPE=INFRARED SPECTRUM
##NTUPLES=INFRARED SPECTRUM
##SYMBOL=X, Y, T
##VAR_DIM=3, 3, 2
##UNITS=1/CM, ABSORBANCE, SECONDS
##FIRST=1000, 0, 1
##LAST=1002, 0, 2
##PAGE=T=1
##DATA TABLE=(X++(Y..Y)), XYDATA
1000 1 2 3
##PAGE=T=2
##DATA TABLE=(X++(Y..Y)), XYDATA
1000 4 5 7
##END NTUPLES=INFRARED SPECTRUM
##END=
"""
    found, errors = _all(read_jcamp, _write(tmp_path / "a.jdx", text))
    assert not errors
    assert [getattr(m.record, "identifier", None) for m in found] == ["series T=1", "series T=2"]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (_jcamp(ROWS, end=False), 13, "ends before the ##END="),
        (_jcamp(ROWS[:1]), 11, "5 points are stated, 3 were found"),
        (_jcamp(ROWS, NPOINTS=4, LASTX=1003), 11, "4 points are stated, 5 were found"),
        (_jcamp(["1000 0.1 0.2 0.3", "1002 0.5 0.4"]), 13, "x is 1002, wanted 1003"),
        (_jcamp(["1000A0J2", "1001B3JJ", "1003B5J"]), 13, "y is 23, but the line before ended with 22"),
        (_jcamp(["1000 0.1 0.2 0.3", "1003 0.5 &"]), 13, "'&' is no digit"),
        (_jcamp(ROWS, FIRSTX=2000, LASTX=2004), 12, "a factor, the first or the last x is wrong"),
        (_jcamp(ROWS, XUNITS="HZ"), 11, "x in 'HZ'"),
        (_jcamp(ROWS, XUNITS=None), 10, "x in ''"),
        (_jcamp(ROWS, YUNITS="ARBITRARY UNITS"), 11, "neither absorbance nor transmittance"),
        (_jcamp(ROWS, YUNITS="REFLECTANCE"), 11, "a reflectance"),
        (_jcamp(["1000 0 -1 -2", "1003 0 0"], YUNITS="TRANSMITTANCE"), 11, "no transmittance is positive"),
        (_jcamp(["1000 1 1 1", "1003 1 1"]), 11, "every y is 1"),
        (_jcamp(["1000 ? ? ?", "1003 ? 1"]), 11, "1 points are no spectrum"),
        (_jcamp([], NPOINTS=0), 11, "0 points are no spectrum"),
        (_jcamp(["1 1", "3 2", "2 3"], form="XYPOINTS=(XY..XY)", NPOINTS=3), 11, "turns round"),
        (_jcamp(["0 1", "3 2"], form="XYPOINTS=(XY..XY)", NPOINTS=2), 11, "x is 0 at point 1"),
        (_jcamp(["1 1", "2 1e999"], form="XYPOINTS=(XY..XY)", NPOINTS=2), 11, "finite numbers are wanted"),
        (_jcamp(ROWS, YFACTOR="1e999", YUNITS="%T"), 11, "finite numbers are wanted"),
        ("##TITLE=ethanol\n##DATA TYPE=INFRARED SPECTRUM\n##END=\n", 1, "a block without data"),
    ],
)
def test_a_damaged_block_is_refused_with_its_line(tmp_path: Path, text: str, line: int, reason: str) -> None:
    error = _refusal(read_jcamp, _write(tmp_path / "a.jdx", text))
    assert reason in error.reason
    assert error.line == line
    assert error.record == "ethanol"


LONG = _jcamp([f"{1000 + i} 0.1 0.{i:03d} 0.3 0.{i + 1:03d} 0.5" for i in range(0, 200, 5)], LASTX=1199, NPOINTS=200)


@given(place=st.integers(0, LONG.index("##END")))
def test_a_file_cut_off_anywhere_gives_no_spectrum(place: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = _write(tmp_path_factory.getbasetemp() / "cut.jdx", LONG[:place])
    try:
        found, _ = _all(read_jcamp, path)
    except ReadError:
        return
    assert not found


@given(line=st.integers(11, 50), times=st.sampled_from([0, 2]))
def test_a_line_lost_or_doubled_gives_no_spectrum(
    line: int, times: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lines = LONG.splitlines(keepends=True)
    lines[line : line + 1] = [lines[line]] * times
    found, (error,) = _all(read_jcamp, _write(tmp_path_factory.getbasetemp() / "lost.jdx", "".join(lines)))
    assert not found
    assert error.line


def test_bytes_that_are_not_utf_8_are_read_as_latin_1(tmp_path: Path) -> None:
    path = tmp_path / "a.jdx"
    path.write_bytes(_jcamp(ROWS, TITLE="éthanol").encode("latin-1"))
    assert _trace(read_jcamp, path).identifier == "éthanol"


def test_a_file_without_data_is_told(tmp_path: Path) -> None:
    assert "no data in it" in _refusal(read_jcamp, _write(tmp_path / "a.jdx", "##TITLE=a\n##END=\n")).reason


@with_jcamp
def test_every_encoding_of_one_spectrum_gives_one_spectrum() -> None:
    names = ("affn", "pac", "sqz", "dif", "difdup")
    traces = [_trace(read_jcamp, DATA / "jcamp" / f"synthetic__absorbance_{name}.jdx") for name in names]
    for trace in traces:
        np.testing.assert_array_equal(trace.y, traces[0].y)
        np.testing.assert_array_equal(trace.x, traces[0].x)


@with_jcamp
@pytest.mark.parametrize("name", ["micrometer_transmittance", "percent_transmittance"])
def test_one_molecule_has_its_bands_in_one_place_however_it_was_written(name: str) -> None:
    wanted = _trace(read_jcamp, DATA / "jcamp" / "synthetic__absorbance_affn.jdx")
    trace = _trace(read_jcamp, DATA / "jcamp" / f"synthetic__{name}.jdx")
    inside = (wanted.x > trace.x[0]) & (wanted.x < trace.x[-1])
    found = np.interp(wanted.x[inside], trace.x, trace.y)
    assert np.corrcoef(found, wanted.y[inside])[0, 1] > 0.99
    for band in (1715, 2960):  # cm^-1, of the file's description
        near = (trace.x > band - 40) & (trace.x < band + 40)
        assert abs(trace.x[near][trace.y[near].argmax()] - band) < 8


@with_jcamp
def test_every_sound_infrared_file_is_read_and_the_others_say_why_not() -> None:
    found: list[Measurement] = []
    wrong: dict[str, str] = {}
    for path in sorted((DATA / "jcamp").iterdir()):
        if re.search(rb"##DATA ?TYPE= *(INFRARED|FT-?IR|IR)\b", path.read_bytes(), re.IGNORECASE):
            good, bad = _all(read_jcamp, path)
            found.extend(good)
            wrong |= {path.name.rpartition("__")[2]: error.reason for error in bad}
    assert len(found) == 27
    assert wrong.keys() == {"SPECFILE.DX", "broken_ycheck.jdx", "MiniDIFDUP.JDX", "uv_ACD.jdx"}
    assert wrong["broken_ycheck.jdx"] == "y is 2, but the line before ended with -4: one of them is damaged"
    assert "points are missing, doubled or damaged" in wrong["SPECFILE.DX"]
    assert "the last x is wrong" in wrong["MiniDIFDUP.JDX"]
    assert "y in 'ARBITRARY UNITS'" in wrong["uv_ACD.jdx"]


# Two columns of text


@pytest.mark.parametrize(
    "text",
    [
        "1000 0.1\n1001 0.25\n1002 0.2\n",
        "1000\t0.1\n1001\t0.25\n1002\t0.2\n",
        "1000,0.1\n1001,0.25\n1002,0.2\n",
        "1000, 0.1\n1001, 0.25\n1002, 0.2\n",
        "1000;0,1\n1001;0,25\n1002;0,2\n",
        "1000,0\t0,1\n1001,0\t0,25\n1002,0\t0,2\n",
        "1000,0 0,1\n1001,0 0,25\n1002,0 0,2\n",
        '"1000","0.1"\n"1001","0.25"\n"1002","0.2"\n',
        "1000,0.1,\r\n1001,0.25,\r\n1002,0.2,\r\n",
        "1.002e3 2e-1\n1.001e3 .25\n1e3 .1\n",
        "wavenumber,absorbance\n1000,0.1\n1001,0.25\n1002,0.2\n",
        "# Wavenumber (cm-1)\tAbsorbance\n\n1000\t0.1\n1001\t0.25\n\n1002\t0.2\n# the end\n",
        "Wavelength (nm);A\n10000;0,1\n9990,00999;0,25\n9980,03992;0,2\n",
        "Wavelength (µm) %T\n10 79.432823\n9.990010 56.234133\n9.980040 63.095734\n",
        "x: um\ny: transmittance\n10 .79432823\n9.990010 .56234133\n9.980040 .63095734\n",
    ],
)
def test_two_columns_are_read_however_they_are_parted(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8")
    trace = _trace(read_xy, path)
    np.testing.assert_allclose(trace.x, [1000, 1001, 1002], rtol=1e-6)
    np.testing.assert_allclose(trace.y, [0.1, 0.25, 0.2], rtol=1e-6)


def test_text_names_its_compound_by_its_head_or_by_its_file(tmp_path: Path) -> None:
    (found,), _ = _all(read_xy, _write(tmp_path / "a.xy", "# name: Ethanol\n# smiles = OCC\n1000 1\n1001 2\n"))
    assert found.name == "Ethanol"
    assert found.structure is not None
    assert (found.structure.smiles, found.structure.name) == ("CCO", "Ethanol")
    (found,), _ = _all(read_xy, _write(tmp_path / "my sample.xy", "1000 1\n1001 2\n"))
    assert (found.name, found.structure) == ("my sample", None)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("1000 1\n1001 two\n1002 3\n", 2, "'1001 two' is not a pair of numbers"),
        ("1000 1\n1001 2 3\n1002 3\n", 2, "not a pair of numbers"),
        ("1000,5,0,1\n1001,5,0,2\n", None, "no two columns of numbers"),
        ("", None, "no two columns of numbers"),
        ("hello\nworld\n", None, "no two columns of numbers"),
        ("1000 1\n", None, "no two columns of numbers"),
    ],
)
def test_text_that_is_not_two_columns_is_refused(tmp_path: Path, text: str, line: int | None, reason: str) -> None:
    with pytest.raises(ReadError, match=reason) as caught:
        list(read_xy(_write(tmp_path / "a.txt", text)))
    assert caught.value.line == line


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1000 1\n1002 2\n1001 3\n", "turns round"),
        ("1000 1\n1000 2\n1001 3\n", "repeats"),
        ("1 1\n2 2\n3 1\n", "x goes from 1 to 3 in no stated unit"),
        ("1000 99\n1001 20\n1002 98\n", "may be transmittance"),
        ("1000 0.99\n1001 0.2\n1002 0.98\n", "may be transmittance"),
        ("cm-1, %R\n1000 0.99\n1001 0.2\n1002 0.98\n", "a reflectance"),
        ("cm-1, %T\n1000 0\n1001 -1\n1002 -2\n", "no transmittance is positive"),
        ("1000 1\n1001 1\n1002 1\n", "every y is 1"),
    ],
)
def test_columns_that_are_no_spectrum_are_refused_with_the_line_they_begin_at(
    tmp_path: Path, text: str, reason: str
) -> None:
    error = _refusal(read_xy, _write(tmp_path / "a.txt", text))
    assert reason in error.reason
    assert error.line == (2 if text.startswith("cm") else 1)


@pytest.mark.parametrize("row", ["1001 nan", "1001 inf", "inf 2"])
def test_a_number_that_is_not_finite_is_refused_with_its_line(tmp_path: Path, row: str) -> None:
    error = _refusal(read_xy, _write(tmp_path / "a.txt", f"1000 1\n{row}\n1002 3\n"))
    assert (error.line, error.reason) == (2, "finite numbers are wanted")


@given(text=st.text(alphabet="0123456789.,;\t \neE+-naif#:x", max_size=200))
def test_no_text_breaks_the_reader_of_columns(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = _write(tmp_path_factory.getbasetemp() / "random.txt", text)
    try:
        (item,) = read_xy(path)
    except ReadError:
        return
    assert isinstance(item, ReadError) or is_xy(path)


# Units


@pytest.mark.parametrize(
    ("unit", "kind"),
    [
        ("1/CM", "wavenumber"),
        ("cm-1", "wavenumber"),
        ("cm^-1", "wavenumber"),
        ("cm**-1", "wavenumber"),
        ("Wavenumber", "wavenumber"),
        ("Wavenumbers (cm⁻¹)", "wavenumber"),
        ("MICROMETERS", "um"),
        ("µm", "um"),
        ("microns", "um"),
        ("Wavelength (um)", "um"),
        ("NANOMETERS", "nm"),
        ("nm", "nm"),
        ("HZ", None),
        ("", None),
        ("SECONDS", None),
        ("ppm", None),
    ],
)
def test_axes_are_known_by_many_names(unit: str, kind: str | None) -> None:
    assert axis_kind(unit) == kind


@pytest.mark.parametrize(
    ("unit", "kind"),
    [
        ("ABSORBANCE", "as it is"),
        ("Absorbance units", "as it is"),
        ("A", "as it is"),
        ("KUBELKA-MUNK", "as it is"),
        ("log(1/R)", "as it is"),
        ("(micromol/mol)-1m-1 (base 10)", "as it is"),
        ("TRANSMITTANCE", "transmittance"),
        ("% TRANSMITTANCE", "transmittance"),
        ("%T", "transmittance"),
        ("Transmission", "transmittance"),
        ("absorption index", "absorption index"),
        ("dispersion index", "refractive index"),
        ("Real refractive index", "refractive index"),
        ("Imaginary refractive index", "absorption index"),
        ("reflectance", "reflectance"),
        ("% Reflectance", "reflectance"),
        ("ARBITRARY UNITS", None),
        ("COUNTS", None),
    ],
)
def test_signals_are_known_by_many_names(unit: str, kind: str | None) -> None:
    assert signal_kind(unit) == kind


@given(t=st.lists(st.floats(1e-3, 1.5), min_size=2, max_size=9))
def test_transmittance_in_parts_and_in_percent_is_one_absorbance(t: list[float]) -> None:
    axis, through = np.arange(1.0, len(t) + 1), np.array(t)
    as_parts = absorbance(through, "TRANSMITTANCE", axis)
    np.testing.assert_allclose(as_parts, -np.log10(through), atol=1e-12)
    np.testing.assert_allclose(absorbance(through * 100, "%T", axis), as_parts, atol=1e-12)


def test_percent_is_told_by_its_values_where_the_unit_does_not_say_so() -> None:
    axis = np.array([1.0, 2.0])
    np.testing.assert_allclose(absorbance(np.array([10.0, 100.0]), "TRANSMITTANCE", axis), [1, 0], atol=1e-12)
    spike = np.array([*[0.1] * 98, 1.0, 3.0])
    assert absorbance(spike, "TRANSMITTANCE", np.arange(1.0, 101))[0] == pytest.approx(1)


def test_transmittance_of_nothing_and_less_is_the_floor() -> None:
    found = absorbance(np.array([0.0, -0.1, 1.0]), "TRANSMITTANCE", np.arange(1.0, 4.0))
    np.testing.assert_allclose(found, [-np.log10(FLOOR)] * 2 + [0.0])


def test_an_absorption_index_becomes_the_absorbance_of_a_thin_layer() -> None:
    # Liquid water at 1640 cm^-1: k = 0.131 (Hale and Querry, doi:10.1364/AO.12.000555); a layer of 1 um absorbs 0.117.
    found = absorbance(np.array([0.131]), "ABSORPTION INDEX", np.array([1640.0]))
    np.testing.assert_allclose(found, 4 * np.pi * 0.131 * 1640 * 1e-4 / np.log(10))
    assert found[0] == pytest.approx(0.117, abs=1e-3)


def test_an_axis_that_is_not_positive_is_refused() -> None:
    with pytest.raises(RecordError, match="x is 0 at point 2"):
        wavenumbers(np.array([1.0, 0.0]), "um")


# SPC


def _spc(spectra: Sequence[Sequence[float]], *, x_type: int = 1, y_type: int = 2, version: int = 0x4B) -> bytes:
    """An SPC file of evenly spaced x from 1000 to 1004, after the header that Galactic published."""
    n = len(spectra[0])
    flags = 4 if len(spectra) > 1 else 0
    head = struct.pack("<BBBbIddI4BI", flags, version, 4, -128, n, 1000, 1004, len(spectra), x_type, y_type, 0, 0, 0)
    subs = b""
    for i, y in enumerate(spectra):
        subs += struct.pack("<BbHfffIIf4x", 0, -128, i, i, i + 1, 0, n, 0, 0) + struct.pack(f"<{n}f", *y)
    return head.ljust(512, b"\0") + subs


def test_spc_files_hold_one_spectrum_or_several(tmp_path: Path) -> None:
    pytest.importorskip("spc_io")
    path = tmp_path / "a.spc"
    path.write_bytes(_spc([[1, 2, 3, 5, 4]]))
    trace = _trace(read_spc, path)
    np.testing.assert_allclose(trace.x, [1000, 1001, 1002, 1003, 1004])
    np.testing.assert_allclose(trace.y, [1, 2, 3, 5, 4])
    path.write_bytes(gzip.compress(_spc([[10, 100, 1], [100, 10, 1]], y_type=128)))
    found, errors = _all(read_spc, path)
    assert not errors
    assert [getattr(m.record, "identifier", "") for m in found] == ["a 1", "a 2"]
    assert isinstance(found[0].record, Trace)
    np.testing.assert_allclose(found[0].record.y, [1, 0, 2], atol=1e-12)


def test_spc_files_of_other_kinds_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("spc_io")
    path = tmp_path / "a.spc"
    path.write_bytes(_spc([[1, 2, 3]], x_type=13))
    assert "x in 'XRAMANS'" in _refusal(read_spc, path).reason
    for content in (b"", _spc([[1, 2, 3]])[:-6], _spc([[1, 2, 3]], version=0x4D), b"x" * 600):
        path.write_bytes(content)
        with pytest.raises(ReadError, match="damaged, or not a new-format SPC file"):
            list(read_spc(path))


@pytest.mark.parametrize(("read", "module", "extra"), [(read_spc, "spc_io", "spc"), (read_opus, "brukeropus", "opus")])
def test_a_missing_library_is_named_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Read, module: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ReadError, match=rf"pip install 'molvis-ir\[{extra}\]'"):
        list(read(_write(tmp_path / "a.0", "x")))


# OPUS


def _parameters(**values: int | float | str) -> bytes:
    out = b""
    for key, value in values.items():
        if isinstance(value, str):
            data, kind = value.encode().ljust(len(value) + 4 - len(value) % 4, b"\0"), 2
        else:
            data, kind = (struct.pack("<i", value), 0) if isinstance(value, int) else (struct.pack("<d", value), 1)
        out += key.encode() + b"\0" + struct.pack("<2h", kind, len(data) // 2) + data
    return out + b"END\0" + bytes(4)


def _opus(y: Sequence[float], *, kind: int = 4, unit: str = "WN") -> bytes:
    """An OPUS file with one block of data, its status and the sample's name."""
    amplitude = 3 | 3 << 2
    low, high = float(np.float32(min(y))), float(np.float32(max(y)))
    status = _parameters(DPF=1, NPT=len(y), FXV=1004.0, LXV=1000.0, CSF=1.0, MXY=high, MNY=low, DXU=unit)
    blocks = [
        (amplitude | kind << 10, struct.pack(f"<{len(y)}f", *y)),
        (amplitude | 1 << 4 | kind << 10, status),
        (10 << 4, _parameters(SNM="ethanol")),
    ]
    start = 24 + 12 * (len(blocks) + 1)
    directory = struct.pack("<3i", 13 << 10, 3 * (len(blocks) + 1), 24)
    content = b""
    for number, data in blocks:
        directory += struct.pack("<3i", number, len(data) // 4, start + len(content))
        content += data
    count = len(blocks) + 1
    return b"\n\n\xfe\xfe" + struct.pack("<d3i", 920622.0, 24, count, count) + directory + content


def test_the_absorbance_of_an_opus_file_is_read_with_the_name_of_its_sample(tmp_path: Path) -> None:
    pytest.importorskip("brukeropus")
    path = tmp_path / "a.0"
    path.write_bytes(_opus([1, 2, 3, 5, 4]))
    (found,), errors = _all(read_opus, path)
    assert not errors
    assert found.name == "ethanol"
    trace = _trace(read_opus, path)
    assert trace.identifier == "a.0"
    np.testing.assert_allclose(trace.x, [1000, 1001, 1002, 1003, 1004])
    np.testing.assert_allclose(trace.y, [4, 5, 3, 2, 1])


def test_the_transmittance_of_an_opus_file_becomes_absorbance(tmp_path: Path) -> None:
    pytest.importorskip("brukeropus")
    path = tmp_path / "a.0.gz"
    path.write_bytes(gzip.compress(_opus([1, 0.1, 0.01], kind=5)))
    np.testing.assert_allclose(_trace(read_opus, path).y, [2, 1, 0], atol=1e-6)


def test_opus_files_without_a_spectrum_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("brukeropus")
    path = tmp_path / "a.0"
    path.write_bytes(_opus([1, 2, 3], kind=2))
    assert "Interferogram" in _refusal(read_opus, path).reason
    path.write_bytes(_opus([1, 2, 3], unit="PNT"))
    assert "x in 'PNT'" in _refusal(read_opus, path).reason
    path.write_bytes(b"hello, world")
    with pytest.raises(ReadError, match="not an OPUS file"):
        list(read_opus(path))
    path.write_bytes(_opus([1, 2, 3])[:30])
    with pytest.raises(ReadError, match="damaged"):
        list(read_opus(path))


# Tables


def _table(path: Path, **columns: Any) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    base: dict[str, Any] = {
        "spectrum_id": ["s1", "s2"],
        "name": ["Ethanol", None],
        "smiles": ["OCC", None],
        "inchikey": ["LFQSCWFLJHTTHZ-UHFFFAOYSA-N", None],
        "x_units": ["1/cm", "1/cm"],
        "y_units": ["absorbance", "absorbance"],
        "first_x": [1000.0, 1004.0],
        "last_x": [1002.0, 1000.0],
        "n_points": [3, 3],
        "y_scale": [0.1, 0.5],
        "y": pa.array([[1, 2, 4], [3, 2, 1]], pa.list_(pa.int16())),
        "fold": ["train", "test"],
        "licence": ["CC0", None],
    }
    pq.write_table(pa.table({k: v for k, v in {**base, **columns}.items() if v is not None}), path)
    return path


def test_a_table_gives_a_spectrum_for_each_row(tmp_path: Path) -> None:
    (one, two), errors = _all(read_parquet, _table(tmp_path / "a.parquet"))
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
        found, (error,) = _all(read_parquet, _table(tmp_path / "a.parquet", **columns))
        assert len(found) == 1
        assert reason in error.reason
        assert (error.line, error.record) == (2, "s2")


def test_a_table_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no column y_scale"):
        list(read_parquet(_table(tmp_path / "a.parquet", y_scale=None)))
    with pytest.raises(ReadError, match="column y holds"):
        list(read_parquet(_table(tmp_path / "a.parquet", y=[1, 2])))
    with pytest.raises(ReadError, match="not a Parquet file"):
        list(read_parquet(_write(tmp_path / "a.parquet", "hello")))


@with_tables
def test_of_optical_constants_the_absorption_index_is_kept() -> None:
    found, errors = _all(read_parquet, DATA / "ir" / "ir_public_domain.parquet")
    assert len(found) == 8
    assert len(errors) == 68
    kinds = {e.reason.partition(":")[0] for e in errors}
    assert kinds == {"y in 'reflectance'", "y in 'dispersion index'"}


@with_tables
def test_the_benchmark_table_keeps_folds_and_identities() -> None:
    items = [item for item, _ in zip(read_parquet(DATA / "ir" / "ir_gas.parquet"), range(50), strict=False)]
    assert all(isinstance(i, Measurement) and i.structure is not None and i.fold for i in items)


# Which reader reads what


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
    columns = _write(tmp_path / "a.txt", "cm-1 A\n1000 1\n1001 2\n")
    assert is_xy(columns)
    assert not is_xy(_write(tmp_path / "b.txt", "ACCESSION: X\nCH$NAME: y\n"))
    assert not is_xy(_write(tmp_path / "c.csv", "smiles,ccs\nCCO,120.1\nCCC,130\n"))
    assert not is_xy(tmp_path / "missing.txt")
    assert is_ir_table(_table(tmp_path / "a.parquet"))
    assert not is_ir_table(columns)


def test_a_spectrum_is_imported_without_naming_its_reader(tmp_path: Path) -> None:
    files = [
        _write(tmp_path / "a.jdx", _jcamp(ROWS)),
        _write(tmp_path / "b.txt", "1000 1\n1001 2\n"),
        _table(tmp_path / "c.parquet"),
    ]
    report = import_files(files, tmp_path / "dataset")
    assert report.imported == {"ir": 4}
    record = Dataset.open(tmp_path / "dataset").record("ir", 0)
    np.testing.assert_allclose(record.y, [0.1, 0.2, 0.3, 0.5, 0.4])


# Writing


def test_a_written_spectrum_keeps_every_digit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    even = Trace(np.linspace(400.1, 3999.9, 501), rng.normal(size=501), identifier="even")
    uneven = Trace(np.sort(rng.uniform(400, 4000, 77)), rng.normal(size=77), identifier="uneven")
    known = structure("C[N+](C)(C)CCO", name="choline")
    for items in (
        [Measurement(even, known, "ir", name="choline")],
        [Measurement(t, None, "ir") for t in (even, uneven)],
    ):
        path = tmp_path / "a.jdx"
        write_jcamp(path, items)
        assert max(map(len, path.read_text().splitlines())) <= 80
        found, errors = _all(read_jcamp, path)
        assert not errors
        for before, after in zip(items, found, strict=True):
            assert isinstance(before.record, Trace)
            assert isinstance(after.record, Trace)
            np.testing.assert_array_equal(after.record.y, before.record.y)
            np.testing.assert_allclose(after.record.x, before.record.x, rtol=1e-12)
            assert after.record.identifier == before.record.identifier
            assert after.structure == before.structure


def test_a_title_cannot_break_a_written_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jdx"
    trace = Trace(np.arange(1.0, 5), np.arange(4.0), identifier="a\n##END=$$ b")
    write_jcamp(path, [Measurement(trace, None, "ir")])
    assert _trace(read_jcamp, path).identifier == "a ##END=$ b"


def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="cannot be written"):
        write_jcamp(tmp_path / "missing" / "a.jdx", [])
    with pytest.raises(WriteError, match="a trace is wanted"):
        write_jcamp(tmp_path / "a.jdx", [Measurement(PeakList(np.ones(1), np.ones(1)), None, "ir")])
    assert not list(tmp_path.iterdir())


class TestJcamp(ReaderContract):
    @pytest.fixture
    def read(self) -> Read:
        return read_jcamp

    @pytest.fixture
    def modality(self) -> str:
        return "ir"

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return _write(tmp_path / "good.jdx", _jcamp(ROWS, **_smiles("CCO")))

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return _write(tmp_path / "bad.jdx", _jcamp(ROWS[:1]))

    @pytest.fixture
    def write(self) -> Any:
        return write_jcamp


class TestXyText(ReaderContract):
    @pytest.fixture
    def read(self) -> Read:
        return read_xy

    @pytest.fixture
    def modality(self) -> str:
        return "ir"

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return _write(tmp_path / "good.csv", "cm-1,absorbance\n1000,0.1\n1001,0.2\n")

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return _write(tmp_path / "bad.csv", "cm-1,absorbance\n1000,0.1\n1001,\n")


class TestParquet(ReaderContract):
    @pytest.fixture
    def read(self) -> Read:
        return read_parquet

    @pytest.fixture
    def modality(self) -> str:
        return "ir"

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return _table(tmp_path / "good.parquet")

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return _table(tmp_path / "bad.parquet", n_points=[3, 4])


class TestSpc(ReaderContract):
    @pytest.fixture(autouse=True)
    def library(self) -> None:
        pytest.importorskip("spc_io")

    @pytest.fixture
    def read(self) -> Read:
        return read_spc

    @pytest.fixture
    def modality(self) -> str:
        return "ir"

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        (tmp_path / "good.spc").write_bytes(_spc([[1, 2, 3]]))
        return tmp_path / "good.spc"

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        (tmp_path / "bad.spc").write_bytes(_spc([[1, 2, 3]], y_type=0))
        return tmp_path / "bad.spc"


class TestOpus(ReaderContract):
    @pytest.fixture(autouse=True)
    def library(self) -> None:
        pytest.importorskip("brukeropus")

    @pytest.fixture
    def read(self) -> Read:
        return read_opus

    @pytest.fixture
    def modality(self) -> str:
        return "ir"

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        (tmp_path / "good.0").write_bytes(_opus([1, 2, 3]))
        return tmp_path / "good.0"

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        (tmp_path / "bad.0").write_bytes(_opus([1, 2, 3], kind=2))
        return tmp_path / "bad.0"
