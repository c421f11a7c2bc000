"""How far the wavenumber scale of a spectrum is off, learned from spectra that were moved on purpose."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from molvis_ir.augmentation import FARTHEST, move
from molvis_ir.preparation import channels

SHARE = 0.1
"""Weight of the error of the estimate, in points, beside the loss of the pairs."""


class Alignment(nn.Module):
    """Moves spectra to where they would be on a scale that is right.

    No band lies exactly at one place in all compounds, but all bands of a spectrum together tell how far its scale is
    off: of gas-phase spectra that were moved by 20 cm^-1 half are put right to within 3. It learns from how far
    training has moved each spectrum, by a loss of its own, which it adds to the gradients that pass back through it.

    Args:
        points: of a spectrum.
        width: of the hidden layers.
        dropout: behind the first.
    """

    def __init__(self, points: int, width: int = 256, dropout: float = 0.2) -> None:
        super().__init__()
        self.estimate = nn.Sequential(
            nn.Flatten(), nn.Linear(4 * points, width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, width),
            nn.GELU(), nn.Linear(width, 1),
        )  # fmt: skip

    def forward(
        self, spectra: Float[Tensor, "n t"], known: Bool[Tensor, "n t"], moved: Float[Tensor, " n"] | None = None
    ) -> tuple[Float[Tensor, "n t"], Bool[Tensor, "n t"]]:
        """The spectra on the right scale, of unit norm.

        Args:
            spectra: of unit norm.
            known: which of their points were measured.
            moved: by how many points they were moved, in training.
        """
        seen = channels(spectra, known)
        slope = nn.functional.pad(spectra[:, 2:] - spectra[:, :-2], (1, 1))
        slope = nn.functional.normalize(slope * known, dim=1) * known.sum(1, keepdim=True).sqrt()
        found = 2 * self.estimate(torch.cat([seen, slope[:, None]], dim=1))[:, 0]
        by = found.clamp(-FARTHEST, FARTHEST)
        out, left = move(spectra, known, -(by if moved is None else by.detach()))
        out = nn.functional.normalize(out * left, dim=1)
        if moved is not None:
            out = _Beside.apply(out, SHARE * nn.functional.smooth_l1_loss(found, moved))
        return out, left


class _Beside(torch.autograd.Function):
    """Hands the first argument on, and gives the second, a loss of its own, a gradient of 1."""

    @staticmethod
    def forward(ctx: Any, through: Tensor, loss: Tensor) -> Tensor:
        ctx.like = loss
        return through.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        return gradients[0], torch.ones_like(ctx.like)
