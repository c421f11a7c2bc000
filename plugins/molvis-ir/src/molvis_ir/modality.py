"""The modality of infrared spectra."""

from __future__ import annotations

from molvis_core import Modality
from molvis_core.records import Trace

IR = Modality(
    name="ir",
    record=Trace,
    axis="wavenumber",
    axis_unit="cm^-1",
    signal="absorbance",
    descending=True,
    summary="Infrared spectra: absorbance along the wavenumber.",
)
