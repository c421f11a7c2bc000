"""Tables of spectra in the layout of MassSpecGym: one spectrum a line, peaks as numbers between commas.

R. Bushuiev and others, MassSpecGym: a benchmark for the discovery and identification of molecules (2024),
doi:10.48550/arXiv.2410.23326
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

from molvis_core.errors import ReadError
from molvis_core.records import Measurement
from molvis_files.opening import lines
from molvis_msms.fields import measurement
from molvis_msms.readers.items import Items

NEEDED = ("identifier", "mzs", "intensities", "smiles", "precursor_mz", "adduct")
"""Columns without which a table is not of this layout."""
_TAKEN = {
    "id": "identifier", "smiles": "smiles", "precursor_mz": "precursor_mz", "adduct": "adduct",
    "instrument_type": "instrument_type", "collision_energy": "collision_energy", "fold": "fold",
}  # fmt: skip
"""Fields of a spectrum, and the columns that they come from."""


def is_massspecgym(path: Path) -> bool:
    """Whether the first line of a table has the headings of this layout, between tabs."""
    return set(NEEDED) <= set(_headings(next((line for _, line in lines(path)), "")))


def read_massspecgym(path: Path) -> Items:
    """Tables in the layout of MassSpecGym, between tabs: `mzs` and `intensities` are numbers between commas.

    Formula, InChIKey and parent mass follow from the SMILES; the columns that state them are not read.

    Raises:
        ReadError: the file cannot be read, or lacks a column.
    """
    numbered = lines(path)
    headings = _headings(next((line for _, line in numbered), ""))
    if missing := [name for name in NEEDED if name not in headings]:
        found = ", ".join(headings[:20]) or "none"
        raise ReadError(path, f"no column {missing[0]!r}; found {found}. Is it a table of MassSpecGym?", line=1)
    for number, (place, line) in enumerate(((p, text) for p, text in numbered if text.strip()), start=1):
        try:
            cells = next(csv.reader([line], delimiter="\t"), [])
        except csv.Error as error:
            yield ReadError(path, f"no line of a table: {error}", line=place, record=number)
            continue
        yield _spectrum(path, dict(zip(headings, cells, strict=False)), len(cells) == len(headings), place, number)


def _headings(line: str) -> list[str]:
    return [heading.strip().strip('"').lower() for heading in line.lstrip("\ufeff").split("\t")]


def _spectrum(path: Path, row: Mapping[str, str], whole: bool, line: int, number: int) -> Measurement | ReadError:
    record = row.get("identifier") or number
    if not whole:
        return ReadError(path, "it has not as many cells as the table has headings", line=line, record=record)
    try:
        mz, heights = (_numbers(row[name]) for name in ("mzs", "intensities"))
    except ValueError as error:
        return ReadError(path, f"its peaks cannot be read: {error}", line=line, record=record)
    if len(mz) != len(heights):
        reason = f"it has {len(mz)} m/z and {len(heights)} intensities"
        return ReadError(path, reason, line=line, record=record)
    fields = {name: row[column] for name, column in _TAKEN.items() if row.get(column)}
    peaks = list(zip(mz, heights, strict=True))
    return measurement(path, {**fields, "ms_level": "2"}, peaks, line=line, number=number)


def _numbers(text: str) -> Sequence[float]:
    return [float(cell) for cell in itertools.filterfalse(str.isspace, text.strip().strip("[]").split(",")) if cell]
