"""Operations that `molvis serve` offers: what each takes, in plain data, and the function that does it.

A component of kind `route` is a `Route`. It knows nothing of HTTP: files and options come checked in a `Request`, plain
values and files go back. So one function serves a call that waits for its answer and a job in the background, and a
plugin needs no web framework.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from molvis_core.errors import ConfigError, did_you_mean
from molvis_core.progress import StageProgress

__all__ = ["Option", "Request", "Route", "Setup", "Upload", "checked_options", "json_schema"]

Kind = Literal["number", "integer", "text", "texts", "flag", "peaks"]


@dataclass(frozen=True, slots=True)
class Upload:
    """Files that an operation takes.

    Attributes:
        name: of the field that they are sent in.
        help: what they are, a sentence.
        suffixes: endings that it takes, lowercase with the dot; any where empty. `.gz` behind one is taken, too.
        least, most: how many.
    """

    name: str
    help: str
    suffixes: tuple[str, ...] = ()
    least: int = 0
    most: int = 1


@dataclass(frozen=True, slots=True)
class Option:
    """An option of an operation.

    Attributes:
        name: its key.
        help: what it is, a sentence, with the unit.
        kind: `number`, `integer`, `text`, `texts` (a list), `flag`, or `peaks`: pairs of m/z and intensity.
        default: where it is not given; None where nothing stands in for it.
        choices: the values that a text may have; any where empty.
        among: of a text whose values are the names of what the service has opened: the key in `describe()` under which
            those are listed, such as `libraries`.
        least, most: of a number, its bounds; of a text, texts or peaks, `most` is the longest.
        required: whether it must be given.
    """

    name: str
    help: str
    kind: Kind = "text"
    default: Any = None
    choices: tuple[str, ...] = ()
    among: str = ""
    least: float | None = None
    most: float | None = None
    required: bool = False


@dataclass(frozen=True, slots=True)
class Setup:
    """What a service was started with.

    Attributes:
        bundle: name or folder of the bundle.
        libraries: folders and files of structures, or addresses, the first with priority.
        references: folders of reference spectra beside the bundle's own.
        device: where networks run; None for the usual one.
    """

    bundle: str = "massbank"
    libraries: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    device: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One request, checked.

    Attributes:
        options: every option of the operation: what was given, or its default.
        files: by field, in the order of sending; their names are harmless, and end as the user's own did.
        folder: to write files into, which the user may fetch. A job that was interrupted finds what it had written.
        opened: what the route's `opens` returned.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    folder: Path = Path()
    opened: Any = None


@dataclass(frozen=True, slots=True)
class Route:
    """An operation: `molvis_core.interfaces.Route` as plain data.

    Attributes:
        run: does it. It returns JSON values, writes files into `request.folder`, calls its second argument with what is
            done, what there is in all, and what is being done, and raises a `MolvisError` for what is the user's fault.
        files: that it takes.
        options: that it takes.
        opens: opens what all requests share, such as a bundle and a library, once in each process; what it returns has
            `describe()`, plain values for people. Routes that name the same function share what it returns.
        quick: a request takes less than some seconds, and may be waited for.
        resumes: run again in the same folder after an interruption, it goes on.
    """

    run: Callable[[Request, StageProgress], Mapping[str, Any]]
    files: tuple[Upload, ...] = ()
    options: tuple[Option, ...] = ()
    opens: Callable[[Setup], Any] | None = None
    quick: bool = False
    resumes: bool = False


_LONGEST = {"text": 10_000, "texts": 1_000, "peaks": 100_000}
"""Characters of a text, texts of a list, and peaks of a spectrum, where the option does not say."""


def checked_options(route: Route, given: Mapping[str, Any], opened: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Every option of a route: what is given, of the right kind and within bounds, or the default.

    Args:
        route: whose options.
        given: their values by name.
        opened: what `describe()` tells of what is opened, where that is known: names of it are checked then.

    Raises:
        ConfigError: an option that the route does not have or that is missing, or a value that it does not take.
    """
    known = {option.name: _named(option, opened or {}) for option in route.options}
    for name in given:
        if name not in known:
            raise ConfigError(
                f"no option {name!r}.{did_you_mean(str(name), known)} There are: {', '.join(known) or 'none'}."
            )
    if missing := [name for name, option in known.items() if option.required and given.get(name) is None]:
        raise ConfigError(f"option {missing[0]!r} is needed: {known[missing[0]].help}")
    return {
        name: option.default if given.get(name) is None else _checked(option, given[name])
        for name, option in known.items()
    }


