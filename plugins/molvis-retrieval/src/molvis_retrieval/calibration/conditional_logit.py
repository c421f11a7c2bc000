"""Conditional logit: the weights of evidence that make the truth most likely among its candidates.

    P(truth | candidates) = exp(w · x_truth) / Σ exp(w · x_candidate)

D. McFadden, Conditional logit analysis of qualitative choice behavior, in Frontiers in Econometrics (1974) 105.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from jaxtyping import Float

Case = tuple[np.ndarray, int, float]
"""Evidence of each candidate, place of the truth, and weight of the case."""


def fit(cases: Sequence[Case], penalty: float) -> Float[np.ndarray, " f"]:
    """The weights, by Newton's method: the likelihood is concave.

    Args:
        cases: of each query.
        penalty: of squared weights of standardised evidence.
    """
    spread = np.concatenate([c[0] - c[0].mean(axis=0) for c in cases]).std(axis=0)
    scale = np.where(spread > 1e-9, spread, np.inf)  # a constant column is no evidence: weight 0
    widest = max(len(c[0]) for c in cases)
    x = np.zeros((len(cases), widest, len(scale)))
    real = np.zeros((len(cases), widest), dtype=bool)
    for i, (values, truth, _) in enumerate(cases):
        x[i, : len(values)] = (values - values[truth]) / scale  # against the truth, whose logit is then 0
        real[i, : len(values)] = True
    share = np.array([c[2] for c in cases])
    share /= share.sum()
    flat = x.reshape(-1, len(scale))

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        logits = np.where(real, x @ weights, -np.inf)
        top = logits.max(axis=1)
        odds = np.exp(logits - top[:, None])
        total = odds.sum(axis=1)
        value = float(share @ (top + np.log(total)) + penalty * weights @ weights)
        return value, odds / total[:, None]

    weights = np.zeros(len(scale))
    value, chosen = loss(weights)
    for _ in range(100):
        mean = np.einsum("nmf,nm->nf", x, chosen)
        gradient = share @ mean + 2 * penalty * weights
        curvature = (flat * (chosen * share[:, None]).reshape(-1, 1)).T @ flat - (mean * share[:, None]).T @ mean
        # Equal columns leave directions without curvature.
        step = np.linalg.solve(curvature + (2 * penalty + 1e-9) * np.eye(len(scale)), gradient)
        length = 1.0
        while (tried := loss(weights - length * step))[0] > value and length > 1e-6:
            length /= 2
        gained, weights = value - tried[0], weights - length * step
        value, chosen = tried
        if gained < 1e-12:
            break
    return weights / scale


def fit_bounded(
    cases: Sequence[Case], penalty: float, at_least_zero: Collection[int]
) -> tuple[Float[np.ndarray, " f"], dict[int, float]]:
    """The weights where some may not be negative, and what those that were held at 0 would have been.

    Columns whose weight would be negative are left out, the most negative first, and taken back one by one where they
    are positive beside what is left in the end.
    """
    count = cases[0][0].shape[1]
    free = fit(cases, penalty)
    weights, out = free, set[int]()
    while negative := [i for i in at_least_zero if weights[i] < 0]:
        out.add(min(negative, key=lambda i: weights[i]))
        weights = _without(cases, penalty, out, count)
    for column in sorted(out):
        tried = _without(cases, penalty, out - {column}, count)
        if all(tried[i] >= 0 for i in at_least_zero):
            out.discard(column)
            weights = tried
    return weights, {i: float(free[i]) for i in sorted(out)}


def _without(cases: Sequence[Case], penalty: float, out: Collection[int], count: int) -> Float[np.ndarray, " f"]:
    kept = [i for i in range(count) if i not in out]
    weights = np.zeros(count)
    if kept:
        weights[kept] = fit([(values[:, kept], truth, share) for values, truth, share in cases], penalty)
    return weights
