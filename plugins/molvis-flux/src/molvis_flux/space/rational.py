"""Linear equations over fractions: stoichiometries are small decimals, and what follows from them is exact."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from jaxtyping import Float

Row = dict[int, Fraction | int]

LONGEST = 4000
"""Bits of a numerator at which fractions are given up: they come from measured numbers, not from stoichiometries."""


def express(
    equalities: Float[np.ndarray, "e v"], targets: Float[np.ndarray, " e"], free: Sequence[int]
) -> tuple[Float[np.ndarray, "v k"], Float[np.ndarray, " v"]] | None:
    """The unknowns of `equalities @ x = targets` as `origin + basis @ x[free]`, the basis correctly rounded.

    The result is the same to the last bit on every machine. Coefficients are taken as the decimals they are written as.

    Returns:
        Basis and origin, or None where the free unknowns do not give all the others exactly: equations then hold up to
        rounding only.
    """
    count, known = equalities.shape[1], set(free)
    rows: list[Row] = [_exact(row) for row in equalities]
    right = targets.tolist()
    steps: list[tuple[int, Row, float]] = []
    touching: list[set[int]] = [set() for _ in range(count)]
    for number, row in enumerate(rows):
        for column in row:
            touching[column].add(number)
    bound = [len(row.keys() - known) for row in rows]
    waiting = set(range(len(rows)))
    for _ in range(count - len(free)):
        # The row with the fewest unknowns, and of these that of the fewest rows: so that few numbers come in.
        number = min((n for n in waiting if bound[n]), key=lambda n: (bound[n], n), default=-1)
        if number < 0:
            return None
        row, waiting = rows[number], waiting - {number}
        pivot = min(row.keys() - known, key=lambda c: (len(touching[c]), c))
        for column in row:
            touching[column].discard(number)
        for other in sorted(touching[pivot]):
            share = _ratio(rows[other][pivot], row[pivot])
            right[other] -= float(share) * right[number]
            _subtract(rows[other], share, row, other, touching)
            bound[other] = len(rows[other].keys() - known)
        steps.append((pivot, row, right[number]))
    if any(rows[number] for number in waiting):
        return None
    return _back(steps, free, count)


def _exact(row: Float[np.ndarray, " v"]) -> Row:
    columns = np.flatnonzero(row).tolist()
    return {
        c: int(x) if x == int(x) else Fraction(repr(x)) for c, x in zip(columns, row[columns].tolist(), strict=True)
    }


def _ratio(a: Fraction | int, b: Fraction | int) -> Fraction | int:
    if b in (1, -1):
        return a * b
    found = Fraction(a) / b
    return found.numerator if found.denominator == 1 else found


def _subtract(row: Row, share: Fraction | int, other: Row, number: int, touching: list[set[int]]) -> None:
    for column, value in other.items():
        left = row.get(column, 0) - share * value
        if left:
            row[column] = left
            touching[column].add(number)
        elif column in row:
            del row[column]
            touching[column].discard(number)


def _back(
    steps: list[tuple[int, Row, float]], free: Sequence[int], count: int
) -> tuple[Float[np.ndarray, "v k"], Float[np.ndarray, " v"]] | None:
    """Backwards through the triangle that elimination left."""
    found: dict[int, Row] = {column: {k: 1} for k, column in enumerate(free)}
    basis, origin = np.zeros((count, len(free))), np.zeros(count)
    basis[list(free), range(len(free))] = 1.0
    for pivot, row, target in reversed(steps):
        total: Row = {}
        start = target
        for column, value in row.items():
            if column == pivot:
                continue
            start -= float(value) * float(origin[column])
            for k, share in found[column].items():
                total[k] = total.get(k, 0) - value * share
        found[pivot] = {k: _ratio(x, row[pivot]) for k, x in total.items() if x}
        origin[pivot] = start / float(row[pivot])
        if any(Fraction(x).numerator.bit_length() > LONGEST for x in found[pivot].values()):
            return None
        for k, x in found[pivot].items():
            basis[pivot, k] = float(x)
    return basis, origin
