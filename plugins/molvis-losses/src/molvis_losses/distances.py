"""Distances of unit vectors, and the mean of what like and unlike pairs cost."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from molvis_core.errors import ConfigError
from molvis_losses.parts import scores, weighted_mean

Distance = Literal["cosine", "l2", "learned"]


def squared_distance(
    query: Float[Tensor, "n dim"], reference: Float[Tensor, "m dim"], scale: Float[Tensor, " dim"]
) -> Float[Tensor, "n m"]:
    """Squared differences summed with a factor for each dimension, as matrix products."""
    with torch.autocast(query.device.type, enabled=False):
        q, r = query.float(), reference.float()
        return (q.square() @ scale)[:, None] + (r.square() @ scale)[None, :] - 2 * (q * scale) @ r.T


def distance(
    query: Float[Tensor, "n dim"],
    reference: Float[Tensor, "m dim"],
    kind: Literal["cosine", "l2"],
) -> Float[Tensor, "n m"]:
    """1 - cosine, or the Euclidean distance; both 0 for equal unit vectors and 2 for opposite ones."""
    if kind == "cosine":
        return 1 - scores(query, reference)
    squared = squared_distance(query, reference, torch.ones(query.shape[1], device=query.device))
    # The root's slope is infinite at 0. The offset bounds it and shifts no distance by more than 1e-4.
    return (squared.clamp_min(0) + 1e-8).sqrt()


def halves(
    like: Float[Tensor, "n m"],
    unlike: Float[Tensor, "n m"],
    label: Float[Tensor, "n m"],
    weight: Float[Tensor, "n m"],
    *,
    balance: bool,
    positive_weight: float = 1.0,
) -> Float[Tensor, ""]:
    """Mean of what like pairs cost and of what unlike pairs cost.

    A label between 0 and 1 makes a pair partly both. Balanced, the two kinds have the same weight however many there
    are of each, as if negatives had been drawn in equal number; a batch of n compounds holds n - 1 for each positive. A
    like pair then counts as `positive_weight` of them; the weights add up to one, so that the loss keeps its size.
    """
    positive, negative = positive_weight * weight * label, weight * (1 - label)
    total = positive + negative
    if not balance:
        share = torch.where(total > 0, positive / torch.where(total > 0, total, torch.ones_like(total)), label)
        return weighted_mean(share * like + (1 - share) * unlike, total)
    share_of = positive_weight * (positive.sum() > 0).float(), (negative.sum() > 0).float()
    cost = share_of[0] * weighted_mean(like, positive) + share_of[1] * weighted_mean(unlike, negative)
    # Where nothing counts both are 0, and the cost is 0 whatever divides it.
    whole = share_of[0] + share_of[1]
    return cost / torch.where(whole > 0, whole, torch.ones_like(whole))


def one_of(loss: str, key: str, value: str, known: tuple[str, ...]) -> None:
    """Raise `ConfigError` where a value is not one of those known."""
    if value not in known:
        from molvis_core.errors import did_you_mean

        raise ConfigError(f"{loss}: {key} = {value!r}.{did_you_mean(value, known)} It is one of {', '.join(known)}.")
