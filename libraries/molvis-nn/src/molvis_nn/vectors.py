"""Rows of unit length, and directions whose sign does not hang on the processor."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

__all__ = ["unit_rows", "upright"]


def unit_rows(rows: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    """Each row over its length; rows of zeros stay."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def upright(directions: Float[np.ndarray, "k m"]) -> Float[np.ndarray, "k m"]:
    """Directions, one to a column, whose largest entries are positive: the sign of an eigenvector is arbitrary."""
    largest = np.abs(directions).argmax(axis=0)
    return directions * np.sign(directions[largest, np.arange(directions.shape[1])])
