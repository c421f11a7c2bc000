"""JSON and TOML of strangers: whatever is wrong with them is one exception each.

Python's parsers end with a `RecursionError` where brackets are nested by the thousand, and with a plain `ValueError`
where a number has thousands of digits. Whole numbers that no double holds are refused here, so that nobody who works
with them has to.
"""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Mapping
from typing import Any

_DEEP = "nested too deeply"
_DIGITS = 300
"""Of a whole number: a double holds 308."""


def load_json(text: str) -> Any:
    """What a text of JSON holds.

    Raises:
        json.JSONDecodeError: it is none.
    """
    try:
        return json.loads(text, parse_int=_whole)
    except json.JSONDecodeError:
        raise
    except (RecursionError, ValueError) as error:
        raise json.JSONDecodeError(_DEEP if isinstance(error, RecursionError) else str(error), text, 0) from error


def load_toml(text: str) -> dict[str, Any]:
    """What a text of TOML holds.

    Raises:
        tomllib.TOMLDecodeError: it is none.
    """
    try:
        return _bounded(tomllib.loads(text))
    except tomllib.TOMLDecodeError:
        raise
    except (RecursionError, ValueError) as error:
        raise tomllib.TOMLDecodeError(_DEEP if isinstance(error, RecursionError) else str(error)) from error


def _whole(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise ValueError(f"a whole number of {len(digits):,} digits")
    return int(digits)


def _bounded(value: Any) -> Any:
    """The same value, if every whole number in it has at most so many digits."""
    if isinstance(value, dict):
        for inner in value.values():
            _bounded(inner)
    elif isinstance(value, list):
        for inner in value:
            _bounded(inner)
    elif isinstance(value, int) and value.bit_length() > _DIGITS / 0.30103:
        raise ValueError(f"a whole number of more than {_DIGITS} digits")
    return value


def write_toml(values: Mapping[str, Any]) -> str:
    """Plain values as TOML text."""
    import tomli_w

    return tomli_w.dumps(dict(values))


def to_plain(value: Any) -> Any:
    """Dataclasses and tuples to dicts and lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {k: to_plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(v) for v in value]
    return value
