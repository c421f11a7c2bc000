"""Spin systems in files: GISSMO's XML, JSON and TOML of our own, and whatever other plugins read.

Every format is a reader of the modality `spin-system`, found through the registry. What is written is read back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from molvis_core import registry
from molvis_core.errors import ComponentError, ReadError, WriteError, did_you_mean
from molvis_core.records import Measurement
from molvis_files.opening import read_text
from molvis_files.writing import write_text
from molvis_nmr.formats.entries import split_entry
from molvis_nmr.formats.gissmo import from_gissmo, gissmo_regions, to_gissmo
from molvis_nmr.formats.spin_tables import from_table, identifier_of, parse_table, table_entries, to_json, to_toml
from molvis_nmr.spins.system import SpinSystem

__all__ = ["read_regions", "read_system", "read_systems", "write_system"]

SUFFIXES = (".xml", ".json", ".toml")
MODALITY = "spin-system"
Items = Iterator[Measurement | ReadError]


def read_system(path: Path | str, entry: str | None = None) -> SpinSystem:
    """One spin system from a file.

    GISSMO lists spins one by one: those that no spectrum can distinguish (same shift, same couplings to all others)
    become one group, such as the three of a methyl group.

    Args:
        path: GISSMO XML, JSON, TOML or another format that a plugin reads, known by its content and its ending;
            `library.json#ENTRY` is short for giving `entry`.
        entry: of a file that holds several: its identifier or name, or an unambiguous part of it such as `bmse000047`.

    Raises:
        ReadError: the file cannot be read, is of another schema, holds what no spin system can be, or no such entry.
    """
    path, entry = split_entry(path, entry)
    found = _picked(path, list(_items(path)), entry)
    if isinstance(found, ReadError):
        raise found
    return found.record


def read_systems(path: Path | str) -> list[SpinSystem]:
    """Every spin system of a file, a single one too. See `read_system`.

    Raises:
        ReadError: the file cannot be read, or one of its systems is not valid.
    """
    found: list[SpinSystem] = []
    for item in _items(Path(path)):
        if isinstance(item, ReadError):
            raise item
        found.append(item.record)
    return found


def is_system_file(path: Path) -> bool:
    """Whether a reader of spin systems claims the ending of a file."""
    try:
        registry.for_suffix("reader", path, modality=MODALITY)
    except ComponentError:
        return False
    return True


def _items(path: Path) -> Items:
    """What the reader of a file gives."""
    if path.is_dir():
        raise ReadError(path, "is a folder; give a file with a spin system (.xml, .json, .toml)")
    try:
        found = registry.reader_for(path, modality=MODALITY)
    except ComponentError as error:
        if not read_text(path).strip():
            raise ReadError(path, "is empty; a file of a spin system is GISSMO XML, JSON or TOML") from error
        raise ReadError(path, f"is not a spin system that molvis reads: {error}") from error
    return registry.load("reader", found.name)(path)


def _picked(path: Path, items: Sequence[Measurement | ReadError], requested: str | None) -> Measurement | ReadError:
    """The item of an identifier, a name, an alias, or a part of an identifier that only one has.

    Raises:
        ReadError: none has it, or several.
    """
    if requested is None:
        if len(items) == 1:
            return items[0]
        some = ", ".join(_identifier(item) for item in items[:3])
        raise ReadError(path, f"holds {len(items)} spin systems; name one by its identifier, such as: {some}")
    word = requested.lower()
    tests: tuple[Callable[[Measurement | ReadError], bool], ...] = (
        lambda item: _identifier(item) == requested,
        lambda item: word in {name.lower() for name in _names(item)},
        lambda item: word in _identifier(item).lower(),
    )
    found = next((some for test in tests if (some := [item for item in items if test(item)])), [])
    if len(found) == 1:
        return found[0]
    if found:
        some = ", ".join(_identifier(item) for item in found[:5])
        raise ReadError(path, f"{len(found)} spin systems match {requested!r}: {some}; give one's whole identifier")
    near = did_you_mean(requested, [name for item in items for name in _names(item)[:2]])
    raise ReadError(path, f"has no spin system {requested!r} among its {len(items)}.{near}")


def _identifier(item: Measurement | ReadError) -> str:
    return str(item.record or "") if isinstance(item, ReadError) else item.record.identifier or item.record.name


def _names(item: Measurement | ReadError) -> tuple[str, ...]:
    if isinstance(item, ReadError):
        return (_identifier(item),)
    system: SpinSystem = item.record
    return (_identifier(item), system.name, *system.aliases)


def read_regions(path: Path | str) -> list[tuple[float, float]]:
    """What a file leaves out of the comparison with a spectrum, such as water: from and to, in ppm; only GISSMO's do.

    Raises:
        ReadError: the file cannot be read, or is XML of another schema.
    """
    path = Path(path)
    return gissmo_regions(path, read_text(path)) if is_gissmo(path) else []


# Readers


def read_gissmo(path: Path) -> Items:
    """The spin system of GISSMO's XML.

    Raises:
        ReadError: the file cannot be read, is of another schema, or holds what no spin system can be.
    """
    yield _measurement(from_gissmo(path, read_text(path)))


def is_gissmo(path: Path) -> bool:
    """Whether a file is GISSMO's XML."""
    return "<spin_simulation" in read_text_or_nothing(path)[:4000]


