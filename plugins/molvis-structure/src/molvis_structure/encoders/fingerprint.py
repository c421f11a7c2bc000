"""`fingerprint`: a structure as the sum of what each of its substructures means."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from molvis_core.errors import ConfigError
from molvis_core.records import Structure
from molvis_files.kept import Kept
from molvis_nn.batches import TensorBatch
from molvis_nn.layers import residual_blocks
from molvis_structure.chemistry.descriptors import DESCRIPTORS, ELEMENTS, check_descriptors, features
from molvis_structure.chemistry.fingerprints import length
from molvis_structure.featurising import Featurising


@dataclass(frozen=True, eq=False)
class FingerprintBatch(TensorBatch):
    """Fingerprints packed eight bits to a byte, and numbers.

    Attributes:
        packed: fingerprints; unpacked on the device.
        numbers: logarithms of element counts and descriptors.
    """

    packed: UInt8[Tensor, "n bytes"]
    numbers: Float[Tensor, "n q"]


@functools.cache
def _store(
    kinds: tuple[str, ...], bits: int, descriptors: tuple[str, ...], most: int
) -> Kept[tuple[np.ndarray, np.ndarray]]:
    """Features by SMILES, one store for all encoders that ask for the same: joined ones share the work."""
    return Kept(functools.partial(features, kinds=kinds, bits=bits, descriptors=descriptors), most)


class FingerprintEncoder(Featurising[tuple[np.ndarray, np.ndarray]]):
    """Structures to unit vectors from fingerprints, element counts and descriptors.

    Args:
        dim: length of the vectors.
        width: of the residual network.
        blocks: residual blocks.
        fingerprints: kinds, joined end to end.
        bits: length of each.
        descriptors: numbers beside the element counts.
        dropout: in the network.
        bit_dropout: share of the bits hidden in training.
    """

    accepts = Structure
    most_kept = 600_000

    def __init__(
        self,
        dim: int = 512,
        width: int = 512,
        blocks: int = 2,
        fingerprints: Sequence[str] = ("morgan2", "morgan3", "rdkit5", "atompair", "maccs"),
        bits: int = 2048,
        descriptors: Sequence[str] = DESCRIPTORS,
        dropout: float = 0.2,
        bit_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if not fingerprints:
            raise ConfigError("fingerprint: 'fingerprints' is empty; name at least one kind")
        if not 0 <= bit_dropout < 1:
            raise ConfigError(f"fingerprint: bit_dropout must be from 0 to below 1, got {bit_dropout}")
        check_descriptors(descriptors)
        self.dim, self.kinds, self.bits, self.descriptors = dim, tuple(fingerprints), bits, tuple(descriptors)
        self.count = sum(length(kind, bits) for kind in self.kinds)
        self.bit_dropout = bit_dropout
        self.table = nn.Embedding(self.count, width)
        nn.init.normal_(self.table.weight, std=0.01)
        self.numbers = nn.Linear(len(ELEMENTS) + len(self.descriptors), width)
        self.blocks = residual_blocks(width, blocks, dropout)
        self.norm, self.dropout, self.out = nn.LayerNorm(width), nn.Dropout(dropout), nn.Linear(width, dim)
        self._kept = _store(self.kinds, bits, self.descriptors, self.most_kept)
        self._kept("C")  # a misspelt fingerprint raises here, not in a worker

    def collate(self, records: Sequence[Structure]) -> FingerprintBatch:
        """Features of structures; those prepared before are looked up.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses a SMILES.
        """
        made = [self._kept(s.smiles) for s in records]
        bits = [m[0] for m in made] or [np.empty(0, np.uint8)]
        numbers = [m[1] for m in made] or [np.empty(0, np.float32)]
        shape = len(made), (self.count + 7) // 8
        return FingerprintBatch(
            torch.from_numpy(np.concatenate(bits).reshape(shape)),
            torch.from_numpy(np.concatenate(numbers).reshape(len(made), len(ELEMENTS) + len(self.descriptors))),
        )

    def forward(self, batch: FingerprintBatch) -> Float[Tensor, "n dim"]:
        """Unit vectors."""
        bits = _unpack(batch.packed, self.count)
        if self.training and self.bit_dropout:
            bits = bits & (torch.rand(bits.shape, device=bits.device) >= self.bit_dropout)
        # A molecule sets one bit in thirty: summing the rows of those beats a product with mostly zeros.
        index = bits.nonzero()[:, 1]
        ends = torch.cat([bits.new_zeros(1, dtype=torch.long), bits.sum(1).cumsum(0)])
        summed = nn.functional.embedding_bag(index, self.table.weight, ends, mode="sum", include_last_offset=True)
        x = nn.functional.gelu(summed + self.numbers(batch.numbers))
        x = self.out(self.norm(self.blocks(self.dropout(x))))
        return nn.functional.normalize(x.float(), dim=-1)


def _unpack(packed_bits: UInt8[Tensor, "n bytes"], count: int) -> Tensor:
    # NumPy packs the first bit into the highest place of a byte.
    shifts = torch.arange(7, -1, -1, device=packed_bits.device, dtype=torch.uint8)
    bits = (packed_bits[:, :, None] >> shifts) & 1
    return bits.flatten(1)[:, :count].bool()
