"""The format of a partitioned library: a folder, here or in an object store, of partitions in the order of mass.

    library.toml                         format, how many structures, and of each encoder how far its vectors are
    partitions.parquet                   of each partition how many rows, their masses, bytes and digest
    structures/00000.parquet             structures of a partition
    vectors/0eb35d262037/00000.rows      their vectors by one bundle's encoders (`molvis_retrieval.vector_rows`)
    vectors/0eb35d262037/digests.parquet of each of these files
    clusters/0eb35d262037/...            for searches without a mass (`molvis_retrieval.clusters`)

All partitions but the last have the same number of structures. The rows of a window of mass stand one after another, in
one partition or two: a search reads those bytes and no others.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from jaxtyping import Float, Int64

from molvis_core.errors import IndexFileError
from molvis_files.folders import FolderFormat
from molvis_files.stores import Store, open_store
from molvis_files.writing import recover
from molvis_retrieval.vector_rows import Kind, RowFormat

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FOLDER", "GROUP", "Encoded", "Partitions", "is_partitioned", "key_of", "write_structures"]

FOLDER = FolderFormat(
    noun="library",
    file="library.toml",
    version=1,
    error=IndexFileError,
    make="Make one with: molvis library build BUNDLE FILES --partitioned --out {path}",
    mend="Build the library again.",
)
GROUP = 1024
"""Structures that are compressed together: reading one row reads them all, in about a millisecond."""
TABLE = "partitions.parquet"


def is_partitioned(path: Path | str) -> bool:
    """Whether a folder is a partitioned library, or one in the making."""
    store = open_store(path)
    if store.local is not None:
        recover(store.local)
    return store.size(FOLDER.file) is not None


def key_of(digest: str) -> str:
    """The folder of the vectors that encoders of this digest give."""
    return digest[:12]


@dataclass(frozen=True, slots=True)
class Encoded:
    """The vectors that one bundle's encoders give the structures of a library.

    Attributes:
        digest: of the encoders.
        bundle: what people call the bundle.
        rows: how they are written.
        complete: whether they are there for all structures.
        digests: SHA-256 of the table of digests of their files, once they are complete.
        clusters: what is known of their clusters; empty where there are none.
    """

    digest: str
    bundle: str
    rows: RowFormat
    complete: bool
    digests: str = ""
    clusters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Where they lie in the library's folder."""
        return f"vectors/{key_of(self.digest)}"

    def file(self, partition: int) -> str:
        """Those of a partition."""
        return f"{self.folder}/{partition:05d}.rows"

    def as_toml(self) -> dict[str, Any]:
        """As the library's file has it."""
        out: dict[str, Any] = {
            "digest": self.digest, "bundle": self.bundle, "kind": self.rows.kind, "dim": self.rows.dim,
            "complete": self.complete, "digests": self.digests,
        }  # fmt: skip
        return out | ({"clusters": dict(self.clusters)} if self.clusters else {})


@dataclass(frozen=True, slots=True)
class Partitions:
    """What the file of a partitioned library says.

    Attributes:
        store: the folder.
        metadata: of the file.
        starts: the row that each partition begins with, and at the end the number of all rows.
        first: the least mass of each partition, in Da.
        last: the greatest.
        digests: SHA-256 of the structures' files.
        encoded: what vectors there are.
    """

    store: Store
    metadata: Mapping[str, Any]
    starts: Int64[np.ndarray, " p1"]
    first: Float[np.ndarray, " p"]
    last: Float[np.ndarray, " p"]
    digests: tuple[str, ...]
    encoded: tuple[Encoded, ...]

    @classmethod
    def open(cls, path: Path | str | Store) -> Partitions:
        """Read a library's file and its table of partitions.

        Raises:
            IndexFileError: there is none, or it is damaged or of a newer format.
        """
        store = open_store(path) if isinstance(path, (str, Path)) else path
        where = store.where()
        if store.local is not None:
            recover(store.local)
        try:
            metadata = FOLDER.parse(store.read(FOLDER.file), where)
        except FileNotFoundError as error:
            raise cast(IndexFileError, FOLDER.missing(where)) from error
        except OSError as error:
            raise IndexFileError(f"{store.where(FOLDER.file)}: cannot be read: {error}") from error
        if missing := sorted({"count", "size", "table", "source"} - metadata.keys()):
            raise FOLDER.damaged(where, f"it does not state {', '.join(missing)}")
        table = read_table(store, TABLE, metadata["table"])
        counts = numbers(table["count"], np.int64)
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        if starts[-1] != metadata["count"]:
            raise FOLDER.damaged(where, f"{starts[-1]} structures in its partitions, {metadata['count']} in all")
        encoded = tuple(
            Encoded(
                e["digest"],
                e["bundle"],
                RowFormat(e["kind"], e["dim"]),
                e["complete"],
                e["digests"],
                e.get("clusters", {}),
            )
            for e in metadata.get("encoders", [])
        )
        columns = [numbers(table[name], np.float64) for name in ("first_mass", "last_mass")]
        return cls(store, metadata, starts, columns[0], columns[1], tuple(table["sha256"].to_pylist()), encoded)

    def __len__(self) -> int:
        return len(self.first)

    @property
    def count(self) -> int:
        """Structures in all."""
        return int(self.starts[-1])

    def file(self, partition: int) -> str:
        """The structures of a partition."""
        return f"structures/{partition:05d}.parquet"

    def rows(self, partition: int) -> int:
        """Structures of a partition."""
        return int(self.starts[partition + 1] - self.starts[partition])

    def places(self, rows: Int64[np.ndarray, " n"]) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
        """The partition of each row of the library, and its number in it."""
        part = np.searchsorted(self.starts, rows, side="right") - 1
        return part, rows - self.starts[part]

    def by(self, digest: str | None = None) -> Encoded | None:
        """The vectors of a bundle's encoders; of the first bundle whose are complete where none is named."""
        if digest is None:
            return next((e for e in self.encoded if e.complete), self.encoded[0] if self.encoded else None)
        return next((e for e in self.encoded if e.digest == digest), None)

    def vector_digests(self, encoded: Encoded) -> list[tuple[int, str]]:
        """Bytes and SHA-256 of the vectors of each partition.

        Raises:
            IndexFileError: they are missing or damaged.
        """
        table = read_table(self.store, f"{encoded.folder}/digests.parquet", encoded.digests)
        return list(zip(table["bytes"].to_pylist(), table["sha256"].to_pylist(), strict=True))

    def with_encoded(self, one: Encoded) -> Partitions:
        """Note what is known of the vectors of one bundle; others' stay."""
        others = [e for e in self.encoded if e.digest != one.digest]
        kept = {k: v for k, v in self.metadata.items() if k not in ("format", "checksum", "molvis")}
        write_file(self.store, {**kept, "encoders": [e.as_toml() for e in (*others, one)]})
        return Partitions.open(self.store)


