"""A table of TOML whose faults have lines: what the readers of its sections share."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from molvis_core.errors import ReadError, did_you_mean
from molvis_flux.formats.builder import Draft
from molvis_flux.formats.opening import stem

_PIECE = r"""(?:[\w-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_NAME = rf"{_PIECE}(?:\s*\.\s*{_PIECE})*"
_HEADER = re.compile(rf"\s*\[{{1,2}}\s*({_NAME})\s*\]{{1,2}}\s*(?:#.*)?")
_KEY = re.compile(rf"\s*({_NAME})\s*=")
_WORDS: dict[type, str] = {str: "text", dict: "a table", list: "a list", bool: "true or false"}

Where = Callable[..., int | None]


class Lines:
    """Lines of keys, which `tomllib` does not keep."""

    def __init__(self, text: str) -> None:
        self.lines = text.split("\n")  # as TOML counts them; a name may hold other ends of lines
        self.found: dict[tuple[str, ...], int] = {}
        prefix: tuple[str, ...] = ()
        for at, line in enumerate(self.lines, 1):
            if header := _HEADER.fullmatch(line):
                prefix = self._split(header[1])
                for end in range(1, len(prefix) + 1):
                    self.found.setdefault(prefix[:end], at)
            elif key := _KEY.match(line):
                full = (*prefix, *self._split(key[1]))
                for end in range(len(prefix) + 1, len(full) + 1):
                    self.found.setdefault(full[:end], at)

    @staticmethod
    def _split(key: str) -> tuple[str, ...]:
        return tuple(bare_key(part) for part in re.findall(_PIECE, key))

    def __call__(self, *keys: str, text: str = "") -> int | None:
        """The line of a key, or the next of its tables that is known; after it, the first line with a text."""
        while keys and keys not in self.found:
            keys = keys[:-1]
        start = self.found.get(keys)
        if text and start:
            return next((n for n, line in enumerate(self.lines[start - 1 :], start) if text in line), start)
        return start


def bare_key(part: str) -> str:
    """A piece of a key, as the table has it."""
    if part[0] not in "\"'":
        return part
    try:
        return str(tomllib.loads(f"key = {part}")["key"]) if "\\" in part and part[0] == '"' else part[1:-1]
    except tomllib.TOMLDecodeError:
        return part


class TomlSource:
    """A table, its lines, and the study that is made of it.

    Args:
        path: the file.
        table: what it holds.
        line: of a key.
    """

    def __init__(self, path: Path, table: dict[str, Any], line: Where) -> None:
        self.path, self.table, self.line = path, table, line
        self.draft = Draft(str(path), stem(path))

    def error(self, reason: str, *keys: str, text: str = "") -> ReadError:
        """To be raised: the fault at the line of a key."""
        return self.draft.error(reason, self.line(*keys, text=text))

    def section(self, name: str, keys: Mapping[str, Any]) -> dict[str, Any]:
        """A table with known keys."""
        return self.checked(self.table.get(name, {}), keys, name)

    def checked(self, table: Any, keys: Mapping[str, Any], *where: str) -> dict[str, Any]:
        """A table that has only these keys, of these types."""
        if not isinstance(table, dict):
            raise self.error(f"{'.'.join(where)} is {table!r}, not a table", *where)
        for key, value in table.items():
            if key not in keys:
                raise self.error(f"{'.'.join(where)} has no key {key!r}.{did_you_mean(key, keys)}", *where, key)
            kinds = keys[key] if isinstance(keys[key], tuple) else (keys[key],)
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                expected = " or ".join(dict.fromkeys(_WORDS.get(k, "a number") for k in kinds))
                raise self.error(f"{'.'.join(where)}.{key} is {value!r}; it must be {expected}", *where, key)
        return table

    def entries(self, section: str) -> list[tuple[str, Any]]:
        """The entries of a section."""
        table = self.table.get(section, {})
        if not isinstance(table, dict):
            raise self.error(f"{section} is {table!r}, not a table", section)
        return list(table.items())

    def pair(self, value: Any, *where: str) -> tuple[float, float]:
        """Bounds: `[low, high]`, or one number for both."""
        if isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value):
            return float(value), float(value)
        if (
            not isinstance(value, list)
            or len(value) != 2
            or any(isinstance(v, bool) or not isinstance(v, (int, float)) or math.isnan(v) for v in value)
        ):
            raise self.error(f"{'.'.join(where)} is {value!r}; write [low, high], or one number", *where)
        if value[0] > value[1]:
            raise self.error(f"{'.'.join(where)} is {value!r}: low is above high; swap them", *where)
        return float(value[0]), float(value[1])

    def measured(self, numbers: Any, *where: str) -> tuple[float, float]:
        """A value with its standard deviation."""
        good = isinstance(numbers, list) and len(numbers) == 2 and all(isinstance(n, (int, float)) for n in numbers)
        if not good or not all(math.isfinite(n) for n in numbers) or numbers[1] <= 0:
            raise self.error(f"{'.'.join(where)} is {numbers!r}; write [value, standard deviation]", *where)
        return float(numbers[0]), float(numbers[1])
