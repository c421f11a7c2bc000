"""How alike fingerprints of structures are. No part of it needs PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int64

__all__ = ["bits_at", "tanimoto"]


def bits_at(places: Sequence[Int64[np.ndarray, " set"]], length: int) -> Bool[np.ndarray, "n bits"]:
    """Fingerprints, from the places of the bits that are set in each."""
    out = np.zeros((len(places), length), dtype=bool)
    for row, places_of_one in zip(out, places, strict=True):
        row[places_of_one] = True
    return out


def tanimoto(a: Bool[np.ndarray, "n bits"], b: Bool[np.ndarray, "m bits"]) -> Float[np.ndarray, "n m"]:
    """Shared bits over set bits, for every pair. Two empty fingerprints score 0.

    Raises:
        ValueError: the fingerprints differ in length.

    Reference: Rogers and Tanimoto, Science 132 (1960) 1115, doi:10.1126/science.132.3434.1115
    """
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"fingerprints of {a.shape[1]} and {b.shape[1]} bits cannot be compared")
    shared = (a.astype(np.float32) @ b.astype(np.float32).T).astype(np.float64)  # whole numbers, which float32 holds
    union = a.sum(axis=1, dtype=np.float64)[:, None] + b.sum(axis=1, dtype=np.float64) - shared
    return shared / np.maximum(union, 1)
