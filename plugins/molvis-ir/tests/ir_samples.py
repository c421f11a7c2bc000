"""Infrared files of every format, and how tests read them."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from molvis_core.errors import ReadError
from molvis_core.records import Measurement, Trace

Read = Callable[[Path], Any]
DATA = Path(os.environ.get("MOLVIS_DATA", Path(__file__).parents[3] / ".." / "shared" / "data"))
with_jcamp = pytest.mark.skipif(not (DATA / "jcamp").is_dir(), reason=f"no JCAMP-DX files in {DATA}: set MOLVIS_DATA")
with_tables = pytest.mark.skipif(not (DATA / "ir").is_dir(), reason=f"no infrared tables in {DATA}: set MOLVIS_DATA")
ETHANOL = "CCO"


def read_all(read: Read, path: Path) -> tuple[list[Measurement], list[ReadError]]:
    items = list(read(path))
    return [i for i in items if isinstance(i, Measurement)], [i for i in items if isinstance(i, ReadError)]


def trace_of(read: Read, path: Path) -> Trace:
    (found,), errors = read_all(read, path)
    assert not errors
    assert isinstance(found.record, Trace)
    return found.record


def refusal_of(read: Read, path: Path) -> ReadError:
    found, (error,) = read_all(read, path)
    assert not found
    assert Path(error.path) == path
    return error


def write_file(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def jcamp_text(rows: Sequence[str], *, form: str = "XYDATA=(X++(Y..Y))", end: bool = True, **labels: Any) -> str:
    head: dict[str, object] = {"TITLE": "ethanol", "JCAMP-DX": 5.01, "DATA TYPE": "INFRARED SPECTRUM"}
    head |= {"XUNITS": "1/CM", "YUNITS": "ABSORBANCE", "XFACTOR": 1, "YFACTOR": 1}
    head |= {"FIRSTX": 1000, "LASTX": 1004, "NPOINTS": 5} | {k.replace("_", " "): v for k, v in labels.items()}
    lines = [f"##{k}={v}" for k, v in head.items() if v is not None]
    return "\n".join((*lines, f"##{form}", *rows, *(("##END=",) if end else ()))) + "\n"


def smiles_labels(text: str) -> dict[str, Any]:
    return {"$SMILES": text}


ROWS = ["1000 0.1 0.2 0.3", "1003 0.5 0.4"]
LONG = jcamp_text(
    [f"{1000 + i} 0.1 0.{i:03d} 0.3 0.{i + 1:03d} 0.5" for i in range(0, 200, 5)], LASTX=1199, NPOINTS=200
)


def spc_bytes(spectra: Sequence[Sequence[float]], *, x_type: int = 1, y_type: int = 2, version: int = 0x4B) -> bytes:
    """An SPC file of evenly spaced x from 1000 to 1004, after the header that Galactic published."""
    n = len(spectra[0])
    flags = 4 if len(spectra) > 1 else 0
    head = struct.pack("<BBBbIddI4BI", flags, version, 4, -128, n, 1000, 1004, len(spectra), x_type, y_type, 0, 0, 0)
    subs = b""
    for i, y in enumerate(spectra):
        subs += struct.pack("<BbHfffIIf4x", 0, -128, i, i, i + 1, 0, n, 0, 0) + struct.pack(f"<{n}f", *y)
    return head.ljust(512, b"\0") + subs


def _parameters(**values: int | float | str) -> bytes:
    out = b""
    for key, value in values.items():
        if isinstance(value, str):
            data, kind = value.encode().ljust(len(value) + 4 - len(value) % 4, b"\0"), 2
        else:
            data, kind = (struct.pack("<i", value), 0) if isinstance(value, int) else (struct.pack("<d", value), 1)
        out += key.encode() + b"\0" + struct.pack("<2h", kind, len(data) // 2) + data
    return out + b"END\0" + bytes(4)


def opus_bytes(y: Sequence[float], *, kind: int = 4, unit: str = "WN") -> bytes:
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


def table_file(path: Path, **columns: Any) -> Path:
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
