"""Substructures that molecules break into, and the peaks that they explain."""

from __future__ import annotations

from molvis_core.lazy import lazy_names

__getattr__, __dir__ = lazy_names(__name__)
