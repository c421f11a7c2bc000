from __future__ import annotations

import base64
import gzip
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nmr_samples import (
    CARRIER,
    LINES,
    MHZ,
    POINTS,
    WIDTH,
    bruker,
    jcamp_fid,
    nmrml,
    nmrpipe,
    packed,
    peaks,
    processed,
    signal,
    text,
    topspin4,
    varian,
    write_file,
)

from molvis_core import output
from molvis_core.errors import ConfigError, ReadError, WriteError
from molvis_core.records import Measurement, PeakList, Trace
from molvis_core.registry import for_suffix
from molvis_core.testing import ReaderContract
from molvis_nmr.commands.convert import convert as convert_command
from molvis_nmr.commands.process import process as process_command
from molvis_nmr.formats.bruker import read_bruker
from molvis_nmr.formats.jcamp import is_nmr_jcamp, read_jcamp
from molvis_nmr.formats.nmrml import read_nmrml
from molvis_nmr.formats.nmrpipe import read_nmrpipe
from molvis_nmr.formats.opening import read_fid, read_spectra, read_spectrum
from molvis_nmr.formats.text import read_table, read_text_spectrum
from molvis_nmr.formats.varian import read_varian
from molvis_nmr.formats.writers import write_jcamp, write_spectrum, write_text_spectrum
from molvis_nmr.processing import Fid
from molvis_nmr.workflows.convert import convert, process_file

# Every format


@pytest.mark.full
@pytest.mark.parametrize(
    "make",
    [
        lambda path: bruker(path / "7"),
        lambda path: bruker(path / "7") / "fid",
        lambda path: packed(path / "a.zip", bruker(path / "7")),
        lambda path: bruker(path / "7", points=signal(40.0), acqus="$GRPDLY=40.0"),
        lambda path: bruker(path / "7", points=signal(46.0), acqus="$GRPDLY=-1\n$DSPFVS=12\n$DECIM=2"),
        lambda path: topspin4(path / "7"),
        lambda path: varian(path / "a.fid"),
        lambda path: varian(path / "a.fid") / "fid",
        lambda path: packed(path / "a.zip", varian(path / "a.fid")),
        lambda path: varian(path / "a.fid", reffrq="", rfl=repr(WIDTH / 2 - CARRIER * MHZ), rfp="0"),
        lambda path: jcamp_fid(path / "a.dx"),
        lambda path: jcamp_fid(
            path / "a.dx", **{"$BF1": "", ".SHIFT REFERENCE": f"INTERNAL, D2O, {POINTS // 2 + 1}, 4.7"}
        ),
        lambda path: nmrml(path / "a.nmrML"),
        lambda path: nmrpipe(path / "a.fid"),
    ],
)
def test_a_fid_of_every_format_gives_the_same_spectrum(tmp_path: Path, make: Callable[[Path], Path]):
    path = make(tmp_path)
    trace = read_spectrum(path, raw=True)
    assert peaks(trace) == sorted(LINES)
    assert trace.frequency == pytest.approx(MHZ)
    fid = read_fid(path)
    assert (fid.nucleus, len(fid)) == ("1H", POINTS)
    assert fid.carrier == pytest.approx(CARRIER, abs=1e-3)
    near = [np.abs(trace.x - ppm) < 0.2 for ppm in LINES]
    areas = np.array([trace.y[where].sum() for where in near])
    np.testing.assert_allclose(areas / areas.sum(), np.array(list(LINES.values())) / 9, atol=0.015)


def test_a_fid_of_nmrpipe_is_transformed_as_nmrglue_does_it(tmp_path: Path):
    from nmrglue import pipe
    from nmrglue.process import pipe_proc

    path = nmrpipe(tmp_path / "a.fid")
    header, points = pipe.read(str(path))
    _, spectrum = pipe_proc.ft({**header, "FDDIMORDER": [2.0, 1.0, 3.0, 4.0]}, points, auto=True)
    shifts = CARRIER + WIDTH / MHZ * (0.5 - (np.arange(POINTS) + 1) / POINTS)
    for ppm in LINES:
        here, mirrored = (np.abs(spectrum[np.abs(shifts - at) < 0.05]).max() for at in (ppm, 2 * CARRIER - ppm))
        assert here > 5 * mirrored
    assert peaks(read_spectrum(path, raw=True)) == sorted(LINES)


