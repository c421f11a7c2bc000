"""Losses that rank: each row of scores picks its match, or a distribution, among its columns."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from molvis_core.errors import ConfigError, did_you_mean
from molvis_losses.parts import (
    Temperature,
    hidden,
    weighted_mean,
)


def pick_the_match(
    logits: Float[Tensor, "n m"], match: Bool[Tensor, "n m"], weight: Float[Tensor, "n m"]
) -> Float[Tensor, ""]:
    """Minus the log-probability that each row picks its match among what does not match; mean over rows with a match.

    A row with several matches is the mean over them, each against the non-matching alone: a second spectrum of the same
    compound in the batch is then no false negative.
    """
    others = torch.logsumexp(hidden(logits, weight * ~match), dim=1, keepdim=True) if logits.shape[1] else logits
    positive = weight * match
    return over_rows(functional.softplus(others - logits), positive)


def pick_a_distribution(
    logits: Float[Tensor, "n m"], wanted: Float[Tensor, "n m"], weight: Float[Tensor, "n m"], row: Float[Tensor, " n"]
) -> Float[Tensor, ""]:
    """Cross entropy of the softmax of each row against a distribution; mean over rows with their weights."""
    seen = hidden(logits, weight)
    # Hidden pairs have the target probability 0, and 0 times their logit of -1e30 is 0, but only if it is not infinite.
    log_probability = seen - torch.logsumexp(seen, dim=1, keepdim=True) if logits.shape[1] else seen
    return weighted_mean(-(wanted * log_probability).sum(dim=1), row)


def over_rows(cost: Float[Tensor, "n m"], positive: Float[Tensor, "n m"]) -> Float[Tensor, ""]:
    """Mean cost of each row's positives, then the mean over rows that have one."""
    if positive.shape[1] == 0:
        return cost.sum()
    total = positive.sum(dim=1)
    counted = torch.where(positive > 0, cost, torch.zeros_like(cost))
    mean = (counted * positive).sum(dim=1) / torch.where(total > 0, total, torch.ones_like(total))
    return weighted_mean(mean, positive.amax(dim=1))


def normalised(values: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
    """Rows that sum to 1; rows of zeros stay."""
    total = values.sum(dim=1, keepdim=True)
    return values / torch.where(total > 0, total, torch.ones_like(total))


def best(values: Float[Tensor, "n m"]) -> Float[Tensor, " n"]:
    """The largest value of each row; 0 where there are no columns."""
    return values.amax(dim=1) if values.shape[1] else values.sum(dim=1)


class Directions(nn.Module):
    """Temperature and direction, which all the losses that rank share."""

    def __init__(self, temperature: float, learned: bool, directions: str) -> None:
        super().__init__()
        known = ("both", "query", "reference")
        if directions not in known:
            raise ConfigError(
                f"directions = {directions!r}.{did_you_mean(directions, known)} It is one of {', '.join(known)}."
            )
        self.temperature = Temperature(temperature, learned=learned)
        self.directions = directions

    def mean(self, over_queries: Tensor | None, over_references: Tensor | None) -> Tensor:
        """Mean of the directions that count."""
        found = [value for value in (over_queries, over_references) if value is not None]
        return torch.stack(found).mean()

    @property
    def forth(self) -> bool:
        """Whether queries pick references."""
        return self.directions != "reference"

    @property
    def back(self) -> bool:
        """Whether references pick queries."""
        return self.directions != "query"
