"""Feature lists of other programs, read into the same features, and ours, written."""

from __future__ import annotations

from molvis_core.lazy import lazy_names

__getattr__, __dir__ = lazy_names(__name__)
