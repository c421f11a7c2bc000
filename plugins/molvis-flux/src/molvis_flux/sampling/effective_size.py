"""How many independent draws some draws are worth."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def of_weights(weight: Float[np.ndarray, " s"]) -> float:
    """Of independent draws with weights of any sum: (sum w)^2 / sum w^2.

    Reference: Kish, Survey Sampling, Wiley, 1965, section 11.7
    """
    return float(weight.sum() ** 2 / (weight**2).sum())


def of_log_weights(log_weight: Float[np.ndarray, " s"]) -> float:
    """The same, from the logarithms of the weights."""
    return of_weights(np.exp(log_weight - np.max(log_weight)))


def of_chains(path: Float[np.ndarray, "t n k"]) -> float:
    """Of chains side by side, by the coordinate that mixes worst: its variance over that of the chains' means.

    The means of chains that have mixed differ by the variance over how many independent points each has seen (batch
    means: Flegal and Jones, doi:10.1214/09-AOS735).
    """
    steps, n, _ = path.shape
    between, spread = path.mean(axis=0).var(axis=0, ddof=1), path.var(axis=(0, 1), ddof=1)
    return float(min(n * (spread / np.maximum(between, 1e-300)).min(), steps * n))


def tempered(log_weight: Float[np.ndarray, " s"], enough: float) -> Float[np.ndarray, " s"]:
    """Weights, which sum to one, to the largest power, at most 1, that leaves `enough` effective draws."""
    relative = log_weight - log_weight.max()
    weight = np.exp(relative)
    if of_weights(weight) < enough:
        low, high = 0.0, 1.0
        for _ in range(40):
            power = (low + high) / 2
            low, high = (power, high) if of_weights(np.exp(power * relative)) >= enough else (low, power)
        # Not to the power of 0, which would give weight to draws that are impossible.
        weight = np.exp((low or high) * relative)
    return weight / weight.sum()
