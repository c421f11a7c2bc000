"""What the formats share: numbers, ions and spectra as text, and tables with columns by name."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from jaxtyping import Float

from molvis_core.chemistry.adducts import parse_adduct, unknown_charge
from molvis_core.errors import AdductError, ReadError, RecordError
from molvis_core.records import PeakList
from molvis_files.opening import lines

__all__ = [
    "Ion",
    "adduct_of",
    "arrays_of",
    "charge_of",
    "first",
    "ion_of",
    "mode_of",
    "number",
    "records_of",
    "seconds",
    "spectrum_of",
    "table_rows",
]

_EMPTY = {"", "n/a", "na", "nan", "none", "null", "unknown", "-", "?", "0"}


def number(text: str | None) -> float | None:
    """A finite number; None where there is none."""
    found = re.match(r"\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", text or "")
    value = float(found.group()) if found else math.nan
    return value if math.isfinite(value) else None


def seconds(minutes: str | None) -> float | None:
    """A time in minutes as one in seconds."""
    value = number(minutes)
    return None if value is None else 60 * value


def first(cells: Mapping[str, str], *names: str) -> str | None:
    """The first of several fields that holds something."""
    return next((cells[name] for name in names if cells.get(name)), None)


def arrays_of(peaks: Iterable[tuple[float, float]]) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"]]:
    """m/z and heights of peaks, in order, without those that have no height."""
    pairs = np.array(sorted(p for p in peaks if p[1] > 0), dtype=np.float64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


@dataclass(frozen=True, slots=True)
class Ion:
    """What a record states of its ion; None where it does not."""

    adduct: str | None
    charge: int | None
    ionmode: str | None


def ion_of(adduct: str | None, charge: str | None, mode: str | None) -> Ion:
    """The ion, from what a record states of adduct, charge and ion mode: an adduct decides on the others."""
    named = adduct_of(adduct)
    if named is not None:
        parsed = parse_adduct(named)
        return Ion(named, parsed.charge, parsed.ionmode)
    ionmode = mode_of(mode) or {"+": "positive", "-": "negative"}.get((adduct or "").strip()[-1:])
    size = charge_of(charge, ionmode)
    if ionmode is None and size is not None:
        ionmode = "negative" if size < 0 else "positive"
    return Ion(None, size, ionmode)


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
    peaks: Sequence[tuple[float, float]], precursor_mz: float, ion: Ion, energy: float | None = None
) -> PeakList | None:
    """A spectrum with its ion; None where it has no peak with a height.

    Raises:
        RecordError: a peak that cannot be.
    """
    mz, tall = arrays_of(peaks)
    if not len(mz):
        return None
    with np.errstate(over="ignore"):
        heights = tall.astype(np.float32)
    if not np.isfinite(heights).all():
        raise RecordError("a peak is too high for a number of 32 bits")
    return PeakList(
        mz, heights, precursor_mz, charge=ion.charge, ionmode=ion.ionmode, collision_energy=energy, ms_level=2
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


class _Growing(Protocol):
    """A record that takes the lines of a file one by one."""

    def add(self, text: str, line: int, /) -> None: ...


R = TypeVar("R", bound=_Growing)


def records_of(path: Path, start: str, make: Callable[[int], R]) -> Iterator[R]:
    """The records of a file of lines; what stands before the first is passed over.

    Args:
        path: of the file.
        start: a pattern of the line that begins a record, without regard to case.
        make: a record that begins at the line of this number; it is given this line and those that follow.

    Raises:
        ReadError: the file cannot be read.
    """
    record: R | None = None
    for line, raw in lines(path):
        text = raw.strip()
        if re.match(start, text, re.IGNORECASE):
            if record is not None:
                yield record
            record = make(line)
        if record is not None and text:
            record.add(text, line)
    if record is not None:
        yield record
