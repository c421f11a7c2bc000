"""What an alignment costs, fitted so that true structures stand out among their rivals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from molvis_core.records import ShiftList
from molvis_nmr_shifts.matching.lines import Lines, Peaks, Prices, likeliest, likelihoods

Case = tuple[ShiftList, Lines, int]
_MOST = 400
"""Queries that are looked at: more change the prices by less than a step."""
_Steps = Mapping[str, tuple[float, ...]]
_COMMON: _Steps = {
    "stray": (0.5, 2.0), "missing": (-1.0, 1.0), "loose": (-0.5, 0.5), "extra": (-1.0, 1.0),
    "shared": (-0.75, 0.75), "again": (-1.0, 1.0), "wrong": (-1.5, 1.5),
}  # fmt: skip
_OF_ONE_MASS: _Steps = {"factor": (0.8, 1.25), **_COMMON}
# Not the factor: widths were fitted to errors, and with one below 1 a single shift that is off decides.
_OF_A_LIBRARY: _Steps = {**_COMMON, "bare": (-1.0, 1.0), "uneven": (-1.0, 1.0)}
_ROUNDS = 3
_LEAST_EXTRA = -9.0
"""Of `extra`: tables hold lists without the solvent's signal and impurities; one of those must not decide."""
_RIVALS, _SEARCHES = 100, 2
"""Structures that are added to each query's own candidates, and how often they are sought."""
_CROWD = 300.0
"""Structures that each rival stands for: a library holds more of its kind than the pool does."""


def fit_among(cases: Sequence[Case], pool: Lines, taken: Sequence[np.ndarray], start: Prices) -> Prices:
    """Prices under which the truths are likeliest among their candidates and the likeliest structures of a pool.

    Candidates of one mass have about as many lines as the truth, and say little of what it costs that lines have no
    signal: prices fitted to them alone let large molecules explain any list.

    Args:
        cases: lists, lines of their candidates, and which is the truth.
        pool: lines of many structures, of whatever mass.
        taken: rows of the pool that are each list's own candidates.
        start: where to begin.
    """
    chosen, peaks = _spread(len(cases)), Peaks.of(pool)
    for _ in range(_SEARCHES):
        joined: list[Case] = []
        for i in chosen:
            record, lines, truth = cases[i]
            rows = likeliest(record, peaks, start, _RIVALS + len(taken[i]))[0]
            rivals = rows[~np.isin(rows, taken[i])][:_RIVALS]
            joined.append((record, Lines.joined([lines, pool.take(rivals)]), truth))
        start = _descend(joined, start, _OF_A_LIBRARY, _CROWD)
    return start


def _spread(count: int) -> np.ndarray:
    return np.linspace(0, count - 1, min(count, _MOST)).astype(int)


def fit_prices(cases: Sequence[Case], start: Prices) -> Prices:
    """Prices under which the truths are likeliest among their candidates, those of one mass.

    Args:
        cases: lists, lines of their candidates, and which is the truth.
        start: where to begin.
    """
    return _descend([cases[i] for i in _spread(len(cases))], start, _OF_ONE_MASS, 1.0)


def _descend(cases: Sequence[Case], best: Prices, steps: _Steps, crowd: float) -> Prices:
    """One price after another is moved as long as the truths gain by it."""
    value = loss(cases, best, crowd)
    for _ in range(_ROUNDS):
        before = value
        for name, moves in steps.items():
            for step in moves:
                while (tried := _moved(best, name, step)) is not None:
                    found = loss(cases, tried, crowd)
                    if found >= value - 1e-4:
                        break
                    best, value = tried, found
        if before - value < 1e-3:
            break
    return best


def _moved(prices: Prices, name: str, step: float) -> Prices | None:
    """Prices with one of them a step further; None where it would leave what it can be."""
    now = getattr(prices, name)
    new = now * step if name in ("factor", "stray") else now + step
    low, high = {"factor": (0.3, 5.0), "stray": (0.001, 0.3), "extra": (_LEAST_EXTRA, 0.0)}.get(name, (-12.0, 0.0))
    return replace(prices, **{name: new}) if low <= new <= high else None


def loss(cases: Sequence[Case], prices: Prices, crowd: float = 1.0) -> float:
    """Mean surprise at the truths among their rivals, at the temperature that makes it least.

    Args:
        cases: lists, lines of their candidates, and which is the truth.
        prices: of an alignment.
        crowd: structures that each rival stands for.
    """
    scores = [likelihoods(record, lines, prices) for record, lines, _ in cases]
    values: list[float] = []
    for temperature in (1.0, 2.0, 4.0):
        total = 0.0
        for score, (_, _, truth) in zip(scores, cases, strict=True):
            logits = score / temperature + math.log(crowd)
            logits[truth] -= math.log(crowd)
            total += float(np.logaddexp.reduce(logits) - logits[truth])
        values.append(total / max(len(cases), 1))
    return min(values)
