"""Several libraries are searched as one: the first has priority, and candidates say where they are known."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from molvis_core.errors import IndexFileError
from molvis_core.records import Structure
from molvis_core.testing import offer
from molvis_retrieval.bundle import Bundle
from molvis_retrieval.identification import identify
from molvis_retrieval.index import Index, build_index, join_indexes
from molvis_retrieval.library import Library, join
from molvis_retrieval.results import to_json, to_rows

sys.path.insert(0, str(Path(__file__).parent))
import barcode
from barcode import STRUCTURES, make_bundle, measurement


@pytest.fixture(autouse=True)
def toys() -> Iterator[None]:
    with offer(barcode.PLUGIN):
        yield


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "bundle")


def _known(one: Structure, name: str | None, *identifiers: str) -> Structure:
    return dataclasses.replace(one, name=name, identifiers=identifiers)


def _library(structures: list[Structure], source: str) -> Library:
    return Library.from_structures([(one, source) for one in structures])


@pytest.fixture
def indexes(tmp_path: Path, bundle: Bundle) -> list[Index]:
    mine = _library([_known(STRUCTURES[1], "my suspect", "cas:58-08-2")], "suspects.csv")
    large = _library([_known(one, f"no. {i}", f"hmdb:HMDB{i:07d}") for i, one in enumerate(STRUCTURES)], "large.csv")
    return [build_index(bundle, lib, tmp_path / name) for name, lib in (("mine", mine), ("large", large))]


def test_the_first_library_names_a_compound_and_all_say_where_it_is_known(indexes: list[Index]) -> None:
    both = join_indexes(indexes)
    row = int(both.library.rows_of(STRUCTURES[1].inchikey14)[0])
    found = both.library.structure(row)
    assert found.name == "my suspect"
    assert found.identifiers == ("cas:58-08-2", "hmdb:HMDB0000001")
    assert both.library.sources(row) == ("suspects.csv", "large.csv")
    assert "no. 1" not in both.library.aliases(row)
    assert both.name == "mine + large"


def test_the_order_of_libraries_is_their_priority(indexes: list[Index]) -> None:
    both = join_indexes(indexes[::-1]).library
    row = int(both.rows_of(STRUCTURES[1].inchikey14)[0])
    assert both.structure(row).name == "no. 1"
    assert both.sources(row) == ("large.csv", "suspects.csv")


def test_joined_vectors_are_those_of_the_parts(indexes: list[Index], bundle: Bundle) -> None:
    both = join_indexes(indexes)
    assert len(both.library) == len(indexes[1].library) == len(both.vectors)
    rows = np.arange(len(both.library))
    expected = bundle.embed("structure", both.library.structures(rows)).astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(both.take(rows), expected)
    np.testing.assert_array_equal(np.concatenate([block.copy() for _, block in both.blocks(3)]), expected)


@pytest.mark.parametrize("candidates", ["mass", "all"])
def test_several_libraries_rank_as_one_index_of_all_does(
    candidates: str, indexes: list[Index], bundle: Bundle, tmp_path: Path
) -> None:
    queries = [measurement(one) for one in STRUCTURES[:3]]
    joined = identify(bundle, queries, join_indexes(indexes), candidates=candidates, ppm=1000.0)
    merged = indexes[0].library.merge(indexes[1].library)
    whole = identify(bundle, queries, build_index(bundle, merged, tmp_path / "all"), candidates=candidates, ppm=1000.0)
    assert [c.structure for one in joined for c in one.candidates] == [
        c.structure for one in whole for c in one.candidates
    ]
    assert [c.score for one in joined for c in one.candidates] == [c.score for one in whole for c in one.candidates]


def test_candidates_tell_identifiers_links_and_sources(indexes: list[Index], bundle: Bundle) -> None:
    found = identify(bundle, [measurement(STRUCTURES[1])], join_indexes(indexes), candidates="all")
    best = next(c for c in found[0].candidates if c.structure.name == "my suspect")
    assert best.sources == ("suspects.csv", "large.csv")
    assert best.links == {
        "cas:58-08-2": "https://identifiers.org/cas:58-08-2",
        "hmdb:HMDB0000001": "https://identifiers.org/hmdb:HMDB0000001",
    }
    row = next(r for r in to_rows(found) if r["name"] == "my suspect")
    assert row["identifiers"] == "cas:58-08-2; hmdb:HMDB0000001"
    assert row["sources"] == "suspects.csv; large.csv"
    plain = next(c for c in to_json(found)[0]["candidates"] if c["name"] == "my suspect")
    assert plain["links"] == best.links


def test_indexes_of_two_models_are_not_joined(indexes: list[Index]) -> None:
    other = dataclasses.replace(indexes[1], bundle_digest="0" * 64, bundle_name="another")
    with pytest.raises(IndexFileError, match=r"large: made by bundle 'another', but .*mine"):
        join_indexes([indexes[0], other])


def test_a_name_and_numbers_that_an_entry_lacks_come_from_the_next_library() -> None:
    first = _library([_known(STRUCTURES[0], None)], "a.csv")
    second = _library([_known(STRUCTURES[0], "named", "hmdb:HMDB0000007")], "b.csv")
    found = join([first, second, _library([STRUCTURES[2]], "c.csv")])
    row = int(found.library.rows_of(STRUCTURES[0].inchikey14)[0])
    assert found.library.structure(row).name == "named"
    assert found.library.structure(row).identifiers == ("hmdb:HMDB0000007",)
    assert found.library.parents.duplicates == 1
    assert sorted(found.part.tolist()) == [0, 2]


def test_files_read_together_keep_every_source(tmp_path: Path) -> None:
    pytest.importorskip("molvis_structure", reason="lists and tables of structures are read by molvis-structure")
    for name, line in (("a.smi", "OCC mine"), ("b.csv", "CCO,ethanol,64-17-5")):
        (tmp_path / name).write_text(f"smiles,name,cas\n{line}\n" if name.endswith("csv") else f"{line}\n")
    found = Library.read([tmp_path / "a.smi", tmp_path / "b.csv"])
    assert found.structure(0).name == "mine"
    assert found.sources(0) == ("a.smi", "b.csv")
    assert found.structure(0).identifiers == ("cas:64-17-5",)


def test_a_library_of_an_older_molvis_tells_its_one_source(tmp_path: Path) -> None:
    old = _library([STRUCTURES[0]], "old.csv").table.drop_columns(["aliases", "sources", "identifiers"])
    file = tmp_path / "library.arrow"
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, old.schema) as out:
        out.write_table(old)
    opened = Library.open(file)
    assert opened.sources(0) == ("old.csv",)
    assert opened.structure(0).identifiers == ()
