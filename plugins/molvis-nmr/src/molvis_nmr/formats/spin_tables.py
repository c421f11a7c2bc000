"""Spin systems as JSON and TOML, and the entries of libraries of them."""

from __future__ import annotations

import itertools
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from molvis_core.errors import ReadError, RecordError, WriteError
from molvis_files.documents import load_json, load_toml, write_toml
from molvis_nmr.formats.gissmo import join_names
from molvis_nmr.spins.system import SpinSystem

FORMAT = "molvis-spin-system/1"


def parse_table(path: Path, text: str, kind: str) -> Any:
    """What JSON or TOML holds.

    Raises:
        ReadError: it is neither, with the line of the fault.
    """
    try:
        return load_json(text) if kind == "json" else load_toml(text)
    except json.JSONDecodeError as error:
        raise ReadError(path, f"is no JSON: {error.msg}; correct it or get it whole", line=error.lineno) from error
    except tomllib.TOMLDecodeError as error:
        reason = f"is neither GISSMO XML, JSON nor TOML: {error}"
        raise ReadError(path, reason) from error


def table_entries(path: Path, table: Any) -> list[Mapping[str, Any]]:
    """The tables of the spin systems that a file holds: one, or those of a library."""
    entries = table.get("systems", [table]) if isinstance(table, Mapping) else table
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, Mapping) for entry in entries):
        raise ReadError(path, "holds no spin system: it needs a table with 'spins', or a list 'systems' of them")
    return entries


def identifier_of(entry: Mapping[str, Any]) -> str:
    """What an entry of a library is called."""
    return str(entry.get("id") or entry.get("name") or "")


def from_table(path: Path, entry: Mapping[str, Any]) -> SpinSystem:
    """A spin system from a table of ours, or from an entry of a library: `shifts_ppm`, `multiplicity`, `couplings_Hz`.

    Raises:
        ReadError: a key is missing, or a value is not valid.
    """
    where = _Entry(path, entry, identifier_of(entry) or None)
    if "spins" in entry:
        groups = _groups_of_rows(where)
    elif "shifts_ppm" in entry:
        groups = _groups_of_lists(where)
    else:
        known = ", ".join(list(entry)[:6]) or "nothing"
        raise where.error(f"holds {known}, and no spin system: it needs 'spins' or 'shifts_ppm'")
    couplings = _coupling_matrix(where, groups)
    field = entry.get("field_MHz")
    try:
        return SpinSystem(
            names=tuple(groups.names),
            couplings=couplings,
            **groups.values,
            name=str(entry.get("name") or ""),
            identifier=str(entry.get("id") or ""),
            inchi=str(entry.get("inchi") or ""),
            frequency=None if field is None else where.number("field_MHz"),
            aliases=tuple(map(str, where.items("aliases"))),
        )
    except RecordError as error:
        raise where.error(str(error)) from error


class _Groups(NamedTuple):
    """The groups of spins of a table.

    Attributes:
        names: of the groups.
        values: what `SpinSystem` takes beside names and couplings.
        pairs: two places among the names, with their coupling in Hz.
    """

    names: list[str]
    values: dict[str, Any]
    pairs: list[tuple[tuple[int, int], float]]


def _groups_of_rows(where: _Entry) -> _Groups:
    """Groups of a table of ours: a row of `spins` for each, and one of `couplings` for each pair."""
    rows = [_Entry(where.path, row, where.record) for row in where.tables("spins")]
    names = [str(row.get("name", f"H{k}")) for k, row in enumerate(rows, start=1)]
    values: dict[str, Any] = {
        "shifts": [row.number("shift_ppm") for row in rows],
        "multiplicity": [row.whole("multiplicity", 1) for row in rows],
        "nuclei": tuple(str(row.get("nucleus", "1H")) for row in rows),
        "widths": [row.number("width_Hz", 1.0) for row in rows],
        "intensities": [row.number("intensity", 1.0) for row in rows],
    }
    pairs = [(row.pair(names), row.number("J_Hz")) for row in map(where.inner, where.tables("couplings", []))]
    return _Groups(names, values, pairs)


