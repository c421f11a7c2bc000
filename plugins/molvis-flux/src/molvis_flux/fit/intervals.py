"""How well a fit fits, and how sure its fluxes are: chi-square, covariance, profile and Monte Carlo intervals."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from molvis_core.progress import Progress
from molvis_core.ties import alike
from molvis_flux.errors import FitError
from molvis_flux.fit.information import deviations, normal_reach
from molvis_flux.fit.levenberg_marquardt import Minimum, minimise
from molvis_flux.fit.problem import FluxProblem
from molvis_flux.sampling.smc import linear_draws
from molvis_flux.space.steady import leading_signs

PRIOR_SHARE = 1.5
"""Between the barrier's Hessian and the precision of a uniform distribution; exact for an interval."""


@dataclass(frozen=True, slots=True)
class Goodness:
    """The chi-square test.

    Attributes:
        ssr: sum of squared residuals over standard deviations.
        data: independent numbers: a complete distribution that adds up to one counts one less, as does one whose scale
            is fitted.
        seen: combinations of the coordinates that the data see.
        freedom: degrees of freedom: data less seen.
        low, high: between which 95% of sums lie, where the model is right.
        p: chance of a larger sum, where the model is right.
    """

    ssr: float
    data: int
    seen: int
    freedom: int
    low: float
    high: float
    p: float

    @property
    def accepted(self) -> bool:
        """Whether the sum is not too large."""
        return self.ssr <= self.high

    @property
    def summary(self) -> str:
        """One sentence for people."""
        if not self.freedom:
            return f"sum of squares {self.ssr:.4g}; no degree of freedom is left to test it"
        said = "the model is accepted" if self.accepted else "the model does not explain the data"
        if self.ssr < self.low:
            said += ", and the stated errors look too large"
        return (
            f"sum of squares {self.ssr:.4g}, expected {self.low:.4g} to {self.high:.4g} "
            f"({self.data} data, {self.seen} parameters seen): {said}"
        )


def goodness(problem: FluxProblem, ssr: float, jacobian: Float[np.ndarray, "m k"]) -> Goodness:
    """Compare a sum of squared residuals with its distribution."""
    from scipy.stats import chi2

    measured = np.atleast_2d(problem.measured)[0]
    data = len(measured) - len(problem.scaled)
    for part in problem.parts:
        if part.datum.kind != "mid" or part.rows in problem.scaled:
            continue
        complete = np.isfinite(part.datum.values).all()
        off = abs(measured[part.rows].sum() - 1.0)
        # Rounded fractions still add up to one; independent errors would miss it by their common deviation.
        data -= bool(complete and off < 0.05 * np.linalg.norm(problem.sd[part.rows]))
    seen = _seen(problem, jacobian)
    freedom = max(data - seen, 0)
    if not freedom:
        return Goodness(ssr, data, seen, 0, 0.0, 0.0, float("nan"))
    low, high = (float(x) for x in chi2.ppf([0.025, 0.975], freedom))
    return Goodness(ssr, data, seen, freedom, low, high, float(chi2.sf(ssr, freedom)))


def unexplained(good: Goodness, worst: float) -> str:
    """Why data are not explained, where a sum as large has less than this probability; else nothing."""
    if not good.freedom or good.p >= worst:
        return ""
    return (
        f"no fluxes explain the data: the least sum of squares is {good.ssr:.4g}, where {good.low:.4g} to "
        f"{good.high:.4g} is expected. The network lacks a reaction, or the errors are larger than stated"
    )


def slope_at(problem: FluxProblem, y: Float[np.ndarray, " k"]) -> Float[np.ndarray, "m k"]:
    """Derivatives of the residuals at a point."""
    return problem.jacobian(y[None], np.zeros(1, int))[1][0]


def _seen(problem: FluxProblem, jacobian: Float[np.ndarray, "m k"]) -> int:
    """Directions in which a step across the polytope changes some residual by more than its deviation."""
    if not jacobian.shape[1]:
        return 0
    factor = np.linalg.cholesky(PRIOR_SHARE * problem.metric)
    return int((np.linalg.svd(np.linalg.solve(factor, jacobian.T), compute_uv=False) > 1.0).sum())


def ranges(problem: FluxProblem) -> Float[np.ndarray, "v 2"]:
    """What the constraints allow each value."""
    out = problem.map.bounds.copy()
    out[: len(problem.space.ranges)] = problem.space.ranges
    return out


