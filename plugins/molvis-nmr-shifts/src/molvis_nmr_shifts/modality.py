"""The modality of chemical shift lists."""

from __future__ import annotations

from molvis_core import Modality
from molvis_core.records import ShiftList

NMR_SHIFTS = Modality(
    name="nmr-shifts",
    record=ShiftList,
    axis="chemical shift",
    axis_unit="ppm",
    descending=True,
    summary="Lists of chemical shifts: 13C, 1H and others, and cross peaks of two axes.",
)
