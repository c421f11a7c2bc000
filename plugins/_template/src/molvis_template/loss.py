"""A loss over the pairs of a batch."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from molvis_core.errors import ConfigError

MATCH = 0.999
"""From this target on, a pair is the same compound."""


class Hinge(nn.Module):
    """A match costs 1 - cosine; any other pair costs what its cosine exceeds a margin by.

    Args:
        margin: cosine below which a pair that does not match costs nothing.
    """

    def __init__(self, margin: float = 0.2) -> None:
        super().__init__()
        if not -1 <= margin < 1:
            raise ConfigError(f"template-hinge: margin must be from -1 to below 1, got {margin}")
        self.margin = margin

    def forward(
        self,
        query: Float[Tensor, "n dim"],
        reference: Float[Tensor, "m dim"],
        target: Float[Tensor, "n m"],
        weight: Float[Tensor, "n m"],
    ) -> Float[Tensor, ""]:
        """Mean over the pairs, by weight; 0 where no pair has any."""
        cosine = query.float() @ reference.float().T
        cost = torch.where(target >= MATCH, 1 - cosine, torch.relu(cosine - self.margin))
        return (cost * weight).sum() / weight.sum().clamp_min(1e-12)
