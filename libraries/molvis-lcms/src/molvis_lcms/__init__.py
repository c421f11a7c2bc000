"""Runs of LC-MS/MS: their scans, and the features that they hold."""

from __future__ import annotations

from molvis_core.lazy import lazy_names

__getattr__, __dir__ = lazy_names(__name__)
