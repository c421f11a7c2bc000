"""Choices among computed numbers that are the same on every machine.

Two processors, or two numbers of threads, add up in different orders, so that numbers which are equal in theory differ
in their last digits. What is chosen by comparing such numbers gets its name, order or sign by chance. Here numbers that
agree to a tolerance far above rounding are equal, and among equals the first is taken.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

TIE = 1e-6
"""Numbers nearer to each other than this share of the largest of them tie."""


def product(a: Float[np.ndarray, "n k"], b: Float[np.ndarray, "k m"]) -> Float[np.ndarray, "n m"]:
    """`a @ b`, added up in the order of k, which a BLAS does in an order of its own on each processor."""
    return np.einsum("nk,km->nm", a, b, optimize=False)


def rounded(columns: Float[np.ndarray, "n k"], digits: int = 6) -> Float[np.ndarray, "n k"]:
    """Each column to so many digits of its largest entry, for numbers that may be anything near what they are."""
    size = np.abs(columns).max(axis=0, initial=0.0)
    step = 10.0 ** (np.floor(np.log10(np.where(size > 0, size, 1.0))) - digits)
    return np.round(columns / step) * step


def first_largest(values: Float[np.ndarray, " n"], tie: float = TIE) -> int:
    """Which of some sizes is the largest; the first of those that tie."""
    top = values.max()
    return int(np.argmax(values >= top - tie * abs(top)))


def ascending(values: Float[np.ndarray, " n"], width: float) -> Int[np.ndarray, " n"]:
    """Places from the smallest value up; what lies no further than `width` from the first of its group keeps its place.

    Infinite values come last.
    """
    group = np.zeros(len(values), dtype=np.int64)
    first, number, plain = -np.inf, -1, values.tolist()
    for place in np.argsort(values, kind="stable").tolist():
        if number < 0 or plain[place] > first + width:
            first, number = plain[place], number + 1
        group[place] = number
    return np.argsort(group, kind="stable")


def best(scores: Float[np.ndarray, " n"], count: int, width: float) -> Int[np.ndarray, " _"]:
    """Places of the `count` highest scores, from the highest down, in the same order as all of them would have."""
    last = len(scores) - min(count, len(scores))
    if last == 0:
        return ascending(-scores, width)
    near = np.flatnonzero(scores >= np.partition(scores, last)[last] - width)
    return near[ascending(-scores[near], width)][:count]


def alike(rows: Float[np.ndarray, "n k"], tie: float = 1e-9) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " n"]]:
    """Rows that differ by their rounding alone: the first of each kind, and which kind each row is."""
    # The offset keeps decimals and halves, which rows are often made of, away from the edges of the cells.
    cells = np.floor(rows / tie + 0.4142)
    _, first, kind = np.unique(cells, axis=0, return_index=True, return_inverse=True)
    return first, np.ravel(kind)
