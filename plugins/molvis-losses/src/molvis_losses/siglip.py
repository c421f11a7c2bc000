"""`siglip`: every pair judged alone by a sigmoid."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from molvis_losses.parts import (
    Temperature,
    check_positive_weight,
    check_shapes,
    matching,
    scores,
)


class SigLIP(nn.Module):
    """Every pair judged alone: minus log sigmoid(+-(cosine / temperature + bias)), summed over a query's pairs.

    Args:
        temperature: divides the cosines; learned. Zhai et al. start at a tenth.
        bias: added to the logits; learned. Zhai et al. start at -10, so that the many negatives cost nothing at first.
        positive_weight: how many times the weight of another pair a match has.

    Reference: Zhai, Mustafa, Kolesnikov and Beyer, ICCV 2023, doi:10.1109/ICCV51070.2023.01100
    """

    def __init__(self, temperature: float = 0.1, bias: float = -10.0, positive_weight: float = 1.0) -> None:
        super().__init__()
        self.positive_weight = check_positive_weight("siglip", positive_weight)
        self.temperature = Temperature(temperature, learned=True)
        self.bias = nn.Parameter(torch.tensor(float(bias)))

    def forward(
        self,
        query: Float[Tensor, "n dim"],
        reference: Float[Tensor, "m dim"],
        target: Float[Tensor, "n m"],
        weight: Float[Tensor, "n m"],
    ) -> Float[Tensor, ""]:
        """Nats for each query: a sum over references, a mean over queries."""
        check_shapes(query, reference, target, weight)
        logits = scores(query, reference) / self.temperature() + self.bias
        match, weight = matching(target), weight.float()
        cost = functional.softplus(torch.where(match, -logits, logits))
        if self.positive_weight != 1:
            cost = torch.where(match, self.positive_weight * cost, cost)
        queries = (weight > 0).any(dim=1).sum().clamp_min(1)
        return (torch.where(weight > 0, cost, torch.zeros_like(cost)) * weight).sum() / queries
