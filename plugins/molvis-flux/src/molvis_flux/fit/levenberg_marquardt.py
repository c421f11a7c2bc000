"""Least squares under linear inequalities, many starts at once, by Levenberg-Marquardt.

Ours, because fits need a general polytope and a hundred starts together: `scipy.optimize.least_squares` takes bounds
of single coordinates only, `SLSQP` and `trust-constr` take rows but know no Gauss-Newton curvature, and all of them run
one start at a time, so that each call of the simulation pays its overhead for a single flux vector.

The step s from y minimises 1/2 s' (J'J + d M) s + r'J s under low <= rows (y + s) <= high, for residuals r with
Jacobian J, the damping d and the polytope's metric M: a strictly convex quadratic program, solved exactly, so that
every iterate is feasible and a bound is met where it binds, not approached.

Reference: Marquardt, J. Soc. Indust. Appl. Math. 11 (1963) 431, doi:10.1137/0111030
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float, Int
from numba import njit

from molvis_core.progress import Progress
from molvis_flux.errors import FitError
from molvis_flux.fit import quadratic_program
from molvis_flux.space.polytope import LeastSquares


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


SINGULAR = 1e14
"""Times the curvature at the start: beside more than that the other directions' are lost to rounding."""

_cholesky, _solve = quadratic_program.cholesky, quadratic_program.solve


@njit(cache=True, nogil=True, fastmath=quadratic_program.REORDER)
def _steps(hessian, gradient, damping, metric, rows, low, high, at):
    """The damped step of each lane, and whether its program was solved."""
    n, k = gradient.shape
    steps = np.zeros((n, k))
    solved = np.zeros(n, np.bool_)
    for lane in range(n):
        factor = np.zeros((k, k))
        if _cholesky(hessian[lane] + damping[lane] * metric, factor):
            # Rounding may have left the iterate a hair outside: the step need not bring it back.
            floor = np.minimum(low - at[lane], 0.0)
            ceiling = np.maximum(high - at[lane], 0.0)
            solved[lane] = _solve(factor, gradient[lane], rows, floor, ceiling, steps[lane])
    return steps, solved


