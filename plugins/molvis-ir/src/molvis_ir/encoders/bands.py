"""`ir-bands`: the spectrum itself as the vector."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from molvis_core.errors import ConfigError
from molvis_core.records import Trace
from molvis_ir.encoders.frame import Front, TraceBatch
from molvis_ir.preparation import grid


class IrBands(nn.Module):
    """The spectrum itself as the vector: centred, and every point weighed.

    It leaves the work to the structure encoder, which has to predict the spectrum. What that gets wrong differs from
    what encoders of spectra get wrong, so that it is worth most joined with one of them. An average spectrum and a
    spread are gathered in training. A robust one takes points that were not measured for average ones.

    Args:
        power: of the spread that points are divided by: 0 weighs them as measured, 1 gives all the same spread.
        augmentation: strength of the changes in training; 0 for none.
        robust: whether baselines are taken away, gaps are known as such, and the wavenumber scale is put right.
    """

    accepts = Trace

    def __init__(self, power: float = 0.5, augmentation: float = 1.0, robust: bool = False) -> None:
        super().__init__()
        if not 0 <= power <= 1:
            raise ConfigError(f"ir-bands: power must be from 0 to 1, got {power}")
        self.dim = SHOWN * len(grid())
        self.power = power
        self.front = Front(augmentation, robust, "ir-bands")
        self.gathered = nn.BatchNorm1d(self.dim, momentum=0.05, affine=False)
        self.gain = nn.Parameter(torch.zeros(self.dim))

    def collate(self, records: Sequence[Trace]) -> TraceBatch:
        """Spectra on the grid.

        Raises:
            molvis_core.errors.RecordError: a spectrum that is zero on the grid, or covers too little of it.
        """
        return self.front.collate(records)

    def forward(self, batch: TraceBatch) -> Float[Tensor, "n dim"]:
        """Unit vectors."""
        seen = self.front(batch)
        points = seen[:, :SHOWN].flatten(1)
        mean, variance = self.gathered.running_mean, self.gathered.running_var
        assert mean is not None
        assert variance is not None
        if self.front.robust:
            points = torch.where(seen[:, SHOWN:].bool().expand(-1, SHOWN, -1).flatten(1), points, mean)
        if self.training:
            self.gathered(points)
        out = (points - mean) / (variance + _FLOOR) ** (self.power / 2) * self.gain.exp()
        return nn.functional.normalize(out.float(), dim=-1)


SHOWN = 2
"""Channels that are part of the vector: absorbance and its square root."""
_FLOOR = 1e-3  # of the variance, so that points where nothing ever absorbs are not blown up
