"""The modality of tandem mass spectra."""

from __future__ import annotations

from molvis_core import Modality
from molvis_core.records import PeakList

MSMS = Modality(
    name="msms",
    record=PeakList,
    axis="m/z",
    axis_unit="",
    signal="intensity",
    summary="Tandem mass spectra: peaks of an isolated ion's fragments.",
)
