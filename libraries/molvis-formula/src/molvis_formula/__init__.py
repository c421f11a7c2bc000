"""Sum formulas of unknown ions: which a mass allows, and which the isotope pattern and the fragments speak for."""

from __future__ import annotations

from molvis_core.lazy import lazy_names

__getattr__, __dir__ = lazy_names(__name__)
