"""SDF files."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from molvis_core.chemistry.structures import parse_molfile, structure_of
from molvis_core.errors import ReadError, StructureError
from molvis_core.records import Measurement
from molvis_files.identifiers import identifiers_of, is_number
from molvis_files.opening import lines
from molvis_structure.readers.headings import NAME, plain
from molvis_structure.readers.rows import value_of


def read_sdf(path: Path) -> Iterator[Measurement | ReadError]:
    """The molecules of an SDF file, one at a time.

    The name is the title line, or a data item called so where the title is empty or the number of a database. Such
    numbers, also in data items such as HMDB's `DATABASE_ID`, become identifiers.

    Raises:
        ReadError: the file cannot be read; a molecule that cannot is yielded as one, with its number and line.
    """
    block: list[str] = []
    start, record = 1, 0
    for number, line in lines(path, keep_ends=True):
        if line.strip() != "$$$$":
            block.append(line)
            continue
        record += 1
        yield _read_molfile(path, block, start, record)
        block, start = [], number + 1
    if any(line.strip() for line in block):
        yield _read_molfile(path, block, start, record + 1)


def _read_molfile(path: Path, block: Sequence[str], line: int, record: int) -> Measurement | ReadError:
    text = "".join(block)
    if "M  END" not in text:
        return ReadError(path, "the molecule is cut off: 'M  END' is missing", line=line, record=record)
    items, title = _data_items(block), block[0].strip()
    name = value_of(items, NAME) if not title or is_number(title) else title
    try:
        found = structure_of(parse_molfile(text), name=name or title or None)
    except StructureError as error:
        return ReadError(path, str(error), line=line, record=record)
    found = replace(found, identifiers=identifiers_of({"id": title} | items))
    return Measurement(found, found, "structure", name=found.name)


def _data_items(block: Sequence[str]) -> dict[str, str]:
    """The first line of each data item of an SDF record, by its name without case, spaces and signs."""
    out: dict[str, str] = {}
    for head, value in itertools.pairwise(block):
        if (match := re.match(r">.*<([^>]+)>", head)) and value.strip():
            out.setdefault(plain(match.group(1)), value.strip())
    return out
