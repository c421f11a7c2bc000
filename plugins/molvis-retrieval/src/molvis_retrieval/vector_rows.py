"""Vectors of structures as rows of bytes, each with a checksum of its own.

A row is 8 bytes of checksum, 4 of a scale, 4 of nothing and the numbers: float16, or int8, to be multiplied by the
scale.
Whoever reads a row, one of a billion from an object store or a million one after another from a disk, sees whether it
is what was written there, without reading anything else.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64, UInt8, UInt64

__all__ = ["Kind", "RowFormat"]

Kind = Literal["int8", "float16"]
_WORD = 8
_HEAD = 16
_GOLDEN = 0x9E3779B97F4A7C15


@dataclass(frozen=True, slots=True)
class RowFormat:
    """How the vectors of an encoder are written.

    Attributes:
        kind: `float16`, or `int8` with a scale for each row: half the bytes, and cosines that are off by a few
            thousandths.
        dim: numbers of a vector.
    """

    kind: Kind
    dim: int

    @property
    def dtype(self) -> np.dtype:
        """Of a row."""
        one = np.dtype(np.int8 if self.kind == "int8" else "<f2")
        padded = -(-self.dim * one.itemsize // _WORD) * _WORD // one.itemsize
        return np.dtype([("check", "<u8"), ("scale", "<f4"), ("empty", "<u4"), ("values", one, (padded,))])

    @property
    def width(self) -> int:
        """Bytes of a row."""
        return self.dtype.itemsize

    def encode(self, vectors: Float[np.ndarray, "n dim"], partition: int) -> bytes:
        """The rows of a partition, in their order."""
        rows = np.zeros(len(vectors), dtype=self.dtype)
        values = np.asarray(vectors, dtype=np.float32)
        if self.kind == "int8":
            most = np.abs(values).max(axis=1, initial=0.0)
            rows["scale"] = np.where(most > 0, most / np.float32(127), np.float32(1))
            rows["values"][:, : self.dim] = np.rint(values / rows["scale"][:, None])
        else:
            rows["scale"] = 1
            rows["values"][:, : self.dim] = values
        rows["check"] = self._checks(rows.view(np.uint8), np.arange(len(rows)), partition)
        return rows.tobytes()

    def decode(self, data: UInt8[np.ndarray, ...]) -> Float32[np.ndarray, "n dim"]:
        """The vectors of rows."""
        rows = self._rows(data)
        values = rows["values"][:, : self.dim].astype(np.float32)
        if self.kind == "int8":
            values *= rows["scale"][:, None]
        return values

    def intact(
        self, data: UInt8[np.ndarray, ...], numbers: Int64[np.ndarray, " n"], partition: int
    ) -> Bool[np.ndarray, " n"]:
        """Which rows are those that were written under these numbers of a partition."""
        return self._rows(data)["check"] == self._checks(data, numbers, partition)

    def _rows(self, data: UInt8[np.ndarray, ...]) -> np.ndarray:
        return data.reshape(-1).view(self.dtype)

    def _checks(
        self, data: UInt8[np.ndarray, ...], numbers: Int64[np.ndarray, " n"], partition: int
    ) -> UInt64[np.ndarray, " n"]:
        """Sums of the 64-bit words of rows times odd numbers, and of where the row is, modulo 2^64.

        Any change of one word changes the sum, and of several but for one in 2^64. A row of zeros, as a disk gives back
        what it has lost, has another checksum than 0.
        """
        words = data.reshape(-1).view("<u8").reshape(-1, self.width // _WORD)
        place = numbers.astype(np.uint64) * np.uint64(_GOLDEN) + np.uint64((partition + 1) * 0x2545F4914F6CDD1D % 2**64)
        return words[:, 1:] @ _odd(self.width // _WORD - 1) + (place | np.uint64(1))


@functools.cache
def _odd(count: int) -> UInt64[np.ndarray, " n"]:
    """Odd 64-bit numbers, as splitmix64 makes them (doi:10.1145/2660193.2660195)."""
    out = np.empty(count, dtype=np.uint64)
    for i in range(count):
        z = (i + 1) * _GOLDEN % 2**64
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        out[i] = (z ^ z >> 31) | 1
    out.flags.writeable = False
    return out
