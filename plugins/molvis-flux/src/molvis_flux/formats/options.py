"""Options of readers as a command line or a TOML file gives them."""

from __future__ import annotations

import inspect
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from molvis_core.errors import ReadError, did_you_mean
from molvis_flux.formats.opening import read_study, reader_named
from molvis_flux.formats.toml_source import bare_key
from molvis_flux.model.network import Study

FILES = ("status", "bounds", "data", "fluxes", "measured_fluxes", "concentrations", "atoms", "labels", "reactions")
"""Options that are files, whatever the format."""
_PIECE = r"""(?:[^."'=\s]+|"(?:[^"\\]|\\.)*"|'[^']*')"""


def open_study(
    path: str | Path, *, reader: str | None = None, options: Iterable[str] | None = None, strict: bool = True
) -> Study:
    """`read_study` with options as text, for command lines.

    Args:
        path: of the network.
        reader: name of the reader; by default the one that recognises the file.
        options: `KEY=VALUE`. A key with points is an entry of a table, `data.one=mid.txt`; a value that begins with `{`
            or `[` is a table or list of TOML, any other text, and a key that comes several times is a list.
        strict: as in `read_study`.

    Raises:
        ReadError: an option that cannot be read or that the reader has not; or see `read_study`.
    """
    return read_study(path, reader=reader, strict=strict, **_checked(Path(path), reader, parsed(options or ())))


def parsed(texts: Iterable[str]) -> dict[str, Any]:
    """The options of some `KEY=VALUE`.

    Raises:
        ReadError: a text that is none, or two that contradict each other.
    """
    found: dict[str, Any] = {}
    for text in texts:
        match = re.fullmatch(rf"\s*({_PIECE}(?:\.{_PIECE})*)\s*=(.*)", text, re.DOTALL)
        if match is None:
            raise ReadError("--option", f"{text!r} is not KEY=VALUE; write status=status.csv or data.one=mid.txt")
        *tables, key = (bare_key(piece) for piece in re.findall(_PIECE, match[1]))
        table = found
        for name in tables:
            table = table.setdefault(name, {})
            if not isinstance(table, dict):
                raise ReadError("--option", f"{text!r}: {name!r} was given as {table!r} before, which is no table")
        value = _value(match[2].strip(), text)
        if key not in table:
            table[key] = value
        elif isinstance(table[key], dict) or isinstance(value, dict):
            raise ReadError("--option", f"{text!r}: {key!r} is given twice, and is a table; give it once")
        else:
            table[key] = [*(table[key] if isinstance(table[key], list) else [table[key]]), value]
    return found


def beside(folder: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a TOML file, in which paths are relative to its folder.

    What is a file by its key is one whether it is there or not; within tables, and of tracers, only what is there.
    """

    def placed(value: Any, *, sure: bool) -> Any:
        if isinstance(value, Mapping):
            return {key: placed(item, sure=False) for key, item in value.items()}
        if isinstance(value, list):
            return [placed(item, sure=sure) for item in value]
        return folder / value if isinstance(value, str) and (sure or (folder / value).is_file()) else value

    return {
        key: placed(value, sure=key in FILES) if key in (*FILES, "tracers") else value for key, value in options.items()
    }


def _value(text: str, option: str) -> Any:
    if not text.startswith(("{", "[")):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as error:
        raise ReadError("--option", f"{option!r}: {error}; a table is written {{ one = 0.5, other = 0.5 }}") from error


def _checked(path: Path, reader: str | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options, of the types that the reader wants."""
    if not given:
        return {}
    name, read = reader_named(path, reader)
    known = list(inspect.signature(read).parameters.values())[1:]
    types = {p.name: str(p.annotation) for p in known}
    out: dict[str, Any] = {}
    for key, value in given.items():
        if key not in types:
            has = f"It has {', '.join(types)}." if types else "It has none."
            raise ReadError(
                "--option", f"the reader {name!r} of {path} has no option {key!r}. {has}{did_you_mean(key, types)}"
            )
        out[key] = _typed(key, value, types[key])
    return out


def _typed(key: str, value: Any, kind: str) -> Any:
    """A text as a number or a truth where the reader wants one."""
    if not isinstance(value, str) or "str" in kind:
        return value
    if "bool" in kind:
        if value not in ("true", "false"):
            raise ReadError("--option", f"{key}={value!r} is neither true nor false")
        return value == "true"
    if "float" in kind:
        try:
            return float(value)
        except ValueError as error:
            raise ReadError("--option", f"{key}={value!r} is no number") from error
    return value
