"""Lists of chemical shifts: readers, prediction from structures, and evidence for candidates."""

from __future__ import annotations

from molvis_core.lazy import lazy_names

__getattr__, __dir__ = lazy_names(__name__)
