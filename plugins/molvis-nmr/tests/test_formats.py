from __future__ import annotations

import base64
import gzip
import logging
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

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
from molvis_nmr.formats.spin_systems import read_system
from molvis_nmr.formats.text import read_table, read_text_spectrum
from molvis_nmr.formats.varian import read_varian
from molvis_nmr.formats.writers import write_jcamp, write_spectrum, write_text_spectrum
from molvis_nmr.processing import Fid, process
from molvis_nmr.workflows.convert import convert, process_file
from molvis_retrieval.queries import read_queries

DATA = Path(os.environ.get("MOLVIS_DATA", Path(__file__).parents[3] / ".." / "shared" / "data")) / "nmr"
with_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no NMR data in {DATA}: set MOLVIS_DATA")

MHZ, WIDTH, CARRIER, POINTS = 500.0, 5000.0, 4.7, 4096
LINES = {0.0: 3.0, 1.2: 3.0, 2.5: 1.0, 7.3: 2.0}
"""Heights by shift in ppm: a reference at 0 and three signals."""


def _signal(delay: float = 0.0, turn: float = 0.7) -> np.ndarray:
    """A fid of `LINES`, frequencies counting up, with noise."""
    time = (np.arange(POINTS) - delay) / WIDTH
    rng = np.random.default_rng(1)
    points = 5.0 * (rng.normal(size=POINTS) + 1j * rng.normal(size=POINTS))
    for ppm, height in LINES.items():
        hertz = (ppm - CARRIER) * MHZ
        points += 1e4 * height * np.where(time >= 0, np.exp((2j * np.pi * hertz - 7) * time + 1j * turn), 0)
    return points


def _peaks(trace: Trace) -> list[float]:
    """Shifts of what stands out, rounded."""
    tall = np.flatnonzero(
        (trace.y[1:-1] > 0.2 * trace.y.max()) & (trace.y[1:-1] >= np.maximum(trace.y[:-2], trace.y[2:]))
    )
    return sorted({round(float(x), 2) + 0.0 for x in trace.x[tall + 1]})


