"""A file of structures, and the index that is kept beside it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import barcode
import numpy as np
import pytest

from molvis_core.chemistry.structures import structure
from molvis_core.errors import IndexFileError, MolvisError, ReadError
from molvis_core.records import Measurement, Trace
from molvis_retrieval.bundle import Bundle
from molvis_retrieval.candidates import looks_everywhere, open_candidates
from molvis_retrieval.identification import identify
from molvis_retrieval.importing import write
from molvis_retrieval.index import Index, build_index
from molvis_retrieval.library import Library
from molvis_retrieval.vectors import StoredVectors


class Read:
    """A reader of one SMILES a line that counts how often it was asked."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, path: Path) -> Iterator[Measurement | ReadError]:
        self.times += 1
        for line, text in enumerate(path.read_text(encoding="utf-8").split(), start=1):
            try:
                found = structure(text)
            except MolvisError as error:
                yield ReadError(path, str(error), line=line)
            else:
                yield Measurement(found, found, "structure")


@pytest.fixture(autouse=True)
def bundle(toys: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return barcode.make_bundle(tmp_path / "bundle")


@pytest.fixture(autouse=True)
def read(monkeypatch: pytest.MonkeyPatch) -> Read:
    reader = Read()
    registry = SimpleNamespace(for_suffix=lambda *_, **__: SimpleNamespace(name="lines"), load=lambda *_: reader)
    monkeypatch.setattr("molvis_retrieval.library.registry", registry)
    return reader


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "alcohols.smi"
    path.write_text("\n".join(s.smiles for s in barcode.STRUCTURES), encoding="utf-8")
    return path


def unfinished(path: Path) -> bool:
    (folder,) = path.with_name(f"{path.name}.index").iterdir()
    return "complete = false" in (folder / "index.toml").read_text(encoding="utf-8")


def test_only_the_candidates_of_the_queries_are_embedded(bundle: Bundle, file: Path) -> None:
    index = open_candidates(file, bundle)
    assert index.vectors.embedded == 0
    (found,) = identify(bundle, [barcode.measurement(structure("CCCCO"))], index)
    assert found.candidates[0].structure.smiles == "CCCCO"
    assert found.n_candidates == len(barcode.BUTANOLS)
    assert index.vectors.embedded == len(barcode.BUTANOLS)
    assert index.name == "alcohols.smi"


def test_what_is_embedded_as_it_is_looked_at_is_what_an_index_holds(bundle: Bundle, file: Path, tmp_path: Path) -> None:
    lazy = open_candidates(file, bundle)
    built = build_index(bundle, Library.read(file), tmp_path / "built")
    rows = np.array([3, 1, 3, 7])
    assert np.array_equal(lazy.take(rows), built.take(rows))
    assert np.array_equal(
        np.concatenate([b.copy() for _, b in lazy.blocks(5)]), built.take(np.arange(len(built.library)))
    )
    queries = built.take(np.array([0, 5]))
    for one, other in zip(lazy.search(queries, 4), built.search(queries, 4), strict=True):
        assert np.array_equal(one, other)


def test_a_file_is_read_once_and_embedded_once(bundle: Bundle, file: Path, read: Read) -> None:
    open_candidates(file, bundle)
    assert unfinished(file)
    said: list[tuple[int, int, str]] = []
    whole = open_candidates(file, bundle, whole=True, progress=lambda *of: said.append(of))
    assert not unfinished(file)
    assert said[-1] == (len(barcode.STRUCTURES), len(barcode.STRUCTURES), "embedding structures")
    said.clear()
    again = open_candidates(file, bundle, progress=lambda *of: said.append(of))
    assert (read.times, said) == (1, [])
    assert isinstance(again.vectors, StoredVectors)
    assert np.array_equal(again.vectors, whole.vectors)


def test_a_file_that_changes_and_another_bundle_get_indexes_of_their_own(
    bundle: Bundle, file: Path, tmp_path: Path
) -> None:
    first = open_candidates(file, bundle, whole=True)
    with file.open("a", encoding="utf-8") as more:
        more.write("\nCCCCCCO")
    assert len(open_candidates(file, bundle).library) == len(first.library) + 1
    same = barcode.make_bundle(tmp_path / "same", same=True)
    assert open_candidates(file, same).bundle_digest == same.encoders_digest
    assert len(list(file.with_name("alcohols.smi.index").iterdir())) == 3


def test_a_place_that_cannot_be_written_sends_the_index_to_the_cache(
    bundle: Bundle, file: Path, tmp_path: Path, read: Read
) -> None:
    file.with_name("alcohols.smi.index").write_text("a file stands where the folder would go")
    first = open_candidates(file, bundle, whole=True)
    assert first.path.is_relative_to(tmp_path / "cache" / "molvis" / "alcohols.smi.index")
    open_candidates(file, bundle)
    assert read.times == 1


@pytest.mark.parametrize("whole", [False, True])
def test_where_nothing_can_be_written_memory_serves(
    whole: bool, bundle: Bundle, file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(
        "molvis_retrieval.candidates.begin_index", lambda *_: (_ for _ in ()).throw(OSError("read-only"))
    )
    index = open_candidates(file, bundle, whole=whole)
    assert "made in memory" in caplog.text
    assert index.vectors.embedded == whole * len(index.library)
    assert identify(bundle, [barcode.measurement(structure("CCO"))], index)[0].n_candidates == 1


def test_an_index_is_opened_as_it_is_and_refused_to_another_bundle(bundle: Bundle, tmp_path: Path) -> None:
    barcode.make_index(bundle, tmp_path / "index")
    assert isinstance(open_candidates(tmp_path / "index", bundle), Index)
    with pytest.raises(IndexFileError, match="made by bundle"):
        open_candidates(tmp_path / "index", barcode.make_bundle(tmp_path / "same", same=True))
    with pytest.raises(IndexFileError, match="no such file or folder; give a file of structures, or an index"):
        open_candidates(tmp_path / "nowhere", bundle)


def test_a_damaged_index_beside_a_file_says_what_to_delete(bundle: Bundle, file: Path) -> None:
    index = open_candidates(file, bundle, whole=True)
    (index.path / "index.toml").write_text("count = ", encoding="utf-8")
    with pytest.raises(IndexFileError, match=r"It was made from .*alcohols.smi: delete .*alcohols.smi.index.* anew"):
        open_candidates(file, bundle)
    shutil.rmtree(index.path)
    assert len(open_candidates(file, bundle).library) == len(index.library)


def test_refused_structures_are_counted(bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "some.smi").write_text("CCO\nC1CC\nCCC", encoding="utf-8")
    assert len(open_candidates(tmp_path / "some.smi", bundle).library) == 2
    assert "1 structures refused, the first: " in caplog.text


@pytest.mark.parametrize(
    ("count", "options", "whole"),
    [
        (10, {}, False),
        (10, {"candidates": "all"}, True),
        (251, {}, True),
        (251, {"ppm": 5.0}, False),
        (10, {"candidates": "formula"}, False),
    ],
)
def test_much_is_embedded_first_where_much_is_looked_at(count: int, options: dict[str, Any], whole: bool) -> None:
    queries = [barcode.measurement(structure("CCO"))] * count
    assert looks_everywhere(queries, **options) is whole


def test_a_trace_alone_is_searched_for_everywhere_unless_a_mass_is_known() -> None:
    trace = Measurement(Trace(np.arange(3.0), np.ones(3)), None, "ir")
    assert looks_everywhere([trace])
    assert not looks_everywhere([trace], known=True)
    assert not looks_everywhere([[trace, barcode.measurement(structure("CCO"))]])


def test_a_dataset_is_told_from_an_index(bundle: Bundle, tmp_path: Path) -> None:
    write([barcode.measurement(structure("CCO"))], tmp_path / "data")
    with pytest.raises(IndexFileError, match="no index here"):
        open_candidates(tmp_path / "data", bundle)
