"""One of several in a file: `library.json#ENTRY`."""

from __future__ import annotations

from pathlib import Path


def split_entry(path: Path | str, entry: str | None = None) -> tuple[Path, str | None]:
    """A file and which of its entries is meant. What stands behind `#` counts where no file is called so.

    Args:
        path: perhaps with an entry behind it.
        entry: where it is given apart.
    """
    text = str(path)
    if entry is None and "#" in text and not Path(text).exists():
        text, _, entry = text.partition("#")
    return Path(text), entry
