"""The modality of electron ionization mass spectra."""

from __future__ import annotations

from molvis_core import Modality
from molvis_core.records import EiSpectrum

EI = Modality(
    name="ei",
    record=EiSpectrum,
    axis="m/z",
    axis_unit="",
    signal="intensity",
    summary="Electron ionization mass spectra, as gas chromatography gives them, with the retention index.",
)
