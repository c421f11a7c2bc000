"""Readers of network models and their data."""

from __future__ import annotations

from molvis_flux.formats.fluxml import read_fluxml
from molvis_flux.formats.freeflux import read_freeflux
from molvis_flux.formats.inca import read_inca
from molvis_flux.formats.mfapy import read_mfapy
from molvis_flux.formats.native import read_native
from molvis_flux.formats.openflux import read_openflux
from molvis_flux.formats.opening import read_study
from molvis_flux.formats.openmebius import read_openmebius
from molvis_flux.formats.sbml import read_sbml
from molvis_flux.formats.tables import MeasuredMID, read_measured

__all__ = [
    "MeasuredMID",
    "read_fluxml",
    "read_freeflux",
    "read_inca",
    "read_measured",
    "read_mfapy",
    "read_native",
    "read_openflux",
    "read_openmebius",
    "read_sbml",
    "read_study",
]
