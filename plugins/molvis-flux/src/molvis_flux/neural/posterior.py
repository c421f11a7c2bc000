"""The posterior of one sample: as the network has it, and the exact one that its draws are brought to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float

from molvis_core.progress import Progress
from molvis_flux.neural.estimator import Data, Estimator
from molvis_flux.neural.network import Mixture
from molvis_flux.sampling import ensemble, importance
from molvis_flux.sampling.importance import Draws

WALL = 0.2
"""Weight of the barrier that keeps least squares inside the space."""

Belief = Callable[[Float[np.ndarray, "s k"]], Float[np.ndarray, " s"]]
"""Logarithm of a density over coordinates of the space that multiplies the prior."""


def neural_draws(estimator: Estimator, posterior: Mixture, n: int, seed: int) -> Float[np.ndarray, "b n k"]:
    """Draws from the neural posterior that lie in the space of fluxes, a batch for each row.

    Draws outside are replaced by some that are inside; where there are none they are pulled towards the middle.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.inference_mode():
        z = posterior.sample(2 * n, generator).double().numpy()
    space, rng = estimator.space, np.random.default_rng(seed)
    out = np.empty((len(z), n, z.shape[2]))
    g, h = space.halfspaces
    for i, draws in enumerate(z):
        theta, prior = estimator.copula.theta(draws)
        inside = np.flatnonzero(np.isfinite(prior))
        if len(inside) >= n:
            out[i] = theta[inside[:n]]
        elif len(inside) >= n // 4:
            out[i] = theta[np.concatenate([inside, rng.choice(inside, n - len(inside))])]
        else:
            away = theta[:n] - space.center
            reach = np.maximum(((away @ g.T) / np.maximum(h - g @ space.center, 1e-300)).max(axis=1), 1.0)
            out[i] = space.center + away * (0.999 / reach)[:, None]
    return out


class ExactPosterior:
    """Likelihood times prior of one sample, over the coordinates in which the prior is the standard normal.

    Args:
        estimator: a trained one.
        data: of the sample.
        belief: about the coordinates of the space, beyond the prior.
    """

    def __init__(self, estimator: Estimator, data: Data, belief: Belief | None = None) -> None:
        self.estimator, self.copula, self.belief = estimator, estimator.copula, belief
        self.there = np.flatnonzero(data.there)
        self.weights = 1 / data.sd[self.there]
        self.measured = data.values[self.there] * self.weights
        space = estimator.space
        count = len(space.reactions)
        self.net = space.basis[:count]
        self.exchange = np.zeros_like(self.net)
        self.exchange[[space.reactions.index(name) for _, name in space.parameters[count:]]] = space.basis[count:]
        fluxes = [part for part in estimator.measurements if part.kind != "mid"]
        self.fluxes = space.basis[[space.index[part.kind, part.target] for part in fluxes]]

    def __call__(self, z: Float[np.ndarray, "s k"]) -> Float[np.ndarray, " s"]:
        """Logarithm of the density, up to a constant; minus infinity outside the space."""
        theta, out = self.copula.theta(z)
        inside = np.flatnonzero(np.isfinite(out))
        if len(inside):
            residuals = self.estimator.simulate(theta[inside])[:, self.there] * self.weights - self.measured
            out[inside] -= 0.5 * np.einsum("sd,sd->s", residuals, residuals)
            if self.belief is not None:
                out[inside] += self.belief(theta[inside])
        return out

    def in_space(self, found: Draws) -> Draws:
        """Draws in coordinates of the space."""
        return replace(found, points=self.copula.theta(found.points)[0])

    def least_squares(
        self, z: Float[np.ndarray, "s k"], shift: Float[np.ndarray, "s m"], center: Float[np.ndarray, "s k"]
    ) -> tuple[Float[np.ndarray, " s"], Float[np.ndarray, "s k"], Float[np.ndarray, "s k k"]]:
        """Cost, gradient and Gauss-Newton Hessian: shifted data, a prior about `center`, and a barrier."""
        estimator, copula = self.estimator, self.copula
        theta, slope = copula.slopes(z)
        values = estimator.space.values(theta)
        found, change = estimator.plan.tangents(
            *estimator.space.net_and_exchange(values), self.net, self.exchange, dtype=np.float32
        )
        if len(self.fluxes):
            found = np.concatenate([found, estimator.simulate(theta)[:, found.shape[1] :]], axis=1)
            change = np.concatenate([change, np.broadcast_to(self.fluxes, (len(z), *self.fluxes.shape))], axis=1)
        residuals = found[:, self.there] * self.weights - self.measured + shift
        jacobian = (change[:, self.there] * self.weights[:, None] * slope[:, None]).astype(np.float32)
        room = copula.h - theta @ copula.g.T
        wall = np.sqrt(WALL) * copula.g / np.where(room > 0, room, np.inf)[:, :, None] * slope[:, None]
        cost = 0.5 * (residuals**2).sum(axis=1) + 0.5 * ((z - center) ** 2).sum(axis=1)
        cost -= WALL * np.log(np.maximum(room, 1e-300)).sum(axis=1)
        cost[(room <= 0).any(axis=1)] = np.inf
        gradient = np.matmul(residuals[:, None].astype(np.float32), jacobian)[:, 0] + z - center
        gradient = gradient + np.sqrt(WALL) * wall.sum(axis=1)
        hessian = np.matmul(jacobian.transpose(0, 2, 1), jacobian) + np.matmul(wall.transpose(0, 2, 1), wall)
        return cost, gradient, hessian + np.eye(z.shape[1])


