"""The modality of 1D NMR spectra."""

from __future__ import annotations

from molvis_core import Modality
from molvis_core.records import Trace

NMR = Modality(
    name="nmr",
    record=Trace,
    axis="chemical shift",
    axis_unit="ppm",
    signal="intensity",
    descending=True,
    summary="1D NMR spectra on a chemical shift axis, with the spectrometer's frequency in MHz.",
)
