"""`infonce`: each query picks its reference among all of the batch."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Float
from torch import Tensor

from molvis_losses.choices import Directions, over_rows, pick_the_match
from molvis_losses.parts import (
    check_positive_weight,
    check_shapes,
    matching,
    scores,
)


class InfoNCE(Directions):
    """Each query picks its match among the references of the batch, and each reference among the queries.

    References without a match, such as hard candidates, are negatives for the queries and pick nothing themselves. With
    cosines c, temperature T and positive weight w, a choice costs (w (1 - c_match) + T logsumexp(c / T) - 1) / T: the
    pull of the match, w times, against the push of all, after Wang and Isola, ICML 2020, doi:10.48550/arXiv.2005.10242

    Args:
        temperature: divides the cosines.
        learned: whether the temperature is trained, between 0.01 and 10.
        directions: `both`, `query` (queries pick references) or `reference`.
        positive_weight: how strongly a match is drawn near, against what pushes the others away.

    Reference: van den Oord, Li and Vinyals 2018, doi:10.48550/arXiv.1807.03748
    """

    def __init__(
        self,
        temperature: float = 0.07,
        learned: bool = False,
        directions: Literal["both", "query", "reference"] = "both",
        positive_weight: float = 1.0,
    ) -> None:
        super().__init__(temperature, learned, directions)
        self.positive_weight = check_positive_weight("infonce", positive_weight)

    def forward(
        self,
        query: Float[Tensor, "n dim"],
        reference: Float[Tensor, "m dim"],
        target: Float[Tensor, "n m"],
        weight: Float[Tensor, "n m"],
    ) -> Float[Tensor, ""]:
        """Nats for each choice."""
        check_shapes(query, reference, target, weight)
        return self.contrast(scores(query, reference), target, weight)

    def contrast(
        self, cosine: Float[Tensor, "n m"], target: Float[Tensor, "n m"], weight: Float[Tensor, "n m"]
    ) -> Float[Tensor, ""]:
        """The loss from scores."""
        temperature = self.temperature()
        logits, match, weight = cosine / temperature, matching(target), weight.float()
        value = self.mean(
            pick_the_match(logits, match, weight) if self.forth else None,
            pick_the_match(logits.T, match.T, weight.T) if self.back else None,
        )
        if self.positive_weight == 1:
            return value
        pull = self.mean(
            over_rows((1 - cosine) / temperature, weight * match) if self.forth else None,
            over_rows((1 - cosine.T) / temperature, (weight * match).T) if self.back else None,
        )
        return value + (self.positive_weight - 1) * pull
