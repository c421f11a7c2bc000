"""Losses over labelled pairs: each pair is judged by its distance alone."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from molvis_core.errors import ConfigError
from molvis_losses.parts import Temperature, check_positive_weight, check_shapes, matching, scores, weighted_mean

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

    A label between 0 and 1 makes a pair partly both. Balanced, the two kinds have the same say however many there are
    of each, as if negatives had been drawn in equal number; a batch of n compounds holds n - 1 for each positive. A
    like pair then counts as `positive_weight` of them; the weights add up to one, so that the loss keeps its size.
    """
    positive, negative = positive_weight * weight * label, weight * (1 - label)
    total = positive + negative
    if not balance:
        share = torch.where(total > 0, positive / torch.where(total > 0, total, torch.ones_like(total)), label)
        return weighted_mean(share * like + (1 - share) * unlike, total)
    say = positive_weight * (positive.sum() > 0).float(), (negative.sum() > 0).float()
    cost = say[0] * weighted_mean(like, positive) + say[1] * weighted_mean(unlike, negative)
    # Where nothing counts both say nothing, and the cost is 0 whatever divides it.
    whole = say[0] + say[1]
    return cost / torch.where(whole > 0, whole, torch.ones_like(whole))


class BinaryCrossEntropy(nn.Module):
    """A pair matches with probability sigmoid((threshold - distance) / temperature); cross entropy against its label.

    An epoch of it sees every positive.

    Args:
        distance: `cosine` (1 - cosine), `l2` (Euclidean), or `learned` (a linear layer over the squared differences,
            which starts as the squared Euclidean distance).
        label: `match` for 0 or 1, `tanimoto` for the target as it is.
        threshold: the distance at which a match is as likely as not; learned.
        temperature: how sharply the probability falls with distance; learned.
        balance: like and unlike pairs have the same say.
        positive_weight: how many times the say of an unlike pair, or of all of them where balanced, a like one has.
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
        _one_of("bce", "distance", distance, ("cosine", "l2", "learned"))
        _one_of("bce", "label", label, ("match", "tanimoto"))
        if not math.isfinite(threshold):
            raise ConfigError(f"bce: threshold = {threshold}; a finite number is wanted")
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


class Contrastive(nn.Module):
    """Squared hinge: matches are drawn to within one margin, the others pushed beyond another.

    An epoch of it sees every positive.

    Args:
        distance: `cosine` (1 - cosine) or `l2` (Euclidean).
        positive_margin: matches nearer than this are not drawn nearer: two compounds' spectra need not coincide.
        negative_margin: pairs that do not match and are farther apart than this are left alone.
        tanimoto: shrink the negative margin by the pair's Tanimoto similarity, so that near twins may stay near.
        balance: like and unlike pairs have the same say.
        positive_weight: how many times the say of an unlike pair, or of all of them where balanced, a like one has.

    Reference: Hadsell, Chopra and LeCun, CVPR 2006, doi:10.1109/CVPR.2006.100
    """

    every_positive: ClassVar[bool] = True

    def __init__(
        self,
        distance: Literal["cosine", "l2"] = "cosine",
        positive_margin: float = 0.1,
        negative_margin: float = 0.9,
        tanimoto: bool = False,
        balance: bool = True,
        positive_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.positive_weight = check_positive_weight("contrastive", positive_weight)
        _one_of("contrastive", "distance", distance, ("cosine", "l2"))
        if not 0 <= positive_margin < negative_margin <= 2:
            raise ConfigError(
                f"contrastive: positive_margin = {positive_margin}, negative_margin = {negative_margin}; distances of "
                "unit vectors lie in [0, 2], and the positive margin must be the smaller one"
            )
        self.distance: Literal["cosine", "l2"] = distance
        self.positive_margin, self.negative_margin = positive_margin, negative_margin
        self.tanimoto, self.balance = tanimoto, balance

    def forward(
        self,
        query: Float[Tensor, "n dim"],
        reference: Float[Tensor, "m dim"],
        target: Float[Tensor, "n m"],
        weight: Float[Tensor, "n m"],
    ) -> Float[Tensor, ""]:
        """Mean squared hinge of the pairs that count."""
        check_shapes(query, reference, target, weight)
        far = distance(query, reference, self.distance)
        reach = self.negative_margin * (1 - target.float().clamp(0, 1)) if self.tanimoto else self.negative_margin
        like = functional.relu(far - self.positive_margin).square()
        unlike = functional.relu(reach - far).square()
        return halves(
            like,
            unlike,
            matching(target).float(),
            weight.float(),
            balance=self.balance,
            positive_weight=self.positive_weight,
        )


def _one_of(loss: str, key: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        from molvis_core.errors import did_you_mean

        raise ConfigError(f"{loss}: {key} = {value!r}.{did_you_mean(value, known)} It is one of {', '.join(known)}.")
