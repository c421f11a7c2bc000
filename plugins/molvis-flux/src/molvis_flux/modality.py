"""The modalities: mass isotopomer distributions, and whole studies with the network that they are of."""

from __future__ import annotations

from molvis_core import Modality
from molvis_core.records import Distribution
from molvis_flux.model.network import Study

MID = Modality(
    name="mid",
    record=Distribution,
    axis="mass isotopomer",
    signal="fraction",
    summary="Mass isotopomer distributions: the fractions M+0, M+1, ... of a fragment.",
)

FLUX_STUDY = Modality(
    name="flux-study",
    record=Study,
    summary="A network of reactions with its labelling experiments and their data.",
    measured=False,
)