@pytest.mark.parametrize(
    "make",
    [
        lambda path: processed(bruker(path / "7")),
        lambda path: processed(path / "7"),
        lambda path: topspin4(path / "7"),
        lambda path: processed(bruker(path / "7")) / "pdata" / "1" / "1r",
        lambda path: processed(bruker(path / "7")) / "pdata" / "1",
        lambda path: packed(path / "a.zip", processed(bruker(path / "7"))),
        lambda path: nmrml(path / "a.nmrML"),
        lambda path: nmrpipe(path / "a.ft", time=False),
        lambda path: text(path / "a.csv", points=2001),
        lambda path: text(path / "a.txt", "3 ppm, 500.0 MHz\n", points=2001),
    ],
)
def test_a_processed_spectrum_is_taken_as_it_is(tmp_path: Path, make: Callable[[Path], Path]):
    trace = read_spectrum(make(tmp_path))
    assert peaks(trace) == [3.0]
    assert trace.frequency == MHZ
    assert trace.x[0] < trace.x[-1]


def test_the_intensity_of_bruker_is_scaled_as_it_says(tmp_path: Path):
    assert read_spectrum(processed(tmp_path / "7")).y.max() == pytest.approx(1000, rel=0.01)


def test_a_parameter_file_that_is_not_utf_8_is_read(tmp_path: Path):
    folder = bruker(tmp_path / "7")
    acqus = folder / "acqus"
    acqus.write_bytes(b"##OWNER= M\xfcller \x80\n##$INSTRUM= <\xb5-probe>\n" + acqus.read_bytes())
    assert peaks(read_spectrum(folder)) == sorted(LINES)


def test_of_several_experiments_one_is_named(tmp_path: Path):
    for number in ("10", "20"):
        processed(bruker(tmp_path / "study" / number))
    processed(tmp_path / "study" / "20", "2")
    with pytest.raises(ReadError, match="holds 3 spectra: 10/pdata/1, 20/pdata/1, 20/pdata/2. Say which"):
        read_spectrum(tmp_path / "study")
    assert read_spectrum(tmp_path / "study", "10").identifier == "study/10/pdata/1"
    assert read_spectrum(f"{tmp_path / 'study'}#20/pdata/2").identifier == "study/20/pdata/2"
    with pytest.raises(ReadError, match="no spectrum '30' in it"):
        read_spectrum(tmp_path / "study", "30")
    assert [found.record for found in read_spectra(tmp_path / "study")] == ["10/pdata/1", "20/pdata/1", "20/pdata/2"]