def coordinate_covariance(problem: FluxProblem, jacobian: Float[np.ndarray, "m k"]) -> Float[np.ndarray, "k k"]:
    """To first order; directions that the data do not see keep about the width of the polytope."""
    factor = _factor(problem, jacobian)
    return factor @ factor.T


def _factor(problem: FluxProblem, jacobian: Float[np.ndarray, "m k"]) -> Float[np.ndarray, "k k"]:
    """Of that covariance, `factor @ factor.T`.

    Not from a matrix of second derivatives, where what data see a million times better than others leaves no digits
    for these, and variances become negative.
    """
    weights, directions = np.linalg.eigh(PRIOR_SHARE * problem.metric)
    prior = np.sqrt(np.maximum(weights, 0.0))[:, None] * directions.T
    _, singular, right = np.linalg.svd(np.concatenate([jacobian, prior]), full_matrices=False)
    return right.T / singular


def covariance(
    problem: FluxProblem, y: Float[np.ndarray, " k"], jacobian: Float[np.ndarray, "m k"]
) -> Float[np.ndarray, "v v"]:
    """Of the values, to first order."""
    spread = problem.map.directions * problem.map.slopes(y[None]) @ _factor(problem, jacobian)
    return spread @ spread.T


def normal_intervals(
    values: Float[np.ndarray, " v"],
    covariance: Float[np.ndarray, "v v"],
    ranges: Float[np.ndarray, "v 2"],
    level: float,
) -> Float[np.ndarray, "v 2"]:
    """Of a normal distribution, cut off at the ranges."""
    reach = normal_reach(level) * deviations(covariance)
    return np.clip(np.stack([values - reach, values + reach], axis=1), ranges[:, :1], ranges[:, 1:])


def covariance_intervals(
    problem: FluxProblem, y: Float[np.ndarray, " k"], level: float, *, seed: int = 0
) -> Float[np.ndarray, "v 2"]:
    """Of the normal distribution that linear residuals give, cut to the polytope.

    The residuals are linear over what the data leave open (`smc.linear_draws`), and the ends are quantiles of draws: a
    fit that ends on a face, or that is anywhere within what the data do not see, is no middle of an interval.

    Args:
        problem: what was fitted.
        y: coordinates of the best fit.
        level: probability of the intervals.
        seed: of the draws.
    """
    drawn, limits = linear_draws(problem, y, seed=seed), ranges(problem)
    out = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0).T
    return np.clip(out, limits[:, :1], limits[:, 1:])


@dataclass(eq=False, slots=True)
class _Ends:
    """The ends of profile intervals while they are looked for. Axis n runs over the ends, two of each interval.

    Attributes:
        directions: in coordinates, of the value whose end it is.
        side: -1 for a lower end, 1 for an upper.
        at, end: of the value at the best fit, and where the range ends.
        deviation: to first order.
        room: between `at` and `end`.
        near, near_root: the largest distance from the best fit whose rise is too small, and the root of that rise.
        far, far_root: the smallest distance whose rise is too large; infinite where there is none yet.
        trial: the next distance.
        hold: how firmly the next fit is held at the trial, in inverse deviations.
        start: coordinates to start the next fit from.
        bound: the end, as far as it is known.
        done: it is known well enough.
    """

    directions: Float[np.ndarray, "n k"]
    side: Float[np.ndarray, " n"]
    at: Float[np.ndarray, " n"]
    end: Float[np.ndarray, " n"]
    deviation: Float[np.ndarray, " n"]
    room: Float[np.ndarray, " n"]
    near: Float[np.ndarray, " n"]
    near_root: Float[np.ndarray, " n"]
    far: Float[np.ndarray, " n"]
    far_root: Float[np.ndarray, " n"]
    trial: Float[np.ndarray, " n"]
    hold: Float[np.ndarray, " n"]
    start: Float[np.ndarray, "n k"]
    bound: Float[np.ndarray, " n"]
    done: Bool[np.ndarray, " n"]

    def learn(self, lane: int, distance: float, height: float, y: Float[np.ndarray, " k"], target: float) -> None:
        """Take in a fit that ended at a distance with a rise whose root is `height`; the search is for `target`.

        The root of the rise is about linear in the distance, so that the next trial is by regula falsi.
        """
        near, far, share = self.near, self.far, 0.5
        if height < target:
            if distance >= near[lane]:
                near[lane], self.near_root[lane], self.start[lane] = distance, height, y
            # A fit is held at a trial by a spring, and stops a little short of the end of the range.
            short = self.room[lane] - distance
            tried = self.trial[lane] >= self.room[lane] and short <= 0.02 * self.room[lane]
            if short <= 1e-6 * self.room[lane] or (tried and height * self.room[lane] < 0.98 * target * distance):
                self.bound[lane], self.done[lane] = self.room[lane], True
                return
        elif distance < far[lane]:
            far[lane], self.far_root[lane] = distance, height
        bracketed = bool(np.isfinite(far[lane]))
        if bracketed:
            share = (target - self.near_root[lane]) / max(self.far_root[lane] - self.near_root[lane], 1e-300)
            self.bound[lane] = near[lane] + share * max(far[lane] - near[lane], 0.0)
        else:
            self.bound[lane] = near[lane]
        if abs(height - target) < 0.02 * target or far[lane] - near[lane] < 1e-3 * far[lane]:
            self.done[lane] = True
        elif not bracketed and distance < 0.95 * self.trial[lane]:
            # The data held the fit back: past an end that is much sharper than the deviation at the best fit.
            self.hold[lane] *= 30.0
        elif bracketed:
            self.trial[lane] = near[lane] + np.clip(share, 0.05, 0.95) * (far[lane] - near[lane])
        else:
            grow = np.clip(target / max(height, 1e-3 * target), 1.3, 5.0)
            self.trial[lane] = min(max(distance, self.trial[lane]) * grow, self.room[lane])

    def edges(self) -> Float[np.ndarray, "n2 2"]:
        """The intervals. Where no trial has passed an end it is not known to be one: that of the range stands there."""
        bound = np.where(self.done | np.isfinite(self.far), self.bound, self.room)
        low, high = np.minimum(self.at, self.end), np.maximum(self.at, self.end)
        return np.clip(self.at + self.side * bound, low, high).reshape(-1, 2)


