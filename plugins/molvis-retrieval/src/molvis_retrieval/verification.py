"""Datasets and indexes, read whole and compared with their digests; and digests for those that have none."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from molvis_core.errors import DatasetError, IndexFileError, MolvisError
from molvis_files.digests import Damage, Verification, blocks_of, files_sha256, sealed, verify_files
from molvis_files.locking import sole_writer
from molvis_files.writing import recover, replacing
from molvis_retrieval import dataset as datasets
from molvis_retrieval import index as indexes
from molvis_retrieval.partitions import Partitions, is_partitioned


def verify_dataset(path: Path | str, *, add: bool = False) -> Verification:
    """Compare every file of a dataset with its digests.

    Args:
        path: the dataset.
        add: give digests to one that an older molvis made. What it kept, a digest of all data, must agree.

    Raises:
        DatasetError: there is none, or it has no digests and `add` is not set.
    """
    path = Path(path)
    recover(path)
    if not (path / "dataset.toml").is_file():
        datasets.Dataset.open(path)
    try:
        metadata = datasets.Dataset.open(path).metadata
    except DatasetError as error:
        return _broken(path, "dataset.toml", error)
    names = [f"{name}.arrow" for name in metadata["modalities"]]
    if metadata["format"] > 1:
        return verify_files(path, metadata, [*names, "problems.csv"])
    if not add:
        raise DatasetError(f"{path}: it has no digests. Give it some: molvis data verify {path} --add")
    if files_sha256(path / f"{name}.arrow" for name in sorted(metadata["modalities"])) != metadata["digest"]:
        return Verification(path, {}, (Damage("*.arrow", None, "the data are not what was written"),))
    return _added(path, "dataset.toml", {**metadata, "format": datasets.FOLDER.version}, [*names, "problems.csv"])


def verify_index(path: Path | str, *, add: bool = False) -> Verification:
    """Compare every file of an index with its digests.

    Args:
        path: the index, finished.
        add: give digests to one that an older molvis made, taking what is there as right.

    Raises:
        IndexFileError: there is none, it is unfinished, or it has no digests and `add` is not set.
    """
    if is_partitioned(path):
        return verify_partitions(path)
    path = Path(path)
    recover(path)
    names = ["library.arrow", "vectors.f16"]
    try:
        metadata = indexes.read_metadata(path)
    except IndexFileError as error:
        if not (path / "index.toml").is_file():
            raise
        return _broken(path, "index.toml", error)
    if not metadata.get("complete"):
        raise IndexFileError(f"{path}: unfinished. Run the same molvis library build again, then verify it.")
    if metadata["format"] > 1:
        return verify_files(path, metadata, names)
    if not add:
        raise IndexFileError(f"{path}: it has no digests. Give it some: molvis library verify {path} --add")
    indexes.Index.open(path)
    return _added(path, "index.toml", {**metadata, "format": indexes.FOLDER.version}, names)


def verify_partitions(path: Path | str) -> Verification:
    """Compare every file of a partitioned library with its digest.

    Raises:
        IndexFileError: its own file is damaged, or vectors of it are unfinished.
    """
    partitions = Partitions.open(path)
    store = partitions.store
    wanted = {partitions.file(n): digest for n, digest in enumerate(partitions.digests)}
    for encoded in partitions.encoded:
        if not encoded.complete:
            raise IndexFileError(
                f"{store.where()}: vectors of {encoded.bundle} are unfinished. Run the same molvis library build "
                "again, then verify it."
            )
        wanted |= {encoded.file(n): digest for n, (_, digest) in enumerate(partitions.vector_digests(encoded))}
    found: list[Damage] = []
    for name, digest in wanted.items():
        try:
            good = hashlib.sha256(store.read(name)).hexdigest() == digest
        except OSError as error:
            found.append(Damage(name, None, f"missing or unreadable: {error}"))
            continue
        if not good:
            found.append(Damage(name, None, "it is not what was written"))
    return Verification(Path(store.where()), dict.fromkeys(wanted, 1), tuple(found))


def _broken(path: Path, name: str, error: MolvisError) -> Verification:
    return Verification(path, {}, (Damage(name, None, str(error).removeprefix(f"{path / name}: ")),))


def _added(path: Path, file: str, metadata: Mapping[str, Any], names: Sequence[str]) -> Verification:
    with sole_writer(path):
        blocks = blocks_of(path, [name for name in names if (path / name).is_file()])
        with replacing(path / file) as fresh:
            fresh.write_text(sealed({**metadata, "blocks": blocks}), encoding="utf-8")
    return Verification(path, {name: len(found) for name, found in blocks["files"].items()}, added=True)