def _named(option: Option, opened: Mapping[str, Any]) -> Option:
    """An option with the names that it may have as choices, where they are known."""
    names = tuple(str(one["name"]) for one in opened.get(option.among, ())) if option.among else ()
    return replace(option, choices=names) if names else option


def _checked(option: Option, value: Any) -> Any:
    check = {
        "number": _number, "integer": _number, "text": _text, "texts": _texts, "flag": _flag, "peaks": _peaks,
    }[option.kind]  # fmt: skip
    return check(option, value)


def _refuse(option: Option, expected: str, value: Any) -> ConfigError:
    return ConfigError(f"option {option.name!r} must be {expected}, got {str(value)[:80]!r}")


def _number(option: Option, value: Any) -> float | int:
    whole = option.kind == "integer"
    expected = "a whole number" if whole else "a number"
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _refuse(option, expected, value)
    if whole and value != int(value):
        raise _refuse(option, expected, value)
    for bound, fine, word in (
        (option.least, option.least is None or value >= option.least, "at least"),
        (option.most, option.most is None or value <= option.most, "at most"),
    ):
        if not fine:
            raise _refuse(option, f"{expected}, {word} {bound:g}", value)
    return int(value) if whole else float(value)


def _text(option: Option, value: Any) -> str:
    if not isinstance(value, str):
        raise _refuse(option, "a text", value)
    most = int(option.most or _LONGEST["text"])
    if len(value) > most:
        raise _refuse(option, f"a text of at most {most} characters, not {len(value)}", value)
    if "\x00" in value:
        raise _refuse(option, "a text without zero bytes", value)
    if option.choices and value not in option.choices:
        raise ConfigError(
            f"option {option.name!r} must be one of {', '.join(option.choices)}, got {value[:80]!r}."
            f"{did_you_mean(value[:80], option.choices)}"
        )
    return value


def _texts(option: Option, value: Any) -> list[str]:
    most = int(option.most or _LONGEST["texts"])
    if not isinstance(value, list):
        raise _refuse(option, "a list of texts", value)
    if len(value) > most:
        raise _refuse(option, f"a list of at most {most} texts, not {len(value)}", value)
    one = Option(option.name, option.help, "text", choices=option.choices)
    return [_text(one, item) for item in value]


def _flag(option: Option, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _refuse(option, "true or false", value)
    return value


def _peaks(option: Option, value: Any) -> list[tuple[float, float]]:
    most = int(option.most or _LONGEST["peaks"])
    if not isinstance(value, list) or len(value) > most:
        raise _refuse(option, f"a list of at most {most} pairs [m/z, intensity]", value)
    out: list[tuple[float, float]] = []
    for number, pair in enumerate(value, start=1):
        fine = (
            isinstance(pair, list | tuple)
            and len(pair) == 2
            and all(isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x) for x in pair)
        )
        if not fine or pair[0] <= 0 or pair[1] < 0:
            raise _refuse(option, f"pairs of a positive m/z and an intensity; number {number} is not", pair)
        out.append((float(pair[0]), float(pair[1])))
    return out


_TYPES: dict[str, dict[str, Any]] = {
    "number": {"type": "number"},
    "integer": {"type": "integer"},
    "text": {"type": "string"},
    "texts": {"type": "array", "items": {"type": "string"}},
    "flag": {"type": "boolean"},
    "peaks": {
        "type": "array",
        "items": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
    },
}


def json_schema(route: Route, opened: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The options of a route as JSON Schema; `opened` as for `checked_options`."""
    properties: dict[str, Any] = {}
    for option in (_named(one, opened or {}) for one in route.options):
        described: dict[str, Any] = {**_TYPES[option.kind], "description": option.help}
        if option.kind in ("number", "integer"):
            bounds = {"minimum": option.least, "maximum": option.most}
            described |= {key: bound for key, bound in bounds.items() if bound is not None}
        else:
            key = {"text": "maxLength", "texts": "maxItems", "peaks": "maxItems"}.get(option.kind)
            described |= {key: int(option.most or _LONGEST[option.kind])} if key else {}
        if option.choices:
            (described if option.kind == "text" else described["items"])["enum"] = list(option.choices)
        if option.default is not None:
            described["default"] = option.default
        properties[option.name] = described
    required = [option.name for option in route.options if option.required]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
