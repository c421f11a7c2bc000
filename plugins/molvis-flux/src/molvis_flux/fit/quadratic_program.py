"""Strictly convex quadratic programs with two-sided rows, by the dual active-set method of Goldfarb and Idnani.

Ours, because a fit solves thousands of them, each with a few dozen unknowns and some hundred rows, inside compiled code
and on several cores at once: SciPy has no convex quadratic program but `trust-constr` and `SLSQP`, which come back to
Python at each iteration and cost milliseconds where this takes microseconds.

Reference: Goldfarb and Idnani, Math. Program. 27 (1983) 1, doi:10.1007/BF02591962
"""

from __future__ import annotations

import numpy as np
from numba import njit

REORDER = {"reassoc", "contract", "nsz"}
"""Sums may be reordered, which lets them use whole registers; NaN and infinity keep their meaning."""


@njit(cache=True, nogil=True, fastmath=REORDER)
def cholesky(matrix, factor):
    """Lower triangular, into `factor`; False where the matrix is not positive definite."""
    for i in range(len(matrix)):
        for j in range(i + 1):
            total = matrix[i, j]
            for m in range(j):
                total -= factor[i, m] * factor[j, m]
            if i != j:
                factor[i, j] = total / factor[j, j]
            elif total > 0.0:
                factor[i, i] = np.sqrt(total)
            else:
                return False
    return True


@njit(cache=True, nogil=True, fastmath=REORDER)
def solve(factor, gradient, rows, low, high, step):
    """Minimum of `1/2 s'Hs + g's` under `low <= rows s <= high`, H = factor factor', into `step`; True where solved.

    From the free minimum, the most violated row joins the active set at each turn, and rows whose multiplier would
    change sign leave it.
    """
    k, c = len(gradient), len(rows)
    basis = _inverse(factor)
    _free_minimum(basis, gradient, step)
    at, norm = _rows_at(rows, step)
    triangle = np.zeros((k, k))
    active, sign, multiplier = np.empty(k, np.int64), np.empty(k), np.empty(k + 1)
    inside = np.zeros(c, np.bool_)
    d, r, z = np.empty(k), np.empty(k), np.empty(k)
    q = 0
    for _ in range(20 * (k + c) + 100):
        p, side, worst = _most_violated(at, norm, low, high, inside)
        if p < 0:
            return True
        new = 0.0
        while True:
            length, whole = _directions(basis, triangle, rows[p], side, q, d, r, z)
            partial, drop = _first_to_leave(multiplier, r, q)
            gap = low[p] - at[p] if side > 0 else at[p] - high[p]
            full = gap / length if length > 1e-14 * whole else np.inf
            t = min(partial, full)
            if t == np.inf:
                if worst > 1e-6:
                    return False
                # It depends on active rows and is violated by their rounding only.
                norm[p] = 0.0
                break
            for i in range(q):
                multiplier[i] -= t * r[i]
            new += t
            if full < np.inf:
                _move(rows, z, t, step, at)
            if full <= partial:
                _join(basis, triangle, d, q, z, length)
                active[q], sign[q], multiplier[q] = p, side, new
                inside[p] = True
                q += 1
                break
            inside[active[drop]] = False
            q = _leave(basis, triangle, active, sign, multiplier, drop, q)
    return False


@njit(cache=True, nogil=True, fastmath=REORDER)
def _inverse(factor):
    """Of a lower triangular matrix. Its rows are later turned so that the first q span the active normals."""
    k = len(factor)
    basis = np.zeros((k, k))
    for i in range(k):
        for m in range(i):
            share = factor[i, m]
            for j in range(m + 1):
                basis[i, j] -= share * basis[m, j]
        basis[i, i] = 1.0
        for j in range(i + 1):
            basis[i, j] /= factor[i, i]
    return basis


@njit(cache=True, nogil=True, fastmath=REORDER)
def _free_minimum(basis, gradient, step):
    k = len(gradient)
    for j in range(k):
        step[j] = 0.0
    for i in range(k):
        along = 0.0
        for j in range(i + 1):
            along += basis[i, j] * gradient[j]
        for j in range(i + 1):
            step[j] -= along * basis[i, j]


@njit(cache=True, nogil=True, fastmath=REORDER)
def _rows_at(rows, step):
    c, k = rows.shape
    at, norm = np.empty(c), np.empty(c)
    for i in range(c):
        total = 0.0
        square = 0.0
        for j in range(k):
            total += rows[i, j] * step[j]
            square += rows[i, j] * rows[i, j]
        at[i] = total
        norm[i] = np.sqrt(square)
    return at, norm


