"""The modality of mass isotopomer distributions."""

from __future__ import annotations

from molvis_core import Modality
from molvis_core.records import Distribution

MID = Modality(
    name="mid",
    record=Distribution,
    axis="mass isotopomer",
    signal="fraction",
    summary="Mass isotopomer distributions: the fractions M+0, M+1, ... of a fragment.",
)
