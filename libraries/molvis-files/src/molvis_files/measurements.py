"""Measurements from files by whichever installed reader claims them, and settings that name such files."""

from __future__ import annotations

import logging
import re
import tomllib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from molvis_core import registry
from molvis_core.errors import ConfigError, LeftOutError, ReadError
from molvis_core.records import Measurement
from molvis_files.documents import load_toml

__all__ = ["parse_settings", "read_measurements", "record_in"]

log = logging.getLogger("molvis")


def read_measurements(
    path: Path | str, *, modality: str | Collection[str] | None = None, reader: str | None = None
) -> list[Measurement]:
    """Everything in a file.

    Args:
        path: the file.
        modality: take only readers of this one, or of one of these; by default of measurements, or else of
            anything but structures.
        reader: name of the reader, instead of choosing one by the file's ending.

    Raises:
        ReadError: the file or a record in it cannot be read, or there is nothing in it.
        molvis_core.errors.ComponentError: no reader claims the file, or several do.
    """
    path = Path(path)
    if not path.exists():
        raise ReadError(path, "there is no such file")
    name = reader or registry.for_suffix("reader", path, modality=modality or _usual(path)).name
    found: list[Measurement] = []
    for item in registry.load("reader", name)(path):
        if isinstance(item, LeftOutError):
            log.info("%s", item)
        elif isinstance(item, ReadError):
            raise item
        else:
            found.append(item)
    if not found:
        raise ReadError(path, f"there is nothing in it that the reader {name!r} reads; name another with --reader")
    return found


def _usual(path: Path) -> set[str]:
    measured = registry.measured_modalities()
    return measured if registry.claiming("reader", path, modality=measured) else registry.readable_modalities()


def parse_settings(texts: Sequence[str]) -> dict[str, Any]:
    """Arguments of a component as they are written on a command line.

    `starts=8` is a number and `name=glucose` a string, as in TOML, but that a string needs no quotes. `system=@a.xml`
    is the record that a reader finds in the file `a.xml`, and `system=@nmr-gissmo:a.xml` names the reader.

    Raises:
        ConfigError: a text that is not of the form KEY=VALUE, or a key that is given twice.
        ReadError: a file that cannot be read, or that does not hold one record.
        molvis_core.errors.ComponentError: no reader claims a file, or several do.
    """
    out: dict[str, Any] = {}
    for text in texts:
        found = re.fullmatch(r"([A-Za-z_]\w*)=(.*)", text, re.DOTALL)
        if not found:
            raise ConfigError(f"--set {text!r} must be of the form KEY=VALUE, such as starts=8 or system=@file.xml")
        key, value = found.groups()
        if key in out:
            raise ConfigError(f"--set {key} is given twice: {out[key]!r} and {value!r}")
        out[key] = record_in(value[1:]) if value.startswith("@") else _literal(value)
    return out


def _literal(text: str) -> Any:
    try:
        return load_toml(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def record_in(place: str) -> Any:
    """The one record of a file, written as FILE or READER:FILE.

    Raises:
        ReadError: the file cannot be read, or holds another number of records.
        molvis_core.errors.ComponentError: no reader claims the file, or several do.
    """
    reader, _, file = place.partition(":")
    if not file or reader not in {c.name for c in registry.components("reader")}:
        reader, file = "", place
    # What a component is made with is rarely a measurement, and files of both may have one ending.
    fixed = registry.fixed_modalities()
    claimed = not reader and registry.claiming("reader", file, modality=fixed)
    if not reader and Path(file).exists():
        modality = fixed if claimed else _usual(Path(file))
        reader = registry.for_suffix("reader", file, modality=modality, remedy="Name one: @READER:FILE.").name
    records = [m.record for m in read_measurements(file, reader=reader or None)]
    if len(records) != 1:
        raise ReadError(file, f"it must hold one record, and holds {len(records)}; leave the others out")
    return records[0]
