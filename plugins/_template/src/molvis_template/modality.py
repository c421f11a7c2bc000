"""What is measured, and in which units. Numbers in a record are always in these; only readers convert."""

from __future__ import annotations

from molvis_core.modality import Modality
from molvis_core.records import Trace

MODALITY = Modality(
    name="template",
    record=Trace,
    axis="wavenumber",
    axis_unit="cm^-1",
    signal="absorbance",
    summary="Absorbance along a wavenumber axis.",
)