def _fault(make: Callable[[Path], Path], path: Path, **options: Any) -> ReadError:
    with pytest.raises(ReadError) as caught:
        read_spectrum(make(path), **options)
    return caught.value


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda p: bruker(p / "7", acqus="$TD=99999"), "holds 8192 of 99999 numbers.*cut off; get it whole"),
        (lambda p: bruker(p / "7", acqus="$SW_h="), r"##\$SW_h= must be a number, got nothing"),
        (lambda p: bruker(p / "7", acqus="$SW_h=wide"), r"##\$SW_h= must be a number, got 'wide'"),
        (lambda p: bruker(p / "7", acqus="$AQ_mod=2"), "acquired in alternating channels"),
        (
            lambda p: bruker(p / "7", acqus="$GRPDLY=-1\n$DSPFVS=99\n$DECIM=24"),
            "delay of its digital filter .* is not known",
        ),
        (lambda p: bruker(p / "7", points=np.zeros(4096)), "every point of the fid is 0"),
        (lambda p: bruker(p / "7", acqus="$SW_h=-5"), "sweep_width must be positive, got -5.0"),
        (lambda p: processed(p / "7", **{"$SI": 9999}), "holds 4096 of 9999 points"),
        (lambda p: processed(p / "7", **{"$SF": 0}), "SF and SW_p must be positive, got 0 MHz"),
        (lambda p: write_file(p / "7" / "acqus", "##$TD= 4\n").parent, "neither fid nor pdata/1/1r"),
        (
            lambda p: (write_file(p / "7" / "acqus", ""), write_file(p / "7" / "ser", "x"))[0].parent,
            r"a 2D experiment \(ser\)",
        ),
        (
            lambda p: (write_file(p / "7" / "acqus", ""), write_file(p / "7" / "pdata" / "1" / "2rr", "x"))[0].parent,
            r"a 2D experiment \(2rr\), and molvis reads spectra of one axis: pick its peaks",
        ),
        (
            lambda p: (write_file(p / "7" / "acqus", ""), write_file(p / "7" / "ser", "x"))[1],
            r"is a 2D experiment \(ser\).* --measured nmr-shifts=LIST",
        ),
        (lambda p: bruker(p / "7") / "acqus", "is no spectrum but belongs to one; give its folder"),
        (lambda p: varian(p / "a.fid", cut=100), "numbers: it is cut off"),
        (lambda p: varian(p / "a.fid", cut=8 * POINTS), "holds 60 bytes|holds 0 of"),
        (lambda p: varian(p / "a.fid", sw=""), "sw must be a number, got nothing"),
        (lambda p: write_file(p / "a.fid" / "fid", "x" * 99).parent, "it has no acqus"),
        (lambda p: jcamp_fid(p / "a.dx", imaginary=False), "fid without imaginary parts"),
        (lambda p: jcamp_fid(p / "a.dx", end=""), "ends before the ##END="),
        (lambda p: jcamp_fid(p / "a.dx", **{".OBSERVE FREQUENCY": ""}), "no ##.OBSERVE FREQUENCY=; give it in MHz"),
        (lambda p: jcamp_fid(p / "a.dx", **{"DATA TYPE": "INFRARED SPECTRUM"}), "holds no block of"),
        (lambda p: nmrml(p / "a.nmrML", root="mzML"), "holds <mzML> in place of <nmrML>"),
        (lambda p: nmrml(p / "a.nmrML", points="3000"), "states 3000 points and holds 2000"),
        (lambda p: nmrml(p / "a.nmrML", axis=""), "no <xAxis>"),
        (lambda p: nmrml(p / "a.nmrML", axis='<xAxis startValue="a"/>'), "no startValue or endValue"),
        (lambda p: nmrml(p / "a.nmrML", spectrum="%%%"), "cannot be decoded"),
        (lambda p: write_file(p / "a.nmrML", "<nmrML>"), "is no XML"),
        (lambda p: write_file(p / "a.nmrML", "<nmrML/>"), "neither <fidData> nor <spectrum1D>"),
        (lambda p: nmrpipe(p / "a.fid", FDSIZE=9999), "of 19998 numbers"),
        (lambda p: nmrpipe(p / "a.fid", FDF2SW=0), "sweep width of 0 Hz"),
        (lambda p: nmrpipe(p / "a.fid", FDDIMCOUNT=2), "data of 2 dimensions"),
        (lambda p: text(p / "a.csv", "ppm,intensity\n"), "no spectrometer frequency; give it in MHz"),
        (lambda p: write_file(p / "a.csv", "# 500 MHz\n" + "1.0\n2.0\n3.0\n"), "got 1: there is no axis"),
        (lambda p: write_file(p / "a.csv", "# 500 MHz\n1,2,3\n2,3,4\n"), "complex: leave it out"),
        (lambda p: write_file(p / "a.csv", "# 500 MHz\n1,2\n2,3\n"), "at least 16 points, got 2"),
        (lambda p: write_file(p / "a.csv", "# 500 MHz\n1,2\nx\n"), "'x' is no pair of numbers"),
        (lambda p: write_file(p / "a.csv", "# 500 MHz\nnothing\n"), "no two columns of numbers"),
        (
            lambda p: write_file(p / "a.csv", "# 500 MHz\n" + "".join(f"{k},0\n" for k in range(50))),
            "every intensity is 0",
        ),
        (
            lambda p: write_file(p / "a.csv", "# 500 MHz\n" + "".join(f"{k},nan\n" for k in range(50))),
            "intensity must be finite",
        ),
        (
            lambda p: write_file(p / "a.csv", "# 500 MHz\n" + "".join(f"{k**2},1\n" for k in range(50))),
            "axis is not even",
        ),
        (
            lambda p: write_file(p / "a.csv", "# 500 MHz\n" + "".join(f"{k % 9},1\n" for k in range(50))),
            "axis is not even",
        ),
        (lambda p: write_file(p / "a.zip", b"PK nothing"), "is no ZIP file: .*; get it whole"),
        (lambda p: write_file(p / "a.mol", "x"), "is not an NMR spectrum that molvis reads"),
        (lambda p: p / "none.csv", "no such file or folder"),
        (lambda p: p, "holds no NMR spectrum that molvis reads: it has no acqus"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path: Path, make: Callable[[Path], Path], reason: str):
    error = _fault(make, tmp_path)
    assert str(tmp_path) in error.path
    with pytest.raises(ReadError, match=reason):
        raise error


