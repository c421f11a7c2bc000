"""Damage to datasets and indexes: no flipped bit goes unnoticed, wherever it is."""

from __future__ import annotations

import hashlib
import logging
import pickle
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from molvis_core.chemistry.structures import structure
from molvis_core.errors import DatasetError, IndexFileError
from molvis_core.records import Measurement, PeakList, Structure
from molvis_files.digests import BLOCK, Digester, digests_of, sealed
from molvis_files.documents import write_toml
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.importing import write
from molvis_retrieval.index import Index, build_index
from molvis_retrieval.library import Library
from molvis_retrieval.splitting import split
from molvis_retrieval.verification import verify_dataset, verify_index

ROWS, DIM = 9000, 512  # of vectors: 8.8 MiB, three blocks


class Hashed:
    """A bundle whose vectors follow from the exact mass, and that can be told to fail."""

    encoders_digest, name, path = "d" * 64, "hashed", Path("hashed")

    def __init__(self, fail_at: int = ROWS) -> None:
        self.done, self.fail_at = 0, fail_at

    def encoder(self, key: str) -> Any:
        return SimpleNamespace(dim=DIM)

    def embed(self, key: str, records: list[Structure], **options: Any) -> np.ndarray:
        if self.done >= self.fail_at:
            raise KeyboardInterrupt
        self.done += len(records)
        return np.random.default_rng(int(records[0].exact_mass)).normal(size=(len(records), DIM)).astype(np.float32)


@pytest.fixture(scope="module")
def library() -> Library:
    rows = [f"{n:014d}-UHFFFAOYSA-N" for n in range(ROWS)]
    text, none = pa.array(["C"] * ROWS, pa.large_string()), pa.nulls(ROWS, pa.list_(pa.large_string()))
    return Library(
        pa.table({
            "inchikey": pa.array(rows, pa.large_string()), "smiles": text, "formula": text,
            "exact_mass": pa.array(np.arange(ROWS, dtype=float)), "charge": pa.array([0] * ROWS, pa.int64()),
            "name": text, "source": text, **dict.fromkeys(("aliases", "sources", "identifiers"), none),
        })
    )  # fmt: skip


@pytest.fixture
def index(library: Library, tmp_path: Path) -> Path:
    return build_index(Hashed(), library, tmp_path / "index").path


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    record = PeakList(np.arange(1.0, 400.0), np.linspace(0.1, 1, 399))
    items = [Measurement(record, structure("C" * n + "O"), "msms", name=f"{n}") for n in range(2, 40)]
    write(items, tmp_path / "dataset")
    return tmp_path / "dataset"


def flipped(file: Path, times: int, *, seed: int = 0) -> Any:
    """The file with one bit flipped, many times, at places that follow from the seed; then as it was."""
    good, rng = file.read_bytes(), np.random.default_rng(seed)
    for place in [0, len(good) - 1, *rng.integers(len(good), size=times)]:
        with file.open("r+b") as content:
            content.seek(place)
            content.write(bytes([good[place] ^ (1 << int(rng.integers(8)))]))
        yield int(place)
        with file.open("r+b") as content:
            content.seek(place)
            content.write(good[place : place + 1])


@pytest.mark.parametrize("name", ["library.arrow", "index.toml"])
def test_one_flipped_bit_in_an_index_is_refused_on_opening(index: Path, name: str) -> None:
    for place in flipped(index / name, 40):
        with pytest.raises(IndexFileError):
            Index.open(index)
        assert [d.file for d in verify_index(index).damaged] == [name], place
    assert not verify_index(index).damaged


