"""The exact posterior of many free fluxes: walkers brought to it from the neural posterior by least squares."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from molvis_flux.neural.estimator import Data, Estimator
from molvis_flux.neural.network import Mixture
from molvis_flux.sampling.importance import Draws, neural_draws

WALL = 0.2
"""Weight of the barrier that keeps least squares inside the space."""


class _Target:
    """The posterior over the copula's coordinates, of one sample."""

    def __init__(self, estimator: Estimator, data: Data) -> None:
        self.estimator, self.copula = estimator, estimator.copula
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

    def log_density(self, z: Float[np.ndarray, "s k"]) -> Float[np.ndarray, " s"]:
        """Up to a constant; minus infinity outside the space."""
        theta, out = self.copula.theta(z)
        inside = np.flatnonzero(np.isfinite(out))
        if len(inside):
            residuals = self.estimator.simulate(theta[inside])[:, self.there] * self.weights - self.measured
            out[inside] -= 0.5 * np.einsum("sd,sd->s", residuals, residuals)
        return out

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


def walk(
    estimator: Estimator,
    data: Data,
    posterior: Mixture,
    *,
    draws: int = 2000,
    walkers: int = 160,
    moves: int = 150,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Draws:
    """Draw from the posterior.

    Each walker starts from a draw of the neural posterior and is brought to the least-squares fit of data with noise of
    its own, under a prior of its own: where the simulation is linear such walkers are draws from the posterior
    (Bardsley et al., doi:10.1137/140964023), elsewhere they are near. Then they move along differences of each other in
    some of the coordinates, under the exact posterior (ter Braak and Vrugt, doi:10.1007/s11222-008-9104-9).

    Args:
        estimator: a trained one.
        data: of one sample.
        posterior: of that sample: one row.
        draws: to keep.
        walkers: side by side.
        moves: of each; the last two thirds are drawn from.
        seed: of the moves.
        progress: called with what is done of the moves.

    Returns:
        Equally weighted draws; how many they are worth is that of the coordinate that mixes worst, by the spread of
        the walkers' means.
    """
    rng = np.random.default_rng(seed)
    target = _Target(estimator, data)
    z = estimator.copula.normal(neural_draws(estimator, posterior, walkers, int(rng.integers(2**31)))[0])
    z = _scattered(target, np.clip(z, -3.0, 3.0), rng)
    p = target.log_density(z)
    lost = ~np.isfinite(p)
    if lost.any() and not lost.all():
        chosen = rng.choice(np.flatnonzero(~lost), int(lost.sum()))
        z[lost], p[lost] = z[chosen], p[chosen]
    halves = np.array_split(np.arange(walkers), 2)
    scale = 1.0
    kept: list[Float[np.ndarray, "w k"]] = []
    for move in range(moves):
        taken = 0
        for mine, others in (halves, halves[::-1]):
            trial = _trial(z[mine], z[others], scale, rng)
            there = target.log_density(trial)
            rows = mine[np.log(rng.random(len(mine))) < there - p[mine]]
            better = np.isin(mine, rows)
            z[rows], p[rows] = trial[better], there[better]
            taken += len(rows)
        if move < moves // 3:  # what adapts for ever need not arrive
            scale = float(np.clip(scale * np.exp(0.3 * (taken / walkers - 0.25)), 0.05, 2.0))
        else:
            kept.append(z.copy())
        if progress:
            progress(move + 1, moves)
    chains = np.stack(kept)
    between, spread = chains.mean(axis=0).var(axis=0, ddof=1), chains.var(axis=(0, 1), ddof=1)
    effective = float(min(walkers * (spread / np.maximum(between, 1e-300)).min(), len(chains) * walkers))
    rows = np.linspace(0, len(chains) * walkers - 1, draws).astype(int)
    theta, _ = estimator.copula.theta(chains.reshape(-1, z.shape[1])[rows])
    return Draws(theta, np.full(draws, 1 / draws), effective)


def _scattered(
    target: _Target, z: Float[np.ndarray, "s k"], rng: np.random.Generator, steps: int = 14
) -> Float[np.ndarray, "s k"]:
    """Least squares of each walker's own data and prior, by Levenberg and Marquardt."""
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
        # Beyond a step of 1.5 standard deviations of the prior the slopes say nothing.
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


def _trial(
    here: Float[np.ndarray, "n k"], others: Float[np.ndarray, "m k"], scale: float, rng: np.random.Generator
) -> Float[np.ndarray, "n k"]:
    """Steps along differences of two others, in a random part of the coordinates; now and then a whole difference."""
    n, k = here.shape
    a = rng.integers(len(others), size=n)
    b = (a + rng.integers(1, len(others), size=n)) % len(others)
    chosen = rng.random((n, k)) < rng.choice([0.1, 0.25, 0.5, 1.0], size=(n, 1))
    chosen[np.arange(n), rng.integers(k, size=n)] = True
    length = scale * 2.38 / np.sqrt(2 * chosen.sum(axis=1, keepdims=True)) * rng.uniform(0.5, 1.2, (n, 1))
    length = np.where(rng.random((n, 1)) < 0.05, 1.0, length)
    return here + chosen * (length * (others[a] - others[b]) + 1e-3 * rng.standard_normal((n, k)))
