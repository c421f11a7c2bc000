"""Tables of cross sections as text."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from molvis_ccs.readers.columns import columns_of, lacking
from molvis_ccs.readers.rows import Items, read_row
from molvis_core.errors import ReadError
from molvis_files.opening import read_text


def read_csv(path: Path) -> Items:
    """A table with a header: commas, semicolons or tabs between the columns.

    It needs a column of cross sections, and one of adducts, m/z or structures. `DTCCSN2`, `TWCCS` and `TIMSCCS`
    beside each other are a measurement each. A header such as `CCS (nm^2)` is converted.

    Raises:
        ReadError: the file cannot be read, or its header lacks these columns.
    """
    text = read_text(path)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    try:
        headers = next((row for row in rows if any(cell.strip() for cell in row)), [])
        columns = columns_of(headers)
        if not columns.fit:
            raise ReadError(path, lacking(headers), line=rows.line_num or None)
        while True:
            line = rows.line_num + 1
            if (row := next(rows, None)) is None:
                return
            if not any(cell.strip() for cell in row):
                continue
            if len(row) > len(headers) and any(cell.strip() for cell in row[len(headers) :]):
                yield ReadError(path, f"{len(row)} cells under {len(headers)} headers", line=line)
                continue
            yield from read_row(path, columns, dict(zip(headers, row, strict=False)), line)
    except csv.Error as error:
        raise ReadError(path, f"not a table: {error}", line=rows.line_num or None) from error


def _delimiter(text: str) -> str:
    first = next((line for line in text.splitlines() if line.strip()), "")
    return max("\t;,", key=first.count)


def is_ccs_csv(path: Path) -> bool:
    """Whether the first line of a text file names a column of cross sections, and what it is of."""
    try:
        text = read_text(path)
    except ReadError:
        return False
    first = next((line for line in text.splitlines() if line.strip()), "")
    return columns_of([cell.strip().strip('"') for cell in first.split(_delimiter(first))]).fit
