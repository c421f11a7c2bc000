"""Partitioned libraries are built here: partitions of structures first, then the vectors of each, by any number of
processes, and what is done is kept.

`embed_partition` does one partition. It gives the same bytes in this process, in others of this machine and in those of
Ray, on whichever machine: batches are the same, and one thread computes them.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from molvis_core.errors import IndexFileError
from molvis_core.interfaces import Featurises
from molvis_core.progress import StageProgress
from molvis_files.locking import sole_writer
from molvis_files.parallel import Engine, in_parallel
from molvis_files.stores import Store, open_store
from molvis_retrieval.clusters import build_clusters
from molvis_retrieval.index import Index
from molvis_retrieval.library_rows import structures_of
from molvis_retrieval.parents import ParentCounts
from molvis_retrieval.partition_sorting import SIZE, sort_structures
from molvis_retrieval.partitions import (
    FOLDER,
    TABLE,
    Encoded,
    Partitions,
    new_encoded,
    parquet_bytes,
    write_structures,
    write_table,
)
from molvis_retrieval.vector_rows import Kind

if TYPE_CHECKING:
    import pyarrow as pa

    from molvis_retrieval.bundle import Bundle

__all__ = ["Embedding", "build_partitioned", "cluster_library", "convert_index", "embed_partition", "embed_partitions"]

log = logging.getLogger("molvis")

CLUSTERED = 1_000_000
"""Structures from which on a library gets clusters: fewer are all looked at in a fraction of a second."""


@dataclass(frozen=True)
class Embedding:
    """What a process needs to embed partitions of a library.

    Attributes:
        partitions: of the library.
        encoded: the vectors that are made.
        bundle: whose structure encoder.
        batch_size: structures that are embedded together.
        device: where to compute; a GPU if there is one.
    """

    partitions: Partitions
    encoded: Encoded
    bundle: Bundle
    batch_size: int = 2048
    device: str | None = None

    def __call__(self, partition: int) -> tuple[int, str]:
        """Embed one; bytes and SHA-256 of its file."""
        return embed_partition(self, partition)


def embed_partition(source: Embedding, partition: int) -> tuple[int, str]:
    """Embed the structures of a partition and write their vectors.

    Returns:
        Bytes and SHA-256 of the file.

    Raises:
        IndexFileError: the structures are damaged.
        WriteError: the vectors cannot be written.
    """
    import pyarrow.parquet as pq

    partitions, encoded = source.partitions, source.encoded
    name = partitions.file(partition)
    data = partitions.store.read(name)
    if hashlib.sha256(data).hexdigest() != partitions.digests[partition]:
        where = partitions.store.where(name)
        raise IndexFileError(f"{where}: damaged: it is not what was written. Build the library again.")
    import pyarrow as pa

    from molvis_nn.threads import computing

    structures = structures_of(pq.ParquetFile(pa.BufferReader(data)).read())
    encoder = source.bundle.encoder("structure")
    out = np.empty((len(structures), encoded.rows.dim), dtype=np.float32)
    with computing(1):  # numbers do not depend on how many threads there would be
        if isinstance(encoder, Featurises):
            encoder.featurise(structures)
        for start in range(0, len(structures), source.batch_size):
            some = structures[start : start + source.batch_size]
            out[start : start + len(some)] = source.bundle.embed("structure", some, device=source.device)
    rows = encoded.rows.encode(out, partition)
    partitions.store.write(encoded.file(partition), rows)
    return len(rows), hashlib.sha256(rows).hexdigest()


def build_partitioned(
    bundle: Bundle,
    path: Path | str,
    tables: Iterable[pa.Table] | None = None,
    *,
    source: Mapping[str, Any] | None = None,
    counts: ParentCounts | None = None,
    size: int = SIZE,
    kind: Kind = "float16",
    engine: Engine = "processes",
    processes: int | None = None,
    address: str | None = None,
    device: str | None = None,
    clusters: bool | None = None,
    progress: StageProgress | None = None,
) -> Index:
    """Build a partitioned library, or go on where a build was interrupted.

    Args:
        bundle: whose structure encoder. Vectors of other bundles that the library has already stay beside its own.
        path: the folder, or an address in an object store.
        tables: rows of `molvis_retrieval.partition_sorting.tables_of`; not looked at where the structures are there.
            Without any, the structures that are there are embedded.
        source: what the tables are made from, such as names and digests of files.
        counts: what is merged is added to them.
        size: structures of a partition.
        kind: `float16`, or `int8` for half the bytes.
        engine: where partitions are embedded.
        processes: how many; all processors by default.
        address: of a Ray cluster.
        device: where to compute.
        clusters: make what searches without a mass look at; by default from a million structures on.
        progress: called with the structures done, in all, and what is being done.

    Raises:
        IndexFileError: the folder holds another library or other things.
        molvis_core.errors.BusyError: another process writes it.
        molvis_core.errors.ConfigError: no Ray.
    """
    store = open_store(path)
    with sole_writer(store.local) if store.local is not None else contextlib.nullcontext():
        partitions = _begun(store, tables, source, counts, size, progress)
        done = embed_partitions(
            bundle, partitions, kind=kind, engine=engine, processes=processes, address=address, device=device,
            progress=progress,
        )  # fmt: skip
        encoded = done.by(bundle.encoders_digest)
        wanted = done.count >= CLUSTERED if clusters is None else clusters
        if encoded is not None and not encoded.clusters and wanted:
            build_clusters(done, encoded, engine=engine, processes=processes, address=address, progress=progress)
    return Index.open_partitioned(store, bundle.encoders_digest)


def _begun(
    store: Store,
    tables: Iterable[pa.Table] | None,
    source: Mapping[str, Any] | None,
    counts: ParentCounts | None,
    size: int,
    progress: StageProgress | None,
) -> Partitions:
    """The partitions of a library's structures, written where they are not there."""
    if store.size(FOLDER.file) is not None:
        partitions = Partitions.open(store)
        before = partitions.metadata["source"]
        if source is not None and before != source:
            other = sorted(k for k in {*before, *source} if before.get(k) != source.get(k))
            raise IndexFileError(
                f"{store.where()}: holds a library that was made from something else ({', '.join(other)} differ). "
                "Choose another folder, or delete it."
            )
        return partitions
    if tables is None:
        raise FOLDER.missing(store.where())
    if store.local is not None and store.local.is_dir():
        ours = {"structures", TABLE, "vectors", "clusters"}
        if strange := sorted(p.name for p in store.local.iterdir() if p.name not in ours and p.name[0] != "."):
            raise IndexFileError(f"{store.where()}: not a library, and holds {strange[0]}. Choose another folder.")
    sorting = (lambda done, total: progress(done, total, "sorting structures")) if progress else None
    made = sort_structures(tables, store, ParentCounts() if counts is None else counts, size=size, progress=sorting)
    if not made:
        raise IndexFileError(f"{store.where()}: there is no structure to write; name files that hold some.")
    return write_structures(store, made, size=size, source=source or {})


