"""The Tanimoto target."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from molvis_core.errors import ConfigError
from molvis_core.records import Structure
from molvis_files.kept import Kept
from molvis_nn.batches import TensorBatch
from molvis_structure.chemistry.fingerprints import length, packed

_MOST_KEPT = 200_000


@dataclass(frozen=True, eq=False)
class BitBatch(TensorBatch):
    """Fingerprints, a byte for each bit: they are compared as a matrix product."""

    bits: UInt8[Tensor, "n bits"]


class Tanimoto:
    """Tanimoto similarity of every pair, in [0, 1]. Every pair counts.

    Args:
        fingerprint: `rdkit` (the report's path fingerprint), `morgan2` (the digit is the radius), `atompair`, ...
        bits: its length.
    """

    def __init__(self, fingerprint: str = "rdkit", bits: int = 2048) -> None:
        if bits < 1:
            raise ConfigError(f"tanimoto: bits must be a positive number, got {bits}")
        self.fingerprint, self.bits = fingerprint, bits
        self._kept = Kept(functools.partial(packed, kinds=(fingerprint,), bits=bits), _MOST_KEPT)
        self._kept("C")  # a misspelt kind raises when the target is made, not at the first batch

    def collate(self, structures: Sequence[Structure]) -> BitBatch:
        """Fingerprints of structures; each is made once."""
        width = length(self.fingerprint, self.bits)
        rows = [self._kept(s.smiles) for s in structures]
        packed = np.stack(rows) if rows else np.empty((0, (width + 7) // 8), dtype=np.uint8)
        return BitBatch(torch.from_numpy(np.unpackbits(packed, axis=1, count=width)))

    def __call__(self, query: BitBatch, reference: BitBatch) -> tuple[Float[Tensor, "n m"], Float[Tensor, "n m"]]:
        """Target and weight of every pair."""
        with torch.autocast(query.bits.device.type, enabled=False):
            a, b = query.bits.float(), reference.bits.float()
            shared = a @ b.T
            union = a.sum(1)[:, None] + b.sum(1)[None, :] - shared
            target = torch.where(union > 0, shared / union.clamp_min(1), 0.0)
        return target, torch.ones_like(target)
