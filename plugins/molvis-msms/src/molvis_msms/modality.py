"""The modality of tandem mass spectra."""

from __future__ import annotations

from molvis import Modality
from molvis.records import PeakList

MSMS = Modality(
    name="msms",
    record=PeakList,
    axis="m/z",
    axis_unit="",
    signal="intensity",
    summary="Tandem mass spectra: peaks of an isolated ion's fragments.",
)
