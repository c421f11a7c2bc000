"""What the encoders of infrared spectra share: one frame, several networks.

All take a spectrum on the reference design's grid as two channels, absorbance and its square root, and change it in
training as another instrument might have. They differ in the network between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from molvis_core.errors import ConfigError
from molvis_core.records import Trace
from molvis_ir.preparation import HIGH, LOW, STEP, augment, channels, prepare
from molvis_nn.batches import TensorBatch

CHANNELS = 2


@dataclass(frozen=True, eq=False)
class TraceBatch(TensorBatch):
    """Spectra on a grid.

    Attributes:
        values: absorbance, each row of Euclidean norm 1.
    """

    values: Float[Tensor, "n t"]


class TraceEncoder(nn.Module):
    """What the encoders share: the grid, the augmentation, and the way to a unit vector.

    A network maps "n 2 t" to "n features"; the encoders below hand theirs in. Two layers come behind those that end in
    feature maps, a single one behind a network that mixes its features itself.
    """

    accepts = Trace

    def __init__(
        self,
        network: nn.Module,
        features: int,
        dim: int,
        dropout: float,
        augmentation: float,
        where: str,
        *,
        deep: bool = True,
    ) -> None:
        super().__init__()
        if dim < 1 or augmentation < 0 or not 0 <= dropout < 1:
            raise ConfigError(
                f"{where}: dim must be positive, dropout from 0 to below 1 and augmentation at least 0, got {dim}, "
                f"{dropout} and {augmentation}"
            )
        self.dim, self.augmentation = dim, augmentation
        self.network = network
        before = [nn.Dropout(dropout), nn.Linear(features, dim), nn.GELU(), nn.LayerNorm(dim), nn.Dropout(dropout)]
        self.head = nn.Sequential(
            nn.LayerNorm(features), *(before if deep else []), nn.Linear(dim if deep else features, dim)
        )

    def collate(self, records: Sequence[Trace]) -> TraceBatch:
        """Spectra on the grid.

        Raises:
            molvis_core.errors.RecordError: a spectrum that is zero on the grid, or covers too little of it.
        """
        return TraceBatch(torch.from_numpy(prepare(records, LOW, HIGH, STEP)))

    def forward(self, batch: TraceBatch) -> Float[Tensor, "n dim"]:
        """Unit vectors."""
        spectra = batch.values
        if self.training:
            spectra = augment(spectra, self.augmentation)
            spectra = nn.functional.normalize(spectra, dim=1)
        out = self.head(self.network(channels(spectra)))
        return nn.functional.normalize(out.float(), dim=-1)