def _groups_of_lists(where: _Entry) -> _Groups:
    """Groups of an entry of a library: a list for each property, such as `shifts_ppm`."""
    shifts = where.numbers("shifts_ppm")
    counts = [1] * len(shifts) if where.get("multiplicity") is None else where.wholes("multiplicity")
    if len(counts) != len(shifts):
        raise where.error(f"has {len(shifts)} shifts_ppm and {len(counts)} multiplicity; the numbers must agree")
    names = _labelled(where, counts)
    values: dict[str, Any] = {
        "shifts": shifts,
        "multiplicity": counts,
        "nuclei": tuple(map(str, where.items("nuclei"))),
    }
    width = where.get("line_width_Hz")
    if width is not None:
        values["widths"] = (
            where.numbers("line_width_Hz") if isinstance(width, list) else [where.number("line_width_Hz")] * len(shifts)
        )
    if where.get("intensity_factors") is not None:
        values["intensities"] = where.numbers("intensity_factors")
    return _Groups(names, values, where.triples("couplings_Hz", len(shifts)))


def _coupling_matrix(where: _Entry, groups: _Groups) -> Float[np.ndarray, "g g"]:
    """Couplings of each two groups in Hz, which two statements of one pair must agree on."""
    names = groups.names
    couplings = np.zeros((len(names), len(names)))
    stated: dict[tuple[int, int], float] = {}
    for (i, j), value in groups.pairs:
        if i == j:
            raise where.error(f"couples {names[i]} to itself by {value:g} Hz; equivalent spins show no J")
        if abs(stated.setdefault((min(i, j), max(i, j)), value) - value) > 1e-6:
            first = stated[(min(i, j), max(i, j))]
            raise where.error(f"couples {names[i]} and {names[j]} by {first:g} Hz and by {value:g} Hz; give one number")
        couplings[i, j] = couplings[j, i] = value
    return couplings


def _labelled(where: _Entry, counts: Sequence[int]) -> list[str]:
    if names := where.items("labels"):
        if len(names) != len(counts):
            raise where.error(f"has {len(names)} labels for {len(counts)} groups; the numbers must agree")
        return [str(name) for name in names]
    labels = where.get("spin_labels")
    if not isinstance(labels, list) or len(labels) != sum(counts):
        return [f"H{k}" for k in range(1, len(counts) + 1)]
    ends = np.cumsum([0, *counts])
    return [join_names([str(x) for x in labels[a:b]]) for a, b in itertools.pairwise(ends)]


_MOST = 1000
"""Spins of a group: a number that a group is repeated by."""


