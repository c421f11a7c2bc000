"""`soft-target`: cross entropy against a softmax of Tanimoto similarities."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from molvis_core.errors import ConfigError
from molvis_losses.choices import Directions, best, pick_a_distribution
from molvis_losses.parts import (
    check_shapes,
    hidden,
    matching,
    scores,
)


class SoftTarget(Directions):
    """Cross entropy of softmax(cosine / temperature) against softmax(Tanimoto / sharpness), over the batch.

    Args:
        temperature: divides the cosines.
        learned: whether the temperature is trained.
        sharpness: divides the Tanimoto similarities; the smaller, the more of the target the match itself gets.
        directions: `both`, `query` or `reference`.
    """

    def __init__(
        self,
        temperature: float = 0.07,
        learned: bool = False,
        sharpness: float = 0.1,
        directions: Literal["both", "query", "reference"] = "both",
    ) -> None:
        super().__init__(temperature, learned, directions)
        if not sharpness > 0:
            raise ConfigError(f"soft-target: sharpness must be a positive number, got {sharpness}")
        self.sharpness = sharpness

    def forward(
        self,
        query: Float[Tensor, "n dim"],
        reference: Float[Tensor, "m dim"],
        target: Float[Tensor, "n m"],
        weight: Float[Tensor, "n m"],
    ) -> Float[Tensor, ""]:
        """Nats for each choice. Rows and columns without a match are left out: their distribution would be made up."""
        check_shapes(query, reference, target, weight)
        logits = scores(query, reference) / self.temperature()
        match, weight, sharp = matching(target), weight.float(), target.float() / self.sharpness
        return self.mean(
            self._one_way(logits, match, weight, sharp) if self.forth else None,
            self._one_way(logits.T, match.T, weight.T, sharp.T) if self.back else None,
        )

    def _one_way(self, logits: Tensor, match: Tensor, weight: Tensor, sharp: Tensor) -> Tensor:
        wanted = torch.where(weight > 0, hidden(sharp, weight).softmax(dim=1), torch.zeros_like(sharp))
        return pick_a_distribution(logits, wanted, weight, best(weight * match))
