"""Draws from the posterior of fluxes: sequential Monte Carlo from the normal approximation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr, ndtri

from molvis_core.progress import Progress
from molvis_flux.errors import FitError
from molvis_flux.sampling import effective_size, gibbs
from molvis_flux.sampling.interior import PolytopeWithMiddle
from molvis_flux.sampling.prior import exchange_start
from molvis_flux.space.coordinates import Coordinates, Name
from molvis_flux.space.flux_space import FluxSpace
from molvis_flux.space.polytope import LeastSquares

WIDER = 10.0
"""Particles start from the normal approximation with this many times its variance: from as wide as it is they do not
find what lies beyond it. On an E. coli model starts from the prior, which cost three times as much, end where these do,
and those from the approximation itself do not."""


class Likelihood(PolytopeWithMiddle, LeastSquares, Protocol):
    """Residuals over a polytope of fluxes, mixing weights and pools."""

    @property
    def map(self) -> Coordinates:
        """From coordinates to values."""
        ...

    @property
    def space(self) -> FluxSpace:
        """Of the fluxes."""
        ...


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
    problem: Likelihood,
    y: Float[np.ndarray, " k"],
    *,
    n: int = 1000,
    seed: int = 0,
    uniform_exchange: bool = False,
    progress: Progress | None = None,
) -> Posterior:
    """Draw from likelihood times prior: net fluxes uniform, exchange fluxes uniform in their logarithm, as `sample`.

    Particles start from the normal approximation at the best fit, made wider and cut to the polytope: flat where the
    data see nothing. From there the target is changed in stages to the posterior, a geometric mean of both densities at
    each. At each stage the particles are weighted, resampled, and moved by hit-and-run (sequential Monte Carlo: Del
    Moral, Doucet and Jasra, doi:10.1111/j.1467-9868.2006.00553.x).

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
        raise FitError(f"n must be at least 2 draws, got {n}")
    rng = np.random.default_rng(seed)
    scale = _Scale(problem, uniform_exchange)
    bridge = _Bridge(problem, scale, scale.to(y[None])[0], wider=WIDER)
    population = _Population(bridge, _truncated_normal(scale, bridge.peak, bridge.precision, n, rng), rng)
    share, stages, evidence = 0.0, 1, 0.0
    while share < 1.0:
        gain = population.to - population.from_
        step = _next(gain, 1.0 - share)
        share = 1.0 if step >= 1.0 - share else share + step
        if progress:
            progress(int(1000 * share), 1000)
        evidence += population.select(step * gain)
        population.move(share)
        stages += 1
    values = problem.map.values(scale.back(population.particles))
    return Posterior(problem.map.names, values, stages, population.accepted, float(evidence))


def normal_draws(
    problem: Likelihood, y: Float[np.ndarray, " k"], *, n: int = 2000, seed: int = 0
) -> Float[np.ndarray, "n v"]:
    """Draws from the normal approximation at the best fit, cut to the polytope: flat where the data see nothing.

    Nothing is simulated for them, so that they cost next to nothing; `posterior` starts from such.

    Args:
        problem: what was fitted.
        y: coordinates of the best fit.
        n: draws.
        seed: of the draws.
    """
    scale = _Scale(problem, uniform=False)
    bridge = _Bridge(problem, scale, scale.to(y[None])[0])
    drawn = _truncated_normal(scale, bridge.peak, bridge.precision, n, np.random.default_rng(seed))
    return problem.map.values(scale.back(drawn))