def test_a_complex_spectrum_where_a_real_one_is_meant_is_refused(tmp_path: Path):
    raw = base64.b64encode((np.arange(2000) + 1j).astype("<c16").tobytes()).decode()
    path = nmrml(tmp_path / "a.nmrML", spectrum=raw)
    path.write_text(path.read_text().replace('byteFormat="float64"', 'byteFormat="complex128"'))
    with pytest.raises(ReadError, match="holds a complex spectrum"):
        read_spectrum(path)


def test_a_frequency_can_be_given_where_text_states_none(tmp_path: Path):
    assert read_spectrum(text(tmp_path / "a.csv", ""), frequency=600.0).frequency == 600.0


def test_a_gap_in_text_is_filled_on_request(tmp_path: Path):
    rows = text(tmp_path / "a.csv", points=2001).read_text().splitlines()
    path = write_file(tmp_path / "b.csv", "\n".join(rows[:900] + rows[1000:]))
    with pytest.raises(ReadError, match="axis is not even.*resample=True"):
        read_spectrum(path)
    trace = read_spectrum(path, resample=True)
    assert len(trace) == 2001
    assert np.ptp(np.diff(trace.x)) < 1e-9


def test_hertz_and_decimal_commas_of_text_are_understood(tmp_path: Path):
    rows = "".join(f"{500 * x:.2f}\t{x:.3f}\n".replace(".", ",") for x in np.linspace(0, 10, 101))
    trace = read_spectrum(write_file(tmp_path / "a.tsv", f"Frequency 500,0\nSF = 500.0\nHz\ty\n{rows}"))
    assert trace.x[-1] == pytest.approx(10)
    assert trace.y[-1] == pytest.approx(10)


def test_a_processed_file_holds_no_fid(tmp_path: Path):
    with pytest.raises(ReadError, match="holds a processed spectrum and no fid"):
        read_spectrum(text(tmp_path / "a.csv"), raw=True)