def embed_partitions(
    bundle: Bundle,
    partitions: Partitions,
    *,
    kind: Kind = "float16",
    engine: Engine = "processes",
    processes: int | None = None,
    address: str | None = None,
    device: str | None = None,
    progress: StageProgress | None = None,
) -> Partitions:
    """Embed the partitions that are not embedded yet. See `build_partitioned`."""
    dim = int(bundle.encoder("structure").dim)
    encoded = partitions.by(bundle.encoders_digest) or new_encoded(bundle.encoders_digest, bundle.name, dim, kind)
    if encoded.complete:
        return partitions
    if encoded not in partitions.encoded:
        partitions = partitions.with_encoded(encoded)
    elif encoded.rows.kind != kind:
        log.warning("%s: going on with %s, as it was begun", partitions.store.where(), encoded.rows.kind)
    digests = _found(partitions, encoded)
    missing = [number for number in range(len(partitions)) if number not in digests]
    done = sum(partitions.rows(number) for number in digests)
    work = Embedding(partitions, encoded, bundle, device=device)
    gpus = 1.0 if device and device.startswith("cuda") else 0.0
    made = in_parallel(
        work, missing, len(missing), what="embedded partitions", processes=processes, few=2, engine=engine,
        address=address, gpus=gpus,
    )  # fmt: skip
    for number, one in zip(missing, made, strict=True):
        digests[number] = one
        done += partitions.rows(number)
        if progress:
            progress(done, partitions.count, "embedding structures")
    return _completed(partitions, encoded, [digests[number] for number in range(len(partitions))])