class _Bridge:
    """Two densities: the normal approximation p_0 at the best fit, and p_1, likelihood times prior.

    Stage t of sequential Monte Carlo has the density p_0^(1-t) p_1^t, so that particles that go from stage t to t' get
    the weights (p_1 / p_0)^(t'-t).

    Args:
        problem: what was fitted.
        scale: of the coordinates.
        peak: coordinates of the best fit.
        wider: what the normal approximation's variances are multiplied by.
    """

    def __init__(
        self, problem: Likelihood, scale: _Scale, peak: Float[np.ndarray, " k"], *, wider: float = 1.0
    ) -> None:
        self.problem, self.scale, self.peak = problem, scale, peak
        inner = scale.back(peak[None])
        slope = problem.jacobian(inner, np.zeros(1, int))[1][0] * scale.slopes(inner)
        self.precision = slope.T @ slope / wider

    def normal(self, at: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
        """Logarithm of the first, up to a constant."""
        return -0.5 * np.einsum("nk,nk->n", (at - self.peak) @ self.precision, at - self.peak)

    def target(self, at: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
        """Logarithm of the second, up to a constant."""
        r = self.problem.residuals(self.scale.back(at), np.zeros(len(at), int))
        return np.nan_to_num(-0.5 * np.einsum("nm,nm->n", r, r), nan=-np.inf) + self.scale.log_prior(at)


class _Population:
    """Particles between the two densities of a bridge."""

    def __init__(self, bridge: _Bridge, particles: Float[np.ndarray, "n k"], rng: np.random.Generator) -> None:
        self.bridge, self.rng, self.particles = bridge, rng, particles
        self.from_, self.to = bridge.normal(particles), bridge.target(particles)
        k = particles.shape[1]
        self.axes = np.linalg.inv(np.linalg.cholesky(bridge.scale.metric)) if k else np.zeros((0, 0))
        self.factor, self.accepted = np.zeros((k, k)), 0.0

    def select(self, log_weight: Float[np.ndarray, " n"]) -> float:
        """Draw the particles anew by their weights; returns the logarithm of the mean weight.

        Systematic: one uniform number for all particles (Kitagawa, doi:10.1080/10618600.1996.10474692).
        """
        n, k = self.particles.shape
        top = log_weight.max()
        weight = np.exp(log_weight - top)
        self.factor = _factor(np.cov(self.particles.T, aweights=weight).reshape(k, k))
        edges = np.cumsum(weight) / weight.sum()
        drawn = np.minimum(np.searchsorted(edges, (np.arange(n) + self.rng.random()) / n), n - 1)
        self.particles, self.from_, self.to = self.particles[drawn], self.from_[drawn], self.to[drawn]
        return float(top + np.log(weight.mean()))

    def move(self, share: float) -> None:
        """Hit-and-run under the density that is `share` of the way over the bridge."""
        rng, (n, k) = self.rng, self.particles.shape
        length, self.accepted = 2.4 / np.sqrt(max(k, 1)), 0.0
        moves = (3 * k + 8) * (3 if share == 1.0 else 1) if k else 0
        for move in range(moves):
            if move and move % (k + 1) == 0:
                self.factor = _factor(np.cov(self.particles.T).reshape(k, k))
            # Two moves of three go as the particles spread; one goes along an axis of the space, at any length: where
            # few particles have been, their spread is no guide.
            wide = move % 3 == 2
            if wide:
                direction, far = self.axes[rng.integers(0, k, n)], 10.0 ** rng.uniform(-3.0, 0.5, n)
            else:
                direction, far = rng.standard_normal((n, k)) @ self.factor.T, np.full(n, length)
            step, correction = _chord(self.bridge.scale, self.particles, direction, far, rng)
            trial = self.particles + step[:, None] * direction
            a, b = self.bridge.normal(trial), self.bridge.target(trial)
            rise = (1.0 - share) * (a - self.from_) + share * (b - self.to) + correction
            taken = np.log(rng.random(n)) < rise
            self.particles[taken], self.from_[taken], self.to[taken] = trial[taken], a[taken], b[taken]
            if not wide:
                self.accepted = float(taken.mean())
                length = float(np.clip(length * np.exp(0.5 * (self.accepted - 0.35)), 1e-3, 30.0))


def _factor(spread: Float[np.ndarray, "k k"]) -> Float[np.ndarray, "k k"]:
    """Cholesky factor of a covariance that may lack directions."""
    k = len(spread)
    return np.linalg.cholesky(spread + (1e-12 * np.trace(spread) / max(k, 1) + 1e-300) * np.eye(k))


class _Scale:
    """Coordinates in which exchange fluxes have their logarithm, so that their prior is flat."""

    def __init__(self, problem: Likelihood, uniform: bool) -> None:
        map_ = problem.map
        self.rows, self.low, self.high = problem.rows, problem.low.copy(), problem.high.copy()
        self.columns = np.array([column for _, column, _ in map_.bent], int)
        self.uniform, self.metric = uniform, problem.metric.copy()
        for value, column, b in map_.bent:
            start = exchange_start(problem.space, value, 1e-6 * b if uniform else None)
            alone = np.flatnonzero((map_.rows[:, column] != 0) & ((map_.rows != 0).sum(axis=1) == 1))
            z = np.clip([max(self.low[alone].max(), start / (start + b)), self.high[alone].min()], 1e-12, 1 - 1e-12)
            low, high = np.log(z / (1 - z))
            self.low[alone], self.high[alone] = low, high
            self.metric[column], self.metric[:, column] = 0.0, 0.0
            self.metric[column, column] = 8.0 / (high - low) ** 2
        self.middle = self.to(problem.middle[None])[0]

    def to(self, y: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
        """From the coordinates of a fit."""
        out, z = y.copy(), np.clip(y[:, self.columns], 1e-12, 1 - 1e-12)
        out[:, self.columns] = np.log(z / (1 - z))
        # The least exchange flux of the prior is more than none.
        alone = (self.rows != 0).sum(axis=1) == 1
        for row in np.flatnonzero(alone):
            column = int(np.flatnonzero(self.rows[row])[0])
            if column in self.columns:
                out[:, column] = np.clip(out[:, column], self.low[row], self.high[row])
        return out

    def back(self, u: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
        """To the coordinates of a fit."""
        out = u.copy()
        out[:, self.columns] = 1.0 / (1.0 + np.exp(-u[:, self.columns]))
        return out

    def slopes(self, y: Float[np.ndarray, "1 k"]) -> Float[np.ndarray, " k"]:
        """Of `back` at a point of the fit's coordinates."""
        out = np.ones(y.shape[1])
        out[self.columns] = y[0, self.columns] * (1 - y[0, self.columns])
        return out

    def log_prior(self, u: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
        """Up to a constant."""
        return u[:, self.columns].sum(axis=1) if self.uniform else np.zeros(len(u))


def _next(gain: Float[np.ndarray, " n"], left: float) -> float:
    """The largest step after which the particles are worth half of their number."""

    def worth(step: float) -> float:
        return effective_size.of_log_weights(step * gain) / len(gain)

    if worth(left) >= 0.5:
        return left
    a, b = 0.0, left
    for _ in range(40):
        middle = (a + b) / 2
        a, b = (middle, b) if worth(middle) >= 0.5 else (a, middle)
    return max(a, 1e-6 * left)


def _chord(
    scale: _Scale,
    particles: Float[np.ndarray, "n k"],
    direction: Float[np.ndarray, "n k"],
    length: Float[np.ndarray, " n"],
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """A normal step along each direction, cut where the polytope ends, and what the cut adds to its acceptance."""
    along = direction @ scale.rows.T
    at = particles @ scale.rows.T
    with np.errstate(divide="ignore", invalid="ignore"):
        one, two = (scale.low - at) / along, (scale.high - at) / along
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
    scale: _Scale,
    peak: Float[np.ndarray, " k"],
    precision: Float[np.ndarray, "k k"],
    n: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, "n k"]:
    """Draws from the normal distribution at the best fit, cut to the polytope."""
    # The best fit may lie on a face: a chain leaves it only from a little inside.
    start = peak + 0.02 * (scale.middle - peak)
    seed = int(rng.integers(2**31))
    return gibbs.sample(
        scale.rows, scale.low, scale.high, scale.metric, start, n, seed=seed, peak=peak, precision=precision
    )
