"""Names that users send, made harmless."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["harmless"]

_RESERVED = {"con", "prn", "aux", "nul", *(f"com{n}" for n in range(10)), *(f"lpt{n}" for n in range(10))}


def harmless(name: str, most: int = 120) -> str:
    """A file name without folders, control characters, markup, or a dot in front; its ending is kept.

    >>> harmless("../../etc/passwd")
    'passwd'
    >>> harmless("<img src=x>.mgf")
    '_img src=x_.mgf'
    """
    text = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    text = "".join(c for c in text if c.isprintable())
    text = re.sub(r"[^\w.\-+=,()\[\]@ ]", "_", text).strip(" ").lstrip(".")
    # Bytes count on disk: a letter may have four.
    while len(text.encode()) > most:
        cut = max(0, len(text) - 40)
        text = text[: cut - 1] + text[cut:] if cut > 1 else text[1:]
    stem = text.split(".")[0].lower()
    return f"_{text}" if stem in _RESERVED or not text else text