class Cost(Protocol):
    """What a minimum pays beside half its sum of squares: a price, a barrier."""

    def value(self, y: Float[np.ndarray, "n k"], lanes: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Of points; infinite where they may not be."""
        ...

    def slopes(
        self, y: Float[np.ndarray, "n k"], lanes: Int[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, "n k k"]]:
        """Gradient, and a curvature that is not negative."""
        ...


@dataclass(frozen=True, eq=False, slots=True)
class Price:
    """A price of each coordinate, one row for each lane."""

    prices: Float[np.ndarray, "n k"]

    def value(self, y: Float[np.ndarray, "n k"], lanes: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Of points."""
        return np.einsum("nk,nk->n", self.prices[lanes], y)

    def slopes(
        self, y: Float[np.ndarray, "n k"], lanes: Int[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, "n k k"]]:
        """The prices."""
        return self.prices[lanes], np.zeros((*y.shape, y.shape[1]))


class _Lanes:
    """Where each lane is, and the model of its cost there."""

    def __init__(self, problem: LeastSquares, start: Float[np.ndarray, "n k"], cost: Cost | None) -> None:
        self.problem, self.extra = problem, cost
        n, k = start.shape
        everyone = np.arange(n)
        self.y = start.copy()
        self.residuals, self.gradient, self.hessian = self._expand(self.y, everyone)
        self.cost = 0.5 * np.einsum("nm,nm->n", self.residuals, self.residuals)
        if cost is not None:
            self.cost = self.cost + cost.value(self.y, everyone)
        bad = ~np.isfinite(self.cost) | ~np.isfinite(self.hessian).all(axis=(1, 2))
        if bad.all():
            raise FitError(
                "no start of the fit could be simulated: every one gave NaN. Check the network with `check`."
            )
        self.cost[bad] = np.inf
        self.residuals[bad] = self.gradient[bad] = self.hessian[bad] = 0.0
        self.bad = bad
        self.lengths = np.linalg.inv(problem.metric).ravel() / max(k, 1)
        # A first damping of a thousandth of the mean curvature, in the polytope's own units.
        self.scale = np.maximum(self._curvature(self.hessian), 1e-3)
        self.damping = 1e-3 * self.scale
        self.growth = np.full(n, 2.0)

    def _curvature(self, hessian: Float[np.ndarray, "r k k"]) -> Float[np.ndarray, " r"]:
        """The mean one, in the polytope's own units."""
        return hessian.reshape(len(hessian), -1) @ self.lengths

    def _expand(
        self, y: Float[np.ndarray, "n k"], lanes: Int[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, "n m"], Float[np.ndarray, "n k"], Float[np.ndarray, "n k k"]]:
        """Residuals, gradient of the cost, and its curvature by Gauss and Newton."""
        residuals, jacobian = self.problem.jacobian(y, lanes)
        gradient = np.matmul(residuals[:, None, :], jacobian)[:, 0, :]
        hessian = np.matmul(jacobian.transpose(0, 2, 1), jacobian)
        if self.extra is not None:
            slope, curvature = self.extra.slopes(y, lanes)
            gradient, hessian = gradient + slope, hessian + curvature
        return residuals, gradient, hessian

    def steps(
        self, lanes: Int[np.ndarray, " r"]
    ) -> tuple[Float[np.ndarray, "r k"], Bool[np.ndarray, " r"], Float[np.ndarray, " r"], Float[np.ndarray, " r"]]:
        """Damped steps, whether they could be found, the gain that each promises, and its squared length."""
        problem, gradient, hessian = self.problem, self.gradient[lanes], self.hessian[lanes]
        at = self.y[lanes] @ problem.rows.T
        step, solved = _steps(
            hessian, gradient, self.damping[lanes], problem.metric, problem.rows, problem.low, problem.high, at
        )
        step[~solved] = 0.0
        gain = -np.einsum("nk,nk->n", gradient, step) - 0.5 * np.einsum("nij,ni,nj->n", hessian, step, step)
        return step, solved, gain, np.einsum("ni,ni->n", step @ problem.metric, step)

    def costs(self, y: Float[np.ndarray, "n k"], lanes: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Of points; infinite where there is none."""
        residuals = self.problem.residuals(y, lanes)
        value = 0.5 * np.einsum("nm,nm->n", residuals, residuals)
        if self.extra is not None:
            value = value + self.extra.value(y, lanes)
        return np.where(np.isfinite(value), value, np.inf)

    def accept(
        self,
        lanes: Int[np.ndarray, " n"],
        y: Float[np.ndarray, "n k"],
        cost: Float[np.ndarray, " n"],
        ratio: Float[np.ndarray, " n"],
    ) -> None:
        """Go to better points, but not to those where the model is lost. The less damping the better it foretold.

        A pool that nothing flows through has any labelling, and next to it the labelling turns within rounding: what a
        derivative there leaves of all others is noise, and no step leads away. Such a point is not gone to, however low
        its cost, and a shorter step is taken.

        Nielsen's rule, d *= max(1/3, 1 - (2 q - 1)^3) for the quotient q of gained and foretold, with 1/10 as the least
        factor: eq. 2.21 of Madsen, Nielsen and Tingleff, Methods for non-linear least squares problems, 2004.
        """
        if not len(lanes):
            return
        residuals, gradient, hessian = self._expand(y, lanes)
        sound = self._curvature(hessian) < SINGULAR * self.scale[lanes]
        self.damp(lanes[~sound])
        lanes, ratio = lanes[sound], ratio[sound]
        self.y[lanes], self.cost[lanes] = y[sound], cost[sound]
        self.residuals[lanes], self.gradient[lanes], self.hessian[lanes] = (
            residuals[sound],
            gradient[sound],
            hessian[sound],
        )
        shrink = np.clip(1.0 - (2.0 * ratio - 1.0) ** 3, 1.0 / 10.0, 2.0)
        self.damping[lanes] = np.maximum(self.damping[lanes] * shrink, 1e-12 * self.scale[lanes])
        self.growth[lanes] = 2.0

    def damp(self, lanes: Int[np.ndarray, " n"]) -> None:
        """Shorter steps, at a growing rate."""
        self.damping[lanes] *= self.growth[lanes]
        self.growth[lanes] *= 2.0


def minimise(
    problem: LeastSquares,
    start: Float[np.ndarray, "n k"],
    *,
    limit: int = 100,
    tolerance: float = 1e-7,
    cost: Cost | None = None,
    progress: Progress | None = None,
) -> Minimum:
    """Levenberg-Marquardt from every row of `start`, all lanes in step; lanes that are done drop out.

    Args:
        problem: residuals and the polytope.
        start: feasible points.
        limit: steps at most.
        tolerance: a lane is done when the best step left would lower its cost by less than this times (1 + cost).
        cost: added to half the sum of squares.
        progress: called with lanes done and lanes in all.

    Raises:
        FitError: no start could be evaluated.
    """
    n = len(start)
    lanes = _Lanes(problem, start, cost)
    converged, steps = np.zeros(n, bool), np.zeros(n, int)
    running = np.flatnonzero(~lanes.bad)
    for _ in range(limit):
        if not len(running):
            break
        step, solved, gain, length = lanes.steps(running)
        size = 1.0 + np.abs(lanes.cost[running])
        small = solved & (gain + lanes.damping[running] * length < tolerance * size)
        trial, moving = lanes.y[running] + step, solved & ~small
        fresh = np.full(len(running), np.inf)
        if moving.any():
            fresh[moving] = lanes.costs(trial[moving], running[moving])
        ratio = np.where(moving, (lanes.cost[running] - fresh) / np.maximum(gain, 1e-300), -1.0)
        better = moving & (ratio > 1e-4)
        steps[running] += moving
        lanes.accept(running[better], trial[better], fresh[better], ratio[better])
        lanes.damp(running[~better & ~small])
        converged[running[small]] = True
        stuck = lanes.damping[running] > 1e12 * lanes.scale[running]
        running = running[~small & ~stuck]
        if progress:
            progress(n - len(running), n)
    ssr = np.einsum("nm,nm->n", lanes.residuals, lanes.residuals)
    ssr[lanes.bad] = np.inf
    return Minimum(lanes.y, ssr, lanes.residuals, converged, steps)