def test_nmrml_without_a_reference_says_what_is_assumed(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = nmrml(tmp_path / "a.nmrML", irradiation="")
    body = path.read_text()
    path.write_text(body[: body.index("<spectrumList>")] + "</nmrML>")
    with caplog.at_level(logging.WARNING, logger="molvis"):
        assert read_fid(path).carrier == pytest.approx(4.7)
    assert "where 0 ppm is is not stated" in caplog.text


# Written and read back; found among the readers of others


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt", "a.csv.gz", "a.jdx", "a.dx"])
def test_a_spectrum_survives_being_written(tmp_path: Path, name: str):
    trace = read_spectrum(processed(tmp_path / "7"))
    write_spectrum(tmp_path / name, trace, name="a sample")
    again = read_spectrum(tmp_path / name)
    np.testing.assert_allclose(again.x, trace.x, atol=1e-9)
    np.testing.assert_array_equal(again.y, trace.y)
    assert (again.frequency, again.identifier) == (trace.frequency, trace.identifier)


def test_writers_refuse_what_they_cannot_write(tmp_path: Path):
    trace = Trace(np.arange(20.0), np.arange(20.0))
    peaks = Measurement(PeakList(np.array([1.0]), np.array([1.0])), None, "msms")
    with pytest.raises(WriteError, match="end it in .csv"):
        write_spectrum(tmp_path / "a.png", trace)
    with pytest.raises(WriteError, match="needs its frequency"):
        write_spectrum(tmp_path / "a.jdx", trace)
    with pytest.raises(WriteError, match="text holds one spectrum, not 2"):
        write_text_spectrum(tmp_path / "a.csv", [Measurement(trace, None, "nmr")] * 2)
    with pytest.raises(WriteError, match="must be a Trace, got a PeakList"):
        write_text_spectrum(tmp_path / "a.csv", [peaks])
    assert not list(tmp_path.iterdir())


_FILES = pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda p: jcamp_fid(p / "a.dx"), "nmr-jcamp"),
        (lambda p: nmrml(p / "a.nmrML"), "nmrml"),
        (lambda p: packed(p / "a.zip", bruker(p / "7")), "nmr-bruker"),
        (lambda p: packed(p / "a.zip", varian(p / "a.fid")), "nmr-varian"),
        (lambda p: nmrpipe(p / "a.fid"), "nmrpipe"),
        (lambda p: text(p / "a.csv"), "nmr-text"),
    ],
)


@_FILES
def test_files_find_their_reader(tmp_path: Path, make: Callable[[Path], Path], name: str):
    path = make(tmp_path)
    assert for_suffix("reader", path, modality="nmr").name == name


@_FILES
def test_files_are_read_as_queries(tmp_path: Path, make: Callable[[Path], Path], name: str):
    pytest.importorskip("molvis_retrieval", reason="molvis-retrieval is not installed")
    from molvis_retrieval.queries import read_queries

    good, bad = read_queries(make(tmp_path), modality="nmr")
    assert (len(good), bad) == (1, [])
    assert isinstance(good[0].record, Trace)


def test_jcamp_of_infrared_is_not_taken_for_nmr(tmp_path: Path):
    assert is_nmr_jcamp(jcamp_fid(tmp_path / "a.dx"))
    assert not is_nmr_jcamp(write_file(tmp_path / "b.dx", "##TITLE= a\n##DATA TYPE= INFRARED SPECTRUM\n##END=\n"))


class TestJcamp(ReaderContract):
    @pytest.fixture
    def read(self) -> Any:
        return read_jcamp

    @pytest.fixture
    def write(self) -> Any:
        return write_jcamp

    @pytest.fixture
    def modality(self) -> str:
        return "nmr"

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        path = tmp_path / "good.jdx"
        write_jcamp(path, [Measurement(read_spectrum(processed(tmp_path / "7")), None, "nmr")] * 2)
        return path

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return jcamp_fid(tmp_path / "bad.jdx", end="")


class TestText(TestJcamp):
    @pytest.fixture
    def read(self) -> Any:
        return read_text_spectrum

    @pytest.fixture
    def write(self) -> Any:
        return write_text_spectrum

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return text(tmp_path / "good.csv")

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return write_file(tmp_path / "bad.csv", "ppm,intensity\n1,2\n2,3\nx,y\n")


class TestNmrml(TestJcamp):
    @pytest.fixture
    def read(self) -> Any:
        return read_nmrml

    @pytest.fixture
    def write(self) -> Any:
        return None

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return nmrml(tmp_path / "good.nmrML")

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return nmrml(tmp_path / "bad.nmrML", points="3000")


class TestNmrpipe(TestNmrml):
    @pytest.fixture
    def read(self) -> Any:
        return read_nmrpipe

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return nmrpipe(tmp_path / "good.fid")

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        path = nmrpipe(tmp_path / "bad.ft", time=False)
        path.write_bytes(path.read_bytes()[:2048] + np.zeros(2000, dtype="<f4").tobytes())
        return path


