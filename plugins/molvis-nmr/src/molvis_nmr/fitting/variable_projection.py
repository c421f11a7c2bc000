"""The objective of a fit and its descent: intensities and baseline are solved for, the other parameters are searched.

At each point of the search the spectrum is linear in intensities and baseline; they are solved for, and the search is
over the other parameters alone. The noise is not known beforehand: the objective is that of a normal distribution of
unknown width, n log(sum of squares), plus squared distances from the prior.

Reference: G. H. Golub and V. Pereyra, Inverse Problems 19 (2003) R1, doi:10.1088/0266-5611/19/2/201 (the
functional); L. Kaufman, BIT 15 (1975) 49, doi:10.1007/BF01932995 (the Jacobian without its second term)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from molvis_nmr.fitting.levenberg_marquardt import Schedule, minimize
from molvis_nmr.fitting.lorentzians import jacobian
from molvis_nmr.fitting.problem import WEAK, Problem, Stage
from molvis_nmr.spins.derivatives import lines_and_derivatives


@dataclass(frozen=True, eq=False, slots=True)
class State:
    """A point of the search with what was computed there.

    Attributes:
        theta: nonlinear parameters.
        linear: intensities and baseline of each spectrum.
        columns: what those are factors of.
        residual: measurement less model.
        weight: of each point.
        loss: sum of squares, or of absolute values, of each spectrum.
        objective: what is minimized.
    """

    theta: Float[np.ndarray, " k"]
    linear: list[Float[np.ndarray, " _c"]]
    columns: list[Float[np.ndarray, "_t _c"]]
    residual: list[Float[np.ndarray, " _t"]]
    weight: list[Float[np.ndarray, " _t"]]
    loss: list[float]
    objective: float


def _level(problem: Problem, s: int, data: np.ndarray, total: np.ndarray, weight: np.ndarray) -> float:
    """What an intensity of 1 gives: as it was set, or as the data have it for all groups alike."""
    given = problem.scale[s]
    if given is not None:
        return given / problem.measured[s].unit
    level = float((weight * total) @ data) / max(float((weight * total) @ total), 1e-300)
    return max(level, 1e-9)


def level(problem: Problem, state: State, stage: Stage, s: int) -> float:
    """What an intensity of 1 gives in the data of a spectrum."""
    total = state.columns[s][:, : problem.groups] @ problem.r_mean[s]
    return _level(problem, s, stage.data[s], total, state.weight[s])


def _linear(
    problem: Problem, stage: Stage, s: int, columns: np.ndarray, weight: np.ndarray, variance: float | None
) -> tuple[np.ndarray, float]:
    """Intensities, which are positive, and baseline; and what the prior of the intensities costs."""
    data, g = stage.data[s], problem.groups
    weighted = columns * weight[:, None]
    gram, right = weighted.T @ columns, weighted.T @ data
    height = _level(problem, s, data, columns[:, :g] @ problem.r_mean[s], weight)
    if variance is None:
        variance = 1e-3 * float((weight * data) @ data) / max(float(weight.sum()), 1.0)
    precision, mean = problem.ridge(s, height)
    precision *= variance
    gram[:g, :g] += precision
    right[:g] += precision @ mean
    stiffness = variance * stage.stiffness[s]
    gram[np.arange(g, len(gram)), np.arange(g, len(gram))] += stiffness
    diagonal = np.arange(len(gram))
    gram[diagonal, diagonal] += 1e-12 * np.trace(gram) / len(gram)
    found = np.linalg.solve(gram, right)
    # An active set: what falls below its bound is held there, and the rest is solved for again.
    low = 0.02 * mean
    fixed = np.zeros(len(found), dtype=bool)
    while ((found[:g] < low) & ~fixed[:g]).any():
        fixed[:g] |= found[:g] < low
        found[:g][fixed[:g]] = low[fixed[:g]]
        open_ = ~fixed
        found[open_] = np.linalg.solve(
            gram[np.ix_(open_, open_)], right[open_] - gram[np.ix_(open_, fixed)] @ found[fixed]
        )
    return found, float((found[:g] - mean) @ precision @ (found[:g] - mean) + stiffness @ found[g:] ** 2)


def evaluate(problem: Problem, theta: Float[np.ndarray, " k"], stage: Stage, before: State | None = None) -> State:
    """Model and objective.

    Args:
        problem: what is fitted.
        theta: nonlinear parameters.
        stage: the points.
        before: an earlier point, from which the size of the noise and large residuals are known.
    """
    off = np.where(problem.free, theta - problem.mean, 0.0)
    objective = float(off @ problem.precision @ off)
    linear, columns, residual, weight, loss = [], [], [], [], []
    for s in range(len(problem.measured)):
        if before is not None and before.theta is theta:
            found = before.columns[s]
        else:
            found = np.hstack([problem.basis(theta, stage.windows[s], s, stage.broadening), stage.background[s]])
        w = stage.keep[s].astype(np.float64)
        variance = None
        if before is not None:
            variance = before.loss[s] / stage.count[s]
            if stage.absolute:
                w, variance = before.weight[s], variance * 0.5
        c, cost = _linear(problem, stage, s, found, w, variance)
        off = stage.data[s] - found @ c
        if stage.absolute:
            size = np.hypot(off, stage.absolute)
            w = stage.keep[s] / size
            total = float(size @ stage.keep[s]) + cost
        else:
            total = float((w * off) @ off) + cost
        objective += stage.count[s] * np.log(max(total, 1e-300)) * (2.0 if stage.absolute else 1.0)
        linear.append(c)
        columns.append(found)
        residual.append(off)
        weight.append(w)
        loss.append(total)
    return State(theta, linear, columns, residual, weight, loss, objective)


def derive(problem: Problem, state: State, stage: Stage) -> list[Float[np.ndarray, "_t _k"]]:
    """Derivatives of each spectrum by its own nonlinear parameters, at the state's intensities."""
    g, p = problem.groups, len(problem.pairs)
    found: list[np.ndarray] = []
    for s, m in enumerate(problem.measured):
        system, r = problem.system(state.theta, s), state.linear[s][:g]
        derived = lines_and_derivatives(
            system, m.frequency, nucleus=problem.nucleus, threshold=WEAK, pairs=problem.pairs, intensities=r
        )
        shape = problem.shape(state.theta, s, stage.broadening)
        both = jacobian(stage.windows[s], derived, system.widths, shape, r)
        columns = np.concatenate([j for _, j in both])
        columns[:, g + p : 2 * g + p] *= system.widths  # by the logarithm of a width
        found.append(columns)
    return found


