"""How well logits rank the true structures of queries: what scorers that learn report of their validation queries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from molvis_core.ties import TIE


def mean_over_compounds(values: Float[np.ndarray, " n"], owners: Int[np.ndarray, " n"]) -> float:
    """Mean of the compounds' means: each compound counts once, however many queries it has.

    Args:
        values: of the queries.
        owners: compound of each query, counted from 0 without a gap.
    """
    return float((np.bincount(owners, values) / np.bincount(owners)).mean())


def hit_rate(
    logits: Sequence[np.ndarray], truth: Int[np.ndarray, " n"], owners: Int[np.ndarray, " n"], first: int
) -> float:
    """Share of the truths among the first candidates, a place among those that tie being as likely as any other.

    Args:
        logits: of each query's candidates.
        truth: place of the true structure among them.
        owners: compound of each query.
        first: how many candidates are the first.
    """
    above = np.array([np.sum(one > one[t] + TIE) for one, t in zip(logits, truth.tolist(), strict=True)])
    tied = np.array([np.sum(np.abs(one - one[t]) <= TIE) - 1 for one, t in zip(logits, truth.tolist(), strict=True)])
    return mean_over_compounds(np.clip((first - above) / (tied + 1), 0, 1), owners)


def loss(logits: Sequence[np.ndarray], truth: Int[np.ndarray, " n"], owners: Int[np.ndarray, " n"]) -> float:
    """Mean over compounds of minus the logarithm of the truth's probability, for the same arguments."""
    losses = [np.logaddexp.reduce(one) - one[place] for one, place in zip(logits, truth.tolist(), strict=True)]
    return mean_over_compounds(np.array(losses), owners)