class _Entry:
    """A table of a file, whose errors name it."""

    def __init__(self, path: Path, entry: Any, record: str | None) -> None:
        self.path, self.entry, self.record = path, entry, record

    def error(self, reason: str) -> ReadError:
        return ReadError(self.path, reason, record=self.record)

    def inner(self, entry: Any) -> _Entry:
        return _Entry(self.path, entry, self.record)

    def get(self, key: str, default: Any = None) -> Any:
        found = self.entry.get(key)
        return default if found is None else found

    def number(self, key: str, default: float | None = None) -> float:
        value = self.get(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e300:
            raise self.error(f"{key} must be a number, got {value!r}")
        return float(value)

    def whole(self, key: str, default: int) -> int:
        value = self.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _MOST:
            raise self.error(f"{key} must be a whole number, got {value!r:.60}")
        return value

    def numbers(self, key: str) -> list[float]:
        values = self.get(key)
        if not isinstance(values, list):
            raise self.error(f"{key} must be a list of numbers, got {values!r}")
        return [self.inner({key: value}).number(key) for value in values]

    def wholes(self, key: str) -> list[int]:
        values = self.get(key)
        if not isinstance(values, list):
            raise self.error(f"{key} must be a list of whole numbers, got {values!r}")
        return [self.inner({key: value}).whole(key, 0) for value in values]

    def items(self, key: str) -> list[Any]:
        """Of anything; empty where it is missing."""
        values = self.get(key, [])
        if not isinstance(values, list):
            raise self.error(f"{key} must be a list, got {values!r:.60}")
        return values

    def tables(self, key: str, default: Any = None) -> list[Mapping[str, Any]]:
        values = self.get(key, default)
        if not isinstance(values, list) or not all(isinstance(value, Mapping) for value in values):
            raise self.error(f"{key} is not a list of tables")
        return values

    def pair(self, names: Sequence[str]) -> tuple[int, int]:
        spins = self.get("spins")
        if not isinstance(spins, list) or len(spins) != 2:
            raise self.error(f"a coupling must name two groups, got {spins!r}")
        for name in spins:
            if name not in names:
                raise self.error(f"a coupling of {name!r}, which is none of its groups: {', '.join(names)}")
        return names.index(spins[0]), names.index(spins[1])

    def triples(self, key: str, size: int) -> list[tuple[tuple[int, int], float]]:
        found: list[tuple[tuple[int, int], float]] = []
        for triple in self.items(key):
            if not isinstance(triple, list) or len(triple) != 3:
                raise self.error(f"an entry of {key} must be [group, group, J], got {triple!r}")
            i, j, value = triple
            if not all(isinstance(k, int) and 0 <= k < size for k in (i, j)):
                raise self.error(
                    f"{key} couples groups {i!r} and {j!r}; they must be whole numbers from 0 to {size - 1}"
                )
            found.append(((i, j), self.inner({key: value}).number(key)))
        return found


# Writing


def to_table(system: SpinSystem, errors: Mapping[str, float]) -> dict[str, Any]:
    """Plain values of a spin system, with standard deviations beside what they belong to.

    Raises:
        WriteError: an error of no parameter.
    """
    left = dict(errors)
    spins: list[dict[str, Any]] = []
    for k, name in enumerate(system.names):
        row: dict[str, Any] = {"name": name, "nucleus": system.nuclei[k], "multiplicity": int(system.multiplicity[k])}
        columns = (
            ("shift", "shift_ppm", system.shifts),
            ("width", "width_Hz", system.widths),
            ("intensity", "intensity", system.intensities),
        )
        for parameter, key, values in columns:
            row[key] = float(values[k])
            if (sd := left.pop(f"{parameter}/{name}", None)) is not None:
                row[f"{key}_sd"] = float(sd)
        spins.append(row)
    couplings: list[dict[str, Any]] = []
    for i, a in enumerate(system.names):
        for j, b in enumerate(system.names[i + 1 :], start=i + 1):
            sds = [left.pop(f"coupling/{x}-{y}", None) for x, y in ((a, b), (b, a))]
            sd = next((value for value in sds if value is not None), None)
            if system.couplings[i, j] or sd is not None:
                row = {"spins": [a, b], "J_Hz": float(system.couplings[i, j])}
                couplings.append(row if sd is None else {**row, "J_Hz_sd": float(sd)})
    if left:
        raise WriteError(f"errors of {', '.join(sorted(left))}, which are no parameters of the spin system")
    head = {
        "format": FORMAT,
        "id": system.identifier,
        "name": system.name,
        "inchi": system.inchi,
        "field_MHz": system.frequency,
        "aliases": list(system.aliases),
    }
    return {**{key: value for key, value in head.items() if value}, "spins": spins, "couplings": couplings}


def to_json(system: SpinSystem, errors: Mapping[str, float]) -> str:
    """JSON of a spin system, a line for each group and each coupling."""
    table = to_table(system, errors)
    rows = {
        key: "[\n    " + ",\n    ".join(map(json.dumps, table.pop(key))) + "\n  ]" for key in ("spins", "couplings")
    }
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in table.items()]
    lines += [f'"{key}": {text}' for key, text in rows.items()]
    return "{\n  " + ",\n  ".join(lines) + "\n}\n"


def to_toml(system: SpinSystem, errors: Mapping[str, float]) -> str:
    """TOML of a spin system, with the units in the names of its keys."""
    return write_toml(to_table(system, errors))
