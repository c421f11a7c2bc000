"""Tables of numbers: CSV, TSV and Excel, as rows with their line."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import math
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from molvis_core.errors import ReadError
from molvis_files.opening import DAMAGE, open_zip, read_bytes, read_text
from molvis_files.xml import refuse_declarations
from molvis_flux.formats.opening import suffix


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table.

    Attributes:
        cells: texts, without blanks at their ends.
        line: counted from 1.
        sheet: of a workbook, or empty.
    """

    cells: tuple[str, ...]
    line: int
    sheet: str = ""


def heading(path: Path) -> tuple[str, ...]:
    """Cells of the first row of a table; none where the file is no table, or is empty.

    Raises:
        ReadError: it cannot be read.
    """
    if suffix(path) not in (".xlsx", ".xlsm", ".tsv", ".csv"):
        return ()
    head = next(rows(path), None)
    return () if head is None else head.cells


def rows(path: Path) -> Iterator[Row]:
    """Rows that are not empty; of a workbook those of all sheets.

    Raises:
        ReadError: the file is none of these.
    """
    if suffix(path) in (".xlsx", ".xlsm"):
        yield from _sheets(path)
        return
    if suffix(path) == ".xls":
        raise ReadError(path, "is of Excel's format before 2007; save it as .xlsx, or its sheet as CSV")
    text = read_text(path)
    first = text.partition("\n")[0]
    delimiter = "\t" if "\t" in first else ";" if ";" in first and "," not in first else ","
    found = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        for number, cells in enumerate(found, 1):
            if any(cell.strip() for cell in cells):
                yield Row(tuple(cell.strip() for cell in cells), number)
    except csv.Error as error:
        raise ReadError(path, f"is no table: {error}", line=found.line_num or 1) from error


_CELLS = 20_000_000
"""Of a workbook, empty ones too: a sheet of a few bytes can claim to be a million rows of 16,384 columns."""


def _sheets(path: Path) -> Iterator[Row]:
    import openpyxl

    _refuse_declarations(path)
    try:
        book = openpyxl.load_workbook(io.BytesIO(read_bytes(path)), data_only=True, read_only=True)
        with contextlib.closing(book):
            for sheet in book.worksheets:
                yield from _filled(path, sheet)
    except ReadError:
        raise
    except Exception as error:  # a damaged workbook fails in many ways inside openpyxl, zipfile and the XML parsers
        raise ReadError(path, f"is no Excel workbook: {error}") from error


