"""Infrared spectra in JCAMP-DX files."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ir_samples import (
    DATA,
    ETHANOL,
    LONG,
    ROWS,
    Read,
    jcamp_text,
    read_all,
    refusal_of,
    smiles_labels,
    trace_of,
    with_jcamp,
    write_file,
)

from molvis_core.errors import ReadError
from molvis_core.records import Measurement, Trace
from molvis_core.registry import for_suffix, reader_for
from molvis_core.testing import ReaderContract
from molvis_ir.readers.jcamp import is_jcamp, read_jcamp
from molvis_ir.writers import write_jcamp


def test_a_spectrum_comes_with_its_structure_and_its_origin(tmp_path: Path) -> None:
    text = jcamp_text(ROWS, NAMES="Ethanol\nSpirit", ORIGIN="a lab", OWNER="public domain", **smiles_labels("OCC"))
    (found,), errors = read_all(read_jcamp, write_file(tmp_path / "a.jdx", text))
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
    (found,), _ = read_all(read_jcamp, write_file(tmp_path / "a.jdx", jcamp_text(ROWS, **labels)))
    assert found.structure is not None
    assert found.structure.smiles == ETHANOL


def test_a_structure_that_rdkit_refuses_is_refused(tmp_path: Path) -> None:
    error = refusal_of(read_jcamp, write_file(tmp_path / "a.jdx", jcamp_text(ROWS, **smiles_labels("C(C"))))
    assert "RDKit refuses" in error.reason


def test_a_formula_that_contradicts_the_structure_is_refused(tmp_path: Path) -> None:
    for formula in ("C2 H6 O", "C2H6O", "C2 H5 D O", "(C2H4O)n"):
        found, errors = read_all(
            read_jcamp, write_file(tmp_path / "a.jdx", jcamp_text(ROWS, MOLFORM=formula, **smiles_labels("CCO")))
        )
        assert (len(found), len(errors)) == (1, 0)
    error = refusal_of(
        read_jcamp, write_file(tmp_path / "a.jdx", jcamp_text(ROWS, MOLFORM="C3 H8 O", **smiles_labels("CCO")))
    )
    assert error.reason == "the formula C3 H8 O contradicts CCO, which is C2H6O; correct one"


def test_an_unknown_has_no_structure_and_is_called_by_its_title(tmp_path: Path) -> None:
    (found,), _ = read_all(read_jcamp, write_file(tmp_path / "a.jdx", jcamp_text(ROWS, CAS_REGISTRY_NO="64-17-5")))
    assert found.structure is None
    assert found.name == "ethanol"
    (found,), _ = read_all(
        read_jcamp, write_file(tmp_path / "a.jdx", jcamp_text(ROWS, TITLE="", CAS_REGISTRY_NO="64-17-5"))
    )
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
    trace = trace_of(read_jcamp, write_file(tmp_path / "a.jdx", jcamp_text(rows, **labels)))
    np.testing.assert_allclose(trace.x, [1000, 1250, 1e4 / 6, 2500, 5000])
    np.testing.assert_allclose(trace.y, [0.60206, 0.30103, 2, 1, 0], atol=1e-5)


def test_several_spectra_in_a_link_block_share_its_structure(tmp_path: Path) -> None:
    inner = jcamp_text(ROWS)
    text = f"##TITLE=all\n##DATA TYPE=LINK\n##BLOCKS=2\n##$SMILES=CCO\n{inner}{inner}##END=\n"
    found, errors = read_all(read_jcamp, write_file(tmp_path / "a.jdx", text))
    assert not errors
    assert [m.structure and m.structure.smiles for m in found] == ["CCO", "CCO"]


def test_other_kinds_of_data_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    text = f"##TITLE=all\n##DATA TYPE=LINK\n{jcamp_text(ROWS)}{jcamp_text(ROWS, DATA_TYPE='NMR SPECTRUM')}##END=\n"
    found, errors = read_all(read_jcamp, write_file(tmp_path / "a.jdx", text))
    assert len(found) == 1
    assert [(e.line, e.record) for e in errors] == [(17, "ethanol")]
    assert "a block of type 'NMR SPECTRUM'" in errors[0].reason


def test_missing_values_are_left_out(tmp_path: Path) -> None:
    trace = trace_of(read_jcamp, write_file(tmp_path / "a.jdx", jcamp_text(["1000 0.1 ? 0.3", "1003 ? 0.4"])))
    np.testing.assert_allclose(trace.x, [1000, 1002, 1004])


def test_points_at_uneven_places_are_read(tmp_path: Path) -> None:
    text = jcamp_text(["1000, 0.1", "1002, 0.2", "1007, 0.4"], form="XYPOINTS=(XY..XY)", NPOINTS=3)
    trace = trace_of(read_jcamp, write_file(tmp_path / "a.jdx", text))
    np.testing.assert_allclose(trace.x, [1000, 1002, 1007])


def test_a_table_of_peaks_is_no_spectrum_unless_it_is_dense(tmp_path: Path) -> None:
    rows = [f"{x} {np.sin(x / 50) ** 2}" for x in range(1000, 1200)]
    dense = jcamp_text(rows, form="PEAK TABLE=(XY..XY)", NPOINTS=200)
    assert len(trace_of(read_jcamp, write_file(tmp_path / "a.jdx", dense))) == 200
    for sparse in (rows[:20], [*rows[:150], "1900 0.5"]):
        text = jcamp_text(sparse, form="PEAK TABLE=(XY..XY)", NPOINTS=len(sparse))
        assert "a list of peaks" in refusal_of(read_jcamp, write_file(tmp_path / "a.jdx", text)).reason


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
    found, errors = read_all(read_jcamp, write_file(tmp_path / "a.jdx", text))
    assert not errors
    assert [getattr(m.record, "identifier", None) for m in found] == ["series T=1", "series T=2"]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (jcamp_text(ROWS, end=False), 13, "ends before the ##END="),
        (jcamp_text(ROWS[:1]), 11, "5 points are stated, 3 were found"),
        (jcamp_text(ROWS, NPOINTS=4, LASTX=1003), 11, "4 points are stated, 5 were found"),
        (jcamp_text(["1000 0.1 0.2 0.3", "1002 0.5 0.4"]), 13, "x is 1002, expected 1003"),
        (jcamp_text(["1000A0J2", "1001B3JJ", "1003B5J"]), 13, "y is 23, but the line before ended with 22"),
        (jcamp_text(["1000 0.1 0.2 0.3", "1003 0.5 &"]), 13, "'&' is no digit"),
        (jcamp_text(ROWS, FIRSTX=2000, LASTX=2004), 12, "a factor, the first or the last x is wrong"),
        (jcamp_text(ROWS, XUNITS="HZ"), 11, "x in 'HZ'"),
        (jcamp_text(ROWS, XUNITS=None), 10, "x in ''"),
        (jcamp_text(ROWS, YUNITS="ARBITRARY UNITS"), 11, "neither absorbance nor transmittance"),
        (jcamp_text(ROWS, YUNITS="REFLECTANCE"), 11, "a reflectance"),
        (jcamp_text(["1000 0 -1 -2", "1003 0 0"], YUNITS="TRANSMITTANCE"), 11, "no transmittance is positive"),
        (jcamp_text(["1000 1 1 1", "1003 1 1"]), 11, "every y is 1"),
        (jcamp_text(["1000 ? ? ?", "1003 ? 1"]), 11, "1 points are no spectrum"),
        (jcamp_text([], NPOINTS=0), 11, "0 points are no spectrum"),
        (jcamp_text(["1 1", "3 2", "2 3"], form="XYPOINTS=(XY..XY)", FIRSTX=1, LASTX=2, NPOINTS=3), 11, "turns round"),
        (
            jcamp_text(["0 1", "3 2"], form="XYPOINTS=(XY..XY)", FIRSTX=0, LASTX=3, NPOINTS=2),
            11,
            "x must be positive, got 0 at point 1",
        ),
        (jcamp_text(["1 1", "2 1e999"], form="XYPOINTS=(XY..XY)", FIRSTX=1, LASTX=2, NPOINTS=2), 11, "not finite"),
        (jcamp_text(ROWS, YFACTOR="1e999", YUNITS="%T"), 11, "not finite"),
        ("##TITLE=ethanol\n##DATA TYPE=INFRARED SPECTRUM\n##END=\n", 1, "a block without data"),
    ],
)
def test_a_damaged_block_is_refused_with_its_line(tmp_path: Path, text: str, line: int, reason: str) -> None:
    error = refusal_of(read_jcamp, write_file(tmp_path / "a.jdx", text))
    assert reason in error.reason
    assert error.line == line
    assert error.record == "ethanol"


@given(place=st.integers(0, LONG.index("##END")))
def test_a_file_cut_off_anywhere_gives_no_spectrum(place: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = write_file(tmp_path_factory.getbasetemp() / "cut.jdx", LONG[:place])
    try:
        found, _ = read_all(read_jcamp, path)
    except ReadError:
        return
    assert not found


@given(line=st.integers(11, 50), times=st.sampled_from([0, 2]))
def test_a_line_lost_or_doubled_gives_no_spectrum(
    line: int, times: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lines = LONG.splitlines(keepends=True)
    lines[line : line + 1] = [lines[line]] * times
    found, (error,) = read_all(read_jcamp, write_file(tmp_path_factory.getbasetemp() / "lost.jdx", "".join(lines)))
    assert not found
    assert error.line


def test_bytes_that_are_not_utf_8_are_read_as_latin_1(tmp_path: Path) -> None:
    path = tmp_path / "a.jdx"
    path.write_bytes(jcamp_text(ROWS, TITLE="éthanol").encode("latin-1"))
    assert trace_of(read_jcamp, path).identifier == "éthanol"


def test_a_file_without_data_is_told(tmp_path: Path) -> None:
    assert "no data in it" in refusal_of(read_jcamp, write_file(tmp_path / "a.jdx", "##TITLE=a\n##END=\n")).reason


@with_jcamp
def test_every_encoding_of_one_spectrum_gives_one_spectrum() -> None:
    names = ("affn", "pac", "sqz", "dif", "difdup")
    traces = [trace_of(read_jcamp, DATA / "jcamp" / f"synthetic__absorbance_{name}.jdx") for name in names]
    for trace in traces:
        np.testing.assert_array_equal(trace.y, traces[0].y)
        np.testing.assert_array_equal(trace.x, traces[0].x)


@with_jcamp
@pytest.mark.parametrize("name", ["micrometer_transmittance", "percent_transmittance"])
def test_one_molecule_has_its_bands_in_one_place_however_it_was_written(name: str) -> None:
    wanted = trace_of(read_jcamp, DATA / "jcamp" / "synthetic__absorbance_affn.jdx")
    trace = trace_of(read_jcamp, DATA / "jcamp" / f"synthetic__{name}.jdx")
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
            good, bad = read_all(read_jcamp, path)
            found.extend(good)
            wrong |= {path.name.rpartition("__")[2]: error.reason for error in bad}
    assert len(found) == 27
    assert wrong.keys() == {"SPECFILE.DX", "broken_ycheck.jdx", "MiniDIFDUP.JDX", "uv_ACD.jdx"}
    assert wrong["broken_ycheck.jdx"] == "y is 2, but the line before ended with -4: one of them is damaged"
    assert "points are missing, doubled or damaged" in wrong["SPECFILE.DX"]
    assert "the last x is wrong" in wrong["MiniDIFDUP.JDX"]
    assert "y in 'ARBITRARY UNITS'" in wrong["uv_ACD.jdx"]


def bands(place: np.ndarray) -> np.ndarray:
    heights = ((1050, 12, 0.8), (1720, 10, 1.0), (2950, 30, 0.5))
    return sum((h * np.exp(-(((place - c) / w) ** 2)) for c, w, h in heights), np.zeros(len(place)))


@pytest.mark.parametrize("scale", [1, 100])
def test_transmittance_that_is_stated_as_absorbance_is_taken_as_what_it_is_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, scale: int
) -> None:
    x = np.arange(600.0, 3800.0, 4.0)
    rows = [f"{a:g}, {scale * 10**-b:.8f}" for a, b in zip(x, bands(x), strict=True)]
    text = jcamp_text(rows, form="XYPOINTS=(XY..XY)", FIRSTX=600, LASTX=3796, NPOINTS=len(x))
    found = trace_of(read_jcamp, write_file(tmp_path / "a.jdx", text))
    np.testing.assert_allclose(found.y, bands(x), atol=1e-6)
    assert "y is stated to be 'ABSORBANCE', but goes down from" in caplog.text
    assert str(tmp_path / "a.jdx") in caplog.text


@pytest.mark.parametrize("lift", [0.0, 0.2, 0.6])
def test_absorbance_on_any_baseline_stays_what_it_is(tmp_path: Path, caplog, lift: float) -> None:
    x = np.arange(600.0, 3800.0, 4.0)
    y = bands(x) * (1 - lift) + lift * (x / x[-1])
    rows = [f"{a:g}, {b:.8f}" for a, b in zip(x, y, strict=True)]
    text = jcamp_text(rows, form="XYPOINTS=(XY..XY)", FIRSTX=600, LASTX=3796, NPOINTS=len(x))
    np.testing.assert_allclose(trace_of(read_jcamp, write_file(tmp_path / "a.jdx", text)).y, y, atol=1e-6)
    assert not caplog.text


def test_a_header_that_may_have_slipped_is_told_with_both_numbers(tmp_path: Path, caplog) -> None:
    path = write_file(tmp_path / "a.jdx", jcamp_text(ROWS, MAXY="0.700", MINY="0.100"))
    assert trace_of(read_jcamp, path).y.max() == 0.5
    assert "##MAXY= is 0.7, the data have 0.5: the data are taken as they are" in caplog.text


def test_a_wrong_factor_is_refused_with_both_numbers(tmp_path: Path) -> None:
    text = jcamp_text(ROWS, MAXY=0.5, MINY=0.1, FIRSTY=0.1, YFACTOR=0.05)
    refused = refusal_of(read_jcamp, write_file(tmp_path / "a.jdx", text))
    assert "##MAXY= is 0.5, the data have 0.025" in refused.reason
    assert "which is 20 times as much: ##YFACTOR=0.05 is wrong" in refused.reason


@pytest.mark.parametrize("name", ["a.jcm", "a.txt", "A.TXT", "a.jcamp", "a.txt.gz"])
def test_a_file_of_any_of_its_endings_is_known_by_what_is_in_it(tmp_path: Path, name: str) -> None:
    data = jcamp_text(ROWS).encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    assert reader_for(tmp_path / name, modality="ir").name == "jcamp"
    assert for_suffix("reader", tmp_path / name).name == "jcamp"


@pytest.mark.parametrize("text", ["1000 0.1\n1001 0.2\n", "# wavenumber, absorbance\n1000, 0.1\n1001, 0.2\n"])
def test_columns_of_text_are_not_taken_for_jcamp(tmp_path: Path, text: str) -> None:
    assert reader_for(write_file(tmp_path / "a.txt", text), modality="ir").name == "xy-text"
    assert not is_jcamp(tmp_path / "a.txt")


def test_other_jcamp_files_are_left_to_their_own_readers(tmp_path: Path) -> None:
    for kind, mine in (("NMR SPECTRUM", False), ("MASS SPECTRUM", False), ("RAMAN SPECTRUM", True)):
        path = write_file(tmp_path / "a.jdx", jcamp_text(ROWS, DATA_TYPE=kind))
        assert is_jcamp(path) is mine


class TestJcamp(ReaderContract):
    @pytest.fixture
    def read(self) -> Read:
        return read_jcamp

    @pytest.fixture
    def modality(self) -> str:
        return "ir"

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return write_file(tmp_path / "good.jdx", jcamp_text(ROWS, **smiles_labels("CCO")))

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return write_file(tmp_path / "bad.jdx", jcamp_text(ROWS[:1]))

    @pytest.fixture
    def write(self) -> Any:
        return write_jcamp
