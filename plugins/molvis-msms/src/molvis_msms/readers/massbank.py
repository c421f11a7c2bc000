"""MassBank records."""

from __future__ import annotations

from pathlib import Path

from molvis_files import spectra
from molvis_msms.fields import measurement
from molvis_msms.readers.items import Items


def read_massbank(path: Path) -> Items:
    """MassBank records, one or several in a file, each ending with `//`.

    Raises:
        ReadError: the file cannot be read, or holds no record.
    """
    return spectra.interpreted(path, spectra.massbank_records(path), measurement)


def is_massbank(path: Path) -> bool:
    """Whether a text file holds MassBank records of other spectra than those of electron ionization."""
    return spectra.is_massbank(path)
