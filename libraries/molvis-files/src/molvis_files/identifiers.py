"""Compact identifiers (CURIEs) of compounds: which cells of a table hold some, and where they lead.

Prefixes and links are those of identifiers.org (doi:10.1038/sdata.2018.29).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Database:
    """One that numbers compounds.

    Attributes:
        prefix: of its compact identifiers.
        name: for people.
        number: what its numbers look like.
        headings: of columns that hold its numbers, without case, spaces and signs.
        telling: whether a number tells by itself of which database it is, whatever its column is called.
    """

    prefix: str
    name: str
    number: re.Pattern[str]
    headings: tuple[str, ...] = ()
    telling: bool = False


DATABASES = (
    Database("hmdb", "HMDB", re.compile(r"\bHMDB\d{5,7}\b"), ("hmdb", "hmdbid"), telling=True),
    Database("coconut", "COCONUT", re.compile(r"\bCNP\d{7}\b"), ("coconut", "coconutid"), telling=True),
    Database("comptox", "CompTox", re.compile(r"\bDTXSID\d{2,}\b"), ("dtxsid", "comptox"), telling=True),
    Database("CHEBI", "ChEBI", re.compile(r"(?<=CHEBI:)\d+\b"), ("chebi", "chebiid"), telling=True),
    Database("chembl.compound", "ChEMBL", re.compile(r"\bCHEMBL\d+\b"), ("chembl", "chemblid"), telling=True),
    Database("drugbank", "DrugBank", re.compile(r"\bDB\d{5}\b"), ("drugbank", "drugbankid"), telling=True),
    Database("lipidmaps", "LIPID MAPS", re.compile(r"\bLM[A-Z]{2}\d{4,12}\b"), ("lmid", "lipidmaps"), telling=True),
    Database("wikidata", "Wikidata", re.compile(r"\bQ\d+\b"), ("wikidata", "wikidataid", "structurewikidata")),
    Database("kegg.compound", "KEGG", re.compile(r"\bC\d{5}\b"), ("kegg", "keggid", "keggcompound")),
    Database("cas", "CAS", re.compile(r"\b\d{2,7}-\d{2}-\d\b"), ("cas", "casrn", "casno", "casnumber")),
    Database(
        "pubchem.compound",
        "PubChem",
        re.compile(r"\b\d{1,10}\b"),
        ("cid", "pubchemcid", "pubchem", "pubchemid", "pubchemcompoundcid", "structurecid"),
    ),
)
_OWN = ("identifier", "id", "accession", "databaseid", "compoundid", "metaboliteid")
"""Headings of whatever numbers a table has: a database is recognised by the numbers."""
_PUBCHEMLITE = {"identifier", "firstblock", "pubmedcount"}
"""Headings of PubChemLite, whose identifiers are numbers of PubChem (doi:10.1186/s13321-021-00489-0)."""
MOST = 10
"""Identifiers kept of one row."""


def identifiers_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The compact identifiers that a row of a table holds, each once, in the order of `DATABASES`.

    Args:
        row: cells by heading, these without case, spaces and signs.
    """
    found: dict[str, None] = {}
    for heading, databases in _columns(frozenset(row)):
        if cell := row[heading]:
            text = str(cell).removesuffix(".0")  # of numbers in a column that has gaps
            for database in databases:
                for number in database.number.findall(text):
                    found[f"{database.prefix}:{number}"] = None
    return tuple(found)[:MOST]


def link_of(identifier: str) -> str | None:
    """Where a compact identifier leads, or None where its database is not one of `DATABASES`."""
    prefix, _, number = identifier.partition(":")
    known = number and any(d.prefix == prefix for d in DATABASES)
    return f"https://identifiers.org/{identifier}" if known else None


def is_identifier_heading(heading: str) -> bool:
    """Whether a column of this heading may hold identifiers."""
    return heading in _OWN or any(heading in d.headings for d in DATABASES)


def is_number(text: str) -> bool:
    """Whether a text is nothing but the number of a database, and so no name."""
    return any(d.telling and (d.number.fullmatch(text) or text.startswith(f"{d.prefix}:")) for d in DATABASES)


@functools.lru_cache(maxsize=64)
def _columns(headings: frozenset[str]) -> tuple[tuple[str, tuple[Database, ...]], ...]:
    """Columns to look at and what may be in them, in the order of `DATABASES`."""
    lite = headings >= _PUBCHEMLITE
    out: list[tuple[str, tuple[Database, ...]]] = []
    for database in DATABASES:
        out += [(h, (database,)) for h in database.headings if h in headings]
        if database.telling:
            out += [(h, (database,)) for h in _OWN if h in headings]
        elif lite and database.prefix == "pubchem.compound":
            out.append(("identifier", (database,)))
    return tuple(out)
