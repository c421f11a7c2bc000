"""Files that give each query its own candidates, as MassSpecGym publishes them: query SMILES to SMILES of candidates.

R. Bushuiev and others, MassSpecGym: a benchmark for the discovery and identification of molecules (2024),
doi:10.48550/arXiv.2410.23326
"""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from molvis_core.chemistry.structures import structure
from molvis_core.errors import ReadError, StructureError
from molvis_core.records import Structure
from molvis_files.documents import load_json
from molvis_files.opening import lines, read_text
from molvis_retrieval.parents import parent

log = logging.getLogger("molvis")

COLUMNS = ("query", "candidate")
"""Headings of a table of candidates."""


def read_candidate_lists(path: Path | str) -> dict[str, list[str]]:
    """Candidates of each query, as the file writes them.

    A JSON object has a list of SMILES for each SMILES of a query. A table has the columns `query` and `candidate`,
    between commas or tabs, and a row for each candidate. Either may be compressed.

    Raises:
        ReadError: the file cannot be read, or holds something else.
    """
    path = Path(path)
    name = path.name.lower().removesuffix(".gz")
    return _table(path) if name.endswith((".csv", ".tsv", ".txt")) else _object(path)


def _object(path: Path) -> dict[str, list[str]]:
    try:
        content: Any = load_json(read_text(path))
    except (json.JSONDecodeError, ValueError, RecursionError) as error:
        raise ReadError(path, f"it is no JSON: {error}. A table of candidates ends in .csv or .tsv.") from error
    if not isinstance(content, Mapping):
        raise ReadError(path, "it must be an object that has a list of SMILES for each query's SMILES")
    for query, candidates in content.items():
        if not isinstance(candidates, list) or not all(isinstance(one, str) for one in candidates):
            raise ReadError(path, "its candidates must be a list of SMILES", record=str(query))
    return {str(query): list(candidates) for query, candidates in content.items()}


def _table(path: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    columns: tuple[int, int] | None = None
    delimiter = ","
    for number, line in lines(path):
        if not line.strip():
            continue
        if columns is None:
            delimiter = "\t" if "\t" in line else ","
        try:
            cells = [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), [])]
        except csv.Error as error:
            raise ReadError(path, f"no line of a table: {error}", line=number) from error
        if columns is None:
            heads = [cell.lower() for cell in cells]
            if not set(COLUMNS) <= set(heads):
                raise ReadError(
                    path, f"the columns 'query' and 'candidate' are needed, found {', '.join(heads[:10])}", line=number
                )
            columns = heads.index("query"), heads.index("candidate")
        elif max(columns) >= len(cells):
            raise ReadError(path, "it has fewer cells than the table has headings", line=number)
        else:
            found.setdefault(cells[columns[0]], []).append(cells[columns[1]])
    if columns is None:
        raise ReadError(path, "it is empty; a table of candidates has the columns 'query' and 'candidate'")
    return found


@dataclass(frozen=True, slots=True)
class Candidates:
    """The candidates of one compound.

    Attributes:
        structures: as a library would hold them, without salts and neutral.
        true: places of those that are the compound, by the first block of the InChIKey.
        refused: candidates that are no structures.
    """

    structures: Sequence[Structure]
    true: Sequence[int]
    refused: int


@dataclass(frozen=True, slots=True)
class CandidateLists:
    """Candidates of compounds, read when they are asked for.

    Attributes:
        smiles: of the candidates of each compound, by the first block of its InChIKey.
        refused: queries whose SMILES is none.
    """

    smiles: Mapping[str, Sequence[str]]
    refused: int = 0

    @classmethod
    def read(cls, path: Path | str) -> CandidateLists:
        """Those of a file; lists of one compound that is written in several ways are joined.

        Raises:
            ReadError: see `read_candidate_lists`; or no query of it is a structure.
        """
        found: dict[str, list[str]] = {}
        refused = 0
        lists = read_candidate_lists(path)
        for query, candidates in lists.items():
            try:
                compound = parent(structure(query))[0].inchikey14
            except StructureError as error:
                refused += 1
                log.debug("%s: query %s: %s", path, query, error)
                continue
            mine = found.setdefault(compound, [])
            mine += [one for one in candidates if one not in mine] if mine else candidates
        if not found:
            raise ReadError(Path(path), f"none of its {len(lists)} queries is a structure")
        return cls(found, refused)

    def __contains__(self, compound: object) -> bool:
        return compound in self.smiles

    def compounds(self) -> Collection[str]:
        """First blocks of the InChIKeys of the compounds that have candidates."""
        return self.smiles.keys()

    def of(self, compound: str) -> Candidates:
        """The candidates of a compound, in the order of the file."""
        made: list[Structure] = []
        refused = 0
        for smiles in self.smiles[compound]:
            try:
                made.append(parent(structure(smiles))[0])
            except StructureError as error:
                refused += 1
                log.debug("candidate %s: %s", smiles, error)
        return Candidates(made, [i for i, one in enumerate(made) if one.inchikey14 == compound], refused)
