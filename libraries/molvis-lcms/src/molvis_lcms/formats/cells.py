"""What the formats share: numbers, charges, ion modes and spectra as text, and tables with columns by name."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from molvis_core.chemistry.adducts import parse_adduct, unknown_charge
from molvis_core.errors import AdductError, ReadError, RecordError
from molvis_core.records import PeakList
from molvis_files.opening import lines

__all__ = ["adduct_of", "charge_of", "mode_of", "number", "spectrum_of", "table_rows"]

_EMPTY = {"", "n/a", "na", "nan", "none", "null", "unknown", "-", "?", "0"}


def number(text: str | None) -> float | None:
    """A finite number; None where there is none."""
    found = re.match(r"\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", text or "")
    value = float(found.group()) if found else math.nan
    return value if math.isfinite(value) else None


def charge_of(text: str | None, ionmode: str | None = None) -> int | None:
    """`1`, `1+`, `-2`, `2.0` to a signed number; None where there is none, or 0."""
    found = re.fullmatch(r"\s*([+-]?)(\d{1,2})(?:\.0*)?([+-]?)\s*", text or "")
    if not found or int(found.group(2)) == 0:
        return None
    negative = "-" in (found.group(1), found.group(3)) or ionmode == "negative"
    return -int(found.group(2)) if negative else int(found.group(2))


def mode_of(text: str | None) -> str | None:
    """`positive` or `negative` from what programs write."""
    low = (text or "").strip().lower()
    if low.startswith("pos") or low in ("+", "1", "1+", "p"):
        return "positive"
    return "negative" if low.startswith("neg") or low in ("-", "-1", "1-", "n") else None


def adduct_of(text: str | None) -> str | None:
    """An adduct as molvis spells it; None for one that is left open, such as `[M+?]+`, or that cannot be read."""
    written = (text or "").strip()
    if written.lower() in _EMPTY or unknown_charge(written) is not None:
        return None
    try:
        return parse_adduct(written).name
    except AdductError:
        return None


def spectrum_of(
    peaks: Sequence[tuple[float, float]],
    precursor_mz: float,
    charge: int | None,
    mode: str | None,
    energy: float | None,
) -> PeakList | None:
    """A spectrum with its ion; None where it has no peak with a height.

    Raises:
        RecordError: a peak that cannot be.
    """
    pairs = np.array([p for p in peaks if p[1] > 0], dtype=np.float64).reshape(-1, 2)
    if not len(pairs):
        return None
    with np.errstate(over="ignore"):
        heights = pairs[:, 1].astype(np.float32)
    if not np.isfinite(heights).all():
        raise RecordError("a peak is too high for a number of 32 bits")
    return PeakList(
        pairs[:, 0], heights, precursor_mz, charge=charge, ionmode=mode, collision_energy=energy, ms_level=2
    )


def table_rows(
    path: Path, begins: str, separator: str = ","
) -> Iterator[tuple[int, Mapping[str, str], Mapping[str, str]]]:
    """Rows of a table with the line of each: cells by lowercase column, and by the column as it is written.

    Args:
        path: the file.
        begins: what the first cell of the line of columns is; lines before it are passed over.
        separator: of cells.

    Raises:
        ReadError: the file cannot be read, or has no such line of columns.
    """
    columns: list[str] | None = None
    numbered = lines(path)
    held: list[int] = []

    def texts() -> Iterable[str]:
        for line, text in numbered:
            held[:] = [line]
            yield text

    try:
        for row in csv.reader(texts(), delimiter=separator):
            if columns is None:
                if row and row[0].strip().lstrip("\ufeff").lower() == begins:
                    columns = [c.strip() for c in row]
            elif any(cell.strip() for cell in row):
                exact = dict(zip(columns, row, strict=False))
                yield held[0], {k.lower(): v.strip() for k, v in exact.items()}, exact
    except csv.Error as error:
        raise ReadError(path, f"is no table: {error}", line=held[0] if held else None) from error
    if columns is None:
        raise ReadError(path, f"no line of columns that begins with {begins!r}")
