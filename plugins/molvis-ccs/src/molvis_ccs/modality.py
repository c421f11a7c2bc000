"""The modality of collision cross sections."""

from __future__ import annotations

from molvis_core import Modality
from molvis_core.records import Value

CCS = Modality(
    name="ccs",
    record=Value,
    signal="collision cross section",
    axis_unit="",
    summary="Collision cross sections of ions in a drift gas, in A^2.",
)
