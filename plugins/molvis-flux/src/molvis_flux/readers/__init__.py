"""Readers of network models and their data."""

from __future__ import annotations

from molvis_flux.readers.fluxml import read_fluxml
from molvis_flux.readers.mfapy import read_mfapy
from molvis_flux.readers.study import read_study

__all__ = ["read_fluxml", "read_mfapy", "read_study"]
