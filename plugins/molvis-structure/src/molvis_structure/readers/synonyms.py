"""Structures for CAS numbers, PubChem CIDs or other names, from a user's own table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from molvis_core.chemistry.structures import structure
from molvis_core.errors import ReadError, StructureError, did_you_mean
from molvis_core.records import Structure
from molvis_structure.readers.headings import (
    STRUCTURE,
    delimiter_of,
)
from molvis_structure.readers.rows import value_of
from molvis_structure.readers.tables import csv_rows, first_line


def resolve_synonyms(table: Path, names: Sequence[str]) -> dict[str, Structure]:
    """Structures for CAS numbers, PubChem CIDs or other names, from a user's own table; nothing is looked up elsewhere.

    Args:
        table: CSV or TSV with a column of structures; every other column holds synonyms.
        names: what to resolve, whatever the case.

    Raises:
        ReadError: the table cannot be read, lacks one of the names, or RDKit refuses its structure.
    """
    known: dict[str, tuple[int, str]] = {}
    for line, row in csv_rows(table, delimiter_of(first_line(table))):
        text = value_of(row, STRUCTURE)
        for column, value in row.items():
            if value and text and column not in STRUCTURE:
                known[str(value).strip().lower()] = line, str(text)
    found: dict[str, Structure] = {}
    for name in names:
        if name.strip().lower() not in known:
            raise ReadError(table, f"no row for {name!r}.{did_you_mean(name.lower(), known)}")
        line, text = known[name.strip().lower()]
        try:
            found[name] = structure(text, name=name)
        except StructureError as error:
            raise ReadError(table, str(error), line=line) from error
    return found
