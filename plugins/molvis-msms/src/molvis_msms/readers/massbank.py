"""MassBank records."""

from __future__ import annotations

from pathlib import Path

from molvis_core.errors import ReadError
from molvis_files import spectra
from molvis_msms.fields import measurement
from molvis_msms.readers.items import Items


def read_massbank(path: Path) -> Items:
    """MassBank records, one or several in a file, each ending with `//`.

    Raises:
        ReadError: the file cannot be read, or holds no record.
    """
    for one in spectra.massbank_records(path):
        yield (
            one
            if isinstance(one, ReadError)
            else measurement(path, one.fields, one.peaks, line=one.line, number=one.number)
        )


def is_massbank(path: Path) -> bool:
    """Whether a text file holds MassBank records of other spectra than those of electron ionization."""
    return spectra.is_massbank(path)
