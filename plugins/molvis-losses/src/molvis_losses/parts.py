"""What the losses share: scores in full precision, a temperature, masked sums that are zero where nothing is known."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from molvis_core.errors import ConfigError

MATCH = 0.999
"""From this target on a pair counts as the same compound; below it a target is a degree of likeness."""

_HIDDEN = -1e30  # like minus infinity in a softmax, but its gradient is 0 where that of minus infinity is NaN


def check_shapes(query: Tensor, reference: Tensor, target: Tensor, weight: Tensor) -> None:
    """Raise `ValueError` where vectors, target and weight do not fit: broadcasting would hide the mistake."""
    shape = (len(query), len(reference))
    if query.ndim != 2 or reference.ndim != 2 or query.shape[1] != reference.shape[1]:
        raise ValueError(f"query {tuple(query.shape)} and reference {tuple(reference.shape)} do not share a dimension")
    if tuple(target.shape) != shape or tuple(weight.shape) != shape:
        raise ValueError(
            f"target {tuple(target.shape)} and weight {tuple(weight.shape)} must both be {shape}: queries by references"
        )


def scores(query: Float[Tensor, "n dim"], reference: Float[Tensor, "m dim"]) -> Float[Tensor, "n m"]:
    """Dot products of every query with every reference, in full precision, also under autocast.

    Sixteen bits resolve a cosine near 1 to 0.004: at a temperature of 0.05 that is noise of a tenth in each logit.
    """
    with torch.autocast(query.device.type, enabled=False):
        return query.float() @ reference.float().T


def matching(target: Float[Tensor, "n m"]) -> Bool[Tensor, "n m"]:
    """Which pairs are the same compound."""
    return target >= MATCH


def weighted_mean(values: Float[Tensor, "*any"], weight: Float[Tensor, "*any"]) -> Float[Tensor, ""]:
    """Mean with weights; exactly 0, with gradients of 0, where all weights are 0."""
    total = weight.sum()
    # Rows that do not count may hold anything, and 0 times infinity is NaN.
    counted = torch.where(weight > 0, values, torch.zeros_like(values))
    return (counted * weight).sum() / torch.where(total > 0, total, torch.ones_like(total))


def hidden(logits: Float[Tensor, "n m"], weight: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
    """Logits of a softmax in which a pair of weight w counts as w pairs, and one of weight 0 as none."""
    seen = weight > 0
    return torch.where(seen, logits + torch.where(seen, weight, torch.ones_like(weight)).log(), _HIDDEN)


def check_positive_weight(loss: str, value: float) -> float:
    """The weight of positives, or a `ConfigError` where it is not a positive number."""
    if not (math.isfinite(value) and value > 0):
        raise ConfigError(f"{loss}: positive_weight must be a positive number, got {value}")
    return value


class Temperature(nn.Module):
    """A positive number that divides scores; a parameter when learned, kept within bounds.

    Args:
        value: to start from.
        learned: whether training changes it.
        low, high: bounds.
    """

    def __init__(self, value: float, *, learned: bool, low: float = 0.01, high: float = 10.0) -> None:
        super().__init__()
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"temperature must be a positive number, got {value}")
        if learned and not low <= value <= high:
            raise ConfigError(f"temperature = {value}; a learned one starts between {low} and {high}")
        self.low, self.high = math.log(low), math.log(high)
        log = torch.tensor(math.log(value))
        self.log: Tensor
        if learned:
            self.log = nn.Parameter(log)
        else:
            self.register_buffer("log", log, persistent=False)

    def forward(self) -> Float[Tensor, ""]:
        """The number."""
        if isinstance(self.log, nn.Parameter) and self.training:
            # In place: clamping the value used would cut the gradient, and a parameter that strayed would stay outside.
            with torch.no_grad():
                self.log.clamp_(self.low, self.high)
        return self.log.exp()
