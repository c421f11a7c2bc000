"""One row or one SMILES to a measurement, or the reason why it cannot be read."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from molvis_core.chemistry.formula import parse_formula
from molvis_core.chemistry.structures import check_smiles, structure
from molvis_core.errors import ReadError, StructureError
from molvis_core.records import Measurement, Structure
from molvis_files.identifiers import identifiers_of
from molvis_structure.readers.headings import NAME, SOURCE, STRUCTURE

_EVERY = 1000
_KEY = re.compile(r"[A-Z]{14}(-[A-Z]{10}-[A-Z])?")
_CHARGED = re.compile(r"\[[^\]]*[+-]\d*(:\d+)?\]")
"""An atom of a SMILES that has a charge."""


def read_rows(
    path: Path, rows: Iterable[tuple[int, dict[str, Any]]], place: str = "line"
) -> Iterator[Measurement | ReadError]:
    """Measurements of the rows of a table, by number of the row; one in a thousand is checked in full."""
    for count, (number, row) in enumerate(rows):
        yield _read_row(path, {place: number}, row, check=count % _EVERY == 0)


def read_one(
    path: Path, text: str, name: str | None, *, line: int | None = None, record: int | None = None,
    source: str | None = None, identifiers: tuple[str, ...] = (),
) -> Measurement | ReadError:  # fmt: skip
    """A measurement of one SMILES or InChI, or the reason why it cannot be read."""
    try:
        found = replace(structure(text, name=name), identifiers=identifiers)
    except StructureError as error:
        return ReadError(path, str(error), line=line, record=record)
    return Measurement(found, found, "structure", name=name, source=source)


def value_of(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    """The first value of a row under one of these names that is not empty."""
    return next((row[n] for n in names if row.get(n)), None)


def _text(cell: Any) -> str | None:
    return None if cell is None else str(cell)


def _read_row(path: Path, place: Mapping[str, int], row: Mapping[str, Any], *, check: bool) -> Measurement | ReadError:
    text, name, source = value_of(row, STRUCTURE), _text(value_of(row, NAME)), _text(value_of(row, SOURCE))
    if text is None:
        return ReadError(path, "the structure is empty", **place)
    text, key = str(text).strip(), value_of(row, ("inchikey", "inchikey14"))
    formula = (_text(row.get("formula")) or "").partition("+")[0].partition("-")[0]
    try:
        mass, charge = float(row.get("exactmass") or math.nan), int(row.get("charge") or 0)
    except (ValueError, OverflowError) as error:
        return ReadError(path, f"exact_mass or charge is not a number: {error}", **place)
    identifiers = identifiers_of(row)
    if not (key and formula and math.isfinite(mass)) or not _tells_charge(row, text):
        return read_one(path, text, name, source=source, identifiers=identifiers, **place)
    if not _KEY.fullmatch(str(key)) or mass <= 0:
        return ReadError(path, f"inchikey {key!r} or exact_mass {mass} cannot be", **place)
    try:
        parse_formula(formula)
        # Whoever embeds the row meets its SMILES: one that cannot be read is passed over here, not an end there.
        check_smiles(text)
    except ValueError as error:
        return ReadError(path, str(error), **place)
    given = Structure(text, str(key), formula, mass, charge, name, identifiers)
    if check and (problem := _contradiction(given)):
        return ReadError(path, problem, **place)
    return Measurement(given, given, "structure", name=name, source=source)


def _tells_charge(row: Mapping[str, Any], text: str) -> bool:
    """Whether a row says which ion it is: else nobody knows whether its mass has all the electrons of the atoms."""
    return not text.startswith("InChI=") and ("charge" in row or not _CHARGED.search(text))


def _contradiction(given: Structure) -> str:
    try:
        made = structure(given.smiles)
    except StructureError as error:
        return str(error)
    if made.inchikey14 == given.inchikey14 and abs(made.exact_mass - given.exact_mass) < 0.01:
        return ""
    return (
        f"the row states {given.inchikey14}, {given.exact_mass:.4f} Da, but its SMILES is {made.inchikey14}, "
        f"{made.exact_mass:.4f} Da"
    )
