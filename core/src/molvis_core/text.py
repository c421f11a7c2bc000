"""Text that others wrote, as it may stand in a message, on a terminal, and in a cell of a table."""

from __future__ import annotations

import re

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
    """Text of at most about so many characters: of a longer one the middle is left out, and said to be."""
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
