"""Values of a regression as probabilities: a logistic curve for each functional group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import optimize

_FEWEST = 8


@dataclass(frozen=True, slots=True)
class Scale:
    """`1 / (1 + exp(-(slope value + offset)))`; a group of fewer than eight compounds has a slope of 0.

    Attributes:
        slope, offset: of the logistic curve.
        examples: compounds that have the group.
    """

    slope: float
    offset: float
    examples: int


def scales(values: Float[np.ndarray, "n g"], present: Bool[np.ndarray, "n g"]) -> list[Scale]:
    """The curve of each group, from values that were predicted for compounds that were left out.

    Reference: J. Platt, Probabilistic outputs for support vector machines, in Advances in Large Margin Classifiers,
    2000, ISBN 978-0-262-19448-8
    """
    return [_scale(values[:, i], present[:, i]) for i in range(values.shape[1])]


def _scale(value: Float[np.ndarray, " n"], present: Bool[np.ndarray, " n"]) -> Scale:
    count = int(present.sum())
    base = float(np.log((count + 0.5) / (len(present) - count + 0.5)))
    if count < _FEWEST:
        return Scale(0.0, base, count)
    # Platt's targets: a few examples do not say that anything is certain.
    target = np.where(present, (count + 1) / (count + 2), 1 / (len(present) - count + 2))

    def cost(at: np.ndarray) -> tuple[float, np.ndarray]:
        logit = at[0] * value + at[1]
        wrong = 1 / (1 + np.exp(-logit)) - target
        return float((np.logaddexp(0, logit) - target * logit).sum()), np.array([(wrong * value).sum(), wrong.sum()])

    slope, offset = optimize.minimize(cost, np.array([8.0, base]), jac=True, method="L-BFGS-B").x
    return Scale(float(slope), float(offset), count)


def probabilities(values: Float[np.ndarray, "n g"], curves: Sequence[Scale]) -> Float[np.ndarray, "n g"]:
    """Probabilities of the groups."""
    slope, offset = np.array([c.slope for c in curves]), np.array([c.offset for c in curves])
    return 1 / (1 + np.exp(-(values * slope + offset)))
