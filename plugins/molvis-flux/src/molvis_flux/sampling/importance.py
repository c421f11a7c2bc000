"""Draws from the neural posterior, and from the exact one by weighing them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from molvis_flux.neural.estimator import MISSING, Data, Estimator
from molvis_flux.neural.network import Mixture

SURE = 1e-3
"""Chance of a sum of squares this large under which data are flagged."""


@dataclass(frozen=True, eq=False, slots=True)
class Draws:
    """Weighted draws from a posterior.

    Attributes:
        theta: coordinates of the space.
        weight: of each; they sum to one.
        effective: how many independent draws they are worth.
    """

    theta: Float[np.ndarray, "s k"]
    weight: Float[np.ndarray, " s"]
    effective: float


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


def weigh(
    estimator: Estimator,
    data: Data,
    posterior: Mixture,
    *,
    draws: int = 2000,
    wanted: float = 400,
    seed: int = 0,
    belief: Callable[[Float[np.ndarray, "s k"]], Float[np.ndarray, " s"]] | None = None,
) -> Draws:
    """Importance sampling: draws from the neural posterior, weighed by the exact likelihood and the prior.

    Where they are worth too little, kernels about the better ones make a new proposal, a few times over (population
    Monte Carlo: Cappé et al., doi:10.1198/106186004X12803). The neural posterior keeps a share of every proposal.

    Args:
        estimator: a trained one.
        data: of one sample.
        posterior: of that sample: one row.
        draws: of a round.
        wanted: effective draws with which to stop.
        seed: of the draws.
        belief: logarithm of a density over coordinates that multiplies the prior.
    """
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    k = len(estimator.copula)
    wide = Mixture(posterior.log_weight.double(), posterior.mean.double(), posterior.precision.double() / 1.2)
    weights = np.where(data.there, 1 / data.sd, 0.0)
    measured = data.values * weights

    def target(z: Float[np.ndarray, "s k"]) -> tuple[Float[np.ndarray, "s k"], Float[np.ndarray, " s"]]:
        theta, out = estimator.copula.theta(z)
        inside = np.flatnonzero(np.isfinite(out))
        if len(inside):
            residuals = estimator.simulate(theta[inside]) * weights - measured
            out[inside] -= 0.5 * np.einsum("sd,sd->s", residuals, residuals)
            if belief is not None:
                out[inside] += belief(theta[inside])
        return theta, out

    def prior(z: Float[np.ndarray, "s k"]) -> Float[np.ndarray, " s"]:
        return -0.5 * (z**2).sum(axis=1) - 0.5 * k * np.log(2 * np.pi)

    def neural(z: Float[np.ndarray, "s k"]) -> Float[np.ndarray, " s"]:
        with torch.inference_mode():
            return wide.log_prob_of(torch.from_numpy(z)[None])[0].numpy()

    share = draws // 10
    with torch.inference_mode():
        z = wide.sample(draws, generator)[0].numpy()
    # Wherever the network is wrong there is still the prior.
    z[:share] = rng.standard_normal((share, k))
    density = np.logaddexp(np.log(0.9) + neural(z), np.log(0.1) + prior(z))
    theta, log_p = target(z)
    best = _normalised(theta, log_p - density)
    for _ in range(8):
        if best.effective >= wanted:
            break
        tempered = _tempered(log_p - density, max(40.0, 8.0 * k))
        center = tempered @ z
        spread = (z - center).T @ ((z - center) * tempered[:, None]) + 1e-12 * np.eye(k)
        count = min(400, draws // 4)
        worth = 1 / (tempered**2).sum()
        width = ((k + 2) / 4 * min(worth, count)) ** (-1 / (k + 4))
        kernels = z[rng.choice(len(z), count, p=tempered)]
        # Shrunk towards their mean, kernels have the spread of what they stand for (West, 1993).
        kernels = center + np.sqrt(max(0.0, 1 - width**2)) * (kernels - center)
        factor = np.linalg.cholesky(spread) * width
        fresh = kernels[rng.integers(count, size=draws)] + rng.standard_normal((draws, k)) @ factor.T
        with torch.inference_mode():
            fresh[:share] = wide.sample(share, generator)[0].numpy()
        inverse = np.linalg.inv(factor)
        a, b = fresh @ inverse.T, kernels @ inverse.T
        distance = (a**2).sum(axis=1)[:, None] - 2 * a @ b.T + (b**2).sum(axis=1)
        top = distance.min(axis=1, keepdims=True)
        near = np.log(np.exp(-0.5 * (distance - top)).mean(axis=1)) - 0.5 * top[:, 0]
        near -= np.log(np.diag(factor)).sum() + 0.5 * k * np.log(2 * np.pi)
        z, density = fresh, np.logaddexp(np.log(0.9) + near, np.log(0.1) + neural(fresh))
        theta, log_p = target(z)
        found = _normalised(theta, log_p - density)
        best = max(best, found, key=lambda draws: draws.effective)
    return best


def _normalised(theta: Float[np.ndarray, "s k"], log_weight: Float[np.ndarray, " s"]) -> Draws:
    top = log_weight.max()
    weight = np.exp(log_weight - top) if np.isfinite(top) else np.ones(len(log_weight))
    weight /= weight.sum()
    return Draws(theta, weight, float(1 / (weight**2).sum()) if np.isfinite(top) else 0.0)


def _tempered(log_weight: Float[np.ndarray, " s"], wanted: float) -> Float[np.ndarray, " s"]:
    """Weights to the largest power, at most 1, that leaves as many effective draws as wanted."""
    relative = log_weight - log_weight.max()
    low, high = 0.0, 1.0
    for _ in range(40):
        power = high if low == 0.0 and high == 1.0 else (low + high) / 2
        weight = np.exp(power * relative)
        enough = weight.sum() ** 2 / (weight**2).sum() >= wanted
        if enough and power == 1.0:
            break
        low, high = (power, high) if enough else (low, power)
    weight = np.exp((low or high) * relative)
    return weight / weight.sum()


def quantiles(
    values: Float[np.ndarray, "s v"], weight: Float[np.ndarray, " s"], levels: tuple[float, ...]
) -> Float[np.ndarray, "l v"]:
    """Quantiles of weighted draws."""
    order = np.argsort(values, axis=0, kind="stable")
    ordered = np.take_along_axis(values, order, axis=0)
    mass = weight[order]
    middle = np.cumsum(mass, axis=0) - 0.5 * mass
    return np.stack([np.interp(levels, middle[:, i], ordered[:, i]) for i in range(values.shape[1])], axis=1)


def widened(
    estimator: Estimator, values: Float[np.ndarray, "s v"], missing: float, level: float, *, walked: bool = False
) -> tuple[Float[np.ndarray, " v"], Float[np.ndarray, "v 2"]]:
    """Medians of draws, neural or of walkers, and intervals calibrated for a share of missing measurements."""
    low, middle, high = np.quantile(values, [(1 - level) / 2, 0.5, (1 + level) / 2], axis=0)
    table = estimator.calibration.get(f"walkers/{level:g}" if walked else f"{level:g}")
    if table is not None:
        factor = np.array([np.interp(missing, MISSING, table[:, i]) for i in range(table.shape[1])])
        low, high = middle - factor * (middle - low), middle + factor * (high - middle)
    ranges = estimator.space.ranges
    return middle, np.clip(np.stack([low, high], axis=1), ranges[:, :1], ranges[:, 1:])