def _ends(
    problem: FluxProblem, best: Float[np.ndarray, " k"], along: Float[np.ndarray, "r k"],
    limits: Float[np.ndarray, "r 2"], target: float,
) -> _Ends:  # fmt: skip
    """Both ends of some quantities' intervals, before anything is fitted.

    Args:
        problem: what was fitted.
        best: coordinates of the best fit.
        along: the quantities, as directions in coordinates.
        limits: the smallest and the largest of each.
        target: root of the rise at an end.
    """
    directions, limits = np.repeat(along, 2, axis=0), np.repeat(limits, 2, axis=0)
    side = np.tile([-1.0, 1.0], len(along))
    at = directions @ best
    end = np.where(side < 0, limits[:, 0], limits[:, 1])
    spread = coordinate_covariance(problem, slope_at(problem, best))
    deviation = np.sqrt(np.maximum(np.einsum("nk,nk->n", directions @ spread, directions), 0.0))
    room = np.maximum(side * (end - at), 0.0)
    deviation = np.clip(deviation, 1e-9 * np.maximum(room, 1e-9), None)
    n = len(side)
    return _Ends(
        directions, side, at, end, deviation, room,
        near=np.zeros(n), near_root=np.zeros(n), far=np.full(n, np.inf), far_root=np.full(n, np.inf),
        trial=np.minimum(target * deviation, room), hold=np.full(n, 20.0), start=np.tile(best, (n, 1)),
        bound=room.copy(), done=room <= 1e-6 * np.abs(limits[:, 1] - limits[:, 0]),
    )  # fmt: skip


def profile(
    problem: FluxProblem,
    found: Minimum,
    *,
    level: float = 0.9,
    rounds: int = 8,
    progress: Progress | None = None,
) -> Float[np.ndarray, "v 2"]:
    """Profile likelihood intervals: where the sum of squares, all else refitted, has risen by the chi-square quantile.

    The ends of a value v are where min over y with v(y) = v of SSR(y) is SSR_min + chi2(level, 1).

    Every end of every interval is a lane. An end that the data do not set is that of the range.

    Reference: Antoniewicz, Kelleher and Stephanopoulos, Metab. Eng. 8 (2006) 324, doi:10.1016/j.ymben.2006.01.004
    """
    map_, best = problem.map, found.y[0]
    out, directions = ranges(problem), map_.directions
    size = np.linalg.norm(directions, axis=1)
    limits = np.array([map_.bend(i, out[i]) for i in range(len(map_.names))]).reshape(-1, 2)
    open_ = np.flatnonzero((size > 1e-10) & (limits[:, 1] - limits[:, 0] > 1e-7 * (1 + np.abs(limits).max(axis=1))))
    if not len(open_):
        return out
    # Fluxes of one pathway are multiples of each other: one of them is enough.
    unit = directions[open_] / size[open_, None]
    chosen, same = alike(unit * leading_signs(unit)[:, None])
    target = normal_reach(level)  # the root of chi-square's quantile for one degree of freedom
    ends = _ends(problem, best, directions[open_[chosen]], limits[open_[chosen]], target)
    _search(problem, ends, float(found.ssr[0]), target, rounds, progress)
    edges, origin = ends.edges(), ends.at.reshape(-1, 2)[:, 0]
    for i, group in zip(open_, same, strict=True):
        leader = open_[chosen[group]]
        ratio = float(directions[i] @ directions[leader] / (directions[leader] @ directions[leader]))
        here = float(directions[i] @ best)
        moved = np.sort(here + ratio * (edges[group] - origin[group]))
        out[i] = np.clip(map_.unbend(int(i), np.clip(moved, limits[i, 0], limits[i, 1])), out[i, 0], out[i, 1])
    return out


