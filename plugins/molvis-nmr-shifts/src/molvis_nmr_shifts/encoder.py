"""`shift-set`: a list of shifts to a unit vector, whatever its order and its length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from molvis_core.errors import ConfigError
from molvis_core.records import ShiftList
from molvis_nmr_shifts.matching.lines import attached_hydrogens
from molvis_nn.batches import TensorBatch, pad
from molvis_nn.layers import residual_blocks, sinusoids, wavelengths

NUCLEI = ("13C", "1H", "19F", "31P", "15N")
_SPANS = (200.0, 10.0, 200.0, 200.0, 300.0, 200.0)
"""In ppm: what shifts of each nucleus, and of any other, are divided by."""
_ATTACHED = 5
_JITTER = 1 / 400
"""Standard deviation of what is added to a shift in training, in spans: 0.5 ppm of 13C, 0.025 ppm of 1H."""


@dataclass(frozen=True, eq=False)
class ShiftBatch(TensorBatch):
    """Lists of signals.

    Attributes:
        shifts: on both axes, in spans of their nuclei; the second is 0 where there is one axis.
        nuclei: of each list, of the first axis.
        crossed: whether a list has two axes.
        attached: hydrogens on the carbon of each signal, plus 1; 0 where that is not stated.
        mask: where there is a signal.
    """

    shifts: Float[Tensor, "n p 2"]
    nuclei: Int64[Tensor, " n"]
    crossed: Int64[Tensor, " n"]
    attached: Int64[Tensor, "n p"]
    mask: Bool[Tensor, "n p"]


class ShiftSet(nn.Module):
    """Waves of each shift through a network, pooled by attention and by the largest, and the number of signals.

    In training shifts are a little off, and signals are left out: solvents and pickers differ. Multiplicities are
    hidden half of the time, so that lists without them are understood.

    Args:
        dim: length of the vectors.
        width: of the network.
        blocks: residual blocks before and after pooling.
        waves: sines and cosines for each shift.
        dropout: in the network.
        signal_dropout: share of the signals that are left out in training.
    """

    accepts = ShiftList

    def __init__(
        self,
        dim: int = 512,
        width: int = 256,
        blocks: int = 2,
        waves: int = 24,
        dropout: float = 0.1,
        signal_dropout: float = 0.05,
    ) -> None:
        super().__init__()
        for name, value in (("dim", dim), ("width", width), ("waves", waves)):
            if value < 2:
                raise ConfigError(f"shift-set: {name} must be a whole number of at least 2, got {value}")
        if blocks < 0 or not 0 <= dropout < 1 or not 0 <= signal_dropout < 1:
            raise ConfigError(
                "shift-set: blocks must be at least 0, dropout and signal_dropout from 0 to below 1, got "
                f"{blocks}, {dropout} and {signal_dropout}"
            )
        self.dim, self.signal_dropout = dim, signal_dropout
        # From twice the span to a hundredth of it: 2 ppm of 13C, 0.1 ppm of 1H.
        self.register_buffer("waves", wavelengths(2.0, 0.01, waves), persistent=False)
        self.enter = nn.Linear(4 * waves, width)
        self.nucleus = nn.Embedding(len(NUCLEI) + 1, width)
        self.cross = nn.Embedding(2, width)
        self.attached = nn.Embedding(_ATTACHED, width)
        self.each = residual_blocks(width, blocks, dropout)
        self.attend = nn.Linear(width, 4)
        self.join = nn.Linear(5 * width + 1, width)
        self.blocks = residual_blocks(width, blocks, dropout)
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, dim)

    def collate(self, records: Sequence[ShiftList]) -> ShiftBatch:
        """Shifts in spans of their nuclei."""
        places = [NUCLEI.index(r.nucleus) if r.nucleus in NUCLEI else len(NUCLEI) for r in records]
        rows = [_axes(r, _SPANS[place]) for r, place in zip(records, places, strict=True)]
        shifts, mask = pad(rows)
        attached, _ = pad([np.minimum(attached_hydrogens(r) + 1, _ATTACHED - 1) for r in records])
        crossed = [int(r.partners is not None) for r in records]
        return ShiftBatch(shifts, torch.tensor(places), torch.tensor(crossed), attached, mask)

    def forward(self, batch: ShiftBatch) -> Float[Tensor, "n dim"]:
        """Unit vectors."""
        shifts, mask, attached = batch.shifts, batch.mask, batch.attached
        if self.training:
            shifts = shifts + _JITTER * torch.randn_like(shifts) * (shifts != 0)
            kept = mask & (torch.rand(mask.shape, device=mask.device) >= self.signal_dropout)
            # A list is never left without signals.
            mask = torch.where(kept.any(dim=1, keepdim=True), kept, mask)
            shown = torch.rand(len(mask), 1, device=mask.device) < 0.5
            attached = attached * shown
        waves = sinusoids(shifts, self.get_buffer("waves")).flatten(2)
        x = self.enter(waves.to(self.enter.weight.dtype)) + self.attached(attached)
        x = self.each(x + (self.nucleus(batch.nuclei) + self.cross(batch.crossed))[:, None])
        hidden = ~mask[..., None]
        share = torch.softmax(self.attend(x).masked_fill(hidden, -1e9), dim=1) * mask[..., None]
        pooled = torch.einsum("nph,npw->nhw", share, x).flatten(1)
        largest = x.masked_fill(hidden, -1e4).amax(dim=1)
        count = mask.sum(dim=1, keepdim=True).to(x.dtype)
        joined = self.join(torch.cat([pooled, largest, torch.log1p(count)], dim=1))
        return nn.functional.normalize(self.out(self.norm(self.blocks(joined))), dim=-1)


def _axes(record: ShiftList, span: float) -> np.ndarray:
    second = np.zeros(len(record)) if record.partners is None else record.partners / _SPANS[1]
    return np.stack([record.shifts / span, second], axis=1).astype(np.float32)
