"""MassBank records of electron ionization spectra."""

from __future__ import annotations

from pathlib import Path

from molvis_core.errors import LeftOutError, ReadError
from molvis_ei.readers.fields import Items, find, measurement
from molvis_files import spectra


def read_massbank(path: Path) -> Items:
    """MassBank records of electron ionization, one or several in a file, each ending with `//`.

    Records of other ionization, and those of fragments of fragments, are yielded as a `LeftOutError`.

    Raises:
        ReadError: the file cannot be read, or holds no record.
    """
    for one in spectra.massbank_records(path):
        if isinstance(one, ReadError):
            yield one
            continue
        kind = one.fields.get("ac$instrument_type", "")
        record = find(one.fields, "identifier") or one.number
        if not spectra.is_electron_ionization(kind):
            yield LeftOutError(
                path, f"a record of {kind or 'no instrument type'}, not of EI", line=one.line, record=record
            )
        elif one.fields.get("ac$mass_spectrometry:ms_type", "MS").upper() != "MS":
            yield LeftOutError(path, "a spectrum of fragments of an isolated ion (MS2)", line=one.line, record=record)
        else:
            yield measurement(path, one.fields, one.peaks, line=one.line, number=one.number)


def is_ei_massbank(path: Path) -> bool:
    """Whether a text file holds MassBank records of electron ionization."""
    return spectra.is_massbank(path, ei=True)