@dataclass(frozen=True, eq=False, slots=True)
class _Widened:
    """The neural posterior of one sample, somewhat wider, as a proposal."""

    mixture: Mixture
    generator: torch.Generator

    def sample(self, count: int) -> Float[np.ndarray, "s k"]:
        with torch.inference_mode():
            return self.mixture.sample(count, self.generator)[0].numpy()

    def log_density(self, z: Float[np.ndarray, "s k"]) -> Float[np.ndarray, " s"]:
        with torch.inference_mode():
            return self.mixture.log_prob_of(torch.from_numpy(z)[None])[0].numpy()


def weigh(
    estimator: Estimator,
    data: Data,
    posterior: Mixture,
    *,
    draws: int = 2000,
    enough: float = 400,
    seed: int = 0,
    belief: Belief | None = None,
) -> Draws:
    """Draws from the neural posterior, weighed by the exact likelihood and the prior, in coordinates of the space.

    Args:
        estimator: a trained one.
        data: of one sample.
        posterior: of that sample: one row.
        draws: of a round.
        enough: effective draws with which to stop.
        seed: of the draws.
        belief: about the coordinates of the space, beyond the prior.
    """
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    wide = Mixture(posterior.log_weight.double(), posterior.mean.double(), posterior.precision.double() / 1.2)
    exact = ExactPosterior(estimator, data, belief)
    found = importance.sample(exact, _Widened(wide, generator), draws=draws, enough=enough, rng=rng)
    return exact.in_space(found)


def ensemble_draws(
    estimator: Estimator,
    data: Data,
    posterior: Mixture,
    *,
    draws: int = 2000,
    chains: int = 160,
    moves: int = 150,
    seed: int = 0,
    progress: Progress | None = None,
) -> Draws:
    """Draws from the exact posterior of many free fluxes, by an ensemble of chains that starts near it.

    Each chain starts from a draw of the neural posterior, moved to the least-squares fit of data with noise of its own,
    under a prior of its own (randomize-then-optimize: Bardsley et al., doi:10.1137/140964023): where the simulation is
    linear such points are draws from the posterior, elsewhere they are near. Then the chains move under the exact
    posterior, by differential evolution (`molvis_flux.sampling.ensemble`).

    Args:
        estimator: a trained one.
        data: of one sample.
        posterior: of that sample: one row.
        draws: to keep.
        chains: side by side.
        moves: of each; the last two thirds are drawn from.
        seed: of the moves.
        progress: called with what is done of the moves.

    Returns:
        Equally weighted draws in coordinates of the space.
    """
    rng = np.random.default_rng(seed)
    exact = ExactPosterior(estimator, data)
    z = estimator.copula.normal(neural_draws(estimator, posterior, chains, int(rng.integers(2**31)))[0])
    z = _scattered(exact, np.clip(z, -3.0, 3.0), rng)
    return exact.in_space(ensemble.sample(exact, z, draws=draws, moves=moves, rng=rng, progress=progress))


def _scattered(
    target: ExactPosterior, z: Float[np.ndarray, "s k"], rng: np.random.Generator, steps: int = 14
) -> Float[np.ndarray, "s k"]:
    """Least squares of each chain's own data and prior: randomize-then-optimize, by Levenberg and Marquardt.

    Not `molvis_flux.fit.levenberg_marquardt`: the space is no polytope in these coordinates, and Marquardt's damping of
    each coordinate by its own curvature brings more chains to their minimum than one metric for all (effective draws of
    a small network: 1,100 against 200 to 500).
    """
    shift = rng.standard_normal((len(z), len(target.there)))
    center = rng.standard_normal(z.shape)
    z, eye = z.copy(), np.eye(z.shape[1])
    outside = ~np.isfinite(target.least_squares(z, shift, center)[0])
    for _ in range(10):  # towards the prior's middle until inside
        if not outside.any():
            break
        z[outside] *= 0.7
        outside[outside] = ~np.isfinite(target.least_squares(z[outside], shift[outside], center[outside])[0])
    cost, gradient, hessian = target.least_squares(z, shift, center)
    damping, active = np.full(len(z), 1e-1), np.isfinite(cost)
    for _ in range(steps):
        rows = np.flatnonzero(active)
        if not len(rows):
            break
        damped = hessian[rows] + damping[rows, None, None] * (hessian[rows] * eye)
        step = -np.linalg.solve(damped, gradient[rows][..., None])[..., 0]
        # Beyond a step of 1.5 standard deviations of the prior the slopes are no guide.
        step *= np.minimum(1.0, 1.5 / np.maximum(np.abs(step).max(axis=1, keepdims=True), 1e-300))
        trial = np.clip(z[rows] + step, -4.0, 4.0)
        fresh, slope, curvature = target.least_squares(trial, shift[rows], center[rows])
        better = fresh < cost[rows]
        settled = better & (cost[rows] - fresh < 0.05)
        taken = rows[better]
        z[taken], cost[taken] = trial[better], fresh[better]
        gradient[taken], hessian[taken] = slope[better], curvature[better]
        damping[rows] = np.clip(np.where(better, damping[rows] / 6, damping[rows] * 6), 1e-8, 1e8)
        active[rows] = ~settled & (damping[rows] < 1e6)
    return z
