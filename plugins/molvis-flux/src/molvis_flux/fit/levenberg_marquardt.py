"""Least squares under linear inequalities, many starts at once.

Each step of Levenberg and Marquardt is a strictly convex quadratic program over the polytope, solved exactly by the
dual active-set method of Goldfarb and Idnani, so that every iterate is feasible and a bound is met where it binds, not
approached.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float, Int
from numba import njit, prange

from molvis_flux.errors import FitError


class Problem(Protocol):
    """Residuals of many lanes.

    Attributes:
        rows, low, high: `low <= rows @ y <= high`; infinite where open, never equal.
        metric: a positive definite matrix that measures steps: 1 is about the size of the polytope.
    """

    @property
    def rows(self) -> Float[np.ndarray, "c k"]:
        """Of the polytope."""
        ...

    @property
    def low(self) -> Float[np.ndarray, " c"]:
        """What they are at least."""
        ...

    @property
    def high(self) -> Float[np.ndarray, " c"]:
        """What they are at most."""
        ...

    @property
    def metric(self) -> Float[np.ndarray, "k k"]:
        """Measures steps."""
        ...

    def residuals(self, y: Float[np.ndarray, "n k"], lanes: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n m"]:
        """Differences over their standard deviations; `lanes` says which start each row belongs to."""
        ...

    def jacobian(
        self, y: Float[np.ndarray, "n k"], lanes: Int[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, "n m"], Float[np.ndarray, "n m k"]]:
        """Residuals and their derivatives."""
        ...


@dataclass(frozen=True, eq=False, slots=True)
class Minimum:
    """What the starts ended in.

    Attributes:
        y: coordinates.
        ssr: sums of squared residuals; infinite where a start could not be evaluated.
        residuals: there.
        converged: whether no step could have lowered the sum by more than the tolerance.
        steps: taken by each.
    """

    y: Float[np.ndarray, "n k"]
    ssr: Float[np.ndarray, " n"]
    residuals: Float[np.ndarray, "n m"]
    converged: Bool[np.ndarray, " n"]
    steps: Int[np.ndarray, " n"]


REORDER = {"reassoc", "contract", "nsz"}
"""Sums may be reordered, which lets them use whole registers; NaN and infinity keep their meaning."""


@njit(cache=True, nogil=True, fastmath=REORDER)
def _quadratic_program(factor, gradient, rows, low, high, step):
    """Minimum of `1/2 s'Hs + g's` under `low <= rows s <= high`, H = factor factor'; True where solved.

    Goldfarb and Idnani, Math. Program. 27 (1983) 1, doi:10.1007/BF02591962: from the free minimum, the most violated
    row joins the active set at each turn, and rows whose multiplier would change sign leave it.
    """
    k = len(gradient)
    c = len(rows)
    # Rows of `basis` are the columns of factor^-T, turned so that the first q span the active normals.
    basis = np.zeros((k, k))
    for i in range(k):
        for m in range(i):
            share = factor[i, m]
            for j in range(m + 1):
                basis[i, j] -= share * basis[m, j]
        basis[i, i] = 1.0
        for j in range(i + 1):
            basis[i, j] /= factor[i, i]
    for j in range(k):
        step[j] = 0.0
    for i in range(k):
        along = 0.0
        for j in range(i + 1):
            along += basis[i, j] * gradient[j]
        for j in range(i + 1):
            step[j] -= along * basis[i, j]
    at = np.empty(c)
    norm = np.empty(c)
    for i in range(c):
        total = 0.0
        square = 0.0
        for j in range(k):
            total += rows[i, j] * step[j]
            square += rows[i, j] * rows[i, j]
        at[i] = total
        norm[i] = np.sqrt(square)
    triangle = np.zeros((k, k))
    active = np.empty(k, np.int64)
    sign = np.empty(k)
    multiplier = np.empty(k + 1)
    inside = np.zeros(c, np.bool_)
    d = np.empty(k)
    r = np.empty(k)
    z = np.empty(k)
    q = 0
    for _ in range(20 * (k + c) + 100):
        worst = 0.0
        p = -1
        side = 1.0
        for i in range(c):
            if inside[i] or norm[i] == 0.0:
                continue
            below = (low[i] - at[i]) / norm[i]
            above = (at[i] - high[i]) / norm[i]
            scale = 1e-11 * (1.0 + abs(at[i]) / norm[i])
            if below > scale and below > worst:
                worst, p, side = below, i, 1.0
            if above > scale and above > worst:
                worst, p, side = above, i, -1.0
        if p < 0:
            return True
        new = 0.0
        while True:
            # Normal of the row, pointing inwards, in the turned basis.
            for i in range(k):
                total = 0.0
                for j in range(k):
                    total += basis[i, j] * rows[p, j]
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
            partial = np.inf
            drop = -1
            for i in range(q):
                if r[i] > 0.0 and multiplier[i] / r[i] < partial:
                    partial, drop = multiplier[i] / r[i], i
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
                for j in range(k):
                    step[j] += t * z[j]
                for i in range(c):
                    total = 0.0
                    for j in range(k):
                        total += rows[i, j] * z[j]
                    at[i] += t * total
            if full <= partial:
                # Turn the free part of the basis so that the new normal has one component there.
                for i in range(k - 1, q, -1):
                    if d[i] != 0.0:
                        h = np.hypot(d[i - 1], d[i])
                        cos, sin = d[i - 1] / h, d[i] / h
                        d[i - 1] = h
                        for j in range(k):
                            a, b = basis[i - 1, j], basis[i, j]
                            basis[i - 1, j] = cos * a + sin * b
                            basis[i, j] = cos * b - sin * a
                for i in range(q + 1):
                    triangle[i, q] = d[i]
                active[q] = p
                sign[q] = side
                multiplier[q] = new
                inside[p] = True
                q += 1
                break
            inside[active[drop]] = False
            for i in range(drop, q - 1):
                active[i] = active[i + 1]
                sign[i] = sign[i + 1]
                multiplier[i] = multiplier[i + 1]
                for j in range(i + 2):
                    triangle[j, i] = triangle[j, i + 1]
            q -= 1
            for i in range(drop, q):
                h = np.hypot(triangle[i, i], triangle[i + 1, i])
                cos, sin = triangle[i, i] / h, triangle[i + 1, i] / h
                for j in range(i, q):
                    a, b = triangle[i, j], triangle[i + 1, j]
                    triangle[i, j] = cos * a + sin * b
                    triangle[i + 1, j] = cos * b - sin * a
                for j in range(k):
                    a, b = basis[i, j], basis[i + 1, j]
                    basis[i, j] = cos * a + sin * b
                    basis[i + 1, j] = cos * b - sin * a
    return False


@njit(cache=True, nogil=True, parallel=True, fastmath=REORDER)
def _steps(hessian, gradient, damping, metric, rows, low, high, at):
    """The damped step of each lane, and whether its program was solved."""
    n, k = gradient.shape
    steps = np.zeros((n, k))
    solved = np.zeros(n, np.bool_)
    for lane in prange(n):
        damped = hessian[lane] + damping[lane] * metric
        factor = np.zeros((k, k))
        good = True
        for i in range(k):
            for j in range(i + 1):
                total = damped[i, j]
                for m in range(j):
                    total -= factor[i, m] * factor[j, m]
                if i == j:
                    if not total > 0.0:
                        good = False
                        break
                    factor[i, i] = np.sqrt(total)
                else:
                    factor[i, j] = total / factor[j, j]
            if not good:
                break
        if good:
            # Rounding may have left the iterate a hair outside: the step need not bring it back.
            floor = np.minimum(low - at[lane], 0.0)
            ceiling = np.maximum(high - at[lane], 0.0)
            solved[lane] = _quadratic_program(factor, gradient[lane], rows, floor, ceiling, steps[lane])
    return steps, solved


def _expand(
    problem: Problem, y: Float[np.ndarray, "n k"], lanes: Int[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, "n m"], Float[np.ndarray, "n k"], Float[np.ndarray, "n k k"]]:
    """Residuals, gradient of half their sum of squares, and its curvature by Gauss and Newton."""
    residuals, jacobian = problem.jacobian(y, lanes)
    gradient = np.matmul(residuals[:, None, :], jacobian)[:, 0, :]
    return residuals, gradient, np.matmul(jacobian.transpose(0, 2, 1), jacobian)


def minimise(
    problem: Problem,
    start: Float[np.ndarray, "n k"],
    *,
    limit: int = 100,
    tolerance: float = 1e-7,
    linear: Float[np.ndarray, "n k"] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Minimum:
    """Levenberg-Marquardt from every row of `start`, all lanes in step; lanes that are done drop out.

    Args:
        problem: residuals and the polytope.
        start: feasible points.
        limit: steps at most.
        tolerance: a lane is done when the best step left would lower half its sum by less than this times (1 + sum).
        linear: a linear cost added to half the sum of squares, one for each lane.
        progress: called with lanes done and lanes in all.

    Raises:
        FitError: no start could be evaluated.
    """
    n, k = start.shape
    y = start.copy()
    everyone = np.arange(n)
    residuals, gradient, hessian = _expand(problem, y, everyone)
    cost = 0.5 * np.einsum("nm,nm->n", residuals, residuals)
    bad = ~np.isfinite(cost) | ~np.isfinite(hessian).all(axis=(1, 2))
    if bad.all():
        raise FitError("no start of the fit could be simulated: every one gave NaN. Check the network with `check`.")
    if linear is not None:
        cost = cost + np.einsum("nk,nk->n", linear, y)
    cost[bad] = np.inf
    residuals[bad] = gradient[bad] = hessian[bad] = 0.0
    # A first damping of a thousandth of the mean curvature, in the polytope's own units.
    scale = np.maximum(np.einsum("nij,ij->n", hessian, np.linalg.inv(problem.metric)) / max(k, 1), 1e-3)
    damping = 1e-3 * scale
    growth = np.full(n, 2.0)
    converged = np.zeros(n, bool)
    steps = np.zeros(n, int)
    running = everyone[~bad]
    for _ in range(limit):
        if not len(running):
            break
        slope, curve = gradient[running], hessian[running]
        if linear is not None:
            slope = slope + linear[running]
        at = y[running] @ problem.rows.T
        step, solved = _steps(
            curve, slope, damping[running], problem.metric, problem.rows, problem.low, problem.high, at
        )
        step[~solved] = 0.0
        curvature = np.einsum("nij,ni,nj->n", curve, step, step)
        gain = -np.einsum("nk,nk->n", slope, step) - 0.5 * curvature
        length = np.einsum("ni,ni->n", step @ problem.metric, step)
        size = 1.0 + np.abs(cost[running])
        small = solved & (gain + damping[running] * length < tolerance * size)
        trial = y[running] + step
        moving = solved & ~small
        fresh = np.full(len(running), np.inf)
        if moving.any():
            lanes = running[moving]
            r = problem.residuals(trial[moving], lanes)
            value = 0.5 * np.einsum("nm,nm->n", r, r)
            if linear is not None:
                value = value + np.einsum("nk,nk->n", linear[lanes], trial[moving])
            fresh[moving] = np.where(np.isfinite(value), value, np.inf)
        ratio = np.where(moving, (cost[running] - fresh) / np.maximum(gain, 1e-300), -1.0)
        better = moving & (ratio > 1e-4)
        steps[running] += moving
        lanes = running[better]
        if len(lanes):
            y[lanes] = trial[better]
            cost[lanes] = fresh[better]
            residuals[lanes], gradient[lanes], hessian[lanes] = _expand(problem, y[lanes], lanes)
            # Nielsen's rule: less damping the better the model foretold the gain.
            shrink = np.clip(1.0 - (2.0 * ratio[better] - 1.0) ** 3, 1.0 / 10.0, 2.0)
            damping[lanes] = np.maximum(damping[lanes] * shrink, 1e-12 * scale[lanes])
            growth[lanes] = 2.0
        worse = running[~better & ~small]
        damping[worse] *= growth[worse]
        growth[worse] *= 2.0
        converged[running[small]] = True
        stuck = damping[running] > 1e12 * scale[running]
        running = running[~small & ~stuck]
        if progress:
            progress(n - len(running), n)
    ssr = np.einsum("nm,nm->n", residuals, residuals)
    ssr[bad] = np.inf
    return Minimum(y, ssr, residuals, converged, steps)
