"""Which cells of a table are numbers of databases, and where they lead."""

from __future__ import annotations

from typing import Any

import pytest

from molvis_files.identifiers import DATABASES, MOST, identifiers_of, is_identifier_heading, is_number, link_of


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"hmdbid": "HMDB0000122"}, ("hmdb:HMDB0000122",)),
        ({"accession": "HMDB00122"}, ("hmdb:HMDB00122",)),
        ({"identifier": "CNP0171505.2"}, ("coconut:CNP0171505",)),
        ({"structurewikidata": "http://www.wikidata.org/entity/Q60235"}, ("wikidata:Q60235",)),
        ({"cas": "58-08-2|CAS_RN: 95789-13-2"}, ("cas:58-08-2", "cas:95789-13-2")),
        ({"chebi": "CHEBI:27732"}, ("CHEBI:27732",)),
        ({"cid": 2519.0}, ("pubchem.compound:2519",)),
        ({"dtxsid": "DTXSID0020232", "cid": "2519"}, ("comptox:DTXSID0020232", "pubchem.compound:2519")),
        ({"identifier": "2519", "firstblock": "RYYVLZVUVIJVGH", "pubmedcount": "3"}, ("pubchem.compound:2519",)),
        ({"keggid": "C07481"}, ("kegg.compound:C07481",)),
    ],
)
def test_numbers_are_found_where_databases_write_them(row: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert identifiers_of(row) == expected


@pytest.mark.parametrize(
    "row",
    [{"id": "2519"}, {"identifier": "unknown 17"}, {"name": "HMDB0000122"}, {"cas": None}, {"cid": ""}, {}],
)
def test_other_cells_are_no_identifiers(row: dict[str, Any]) -> None:
    assert identifiers_of(row) == ()


def test_a_row_keeps_so_many() -> None:
    assert len(identifiers_of({"cas": " ".join(f"{n}-00-0" for n in range(100, 200))})) == MOST


def test_every_database_has_a_link() -> None:
    for database in DATABASES:
        assert link_of(f"{database.prefix}:1") == f"https://identifiers.org/{database.prefix}:1"


@pytest.mark.parametrize("text", ["mine:1", "hmdb:", "hmdb", ""])
def test_an_unknown_database_has_no_link(text: str) -> None:
    assert link_of(text) is None


def test_headings_of_numbers_are_known() -> None:
    assert is_identifier_heading("dtxsid")
    assert is_identifier_heading("accession")
    assert not is_identifier_heading("smiles")


def test_a_number_is_no_name() -> None:
    assert is_number("HMDB0000122")
    assert is_number("CHEBI:27732")
    assert not is_number("caffeine")
    assert not is_number("DB01234 of the vendor")
