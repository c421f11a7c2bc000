"""Rows of a library in the making: one for each compound, merged from all that were drawn of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from molvis_core.records import Structure
from molvis_retrieval.parents import ParentCounts, parent

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("inchikey", "smiles", "formula", "exact_mass", "charge", "name", "source")
LISTS = ("aliases", "sources", "identifiers")
STRUCTURE_COLUMNS = (*COLUMNS[:-1], "identifiers")
"""What a `Structure` is made from."""
DRAWN = "as_drawn"
"""Column of rows that may still be merged: whether the structure was drawn as the parent."""
_SHOWN = 20
"""Most names and keys of merged structures that one candidate keeps."""


@dataclass(slots=True)
class Entry:
    """A row of a library in the making.

    Attributes:
        structure: of the parent.
        source: where it is from.
        as_drawn: whether the structure was drawn as the parent.
        aliases: names and keys of what was merged into it.
        sources: of all that were merged.
    """

    structure: Structure
    source: str | None
    as_drawn: bool
    aliases: list[str] = field(default_factory=list)
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.sources = (self.source,) if self.source else ()

    def alias(self, name: str | None) -> None:
        """Keep a name or a key beside those of the structure."""
        known = (self.structure.name, self.structure.inchikey, *self.aliases)
        if name and name not in known and len(self.aliases) < _SHOWN:
            self.aliases.append(name)

    def merged(self, other: Entry) -> Entry:
        """The entry of both; the other one gives way, unless it alone was drawn as the parent."""
        kept, rest = (other, self) if other.as_drawn and not self.as_drawn else (self, other)
        kept.sources = union(self.sources, other.sources)
        identifiers = union(kept.structure.identifiers, rest.structure.identifiers)
        if (kept.structure.name is None and rest.structure.name) or identifiers != kept.structure.identifiers:
            name = kept.structure.name or rest.structure.name
            kept.structure = replace(kept.structure, name=name, identifiers=identifiers)
        for name in (rest.structure.name, rest.structure.inchikey, *rest.aliases):
            kept.alias(name)
        return kept


def union(first: Sequence[str], second: Sequence[str]) -> tuple[str, ...]:
    """What is in either of them, in their order."""
    return tuple(dict.fromkeys((*first, *second)))


def entry_of(item: Structure | tuple[Structure, str | None], counts: ParentCounts) -> Entry:
    """The row of the parent of a structure, by itself or with its source."""
    drawn, source = item if isinstance(item, tuple) else (item, None)
    one, changes = parent(drawn)
    counts.add(changes)
    fresh = Entry(one, source, one.smiles == drawn.smiles)
    if not fresh.as_drawn and drawn.inchikey14 != one.inchikey14:
        fresh.alias(drawn.inchikey)
    return fresh


def merged(known: Entry, fresh: Entry, counts: ParentCounts) -> Entry:
    """The row of two structures of one parent, the one that came first named first."""
    both = known.as_drawn and fresh.as_drawn
    counts.duplicates += both
    counts.merged += not both
    return known.merged(fresh)


def structures_of(table: pa.Table) -> list[Structure]:
    """The structures of rows of a library's table."""
    return [
        Structure(smiles, key, formula, mass, charge, name, tuple(identifiers or ()))
        for key, smiles, formula, mass, charge, name, identifiers in zip(
            *(table[column].to_pylist() for column in STRUCTURE_COLUMNS), strict=True
        )
    ]


def table_of(rows: Iterable[Entry], *, drawn: bool = False) -> pa.Table:
    """Rows as a table, in their order.

    Args:
        rows: of it.
        drawn: with the column that `merged_rows` needs.
    """
    import pyarrow as pa

    rows = list(rows)
    columns: dict[str, list[Any]] = {
        name: [getattr(row.structure, name) for row in rows] for name in COLUMNS if name != "source"
    }
    columns["source"] = [row.source for row in rows]
    columns["aliases"] = [row.aliases for row in rows]
    columns["sources"] = [row.sources for row in rows]
    columns["identifiers"] = [row.structure.identifiers for row in rows]
    if drawn:
        columns[DRAWN] = [row.as_drawn for row in rows]
    schema = schema_of_rows(drawn=drawn)
    return pa.table({field.name: pa.array(columns[field.name], type=field.type) for field in schema}, schema=schema)


def schema_of_rows(*, drawn: bool = False) -> pa.Schema:
    """The columns of a library's table."""
    import pyarrow as pa

    types: dict[str, pa.DataType] = dict.fromkeys(COLUMNS, pa.large_string())
    types |= {"exact_mass": pa.float64(), "charge": pa.int64()}
    types |= dict.fromkeys(LISTS, pa.list_(pa.large_string()))
    return pa.schema({**types, **({DRAWN: pa.bool_()} if drawn else {})})


def merged_rows(table: pa.Table, groups: np.ndarray, counts: ParentCounts) -> pa.Table:
    """A table with one row for each compound, sorted by mass.

    Args:
        table: rows with the column `as_drawn`, those of one compound one after another, by priority.
        groups: of each row a number that the rows of a compound, and hardly others, share.
        counts: what is merged is added to them.
    """
    import pyarrow as pa

    first = np.ones(len(table), dtype=bool)
    first[1:] = groups[1:] != groups[:-1]
    starts = np.flatnonzero(first)
    sizes = np.diff(np.append(starts, len(table)))
    plain = table.select(schema_of_rows().names)
    if (sizes == 1).all():
        return plain.combine_chunks()
    entries: list[Entry] = []
    for start, size in zip(starts[sizes > 1].tolist(), sizes[sizes > 1].tolist(), strict=True):
        found: dict[str, Entry] = {}
        for fresh in _entries(table.slice(start, size)):
            key = fresh.structure.inchikey14
            found[key] = merged(found[key], fresh, counts) if key in found else fresh
        entries += found.values()
    out = pa.concat_tables([plain.take(starts[sizes == 1]), table_of(entries)]).combine_chunks()
    where = np.concatenate([starts[sizes == 1], np.repeat(starts[sizes > 1], 1)])
    if len(where) != len(out):  # two compounds of one number: their places among those of equal mass do not matter
        where = np.arange(len(out))
    return out.take(np.lexsort((where, out["exact_mass"].to_numpy()))).combine_chunks()


def _entries(table: pa.Table) -> list[Entry]:
    structures = structures_of(table)
    rest = [table[name].to_pylist() for name in ("source", DRAWN, "aliases", "sources")]
    out = []
    for one, source, drawn, aliases, sources in zip(structures, *rest, strict=True):
        entry = Entry(one, source, drawn, list(aliases or ()))
        entry.sources = tuple(sources or ())
        out.append(entry)
    return out
