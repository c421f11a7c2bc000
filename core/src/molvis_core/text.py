"""Text that others wrote, as it may stand in a message, on a terminal, and in a cell of a table."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from typing import Any

LONGEST_MESSAGE = 2000
"""Characters of an error's message. A line of a damaged file can have millions."""

# Controls of the terminal (C0, DEL, C1), lines and paragraphs of their own, turns of the direction of writing, and
# halves of characters, which cannot be printed at all.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str, *, lines: bool = False) -> str:
    r"""Text whose control characters are shown, as `\x1b`, instead of obeyed by the terminal.

    Args:
        text: from a file or a person.
        lines: leave line breaks and tabs as they are.
    """
    if text.isascii() and text.isprintable():
        return text

    def shown(found: re.Match[str]) -> str:
        character = found.group()
        return character if lines and character in "\n\t" else repr(character)[1:-1]

    return _UNSEEN.sub(shown, text)


def shortened(text: str, most: int = LONGEST_MESSAGE) -> str:
    """Text of at most about so many characters: of a longer one the middle is left out, and marked as such."""
    if len(text) <= most:
        return text
    head, tail = most * 2 // 3, most // 4
    return f"{text[:head]} ... ({len(text) - head - tail:,} characters left out) ... {text[-tail:]}"


def quoted(text: object, most: int = 60) -> str:
    """What a file or a person wrote, for a message: in quotes, and cut where it is long.

    Args:
        text: as it was found.
        most: characters that are shown.
    """
    found = str(text)
    if len(found) <= most:
        return repr(found)
    return f"{found[:most] + '...'!r} ({len(found):,} characters)"


def is_count(text: str) -> bool:
    """Whether a text is a whole number below a million, in the digits that Python's `int` reads everywhere."""
    return re.fullmatch("[0-9]{1,6}", text) is not None


def count_of(text: str | None, default: int = 1) -> int:
    """How many, as a text states it in digits.

    Args:
        text: digits, or nothing.
        default: of nothing.

    Raises:
        ValueError: a million or more: nothing that files of ours count is that many, and lists of them fill the memory.
    """
    if not text:
        return default
    if not is_count(text):
        raise ValueError(f"{quoted(text, 20)} is no number below a million")
    return int(text)


def in_page(value: Any) -> Any:
    """A value that is going into a page: text as `visible` shows it, what is markup already as it is."""
    return visible(value, lines=True) if type(value) is str else value


def in_json(text: str) -> str:
    r"""JSON that a terminal can show: what it would obey is written as `\u202e`, and means the same."""
    return _UNSEEN.sub(lambda m: m.group() if m.group() in "\n\t" else f"\\u{ord(m.group()):04x}", text)


def in_cell(value: Any) -> Any:
    """A value for a cell of CSV. Text that a spreadsheet would run as a formula gets an apostrophe before it.

    Text that begins with `=`, `+`, `-`, `@`, a tab or a carriage return is a formula to spreadsheets, and can send what
    the table holds elsewhere. A number is a number and stays, `-0.5` and `+1` too.
    """
    if not isinstance(value, str) or value[:1] not in ("=", "+", "-", "@", "\t", "\r"):
        return value
    return value if _NUMBER.fullmatch(value) else f"'{value}"


def in_cells(row: Iterable[Any]) -> list[Any]:
    """A row of CSV, by `in_cell`."""
    return [in_cell(value) for value in row]


def in_shell(word: object) -> str:
    """A path or a name as one word of a command that we advise."""
    return shlex.quote(visible(str(word)))


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
