"""JCAMP-DX of NMR: spectra and fids, as XYDATA or NTUPLES. Decoded by molvis_files.jcamp.

Reference: A. N. Davies and P. Lampen, Appl. Spectrosc. 47 (1993) 1093, doi:10.1366/0003702934067874
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from molvis_core.errors import ReadError, RecordError
from molvis_core.records import Trace
from molvis_files.jcamp import Block, Problem, Table, parse_number, read_blocks
from molvis_files.opening import read_text
from molvis_nmr.formats.bruker import Parameters, group_delay
from molvis_nmr.formats.sources import Found, SpectrumReader, make_trace, stem
from molvis_nmr.processing import Fid


def is_nmr_jcamp(path: Path) -> bool:
    """Whether a JCAMP-DX file is labelled as an NMR spectrum or fid; a table of peaks is another modality's."""
    try:
        head = read_text(path)[:200_000]
    except ReadError:
        return False
    return bool(re.search(r"^##\s*DATA[\s_/-]*TYPE\s*=\s*NMR\b(?!\s*PEAK)", head, re.IGNORECASE | re.MULTILINE))


def find_jcamp(path: Path, *, frequency: float | None = None) -> Iterator[Found]:
    """Every NMR spectrum and fid of a file.

    Args:
        path: of the file.
        frequency: in MHz, where the file states none.

    Raises:
        ReadError: the file cannot be read, or holds no NMR.
    """
    blocks = [block for top in read_blocks(path) for block in top.walk() if block.data_type.startswith("NMR")]
    if not blocks:
        raise ReadError(path, "holds no block of ##DATA TYPE= NMR SPECTRUM or NMR FID")
    for number, block in enumerate(blocks, start=1):
        record = block.title.strip() or f"block {number}"
        try:
            fid = "FID" in block.data_type
            made = _fid(path, block, frequency) if fid else None
            trace = None if fid else _spectrum(path, block, frequency)
        except (ReadError, RecordError) as error:
            problem = error if isinstance(error, ReadError) else ReadError(path, str(error), record=record)
            yield Found(path, record, problem=problem)
        else:
            yield Found(path, record, trace=trace, fid=made, name=record)


def _sound(path: Path, block: Block) -> None:
    """Refuse what is damaged. Two faults that common software makes are none: see the comments."""

    def harmless(problem: Problem) -> bool:
        # Lines that count points, or Hz from the right end, while the labels give their place.
        if problem.kind == "x-scale":
            return True
        # NPOINTS that counts both ends of every step.
        stated, found = (int(n) for n in [*re.findall(r"\d+", problem.reason), "0", "9"][:2])
        return problem.kind == "points" and stated == found + 1

    bad = [problem for problem in block.problems if not harmless(problem)]
    if bad:
        first = min(bad, key=lambda p: (p.kind == "points", p.line))
        raise ReadError(path, first.reason, line=first.line, record=block.title or None)


def _first(block: Block, *names: str) -> str | None:
    found = (block.labels.get(name, "").partition("\n")[0].strip() for name in names)
    return next((text for text in found if text), None)


def _observed(path: Path, block: Block, frequency: float | None) -> float:
    """In MHz."""
    stated = parse_number(_first(block, ".OBSERVEFREQUENCY")) or frequency
    if not stated:
        reason = "states no ##.OBSERVE FREQUENCY=; give it in MHz, as frequency=600.13 or --frequency 600.13"
        raise ReadError(path, reason, record=block.title or None, line=block.line)
    return stated


def _zero(block: Block, observed: float) -> float:
    """In MHz, what 0 ppm is; the observed frequency where it is not stated, which is a few ppm from it."""
    stated = parse_number(_first(block, "$SF", "$BF1"))
    return stated if stated and abs(stated / observed - 1) < 1e-3 else observed


def _reference(block: Block) -> tuple[float, float] | None:
    """The number of a point, from 1, and its shift in ppm, of ##.SHIFT REFERENCE= INTERNAL, CDCl3, 1, 15.4."""
    cells = [cell.strip(" ()") for cell in (_first(block, ".SHIFTREFERENCE") or "").split(",")]
    point, shift = (parse_number(cell) for cell in cells[2:4]) if len(cells) > 3 else (None, None)
    return None if point is None or shift is None else (max(point, 1.0), shift)


