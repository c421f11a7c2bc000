"""Libraries of candidate structures, and indexes of their vectors.

Ordinary classes: they become interfaces when a second implementation exists, not before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int64

from molvis_core import registry
from molvis_core.errors import IndexFileError, ReadError
from molvis_core.progress import Progress
from molvis_core.records import Structure
from molvis_files.vendors import require_file
from molvis_retrieval.library_rows import (
    COLUMNS,
    LISTS,
    STRUCTURE_COLUMNS,
    Entry,
    entry_of,
    merged,
    structures_of,
    table_of,
    union,
)
from molvis_retrieval.parents import ParentCounts

if TYPE_CHECKING:
    import pyarrow as pa

    from molvis_retrieval.dataset import Dataset


@dataclass(frozen=True, eq=False)
class Library:
    """Candidate structures, one for each first block of the InChIKey of the parent, sorted by exact mass.

    Salts, solvates and ions come in as their parents, see `molvis_retrieval.parent_structures`. A library that an older
    molvis wrote may hold other forms.

    Attributes:
        table: Arrow columns inchikey, smiles, formula, exact_mass (Da), charge, name, source, and three of lists:
            aliases, names and InChIKeys of the structures that were merged into this one; sources, every file or
            database that holds it; identifiers in databases, as `hmdb:HMDB0000122`.
        problems: structures that were refused when it was read, and why.
        parents: what was neutralised, stripped and merged when it was read.
    """

    table: pa.Table = field(repr=False)
    problems: tuple[ReadError, ...] = ()
    parents: ParentCounts = field(default_factory=ParentCounts, repr=False)
    _file: Path | None = field(default=None, init=False, repr=False)

    @classmethod
    def read(
        cls, paths: Path | str | Sequence[Path | str], *, reader: str | None = None, progress: Progress | None = None
    ) -> Library:
        """Read structures from files: SMILES, SDF, CSV, Parquet, or whatever installed readers claim.

        Args:
            paths: a file or several, by priority; a structure that comes twice is kept once, as the first has it.
            reader: name of the reader, instead of choosing one by the file's ending.
            progress: called with the structures done and 0, as their number is not known before the end.

        Raises:
            ReadError: a file cannot be read at all, or holds no structure.
        """
        files = [Path(p) for p in ([paths] if isinstance(paths, (str, Path)) else paths)]
        problems: list[ReadError] = []
        library = cls.from_structures(read_structures(files, problems, reader=reader, progress=progress))
        if not len(library):
            first = f" The first was refused: {problems[0].reason}" if problems else ""
            raise ReadError(files[0], f"no structure in it.{first}")
        return cls(library.table, tuple(problems), library.parents)

    @classmethod
    def from_structures(cls, structures: Iterable[Structure | tuple[Structure, str | None]]) -> Library:
        """A library of the parents of structures, each by itself or with its source.

        Of those that share a parent the first that was drawn as the parent is kept, or else the first; the others are
        its aliases.
        """
        counts = ParentCounts()
        entries: dict[str, Entry] = {}
        for item in structures:
            fresh = entry_of(item, counts)
            known = entries.get(fresh.structure.inchikey14)
            entries[fresh.structure.inchikey14] = fresh if known is None else merged(known, fresh, counts)
        table = table_of(entries.values())
        order = np.argsort(table["exact_mass"].to_numpy(), kind="stable")
        return cls(table.take(order).combine_chunks(), parents=counts)

    @classmethod
    def from_dataset(cls, dataset: Dataset) -> Library:
        """The compounds of a dataset."""
        return cls.from_structures(structures_in(dataset))

    @classmethod
    def open(cls, file: Path | str) -> Library:
        """A library that an index holds, memory-mapped.

        Raises:
            IndexFileError: the file is missing or damaged.
        """
        import pyarrow as pa

        try:
            with pa.memory_map(str(file)) as source:
                table = pa.ipc.open_file(source).read_all()
            # Arrow trusts the lengths that a file states, and reads beyond its end.
            table.validate(full=True)
            found = cls(_with_lists(table).combine_chunks())
        except (OSError, KeyError, UnicodeDecodeError, pa.ArrowException) as error:
            raise IndexFileError(f"{file}: damaged or missing: {error}. Build the index again.") from error
        object.__setattr__(found, "_file", Path(file).absolute())
        return found

    def merge(self, other: Library) -> Library:
        """Both libraries; where both hold a compound, this one's entry is kept, and says that the other has it too."""
        return join([self, other]).library

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def mass(self) -> Float[np.ndarray, " N"]:
        """Exact masses in Da, ascending."""
        return self.table["exact_mass"].to_numpy()

    @cached_property
    def _keys(self) -> np.ndarray:
        import pyarrow.compute as pc

        return np.asarray(pc.utf8_slice_codeunits(self.table["inchikey"], 0, 14).to_pylist(), dtype="U14")

    @cached_property
    def _places(self) -> tuple[np.ndarray, np.ndarray]:
        order = np.argsort(self._keys, kind="stable")
        return order, self._keys[order]

    @cached_property
    def _formulas(self) -> np.ndarray:
        return np.asarray(self.table["formula"].to_pylist())

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the compounds and their order."""
        return hashlib.sha256("\n".join(self._keys.tolist()).encode()).hexdigest()

    def __getstate__(self) -> dict[str, Any]:
        # The look-ups are made again where they are needed: they are larger than what they are made from.
        if self._file is not None:
            return {"file": self._file}
        return {"table": self.table, "problems": self.problems, "parents": self.parents}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Another process maps the file itself, and shares its pages in memory.
        self.__dict__.update(vars(Library.open(state["file"])) if "file" in state else state)

    def structure(self, row: int) -> Structure:
        """One structure."""
        return self.structures([row])[0]

    def structures(self, rows: Sequence[int] | np.ndarray) -> list[Structure]:
        """Several structures, in the order asked for."""
        return structures_of(self.table.select(STRUCTURE_COLUMNS).take(np.asarray(rows, dtype=np.int64)))

    def formulas(self, rows: Sequence[int] | np.ndarray) -> list[str]:
        """Formulas of several structures."""
        return self._formulas[np.asarray(rows, dtype=np.int64)].tolist()

    def aliases(self, row: int) -> tuple[str, ...]:
        """Names and InChIKeys of the structures that were merged into one, such as its salts."""
        return tuple(self.table["aliases"][int(row)].as_py() or ())

    def sources(self, row: int) -> tuple[str, ...]:
        """The files and databases that hold a structure, in the order in which they were read."""
        return tuple(self.table["sources"][int(row)].as_py() or ())

    def within_ppm(self, mass: float, ppm: float) -> Int64[np.ndarray, " m"]:
        """Rows whose exact mass is within `ppm` parts per million of `mass` (Da)."""
        reach = abs(mass) * ppm * 1e-6
        start, stop = np.searchsorted(self.mass, [mass - reach, np.nextafter(mass + reach, np.inf)])
        return np.arange(start, stop)

    def of_formula(self, formula: str) -> Int64[np.ndarray, " m"]:
        """Rows of this molecular formula, however its elements are ordered.

        Raises:
            ValueError: it is no formula.
        """
        from molvis_core.chemistry.formula import formula_mass, parse_formula

        wanted = parse_formula(formula)
        # The mass narrows hundreds of thousands of formulas down to a few before any is parsed.
        near = self.within_ppm(formula_mass(wanted), 20.0)
        return np.array([r for r in near if parse_formula(str(self._formulas[r])) == wanted], dtype=np.int64)

    def rows_of(self, inchikey14: str, mass: float | None = None) -> Int64[np.ndarray, " m"]:
        """Rows (none or one) of this first block of an InChIKey; of a large library its mass is needed, too."""
        del mass
        order, keys = self._places
        start, stop = np.searchsorted(keys, inchikey14[:14], "left"), np.searchsorted(keys, inchikey14[:14], "right")
        return order[start:stop]


def read_structures(
    files: Sequence[Path], problems: list[ReadError], *, reader: str | None = None, progress: Progress | None = None
) -> Iterator[tuple[Structure, str | None]]:
    """Structures of files, each with where it is from, as they are drawn; what is refused is added to the problems."""
    done = 0
    for file in files:
        require_file(file, "name a file of structures")
        name = reader or registry.for_suffix("reader", file, modality="structure").name
        for item in registry.load("reader", name)(file):
            done += 1
            if progress and done % 1000 == 0:
                progress(done, 0)
            if isinstance(item, ReadError):
                problems.append(item)
            else:
                yield item.structure, item.source or file.name


def structures_in(dataset: Dataset) -> Iterator[tuple[Structure, str | None]]:
    """The compounds of each modality of a dataset, with its name."""
    for modality in dataset.modalities:
        keys = np.asarray(dataset.table(modality)["inchikey14"].to_pylist(), dtype=object)
        known = np.flatnonzero(np.array([isinstance(k, str) for k in keys], dtype=bool))
        _, first = np.unique(keys[known].astype(str), return_index=True)
        for row in known[first]:
            yield dataset.structure(modality, int(row)), dataset.path.name


def _with_lists(table: pa.Table) -> pa.Table:
    """The columns of a library; an older molvis wrote no aliases, and one source of each structure."""
    import pyarrow as pa

    kind = pa.list_(pa.large_string())
    made = {
        "aliases": lambda: pa.nulls(len(table), type=kind),
        "sources": lambda: pa.array([[s] if s else [] for s in table["source"].to_pylist()], type=kind),
        "identifiers": lambda: pa.nulls(len(table), type=kind),
    }
    out = table.select(COLUMNS)
    for name in LISTS:
        out = out.append_column(name, table[name] if name in table.column_names else made[name]())
    return out


@dataclass(frozen=True, eq=False)
class Joined:
    """Several libraries as one.

    Attributes:
        library: a compound that several hold once, as the first has it.
        part: which of the libraries each row is from.
        row: its number there.
    """

    library: Library
    part: Int64[np.ndarray, " N"]
    row: Int64[np.ndarray, " N"]


def join(libraries: Sequence[Library]) -> Joined:
    """Several libraries as one, by priority: where more than one holds a compound, the first one's entry is kept.

    Names that an entry lacks, sources and identifiers come from all of them.
    """
    import pyarrow as pa

    keys = np.concatenate([one._keys for one in libraries])
    part = np.repeat(np.arange(len(libraries)), [len(one) for one in libraries])
    row = np.concatenate([np.arange(len(one)) for one in libraries])
    table = pa.concat_tables([one.table for one in libraries]).combine_chunks()
    _, first, place = np.unique(keys, return_index=True, return_inverse=True)
    kept = np.sort(first)
    again = np.flatnonzero(first[place] != np.arange(len(keys)))
    if len(again):
        table = _with_all_of(table, again, first[place[again]])
    counts = sum((one.parents for one in libraries), ParentCounts())
    counts.duplicates += len(again)
    order = kept[np.argsort(table["exact_mass"].to_numpy()[kept], kind="stable")]
    problems = tuple(p for one in libraries for p in one.problems)
    return Joined(Library(table.take(order).combine_chunks(), problems, counts), part[order], row[order])


def _with_all_of(table: pa.Table, again: np.ndarray, kept: np.ndarray) -> pa.Table:
    """A table whose kept rows have the names, sources and identifiers of the rows of the same compound, too."""
    import pyarrow as pa

    for name in ("name", *LISTS):
        values, kind = table[name].to_pylist(), table.schema.field(name).type
        for there, here in zip(again.tolist(), kept.tolist(), strict=True):
            if name == "name":
                values[here] = values[here] or values[there]
            else:
                values[here] = union(values[here] or (), values[there] or ())
        table = table.set_column(table.column_names.index(name), name, pa.array(values, type=kind))
    return table