def read_json(path: Path) -> Items:
    """The spin systems of a JSON file, one or those of a library.

    Raises:
        ReadError: the file cannot be read, is no JSON, or holds no spin system.
    """
    return _from_tables(path, "json")


def is_json(path: Path) -> bool:
    """Whether a file is JSON of spin systems."""
    text = read_text_or_nothing(path).lstrip()
    return text.startswith(("{", "[")) and re.search(r'"(spins|shifts_ppm)"\s*:', text) is not None


def read_toml(path: Path) -> Items:
    """The spin systems of a TOML file, one or those of a library.

    Raises:
        ReadError: the file cannot be read, is no TOML, or holds no spin system.
    """
    return _from_tables(path, "toml")


def is_toml(path: Path) -> bool:
    """Whether a file is TOML of spin systems."""
    text = read_text_or_nothing(path)
    return re.search(r"^\s*(\[\[(systems\.)?spins\]\]|(spins|shifts_ppm)\s*=)", text, re.MULTILINE) is not None


def _from_tables(path: Path, kind: str) -> Items:
    entries = table_entries(path, parse_table(path, read_text(path), kind))
    for number, entry in enumerate(entries, start=1):
        try:
            yield _measurement(from_table(path, entry), entry)
        except ReadError as error:
            apart = error.record is not None or len(entries) == 1
            yield error if apart else ReadError(path, error.reason, record=identifier_of(entry) or number)


def _measurement(system: SpinSystem, entry: Mapping[str, object] | None = None) -> Measurement:
    source, licence = (str(value) if (value := (entry or {}).get(key)) else None for key in ("source", "licence"))
    return Measurement(system, None, MODALITY, name=system.name or None, source=source, licence=licence)


def read_text_or_nothing(path: Path) -> str:
    """The text of a file; empty where it cannot be read."""
    try:
        return read_text(path)
    except ReadError:
        return ""


# Writers


def write_system(path: Path | str, system: SpinSystem, *, errors: Mapping[str, float] | None = None) -> None:
    """A spin system as GISSMO XML, JSON or TOML, by the path's ending (`.gz` behind it compresses).

    Args:
        path: is replaced whole or not at all.
        system: every field is written. GISSMO's format knows no groups: spins are written one by one.
        errors: standard deviations by parameter, such as `shift/H3` in ppm, `coupling/H3-H4` in Hz, `width/H3` in Hz
            and `intensity/H3`. They stand beside their values in JSON and TOML.

    Raises:
        WriteError: an ending that is none of these, an error of no parameter, or the file cannot be written.
    """
    path = Path(path)
    match Path(path.name.lower().removesuffix(".gz")).suffix:
        case ".json":
            text = to_json(system, errors or {})
        case ".toml":
            text = to_toml(system, errors or {})
        case ".xml":
            text = to_gissmo(system)
        case suffix:
            raise WriteError(f"{path}: a spin system cannot be written as {suffix!r}; end it in {', '.join(SUFFIXES)}")
    write_text(path, text)


def write_systems(path: Path, measurements: Iterable[Measurement]) -> None:
    """The writer of spin systems: one to a file, in the format of its ending.

    Raises:
        WriteError: another number of them, something else than a spin system, or the file cannot be written.
    """
    items = list(measurements)
    if len(items) != 1:
        raise WriteError(f"{path}: a file holds one spin system, got {len(items)}; write each to a file")
    if not isinstance(items[0].record, SpinSystem):
        raise WriteError(f"{path}: must be a spin system, got a {type(items[0].record).__name__}")
    write_system(path, items[0].record)
