"""A partitioned library, read as it is looked at: structures and vectors of a window of mass, or of single rows."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Float32, Int64

from molvis_core.errors import IndexFileError
from molvis_core.records import Structure
from molvis_retrieval.library import Library
from molvis_retrieval.library_rows import STRUCTURE_COLUMNS, structures_of
from molvis_retrieval.parents import ParentCounts
from molvis_retrieval.partitions import GROUP, Encoded, Partitions, numbers, taken

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["PartitionedLibrary", "PartitionedVectors"]

_KEPT = 256
"""Groups of structures that stay in memory, unpacked: some 50 MB."""
_SLICE = 4096
"""Rows from which on all of a span is read, where only some of it is asked for."""


class PartitionedLibrary(Library):
    """The structures of a partitioned library. What is asked for is read, and some of it is kept."""

    def __init__(self, partitions: Partitions) -> None:
        object.__setattr__(self, "partitions", partitions)
        object.__setattr__(self, "problems", ())
        object.__setattr__(self, "parents", ParentCounts())
        object.__setattr__(self, "_file", None)
        object.__setattr__(self, "_groups", OrderedDict())
        object.__setattr__(self, "_open", {})

    partitions: Partitions
    _groups: OrderedDict[tuple[int, int, tuple[str, ...]], pa.Table]
    _open: dict[int, Any]

    def __reduce__(self) -> tuple[Any, ...]:
        return PartitionedLibrary, (self.partitions,)

    def __len__(self) -> int:
        return self.partitions.count

    @property
    def table(self) -> pa.Table:  # type: ignore[override]
        """All of the structures, in memory: for libraries that are joined with others, and small enough for it."""
        import pyarrow as pa

        return pa.concat_tables([self._file_of(n).read() for n in range(len(self.partitions))]).combine_chunks()

    @property
    def digest(self) -> str:  # type: ignore[override]
        """SHA-256 of the table of partitions, and so of the structures and their order."""
        return self.partitions.metadata["table"]

    @property
    def mass(self) -> Any:
        """Exact masses in Da, ascending; rows are read as they are asked for."""
        return _Masses(self)

    def structures(self, rows: Sequence[int] | np.ndarray) -> list[Structure]:
        """Several structures, in the order asked for."""
        return structures_of(self._rows(rows, STRUCTURE_COLUMNS))

    def formulas(self, rows: Sequence[int] | np.ndarray) -> list[str]:
        """Formulas of several structures."""
        return self._rows(rows, ("formula",))["formula"].to_pylist()

    def aliases(self, row: int) -> tuple[str, ...]:
        """Names and InChIKeys of the structures that were merged into one, such as its salts."""
        return tuple(self._rows([row], ("aliases",))["aliases"][0].as_py() or ())

    def sources(self, row: int) -> tuple[str, ...]:
        """The files and databases that hold a structure, in the order in which they were read."""
        return tuple(self._rows([row], ("sources",))["sources"][0].as_py() or ())

    def within_ppm(self, mass: float, ppm: float) -> Int64[np.ndarray, " m"]:
        """Rows whose exact mass is within `ppm` parts per million of `mass` (Da)."""
        reach = abs(mass) * ppm * 1e-6
        return np.arange(self._place(mass - reach), self._place(np.nextafter(mass + reach, np.inf)))

    def of_formula(self, formula: str) -> Int64[np.ndarray, " m"]:
        """Rows of this molecular formula, however its elements are ordered."""
        from molvis_core.chemistry.formula import formula_mass, parse_formula

        wanted = parse_formula(formula)
        near = self.within_ppm(formula_mass(wanted), 20.0)
        same = [parse_formula(one) == wanted for one in self.formulas(near)]
        return near[np.array(same, dtype=bool)] if len(near) else near

    def rows_of(self, inchikey14: str, mass: float | None = None) -> Int64[np.ndarray, " m"]:
        """Rows (none or one) of this first block of an InChIKey; where its mass is not known all keys are read."""
        if mass is None:
            spans = [np.arange(a, b) for a, b in itertools.pairwise(self.partitions.starts)]
        else:
            spans = [self.within_ppm(mass, 5.0)]
        found = [
            rows[[key[:14] == inchikey14[:14] for key in self._rows(rows, ("inchikey",))["inchikey"].to_pylist()]]
            for rows in spans
            if len(rows)
        ]
        return np.concatenate([*found, np.empty(0, dtype=np.int64)])

    def _place(self, mass: float) -> int:
        """The first row of at least this mass."""
        part = int(np.searchsorted(self.partitions.last, mass))
        if part == len(self.partitions):
            return self.partitions.count
        start = int(self.partitions.starts[part])
        if mass <= self.partitions.first[part]:
            return start
        return start + int(np.searchsorted(self._masses(part), mass))

    def _masses(self, part: int) -> Float[np.ndarray, " n"]:
        return numbers(self._group(part, -1, ("exact_mass",))["exact_mass"], np.float64)

    def _rows(self, rows: Sequence[int] | np.ndarray, columns: tuple[str, ...]) -> pa.Table:
        """Columns of rows, in the order asked for."""
        import pyarrow as pa

        wanted = np.asarray(rows, dtype=np.int64).reshape(-1)
        if not len(wanted):
            return self._file_of(0).schema_arrow.empty_table().select(columns)
        part, row = self.partitions.places(wanted)
        group = row // GROUP
        # Whoever looks at one thing of a window of mass looks at all of it next: it is read once.
        read = STRUCTURE_COLUMNS if len(wanted) <= _SLICE and set(columns) <= set(STRUCTURE_COLUMNS) else columns
        if (part == part[0]).all() and (group == group[0]).all():
            return taken(self._group(int(part[0]), int(group[0]), read).select(columns), row % GROUP)
        groups, which = np.unique(part << 32 | group, return_inverse=True)
        tables = [self._group(int(one >> 32), int(one & 0xFFFFFFFF), read).select(columns) for one in groups]
        starts = np.concatenate([[0], np.cumsum([len(t) for t in tables])])
        return taken(pa.concat_tables(tables).combine_chunks(), starts[which.reshape(-1)] + row % GROUP)

    def _group(self, part: int, group: int, columns: tuple[str, ...]) -> pa.Table:
        """Columns of a group of rows of a partition, or of all of it (-1), kept for a while."""
        import pyarrow as pa

        key = (part, group, columns)
        if key in self._groups:
            self._groups.move_to_end(key)
            return self._groups[key]
        file = self._file_of(part)
        try:
            found = file.read(columns) if group < 0 else file.read_row_group(group, columns=columns, use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise self._damaged(part, error) from error
        self._groups[key] = found
        while len(self._groups) > _KEPT:
            self._groups.popitem(last=False)
        return found

    def _file_of(self, part: int) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if part not in self._open:
            store, name = self.partitions.store, self.partitions.file(part)
            try:
                source, remote = store.opened(name), store.local is None
                file = pq.ParquetFile(source, page_checksum_verification=True, pre_buffer=remote)
            except (OSError, pa.ArrowException) as error:
                raise self._damaged(part, error) from error
            if file.metadata.num_rows != self.partitions.rows(part):
                raise self._damaged(part, f"{file.metadata.num_rows} rows instead of {self.partitions.rows(part)}")
            self._open[part] = file
        return self._open[part]

    def _damaged(self, part: int, why: object) -> IndexFileError:
        where = self.partitions.store.where(self.partitions.file(part))
        return IndexFileError(f"{where}: damaged or missing: {why}. Copy it again, or build the library again.")


class _Masses:
    """The masses of a partitioned library, as far as they are asked for."""

    def __init__(self, library: PartitionedLibrary) -> None:
        self._library = library

    def __len__(self) -> int:
        return len(self._library)

    def __getitem__(self, rows: Any) -> Any:
        library = self._library
        if isinstance(rows, (int, np.integer)):
            row = int(rows) % len(library)
            part, number = library.partitions.places(np.array([row]))
            return float(library._masses(int(part[0]))[number[0]])
        wanted = np.arange(len(library))[rows] if isinstance(rows, slice) else np.asarray(rows, dtype=np.int64)
        out = np.empty(len(wanted))
        parts, numbers = library.partitions.places(wanted)
        for part in np.unique(parts):
            mine = parts == part
            out[mine] = library._masses(int(part))[numbers[mine]]
        return out

    def __array__(self, dtype: np.dtype | None = None, *, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)


class PartitionedVectors:
    """Vectors of a partitioned library: rows are read as they are asked for, and compared with their checksums."""

    def __init__(self, partitions: Partitions, encoded: Encoded) -> None:
        self.partitions, self.encoded = partitions, encoded
        self._seen: dict[int, np.ndarray] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return PartitionedVectors, (self.partitions, self.encoded)

    @property
    def shape(self) -> tuple[int, ...]:
        """Structures, and numbers for each."""
        return self.partitions.count, self.encoded.rows.dim

    @property
    def size(self) -> int:
        """Numbers in all."""
        return self.shape[0] * self.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes of all of them, in their files."""
        return self.shape[0] * self.encoded.rows.width

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | np.ndarray) -> Float32[np.ndarray, "m dim"]:
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            wanted = np.arange(start, stop, step)
        else:
            wanted = np.asarray(rows)
            wanted = np.flatnonzero(wanted) if wanted.dtype == bool else wanted.astype(np.int64)
        parts, numbers = self.partitions.places(wanted)
        if len(wanted) and (parts == parts[0]).all():
            return self._read(int(parts[0]), numbers)
        out = np.empty((len(wanted), self.shape[1]), dtype=np.float32)
        for part in np.unique(parts):
            mine = np.flatnonzero(parts == part)
            out[mine] = self._read(int(part), numbers[mine])
        return out

    def __array__(self, dtype: np.dtype | None = None, *, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype or np.float16)

    def _read(self, part: int, numbers: Int64[np.ndarray, " n"]) -> Float32[np.ndarray, "n dim"]:
        """Vectors of rows of a partition: one span of bytes where they are near each other, else one for each row."""
        rows, name = self.encoded.rows, self.encoded.file(part)
        low, high = int(numbers.min()), int(numbers.max()) + 1
        # Of a file that is mapped into memory only the rows that are looked at are read.
        near = self.partitions.store.local is not None or high - low <= max(_SLICE, 4 * len(numbers))
        spans = [(low, high - low)] if near else [(int(n), 1) for n in numbers]
        try:
            data = self.partitions.store.ranges(name, [(a * rows.width, n * rows.width) for a, n in spans])
        except OSError as error:
            where = self.partitions.store.where(name)
            raise IndexFileError(f"{where}: missing or truncated: {error}. Build the library again.") from error
        if not near:
            found = np.stack(data)
        elif high - low == len(numbers) and (numbers[1:] > numbers[:-1]).all():
            found = np.asarray(data[0]).reshape(-1, rows.width)
        else:
            found = np.asarray(data[0]).reshape(-1, rows.width)[numbers - low]
        seen = self._seen.setdefault(part, np.zeros(self.partitions.rows(part), dtype=bool))
        new = ~seen[numbers]
        if new.any():
            good = rows.intact(found if new.all() else found[new], numbers[new], part)
            if not good.all():
                row = int(numbers[new][~good][0])
                raise IndexFileError(
                    f"{self.partitions.store.where(name)}: damaged: row {row} (from byte {row * rows.width:,} on) is "
                    "not what was written. Copy it again, or delete it and build the library again."
                )
            seen[numbers] = True
        return rows.decode(found)
