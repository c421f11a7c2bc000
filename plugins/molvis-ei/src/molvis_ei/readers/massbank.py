"""MassBank records of electron ionization spectra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from molvis_core.errors import LeftOutError, ReadError
from molvis_core.records import Measurement
from molvis_ei.readers.fields import Items, find, measurement
from molvis_files import spectra


def read_massbank(path: Path) -> Items:
    """MassBank records of electron ionization, one or several in a file, each ending with `//`.

    Records of other ionization, and those of fragments of fragments, are yielded as a `LeftOutError`.

    Raises:
        ReadError: the file cannot be read, or holds no record.
    """
    return spectra.interpreted(path, spectra.massbank_records(path), _ionized)


def _ionized(
    path: Path, fields: Mapping[str, str], peaks: Sequence[tuple[float, float]], *, line: int, number: int
) -> Measurement | ReadError:
    """A record as a measurement, or why it is left out or cannot be read."""
    kind = fields.get("ac$instrument_type", "")
    record = find(fields, "identifier") or number
    if not spectra.is_electron_ionization(kind):
        return LeftOutError(path, f"a record of {kind or 'no instrument type'}, not of EI", line=line, record=record)
    if fields.get("ac$mass_spectrometry:ms_type", "MS").upper() != "MS":
        return LeftOutError(path, "a spectrum of fragments of an isolated ion (MS2)", line=line, record=record)
    return measurement(path, fields, peaks, line=line, number=number)


def is_ei_massbank(path: Path) -> bool:
    """Whether a text file holds MassBank records of electron ionization."""
    return spectra.is_massbank(path, ei=True)
