"""Logistic regression of few numbers on weighted cases. No part of it needs PyTorch.

scikit-learn's would bring that package for one function, and takes one strength of penalty for all weights.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

__all__ = ["balanced", "logistic_regression"]

_MOST_STEPS = 50
_LONGEST_STEP = 4.0
"""Of one weight: cases that are nearly told apart would send Newton's first steps too far."""


def logistic_regression(
    x: Float[np.ndarray, "n f"],
    truth: Bool[np.ndarray, " n"],
    share: Float[np.ndarray, " n"],
    ridge: Float[np.ndarray, " f"],
) -> Float[np.ndarray, " f"]:
    """The weights that make `sum(share * log(p(truth))) - ridge @ weights**2 / 2` largest, by Newton's method.

    Args:
        x: numbers of each case; a column of ones for an offset.
        truth: what each case is.
        share: weight of each case.
        ridge: penalty of the square of each weight; 0 for one that is free.
    """
    weights = np.zeros(x.shape[1])
    for _ in range(_MOST_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        gradient = x.T @ (share * (chance - truth)) + ridge * weights
        # Where no case is in doubt there is no curvature but that of the penalty.
        curvature = (x.T * (share * chance * (1 - chance))) @ x + np.diag(ridge + 1e-9)
        step = np.linalg.solve(curvature, gradient)
        weights = weights - step * min(1.0, _LONGEST_STEP / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-10:
            break
    return weights


def balanced(truth: Bool[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Weights of cases by which both kinds weigh the same, in all as much as there are cases.

    With them the logit is the logarithm of a ratio of likelihoods, whatever the share of each kind.
    """
    return np.where(truth, 0.5 / max(truth.sum(), 1), 0.5 / max((~truth).sum(), 1)) * len(truth)
