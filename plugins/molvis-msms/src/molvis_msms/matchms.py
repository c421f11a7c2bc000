"""Spectra of matchms, there and back. The way there needs `pip install molvis-msms[matchms]`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from molvis_core.errors import PluginError, ReadError
from molvis_core.records import Measurement, PeakList
from molvis_msms.fields import measurement

if TYPE_CHECKING:
    from matchms import Spectrum


def from_matchms(spectrum: Spectrum) -> Measurement:
    """A spectrum of matchms with what its metadata contain about ion, compound and origin, ready to be identified.

    Args:
        spectrum: with the names of metadata that matchms harmonises to, or those of any reader of ours.

    Raises:
        ReadError: it has no peaks or no precursor m/z, is a survey spectrum, or contradicts itself.
    """
    fields = {str(key).lower(): str(value) for key, value in spectrum.metadata.items() if value is not None}
    peaks = list(zip(spectrum.peaks.mz.tolist(), spectrum.peaks.intensities.tolist(), strict=True))
    found = measurement(Path("matchms spectrum"), fields, peaks, line=None, number=1)
    if isinstance(found, ReadError):
        raise found
    file = fields.get("file_name")
    return replace(found, origin=replace(found.origin, source_file=file)) if file else found


def to_matchms(item: Measurement | PeakList) -> Spectrum:
    """A spectrum for matchms, with its ion, its compound and its origin as metadata.

    Args:
        item: a measurement of a mass spectrum, or a bare one.

    Raises:
        PluginError: matchms is not installed.
        TypeError: the measurement is of another kind.
    """
    try:
        from matchms import Spectrum
    except ImportError as error:
        raise PluginError("matchms is not installed; install it with: pip install 'molvis-msms[matchms]'") from error
    whole = item if isinstance(item, Measurement) else Measurement(item, None, "msms")
    spectrum = whole.record
    if not isinstance(spectrum, PeakList):
        raise TypeError(f"only mass spectra can be converted, got a {type(spectrum).__name__}")
    metadata = {key: value for key, value in _metadata(whole, spectrum).items() if value is not None}
    return Spectrum(spectrum.mz.copy(), spectrum.intensity.astype(np.float64), metadata)


def _metadata(item: Measurement, spectrum: PeakList) -> dict[str, Any]:
    """By the names that matchms uses; its retention times are in seconds."""
    energy, time = spectrum.collision_energy, item.origin.rt_min
    return {
        "compound_name": item.name,
        "spectrum_id": spectrum.identifier,
        "precursor_mz": spectrum.precursor_mz,
        "adduct": spectrum.adduct,
        "charge": spectrum.charge,
        "ionmode": spectrum.ionmode,
        "collision_energy": None if energy is None else f"{energy:g} eV",
        "instrument_type": spectrum.instrument_type,
        "ms_level": None if spectrum.ms_level is None else str(spectrum.ms_level),
        "smiles": item.structure.smiles if item.structure else None,
        "inchikey": item.structure.inchikey if item.structure else None,
        "formula": item.structure.formula if item.structure else None,
        "feature_id": item.origin.feature_id,
        "scans": item.origin.scans,
        "retention_time": None if time is None else 60 * time,
        "file_name": item.origin.source_file,
    }