def _completed(partitions: Partitions, encoded: Encoded, digests: list[tuple[int, str]]) -> Partitions:
    """Note that all vectors are there, with bytes and SHA-256 of those of each partition."""
    import pyarrow as pa

    sizes, sums = [size for size, _ in digests], [digest for _, digest in digests]
    table = pa.table({"bytes": pa.array(sizes, pa.int64()), "sha256": pa.array(sums, pa.string())})
    noted = write_table(partitions.store, f"{encoded.folder}/digests.parquet", table)
    return partitions.with_encoded(replace(encoded, complete=True, digests=noted))


def _found(partitions: Partitions, encoded: Encoded) -> dict[int, tuple[int, str]]:
    """Vectors that an interrupted build has left, by partition: those whose rows are what was written."""
    sizes = partitions.store.names(encoded.folder)
    out: dict[int, tuple[int, str]] = {}
    for number in range(len(partitions)):
        file = encoded.file(number)
        rows = partitions.rows(number)
        if sizes.get(file.rpartition("/")[2]) != rows * encoded.rows.width:
            continue
        data = partitions.store.read(file)
        if encoded.rows.intact(np.frombuffer(data, dtype=np.uint8), np.arange(rows), number).all():
            out[number] = len(data), hashlib.sha256(data).hexdigest()
        else:
            log.warning("%s: damaged; it is embedded again", partitions.store.where(file))
    return out


def cluster_library(path: Path | str, digest: str | None = None, **options: Any) -> Partitions:
    """Make the clusters of a library on disk or in an object store; options as for `build_clusters`.

    Raises:
        IndexFileError: there is no such library, or it has no vectors of this bundle.
        molvis_core.errors.BusyError: another process writes it.
    """
    store = open_store(path)
    with sole_writer(store.local) if store.local is not None else contextlib.nullcontext():
        partitions = Partitions.open(store)
        encoded = partitions.by(digest)
        if encoded is None:
            raise IndexFileError(f"{store.where()}: it has no vectors of this bundle. Build them: molvis library build")
        return build_clusters(partitions, encoded, **options)


def convert_index(
    index: Index, path: Path | str, *, size: int = SIZE, kind: Kind = "float16", progress: StageProgress | None = None
) -> Index:
    """Write an index of one file of vectors as a partitioned library; its rows keep their order.

    Args:
        index: whose vectors are there.
        path: the new folder, or an address in an object store.
        size: structures of a partition.
        kind: `float16` keeps the numbers as they are; `int8` takes half the bytes.
        progress: called with the structures done, in all, and what is being done.

    Raises:
        IndexFileError: the folder is there already.
    """
    store = open_store(path)
    if store.size(FOLDER.file) is not None or (store.local is not None and store.local.exists()):
        raise IndexFileError(f"{store.where()} exists. Choose another folder, or delete it first.")
    encoded = new_encoded(index.bundle_digest, index.bundle_name, int(index.vectors.shape[1]), kind)
    made, digests = [], []
    table, count = index.library.table, len(index.library)
    for number, start in enumerate(range(0, count, size)):
        part = table.slice(start, size).combine_chunks()
        data = parquet_bytes(part)
        store.write(f"structures/{number:05d}.parquet", data)
        masses = part["exact_mass"].to_numpy()
        made.append((len(part), float(masses[0]), float(masses[-1]), len(data), hashlib.sha256(data).hexdigest()))
        rows = encoded.rows.encode(index.take(np.arange(start, start + len(part))), number)
        store.write(encoded.file(number), rows)
        digests.append((len(rows), hashlib.sha256(rows).hexdigest()))
        if progress:
            progress(start + len(part), count, "writing partitions")
    partitions = write_structures(store, made, size=size, source={"index": index.library.digest})
    return Index.open_partitioned(_completed(partitions, encoded, digests).store, index.bundle_digest)
