"""Two columns of text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from molvis_core.errors import ReadError, RecordError
from molvis_files.opening import read_text
from molvis_ir.readers.spectrum import Items, Vector, measurement, stem_of
from molvis_ir.units import axis_kind, looks_transmitted, signal_kind


def read_xy(path: Path) -> Items:
    """Two columns of numbers with commas, semicolons, tabs or spaces between them; decimal commas where they are clear.

    Lines before the numbers may name the units (`Wavenumber (cm-1), %T`) and, as `key: value` or `key = value` and
    perhaps behind `#`, the name, the SMILES, the InChI and the units (`x`, `y`). Without units the axis is taken as
    cm^-1 where it lies between 50 and 15000, and the signal as absorbance; where its bands point down from 1 or 100 it
    is taken as transmittance with a warning, and refused where it is one or the other.

    Raises:
        ReadError: the file cannot be read, holds no numbers, or a line of it holds something else.
    """
    head: list[str] = []
    rows: list[tuple[float, float]] = []
    begin = 0
    odd: int | None = None
    for line, raw in enumerate(re.split(r"\r\n|\r|\n", read_text(path)), start=1):
        text = raw.strip()
        if not text:
            continue
        pair = _pair(text)
        if pair is not None:
            begin = begin or line
            rows.append(pair)
            odd = odd or (None if np.isfinite(pair).all() else line)
        elif rows and text[0] not in _COMMENTS:
            raise ReadError(path, f"{text[:60]!r} is not a pair of numbers", line=line)
        elif not rows:
            head.append(text.lstrip(_COMMENTS).strip())
    if len(rows) < 2:
        raise ReadError(path, "no two columns of numbers in it: each line must have x and y")
    if odd:
        yield ReadError(path, "a number is not finite", line=odd)
        return
    fields = _head_fields(head)
    x, y = np.array(rows, dtype=np.float64).T
    try:
        units = fields.pop("x", None) or _guess_axis(head, x), fields.pop("y", None) or _guess_signal(head, x, y)
    except RecordError as error:
        yield ReadError(path, str(error), line=begin)
        return
    stem = stem_of(path)
    named = {"name": stem, "identifier": stem, **fields}
    yield measurement(path, x, y, *units, named, line=begin, record=stem)


_COMMENTS = "#;!%/*\"'"
_UNITS = "state the units on a line before the numbers, such as: wavenumber (cm-1), absorbance"


def is_xy(path: Path) -> bool:
    """Whether a text file holds two columns of numbers: from the first pair on, nothing else in its first lines."""
    try:
        lines = [line.strip() for line in read_text(path).splitlines()[:100] if line.strip()]
    except ReadError:
        return False
    pairs = [_pair(line) is not None for line in lines[:-1]]
    return any(pairs) and all(pairs[pairs.index(True) :])


def _pair(text: str) -> tuple[float, float] | None:
    if ";" in text or "\t" in text:
        cells = re.split(r"[;\t]", text)
        # A comma that does not part columns parts decimals.
        cells = [c.replace(",", ".") if "." not in c else c for c in cells]
    elif "," in text:
        words = text.split()
        decimal = len(words) == 2 and not words[0].endswith(",") and not words[1].startswith(",")
        cells = [w.replace(",", ".") for w in words] if decimal else text.split(",")
    else:
        cells = text.split()
    cells = [c.strip().strip('"') for c in cells]
    while cells and not cells[-1]:
        cells.pop()
    try:
        x, y = (float(c) for c in cells)
    except ValueError:
        return None
    return x, y


def _head_fields(head: Iterable[str]) -> dict[str, str]:
    names = {"smiles": "structure", "inchi": "structure", "name": "name", "title": "name", "x": "x", "y": "y"}
    found: dict[str, str] = {}
    for line in head:
        if (match := re.match(r"(\w+)\s*[:=]\s*(\S.*)", line)) and (key := names.get(match.group(1).lower())):
            found.setdefault(key, match.group(2).strip())
    return found


def _cells(head: Iterable[str]) -> Iterator[str]:
    """What could name a unit: the cells of the lines before the numbers, and what stands in their brackets."""
    for line in head:
        for cell in re.split(r"[,;\t]|\s{2,}", line):
            parts = (cell, *re.findall(r"[(\[](.*?)[)\]]", cell), *(word for word in cell.split() if "%" in word))
            yield from (part.strip() for part in parts if part.strip())


def _guess_axis(head: Iterable[str], x: Vector) -> str:
    stated = next((cell for cell in _cells(head) if axis_kind(cell)), None)
    if stated is None and not (x.min() >= 50 and 200 < x.max() <= 15000):
        raise RecordError(f"x goes from {x.min():g} to {x.max():g} in no stated unit; {_UNITS}")
    return stated or "1/CM"


def _guess_signal(head: Iterable[str], x: Vector, y: Vector) -> str:
    # A cell such as `%T` names it; a word such as `Transmittance` in a longer line does, too.
    stated = next((cell for cell in _cells(head) if signal_kind(cell)), None)
    if stated is None:
        low, high = float(np.nanmin(y)), float(np.nanmax(y))
        order = np.argsort(x)
        if np.isfinite(y).all() and looks_transmitted(x[order], y[order]):
            return "ABSORBANCE"  # which what reads it doubts, with a warning
        if high > 10 or (high <= 1.2 and low >= -0.1 and float(np.nanmedian(y)) > (low + high) / 2 > 0.2):
            raise RecordError(f"y goes from {low:g} to {high:g} in no stated unit and may be transmittance; {_UNITS}")
    return stated or "ABSORBANCE"
