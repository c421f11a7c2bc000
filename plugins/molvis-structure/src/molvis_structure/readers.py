"""Readers of structure libraries: SMILES, SDF, and tables."""

from __future__ import annotations

import csv
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from molvis_core.dataset import Measurement
from molvis_core.errors import ReadError, StructureError, did_you_mean
from molvis_core.files import lines
from molvis_core.formula import parse_formula
from molvis_core.identity import parse_molfile, parse_smiles, structure, structure_of
from molvis_core.parquet import Kind, column_names, read_batches
from molvis_core.records import Structure
from molvis_structure.headings import (
    IDENTITY,
    NAME,
    SOURCE,
    STRUCTURE,
    cells,
    delimiter_of,
    has_structures,
    is_structure,
    plain,
    recognised,
    refused,
    without_headings,
)

_EVERY = 1000
_KEY = re.compile(r"[A-Z]{14}(-[A-Z]{10}-[A-Z])?")


def read_smiles(path: Path) -> Iterator[Measurement | ReadError]:
    """A structure a line: SMILES or InChI, then white space, a comma or a semicolon and a name.

    A first line `smiles ...` is a heading. Where the first line has headings in another order, the file is read as a
    table.

    Raises:
        ReadError: the file cannot be read; a line that cannot is yielded as one, with its number.
    """
    first = _first_line(path)
    delimiter = delimiter_of(first)
    headings = recognised(cells(first, delimiter))
    if len(headings) > 1 and has_structures(headings):
        yield from _read_rows(path, _csv_rows(path, delimiter))
        return
    for number, line in lines(path, keep_ends=True):
        text, name = _split(line.strip())
        if not text or text.startswith("#") or (number == 1 and plain(text) in STRUCTURE):
            continue
        yield _read_one(path, text, name or None, line=number)


def _split(line: str) -> tuple[str, str]:
    """A structure and what stands behind it. A SMILES holds no comma and no semicolon, an InChI does."""
    text, *name = re.split(r"\s" if line.startswith("InChI=") else r"[\s,;]", line, maxsplit=1)
    return text.strip('"'), name[0].strip().strip('"') if name else ""


def _first_line(path: Path) -> str:
    return next((line for _, line in lines(path) if line.strip()), "")


def is_smiles_file(path: Path) -> bool:
    """Whether a text file holds structures: under a heading that says so, or in its first lines."""
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
        yield from _read_rows(path, _parquet_rows(path), place="record")
    else:
        delimiter = delimiter_of(_first_line(path), "\t" if name.endswith(".tsv") else ",")
        yield from _read_rows(path, _csv_rows(path, delimiter))


def _read_rows(
    path: Path, rows: Iterable[tuple[int, dict[str, Any]]], place: str = "line"
) -> Iterator[Measurement | ReadError]:
    for count, (number, row) in enumerate(rows):
        yield _read_row(path, {place: number}, row, check=count % _EVERY == 0)


def resolve_synonyms(table: Path, names: Sequence[str]) -> dict[str, Structure]:
    """Structures for CAS numbers, PubChem CIDs or other names, from a user's own table; nothing is looked up elsewhere.

    Args:
        table: CSV or TSV with a column of structures; every other column holds synonyms.
        names: what to resolve, whatever the case.

    Raises:
        ReadError: the table cannot be read, lacks one of the names, or RDKit refuses its structure.
    """
    known: dict[str, tuple[int, str]] = {}
    for line, row in _csv_rows(table, delimiter_of(_first_line(table))):
        text = _first(row, STRUCTURE)
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


def _read_one(
    path: Path, text: str, name: str | None, *, line: int | None = None, record: int | None = None,
    source: str | None = None,
) -> Measurement | ReadError:  # fmt: skip
    try:
        found = structure(text, name=name)
    except StructureError as error:
        return ReadError(path, str(error), line=line, record=record)
    return Measurement(found, found, "structure", name=name, source=source)


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


def _csv_rows(path: Path, delimiter: str) -> Iterator[tuple[int, dict[str, Any]]]:
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
    kinds: dict[str, Kind] = {h: "label" for h, low in headings.items() if low in wanted}
    number = 0
    for batch in read_batches(path, kinds, size=20_000):
        heads = [headings[n] for n in batch.schema.names]
        for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            number += 1
            yield number, dict(zip(heads, values, strict=True))


def _first(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((row[n] for n in names if row.get(n)), None)


def _read_row(path: Path, place: Mapping[str, int], row: Mapping[str, Any], *, check: bool) -> Measurement | ReadError:
    text, name, source = _first(row, STRUCTURE), _first(row, NAME), _first(row, SOURCE)
    name = str(name) if name is not None else None
    source = str(source) if source is not None else None
    if text is None:
        return ReadError(path, "the structure is empty", **place)
    text, key = str(text).strip(), _first(row, ("inchikey", "inchikey14"))
    formula = str(row.get("formula") or "").partition("+")[0].partition("-")[0]
    try:
        mass, charge = float(row.get("exactmass") or math.nan), int(row.get("charge") or 0)
    except (ValueError, OverflowError) as error:
        return ReadError(path, f"exact_mass or charge is not a number: {error}", **place)
    if not (key and formula and math.isfinite(mass)) or text.startswith("InChI="):
        return _read_one(path, text, name, source=source, **place)
    if not _KEY.fullmatch(str(key)) or mass <= 0:
        return ReadError(path, f"inchikey {key!r} or exact_mass {mass} cannot be", **place)
    try:
        parse_formula(formula)
        # Whoever embeds the row meets its SMILES: one that cannot be read is passed over here, not an end there.
        parse_smiles(text)
    except ValueError as error:
        return ReadError(path, str(error), **place)
    given = Structure(text, str(key), formula, mass, charge, name)
    if check and (problem := _contradiction(given)):
        return ReadError(path, problem, **place)
    return Measurement(given, given, "structure", name=name, source=source)


def _contradiction(given: Structure) -> str:
    try:
        made = structure(given.smiles)
    except StructureError as error:
        return str(error)
    if made.inchikey14 == given.inchikey14 and abs(made.exact_mass - given.exact_mass) < 0.01:
        return ""
    return (
        f"the row says {given.inchikey14}, {given.exact_mass:.4f} Da, but its SMILES is {made.inchikey14}, "
        f"{made.exact_mass:.4f} Da"
    )
