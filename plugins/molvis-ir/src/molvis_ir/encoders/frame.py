"""What the encoders of infrared spectra share: one frame, several networks.

All take a spectrum on the reference design's grid as two channels, absorbance and its square root, and change it in
training as another instrument might have. A robust one has a third channel, of which points were measured. They differ
in the network between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from molvis_core.errors import ConfigError
from molvis_core.records import Trace
from molvis_ir.augmentation import augment, distort
from molvis_ir.encoders.alignment import Alignment
from molvis_ir.preparation import HIGH, LOW, STEP, channels, grid, measured, prepare
from molvis_nn.batches import TensorBatch


@dataclass(frozen=True, eq=False)
class TraceBatch(TensorBatch):
    """Spectra on a grid.

    Attributes:
        values: absorbance, each row of Euclidean norm 1.
        known: which points were measured.
    """

    values: Float[Tensor, "n t"]
    known: Bool[Tensor, "n t"]


def channel_count(robust: bool) -> int:
    """Channels of what a network takes."""
    return 3 if robust else 2


class Front(nn.Module):
    """From records to what a network takes.

    Args:
        augmentation: strength of the changes in training; 0 for none.
        robust: whether baselines are taken away, points that were not measured are told from those without absorption,
            and the wavenumber scale is put right.
        where: name of the encoder, for messages.
    """

    def __init__(self, augmentation: float, robust: bool, where: str) -> None:
        super().__init__()
        if augmentation < 0:
            raise ConfigError(f"{where}: augmentation must be at least 0, got {augmentation}")
        self.augmentation, self.robust = augmentation, robust
        self.alignment = Alignment(len(grid())) if robust else None

    def collate(self, records: Sequence[Trace]) -> TraceBatch:
        """Spectra on the grid.

        Raises:
            molvis_core.errors.RecordError: a spectrum that is zero on the grid, or covers too little of it.
        """
        values = prepare(records, LOW, HIGH, STEP, below="asls" if self.robust else "none")
        return TraceBatch(torch.from_numpy(values), torch.from_numpy(measured(records, LOW, HIGH, STEP)))

    def forward(self, batch: TraceBatch) -> Float[Tensor, "n c t"]:
        """The channels, in training of changed spectra."""
        spectra, known = batch.values, batch.known
        if self.alignment is None:
            if self.training:
                spectra = nn.functional.normalize(augment(spectra, self.augmentation), dim=1)
            return channels(spectra)
        moved = None
        if self.training:
            spectra, known, moved = distort(spectra, known, self.augmentation)
        return channels(*self.alignment(spectra, known, moved))


class TraceEncoder(nn.Module):
    """What the encoders share: the grid, the augmentation, and the way to a unit vector.

    A network maps "n c t" to "n features"; the encoders below hand theirs in. Two layers come behind those that end in
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
        robust: bool = False,
        deep: bool = True,
    ) -> None:
        super().__init__()
        if dim < 1 or not 0 <= dropout < 1:
            raise ConfigError(f"{where}: dim must be positive and dropout from 0 to below 1, got {dim} and {dropout}")
        self.dim = dim
        self.front = Front(augmentation, robust, where)
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
        return self.front.collate(records)

    def forward(self, batch: TraceBatch) -> Float[Tensor, "n dim"]:
        """Unit vectors."""
        out = self.head(self.network(self.front(batch)))
        return nn.functional.normalize(out.float(), dim=-1)
