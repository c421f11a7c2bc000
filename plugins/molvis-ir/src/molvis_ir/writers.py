"""Writers of infrared spectra: what is written is read back. A path that ends in `.gz` is compressed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from molvis_core.errors import WriteError
from molvis_core.records import Measurement, Trace
from molvis_files.writing import write_text


def write_jcamp(path: Path, measurements: Iterable[Measurement]) -> None:
    """JCAMP-DX 5.01, in plain numbers that lose no digit; several spectra as a LINK block.

    Evenly spaced points are XYDATA, others XYPOINTS. The structure stands in `##$SMILES=`.

    Raises:
        WriteError: the file cannot be written, or a measurement is no trace; the old file is kept.
    """
    blocks = [_block(item, number) for number, item in enumerate(measurements, start=1)]
    if len(blocks) != 1:
        head = _labels({"TITLE": path.name, "JCAMP-DX": "5.01", "DATA TYPE": "LINK", "BLOCKS": str(len(blocks))})
        blocks = [head, *blocks, "##END=\n"]
    write_text(path, "".join(blocks))


def _block(item: Measurement, number: int) -> str:
    trace = item.record
    if not isinstance(trace, Trace):
        raise WriteError(f"only traces can be written, got a {type(trace).__name__}")
    x, n = trace.x, len(trace)
    even = bool(n > 1 and np.allclose(x, np.linspace(x[0], x[-1], n), rtol=0, atol=1e-6 * (x[-1] - x[0]) / n))
    numbers = [(repr(a), repr(b)) for a, b in zip(x.tolist(), trace.y.tolist(), strict=True)]
    if even:
        # Two ordinates in full keep within the 80 characters that a line may have.
        lines = [" ".join((numbers[i][0], *(b for _, b in numbers[i : i + 2]))) for i in range(0, n, 2)]
        form = "##XYDATA=(X++(Y..Y))"
    else:
        lines, form = [f"{a}, {b}" for a, b in numbers], "##XYPOINTS=(XY..XY)"
    return _labels(_described(item, trace, even, number)) + "\n".join((form, *lines, "##END=")) + "\n"


def _described(item: Measurement, trace: Trace, even: bool, number: int) -> dict[str, str | None]:
    """Labels of a block and their values; None for what is not known."""
    x, y, n = trace.x, trace.y, len(trace)
    known = item.structure
    return {
        "TITLE": trace.identifier or item.name or f"spectrum {number}",
        "JCAMP-DX": "5.01",
        "DATA TYPE": "INFRARED SPECTRUM",
        "DATA CLASS": "XYDATA" if even else "XYPOINTS",
        "ORIGIN": item.source or "",
        "OWNER": item.contributor or "",
        "NAMES": item.name,
        "MOLFORM": re.sub(r"(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z])", " ", known.formula) if known else None,
        "$SMILES": known.smiles if known else None,
        "XUNITS": "1/CM",
        "YUNITS": "ABSORBANCE",
        "XFACTOR": "1",
        "YFACTOR": "1",
        "FIRSTX": repr(float(x[0])) if n else None,
        "LASTX": repr(float(x[-1])) if n else None,
        "FIRSTY": repr(float(y[0])) if n else None,
        "NPOINTS": str(n),
    }


def _labels(values: dict[str, str | None]) -> str:
    """Labels, each on a line of its own: a line break or `$$` inside a value would end it."""
    said = {label: " ".join(value.replace("$$", "$").split()) for label, value in values.items() if value is not None}
    return "".join(f"##{label}={value}\n" for label, value in said.items())