def _refuse_declarations(path: Path) -> None:
    with open_zip(path) as packed:
        for name in packed.namelist():
            if name.lower().endswith((".xml", ".rels")):
                try:
                    with packed.open(name) as stream:
                        refuse_declarations(f"{path}/{name}", cast("BinaryIO", stream))
                except (*DAMAGE, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
                    raise ReadError(path, f"is no Excel workbook: {error}") from error


def _filled(path: Path, sheet: Any) -> Iterator[Row]:
    seen = 0
    for number, cells in enumerate(sheet.iter_rows(values_only=True), 1):
        seen += 1 + len(cells)
        if seen > _CELLS:
            raise ReadError(path, f"has more than {_CELLS:,} cells; take out the empty ones", record=sheet.title)
        if any(cell is not None for cell in cells):
            texts = tuple("" if c is None else repr(c) if isinstance(c, float) else str(c).strip() for c in cells)
            yield Row(texts, number, sheet.title)


def number(path: Path, row: Row, text: str, what: str) -> float:
    """A finite number.

    Raises:
        ReadError: it is none; the message names the line.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ReadError(path, f"{what} is {text!r}, no finite number", line=row.line, record=row.sheet or None)
    return value


def numbers(path: Path, row: Row, text: str, what: str) -> tuple[float, ...]:
    """Finite numbers separated by commas or semicolons."""
    return tuple(number(path, row, part, what) for part in re.split(r"[,;\s]+", text.strip("[]() ")) if part)


@dataclass(frozen=True, slots=True)
class MeasuredMID:
    """Mass isotopomers of a compound in a sample, as a table states them.

    Attributes:
        sheet, sample, compound: as the table calls them.
        values: of M+0, M+1, ...: fractions, or counts that sum to anything.
        where: `file:line`.
    """

    sheet: str
    sample: str
    compound: str
    values: tuple[float, ...]
    where: str

    @property
    def mid(self) -> tuple[float, ...]:
        """The fractions, which sum to one."""
        total = sum(self.values)
        return tuple(value / total for value in self.values) if total > 0 else self.values


def read_measured(path: str | Path) -> tuple[MeasuredMID, ...]:
    """MIDs of tables with a column of compounds, one of mass isotopomers, and one for each sample.

    Blocks may stand side by side and below each other; each begins with a row of `Compound`, `Label` and names of
    samples. Names such as `1[13C]alanine` are read as M+1 of
    alanine. Compounds that have no number in a sample are left out of it.

    Raises:
        ReadError: the file is no table, or no such block is in it.
    """
    path = Path(path)
    found: dict[tuple[str, int, str, str, int], MeasuredMID] = {}
    blocks: dict[str, list[tuple[int, int, dict[int, str]]]] = {}
    serial = 0
    current: dict[tuple[str, int], tuple[str, int]] = {}
    for row in rows(path):
        heads = [i for i, cell in enumerate(row.cells) if cell == "Compound" and row.cells[i + 1 : i + 2] == ("Label",)]
        if heads:
            serial += 1
            ends = [*heads[1:], len(row.cells)]
            blocks[row.sheet] = [
                (start, serial, _samples(row.cells, start + 2, end)) for start, end in zip(heads, ends, strict=True)
            ]
            continue
        for start, block, samples in blocks.get(row.sheet, ()):
            isotopomer = _isotopomer(row, start, current)
            if isotopomer is None:
                continue
            name, first, mass = isotopomer
            for column, sample in samples.items():
                text = row.cells[column] if column < len(row.cells) else ""
                key = (row.sheet, block, sample, name, first)
                old = found.get(key) or MeasuredMID(row.sheet, sample, name, (), f"{path}:{first}")
                if text and len(old.values) == mass:
                    value = number(path, row, text, f"M+{mass} of {name} in {sample}")
                    found[key] = dataclasses.replace(old, values=(*old.values, value))
    if not found:
        raise ReadError(path, "there is no table with the columns Compound, Label and samples")
    return tuple(found.values())


def _isotopomer(row: Row, start: int, current: dict[tuple[str, int], tuple[str, int]]) -> tuple[str, int, int] | None:
    """The compound that a row of a block is about, the line where that begins, and the mass shift.

    Args:
        row: without a number as its label it is about nothing.
        start: column where the block begins.
        current: by sheet and column, the compound that was begun last and its line; a row of M+0 begins another.
    """
    label = row.cells[start + 1] if start + 1 < len(row.cells) else ""
    if not re.fullmatch(r"[0-9]{1,4}(?:\.0)?", label):
        return None
    heavy = re.match(r"([0-9]{1,4})\[13C\]", row.cells[start])
    compound = row.cells[start][heavy.end() if heavy else 0 :].strip()
    known, _ = current.get((row.sheet, start), ("", 0))
    # Where names hold the mass, labels may count rows.
    mass = int(heavy[1]) if heavy else int(float(label)) if compound == known else 0
    if mass == 0:
        current[row.sheet, start] = compound, row.line
    return *current.get((row.sheet, start), (compound, row.line)), mass


def _samples(cells: tuple[str, ...], start: int, end: int) -> dict[int, str]:
    """Names of the columns up to the first that has none."""
    names: dict[int, str] = {}
    for column in range(start, end):
        if not cells[column]:
            break
        names[column] = cells[column]
    return names
