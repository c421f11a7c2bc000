"""`contrastive`: matches within one margin, the others beyond another."""

from __future__ import annotations

from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from molvis_core.errors import ConfigError
from molvis_losses.distances import distance, halves, one_of
from molvis_losses.parts import check_positive_weight, check_shapes, matching


class Contrastive(nn.Module):
    """Squared hinge: matches are drawn to within one margin, the others pushed beyond another.

    An epoch of it sees every positive.

    Args:
        distance: `cosine` (1 - cosine) or `l2` (Euclidean).
        positive_margin: matches nearer than this are not drawn nearer: two compounds' spectra need not coincide.
        negative_margin: pairs that do not match and are farther apart than this are left alone.
        tanimoto: shrink the negative margin by the pair's Tanimoto similarity, so that near twins may stay near.
        balance: like and unlike pairs have the same weight in all.
        positive_weight: how many times the weight of an unlike pair, or of all of them where balanced, a like one has.

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
        one_of("contrastive", "distance", distance, ("cosine", "l2"))
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
