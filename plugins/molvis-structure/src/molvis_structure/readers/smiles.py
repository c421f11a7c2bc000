"""Lists of SMILES or InChI, one a line."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from molvis_core.errors import ReadError
from molvis_core.records import Measurement
from molvis_files.identifiers import identifiers_of
from molvis_files.opening import lines
from molvis_structure.readers.headings import (
    STRUCTURE,
    cells,
    delimiter_of,
    has_structures,
    is_structure,
    plain,
    recognised,
)
from molvis_structure.readers.rows import read_one, read_rows
from molvis_structure.readers.tables import csv_rows, first_line


def read_smiles(path: Path) -> Iterator[Measurement | ReadError]:
    """A structure a line: SMILES or InChI, then white space, a comma or a semicolon and a name.

    A first line `smiles ...` is a heading. Where the first line has headings in another order, the file is read as a
    table.

    Raises:
        ReadError: the file cannot be read; a line that cannot is yielded as one, with its number.
    """
    first = first_line(path)
    delimiter = delimiter_of(first)
    headings = recognised(cells(first, delimiter))
    if len(headings) > 1 and has_structures(headings):
        yield from read_rows(path, csv_rows(path, delimiter))
        return
    for number, line in lines(path, keep_ends=True):
        text, name = _split(line.strip())
        if not text or text.startswith("#") or (number == 1 and plain(text) in STRUCTURE):
            continue
        yield read_one(path, text, name or None, line=number, identifiers=identifiers_of({"id": name}))


def _split(line: str) -> tuple[str, str]:
    """A structure and what stands behind it. A SMILES holds no comma and no semicolon, an InChI does."""
    text, *name = re.split(r"\s" if line.startswith("InChI=") else r"[\s,;]", line, maxsplit=1)
    return text.strip('"'), name[0].strip().strip('"') if name else ""


def is_smiles_file(path: Path) -> bool:
    """Whether a text file holds structures: under a heading of structures, or in its first lines."""
    try:
        first = [line.strip() for _, line in itertools.islice(lines(path), 20)]
    except ReadError:
        return False
    rows = [line for line in first if line and not line.startswith("#")][:3]
    if not rows:
        return False
    if has_structures(recognised(cells(rows[0], delimiter_of(rows[0])))) or plain(_split(rows[0])[0]) in STRUCTURE:
        return True
    return all(is_structure(_split(line)[0]) for line in rows)