def profile_along(
    problem: FluxProblem, found: Minimum, along: Float[np.ndarray, "n k"], *, level: float = 0.9, rounds: int = 8
) -> Float[np.ndarray, "n 2"]:
    """Profile likelihood intervals of linear combinations of the coordinates, as `profile` has them of values."""
    target = normal_reach(level)
    ends = _ends(problem, found.y[0], along, _limits(problem, along), target)
    _search(problem, ends, float(found.ssr[0]), target, rounds, None)
    return ends.edges()


def _limits(problem: FluxProblem, along: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n 2"]:
    """The smallest and the largest that each combination of coordinates can be."""
    from scipy.optimize import linprog

    high, low = np.isfinite(problem.high), np.isfinite(problem.low)
    sides = np.vstack([problem.rows[high], -problem.rows[low]])
    room = np.concatenate([problem.high[high], -problem.low[low]])
    out = np.tile([-np.inf, np.inf], (len(along), 1))
    for i, direction in enumerate(along):
        for side, sign in ((0, 1.0), (1, -1.0)):
            ended = linprog(sign * direction, sides, room, bounds=(None, None), method="highs")
            if ended.status == 0:
                out[i, side] = sign * float(ended.fun)
    return out


def _search(
    problem: FluxProblem,
    ends: _Ends,
    least: float,
    target: float,
    rounds: int,
    progress: Progress | None,
) -> None:
    """Fit with each value held at a trial distance, all ends at once, until the rise there is the target."""
    for turn in range(rounds):
        todo = np.flatnonzero(~ends.done)
        if progress:
            progress(int(ends.done.sum()) + turn * len(todo) // rounds, len(ends.done))
        if not len(todo):
            return
        side, at = ends.side[todo], ends.at[todo]
        pins = (ends.directions[todo], at + side * ends.trial[todo], ends.hold[todo] / ends.deviation[todo])
        ended = minimise(replace(problem, pins=pins), ends.start[todo], limit=40, tolerance=1e-4)
        reached = np.clip(side * (np.einsum("nk,nk->n", pins[0], ended.y) - at), 0.0, ends.room[todo])
        ssr = (ended.residuals[:, :-1] ** 2).sum(axis=1)
        root = np.sqrt(np.maximum(ssr - least, 0.0))
        for lane, distance, height, y in zip(todo.tolist(), reached.tolist(), root.tolist(), ended.y, strict=True):
            ends.learn(lane, distance, height, y, target)


def simulated_data(problem: FluxProblem, y: Float[np.ndarray, " k"], n: int, seed: int) -> Float[np.ndarray, "n m"]:
    """What repeated measurements of a point would give: predicted numbers, at the data's scales, with normal errors."""
    predicted = problem.predict(y[None])
    for scale, rows in zip(
        problem.scales(predicted, np.atleast_2d(problem.measured)[:1]).T, problem.scaled, strict=True
    ):
        predicted[:, rows] *= scale[:, None]
    return predicted + problem.sd * np.random.default_rng(seed).standard_normal((n, len(problem.sd)))


def monte_carlo(
    problem: FluxProblem,
    y: Float[np.ndarray, " k"],
    *,
    level: float = 0.9,
    n: int = 200,
    seed: int = 0,
    progress: Progress | None = None,
) -> Float[np.ndarray, "v 2"]:
    """Quantiles of refits to simulated data; all refits at once.

    Raises:
        FitError: fewer than two refits.
    """
    if n < 2:
        raise FitError(f"n must be at least 2 refits, got {n}")
    lanes = replace(problem, measured=simulated_data(problem, y, n, seed))
    found = minimise(lanes, np.tile(y, (n, 1)), tolerance=1e-5, progress=progress)
    values = problem.map.values(found.y[np.isfinite(found.ssr)])
    return np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0).T
