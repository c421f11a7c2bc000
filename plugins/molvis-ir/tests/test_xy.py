"""Two columns of text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ir_samples import Read, read_all, refusal_of, trace_of, write_file

from molvis_core.errors import ReadError
from molvis_core.testing import ReaderContract
from molvis_ir.readers.xy import is_xy, read_xy


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
    trace = trace_of(read_xy, path)
    np.testing.assert_allclose(trace.x, [1000, 1001, 1002], rtol=1e-6)
    np.testing.assert_allclose(trace.y, [0.1, 0.25, 0.2], rtol=1e-6)


def test_text_names_its_compound_by_its_head_or_by_its_file(tmp_path: Path) -> None:
    (found,), _ = read_all(read_xy, write_file(tmp_path / "a.xy", "# name: Ethanol\n# smiles = OCC\n1000 1\n1001 2\n"))
    assert found.name == "Ethanol"
    assert found.structure is not None
    assert (found.structure.smiles, found.structure.name) == ("CCO", "Ethanol")
    (found,), _ = read_all(read_xy, write_file(tmp_path / "my sample.xy", "1000 1\n1001 2\n"))
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
        list(read_xy(write_file(tmp_path / "a.txt", text)))
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
    error = refusal_of(read_xy, write_file(tmp_path / "a.txt", text))
    assert reason in error.reason
    assert error.line == (2 if text.startswith("cm") else 1)


@pytest.mark.parametrize("row", ["1001 nan", "1001 inf", "inf 2"])
def test_a_number_that_is_not_finite_is_refused_with_its_line(tmp_path: Path, row: str) -> None:
    error = refusal_of(read_xy, write_file(tmp_path / "a.txt", f"1000 1\n{row}\n1002 3\n"))
    assert (error.line, error.reason) == (2, "a number is not finite")


@given(text=st.text(alphabet="0123456789.,;\t \neE+-naif#:x", max_size=200))
def test_no_text_breaks_the_reader_of_columns(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = write_file(tmp_path_factory.getbasetemp() / "random.txt", text)
    try:
        (item,) = read_xy(path)
    except ReadError:
        return
    assert isinstance(item, ReadError) or is_xy(path)


class TestXyText(ReaderContract):
    @pytest.fixture
    def read(self) -> Read:
        return read_xy

    @pytest.fixture
    def modality(self) -> str:
        return "ir"

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return write_file(tmp_path / "good.csv", "cm-1,absorbance\n1000,0.1\n1001,0.2\n")

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return write_file(tmp_path / "bad.csv", "cm-1,absorbance\n1000,0.1\n1001,\n")
