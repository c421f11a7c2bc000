"""Records to unit vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from molvis_core.errors import ConfigError
from molvis_core.records import Trace
from molvis_nn.batches import TensorBatch


@dataclass(frozen=True, eq=False)
class GridBatch(TensorBatch):
    """Traces on one grid."""

    y: Float[Tensor, "n t"]


class TraceCNN(nn.Module):
    """Convolutions along a trace that is interpolated onto a fixed grid.

    Args:
        dim: length of the vectors.
        width: channels of the convolutions.
        low, high: ends of the grid, in the modality's axis unit; outside its axis a trace counts as 0.
        points: of the grid.
    """

    accepts = Trace

    def __init__(
        self, dim: int = 128, width: int = 32, low: float = 550.0, high: float = 3846.0, points: int = 825
    ) -> None:
        super().__init__()
        if not low < high or points < 16:
            raise ConfigError(f"template-cnn: low = {low}, high = {high}, points = {points} make no grid")
        self.dim = dim
        self.grid = np.linspace(low, high, points)
        self.layers = nn.Sequential(
            nn.Conv1d(1, width, 9, stride=4, padding=4),
            nn.GroupNorm(1, width),
            nn.GELU(),
            nn.Conv1d(width, 2 * width, 9, stride=4, padding=4),
            nn.GroupNorm(1, 2 * width),
            nn.GELU(),
            nn.AdaptiveAvgPool1d(8),
            nn.Flatten(),
            nn.Linear(16 * width, dim),
        )

    def collate(self, records: Sequence[Trace]) -> GridBatch:
        """Interpolate and scale to unit norm: instruments disagree on the height of a whole spectrum."""
        rows = np.stack([np.interp(self.grid, r.x, r.y, left=0, right=0) for r in records]).astype(np.float32)
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        return GridBatch(torch.from_numpy(rows))

    def forward(self, batch: GridBatch) -> Float[Tensor, "n dim"]:
        """Unit vectors."""
        return nn.functional.normalize(self.layers(batch.y[:, None]), dim=-1)
