"""Which pairs of a batch match, from their structures."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from molvis_core.records import Structure
from molvis_nn.batches import TensorBatch

__all__ = ["KeyBatch", "SameCompound"]


@dataclass(frozen=True, eq=False)
class KeyBatch(TensorBatch):
    """One integer for each compound: equal numbers, equal compounds."""

    key: Int64[Tensor, " n"]


class SameCompound:
    """1 where the first blocks of the InChIKeys agree, else 0. Every pair counts."""

    def collate(self, structures: Sequence[Structure]) -> KeyBatch:
        """Hash the first blocks of the InChIKeys to 64 bits: among a million compounds two share one with odds of 3e-8.

        Python's own hash would differ between workers.
        """
        return KeyBatch(torch.tensor([_digest(s.inchikey14) for s in structures], dtype=torch.int64))

    def __call__(self, query: KeyBatch, reference: KeyBatch) -> tuple[Float[Tensor, "n m"], Float[Tensor, "n m"]]:
        """Target and weight of every pair."""
        target = (query.key[:, None] == reference.key[None, :]).float()
        return target, torch.ones_like(target)


def _digest(key: str) -> int:
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little", signed=True)
