"""Files of every format of spectra, written for tests."""

from __future__ import annotations

import base64
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from molvis_core.records import Trace

MHZ, WIDTH, CARRIER, POINTS = 500.0, 5000.0, 4.7, 4096
LINES = {0.0: 3.0, 1.2: 3.0, 2.5: 1.0, 7.3: 2.0}
"""Heights by shift in ppm: a reference at 0 and three signals."""


def signal(delay: float = 0.0, turn: float = 0.7) -> np.ndarray:
    """A fid of `LINES`, frequencies counting up, with noise."""
    time = (np.arange(POINTS) - delay) / WIDTH
    rng = np.random.default_rng(1)
    points = 5.0 * (rng.normal(size=POINTS) + 1j * rng.normal(size=POINTS))
    for ppm, height in LINES.items():
        hertz = (ppm - CARRIER) * MHZ
        points += 1e4 * height * np.where(time >= 0, np.exp((2j * np.pi * hertz - 7) * time + 1j * turn), 0)
    return points


def peaks(trace: Trace) -> list[float]:
    """Shifts of what stands out, rounded."""
    tall = np.flatnonzero(
        (trace.y[1:-1] > 0.2 * trace.y.max()) & (trace.y[1:-1] >= np.maximum(trace.y[:-2], trace.y[2:]))
    )
    return sorted({round(float(x), 2) + 0.0 for x in trace.x[tall + 1]})


def write_file(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# Files as instruments write them


def bruker(folder: Path, *, acqus: str = "", points: np.ndarray | None = None, extra: bytes = b"") -> Path:
    """An experiment with a fid."""
    points = signal() if points is None else points
    carrier = MHZ * (1 + CARRIER * 1e-6)
    values = {
        "TITLE": "Parameter file", "$SW_h": WIDTH, "$BF1": MHZ, "$SFO1": carrier, "$TD": 2 * len(points), "$BYTORDA": 1,
        "$DTYPA": 0, "$DIGMOD": 1, "$GRPDLY": 0, "$NUC1": "<1H>", "$AQ_mod": 3,
    }  # fmt: skip
    values |= dict(line.split("=", 1) for line in acqus.splitlines() if line)
    write_file(folder / "acqus", "".join(f"##{k}= {v}\n" for k, v in values.items() if v != ""))
    pairs = np.stack([points.real, points.imag], axis=1).ravel()
    write_file(folder / "fid", pairs.round().astype(">i4").tobytes() + extra)
    return folder


def topspin4(folder: Path) -> Path:
    """An experiment as TopSpin 4 writes it: little-endian floating point numbers, the group delay stated."""
    values = "$BYTORDA=0\n$DTYPA=2\n$GRPDLY=67.9841613769531\n$DSPFVS=20\n$DECIM=3000\n"
    points = signal(67.9841613769531)
    bruker(folder, acqus=values, points=points)
    write_file(folder / "fid", np.stack([points.real, points.imag], axis=1).ravel().astype("<f8").tobytes())
    head = "##TITLE= Parameter file, TopSpin 4.1.4\n##JCAMPDX= 5.0\n$$ 2023-05-04 11:12:13.141 +0200  nmr@host\n"
    write_file(folder / "acqus", head + (folder / "acqus").read_text())
    processed(folder, **{"$DTYPP": 2, "$NC_proc": 0})
    real = np.frombuffer((folder / "pdata" / "1" / "1r").read_bytes(), "<i4").astype("<f8")
    write_file(folder / "pdata" / "1" / "1r", real.tobytes())
    return folder


def processed(folder: Path, number: str = "1", **changes: object) -> Path:
    """A spectrum processed by the vendor: one signal at 3 ppm."""
    size = 4096
    values: dict[str, object] = {"$SF": MHZ, "$SW_p": WIDTH, "$OFFSET": CARRIER + WIDTH / MHZ / 2, "$SI": size,
                                 "$BYTORDP": 0, "$NC_proc": -2, "$DTYPP": 0} | changes  # fmt: skip
    x = CARRIER + WIDTH / MHZ / 2 - np.arange(size) * WIDTH / MHZ / size
    y = 4000 / (1 + ((x - 3) / 0.02) ** 2)
    write_file(folder / "pdata" / number / "procs", "".join(f"##{k}= {v}\n" for k, v in values.items()))
    write_file(folder / "pdata" / number / "1r", y.round().astype("<i4").tobytes())
    return folder


def varian(folder: Path, *, cut: int = 0, **changes: str) -> Path:
    """A fid with its procpar."""
    points = signal().conj()
    numbers = np.stack([points.real, points.imag], axis=1).ravel().astype(">f4").tobytes()
    head = struct.pack(">6i2hi", 1, 1, 2 * POINTS, 4, 8 * POINTS, 8 * POINTS + 28, 0, 0x4D, 1)
    write_file(folder / "fid", (head + bytes(28) + numbers)[: -cut or None])
    values = {"sfrq": repr(MHZ * (1 + CARRIER * 1e-6)), "reffrq": repr(MHZ), "sw": repr(WIDTH), "tn": '"H1"'} | changes
    write_file(
        folder / "procpar", "".join(f"{k} 1 1 1e9 0 0 2 1 11 1 64\n1 {v} \n0 \n" for k, v in values.items() if v)
    )
    write_file(folder / "text", "a sample\n")
    return folder


def jcamp_fid(path: Path, *, imaginary: bool = True, end: str = "##END=\n", **labels: str) -> Path:
    """A fid as NTUPLES."""
    points = signal()
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
    return write_file(path, text + end)


def nmrml(path: Path, **changes: str) -> Path:
    """A fid and a spectrum of one signal at 3 ppm."""
    y = 100 / (1 + ((np.linspace(9, -1, 2000) - 3) / 0.02) ** 2)
    parts = {
        "root": "nmrML", "points": "2000", "form": "Complex128", "axis": '<xAxis startValue="9.0" endValue="-1.0"/>',
        "irradiation": f'<irradiationFrequency value="{MHZ * (1 + CARRIER * 1e-6)!r}" unitName="megaHertz"/>',
        "fid": base64.b64encode(zlib.compress(signal().astype("<c16").tobytes())).decode(),
        "spectrum": base64.b64encode(y.astype("<f8").tobytes()).decode(),
    } | changes  # fmt: skip
    return write_file(path, f"""<?xml version="1.0" encoding="UTF-8"?>
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
        points = signal()
        data = np.concatenate([points.real, points.imag])
    else:
        x = -1 + np.arange(1999, -1, -1) * WIDTH / MHZ / 2000
        data = 100 / (1 + ((x - 3) / 0.02) ** 2)
    return write_file(path, header.astype("<f4").tobytes() + data.astype("<f4").tobytes())


def text(path: Path, head: str = "# frequency: 500.0 MHz\nppm,intensity\n", *, points: int = 200) -> Path:
    """A signal at 3 ppm, from left to right."""
    x = np.linspace(9, -1, points)
    rows = "".join(f"{a:.6f},{100 / (1 + ((a - 3) / 0.1) ** 2):.6f}\n" for a in x)
    return write_file(path, head + rows)


def packed(path: Path, folder: Path) -> Path:
    """A folder as a ZIP file, with what macOS adds."""
    with zipfile.ZipFile(path, "w") as file:
        for inside in sorted(folder.rglob("*")):
            if inside.is_file():
                name = inside.relative_to(folder).as_posix()
                file.write(inside, f"10/{name}")
                file.writestr(f"__MACOSX/10/._{name}", b"\x00")
    return path
