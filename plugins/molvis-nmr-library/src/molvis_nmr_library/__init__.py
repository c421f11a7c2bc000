"""Spin systems of metabolites. Everything here is a path to a file of them."""

from __future__ import annotations

from pathlib import Path

from molvis_core.lazy import lazy_names

_HERE = Path(__file__).parent

METABOLITES = _HERE / "metabolites.json"
URINE = _HERE / "urine.json"
SERUM = _HERE / "serum.json"
MEDIUM = _HERE / "medium.json"
AMINO_ACIDS = _HERE / "amino-acids.json"

__getattr__, __dir__ = lazy_names(__name__)
