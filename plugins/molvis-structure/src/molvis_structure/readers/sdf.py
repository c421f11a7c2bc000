"""SDF files."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from molvis_core.chemistry.structures import parse_molfile, structure_of
from molvis_core.errors import ReadError, StructureError
from molvis_core.records import Measurement
from molvis_files.opening import lines
from molvis_structure.readers.headings import (
    NAME,
    plain,
)


def read_sdf(path: Path) -> Iterator[Measurement | ReadError]:
    """The molecules of an SDF file, one at a time. Its name is the title line, or else a data item called so.

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
    try:
        found = structure_of(parse_molfile(text), name=block[0].strip() or _data_item(block, NAME))
    except StructureError as error:
        return ReadError(path, str(error), line=line, record=record)
    return Measurement(found, found, "structure", name=found.name)


def _data_item(block: Sequence[str], names: Sequence[str]) -> str | None:
    """The value of the first data item of an SDF record that is called by one of these names."""
    for head, value in itertools.pairwise(block):
        if (match := re.match(r">.*<([^>]+)>", head)) and plain(match.group(1)) in names and value.strip():
            return value.strip()
    return None
