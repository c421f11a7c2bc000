"""Spectra of pyOpenMS, ready to be identified. It is not imported here: any object with its methods will do."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molvis_core.errors import ReadError
from molvis_core.records import Measurement
from molvis_msms.fields import measurement

if TYPE_CHECKING:
    from pyopenms import MSSpectrum

__all__ = ["from_pyopenms"]

_POLARITY = {"POSITIVE": "positive", "1": "positive", "NEGATIVE": "negative", "2": "negative"}
"""Names and, before pyOpenMS 3.6, numbers of `pyopenms.IonSource.Polarity`."""


def from_pyopenms(spectrum: MSSpectrum, *, adduct: str | None = None, source_file: str | None = None) -> Measurement:
    """A spectrum of pyOpenMS with its ion, its time and its scan.

    Args:
        spectrum: of MS/MS, as `MSExperiment` holds it.
        adduct: of its ion; pyOpenMS keeps none with a spectrum.
        source_file: that it was read from.

    Raises:
        ReadError: it has no peaks or no precursor, or is a survey spectrum.
    """
    mz, intensity = spectrum.get_peaks()
    fields = {key: str(value) for key, value in _fields(spectrum, adduct).items() if value not in (None, "", 0)}
    peaks = list(zip(map(float, mz), map(float, intensity), strict=True))
    found = measurement(Path("pyOpenMS spectrum"), fields, peaks, line=None, number=1)
    if isinstance(found, ReadError):
        raise found
    return replace(found, origin=replace(found.origin, source_file=source_file)) if source_file else found


def _fields(spectrum: Any, adduct: str | None) -> dict[str, Any]:
    """By the names that readers use."""
    native = _text(spectrum.getNativeID())
    scan = re.search(r"\bscan=(\d+)", native)
    polarity = spectrum.getInstrumentSettings().getPolarity()
    found: dict[str, Any] = {
        "spectrumid": native,
        "scans": scan[1] if scan else None,
        "rtinseconds": spectrum.getRT() if spectrum.getRT() >= 0 else None,
        "mslevel": spectrum.getMSLevel(),
        "ionmode": _POLARITY.get(str(getattr(polarity, "name", polarity))),
        "adduct": adduct,
    }
    for precursor in spectrum.getPrecursors()[:1]:
        found |= {"pepmass": precursor.getMZ(), "charge": precursor.getCharge()}
        if precursor.metaValueExists("collision energy"):
            found["collision_energy"] = f"{float(precursor.getMetaValue('collision energy')):g} eV"
    return found


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
