"""Draws from the posterior of fluxes: sequential Monte Carlo from the normal approximation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr, ndtri

from molvis_core.progress import StageProgress
from molvis_files.threads import one_thread
from molvis_flux.errors import FitError
from molvis_flux.sampling import effective_size, gibbs
from molvis_flux.sampling.interior import PolytopeWithMiddle
from molvis_flux.sampling.prior import exchange_start
from molvis_flux.sampling.room import room
from molvis_flux.space.coordinates import Coordinates, Name
from molvis_flux.space.flux_space import FluxSpace
from molvis_flux.space.polytope import LeastSquares

WIDER = 10.0
"""Particles start from the normal approximation with this many times its variance: from as wide as it is they do not
find what lies beyond it. On an E. coli model starts from the prior, which cost three times as much, end where these do,
and those from the approximation itself do not."""
LINES = 4
"""Rounds of regression for the normal approximation."""
MOVES = 5
"""Of each kind in a sweep."""
MEMORY, SWEEPS = 0.5, 20
"""The particles of a stage are moved until the correlation with where they were is this in every coordinate, or for so
many sweeps."""
LAST_MEMORY, LAST_SWEEPS = 0.15, 100
"""The same for the last stage, whose particles are the answer."""


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


@one_thread()
def posterior(
    problem: Likelihood,
    y: Float[np.ndarray, " k"],
    *,
    n: int = 1000,
    seed: int = 0,
    uniform_exchange: bool = False,
    progress: StageProgress | None = None,
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
        progress: called with thousandths of the way to the posterior, then with the sweeps of moves there, of which it
            is not known how many it takes until the particles forget.

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
        if progress and share < 1.0:
            progress(int(1000 * share), 1000, "draws, on the way to the posterior")
        evidence += population.select(step * gain)
        population.move(share, progress if share == 1.0 else None)
        stages += 1
    values = problem.map.values(scale.back(population.particles))
    return Posterior(problem.map.names, values, stages, population.accepted, float(evidence))


@one_thread()
def linear_draws(
    problem: Likelihood, y: Float[np.ndarray, " k"], *, n: int = 2000, seed: int = 0
) -> Float[np.ndarray, "n v"]:
    """Draws from the normal distribution that residuals linear in the coordinates give, cut to the polytope.

    The residuals are made linear over all that the data leave open instead of at the best fit: by regression on the
    coordinates of draws, which draw anew with the line that they gave, a few times over. Derivatives at one point are
    no guide where they change within the interval, as they do near a bound and wherever a flux is about nothing. Each
    round simulates some hundred flux vectors, and nothing else is fitted. Flat where the data see nothing.

    Reference: statistical linear regression, García-Fernández et al., doi:10.1109/TSP.2015.2454485, with a polytope.

    Args:
        problem: what was fitted.
        y: coordinates of the best fit.
        n: draws.
        seed: of the draws.
    """
    rng, scale = np.random.default_rng(seed), _Scale(problem, uniform=False)
    bridge = _Bridge(problem, scale, scale.to(y[None])[0])
    peak, precision, k = bridge.peak, bridge.precision, len(y)
    factor, count = np.linalg.cholesky(scale.metric), max(400, 6 * k)
    drawn = _truncated_normal(scale, peak, precision, count, rng)
    for turn in range(LINES if k else 0):
        middle = drawn.mean(axis=0)
        residuals = problem.residuals(scale.back(drawn), np.zeros(count, int))
        design = np.column_stack([np.ones(count), (drawn - middle) @ factor])
        ridge = np.diag([0.0] + [1e-6 * count] * k)
        line = np.linalg.solve(design.T @ design + ridge, design.T @ residuals)
        slope = (factor @ line[1:]).T
        precision = slope.T @ slope
        # A coordinate that the data do not see has its peak where the draws have their middle.
        peak = middle - np.linalg.solve(precision + 0.01 * scale.metric, slope.T @ line[0])
        last = turn == LINES - 1
        drawn = _truncated_normal(scale, peak, precision, n if last else count, rng, start=middle)
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
        self.precision, self.wider = slope.T @ slope / wider, wider

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
        self.accepted, self.length, self.steps = 0.0, 2.4 / np.sqrt(max(k, 1)), max(k / 2.0, 1.0)
        self.gibbs_axes = gibbs.diagonal_axes(bridge.scale.metric, bridge.precision) if k else (self.axes, np.zeros(0))
        self.gibbs_columns = np.ascontiguousarray((bridge.scale.rows @ self.gibbs_axes[0]).T)

    def select(self, log_weight: Float[np.ndarray, " n"]) -> float:
        """Draw the particles anew by their weights; returns the logarithm of the mean weight.

        Systematic: one uniform number for all particles (Kitagawa, doi:10.1080/10618600.1996.10474692).
        """
        n = len(self.particles)
        top = log_weight.max()
        weight = np.exp(log_weight - top)
        edges = np.cumsum(weight) / weight.sum()
        drawn = np.minimum(np.searchsorted(edges, (np.arange(n) + self.rng.random()) / n), n - 1)
        self.particles, self.from_, self.to = self.particles[drawn], self.from_[drawn], self.to[drawn]
        return float(top + np.log(weight.mean()))

    def move(self, share: float, progress: StageProgress | None = None) -> None:
        """Moves under the density that is `share` of the way over the bridge, until the particles forget.

        How many that takes depends on the network; too few leave what the first stage was too narrow for.
        """
        before, k = self.particles.copy(), self.particles.shape[1]
        keep, sweeps = (LAST_MEMORY, LAST_SWEEPS) if share == 1.0 else (MEMORY, SWEEPS)
        keep, self.accepted = max(keep, 3.0 / np.sqrt(len(before))), 0.0
        for sweep in range(sweeps if k else 0):
            if progress:
                progress(sweep, 0, "draws, sweeps until they forget where they were")
            self._sweep(share)
            if _memory(before, self.particles) <= keep:
                break

    def _sweep(self, share: float) -> None:
        """Some moves of each of three kinds, in turn.

        Along a random direction of the particles' spread; along an axis of the space, at any length: where few
        particles have been their spread is no guide; and by many steps of Gibbs under the normal approximation, which
        costs one simulation however many there are, and carries far where the data see nothing.
        """
        rng, rows, k = self.rng, self.bridge.scale.rows, self.particles.shape[1]
        factor = _factor(np.cov(self.particles.T).reshape(k, k))
        along_factor, along_axes = rows @ factor, self.axes @ rows.T
        inner, n = self.particles @ rows.T, len(self.particles)
        for _ in range(MOVES):
            free = rng.standard_normal((n, k))
            length = np.full(n, self.length)
            self.accepted = self._hit_and_run(share, inner, free @ factor.T, free @ along_factor.T, length)
            self.length = float(np.clip(self.length * np.exp(0.5 * (self.accepted - 0.35)), 1e-3, 30.0))
            axis = rng.integers(0, k, n)
            self._hit_and_run(share, inner, self.axes[axis], along_axes[axis], 10.0 ** rng.uniform(-3.0, 0.5, n))
            taken = self._gibbs(share, inner)
            self.steps = float(np.clip(self.steps * np.exp(0.5 * (taken - 0.35)), 1.0, 4.0 * k))

    def _hit_and_run(
        self,
        share: float,
        inner: Float[np.ndarray, "n c"],
        direction: Float[np.ndarray, "n k"],
        along: Float[np.ndarray, "n c"],
        length: Float[np.ndarray, " n"],
    ) -> float:
        """One step along each particle's direction, `along` in rows of the polytope; returns the share of taken ones.

        `inner` are the rows at the particles, and are kept up.
        """
        step, correction = _chord(self.bridge.scale, inner, along, length, self.rng)
        return self._choose(share, inner, step[:, None] * direction, step[:, None] * along, correction)

    def _gibbs(self, share: float, inner: Float[np.ndarray, "n c"]) -> float:
        """Steps of Gibbs under the normal approximation at this stage's width, taken or left as one."""
        bridge, scale = self.bridge, self.bridge.scale
        tight = (1.0 - share) + share * bridge.wider
        axes, curvature = self.gibbs_axes
        at = np.linalg.solve(axes, (self.particles - bridge.peak).T).T.copy()
        before, start = 0.5 * (at**2 * (tight * curvature)).sum(axis=1), at.copy()
        gibbs.walk(
            self.gibbs_columns, inner - scale.low, scale.high - inner, at, tight * curvature,
            round(self.steps), self.rng,
        )  # fmt: skip
        after, moved = 0.5 * (at**2 * (tight * curvature)).sum(axis=1), (at - start) @ axes.T
        return self._choose(share, inner, moved, moved @ scale.rows.T, after - before)

    def _choose(
        self,
        share: float,
        inner: Float[np.ndarray, "n c"],
        step: Float[np.ndarray, "n k"],
        along: Float[np.ndarray, "n c"],
        correction: Float[np.ndarray, " n"],
    ) -> float:
        """Take steps or leave them, by Metropolis and Hastings."""
        trial = self.particles + step
        a, b = self.bridge.normal(trial), self.bridge.target(trial)
        rise = (1.0 - share) * (a - self.from_) + share * (b - self.to) + correction
        taken = np.log(self.rng.random(len(rise))) < rise
        self.particles[taken], self.from_[taken], self.to[taken] = trial[taken], a[taken], b[taken]
        inner[taken] += along[taken]
        return float(taken.mean())