def _normal(
    problem: Problem, state: State, stage: Stage, derived: list[Float[np.ndarray, "_t _k"]]
) -> tuple[Float[np.ndarray, "k k"], Float[np.ndarray, " k"]]:
    """Normal equations of the nonlinear parameters, with the linear ones projected out.

    The Jacobian of the residual is -(1 - P) D, where P projects on the columns of the linear parameters and D holds the
    derivatives of the model at fixed linear parameters: that of Golub and Pereyra without its second term (Kaufman).
    """
    size = len(problem.names)
    left, right = np.zeros((size, size)), np.zeros(size)
    for s, slopes in enumerate(derived):
        place = problem.own(s)
        weighted = state.columns[s] * state.weight[s][:, None]
        gram = weighted.T @ state.columns[s]
        diagonal = np.arange(len(gram))
        gram[diagonal, diagonal] += 1e-6 * gram[diagonal, diagonal] + 1e-9 * np.trace(gram) / len(gram)
        gram[diagonal[problem.groups :], diagonal[problem.groups :]] += (
            stage.stiffness[s] * state.loss[s] / stage.count[s]
        )
        across = weighted.T @ slopes
        down = slopes * state.weight[s][:, None]
        # Data without any noise leave nothing, of which no share can be taken.
        factor = stage.count[s] / max(state.loss[s], 1e-20 * float(stage.data[s] @ stage.data[s]), 1e-300)
        projected = np.linalg.solve(gram, across)
        left[np.ix_(place, place)] += factor * (down.T @ slopes - across.T @ projected)
        right[place] += factor * (down - weighted @ projected).T @ state.residual[s]
    return left, right


@dataclass(frozen=True, eq=False, slots=True)
class _Projected:
    """A problem at one stage, as `minimize` takes it."""

    problem: Problem
    stage: Stage
    limit: Float[np.ndarray, " k"]
    tolerance: float

    def derivatives(self, point: State) -> list[np.ndarray]:
        return derive(self.problem, point, self.stage)

    def equations(self, point: State, derivatives: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        problem, tie = self.problem, self.problem.searched
        left, right = _normal(problem, point, self.stage, derivatives)
        left = tie.T @ (left + problem.precision) @ tie
        right = tie.T @ (right - problem.precision @ np.where(problem.free, point.theta - problem.mean, 0.0))
        return left, right, np.diag(np.diag(left) + 1e-12)

    def trial(self, point: State, equations: tuple[np.ndarray, np.ndarray, np.ndarray], damping: float) -> State:
        left, right, diagonal = equations
        move = self.problem.searched @ np.linalg.solve(left + damping * diagonal, right)
        theta = np.clip(point.theta + np.clip(move, -self.limit, self.limit), self.problem.low, self.problem.high)
        return evaluate(self.problem, theta, self.stage, point)

    def objective(self, point: State) -> float:
        return point.objective

    def negligible(self, before: State, after: State) -> bool:
        return before.objective - after.objective < self.tolerance * sum(self.stage.count)


def _limits(problem: Problem, broadening: float) -> Float[np.ndarray, " k"]:
    """How far a parameter may go in one step."""
    limit = np.full(len(problem.names), 1.0 + broadening / 4)
    for s, m in enumerate(problem.measured):
        limit[problem.at(s, "shift")] = (1.5 + 0.5 * broadening) / m.observed
        limit[problem.at(s, "width")] = 0.5
        limit[problem.at(s, "extra")] = (0.3, 0.1, 0.1)
    return limit


def descend(
    problem: Problem, theta: Float[np.ndarray, " k"], stage: Stage, *, most: int = 20, tolerance: float = 1e-3
) -> tuple[State, bool]:
    """Levenberg and Marquardt from `theta` on; and whether it came to an end by itself.

    Args:
        problem: what is fitted.
        theta: where to start.
        stage: the points.
        most: steps.
        tolerance: the end is reached where two steps in a row gain less than this share of the number of points.
    """
    state = evaluate(problem, theta, stage)
    state = evaluate(problem, theta, stage, state)
    model = _Projected(problem, stage, _limits(problem, stage.broadening), tolerance)
    return minimize(model, state, Schedule(steps=most, reuse=3))