def numbers(column: Any, kind: Any) -> np.ndarray:
    """A column of numbers without gaps. Arrow's `to_numpy` imports pandas, which takes a new process a second."""
    values = column.combine_chunks()
    size = np.dtype(kind).itemsize
    return np.frombuffer(values.buffers()[1], dtype=kind, count=len(values), offset=size * values.offset)


def taken(table: pa.Table, rows: Int64[np.ndarray, " n"]) -> pa.Table:
    """Rows of a table in this order, and no pandas for it."""
    import pyarrow as pa

    places = np.ascontiguousarray(rows)
    return table.take(pa.Array.from_buffers(pa.int64(), len(places), [None, pa.py_buffer(places)]))


def write_file(store: Store, content: Mapping[str, Any]) -> None:
    """Write `library.toml`."""
    store.write(FOLDER.file, FOLDER.text(content).encode())


def write_table(store: Store, name: str, table: pa.Table) -> str:
    """Write a table of the library's and return its SHA-256."""
    data = parquet_bytes(table)
    store.write(name, data)
    return hashlib.sha256(data).hexdigest()


def parquet_bytes(table: pa.Table) -> bytes:
    """A table as the bytes of a Parquet file, the same for the same table."""
    import pyarrow.parquet as pq

    out = io.BytesIO()
    # Pages have checksums of their own, which are compared as they are read.
    pq.write_table(table, out, row_group_size=GROUP, compression="zstd", write_page_checksum=True)
    return out.getvalue()


def read_table(store: Store, name: str, sha256: str) -> pa.Table:
    """A table of the library's, compared with its digest.

    Raises:
        IndexFileError: it is missing or damaged.
    """
    import pyarrow.parquet as pq

    try:
        data = store.read(name)
    except OSError as error:
        where = store.where(name)
        raise IndexFileError(f"{where}: missing or unreadable: {error}. Build the library again.") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise IndexFileError(f"{store.where(name)}: damaged: it is not what was written. Build the library again.")
    return pq.ParquetFile(io.BytesIO(data)).read()


def write_structures(
    store: Store, tables: Sequence[tuple[int, float, float, int, str]], *, size: int, source: Mapping[str, Any]
) -> Partitions:
    """Write the file of a library whose structures are there, and which has no vectors yet.

    Args:
        store: the folder.
        tables: of each partition: structures, least and greatest mass, bytes and SHA-256 of its file.
        size: structures of a partition.
        source: what it was made from.
    """
    import pyarrow as pa

    names = ("count", "first_mass", "last_mass", "bytes", "sha256")
    types = (pa.int64(), pa.float64(), pa.float64(), pa.int64(), pa.string())
    columns = list(zip(*tables, strict=True)) or [()] * len(names)
    table = pa.table({n: pa.array(c, type=t) for n, c, t in zip(names, columns, types, strict=True)})
    digest = write_table(store, TABLE, table)
    count = sum(one[0] for one in tables)
    write_file(store, {"count": count, "size": size, "table": digest, "source": dict(source), "encoders": []})
    return Partitions.open(store)


def new_encoded(digest: str, bundle: str, dim: int, kind: Kind) -> Encoded:
    """Vectors that are going to be made."""
    return Encoded(digest, bundle, RowFormat(kind, dim), complete=False)
