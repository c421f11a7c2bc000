"""How well a fit fits, and how sure its fluxes are: chi-square, covariance, profile and Monte Carlo intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from molvis_core.ties import alike, leading_signs
from molvis_flux.errors import FitError
from molvis_flux.fit.levenberg_marquardt import Minimum, minimise
from molvis_flux.fit.problem import FluxProblem

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
    return np.linalg.inv(jacobian.T @ jacobian + PRIOR_SHARE * problem.metric)


def covariance(
    problem: FluxProblem, y: Float[np.ndarray, " k"], jacobian: Float[np.ndarray, "m k"]
) -> Float[np.ndarray, "v v"]:
    """Of the values, to first order."""
    slope = problem.map.directions * problem.map.slopes(y[None])
    return slope @ coordinate_covariance(problem, jacobian) @ slope.T


def covariance_intervals(
    values: Float[np.ndarray, " v"],
    covariance: Float[np.ndarray, "v v"],
    ranges: Float[np.ndarray, "v 2"],
    level: float,
) -> Float[np.ndarray, "v 2"]:
    """Of a normal distribution, cut at the ranges."""
    from statistics import NormalDist

    reach = NormalDist().inv_cdf((1 + level) / 2) * np.sqrt(np.maximum(np.diag(covariance), 0.0))
    return np.clip(np.stack([values - reach, values + reach], axis=1), ranges[:, :1], ranges[:, 1:])


def profile(
    problem: FluxProblem,
    found: Minimum,
    *,
    level: float = 0.9,
    rounds: int = 8,
    progress: Callable[[int, int], None] | None = None,
) -> Float[np.ndarray, "v 2"]:
    """Profile likelihood intervals: where the sum of squares, all else refitted, has risen by the chi-square quantile.

    Every end of every interval is a lane. An end that the data do not set is that of the range.

    Reference: Antoniewicz, Kelleher and Stephanopoulos, Metab. Eng. 8 (2006) 324, doi:10.1016/j.ymben.2006.01.004
    """
    from scipy.stats import chi2

    map_, best = problem.map, found.y[0]
    rise = float(chi2.ppf(level, 1))
    out = ranges(problem)
    directions = map_.directions
    size = np.linalg.norm(directions, axis=1)
    ends = np.array([map_.bend(i, out[i]) for i in range(len(map_.names))]).reshape(-1, 2)
    open_ = np.flatnonzero((size > 1e-10) & (ends[:, 1] - ends[:, 0] > 1e-7 * (1 + np.abs(ends).max(axis=1))))
    if not len(open_):
        return out
    # Fluxes of one pathway are multiples of each other: one of them is enough.
    unit = directions[open_] / size[open_, None]
    chosen, same = alike(unit * leading_signs(unit)[:, None])
    lanes = np.repeat(open_[chosen], 2)
    side = np.tile([-1.0, 1.0], len(chosen))
    at = directions[lanes] @ best
    end = np.where(side < 0, ends[lanes, 0], ends[lanes, 1])
    spread = coordinate_covariance(problem, slope_at(problem, best))
    deviation = np.sqrt(np.einsum("nk,nk->n", directions[lanes] @ spread, directions[lanes]))
    room = np.maximum(side * (end - at), 0.0)
    deviation = np.clip(deviation, 1e-9 * np.maximum(room, 1e-9), None)
    done = room <= 1e-6 * np.abs(ends[lanes, 1] - ends[lanes, 0])
    # Distances from the best point on either side of the end that is looked for, and the roots of their rises.
    near, near_root = np.zeros(len(lanes)), np.zeros(len(lanes))
    far, far_root = np.full(len(lanes), np.inf), np.full(len(lanes), np.inf)
    trial = np.minimum(np.sqrt(rise) * deviation, room)
    start = np.tile(best, (len(lanes), 1))
    bound = room.copy()
    wanted, share = np.sqrt(rise), 0.5
    for turn in range(rounds):
        todo = np.flatnonzero(~done)
        if progress:
            progress(int(done.sum()) + turn * len(todo) // rounds, len(lanes))
        if not len(todo):
            break
        pins = (directions[lanes[todo]], at[todo] + side[todo] * trial[todo], 20.0 / deviation[todo])
        pinned = replace(problem, pins=pins)
        ended = minimise(pinned, start[todo], limit=40, tolerance=1e-4)
        reached = np.clip(side[todo] * (np.einsum("nk,nk->n", pins[0], ended.y) - at[todo]), 0.0, room[todo])
        ssr = (ended.residuals[:, :-1] ** 2).sum(axis=1)
        root = np.sqrt(np.maximum(ssr - found.ssr[0], 0.0))
        for lane, distance, height, y in zip(todo, reached, root, ended.y, strict=True):
            if height < wanted:
                if distance >= near[lane]:
                    near[lane], near_root[lane], start[lane] = distance, height, y
                if distance >= room[lane] * (1 - 1e-6):
                    bound[lane], done[lane] = room[lane], True
                    continue
            elif distance < far[lane]:
                far[lane], far_root[lane] = distance, height
            if np.isfinite(far[lane]):
                share = (wanted - near_root[lane]) / max(far_root[lane] - near_root[lane], 1e-300)
                bound[lane] = near[lane] + share * max(far[lane] - near[lane], 0.0)
            else:
                bound[lane] = near[lane]
            if abs(height - wanted) < 0.02 * wanted or far[lane] - near[lane] < 1e-3 * far[lane]:
                done[lane] = True
                continue
            if np.isfinite(far[lane]):
                trial[lane] = near[lane] + np.clip(share, 0.05, 0.95) * (far[lane] - near[lane])
            else:
                grow = np.clip(wanted / max(height, 1e-3 * wanted), 1.3, 5.0)
                trial[lane] = min(max(distance, trial[lane]) * grow, room[lane])
        # An end that no round has passed is not known to be one: the range's end stands in its place.
    bound = np.where(done | np.isfinite(far), bound, room)
    edge = np.clip(at + side * bound, np.minimum(at, end), np.maximum(at, end)).reshape(-1, 2)
    origin = at.reshape(-1, 2)[:, 0]
    for i, group in zip(open_, same, strict=True):
        leader = open_[chosen[group]]
        ratio = float(directions[i] @ directions[leader] / (directions[leader] @ directions[leader]))
        here = float(directions[i] @ best)
        moved = np.sort(here + ratio * (edge[group] - origin[group]))
        out[i] = np.clip(map_.unbend(int(i), np.clip(moved, ends[i, 0], ends[i, 1])), out[i, 0], out[i, 1])
    return out


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
    progress: Callable[[int, int], None] | None = None,
) -> Float[np.ndarray, "v 2"]:
    """Quantiles of refits to simulated data; all refits at once.

    Raises:
        FitError: fewer than two refits.
    """
    if n < 2:
        raise FitError(f"n is {n}; at least 2 refits are wanted")
    lanes = replace(problem, measured=simulated_data(problem, y, n, seed))
    found = minimise(lanes, np.tile(y, (n, 1)), tolerance=1e-5, progress=progress)
    values = problem.map.values(found.y[np.isfinite(found.ssr)])
    return np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0).T
