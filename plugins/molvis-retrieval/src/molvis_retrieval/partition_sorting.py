"""Structures in any order and number, sorted by mass into partitions of equal count, one row for each compound.

What is read is written in runs that fit into memory. Of all rows only mass, key and origin are held: 17 bytes, and as
many again while they are sorted. A compound that comes twice is one row, as in `molvis_retrieval.library`.
"""

from __future__ import annotations

import hashlib
import itertools
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int64, UInt64

from molvis_core.progress import Progress
from molvis_core.records import Structure
from molvis_files.stores import Store
from molvis_retrieval.library_rows import DRAWN, entry_of, merged_rows, schema_of_rows, table_of
from molvis_retrieval.parents import ParentCounts
from molvis_retrieval.partitions import parquet_bytes

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SIZE", "sort_structures", "tables_of"]

SIZE = 32_768
"""Structures of a partition: a minute of embedding, and 17 MB of 512 numbers of 8 bits each."""
_RUN = 1 << 18


def tables_of(
    items: Iterable[Structure | tuple[Structure, str | None]], counts: ParentCounts, progress: Progress | None = None
) -> Iterator[pa.Table]:
    """The parents of structures as rows of a library, some thousands at a time, in the order in which they come."""
    done, rest = 0, iter(items)
    while chunk := list(itertools.islice(rest, _RUN // 8)):
        yield table_of([entry_of(one, counts) for one in chunk], drawn=True)
        done += len(chunk)
        if progress:
            progress(done, 0)


def sort_structures(
    tables: Iterable[pa.Table],
    store: Store,
    counts: ParentCounts,
    *,
    size: int = SIZE,
    scratch: Path | None = None,
    progress: Progress | None = None,
) -> list[tuple[int, float, float, int, str]]:
    """Write partitions of structures.

    Args:
        tables: rows of `tables_of`, by priority.
        store: the library's folder.
        counts: what is merged is added to them.
        size: structures of a partition.
        scratch: folder for what is sorted, as large as all of it; by default the system's for temporary files.
        progress: called with the structures written and in all.

    Returns:
        Of each partition: structures, least and greatest mass, bytes and SHA-256 of its file.
    """
    with tempfile.TemporaryDirectory(dir=scratch, prefix="molvis-sorting-") as folder:
        runs = _Runs(Path(folder))
        for table in tables:
            runs.add(table)
        runs.end()
        keys, mass = np.concatenate(runs.keys), np.concatenate(runs.masses)
        order, firsts = _order(keys, mass, np.concatenate(runs.drawn))
        found = []
        for number, start in enumerate(range(0, len(firsts), size)):
            stop = min(start + size, len(firsts))
            end = firsts[stop] if stop < len(firsts) else len(order)
            rows = order[firsts[start] : end]
            table = merged_rows(runs.take(rows), keys[rows], counts)
            masses = table["exact_mass"].to_numpy()
            data = parquet_bytes(table)
            store.write(f"structures/{number:05d}.parquet", data)
            found.append((len(table), float(masses[0]), float(masses[-1]), len(data), hashlib.sha256(data).hexdigest()))
            if progress:
                progress(stop, len(firsts))
        return found


def _order(
    keys: UInt64[np.ndarray, " n"], mass: np.ndarray, drawn: np.ndarray
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " c"]]:
    """All rows by the mass of their compound, those of one compound together; and where each compound begins.

    The mass of a compound is that of the row that stands for it: the first drawn as the parent, else the first.
    """
    by_key = np.lexsort((np.arange(len(keys)), ~drawn, keys))
    fresh = np.ones(len(keys), dtype=bool)
    fresh[1:] = keys[by_key][1:] != keys[by_key][:-1]
    group = np.cumsum(fresh) - 1
    own, earliest = np.empty(len(keys)), np.empty(len(keys), dtype=np.int64)
    own[by_key] = mass[by_key][fresh][group]
    if len(keys):
        earliest[by_key] = np.minimum.reduceat(by_key, np.flatnonzero(fresh))[group]
    order = np.lexsort((np.arange(len(keys)), earliest, own))
    return order, np.flatnonzero(np.diff(earliest[order], prepend=-1))


def keys_of(table: pa.Table) -> UInt64[np.ndarray, " n"]:
    """A number for the first block of each InChIKey."""
    import pyarrow.compute as pc

    blocks = pc.utf8_slice_codeunits(table["inchikey"], 0, 14).to_pylist()
    letters = np.array(blocks, dtype="S14").view(np.uint8).reshape(len(table), 14).astype(np.uint64)
    powers = np.uint64(0x9E3779B97F4A7C15) ** np.arange(14, dtype=np.uint64)
    return letters @ powers


class _Runs:
    """Rows on disk, and of each of them what they are sorted by."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        self._files: list[pa.Table] = []
        self._starts = [0]
        self.keys: list[np.ndarray] = [np.empty(0, dtype=np.uint64)]
        self.masses: list[np.ndarray] = [np.empty(0)]
        self.drawn: list[np.ndarray] = [np.empty(0, dtype=bool)]
        self._waiting: list[pa.Table] = []

    def add(self, table: pa.Table) -> None:
        self.keys.append(keys_of(table))
        self.masses.append(table["exact_mass"].to_numpy())
        self.drawn.append(np.asarray(table[DRAWN]))
        self._waiting.append(table)
        self._count += len(table)
        if self._count >= _RUN:
            self.end()

    def end(self) -> None:
        """Write what waits."""
        import pyarrow as pa

        if not self._waiting:
            return
        table = pa.concat_tables(self._waiting).combine_chunks()
        file = self._folder / f"{len(self._files)}.arrow"
        with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, table.schema) as out:
            out.write_table(table)
        with pa.memory_map(str(file)) as source:
            self._files.append(pa.ipc.open_file(source).read_all().combine_chunks())
        self._starts.append(self._starts[-1] + len(table))
        self._waiting, self._count = [], 0

    def take(self, rows: Int64[np.ndarray, " n"]) -> pa.Table:
        """Rows in this order."""
        import pyarrow as pa

        if not self._files:
            return schema_of_rows(drawn=True).empty_table()
        which = np.searchsorted(self._starts, rows, side="right") - 1
        order = np.argsort(which, kind="stable")
        parts = [self._files[run].take(rows[which == run] - self._starts[run]) for run in np.unique(which).tolist()]
        back = np.empty(len(rows), dtype=np.int64)
        back[order] = np.arange(len(rows))
        return pa.concat_tables(parts).combine_chunks().take(back)
