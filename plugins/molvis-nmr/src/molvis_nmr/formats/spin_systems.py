"""Spin systems in files: GISSMO's XML, and JSON and TOML of our own. What is written is read back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from molvis_core.errors import ReadError, WriteError
from molvis_files.opening import read_text
from molvis_files.writing import write_text
from molvis_nmr.formats.entries import split_entry
from molvis_nmr.formats.gissmo import from_gissmo, gissmo_regions, to_gissmo
from molvis_nmr.formats.spin_tables import from_table, parse_table, pick_entry, table_entries, to_json, to_toml
from molvis_nmr.spins.system import SpinSystem

__all__ = ["read_regions", "read_system", "read_systems", "write_system"]

SUFFIXES = (".xml", ".json", ".toml")


def read_system(path: Path | str, entry: str | None = None) -> SpinSystem:
    """One spin system from a file.

    GISSMO lists spins one by one: those that no spectrum can tell apart (same shift, same couplings to all others)
    become one group, such as the three of a methyl group.

    Args:
        path: GISSMO XML, JSON or TOML, told by its content; `library.json#ENTRY` is short for giving `entry`.
        entry: of a file that holds several: its identifier or name, or an unambiguous part of it such as `bmse000047`.

    Raises:
        ReadError: the file cannot be read, is of another schema, holds what no spin system can be, or no such entry.
    """
    path, entry = split_entry(path, entry)
    kind, content = _content(path)
    if kind == "gissmo":
        system = from_gissmo(path, content)
        if entry and entry not in (system.identifier, system.name):
            raise ReadError(path, f"no spin system {entry!r} in it; it holds {system.identifier or system.name!r}")
        return system
    table = parse_table(path, content, kind)
    return from_table(path, pick_entry(path, table_entries(path, table), entry))


def read_systems(path: Path | str) -> list[SpinSystem]:
    """Every spin system of a file, a single one too. See `read_system`.

    Raises:
        ReadError: the file cannot be read, or one of its systems is none.
    """
    path = Path(path)
    kind, content = _content(path)
    if kind == "gissmo":
        return [from_gissmo(path, content)]
    return [from_table(path, entry) for entry in table_entries(path, parse_table(path, content, kind))]


def read_regions(path: Path | str) -> list[tuple[float, float]]:
    """What a file leaves out of the comparison with a spectrum, such as water: from and to, in ppm; only GISSMO's do.

    Raises:
        ReadError: the file cannot be read, or is XML of another schema.
    """
    path = Path(path)
    kind, content = _content(path)
    return gissmo_regions(path, content) if kind == "gissmo" else []


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


def is_gissmo(path: Path) -> bool:
    """Whether a file is GISSMO's XML."""
    try:
        return "<spin_simulation" in read_text(path)[:4000]
    except ReadError:
        return False


def _content(path: Path) -> tuple[str, str]:
    """`gissmo`, `json` or `toml`, and the file's text."""
    if path.is_dir():
        raise ReadError(path, "is a folder; a file with a spin system (.xml, .json, .toml) is wanted")
    text = read_text(path)
    begin = text.lstrip()
    if not begin:
        raise ReadError(path, "is empty; a spin system (GISSMO XML, JSON or TOML) is wanted")
    if begin.startswith("<"):
        return "gissmo", text
    # A TOML table may begin with a bracket, too.
    json_like = begin.startswith("{") or (begin.startswith("[") and not path.name.lower().endswith(".toml"))
    return ("json" if json_like else "toml"), text
