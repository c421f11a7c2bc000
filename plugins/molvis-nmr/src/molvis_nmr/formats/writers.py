"""Writers of 1D NMR spectra: what is written is read back. A path that ends in `.gz` is compressed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from molvis_core.errors import WriteError
from molvis_core.records import Measurement, Trace
from molvis_files.writing import write_text

SUFFIXES = (".csv", ".tsv", ".txt", ".jdx", ".dx", ".jcamp")


def write_spectrum(path: Path | str, trace: Trace, *, name: str | None = None) -> None:
    """A spectrum as text or JCAMP-DX, by the path's ending.

    Args:
        path: is replaced whole or not at all.
        trace: along ppm.
        name: for people.

    Raises:
        WriteError: an ending that is none of these, or the file cannot be written.
    """
    path = Path(path)
    item = Measurement(trace, None, "nmr", name=name)
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    if suffix not in SUFFIXES:
        raise WriteError(f"{path}: a spectrum cannot be written as {suffix!r}; end it in {', '.join(SUFFIXES)}")
    (write_text_spectrum if suffix in (".csv", ".tsv", ".txt") else write_jcamp)(path, [item])


def write_text_spectrum(path: Path, measurements: Iterable[Measurement]) -> None:
    """Two columns, ppm and intensity, that lose no digit; frequency, name and identifier stand before them.

    Raises:
        WriteError: more than one spectrum, one that is no trace, or the file cannot be written.
    """
    items = list(measurements)
    if len(items) != 1:
        raise WriteError(f"{path}: text holds one spectrum, not {len(items)}; write each to a file, or all as .jdx")
    trace = _trace(items[0])
    parts = {".csv": ",", ".tsv": "\t"}.get(Path(path.name.lower().removesuffix(".gz")).suffix, " ")
    head = {"identifier": trace.identifier, "name": items[0].name, "frequency": _mhz(trace)}
    lines = [f"# {key}: {_line(value)}" for key, value in head.items() if value]
    lines.append(parts.join(("ppm", "intensity")))
    lines += [f"{x!r}{parts}{y!r}" for x, y in zip(trace.x.tolist(), trace.y.tolist(), strict=True)]
    write_text(path, "\n".join(lines) + "\n")


def write_jcamp(path: Path, measurements: Iterable[Measurement]) -> None:
    """JCAMP-DX 5.01 in Hz, in plain numbers that lose no digit; several spectra as a LINK block.

    Raises:
        WriteError: a spectrum without frequency, one that is no trace, or the file cannot be written.
    """
    blocks = [_block(item, number) for number, item in enumerate(measurements, start=1)]
    if len(blocks) != 1:
        head = _labels({"TITLE": path.name, "JCAMP-DX": "5.01", "DATA TYPE": "LINK", "BLOCKS": str(len(blocks))})
        blocks = [head, *blocks, "##END=\n"]
    write_text(path, "".join(blocks))


def _trace(item: Measurement) -> Trace:
    if not isinstance(item.record, Trace):
        raise WriteError(f"a spectrum must be a Trace, got a {type(item.record).__name__}")
    return item.record


def _mhz(trace: Trace) -> str | None:
    return None if trace.frequency is None else f"{trace.frequency!r} MHz"


def _line(text: str) -> str:
    return " ".join(text.split())


def _block(item: Measurement, number: int) -> str:
    trace = _trace(item)
    if trace.frequency is None:
        raise WriteError(f"{trace.identifier or f'spectrum {number}'}: JCAMP-DX needs its frequency in MHz; set it")
    # From the left end, as spectra are drawn.
    hertz, y = (trace.x * trace.frequency)[::-1], trace.y[::-1]
    n = len(y)
    even = np.allclose(hertz, np.linspace(hertz[0], hertz[-1], n), rtol=0, atol=1e-6 * np.ptp(hertz) / n)
    labels = {
        "TITLE": _line(trace.identifier or item.name or f"spectrum {number}"),
        "JCAMP-DX": "5.01",
        "DATA TYPE": "NMR SPECTRUM",
        "DATA CLASS": "XYDATA" if even else "XYPOINTS",
        "ORIGIN": item.source or "",
        "OWNER": item.contributor or "",
        "NAMES": item.name,
        ".OBSERVE FREQUENCY": repr(float(trace.frequency)),
        "XUNITS": "HZ",
        "YUNITS": "ARBITRARY UNITS",
        "XFACTOR": "1",
        "YFACTOR": "1",
        "FIRSTX": repr(float(hertz[0])),
        "LASTX": repr(float(hertz[-1])),
        "FIRSTY": repr(float(y[0])),
        "NPOINTS": str(n),
    }
    if even:
        rows = [f"{a!r} {b!r}" for a, b in zip(hertz.tolist(), y.tolist(), strict=True)]
        data = "##XYDATA=(X++(Y..Y))\n" + "\n".join(rows)
    else:
        rows = [f"{a!r}, {b!r}" for a, b in zip(hertz.tolist(), y.tolist(), strict=True)]
        data = "##XYPOINTS=(XY..XY)\n" + "\n".join(rows)
    return f"{_labels(labels)}{data}\n##END=\n"


def _labels(labels: dict[str, str | None]) -> str:
    return "".join(f"##{key}={_line(value)}\n" for key, value in labels.items() if value is not None)
