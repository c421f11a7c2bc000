"""`ei-unit`: spectra at unit masses to unit vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from molvis_core.errors import ConfigError
from molvis_core.records import EiSpectrum
from molvis_ei.preparation import MASSES, unit_spectrum
from molvis_nn.batches import TensorBatch
from molvis_nn.layers import residual_blocks


@dataclass(frozen=True, eq=False)
class UnitBatch(TensorBatch):
    """Spectra at unit masses.

    Attributes:
        heights: square roots of the heights at each mass, of the largest 1.
    """

    heights: Float[Tensor, "n mass"]


class EiUnit(nn.Module):
    """Heights at unit masses through a residual network.

    In training some peaks are left out, and the others are a little higher or lower: instruments differ in how they
    pass heavy ions, and libraries in where they cut spectra off.

    Args:
        dim: length of the vectors.
        width: of the residual network.
        blocks: residual blocks.
        dropout: in the network.
        peak_dropout: share of the peaks that are left out in training.
        jitter: by what factor, up or down, all heights of light against heavy ions change in training.
    """

    accepts = EiSpectrum

    def __init__(
        self,
        dim: int = 512,
        width: int = 512,
        blocks: int = 2,
        dropout: float = 0.3,
        peak_dropout: float = 0.2,
        jitter: float = 0.3,
    ) -> None:
        super().__init__()
        for name, value in (("dim", dim), ("width", width)):
            if value < 1:
                raise ConfigError(f"ei-unit: {name} must be a positive whole number, got {value}")
        if blocks < 0 or not 0 <= dropout < 1 or not 0 <= peak_dropout < 1 or jitter < 0:
            raise ConfigError(
                "ei-unit: blocks and jitter must be at least 0, dropout and peak_dropout from 0 to below 1, got "
                f"{blocks}, {jitter}, {dropout} and {peak_dropout}"
            )
        self.dim, self.peak_dropout, self.jitter = dim, peak_dropout, jitter
        self.enter = nn.Linear(MASSES, width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = residual_blocks(width, blocks, dropout)
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, dim)

    def collate(self, records: Sequence[EiSpectrum]) -> UnitBatch:
        """Square roots of the heights at unit masses."""
        rows = np.array([unit_spectrum(record) for record in records], dtype=np.float32).reshape(-1, MASSES)
        return UnitBatch(torch.from_numpy(np.sqrt(rows)))

    def forward(self, batch: UnitBatch) -> Float[Tensor, "n dim"]:
        """Unit vectors."""
        heights = batch.heights
        if self.training:
            keep = torch.rand_like(heights) >= self.peak_dropout
            slope = self.jitter * (2 * torch.rand(len(heights), 1, device=heights.device) - 1)
            along = torch.linspace(-1, 1, MASSES, device=heights.device)
            heights = heights * keep * torch.exp(slope * along)
        hidden = self.dropout(torch.relu(self.enter(heights)))
        return nn.functional.normalize(self.out(self.norm(self.blocks(hidden))), dim=-1)
