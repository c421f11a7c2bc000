"""`bce`: each pair matches or not, judged by its distance alone."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from molvis_core.errors import ConfigError
from molvis_losses.distances import Distance, distance, halves, one_of, squared_distance
from molvis_losses.parts import Temperature, check_positive_weight, check_shapes, matching


class BinaryCrossEntropy(nn.Module):
    """A pair matches with probability sigmoid((threshold - distance) / temperature); cross entropy against its label.

    An epoch of it sees every positive.

    Args:
        distance: `cosine` (1 - cosine), `l2` (Euclidean), or `learned` (a linear layer over the squared differences,
            which starts as the squared Euclidean distance).
        label: `match` for 0 or 1, `tanimoto` for the target as it is.
        threshold: the distance at which a match is as likely as not; learned.
        temperature: how sharply the probability falls with distance; learned.
        balance: like and unlike pairs have the same weight in all.
        positive_weight: how many times the weight of an unlike pair, or of all of them where balanced, a like one has.
        dim: length of the vectors; needed where the distance is learned.
    """

    every_positive: ClassVar[bool] = True

    def __init__(
        self,
        distance: Distance = "cosine",
        label: Literal["match", "tanimoto"] = "match",
        threshold: float = 0.5,
        temperature: float = 0.1,
        balance: bool = True,
        dim: int | None = None,
        positive_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.positive_weight = check_positive_weight("bce", positive_weight)
        one_of("bce", "distance", distance, ("cosine", "l2", "learned"))
        one_of("bce", "label", label, ("match", "tanimoto"))
        if not math.isfinite(threshold):
            raise ConfigError(f"bce: threshold must be a finite number, got {threshold}")
        if distance == "learned" and (dim is None or dim < 1):
            raise ConfigError(f"bce: distance = 'learned' needs dim, the length of the encoders' vectors; found {dim}")
        self.distance, self.label, self.balance = distance, label, balance
        self.threshold = nn.Parameter(torch.tensor(float(threshold)))
        self.temperature = Temperature(temperature, learned=True)
        self.scale = nn.Parameter(torch.ones(dim)) if distance == "learned" and dim is not None else None

    def forward(
        self,
        query: Float[Tensor, "n dim"],
        reference: Float[Tensor, "m dim"],
        target: Float[Tensor, "n m"],
        weight: Float[Tensor, "n m"],
    ) -> Float[Tensor, ""]:
        """Mean cross entropy of the pairs that count, in nats."""
        check_shapes(query, reference, target, weight)
        if self.scale is not None:
            if len(self.scale) != query.shape[1]:
                raise ConfigError(f"bce: dim = {len(self.scale)}, but the vectors have {query.shape[1]} dimensions")
            far = squared_distance(query, reference, self.scale)
        else:
            far = distance(query, reference, "l2" if self.distance == "l2" else "cosine")
        logits = (self.threshold - far) / self.temperature()
        label = matching(target).float() if self.label == "match" else target.float().clamp(0, 1)
        return halves(
            functional.softplus(-logits),
            functional.softplus(logits),
            label,
            weight.float(),
            balance=self.balance,
            positive_weight=self.positive_weight,
        )