def test_one_flipped_bit_in_the_vectors_is_noticed_by_whatever_reads_them(index: Path) -> None:
    queries = np.ones((1, DIM), dtype=np.float32)
    for place in flipped(index / "vectors.f16", 12):
        row = np.array([place // (2 * DIM)])
        for read in (
            lambda opened, row: opened.take(row),
            lambda opened, row: opened.search(queries, 1, rows=row),
            lambda opened, _: opened.search(queries, 1),
            lambda opened, _: list(opened.blocks()),
            lambda opened, _: np.asarray(opened.vectors),
        ):
            with pytest.raises(IndexFileError, match=rf"vectors\.f16: damaged: block {place // BLOCK} \(from byte"):
                read(Index.open(index), row)
        assert [(d.file, d.block) for d in verify_index(index).damaged] == [("vectors.f16", place // BLOCK)]
    assert not verify_index(index).damaged


def test_noise_in_place_of_the_vectors_is_noticed(index: Path) -> None:
    file = index / "vectors.f16"
    file.write_bytes(np.random.default_rng(0).normal(size=(ROWS, DIM)).astype(np.float16).tobytes())
    with pytest.raises(IndexFileError, match="block 0"):
        Index.open(index).take(np.array([5]))
    assert [d.block for d in verify_index(index).damaged] == [0, 1, 2]


def test_a_search_reads_only_the_blocks_that_it_needs(index: Path) -> None:
    with (index / "vectors.f16").open("r+b") as content:
        content.seek(BLOCK + 7)
        content.write(b"x")
    opened = Index.open(index)
    opened.take(np.array([0, 1, 8500]))
    with pytest.raises(IndexFileError, match="block 1"):
        opened.take(np.array([BLOCK // (2 * DIM) + 3]))


def test_a_row_that_lies_in_two_blocks_has_both_checked(tmp_path: Path) -> None:
    from molvis_retrieval.vectors import StoredVectors

    width = 3000  # bytes, which does not divide a block
    values = np.zeros((BLOCK // width + 10, width // 2), dtype=np.float16)
    (tmp_path / "v").write_bytes(values.tobytes())
    digests = digests_of(tmp_path / "v")
    seam = BLOCK // width
    for bad in (0, 1):
        vectors = StoredVectors(tmp_path / "v", values.shape, [d if n != bad else "x" for n, d in enumerate(digests)])
        with pytest.raises(IndexFileError, match=f"block {bad}"):
            _ = vectors[np.array([seam])]
        _ = vectors[np.array([seam - 1 if bad else seam + 1])]
        with pytest.raises(IndexFileError, match=f"block {bad}"):
            _ = vectors[seam : seam + 1]


@pytest.mark.parametrize("killed_at", [2048, 6144])
def test_a_resumed_build_embeds_again_what_was_damaged_meanwhile(
    library: Library, index: Path, tmp_path: Path, killed_at: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "killed"
    with pytest.raises(KeyboardInterrupt):
        build_index(Hashed(killed_at), library, path)
    with (path / "vectors.f16").open("r+b") as content:
        content.seek(killed_at * DIM * 2 - 9)
        content.write(b"x")
    build_index(Hashed(), library, path, batch_size=2048)
    assert "is damaged from row" in caplog.text
    assert not verify_index(path).damaged
    assert (path / "vectors.f16").stat().st_size == (index / "vectors.f16").stat().st_size


def test_one_flipped_bit_in_a_dataset_is_refused(dataset: Path) -> None:
    for name in ("msms.arrow", "dataset.toml"):
        for place in flipped(dataset / name, 40):
            with pytest.raises(DatasetError):
                Dataset.open(dataset).table("msms")
            assert [d.file for d in verify_dataset(dataset).damaged] == [name], place
    for place in flipped(dataset / "problems.csv", 5):
        assert [d.file for d in verify_dataset(dataset).damaged] == ["problems.csv"], place
    assert verify_dataset(dataset).blocks == {"msms.arrow": 1, "problems.csv": 1}


def test_a_split_and_a_worker_keep_the_digests(dataset: Path) -> None:
    done = split(Dataset.open(dataset))
    assert not verify_dataset(dataset).damaged
    done.table("msms")
    assert pickle.loads(pickle.dumps(done))._checked == {"msms.arrow"}


def _as_format_1(file: Path) -> None:
    content = tomllib.loads(file.read_text())
    del content["checksum"], content["blocks"]
    file.write_text(write_toml({**content, "format": 1}))


def test_a_dataset_of_format_1_opens_with_a_hint_and_can_be_given_digests(
    dataset: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _as_format_1(dataset / "dataset.toml")
    assert len(Dataset.open(dataset).table("msms")) == 38
    assert "molvis data verify" in caplog.text
    with pytest.raises(DatasetError, match="it has no digests. Give it some"):
        verify_dataset(dataset)
    assert verify_dataset(dataset, add=True).added
    caplog.clear()
    assert len(Dataset.open(dataset).table("msms")) == 38
    assert (caplog.text, verify_dataset(dataset).damaged) == ("", ())


def test_digests_are_not_added_to_a_dataset_whose_old_digest_disagrees(dataset: Path) -> None:
    _as_format_1(dataset / "dataset.toml")
    before = (dataset / "dataset.toml").read_bytes()
    for _ in flipped(dataset / "msms.arrow", 3):
        assert [d.reason for d in verify_dataset(dataset, add=True).damaged] == ["the data are not what was written"]
    assert (dataset / "dataset.toml").read_bytes() == before


def test_an_index_of_format_1_opens_with_a_hint_and_can_be_given_digests(
    index: Path, library: Library, caplog: pytest.LogCaptureFixture
) -> None:
    _as_format_1(index / "index.toml")
    assert Index.open(index).take(np.array([1])).shape == (1, DIM)
    assert "molvis library verify" in caplog.text
    with pytest.raises(IndexFileError, match="it has no digests. Give it some"):
        verify_index(index)
    build_index(Hashed(0), library, index)
    assert verify_index(index, add=True).blocks == {"library.arrow": 1, "vectors.f16": 3}
    assert not verify_index(index).damaged


def test_what_is_missing_or_has_grown_is_named(index: Path, dataset: Path, tmp_path: Path) -> None:
    with (index / "vectors.f16").open("ab") as out:
        out.write(bytes(BLOCK))
    assert "3 were written" in str(verify_index(index).damaged[-1])
    (index / "vectors.f16").unlink()
    assert str(verify_index(index).damaged[0]).startswith("vectors.f16: missing or unreadable: No such file")
    with pytest.raises(DatasetError, match="no dataset here"):
        verify_dataset(tmp_path)
    with pytest.raises(IndexFileError, match="no index here"):
        verify_index(tmp_path)


def test_digests_that_a_stranger_left_out_are_damage_and_no_crash(index: Path, dataset: Path) -> None:
    for blocks in ([], {"files": 3}, {"files": {"msms.arrow": 3, "vectors.f16": [], "library.arrow": []}}):
        for file in (index / "index.toml", dataset / "dataset.toml"):
            file.write_text(sealed({**tomllib.loads(file.read_text()), "blocks": blocks}))
        with pytest.raises(DatasetError, match=r"msms\.arrow: damaged"):
            Dataset.open(dataset).table("msms")
        assert verify_dataset(dataset).damaged
        assert verify_index(index).damaged
        with pytest.raises(IndexFileError, match="damaged"):
            Index.open(index)


def test_digests_do_not_depend_on_how_much_is_written_at_a_time(tmp_path: Path) -> None:
    data = np.random.default_rng(0).bytes(2 * BLOCK + 100)
    (tmp_path / "f").write_bytes(data)
    pieces = Digester()
    for start in range(0, len(data), 1_000_003):
        pieces.update(data[start : start + 1_000_003])
    assert pieces.digests() == digests_of(tmp_path / "f")
    # SHA-256, computed here by itself.
    assert digests_of(tmp_path / "f")[2] == hashlib.sha256(data[2 * BLOCK :]).hexdigest()[:32]


def test_a_checksum_is_of_what_toml_says_not_of_how(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("molvis")
    one = tomllib.loads(sealed({"format": 1, "a": (1, 2), "b": {"x": 1.0, "y": "ä"}}))
    other = tomllib.loads(sealed({"format": 1, "b": {"y": "ä", "x": 1.0}, "a": [1, 2]}))
    assert one["checksum"] == other["checksum"] != tomllib.loads(sealed({"format": 1, "a": [1, 2]}))["checksum"]
    assert caplog.text == ""
