"""Signs, rows and bases that stand for a space, the same on every machine: see `molvis_core.ties`."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from molvis_core.ties import TIE, first_largest


def leading_signs(rows: Float[np.ndarray, "n k"], tie: float = TIE) -> Float[np.ndarray, " n"]:
    """For each row the sign of its largest entry, the first of those that tie in size; 1 for a row of zeros."""
    if not rows.size:
        return np.ones(len(rows))
    size = np.abs(rows)
    first = (size >= (1 - tie) * size.max(axis=1, keepdims=True)).argmax(axis=1)
    return np.where(rows[np.arange(len(rows)), first] < 0, -1.0, 1.0)


def spanning_rows(basis: Float[np.ndarray, "n k"], tie: float = TIE) -> Int[np.ndarray, " k"]:
    """Rows of an orthonormal basis that are far from dependent, in ascending order.

    As in a pivoted QR decomposition, each is the one that stands out most from those before it; the first of those that
    tie. Which orthonormal basis of the same space it is, does not matter.
    """
    left, chosen = basis.copy(), list[int]()
    for _ in range(basis.shape[1]):
        place = first_largest(np.einsum("nk,nk->n", left, left), tie)
        direction = left[place] / np.linalg.norm(left[place])
        left -= np.outer(left @ direction, direction)
        chosen.append(place)
    return np.sort(np.array(chosen, dtype=np.int64))


def steady_basis(basis: Float[np.ndarray, "n k"], tie: float = TIE) -> Float[np.ndarray, "n k"]:
    """The orthonormal basis that stands for a space, of any orthonormal basis of it.

    A decomposition leaves the sign of a vector, and the turn of several with one eigenvalue, to rounding. Here the
    vectors are the axes of `spanning_rows`, each without what it shares with those before it.
    """
    rows = spanning_rows(basis, tie)
    turned, triangle = np.linalg.qr(basis @ basis[rows].T)
    return turned * np.where(np.diag(triangle) < 0, -1.0, 1.0)
