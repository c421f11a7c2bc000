"""Plain values, as TOML has them, to frozen dataclasses: the annotations of the fields are the schema."""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Iterator, Mapping
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
        best: tuple[int, int] = (0, 0)
        for line in self._lines():
            if any(name in line.section and line.seen.get(name, which) != which for name, which in numbers.items()):
                continue
            matched = sum(1 for key in wanted if line.holds(key))
            last = bool(wanted) and line.holds(wanted[-1])
            if matched and (score := 2 * matched + last) > best[0]:
                best = (score, line.number)
        return f"{self.path}:{best[1]}" if best[1] else self.path

    def _lines(self) -> Iterator[_Line]:
        """The headers of tables and the assignments."""
        seen: dict[str, int] = {}
        section: list[str] = []
        for number, line in enumerate(self.text.splitlines(), start=1):
            if header := re.match(r"\s*\[(\[?)\s*([^\]]+?)\s*\]\]?", line):
                section = [part.strip().strip("\"'") for part in header.group(2).split(".")]
                if header.group(1):
                    seen[section[-1]] = seen.get(section[-1], -1) + 1
                yield _Line(number, section, section, [], seen)
            elif assignment := re.match(r"\s*([\w.\-\"']+)\s*=", line):
                path = section + assignment.group(1).replace('"', "").split(".")
                yield _Line(number, section, path, re.findall(r"[\w\-]+", line), seen)


@dataclass(frozen=True)
class _Line:
    """A line that names keys.

    Attributes:
        number: counted from 1.
        section: the table that it is in.
        path: keys of the table or the value that it names.
        names: words in it.
        seen: how many tables of each array were there before.
    """

    number: int
    section: list[str]
    path: list[str]
    names: list[str]
    seen: Mapping[str, int]

    def holds(self, key: str) -> bool:
        """Whether it names a key."""
        return key in self.path or key in self.names


def from_mapping(cls: type[T], raw: Mapping[str, Any], *, where: Source | None = None, keys: Keys = ()) -> T:
    """A frozen dataclass from plain values, its fields' types checked.

    Raises:
        ConfigError: a key that the dataclass does not have, one that is missing, or a value of another type.
    """
    where = where or Source("<config>", "")
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # ty: ignore[invalid-argument-type]
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


_MISFIT = object()
"""Stands for a value of another type than its field's."""


def _convert(hint: Any, value: Any, where: Source, keys: Keys) -> Any:
    """A value as its field's type has it."""
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return from_mapping(typing.cast("type[Any]", hint), value, where=where, keys=keys)
    origin = typing.get_origin(hint)
    if origin is tuple and isinstance(value, (list, tuple)):
        found = _convert_array(hint, value, where, keys)
    elif origin is dict and isinstance(value, Mapping):
        found = _convert_table(hint, value, where, keys)
    elif origin is Literal:
        found = _convert_choice(hint, value, where, keys)
    else:
        found = _convert_plain(hint, value)
    if found is _MISFIT:
        raise ConfigError(f"{where.at(*keys)}: {dotted(keys)} must be {_kind(hint)}, got {value!r}")
    return found


def _convert_array(hint: Any, value: list[Any] | tuple[Any, ...], where: Source, keys: Keys) -> Any:
    """A tuple whose members have the types of a hint; `_MISFIT` where there are more or fewer."""
    arguments = typing.get_args(hint)
    inner = arguments[:1] * len(value) if arguments[-1:] == (Ellipsis,) else arguments
    if len(inner) != len(value):
        return _MISFIT
    return tuple(_convert(i, v, where, (*keys, n)) for n, (i, v) in enumerate(zip(inner, value, strict=True)))


def _convert_table(hint: Any, value: Mapping[Any, Any], where: Source, keys: Keys) -> dict[Any, Any]:
    """A dictionary whose values have the type of a hint."""
    inner = typing.get_args(hint)[1]
    if inner is Any:
        return dict(value)
    return {k: _convert(inner, v, where, (*keys, str(k))) for k, v in value.items()}


def _convert_choice(hint: Any, value: Any, where: Source, keys: Keys) -> Any:
    """One of the values of a `Literal`."""
    choices = typing.get_args(hint)
    if value in choices:
        return value
    raise ConfigError(
        f"{where.at(*keys)}: {dotted(keys)} must be one of {', '.join(map(repr, choices))}, got {value!r}."
        f"{did_you_mean(str(value), map(str, choices))}"
    )


def _convert_plain(hint: Any, value: Any) -> Any:
    """A string, number or flag, a component named without options, or `_MISFIT`."""
    if hint == Spec and isinstance(value, str):
        return {"use": value}
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return value if any(type(value) is a for a in typing.get_args(hint)) else _MISFIT
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    return value if isinstance(hint, type) and type(value) is hint else _MISFIT


def _kind(hint: Any) -> str:
    """What a type is called in an error."""
    origin = typing.get_origin(hint)
    if hint == Spec or origin is dict:
        return "a table"
    return getattr(hint, "__name__", str(hint)) if origin is None else str(hint).replace("typing.", "")