@njit(cache=True, nogil=True, fastmath=REORDER)
def _most_violated(at, norm, low, high, inside):
    """The row, or -1; which of its sides (1: the lower); and by how much."""
    worst, p, side = 0.0, -1, 1.0
    for i in range(len(at)):
        if inside[i] or norm[i] == 0.0:
            continue
        below = (low[i] - at[i]) / norm[i]
        above = (at[i] - high[i]) / norm[i]
        scale = 1e-11 * (1.0 + abs(at[i]) / norm[i])
        if below > scale and below > worst:
            worst, p, side = below, i, 1.0
        if above > scale and above > worst:
            worst, p, side = above, i, -1.0
    return p, side, worst


@njit(cache=True, nogil=True, fastmath=REORDER)
def _directions(basis, triangle, row, side, q, d, r, z):
    """Steps in the primal (`z`) and the dual space (`r`), eq. 7 and 8 of the paper; and the normal's free length."""
    k = len(d)
    for i in range(k):
        total = 0.0
        for j in range(k):
            total += basis[i, j] * row[j]
        d[i] = side * total
    for j in range(k):
        z[j] = 0.0
    length = 0.0
    for i in range(q, k):
        length += d[i] * d[i]
        for j in range(k):
            z[j] += d[i] * basis[i, j]
    whole = length
    for i in range(q):
        whole += d[i] * d[i]
    for i in range(q - 1, -1, -1):
        total = d[i]
        for j in range(i + 1, q):
            total -= triangle[i, j] * r[j]
        r[i] = total / triangle[i, i]
    return length, whole


@njit(cache=True, nogil=True, fastmath=REORDER)
def _first_to_leave(multiplier, r, q):
    partial, drop = np.inf, -1
    for i in range(q):
        if r[i] > 0.0 and multiplier[i] / r[i] < partial:
            partial, drop = multiplier[i] / r[i], i
    return partial, drop


@njit(cache=True, nogil=True, fastmath=REORDER)
def _move(rows, z, t, step, at):
    c, k = rows.shape
    for j in range(k):
        step[j] += t * z[j]
    for i in range(c):
        total = 0.0
        for j in range(k):
            total += rows[i, j] * z[j]
        at[i] += t * total


@njit(cache=True, nogil=True, fastmath=REORDER)
def _join(basis, triangle, d, q, z, length):
    """Turn the free part of the basis so that the new normal has one component there (a Householder reflection).

    The reflection along `w = d - h e_q` needs `basis' w` over the free part, of which `_directions` has left `basis' d`
    in `z`, and the square of `d` in `length`.
    """
    k = len(d)
    if q < k - 1:
        h = -np.sqrt(length) if d[q] > 0.0 else np.sqrt(length)
        # Half of the square of w.
        half = length - h * d[q]
        for j in range(k):
            z[j] = (z[j] - h * basis[q, j]) / half
        d[q] -= h
        for i in range(q, k):
            for j in range(k):
                basis[i, j] -= d[i] * z[j]
        d[q] = h
    for i in range(q + 1):
        triangle[i, q] = d[i]


@njit(cache=True, nogil=True, fastmath=REORDER)
def _leave(basis, triangle, active, sign, multiplier, drop, q):
    """Take a row out of the active set, and make its matrix triangular again; returns the size of the set."""
    k = len(basis)
    for i in range(drop, q - 1):
        active[i] = active[i + 1]
        sign[i] = sign[i + 1]
        multiplier[i] = multiplier[i + 1]
        for j in range(i + 2):
            triangle[j, i] = triangle[j, i + 1]
    q -= 1
    for i in range(drop, q):
        h = np.sqrt(triangle[i, i] ** 2 + triangle[i + 1, i] ** 2)
        cos, sin = triangle[i, i] / h, triangle[i + 1, i] / h
        for j in range(i, q):
            a, b = triangle[i, j], triangle[i + 1, j]
            triangle[i, j] = cos * a + sin * b
            triangle[i + 1, j] = cos * b - sin * a
        for j in range(k):
            a, b = basis[i, j], basis[i + 1, j]
            basis[i, j] = cos * a + sin * b
            basis[i + 1, j] = cos * b - sin * a
    return q
