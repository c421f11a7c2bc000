"""Arrays that MS-Numpress compressed.

Decoded here and not by pynumpress: its compiled code ends the whole process where the data are damaged, and runs come
from strangers.

Reference: J. Teleman et al., Numerical compression schemes for proteomics mass spectrometry data, Mol. Cell. Proteomics
13 (2014) 1537, doi:10.1074/mcp.O114.037879
"""

from __future__ import annotations

import struct

import numpy as np
from jaxtyping import Float, Int64

__all__ = ["decode_linear", "decode_pic", "decode_slof"]

_NIBBLES = 8
"""Half bytes of a whole number of 32 bits."""


def decode_linear(data: bytes) -> Float[np.ndarray, " p"]:
    """Numbers that are stored as what a straight line through the two before each misses, such as m/z.

    Raises:
        ValueError: the data are damaged.
    """
    if not data:
        return np.empty(0)
    scale = _scale(data)
    if len(data) in (8, 12):
        return np.array([] if len(data) == 8 else [struct.unpack_from("<I", data, 8)[0] / scale], dtype=np.float64)
    if len(data) < 16:
        raise ValueError(f"MS-Numpress: {len(data)} bytes are no array")
    first, second = struct.unpack_from("<II", data, 8)
    misses = _integers(data[16:])
    # y[i] = 2 y[i-1] - y[i-2] + miss: the misses are second differences.
    steps = np.cumsum(np.concatenate([[second - first], misses]))
    return np.concatenate([[first], first + np.cumsum(steps)]).astype(np.float64) / scale


def decode_pic(data: bytes) -> Float[np.ndarray, " p"]:
    """Counts, stored as whole numbers.

    Raises:
        ValueError: the data are damaged.
    """
    return _integers(data).astype(np.float64)


def decode_slof(data: bytes) -> Float[np.ndarray, " p"]:
    """Intensities, stored as short logarithms.

    Raises:
        ValueError: the data are damaged.
    """
    if not data:
        return np.empty(0)
    scale = _scale(data)
    if len(data) % 2:
        raise ValueError(f"MS-Numpress: {len(data) - 8} bytes are no numbers of 16 bits")
    with np.errstate(over="ignore"):
        return np.exp(np.frombuffer(data, dtype="<u2", offset=8).astype(np.float64) / scale) - 1.0


def _scale(data: bytes) -> float:
    """The factor that the numbers were multiplied with, in the first eight bytes."""
    scale = struct.unpack(">d", data[:8])[0] if len(data) >= 8 else 0.0
    if not 1e-3 < scale < 1e30:
        raise ValueError(f"MS-Numpress: an array cannot have the scale {scale:g}")
    return scale


def _integers(data: bytes) -> Int64[np.ndarray, " k"]:
    """Whole numbers of 32 bits whose leading half bytes of 0 or, where they are negative, of 15 are only counted."""
    raw = np.frombuffer(data, dtype=np.uint8)
    halves = np.stack([raw >> 4, raw & 15], axis=1).ravel()
    heads: list[int] = []
    place, every = 0, halves.tolist()
    while place < len(every):
        head = every[place]
        if place == len(every) - 1 and head == 0:
            break  # fills the last byte
        heads.append(place)
        place += 1 + _NIBBLES - (head if head <= _NIBBLES else head - _NIBBLES)
    if place > len(every):
        raise ValueError("MS-Numpress: the last number of an array is cut off")
    where = np.array(heads, dtype=np.int64)
    head = halves[where].astype(np.int64)
    left_out = np.where(head <= _NIBBLES, head, head - _NIBBLES)
    found = np.zeros(len(where), dtype=np.int64)
    padded = np.concatenate([halves, np.zeros(_NIBBLES, dtype=np.uint8)]).astype(np.int64)
    for k in range(_NIBBLES):
        found |= np.where(k < _NIBBLES - left_out, padded[where + 1 + k], 0) << (4 * k)
    # Those that begin with fifteens have them filled in, and are negative.
    filled = np.where(head > _NIBBLES, -(np.int64(1) << (4 * (_NIBBLES - left_out))), 0)
    found |= filled
    # What has its highest bit within the half bytes that are stored is negative too.
    return np.where(found >= 1 << 31, found - (1 << 32), found)
