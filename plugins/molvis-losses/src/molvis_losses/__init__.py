"""Losses over the pairs of a batch."""

from __future__ import annotations

__version__ = "0.1.0"
