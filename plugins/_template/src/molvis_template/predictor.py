"""Structures forward to a measurement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from molvis_core import Structure
from molvis_core.chemistry.formula import parse_formula
from molvis_nn.batches import TensorBatch

ELEMENTS = ("C", "H", "N", "O", "S")


@dataclass(frozen=True, eq=False)
class CountBatch(TensorBatch):
    """How many atoms of each element a structure has."""

    counts: Float[Tensor, "n e"]


class LinearBands(nn.Module):
    """Absorbance at a few wavenumbers, linear in the logarithms of the element counts.

    Args:
        wavenumbers: where to predict, in cm^-1.
    """

    accepts = Structure
    predicts = "template"

    def __init__(self, wavenumbers: Sequence[float] = (1000.0, 1700.0, 2900.0, 3400.0)) -> None:
        super().__init__()
        self.wavenumbers = tuple(wavenumbers)
        self.mean = nn.Linear(len(ELEMENTS), len(self.wavenumbers))
        self.spread = nn.Linear(len(ELEMENTS), len(self.wavenumbers))

    def collate(self, records: Sequence[Structure]) -> CountBatch:
        """Count the atoms."""
        counts = [parse_formula(record.formula) for record in records]
        rows = torch.tensor([[float(count.get(e, 0)) for e in ELEMENTS] for count in counts])
        return CountBatch(rows.reshape(-1, len(ELEMENTS)))

    def forward(self, batch: CountBatch) -> tuple[Float[Tensor, "n q"], Float[Tensor, "n q"]]:
        """Mean and standard deviation at each wavenumber."""
        x = torch.log1p(batch.counts)
        return self.mean(x), nn.functional.softplus(self.spread(x)) + 1e-3