def _file(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# Files as instruments write them


def bruker(folder: Path, *, acqus: str = "", points: np.ndarray | None = None, extra: bytes = b"") -> Path:
    """An experiment with a fid."""
    points = _signal() if points is None else points
    carrier = MHZ * (1 + CARRIER * 1e-6)
    values = {
        "TITLE": "Parameter file", "$SW_h": WIDTH, "$BF1": MHZ, "$SFO1": carrier, "$TD": 2 * len(points), "$BYTORDA": 1,
        "$DTYPA": 0, "$DIGMOD": 1, "$GRPDLY": 0, "$NUC1": "<1H>", "$AQ_mod": 3,
    }  # fmt: skip
    values |= dict(line.split("=", 1) for line in acqus.splitlines() if line)
    _file(folder / "acqus", "".join(f"##{k}= {v}\n" for k, v in values.items() if v != ""))
    pairs = np.stack([points.real, points.imag], axis=1).ravel()
    _file(folder / "fid", pairs.round().astype(">i4").tobytes() + extra)
    return folder


def processed(folder: Path, number: str = "1", **changes: object) -> Path:
    """A spectrum processed by the vendor: one signal at 3 ppm."""
    size = 4096
    values: dict[str, object] = {"$SF": MHZ, "$SW_p": WIDTH, "$OFFSET": CARRIER + WIDTH / MHZ / 2, "$SI": size,
                                 "$BYTORDP": 0, "$NC_proc": -2, "$DTYPP": 0} | changes  # fmt: skip
    x = CARRIER + WIDTH / MHZ / 2 - np.arange(size) * WIDTH / MHZ / size
    y = 4000 / (1 + ((x - 3) / 0.02) ** 2)
    _file(folder / "pdata" / number / "procs", "".join(f"##{k}= {v}\n" for k, v in values.items()))
    _file(folder / "pdata" / number / "1r", y.round().astype("<i4").tobytes())
    return folder


def varian(folder: Path, *, cut: int = 0, **changes: str) -> Path:
    """A fid with its procpar."""
    points = _signal().conj()
    numbers = np.stack([points.real, points.imag], axis=1).ravel().astype(">f4").tobytes()
    head = struct.pack(">6i2hi", 1, 1, 2 * POINTS, 4, 8 * POINTS, 8 * POINTS + 28, 0, 0x4D, 1)
    _file(folder / "fid", (head + bytes(28) + numbers)[: -cut or None])
    values = {"sfrq": repr(MHZ * (1 + CARRIER * 1e-6)), "reffrq": repr(MHZ), "sw": repr(WIDTH), "tn": '"H1"'} | changes
    _file(folder / "procpar", "".join(f"{k} 1 1 1e9 0 0 2 1 11 1 64\n1 {v} \n0 \n" for k, v in values.items() if v))
    _file(folder / "text", "a sample\n")
    return folder


def jcamp_fid(path: Path, *, imaginary: bool = True, end: str = "##END=\n", **labels: str) -> Path:
    """A fid as NTUPLES."""
    points = _signal()
    head = {"TITLE": "fid", "JCAMP-DX": "5.01", "DATA TYPE": "NMR FID", "DATA CLASS": "NTUPLES",
            ".OBSERVE FREQUENCY": repr(MHZ * (1 + CARRIER * 1e-6)), "$BF1": repr(MHZ), "SYMBOL": "X, R, I, N",
            "UNITS": "SECONDS, ARBITRARY UNITS, ARBITRARY UNITS,", "VAR_DIM": f"{POINTS}, {POINTS}, {POINTS}, 2",
            "FIRST": "0, 0, 0, 1", "LAST": f"{(POINTS - 1) / WIDTH!r}, 0, 0, 2", "FACTOR": "1, 1, 1, 1",
            **labels}  # fmt: skip
    text = "".join(f"##{k}= {v}\n" for k, v in head.items() if v)
    pages = [("N=1", "R", points.real), ("N=2", "I", points.imag)][: 2 if imaginary else 1]
    for page, symbol, values in pages:
        rows = "".join(f"{k / WIDTH!r} {round(v)}\n" for k, v in enumerate(values))
        text += f"##PAGE= {page}\n##DATA TABLE= (X++({symbol}..{symbol})), XYDATA\n{rows}"
    return _file(path, text + end)


def nmrml(path: Path, **changes: str) -> Path:
    """A fid and a spectrum of one signal at 3 ppm."""
    y = 100 / (1 + ((np.linspace(9, -1, 2000) - 3) / 0.02) ** 2)
    parts = {
        "root": "nmrML", "points": "2000", "form": "Complex128", "axis": '<xAxis startValue="9.0" endValue="-1.0"/>',
        "irradiation": f'<irradiationFrequency value="{MHZ * (1 + CARRIER * 1e-6)!r}" unitName="megaHertz"/>',
        "fid": base64.b64encode(zlib.compress(_signal().astype("<c16").tobytes())).decode(),
        "spectrum": base64.b64encode(y.astype("<f8").tobytes()).decode(),
    } | changes  # fmt: skip
    return _file(path, f"""<?xml version="1.0" encoding="UTF-8"?>
<{parts["root"]} xmlns="http://nmrml.org/schema"><acquisition><acquisition1D><acquisitionParameterSet>
<groupDelay value="0.0"/><DirectDimensionParameterSet><acquisitionNucleus name="hydrogen atom"/>
<effectiveExcitationField value="{MHZ}" unitName="megaHertz"/><sweepWidth value="{WIDTH}" unitName="hertz"/>
{parts["irradiation"]}</DirectDimensionParameterSet></acquisitionParameterSet>
<fidData compressed="true" byteFormat="{parts["form"]}">{parts["fid"]}</fidData></acquisition1D></acquisition>
<spectrumList><spectrum1D numberOfDataPoints="{parts["points"]}" id="s1"><spectrumDataArray compressed="false"
 byteFormat="float64">{parts["spectrum"]}</spectrumDataArray>{parts["axis"]}</spectrum1D></spectrumList></{parts["root"]}>
""")  # fmt: skip


def nmrpipe(path: Path, *, time: bool = True, **changes: float) -> Path:
    """A fid, or a spectrum of one signal at 3 ppm, with nmrglue's header."""
    from nmrglue.fileio import pipe

    size = POINTS if time else 2000
    # nmrglue fills an empty header; the names are NMRPipe's own.
    values: dict[str, Any] = {
        "FDF2SW": WIDTH, "FDF2OBS": MHZ, "FDF2CAR": CARRIER, "FDF2FTFLAG": int(not time),
        "FDF2QUADFLAG": int(not time), "FDQUADFLAG": int(not time), "FDSIZE": size, "FDDIMCOUNT": 1,
        "FDF2ORIG": -1.0 * MHZ,
        "FDF2LABEL": "1H", "FDFLTFORMAT": 4008636160.0, "FDFLTORDER": 2.345,
    } | changes  # fmt: skip
    header = pipe.dic2fdata({**pipe.fdata2dic(np.zeros(512, dtype=np.float32)), **values})
    if time:
        points = _signal().conj()
        data = np.concatenate([points.real, points.imag])
    else:
        x = -1 + np.arange(1999, -1, -1) * WIDTH / MHZ / 2000
        data = 100 / (1 + ((x - 3) / 0.02) ** 2)
    return _file(path, header.astype("<f4").tobytes() + data.astype("<f4").tobytes())


def text(path: Path, head: str = "# frequency: 500.0 MHz\nppm,intensity\n", *, points: int = 200) -> Path:
    """A signal at 3 ppm, from left to right."""
    x = np.linspace(9, -1, points)
    rows = "".join(f"{a:.6f},{100 / (1 + ((a - 3) / 0.1) ** 2):.6f}\n" for a in x)
    return _file(path, head + rows)


def packed(path: Path, folder: Path) -> Path:
    """A folder as a ZIP file, with what macOS adds."""
    with zipfile.ZipFile(path, "w") as file:
        for inside in sorted(folder.rglob("*")):
            if inside.is_file():
                name = inside.relative_to(folder).as_posix()
                file.write(inside, f"10/{name}")
                file.writestr(f"__MACOSX/10/._{name}", b"\x00")
    return path


# Every format


@pytest.mark.full
@pytest.mark.parametrize(
    "make",
    [
        lambda path: bruker(path / "7"),
        lambda path: bruker(path / "7") / "fid",
        lambda path: packed(path / "a.zip", bruker(path / "7")),
        lambda path: bruker(path / "7", points=_signal(40.0), acqus="$GRPDLY=40.0"),
        lambda path: bruker(path / "7", points=_signal(46.0), acqus="$GRPDLY=-1\n$DSPFVS=12\n$DECIM=2"),
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
    assert _peaks(trace) == sorted(LINES)
    assert trace.frequency == pytest.approx(MHZ)
    fid = read_fid(path)
    assert (fid.nucleus, len(fid)) == ("1H", POINTS)
    assert fid.carrier == pytest.approx(CARRIER, abs=1e-3)
    near = [np.abs(trace.x - ppm) < 0.2 for ppm in LINES]
    areas = np.array([trace.y[where].sum() for where in near])
    np.testing.assert_allclose(areas / areas.sum(), np.array(list(LINES.values())) / 9, atol=0.015)


@pytest.mark.parametrize(
    "make",
    [
        lambda path: processed(bruker(path / "7")),
        lambda path: processed(path / "7"),
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
    assert _peaks(trace) == [3.0]
    assert trace.frequency == MHZ
    assert trace.x[0] < trace.x[-1]


def test_the_intensity_of_bruker_is_scaled_as_it_says(tmp_path: Path):
    assert read_spectrum(processed(tmp_path / "7")).y.max() == pytest.approx(1000, rel=0.01)


def test_a_parameter_file_that_is_not_utf_8_is_read(tmp_path: Path):
    folder = bruker(tmp_path / "7")
    acqus = folder / "acqus"
    acqus.write_bytes(b"##OWNER= M\xfcller \x80\n##$INSTRUM= <\xb5-probe>\n" + acqus.read_bytes())
    assert _peaks(read_spectrum(folder)) == sorted(LINES)


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
        (lambda p: _file(p / "7" / "acqus", "##$TD= 4\n").parent, "neither fid nor pdata/1/1r"),
        (lambda p: (_file(p / "7" / "acqus", ""), _file(p / "7" / "ser", "x"))[0].parent, r"a 2D experiment \(ser\)"),
        (lambda p: bruker(p / "7") / "acqus", "is no spectrum but belongs to one; give its folder"),
        (lambda p: varian(p / "a.fid", cut=100), "numbers: it is cut off"),
        (lambda p: varian(p / "a.fid", cut=8 * POINTS), "holds 60 bytes|holds 0 of"),
        (lambda p: varian(p / "a.fid", sw=""), "sw must be a number, got nothing"),
        (lambda p: _file(p / "a.fid" / "fid", "x" * 99).parent, "it has no acqus"),
        (lambda p: jcamp_fid(p / "a.dx", imaginary=False), "fid without imaginary parts"),
        (lambda p: jcamp_fid(p / "a.dx", end=""), "ends before the ##END="),
        (lambda p: jcamp_fid(p / "a.dx", **{".OBSERVE FREQUENCY": ""}), "no ##.OBSERVE FREQUENCY=; give it in MHz"),
        (lambda p: jcamp_fid(p / "a.dx", **{"DATA TYPE": "INFRARED SPECTRUM"}), "holds no block of"),
        (lambda p: nmrml(p / "a.nmrML", root="mzML"), "holds <mzML> in place of <nmrML>"),
        (lambda p: nmrml(p / "a.nmrML", points="3000"), "states 3000 points and holds 2000"),
        (lambda p: nmrml(p / "a.nmrML", axis=""), "no <xAxis>"),
        (lambda p: nmrml(p / "a.nmrML", axis='<xAxis startValue="a"/>'), "no startValue or endValue"),
        (lambda p: nmrml(p / "a.nmrML", spectrum="%%%"), "cannot be decoded"),
        (lambda p: _file(p / "a.nmrML", "<nmrML>"), "is no XML"),
        (lambda p: _file(p / "a.nmrML", "<nmrML/>"), "neither <fidData> nor <spectrum1D>"),
        (lambda p: nmrpipe(p / "a.fid", FDSIZE=9999), "of 19998 numbers"),
        (lambda p: nmrpipe(p / "a.fid", FDF2SW=0), "sweep width of 0 Hz"),
        (lambda p: nmrpipe(p / "a.fid", FDDIMCOUNT=2), "data of 2 dimensions"),
        (lambda p: text(p / "a.csv", "ppm,intensity\n"), "no spectrometer frequency; give it in MHz"),
        (lambda p: _file(p / "a.csv", "# 500 MHz\n" + "1.0\n2.0\n3.0\n"), "got 1: there is no axis"),
        (lambda p: _file(p / "a.csv", "# 500 MHz\n1,2,3\n2,3,4\n"), "complex: leave it out"),
        (lambda p: _file(p / "a.csv", "# 500 MHz\n1,2\n2,3\n"), "at least 16 points, got 2"),
        (lambda p: _file(p / "a.csv", "# 500 MHz\n1,2\nx\n"), "'x' is no pair of numbers"),
        (lambda p: _file(p / "a.csv", "# 500 MHz\nnothing\n"), "no two columns of numbers"),
        (lambda p: _file(p / "a.csv", "# 500 MHz\n" + "".join(f"{k},0\n" for k in range(50))), "every intensity is 0"),
        (lambda p: _file(p / "a.csv", "# 500 MHz\n" + "".join(f"{k},nan\n" for k in range(50))), "intensity must be finite numbers, got nan"),
        (lambda p: _file(p / "a.csv", "# 500 MHz\n" + "".join(f"{k**2},1\n" for k in range(50))), "axis is not even"),
        (lambda p: _file(p / "a.csv", "# 500 MHz\n" + "".join(f"{k % 9},1\n" for k in range(50))), "axis is not even"),
        (lambda p: _file(p / "a.zip", b"PK nothing"), "is no ZIP file: .*; get it whole"),
        (lambda p: _file(p / "a.mol", "x"), "is not an NMR spectrum that molvis reads"),
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
    path = _file(tmp_path / "b.csv", "\n".join(rows[:900] + rows[1000:]))
    with pytest.raises(ReadError, match="axis is not even.*resample=True"):
        read_spectrum(path)
    trace = read_spectrum(path, resample=True)
    assert len(trace) == 2001
    assert np.ptp(np.diff(trace.x)) < 1e-9


def test_hertz_and_decimal_commas_of_text_are_understood(tmp_path: Path):
    rows = "".join(f"{500 * x:.2f}\t{x:.3f}\n".replace(".", ",") for x in np.linspace(0, 10, 101))
    trace = read_spectrum(_file(tmp_path / "a.tsv", f"Frequency 500,0\nSF = 500.0\nHz\ty\n{rows}"))
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


@pytest.mark.parametrize(
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
def test_files_find_their_reader(tmp_path: Path, make: Callable[[Path], Path], name: str):
    path = make(tmp_path)
    assert for_suffix("reader", path, modality="nmr").name == name
    good, bad = read_queries(path, modality="nmr")
    assert (len(good), bad) == (1, [])
    assert isinstance(good[0].record, Trace)


def test_jcamp_of_infrared_is_not_taken_for_nmr(tmp_path: Path):
    assert is_nmr_jcamp(jcamp_fid(tmp_path / "a.dx"))
    assert not is_nmr_jcamp(_file(tmp_path / "b.dx", "##TITLE= a\n##DATA TYPE= INFRARED SPECTRUM\n##END=\n"))


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
        return _file(tmp_path / "bad.csv", "ppm,intensity\n1,2\n2,3\nx,y\n")


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
    assert _peaks(read_spectrum(tmp_path / "b.jdx")) == [3.0]
    with pytest.raises(ConfigError, match="no format has the ending '.png'"):
        convert(tmp_path / "a.csv", tmp_path / "a.png")


def test_process_writes_the_spectrum_and_tells_the_phase(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with output.asked(json=True):
        process_command(bruker(tmp_path / "7"), tmp_path / "a.csv")
    told = capsys.readouterr().out
    assert '"phase"' in told
    assert _peaks(read_spectrum(tmp_path / "a.csv")) == sorted(LINES)
    process_command(tmp_path / "7", tmp_path / "b.csv", phase="40.1,0", reference="0.1", baseline=False)
    assert "shifted +0.1000 ppm" in capsys.readouterr().err
    assert _peaks(read_spectrum(tmp_path / "b.csv")) == [round(ppm + 0.1, 2) for ppm in sorted(LINES)]


@pytest.mark.parametrize("options", [{"phase": "a,b"}, {"phase": "1"}, {"reference": "water"}])
def test_settings_of_process_that_cannot_be_read_are_refused(tmp_path: Path, options: dict[str, str]):
    with pytest.raises(ConfigError, match="phase"):
        process_file(bruker(tmp_path / "7"), **options)


# Real files

RAW = DATA / "raw"


def _read_or_refused(path: Path) -> int | str:
    """How many spectra or spin systems a file holds, or why none."""
    try:
        return (
            1 if path.suffix == ".xml" and read_system(path) else len([f for f in read_spectra(path) if not f.problem])
        )
    except ReadError as error:
        return str(error)


@with_data
@pytest.mark.full
def test_every_raw_file_is_read_or_refused_with_a_reason():
    folders = {path.parent for path in RAW.rglob("fid")}
    found = {path: _read_or_refused(path) for path in (*folders, *(p for p in RAW.rglob("*") if p.is_file()))}
    for path, result in found.items():
        wanted = path in folders or path.name in ("fid", "1r") or path.suffix == ".zip"
        wanted = wanted or path.parent.name in ("gissmo_xml", "jcamp", "nmrml")
        assert (result == 1) == wanted, f"{path}: {result}"
        assert wanted or (str(path) in str(result) and len(str(result)) > len(str(path)) + 20)


VENDOR = {
    "bruker/NRC/amino_acid_mixture_2022": 0.998,
    "bruker/MTBLS1/ADG10003u_007/10": 0.998,
    "bruker/MTBLS1/ADG10003u_051/10": 0.998,
    "bruker/bmse000325_2-ketobutyrate/1H": 0.999,
    "bruker/MMBBI_10M12-CE01-1a/1": 0.998,
    "bruker/GABA_metabohub_1H": 0.999,
}


@with_data
@pytest.mark.parametrize("name", VENDOR)
def test_processed_fids_agree_with_the_vendor(name: str):
    theirs = read_spectrum(RAW / name)
    broadening = 1.0 if "bmse" in name else 0.3  # as theirs
    ours = process(read_fid(RAW / name), size=len(theirs), broadening=broadening, reference=None).trace
    where = (ours.x > 0.2) & (ours.x < 10) & ((ours.x < 4.4) | (ours.x > 5.2))  # the reference and water dwarf the rest
    assert np.abs(ours.x[1:] - theirs.x[:-1]).max() < 0.1 * np.diff(ours.x)[0]
    correlation = np.corrcoef(ours.y[where], np.interp(ours.x[where], theirs.x, theirs.y))[0, 1]
    assert correlation > VENDOR[name]


@with_data
def test_a_fid_and_a_spectrum_of_one_sample_in_other_formats_agree():
    spectrum = read_spectrum(RAW / "jcamp" / "aspirin_1h.dx")
    for name in ("bruker/aspirin-1h.zip", "jcamp/aspirin_1h.fid.dx"):
        ours = read_spectrum(RAW / name)
        where = (ours.x > 1) & (ours.x < 9)
        assert np.corrcoef(ours.y[where], np.interp(ours.x[where], spectrum.x, spectrum.y))[0, 1] > 0.999
    zipped = read_spectrum(RAW / "bruker" / "aspirin-1h-processed.zip")
    assert np.abs(zipped.x - spectrum.x).max() < 1e-4
    assert np.corrcoef(zipped.y, spectrum.y)[0, 1] > 0.9999


@with_data
def test_varian_agrees_with_what_others_made_of_the_same_fid():
    ours = read_spectrum(RAW / "varian" / "Proline-Varian-MIPT-499.8MHz.fid")
    theirs = read_spectrum(DATA / "spectra.parquet", "mipt:Proline-Varian-MIPT-499.8MHz")
    where = (ours.x > 1.8) & (ours.x < 4.2)
    assert np.corrcoef(ours.y[where], np.interp(ours.x[where], theirs.x, theirs.y))[0, 1] > 0.995


def test_gzip_of_a_text_spectrum_is_read(tmp_path: Path):
    path = text(tmp_path / "a.csv")
    packed_path = _file(tmp_path / "b.csv.gz", gzip.compress(path.read_bytes()))
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
