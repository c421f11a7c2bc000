"""Tables of structures: CSV, TSV and Parquet."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from molvis_core.errors import ReadError
from molvis_core.records import Measurement
from molvis_files.identifiers import is_identifier_heading
from molvis_files.opening import lines
from molvis_files.parquet import Kind, column_names, read_batches
from molvis_structure.readers.headings import (
    IDENTITY,
    NAME,
    SOURCE,
    STRUCTURE,
    delimiter_of,
    has_structures,
    recognised,
    refused,
    without_headings,
)
from molvis_structure.readers.rows import read_rows


def first_line(path: Path) -> str:
    """The first line of a file that is not blank."""
    return next((line for _, line in lines(path) if line.strip()), "")


def read_table(path: Path) -> Iterator[Measurement | ReadError]:
    """CSV, TSV and Parquet tables with a column of SMILES or InChI, found by its heading.

    Case, spaces and signs of headings do not matter: `Canonical SMILES` is `canonical_smiles`. A table of text without
    headings is read where one of its columns holds structures. Commas, tabs and semicolons part columns.

    Where a table also gives InChIKey, formula and exact mass, they are taken as they are: RDKit and InChI take minutes
    to work them out again for hundreds of thousands of structures. One row in a thousand is checked against them. Every
    SMILES must be one that RDKit reads.

    Raises:
        ReadError: the file cannot be read, or has no such column; a row that cannot is yielded as one.
    """
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(".parquet"):
        yield from read_rows(path, _parquet_rows(path), place="record")
    else:
        delimiter = delimiter_of(first_line(path), "\t" if name.endswith(".tsv") else ",")
        yield from read_rows(path, csv_rows(path, delimiter))


def csv_rows(path: Path, delimiter: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and cells by heading, of each row of a table of text."""
    rows = csv.reader((line for _, line in lines(path, keep_ends=True)), delimiter=delimiter)
    try:
        numbered = ((rows.line_num, row) for row in rows if row)
        first = list(itertools.islice(numbered, 3))
        found = first[0][1] if first else []
        headings = recognised(found)
        if has_structures(headings):
            del first[0]
        elif made := without_headings([row for _, row in first]):
            headings = made
        else:
            raise refused(path, found)
        for number, row in itertools.chain(first, numbered):
            yield number, _cells(headings, row)
    except csv.Error as error:
        raise ReadError(path, f"not a table: {error}", line=rows.line_num or 1) from error


def _cells(headings: Sequence[str], row: Sequence[str]) -> dict[str, Any]:
    """Cells by heading; the first column of a heading counts, as the first of several names does."""
    return dict(reversed(list(zip(headings, row, strict=False))))


def _parquet_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    names = column_names(path)
    headings = dict(zip(names, recognised(names), strict=True))
    if not has_structures(headings.values()):
        raise refused(path, names)
    wanted = {*STRUCTURE, *NAME, *SOURCE, *IDENTITY}
    kinds: dict[str, Kind] = {h: "label" for h, low in headings.items() if low in wanted or is_identifier_heading(low)}
    number = 0
    for batch in read_batches(path, kinds, size=20_000):
        heads = [headings[n] for n in batch.schema.names]
        for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            number += 1
            yield number, dict(zip(heads, values, strict=True))
