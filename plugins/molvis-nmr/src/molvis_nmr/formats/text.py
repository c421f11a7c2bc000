"""Two columns of text, ppm and intensity, and tables of spectra (Parquet)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from molvis_core.errors import ReadError
from molvis_files.opening import read_text
from molvis_files.parquet import Kind, parquet_columns, read_batches
from molvis_nmr.formats.sources import Found, SpectrumReader, make_trace, resampled, stem


def is_nmr_text(path: Path) -> bool:
    """Whether a text file names ppm, a chemical shift or a frequency in MHz before its numbers."""
    try:
        rows = read_text(path)[:20_000].splitlines()
    except ReadError:
        return False
    head = list(itertools.takewhile(lambda line: _row(line) is None, rows))
    return len(head) < len(rows) and bool(
        re.search(r"\bppm\b|chemical[ _]shift|\bMHz\b", "\n".join(head), re.IGNORECASE)
    )


def find_text(path: Path, *, frequency: float | None = None, resample: bool = False) -> Iterator[Found]:
    """The spectrum of a text file.

    Commas, semicolons, tabs or spaces part the columns. Lines before the numbers may state `frequency: 600.13` in MHz,
    the `name`, the `identifier` and the unit of the first column, `ppm` or `Hz`.

    Args:
        path: of the file.
        frequency: in MHz, where the file states none.
        resample: onto an even axis, where the file's is not.

    Raises:
        ReadError: the file cannot be read, holds no two columns of numbers, or a line that is no pair.
    """
    stated, begin, rows = _read_rows(path)
    x, y = np.array(rows, dtype=np.float64).T
    observed = frequency or _stated_frequency(stated)
    if re.search(r"\bHz\b", stated) and not re.search(r"\bppm\b", stated, re.IGNORECASE) and observed:
        x = x / observed
    finite = np.isfinite(x) & np.isfinite(y)
    if resample and finite.all():
        x, y = resampled(x, y)
    name = _stated(stated, "name")
    identifier = _stated(stated, "identifier") or stem(path)
    bad = np.flatnonzero(~finite)
    line = begin + int(bad[0]) if len(bad) else None
    yield Found(path, stem(path), trace=make_trace(path, x, y, observed, identifier, line=line), name=name)


def _read_rows(path: Path) -> tuple[str, int, list[tuple[float, ...]]]:
    """The lines before the numbers, the number of the first line of numbers, and the pairs of numbers."""
    head: list[str] = []
    rows: list[tuple[float, ...]] = []
    begin = 0
    for line, text in enumerate(re.split(r"\r\n|\r|\n", read_text(path)), start=1):
        if not text.strip():
            continue
        row = _row(text)
        if row is None:
            if not rows:
                head.append(text)
            elif text.lstrip()[0] not in "#;!%":
                raise ReadError(path, f"{text.strip()[:60]!r} is no pair of numbers", line=line)
            continue
        begin = begin or line
        if len(row) != 2:
            raise ReadError(path, _wrong_columns(len(row)), line=line)
        rows.append(row)
    if len(rows) < 2:
        raise ReadError(path, "holds no two columns of numbers; each line must have ppm and intensity")
    return "\n".join(head), begin, rows


def _wrong_columns(count: int) -> str:
    """Why a line of so many numbers is no point of a spectrum."""
    reason = f"must have two columns, ppm and intensity, got {count}"
    if count == 3:
        reason += " (a third column of imaginary parts makes it complex: leave it out)"
    if count == 1:
        reason += ": there is no axis"
    return reason


def _stated_frequency(head: str) -> float | None:
    """The frequency in MHz that the lines before the numbers name, or write with its unit."""
    found = re.search(r"(?:frequency|field|SFO1|\bSF\b)\D{0,20}?(\d+(?:\.\d+)?)", head, re.IGNORECASE)
    found = found or re.search(r"(\d+(?:\.\d+)?)\s*MHz", head, re.IGNORECASE)
    return float(found.group(1)) if found else None


def _stated(head: str, name: str) -> str | None:
    found = re.search(rf"^\W*{name}\s*[:=]\s*(\S.*?)\s*$", head, re.IGNORECASE | re.MULTILINE)
    return found.group(1) if found else None


def _row(text: str) -> tuple[float, ...] | None:
    parts = ";" if ";" in text else "\t" if "\t" in text.strip() else "," if "," in text else None
    cells = [cell.strip().strip('"') for cell in text.strip().split(parts)]
    while cells and not cells[-1]:
        cells.pop()
    if parts in (";", "\t"):
        cells = [cell.replace(",", ".") for cell in cells]
    try:
        return tuple(float(cell) for cell in cells) or None
    except ValueError:
        return None


# Tables

_WANTED = frozenset({"spectrum_id", "field_MHz", "ppm_start", "ppm_step", "intensity"})
_KINDS: dict[str, Kind] = {
    "spectrum_id": "label", "field_MHz": "number", "ppm_start": "number", "ppm_step": "number", "intensity": "numbers",
    "compound": "text", "source": "text", "licence": "text",
}  # fmt: skip


def is_nmr_table(path: Path) -> bool:
    """Whether a Parquet table has the columns of NMR spectra."""
    return parquet_columns(path) >= _WANTED


def find_table(path: Path, *, entry: str | None = None) -> Iterator[Found]:
    """The rows of a table, or one of them.

    Args:
        path: of the table.
        entry: the row's `spectrum_id`; without it all.

    Raises:
        ReadError: the file is not Parquet, is damaged, or lacks a column.
    """
    number = 0
    for batch in read_batches(path, _KINDS, need=sorted(_WANTED), size=8):
        for row in batch.to_pylist() if entry is None else _of(batch, entry):
            number += 1
            yield _from_row(path, row, number)


def _of(batch: Any, entry: str) -> list[dict[str, Any]]:
    rows = [i for i, name in enumerate(batch.column("spectrum_id").to_pylist()) if name == entry]
    return batch.take(rows).to_pylist() if rows else []


def _from_row(path: Path, row: dict[str, Any], number: int) -> Found:
    record = str(row["spectrum_id"] or number)
    known = {"name": row.get("compound"), "source": row.get("source"), "licence": row.get("licence")}
    if row["intensity"] is None or row["ppm_start"] is None or row["ppm_step"] is None:
        problem = ReadError(path, "ppm_start, ppm_step or intensity is missing", line=number, record=record)
        return Found(path, record, problem=problem)
    y = np.array(row["intensity"], dtype=np.float64)
    x = row["ppm_start"] + row["ppm_step"] * np.arange(len(y))
    try:
        trace = make_trace(path, x, y, row["field_MHz"], record, record=record, line=number)
    except ReadError as error:
        return Found(path, record, problem=error)
    return Found(path, record, trace=trace, **known)


read_text_spectrum = SpectrumReader(find_text, ("frequency", "resample"))
"""Two columns of numbers, ppm and intensity."""


read_table = SpectrumReader(find_table, ("entry",))
"""Tables of spectra, one row each: `spectrum_id`, `field_MHz`, `ppm_start`, `ppm_step` and `intensity` as a list."""
