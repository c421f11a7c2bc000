"""Readers of structure libraries: SMILES, SDF, and tables."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rdkit import Chem
from rdkit.rdBase import BlockLogs

from molvis.dataset import Measurement
from molvis.errors import ReadError, StructureError, did_you_mean
from molvis.formula import parse_formula
from molvis.identity import structure, structure_of
from molvis.records import Structure

_STRUCTURE = ("smiles", "canonical_smiles", "isomeric_smiles", "structure", "inchi", "standard_inchi")
_NAME = ("name", "title", "compound_name", "compound", "preferred_name", "iupac_name", "id", "identifier")
_SOURCE = ("sources", "source", "database")


def read_smiles(path: Path) -> Iterator[Measurement | ReadError]:
    """A structure a line: SMILES or InChI, then white space and a name. A first line `smiles ...` is a heading.

    Raises:
        ReadError: the file cannot be read; a line that cannot is yielded as one, with its number.
    """
    for number, line in enumerate(_lines(path), start=1):
        text, _, name = line.strip().partition("\t") if "\t" in line else line.strip().partition(" ")
        if not text or text.startswith("#") or (number == 1 and text.lower().strip('"') in _STRUCTURE):
            continue
        yield _read_one(path, text, name.strip() or None, line=number)


def read_sdf(path: Path) -> Iterator[Measurement | ReadError]:
    """The molecules of an SDF file, one at a time; the title line is the name.

    Raises:
        ReadError: the file cannot be read; a molecule that cannot is yielded as one, with its number and line.
    """
    block: list[str] = []
    start, record = 1, 0
    for number, line in enumerate(_lines(path), start=1):
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

    Where a table also gives InChIKey, formula and exact mass, they are taken as they are: RDKit takes minutes to work
    them out again for hundreds of thousands of structures. One row in a thousand is checked against RDKit.

    Raises:
        ReadError: the file cannot be read, or has no such column; a row that cannot is yielded as one.
    """
    name = path.name.lower()
    rows = _parquet_rows(path) if name.endswith(".parquet") else _csv_rows(path, name)
    for number, row in rows:
        yield _read_row(path, number, row)


def resolve_synonyms(table: Path, names: Sequence[str]) -> dict[str, Structure]:
    """Structures for CAS numbers, PubChem CIDs or other names, from a user's own table; nothing is looked up elsewhere.

    Args:
        table: CSV or TSV with a column of structures; every other column holds synonyms.
        names: what to resolve, whatever the case.

    Raises:
        ReadError: the table cannot be read, or lacks one of the names.
    """
    known: dict[str, str] = {}
    for _, row in _csv_rows(table, table.name.lower()):
        text = _first(row, _STRUCTURE)
        for column, value in row.items():
            if value and text and column not in _STRUCTURE:
                known[str(value).strip().lower()] = str(text)
    found: dict[str, Structure] = {}
    for name in names:
        if name.strip().lower() not in known:
            raise ReadError(table, f"no row for {name!r}.{did_you_mean(name.lower(), known)}")
        found[name] = structure(known[name.strip().lower()], name=name)
    return found


def _lines(path: Path) -> Iterator[str]:
    try:
        opened = gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb")
        with opened as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", errors="replace") as text:  # pyright: ignore[reportArgumentType]
            yield from text
    except (OSError, EOFError) as error:
        raise ReadError(path, f"cannot be read: {error}") from error


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
    with BlockLogs():
        mol = Chem.MolFromMolBlock(text)
    if mol is None or mol.GetNumAtoms() == 0:
        return ReadError(path, "RDKit refuses the molecule", line=line, record=record)
    try:
        found = structure_of(mol, name=block[0].strip() or None)
    except StructureError as error:
        return ReadError(path, str(error), line=line, record=record)
    return Measurement(found, found, "structure", name=found.name)


def _csv_rows(path: Path, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    lines = _lines(path)
    delimiter = "\t" if name.removesuffix(".gz").endswith(".tsv") else ","
    rows = csv.DictReader(lines, delimiter=delimiter)
    headings = {h: h.strip().lower().replace(" ", "_") for h in rows.fieldnames or ()}
    _need_structure(path, list(headings.values()))
    for row in rows:
        yield rows.line_num, {headings[k]: v for k, v in row.items() if k in headings}


def _parquet_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise ReadError(path, f"not a Parquet file, or damaged: {error}") from error
    headings = {h: h.strip().lower() for h in file.schema_arrow.names}
    _need_structure(path, list(headings.values()))
    wanted = {*_STRUCTURE, *_NAME, *_SOURCE, "smiles_flat", "inchikey", "inchikey14", "formula", "exact_mass", "charge"}
    columns = [h for h, low in headings.items() if low in wanted]
    number = 0
    for batch in file.iter_batches(batch_size=20_000, columns=columns):
        names = [headings[n] for n in batch.schema.names]
        for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            number += 1
            yield number, dict(zip(names, values, strict=True))


def _need_structure(path: Path, headings: Sequence[str]) -> None:
    if not any(h in _STRUCTURE for h in headings):
        raise ReadError(
            path, f"no column of structures: found {', '.join(headings) or 'none'}; call it 'smiles' or 'inchi'"
        )


def _first(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((row[n] for n in names if row.get(n)), None)


def _read_row(path: Path, number: int, row: Mapping[str, Any]) -> Measurement | ReadError:
    text, name, source = _first(row, _STRUCTURE), _first(row, _NAME), _first(row, _SOURCE)
    name = str(name) if name is not None else None
    if text is None:
        return ReadError(path, "the structure is empty", line=number)
    key = _first(row, ("inchikey", "inchikey14"))
    formula, mass = row.get("formula"), row.get("exact_mass")
    if not (key and formula and mass):
        return _read_one(path, str(text), name, line=number, source=source)
    try:
        given = Structure(str(text), str(key), str(formula), float(mass), int(row.get("charge") or 0), name)
        parse_formula(given.formula.rstrip("+-0123456789") if given.charge else given.formula)
    except ValueError as error:
        return ReadError(path, str(error), line=number)
    if number % 1000 == 1:
        try:
            made = structure(given.smiles)
        except StructureError as error:
            return ReadError(path, str(error), line=number)
        if made.inchikey14 != given.inchikey14 or abs(made.exact_mass - given.exact_mass) > 0.01:
            reason = (
                f"the row says {given.inchikey14}, {given.exact_mass:.4f} Da, but its SMILES is {made.inchikey14}, "
                f"{made.exact_mass:.4f} Da"
            )
            return ReadError(path, reason, line=number)
    return Measurement(given, given, "structure", name=name, source=str(source) if source else None)
