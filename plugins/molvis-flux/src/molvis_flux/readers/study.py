"""One function that reads them all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from molvis.errors import ReadError
from molvis.files import read_text
from molvis_flux.network import Study
from molvis_flux.readers.fluxml import read_fluxml
from molvis_flux.readers.mfapy import read_mfapy

READERS: dict[str, Callable[..., Study]] = {"fluxml": read_fluxml, "mfapy": read_mfapy}


def read_study(path: str | Path, *, format: str | None = None, **options: Any) -> Study:
    """A network model and its experiments, in any format that is known.

    Args:
        path: the file.
        format: `fluxml` or `mfapy`; by default found from what the file holds.
        options: of the reader: see `read_fluxml` and `read_mfapy`.

    Raises:
        ReadError: the file cannot be read, or is of no known format.
        TypeError: the reader has no such option.
    """
    path = Path(path)
    if format is not None and format not in READERS:
        raise ReadError(path, f"no format {format!r}; there are {', '.join(READERS)}")
    return READERS[format or recognise(path)](path, **options)


def recognise(path: Path) -> str:
    """The format of a file.

    Raises:
        ReadError: none that is known.
    """
    text = read_text(path)
    if "<fluxml" in text[:20_000]:
        return "fluxml"
    if "//Reactions" in text:
        return "mfapy"
    raise ReadError(path, f"is of no known format; give one of {', '.join(READERS)}")
