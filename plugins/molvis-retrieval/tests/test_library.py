"""Libraries of candidates, and indexes of their vectors."""

from __future__ import annotations

import errno
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from molvis_core.chemistry.structures import structure
from molvis_core.errors import IndexFileError, ReadError
from molvis_core.records import Measurement, PeakList, Structure
from molvis_retrieval import index as indexes
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.importing import write
from molvis_retrieval.index import Index, build_index, describe_index
from molvis_retrieval.library import Library

SMILES = ("CCO", "COC", "CCN", "c1ccccc1", "CC(=O)O", "C(=O)OC", "CCCCO", "OCC", "ClCCl", "CC(C)O")


class Hashed:
    """A bundle whose vectors follow from the SMILES, and that can be told to fail."""

    encoders_digest, name, path = "d" * 64, "hashed", Path("hashed")

    def __init__(self, fail_after: int | None = None) -> None:
        self.done, self.fail_after = 0, fail_after

    def encoder(self, key: str) -> Any:
        return SimpleNamespace(dim=8)

    def embed(self, key: str, records: list[Structure], **options: Any) -> np.ndarray:
        self.done += len(records)
        if self.fail_after is not None and self.done > self.fail_after:
            raise KeyboardInterrupt
        rows = [np.random.default_rng(sum(map(ord, r.smiles))).normal(size=8) for r in records]
        return np.array([r / np.linalg.norm(r) for r in rows], dtype=np.float32)


@pytest.fixture
def library() -> Library:
    return Library.from_structures((structure(s), "test") for s in SMILES)


@pytest.fixture
def index(library: Library, tmp_path: Path) -> Index:
    return build_index(Hashed(), library, tmp_path / "index", batch_size=3)


def test_a_compound_is_kept_once_and_masses_ascend(library: Library) -> None:
    assert len(library) == len(SMILES) - 1  # OCC is CCO
    assert (np.diff(library.mass) >= 0).all()
    assert sorted(s.smiles for s in library.structures(range(len(library)))) == sorted(
        structure(s).smiles for s in SMILES if s != "OCC"
    )


def test_stereoisomers_are_one_candidate() -> None:
    found = Library.from_structures([structure("C[C@H](N)C(=O)O"), structure("C[C@@H](N)C(=O)O")])
    assert len(found) == 1


def test_the_mass_window_is_closed_on_both_sides(library: Library) -> None:
    mass = structure("CCO").exact_mass
    isomers = {library.structure(int(r)).smiles for r in library.within_ppm(mass, 1e-6)}
    assert isomers == {"CCO", "COC"}
    ppm = (structure("CC(=O)O").exact_mass / structure("CCCO").exact_mass - 1) * -1e6
    assert len(library.within_ppm(structure("CC(=O)O").exact_mass, ppm * 1.01)) == 3
    assert len(library.within_ppm(1000.0, 10.0)) == 0


def test_a_formula_is_found_whatever_the_order_of_its_elements(library: Library) -> None:
    rows = library.of_formula("O2H4C2")
    assert {library.structure(int(r)).smiles for r in rows} == {"CC(=O)O", "COC=O"}
    assert len(library.of_formula("C99")) == 0
    with pytest.raises(ValueError, match="not an element"):
        library.of_formula("Xx2")


def test_a_compound_is_found_by_its_inchikey(library: Library) -> None:
    key = structure("c1ccccc1").inchikey
    assert [library.structure(int(r)).smiles for r in library.rows_of(key)] == ["c1ccccc1"]
    assert len(library.rows_of("AAAAAAAAAAAAAA")) == 0


def test_merging_keeps_the_first_entry(library: Library) -> None:
    other = Library.from_structures([structure("CCO", name="theirs"), structure("CCCC", name="new")])
    both = library.merge(other)
    assert len(both) == len(library) + 1
    assert (np.diff(both.mass) >= 0).all()
    row = int(both.rows_of(structure("CCO").inchikey)[0])
    assert both.structure(row).name == "theirs"  # where the first entry has none
    again = both.merge(Library.from_structures([structure("CCO", name="of a third")]))
    assert again.structure(int(again.rows_of(structure("CCO").inchikey)[0])).name == "theirs"


def test_a_library_of_a_dataset_holds_its_compounds(tmp_path: Path) -> None:
    record = PeakList(np.array([50.0]), np.array([1.0]))
    items = [Measurement(record, structure(s) if s else None, "msms") for s in ("CCO", "CCO", None, "CCN")]
    write(items, tmp_path / "d")
    assert len(Library.from_dataset(Dataset.open(tmp_path / "d"))) == 2


def test_a_library_pickles(library: Library) -> None:
    library.rows_of("x")
    assert len(pickle.loads(pickle.dumps(library))) == len(library)


def test_refused_structures_are_kept_as_problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.smi"
    path.write_text("x")
    known = structure("CCO")
    items = [ReadError(path, "refused", line=1), Measurement(known, known, "structure")]
    monkeypatch.setattr("molvis_retrieval.library.registry.load", lambda kind, name: lambda file: iter(items))
    found = Library.read(path, reader="any")
    assert (len(found), [p.line for p in found.problems]) == (1, [1])
    del items[1]
    with pytest.raises(ReadError, match="no structure in it. The first was refused: refused"):
        Library.read(path, reader="any")
    with pytest.raises(ReadError, match="no such file"):
        Library.read(tmp_path / "gone.smi")


