"""`clerms`: InfoNCE plus the squared error of the cosine against Tanimoto."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Float
from torch import Tensor

from molvis_core.errors import ConfigError
from molvis_losses.infonce import InfoNCE
from molvis_losses.parts import (
    check_positive_weight,
    check_shapes,
    scores,
    weighted_mean,
)


class Clerms(InfoNCE):
    """InfoNCE plus the mean squared error of the cosine against the Tanimoto similarity of every pair.

    Args:
        temperature: divides the cosines in InfoNCE; its authors take 0.05 to 0.2.
        learned: whether the temperature is trained.
        mse: weight of the squared error.
        directions: `both`, `query` or `reference`.
        positive_weight: as in `infonce`.

    Reference: Guo, Xue and Guo, Anal. Chem. 95 (2023) 7888, doi:10.1021/acs.analchem.3c00260
    """

    def __init__(
        self,
        temperature: float = 0.1,
        learned: bool = False,
        mse: float = 1.0,
        directions: Literal["both", "query", "reference"] = "both",
        positive_weight: float = 1.0,
    ) -> None:
        super().__init__(temperature, learned, directions, check_positive_weight("clerms", positive_weight))
        if not mse >= 0:
            raise ConfigError(f"clerms: mse must be 0 or more, got {mse}")
        self.mse = mse

    def forward(
        self,
        query: Float[Tensor, "n dim"],
        reference: Float[Tensor, "m dim"],
        target: Float[Tensor, "n m"],
        weight: Float[Tensor, "n m"],
    ) -> Float[Tensor, ""]:
        """InfoNCE in nats plus the weighted squared error."""
        check_shapes(query, reference, target, weight)
        cosine = scores(query, reference)
        return self.contrast(cosine, target, weight) + self.mse * weighted_mean(
            (cosine - target.float()).square(), weight.float()
        )
