"""Plain values, as TOML has them, to frozen dataclasses: the annotations of the fields are the schema."""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from molvis_core.errors import ConfigError, did_you_mean

T = TypeVar("T")
Spec = dict[str, Any]

Keys = tuple[str | int, ...]
"""The way to a value: names of tables and keys, and places in arrays, counted from 0."""


def dotted(keys: Keys) -> str:
    """Keys as one path; the tables of an array are counted from 1."""
    return ".".join(str(key + 1) if isinstance(key, int) else key for key in keys)


@dataclass(frozen=True)
class Source:
    """The text that values come from, which names the line of a key: tomllib keeps no positions."""

    path: str
    text: str

    def at(self, *keys: str | int) -> str:
        """`file:line` of the line that holds most of the keys; a number picks one of an array of tables."""
        wanted = [key for key in keys if isinstance(key, str)]
        numbers = {str(keys[i - 1]): key for i, key in enumerate(keys) if isinstance(key, int) and i}
        seen: dict[str, int] = {}
        section: list[str] = []
        best: tuple[int, int] = (0, 0)
        for number, line in enumerate(self.text.splitlines(), start=1):
            if header := re.match(r"\s*\[(\[?)\s*([^\]]+?)\s*\]\]?", line):
                section = [part.strip().strip("\"'") for part in header.group(2).split(".")]
                if header.group(1):
                    seen[section[-1]] = seen.get(section[-1], -1) + 1
                path, names = section, []
            elif assignment := re.match(r"\s*([\w.\-\"']+)\s*=", line):
                path = section + assignment.group(1).replace('"', "").split(".")
                names = re.findall(r"[\w\-]+", line)
            else:
                continue
            if any(name in section and seen.get(name, which) != which for name, which in numbers.items()):
                continue
            matched = sum(1 for key in wanted if key in path or key in names)
            last = bool(wanted) and (wanted[-1] in path or wanted[-1] in names)
            if matched and (score := 2 * matched + last) > best[0]:
                best = (score, number)
        return f"{self.path}:{best[1]}" if best[1] else self.path


def from_mapping(cls: type[T], raw: Mapping[str, Any], *, where: Source | None = None, keys: Keys = ()) -> T:
    """A frozen dataclass from plain values, its fields' types checked.

    Raises:
        ConfigError: a key that the dataclass does not have, one that is missing, or a value of another type.
    """
    where = where or Source("<config>", "")
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # pyright: ignore[reportArgumentType]
    for key in raw:
        if key not in fields:
            section = f"[{dotted(keys)}]" if keys else "the top level"
            raise ConfigError(
                f"{where.at(*keys, key)}: {section} has no key {key!r}.{did_you_mean(key, fields)} "
                f"Known: {', '.join(fields)}."
            )
    values: dict[str, Any] = {}
    for name, f in fields.items():
        if name in raw:
            values[name] = _convert(hints[name], raw[name], where, (*keys, name))
        elif f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{where.at(*keys)}: {dotted((*keys, name))} is missing")
    return cls(**values)


def _convert(hint: Any, value: Any, where: Source, keys: Keys) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return from_mapping(typing.cast("type[Any]", hint), value, where=where, keys=keys)
    if origin is tuple and isinstance(value, (list, tuple)):
        inner = arguments[:1] * len(value) if arguments[-1:] == (Ellipsis,) else arguments
        if len(inner) == len(value):
            return tuple(_convert(i, v, where, (*keys, n)) for n, (i, v) in enumerate(zip(inner, value, strict=True)))
    elif origin is dict and isinstance(value, Mapping):
        if arguments[1] is not Any:
            return {k: _convert(arguments[1], v, where, (*keys, str(k))) for k, v in value.items()}
        return dict(value)
    elif hint == Spec and isinstance(value, str):
        return {"use": value}
    elif origin is Literal:
        if value in arguments:
            return value
        raise ConfigError(
            f"{where.at(*keys)}: {dotted(keys)} must be one of {', '.join(map(repr, arguments))}, got {value!r}."
            f"{did_you_mean(str(value), map(str, arguments))}"
        )
    elif origin in (typing.Union, types.UnionType):
        if any(type(value) is a for a in arguments):
            return value
    elif hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    elif isinstance(hint, type) and type(value) is hint:
        return value
    if hint == Spec or origin is dict:
        wanted = "a table"
    else:
        wanted = getattr(hint, "__name__", str(hint)) if origin is None else str(hint).replace("typing.", "")
    raise ConfigError(f"{where.at(*keys)}: {dotted(keys)} must be {wanted}, got {value!r}")