def _spectrum(path: Path, block: Block, frequency: float | None) -> Trace:
    _sound(path, block)
    table = _real(path, block)
    x, y = table.x, table.y
    unit = table.units.get(table.symbols[0], "").strip().upper()
    observed = _observed(path, block, frequency)
    zero = _zero(block, observed)
    first, step = parse_number(_first(block, "FIRSTX")), parse_number(_first(block, "DELTAX"))
    last = parse_number(_first(block, "LASTX"))
    if table.label == "XYDATA" and first is not None and last is not None and step:
        # Where the number of points is wrong by one, the steps are right.
        step = abs(step) * np.sign(last - first)
        if abs(first + step * (len(x) - 1) - last) < 0.01 * abs(step):
            x = first + step * np.arange(len(x))
    if unit in ("HZ", "HERTZ"):
        reference = _reference(block)
        x = x / zero
        if reference is not None:
            point, shift = reference
            # The first point is the left end, whichever way the table counts.
            left = float(x.max())
            x = x - left + shift + (point - 1) * abs(x[1] - x[0])
    elif unit not in ("PPM", "PARTS PER MILLION", ""):
        raise ReadError(path, f"x must be in Hz or ppm, got {unit}", line=table.line, record=block.title or None)
    return make_trace(path, x, y, zero, block.title.strip() or stem(path), record=block.title or None, line=table.line)


def _real(path: Path, block: Block) -> Table:
    """The table of the real part."""
    tables = [t for t in block.tables if t.label in ("XYDATA", "XYPOINTS", "DATATABLE") and len(t.symbols) > 1]
    real = [t for t in tables if t.symbols[1] != "I"]
    if not real:
        lists = ", ".join(sorted({t.label for t in block.tables})) or "no data"
        reason = f"holds {lists}; a spectrum needs ##XYDATA= or a page of real parts"
        raise ReadError(path, reason, line=block.line, record=block.title or None)
    if len(real) > 1 or "F1" in "".join(t.page for t in real):
        reason = f"holds {len(real)} pages of data; a 1D spectrum has one"
        raise ReadError(path, reason, line=block.line, record=block.title or None)
    return real[0]


def _fid(path: Path, block: Block, frequency: float | None) -> Fid:
    _sound(path, block)
    real = _real(path, block)
    imaginary = [t for t in block.tables if len(t.symbols) > 1 and t.symbols[1] == "I"]
    record = block.title or None
    if not imaginary:
        reason = "holds a fid without imaginary parts; it must be in quadrature (real and imaginary pages)"
        raise ReadError(path, reason, line=block.line, record=record)
    if len(imaginary[0].y) != len(real.y):
        reason = f"has {len(real.y)} real and {len(imaginary[0].y)} imaginary points: it is cut off; get it whole"
        raise ReadError(path, reason, line=imaginary[0].line, record=record)
    unit = real.units.get("X", "SECONDS").strip().upper()
    dwell = float(np.median(np.diff(real.x))) * {"MS": 1e-3, "MILLISECONDS": 1e-3}.get(unit, 1.0)
    if not dwell > 0:
        raise ReadError(path, f"its time does not go on: steps of {dwell:g} s", line=real.line, record=record)
    observed = _observed(path, block, frequency)
    zero = _zero(block, observed)
    reference = _reference(block)
    stated = _first(block, "$OFFSET")
    if zero != observed:
        carrier = (observed - zero) / zero * 1e6
    elif reference is not None:
        point, shift = reference
        carrier = shift + (point - 1 - len(real.y) / 2) / len(real.y) / dwell / zero
        zero = observed / (1 + carrier * 1e-6)
    else:
        carrier = (parse_number(stated) or 0.0) - 0.5 / dwell / zero if stated else 0.0
    delay = 0.0
    if _first(block, "$DECIM"):
        text = "\n".join(f"##${n[1:]}= {_first(block, n)}" for n in ("$DIGMOD", "$GRPDLY", "$DSPFVS", "$DECIM")
                         if _first(block, n))  # fmt: skip
        delay = group_delay(Parameters(str(path), text))
    nucleus = (_first(block, ".OBSERVENUCLEUS") or "1H").strip("^ ")
    points = real.y + 1j * imaginary[0].y
    return Fid(points, 1 / dwell, zero, carrier, delay, nucleus, block.title.strip() or stem(path))


read_jcamp = SpectrumReader(find_jcamp, ("frequency",))
"""NMR spectra of a JCAMP-DX file; fids are processed by molvis."""