def test_search_finds_what_a_product_of_matrices_finds(index: Index) -> None:
    queries = np.random.default_rng(1).normal(size=(4, 8)).astype(np.float32)
    every = queries @ np.asarray(index.vectors, dtype=np.float32).T
    for chunk in (1, 2, 100):
        scores, rows = index.search(queries, 3, chunk=chunk)
        np.testing.assert_allclose(scores, -np.sort(-every, axis=1)[:, :3], rtol=1e-5)
        np.testing.assert_allclose(np.take_along_axis(every, rows, 1), scores, rtol=1e-5)
    some = np.array([1, 4, 6])
    scores, rows = index.search(queries, 2, rows=some, chunk=2)
    assert np.isin(rows, some).all()
    np.testing.assert_allclose(scores, -np.sort(-every[:, some], axis=1)[:, :2], rtol=1e-5)
    assert index.search(queries, 99)[0].shape == (4, len(index.library))


def test_search_refuses_what_cannot_be_ranked(index: Index) -> None:
    with pytest.raises(ValueError, match="not finite"):
        index.search(np.full((1, 8), np.nan, dtype=np.float32), 1)
    with pytest.raises(ValueError, match=r"queries must have shape \(n, 8\), got"):
        index.search(np.ones((1, 4), dtype=np.float32), 1)


@pytest.mark.parametrize("killed_after", [0, 3, 8])
def test_a_killed_build_goes_on_to_the_same_bytes(
    library: Library, index: Index, tmp_path: Path, killed_after: int
) -> None:
    path = tmp_path / "killed"
    with pytest.raises(KeyboardInterrupt):
        build_index(Hashed(killed_after), library, path, batch_size=3)
    with pytest.raises(IndexFileError, match="unfinished: .* Run the same molvis library build again"):
        Index.open(path)
    with (path / "vectors.f16").open("ab") as out:
        out.write(b"half a row")  # as a kill in the middle of writing leaves it
    bundle = Hashed()
    build_index(bundle, library, path, batch_size=3)
    assert bundle.done == len(library) - killed_after // 3 * 3
    assert (path / "vectors.f16").read_bytes() == (index.path / "vectors.f16").read_bytes()


def test_another_bundle_or_library_is_refused(library: Library, index: Index) -> None:
    other = Hashed()
    other.encoders_digest = "e" * 64
    with pytest.raises(IndexFileError, match="made by bundle 'hashed'.*Build another"):
        index.require(other)
    with pytest.raises(IndexFileError, match="holds another index"):
        build_index(other, library, index.path)


def _shorten(path: Path, count: int) -> None:
    path.write_bytes(path.read_bytes()[:-count])


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda d: _shorten(d / "vectors.f16", 5), r"vectors\.f16: truncated: \d+ bytes instead of \d+"),
        (lambda d: (d / "vectors.f16").unlink(), r"vectors\.f16: truncated: 0 bytes"),
        (lambda d: _shorten(d / "library.arrow", 50), r"library\.arrow: damaged"),
        (
            lambda d: (d / "index.toml").unlink(),
            "no index here: index.toml is missing. Make one with: molvis library build",
        ),
        (lambda d: (d / "index.toml").write_text("format = 'x'"), r"index\.toml: damaged"),
        (
            lambda d: (d / "index.toml").write_text((d / "index.toml").read_text().replace("format = 2", "format = 9")),
            "format 9; this molvis reads up to 2. Upgrade it",
        ),
    ],
)
def test_a_damaged_index_says_what_is_wrong(index: Index, damage: Any, complaint: str) -> None:
    damage(index.path)
    with pytest.raises(IndexFileError, match=complaint):
        Index.open(index.path)


def test_a_folder_of_something_else_is_left_alone(library: Library, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("x")
    with pytest.raises(IndexFileError, match="not an index, and not empty"):
        build_index(Hashed(), library, tmp_path)
    assert (tmp_path / "precious.txt").exists()


def test_a_full_disk_keeps_what_is_embedded(library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noted = indexes._note

    def full(path: Path, metadata: dict[str, Any]) -> None:
        if metadata["done"] > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        noted(path, metadata)

    with monkeypatch.context() as patch:
        patch.setattr(indexes, "_note", full)
        with pytest.raises(IndexFileError, match="the disk is full; free some space"):
            build_index(Hashed(), library, tmp_path / "i", batch_size=3)
    bundle = Hashed()
    built = build_index(bundle, library, tmp_path / "i", batch_size=3)
    assert bundle.done == len(library) - 3
    assert len(built.library) == len(library)


def test_an_index_describes_itself(index: Index) -> None:
    found = describe_index(index)
    assert (found["structures"], found["dim"], found["bundle"]) == (len(index.library), 8, "hashed")
    assert found["sources"] == {"test": len(index.library)}
