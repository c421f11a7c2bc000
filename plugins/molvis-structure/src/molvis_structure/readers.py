"""Readers of structure libraries: SMILES, SDF, and tables."""

from __future__ import annotations

import csv
import io
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from molvis_core.dataset import Measurement
from molvis_core.errors import ReadError, StructureError, did_you_mean
from molvis_core.files import lines, read_bytes
from molvis_core.formula import parse_formula
from molvis_core.identity import parse_molfile, parse_smiles, structure, structure_of
from molvis_core.records import Structure

_STRUCTURE = ("smiles", "canonical_smiles", "isomeric_smiles", "structure", "inchi", "standard_inchi")
_NAME = ("name", "title", "compound_name", "compound", "preferred_name", "iupac_name", "id", "identifier")
_SOURCE = ("sources", "source", "database")
_EVERY = 1000
_KEY = re.compile(r"[A-Z]{14}(-[A-Z]{10}-[A-Z])?")


def read_smiles(path: Path) -> Iterator[Measurement | ReadError]:
    """A structure a line: SMILES or InChI, then white space and a name. A first line `smiles ...` is a heading.

    Raises:
        ReadError: the file cannot be read; a line that cannot is yielded as one, with its number.
    """
    for number, line in lines(path, keep_ends=True):
        text, _, name = line.strip().partition("\t") if "\t" in line else line.strip().partition(" ")
        if not text or text.startswith("#") or (number == 1 and text.lower().strip('"') in _STRUCTURE):
            continue
        yield _read_one(path, text, name.strip() or None, line=number)


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

    Where a table also gives InChIKey, formula and exact mass, they are taken as they are: RDKit and InChI take minutes
    to work them out again for hundreds of thousands of structures. One row in a thousand is checked against them. Every
    SMILES must be one that RDKit reads.

    Raises:
        ReadError: the file cannot be read, or has no such column; a row that cannot is yielded as one.
    """
    name = path.name.lower().removesuffix(".gz")
    parquet = name.endswith(".parquet")
    for count, (number, row) in enumerate(_parquet_rows(path) if parquet else _csv_rows(path, name)):
        yield _read_row(path, {"record" if parquet else "line": number}, row, check=count % _EVERY == 0)


def resolve_synonyms(table: Path, names: Sequence[str]) -> dict[str, Structure]:
    """Structures for CAS numbers, PubChem CIDs or other names, from a user's own table; nothing is looked up elsewhere.

    Args:
        table: CSV or TSV with a column of structures; every other column holds synonyms.
        names: what to resolve, whatever the case.

    Raises:
        ReadError: the table cannot be read, lacks one of the names, or RDKit refuses its structure.
    """
    known: dict[str, tuple[int, str]] = {}
    for line, row in _csv_rows(table, table.name.lower().removesuffix(".gz")):
        text = _first(row, _STRUCTURE)
        for column, value in row.items():
            if value and text and column not in _STRUCTURE:
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
        found = structure_of(parse_molfile(text), name=block[0].strip() or _data_item(block, _NAME))
    except StructureError as error:
        return ReadError(path, str(error), line=line, record=record)
    return Measurement(found, found, "structure", name=found.name)


def _data_item(block: Sequence[str], names: Sequence[str]) -> str | None:
    """The value of the first data item of an SDF record that is called by one of these names."""
    for head, value in itertools.pairwise(block):
        if (match := re.match(r">.*<([^>]+)>", head)) and match.group(1).strip().lower() in names and value.strip():
            return value.strip()
    return None


def _csv_rows(path: Path, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    delimiter = "\t" if name.endswith(".tsv") else ","
    rows = csv.DictReader((line for _, line in lines(path, keep_ends=True)), delimiter=delimiter)
    try:
        headings = {h: h.strip().lower().replace(" ", "_") for h in rows.fieldnames or ()}
    except csv.Error as error:
        raise ReadError(path, f"not a table: {error}", line=1) from error
    _need_structure(path, list(headings.values()))
    try:
        for row in rows:
            yield rows.line_num, {headings[k]: v for k, v in row.items() if k in headings}
    except csv.Error as error:
        raise ReadError(path, f"not a table: {error}", line=rows.line_num) from error


def _parquet_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Parquet is read from its end, which a gzip stream does not have.
        packed = path.name.lower().endswith(".gz")
        file = pq.ParquetFile(io.BytesIO(read_bytes(path)) if packed else path)
    except (OSError, pa.ArrowException) as error:
        raise ReadError(path, f"not a Parquet file, or damaged: {error}") from error
    headings = {h: h.strip().lower() for h in file.schema_arrow.names}
    _need_structure(path, list(headings.values()))
    wanted = {*_STRUCTURE, *_NAME, *_SOURCE, "inchikey", "inchikey14", "formula", "exact_mass", "charge"}
    columns = [h for h, low in headings.items() if low in wanted]
    number = 0
    try:
        for batch in file.iter_batches(batch_size=20_000, columns=columns):
            names = [headings[n] for n in batch.schema.names]
            for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                number += 1
                yield number, dict(zip(names, values, strict=True))
    except (OSError, pa.ArrowException) as error:
        raise ReadError(path, f"damaged after row {number}: {error}", record=number + 1) from error


def _need_structure(path: Path, headings: Sequence[str]) -> None:
    if not any(h in _STRUCTURE for h in headings):
        raise ReadError(
            path, f"no column of structures: found {', '.join(headings) or 'none'}; call it 'smiles' or 'inchi'"
        )


def _first(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((row[n] for n in names if row.get(n)), None)


def _read_row(path: Path, place: Mapping[str, int], row: Mapping[str, Any], *, check: bool) -> Measurement | ReadError:
    text, name, source = _first(row, _STRUCTURE), _first(row, _NAME), _first(row, _SOURCE)
    name = str(name) if name is not None else None
    source = str(source) if source is not None else None
    if text is None:
        return ReadError(path, "the structure is empty", **place)
    text, key = str(text).strip(), _first(row, ("inchikey", "inchikey14"))
    formula = str(row.get("formula") or "").partition("+")[0].partition("-")[0]
    try:
        mass, charge = float(row.get("exact_mass") or math.nan), int(row.get("charge") or 0)
    except ValueError as error:
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
