"""What an alignment costs, fitted so that true structures stand out among their rivals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from molvis_core.records import ShiftList
from molvis_nmr_shifts.matching.lines import Lines, Prices, likelihoods

Case = tuple[ShiftList, Lines, int]
_MOST = 400
"""Queries that are looked at: more change the prices by less than a step."""
_STEPS: dict[str, tuple[float, ...]] = {
    "factor": (0.8, 1.25), "stray": (0.5, 2.0), "missing": (-1.0, 1.0), "loose": (-0.5, 0.5), "extra": (-1.0, 1.0),
    "shared": (-0.75, 0.75), "again": (-1.0, 1.0), "wrong": (-1.5, 1.5),
}  # fmt: skip
_ROUNDS = 3


def fit_prices(cases: Sequence[Case], start: Prices) -> Prices:
    """Prices under which the truths are likeliest among their candidates, one price after another.

    Args:
        cases: lists, lines of their candidates, and which is the truth.
        start: where to begin.
    """
    chosen = [cases[i] for i in np.linspace(0, len(cases) - 1, min(len(cases), _MOST)).astype(int)]
    best, value = start, loss(chosen, start)
    for _ in range(_ROUNDS):
        before = value
        for name, steps in _STEPS.items():
            for step in steps:
                while (tried := _moved(best, name, step)) is not None and (found := loss(chosen, tried)) < value - 1e-4:
                    best, value = tried, found
        if before - value < 1e-3:
            break
    return best


def _moved(prices: Prices, name: str, step: float) -> Prices | None:
    """Prices with one of them a step further; None where it would leave what it can be."""
    now = getattr(prices, name)
    new = now * step if name in ("factor", "stray") else now + step
    low, high = {"factor": (0.3, 5.0), "stray": (0.001, 0.3)}.get(name, (-12.0, 0.0))
    return replace(prices, **{name: new}) if low <= new <= high else None


def loss(cases: Sequence[Case], prices: Prices) -> float:
    """Mean surprise at the truths among their candidates, at the temperature that makes it least."""
    scores = [likelihoods(record, lines, prices) for record, lines, _ in cases]
    values: list[float] = []
    for temperature in (1.0, 2.0, 4.0):
        total = 0.0
        for score, (_, _, truth) in zip(scores, cases, strict=True):
            logits = score / temperature
            total += float(np.logaddexp.reduce(logits) - logits[truth])
        values.append(total / max(len(cases), 1))
    return min(values)
