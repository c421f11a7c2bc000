"""Draws from the posterior of fluxes: many walkers at once, carried from the normal approximation to the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr, ndtri

from molvis_flux.coordinates import Name
from molvis_flux.levenberg import FitError
from molvis_flux.polytope import exchange_start
from molvis_flux.problem import FluxProblem
from molvis_flux.walk import walk


@dataclass(frozen=True, eq=False, slots=True)
class Posterior:
    """Draws, and how they were come by.

    Attributes:
        names: of the values.
        samples: equally weighted draws.
        temperatures: stages between the normal approximation and the posterior, both counted.
        accepted: share of the last stage's moves that were.
        evidence: logarithm of the integral of likelihood times prior, up to a constant of the network.
    """

    names: tuple[Name, ...]
    samples: Float[np.ndarray, "s v"]
    temperatures: int
    accepted: float
    evidence: float


def posterior(
    problem: FluxProblem,
    y: Float[np.ndarray, " k"],
    *,
    n: int = 1000,
    seed: int = 0,
    uniform_exchange: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Posterior:
    """Draw from likelihood times prior: net fluxes uniform, exchange fluxes uniform in their logarithm, as `sample`.

    Walkers start from the normal approximation at the best fit, cut to the polytope: flat where the data see nothing.
    From there the target is changed in stages to the posterior; at each the walkers are weighed, drawn anew, and moved
    by hit-and-run (sequential Monte Carlo: Del Moral, Doucet and Jasra, doi:10.1111/j.1467-9868.2006.00553.x).

    Args:
        problem: what was fitted.
        y: coordinates of the best fit.
        n: draws.
        seed: of the draws.
        uniform_exchange: exchange fluxes have a uniform prior as well.
        progress: called with thousandths of the way.

    Raises:
        FitError: `n` is less than 2.
    """
    if n < 2:
        raise FitError(f"n is {n}; at least 2 draws are wanted")
    rng = np.random.default_rng(seed)
    low, high, prior = _prior(problem, uniform_exchange)
    everyone = np.zeros(n, int)
    _, slope = problem.jacobian(y[None], np.zeros(1, int))
    precision = slope[0].T @ slope[0]
    k = len(y)
    walkers = _truncated_normal(problem, y, precision, low, high, n, rng)

    def normal(at: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
        return -0.5 * np.einsum("ni,ij,nj->n", at - y, precision, at - y, optimize=True)

    def target(at: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
        r = problem.residuals(at, everyone[: len(at)])
        return np.nan_to_num(-0.5 * np.einsum("nm,nm->n", r, r), nan=-np.inf) + prior(at)

    from_, to = normal(walkers), target(walkers)
    share, stages, evidence, accepted = 0.0, 1, 0.0, 0.0
    while True:
        gain = to - from_
        step = _next(gain, 1.0 - share)
        weight = step * gain
        top = weight.max()
        weight = np.exp(weight - top)
        evidence += top + np.log(weight.mean())
        share = 1.0 if step >= 1.0 - share else share + step
        if progress:
            progress(int(1000 * share), 1000)
        spread = np.cov(walkers.T, aweights=weight).reshape(k, k)
        # Systematic drawing: one uniform number for all walkers.
        edges = np.cumsum(weight) / weight.sum()
        drawn = np.minimum(np.searchsorted(edges, (np.arange(n) + rng.random()) / n), n - 1)
        walkers, from_, to = walkers[drawn], from_[drawn], to[drawn]
        factor = np.linalg.cholesky(spread + (1e-12 * np.trace(spread) / k + 1e-300) * np.eye(k)) if k else spread
        length, accepted = 2.4 / np.sqrt(max(k, 1)), 0.0
        moves = min(4 * k + 8, 120) * (2 if share == 1.0 else 1)
        for _ in range(moves if k else 0):
            direction = rng.standard_normal((n, k)) @ factor.T
            step_, correction = _chord(problem, walkers, direction, low, high, length, rng)
            trial = walkers + step_[:, None] * direction
            a, b = normal(trial), target(trial)
            rise = (1.0 - share) * (a - from_) + share * (b - to) + correction
            taken = np.log(rng.random(n)) < rise
            walkers[taken], from_[taken], to[taken] = trial[taken], a[taken], b[taken]
            accepted = float(taken.mean())
            length = float(np.clip(length * np.exp(0.5 * (accepted - 0.35)), 1e-3, 30.0))
        stages += 1
        if share == 1.0:
            break
    return Posterior(problem.map.names, problem.map.values(walkers), stages, accepted, float(evidence))


def _prior(problem: FluxProblem, uniform: bool):
    """Bounds of the rows with the least exchange flux in them, and the logarithm of the prior's density."""
    map_ = problem.map
    low, high = map_.low.copy(), map_.high.copy()
    columns, scales = [column for _, column, _ in map_.bent], [b for *_, b in map_.bent]
    if not uniform:
        for value, column, b in map_.bent:
            start = exchange_start(problem.space, value)
            alone = (map_.rows[:, column] != 0) & ((map_.rows != 0).sum(axis=1) == 1)
            low[alone] = np.maximum(low[alone], start / (start + b))

    def log_density(y: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
        z = y[:, columns]
        if uniform:
            return -2.0 * np.log1p(-z).sum(axis=1) + float(np.log(scales).sum())
        return -(np.log(np.maximum(z, 1e-300)) + np.log1p(-z)).sum(axis=1)

    return low, high, log_density


def _next(gain: Float[np.ndarray, " n"], left: float) -> float:
    """The largest step that keeps half of the walkers' worth."""

    def worth(step: float) -> float:
        weight = np.exp(step * gain - np.max(step * gain))
        return float(weight.sum() ** 2 / (weight**2).sum()) / len(gain)

    if worth(left) >= 0.5:
        return left
    a, b = 0.0, left
    for _ in range(40):
        middle = (a + b) / 2
        a, b = (middle, b) if worth(middle) >= 0.5 else (a, middle)
    return max(a, 1e-6 * left)


def _chord(problem, walkers, direction, low, high, length, rng):
    """A normal step along each direction, cut where the polytope ends, and what the cut adds to its acceptance."""
    along = direction @ problem.rows.T
    at = walkers @ problem.rows.T
    with np.errstate(divide="ignore", invalid="ignore"):
        one, two = (low - at) / along, (high - at) / along
    still = np.abs(along) < 1e-14
    ends_low = np.where(still, -np.inf, np.minimum(one, two)).max(axis=1)
    ends_high = np.where(still, np.inf, np.maximum(one, two)).min(axis=1)
    ends_low, ends_high = np.minimum(ends_low, 0.0), np.maximum(ends_high, 0.0)
    a, b = ends_low / length, ends_high / length
    step = length * _cut_normal(a, b, rng.random(len(a)))
    step = np.clip(step, ends_low * (1 - 1e-9), ends_high * (1 - 1e-9))
    before, after = _log_mass(a, b), _log_mass((ends_low - step) / length, (ends_high - step) / length)
    return step, before - after


def _log_mass(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Logarithm of the normal probability between bounds on either side of 0."""
    return np.log(np.maximum(ndtr(b) - ndtr(a), 1e-300))


def _cut_normal(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"], u: Float[np.ndarray, " n"]):
    """A standard normal number between bounds on either side of 0."""
    return np.clip(ndtri(ndtr(a) + u * (ndtr(b) - ndtr(a))), a, b)


def _truncated_normal(
    problem: FluxProblem,
    y: Float[np.ndarray, " k"],
    precision: Float[np.ndarray, "k k"],
    low: Float[np.ndarray, " c"],
    high: Float[np.ndarray, " c"],
    n: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, "n k"]:
    """Draws from the normal distribution at the best fit, cut to the polytope."""
    # The best fit may lie on a face, or below the least exchange flux: a little inside, a walk can leave it.
    toward = problem.middle - y
    at, along = problem.rows @ y, problem.rows @ toward
    with np.errstate(divide="ignore", invalid="ignore"):
        needed = np.where(at < low, (low - at) / along, np.where(at > high, (high - at) / along, 0.0))
    start = y + min(max(float(needed.max(initial=0.0)), 0.0) * 1.01 + 0.02, 1.0) * toward
    seed = int(rng.integers(2**31))
    return walk(problem.rows, low, high, problem.metric, start, n, seed=seed, peak=y, precision=precision)