def _memory(before: Float[np.ndarray, "n k"], after: Float[np.ndarray, "n k"]) -> float:
    """Correlation of particles with where they were, of the coordinate that has forgotten least."""
    a, b = before - before.mean(axis=0), after - after.mean(axis=0)
    return float(((a * b).sum(axis=0) / np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0) + 1e-300)).max())


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
    at: Float[np.ndarray, "n c"],
    along: Float[np.ndarray, "n c"],
    length: Float[np.ndarray, " n"],
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """A normal step along each direction, cut where the polytope ends, and what the cut adds to its acceptance.

    Args:
        scale: of the coordinates.
        at: rows of the polytope at the particles.
        along: the same of the directions.
        length: of the steps.
        rng: of the steps.
    """
    ends_low, ends_high = room(at, along, scale.low, scale.high)
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
    *,
    start: Float[np.ndarray, " k"] | None = None,
) -> Float[np.ndarray, "n k"]:
    """Draws from a normal distribution cut to the polytope; `start` is a point inside where the peak is not."""
    # The best fit may lie on a face: a chain leaves it only from a little inside.
    start = peak + 0.02 * (scale.middle - peak) if start is None else start
    seed = int(rng.integers(2**31))
    return gibbs.sample(
        scale.rows, scale.low, scale.high, scale.metric, start, n, seed=seed, peak=peak, precision=precision
    )