class TestTable(TestNmrml):
    @pytest.fixture
    def read(self) -> Any:
        return read_table

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return _table(tmp_path / "good.parquet", [np.arange(30.0), np.arange(40.0)])

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return _table(tmp_path / "bad.parquet", [np.zeros(30)])


def _table(path: Path, rows: list[np.ndarray]) -> Path:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed, which Parquet needs")
    import pyarrow as pa
    import pyarrow.parquet as pq

    n = len(rows)
    columns = {"spectrum_id": [f"s{k}" for k in range(n)], "field_MHz": [600.0] * n, "ppm_start": [0.0] * n,
               "ppm_step": [0.1] * n, "intensity": [row.tolist() for row in rows], "licence": ["CC0"] * n}  # fmt: skip
    pq.write_table(pa.table(columns), path)
    return path


def test_a_row_of_a_table_is_named(tmp_path: Path):
    path = _table(tmp_path / "a.parquet", [np.arange(30.0), np.arange(40.0)])
    assert len(read_spectrum(f"{path}#s1")) == 40
    assert [m.licence for m in read_table(path) if isinstance(m, Measurement)] == ["CC0", "CC0"]
    with pytest.raises(ReadError, match="no spectrum 's7'"):
        read_spectrum(path, "s7")


# Commands


def test_convert_writes_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with output.asked(json=True):
        convert_command(processed(tmp_path / "7"), tmp_path / "a.csv")
    assert '"size": 4096' in capsys.readouterr().out
    convert_command(tmp_path / "a.csv", tmp_path / "b.jdx")
    assert "spectrum" in capsys.readouterr().err
    assert peaks(read_spectrum(tmp_path / "b.jdx")) == [3.0]
    with pytest.raises(ConfigError, match="no format has the ending '.png'"):
        convert(tmp_path / "a.csv", tmp_path / "a.png")


def test_process_writes_the_spectrum_and_tells_the_phase(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with output.asked(json=True):
        process_command(bruker(tmp_path / "7"), tmp_path / "a.csv")
    told = capsys.readouterr().out
    assert '"phase"' in told
    assert peaks(read_spectrum(tmp_path / "a.csv")) == sorted(LINES)
    process_command(tmp_path / "7", tmp_path / "b.csv", phase="40.1,0", reference="0.1", baseline=False)
    assert "shifted +0.1000 ppm" in capsys.readouterr().err
    assert peaks(read_spectrum(tmp_path / "b.csv")) == [round(ppm + 0.1, 2) for ppm in sorted(LINES)]


@pytest.mark.parametrize("options", [{"phase": "a,b"}, {"phase": "1"}, {"reference": "water"}])
def test_settings_of_process_that_cannot_be_read_are_refused(tmp_path: Path, options: dict[str, str]):
    with pytest.raises(ConfigError, match="phase"):
        process_file(bruker(tmp_path / "7"), **options)


def test_gzip_of_a_text_spectrum_is_read(tmp_path: Path):
    path = text(tmp_path / "a.csv")
    packed_path = write_file(tmp_path / "b.csv.gz", gzip.compress(path.read_bytes()))
    np.testing.assert_array_equal(read_spectrum(packed_path).y, read_spectrum(path).y)


def test_readers_of_folders_take_zip_files(tmp_path: Path):
    (one,) = read_bruker(packed(tmp_path / "a.zip", processed(bruker(tmp_path / "7"))))
    assert isinstance(one, Measurement)
    (other,) = read_varian(packed(tmp_path / "b.zip", varian(tmp_path / "a.fid")))
    assert isinstance(other, Measurement)
    assert other.name == "a sample"


def test_a_fid_that_cannot_be_is_refused():
    from molvis_core.errors import RecordError

    with pytest.raises(RecordError, match="at least 16 points"):
        Fid(np.ones(3), 1000.0, 500.0, 4.7)
