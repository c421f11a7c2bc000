"""`tanimoto-infonce`: InfoNCE that knows how alike the structures are."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from molvis_core.errors import ConfigError, did_you_mean
from molvis_losses.choices import Directions, best, normalised, pick_a_distribution
from molvis_losses.parts import (
    check_shapes,
    hidden,
    matching,
    scores,
)


class TanimotoInfoNCE(Directions):
    """InfoNCE that knows how alike the structures are. The target is their Tanimoto similarity S.

    `printed` is equation 3 of the report exactly: sum_i -log(exp(q_i.r_i) / sum_j exp(abs(q_i.r_j - S_ij))), j over the
    pairs that do not match. It has no temperature, so that with unit vectors no logit exceeds 2 and the softmax is
    nearly flat; and its absolute value pushes an unlike pair's score up to S as hard as down to it.

    `corrected` keeps the idea: cross entropy of softmax(q.r / temperature) against a distribution that gives the match
    1 - `soft` and shares `soft` among all by S to the power `sharpness`, both ways.

    Args:
        form: `corrected` or `printed`; the latter ignores all other arguments.
        temperature: divides the cosines.
        learned: whether the temperature is trained.
        soft: share of the target that likeness gets.
        sharpness: power of S. Path fingerprints of unrelated molecules share a third of their bits; 4 makes that 1 %.
        directions: `both`, `query` or `reference`.

    Reference: Chang, Colby, Cooper, Svinth and Yaros, Molecular Vision, Pacific Northwest National Laboratory 2024
    """

    def __init__(
        self,
        form: Literal["corrected", "printed"] = "corrected",
        temperature: float = 0.07,
        learned: bool = False,
        soft: float = 0.2,
        sharpness: float = 4.0,
        directions: Literal["both", "query", "reference"] = "both",
    ) -> None:
        super().__init__(temperature, learned and form == "corrected", directions)
        known = ("corrected", "printed")
        if form not in known:
            raise ConfigError(
                f"tanimoto-infonce: form = {form!r}.{did_you_mean(form, known)} It is corrected or printed."
            )
        if not 0 <= soft <= 1:
            raise ConfigError(f"tanimoto-infonce: soft must be between 0 and 1, got {soft}")
        if not sharpness > 0:
            raise ConfigError(f"tanimoto-infonce: sharpness must be a positive number, got {sharpness}")
        self.form, self.soft, self.sharpness = form, soft, sharpness

    def forward(
        self,
        query: Float[Tensor, "n dim"],
        reference: Float[Tensor, "m dim"],
        target: Float[Tensor, "n m"],
        weight: Float[Tensor, "n m"],
    ) -> Float[Tensor, ""]:
        """Nats: a sum over queries as printed, a mean over choices as corrected."""
        check_shapes(query, reference, target, weight)
        dot = scores(query, reference)
        match, weight, alike = matching(target), weight.float(), target.float().clamp(0, 1)
        if self.form == "printed":
            return self._printed(dot, match, weight, target.float())
        logits = dot / self.temperature()
        return self.mean(
            self._corrected(logits, match, weight, alike) if self.forth else None,
            self._corrected(logits.T, match.T, weight.T, alike.T) if self.back else None,
        )

    def _printed(self, dot: Tensor, match: Tensor, weight: Tensor, alike: Tensor) -> Tensor:
        if dot.shape[1] == 0:
            return dot.sum()
        other = weight * ~match
        denominator = torch.logsumexp(hidden((dot - alike).abs(), other), dim=1, keepdim=True)
        # A query without anything unlike has an empty sum, whose logarithm is minus infinity: nothing to learn.
        positive = weight * match * (other > 0).any(dim=1, keepdim=True)
        cost = torch.where(positive > 0, denominator - dot, torch.zeros_like(dot))
        return (normalised(positive) * cost).sum(dim=1) @ best(positive)

    def _corrected(self, logits: Tensor, match: Tensor, weight: Tensor, alike: Tensor) -> Tensor:
        positive = weight * match
        wanted = (1 - self.soft) * normalised(positive) + self.soft * normalised(weight * alike**self.sharpness)
        return pick_a_distribution(logits, wanted, weight, best(positive))
