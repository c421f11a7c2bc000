"""Which pairs of a batch match, from their structures."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from molvis_core.collate import TensorBatch
from molvis_core.records import Structure


@dataclass(frozen=True, eq=False)
class KeyBatch(TensorBatch):
    """One integer for each compound: equal numbers, equal compounds."""

    key: Int64[Tensor, " n"]


class SameCompound:
    """1 where the first blocks of the InChIKeys agree, else 0. Every pair counts."""

    def collate(self, structures: Sequence[Structure]) -> KeyBatch:
        """Hash the first blocks of the InChIKeys to 64 bits."""
        keys = [s.inchikey14.encode() for s in structures]
        # Two checksums of one key make collisions a matter of 2^-64; Python's own hash differs between workers.
        return KeyBatch(torch.tensor([zlib.crc32(k) << 31 ^ zlib.adler32(k) for k in keys], dtype=torch.int64))

    def __call__(self, query: KeyBatch, reference: KeyBatch) -> tuple[Float[Tensor, "n m"], Float[Tensor, "n m"]]:
        """Target and weight of every pair."""
        target = (query.key[:, None] == reference.key[None, :]).float()
        return target, torch.ones_like(target)
