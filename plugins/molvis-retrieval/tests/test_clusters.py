"""Searches without a mass in partitioned libraries: what they find of what an exact search finds."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import barcode
import numpy as np
import pytest

from molvis_core.chemistry.structures import structure
from molvis_core.errors import ConfigError, IndexFileError
from molvis_core.records import Structure
from molvis_retrieval import partition_building
from molvis_retrieval.bundle import Bundle
from molvis_retrieval.clusters import Clusters, lists_for
from molvis_retrieval.identification import identify
from molvis_retrieval.index import Index
from molvis_retrieval.library import Library
from molvis_retrieval.library_rows import schema_of_rows
from molvis_retrieval.partition_building import build_partitioned, cluster_library

DIM, COUNT = 32, 6000


class Grouped:
    """A bundle whose vectors are in some groups, as those of classes of compounds are."""

    encoders_digest, name, path = "d" * 64, "grouped", Path("grouped")

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        centres = rng.normal(size=(40, DIM))
        rows = centres[rng.integers(40, size=COUNT)] + 0.7 * rng.normal(size=(COUNT, DIM))
        self.rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    def encoder(self, key: str) -> Any:
        return SimpleNamespace(dim=DIM)

    def embed(self, key: str, records: list[Structure], **options: Any) -> np.ndarray:
        return self.rows[[int(one.smiles[1:]) for one in records]]


def table() -> Any:
    """Rows of which each has a key and a mass of its own."""
    import pyarrow as pa

    keys = [f"{''.join(chr(65 + n // 26**p % 26) for p in range(14))}-UHFFFAOYSA-N" for n in range(COUNT)]
    columns: dict[str, list[Any]] = {name: [None] * COUNT for name in schema_of_rows(drawn=True).names}
    columns |= {
        "inchikey": keys, "smiles": [f"C{n}" for n in range(COUNT)], "formula": ["C"] * COUNT, "charge": [0] * COUNT,
        "exact_mass": [100.0 + n * 7919 % COUNT / 10 for n in range(COUNT)], "as_drawn": [True] * COUNT,
    }  # fmt: skip
    return pa.table(columns, schema=schema_of_rows(drawn=True))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Index:
    path = tmp_path_factory.mktemp("clusters") / "large"
    build_partitioned(Grouped(), path, [table()], source={}, size=1000, kind="int8", engine="local")
    cluster_library(path, lists=64, engine="local")
    return Index.open(path)


def recall(library: Index, queries: np.ndarray, **options: Any) -> float:
    assert library.clusters is not None
    exact, _ = library.search(queries, 50)
    found = library.clusters.search(queries, 50, **options)
    # As good as the best, rather than the same rows: some have equal cosines.
    return float(
        np.mean([(scores >= best[-1] - 1e-6).sum() / 50 for (scores, _), best in zip(found, exact, strict=True)])
    )


def test_nearly_all_of_the_best_are_found_in_a_part_of_the_lists(library: Index) -> None:
    rng = np.random.default_rng(1)
    queries = Grouped().rows[:100] + 0.1 * rng.normal(size=(100, DIM))
    queries = (queries / np.linalg.norm(queries, axis=1, keepdims=True)).astype(np.float32)
    some = recall(library, queries, probes=4)
    assert some > 0.7
    assert recall(library, queries, probes=16) > max(0.95, some)
    assert recall(library, queries, probes=64, rescored=COUNT) == 1.0
    ((scores, rows),) = library.clusters.search(queries[:1], 5)
    assert np.allclose(scores, library.take(rows) @ queries[0])
    assert (np.diff(scores) <= 0).all()


def test_all_of_a_library_is_in_its_lists_once(library: Index) -> None:
    clusters = library.clusters
    assert clusters is not None
    rows, _ = clusters._approximate(np.zeros(DIM, np.float32), np.arange(64), np.zeros(64, np.float32))
    assert np.array_equal(np.sort(rows), np.arange(COUNT))
    assert (np.diff(clusters.offsets) > 0).all()


@pytest.mark.full
def test_processes_and_a_second_time_give_the_same_clusters(library: Index, tmp_path: Path) -> None:
    build_partitioned(Grouped(), tmp_path / "large", [table()], source={}, size=1000, kind="int8", engine="local")
    cluster_library(tmp_path / "large", lists=64, engine="processes", processes=2)
    again = tmp_path / "large"
    for file in sorted((library.path / "clusters").rglob("*")):
        if file.is_file():
            assert file.read_bytes() == (again / file.relative_to(library.path)).read_bytes()
    assert (library.path / "library.toml").read_bytes() == (again / "library.toml").read_bytes()
    assert not list((again / "clusters").rglob("*.npy"))


def test_damaged_lists_are_noticed(library: Index, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(library.path, tmp_path / "large")
    (file,) = (tmp_path / "large" / "clusters").glob("*/lists.bin")
    file.write_bytes(bytes(file.stat().st_size))
    index = Index.open(tmp_path / "large")
    assert index.clusters is not None
    with pytest.raises(IndexFileError, match="is not what was written. Make it again: molvis library cluster"):
        index.clusters.search(Grouped().rows[:1], 5)
    (model,) = (tmp_path / "large" / "clusters").glob("*/model.safetensors")
    model.unlink()
    with pytest.raises(IndexFileError, match="damaged or missing"):
        Clusters.open(index.vectors.partitions, index.vectors.encoded)
    with pytest.raises(ConfigError, match="ask for 1 to 6000"):
        cluster_library(tmp_path / "large", lists=COUNT + 1, engine="local")


def test_a_spectrum_without_a_mass_is_compared_with_what_is_near(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_building, "CLUSTERED", 10)
    monkeypatch.setattr("molvis_retrieval.placing.NEAREST", 8)
    tables = [Library.from_structures(barcode.STRUCTURES).table]
    tables[0] = tables[0].append_column("as_drawn", [[True] * len(tables[0])])
    index = build_partitioned(bundle, tmp_path / "large", tables, source={}, size=9, engine="local")
    assert index.clusters is not None
    found = identify(bundle, [barcode.measurement(structure(s)) for s in ("CCCCO", "CCO")], index, candidates="all")
    for one in found:
        assert (one.truth_rank, one.n_candidates) == (1, 8)


def test_more_structures_have_more_lists_with_more_in_each() -> None:
    assert [lists_for(n) for n in (1, 26, 10**5, 10**6, 10**7, 10**8)] == [1, 4, 256, 512, 2048, 8192]
