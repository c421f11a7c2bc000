"""Importance sampling: draws from a proposal, weighed so that they stand for a target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float

from molvis_flux.sampling import effective_size

LogDensity = Callable[[Float[np.ndarray, "s k"]], Float[np.ndarray, " s"]]

_ROUNDS = 8
"""Of population Monte Carlo, at most."""
_KERNELS = 400
"""In a proposal, at most."""


class Proposal(Protocol):
    """A density that is easy to draw from."""

    def sample(self, count: int) -> Float[np.ndarray, "s k"]:
        """Draws."""
        ...

    def log_density(self, z: Float[np.ndarray, "s k"]) -> Float[np.ndarray, " s"]:
        """Normalised."""
        ...


@dataclass(frozen=True, eq=False, slots=True)
class Draws:
    """Weighted draws.

    Attributes:
        points: where they are.
        weight: of each; they sum to one.
        effective: how many independent draws they are worth.
    """

    points: Float[np.ndarray, "s k"]
    weight: Float[np.ndarray, " s"]
    effective: float


def equal_draws(points: Float[np.ndarray, "s k"], effective: float | None = None) -> Draws:
    """Draws of equal weight; worth their number where nothing else is known."""
    count = len(points)
    return Draws(points, np.full(count, 1 / count), float(count) if effective is None else effective)


@dataclass(frozen=True, eq=False, slots=True)
class _Kernels:
    """Normal distributions of one covariance about several centers, all as likely."""

    centers: Float[np.ndarray, "c k"]
    factor: Float[np.ndarray, "k k"]

    def sample(self, count: int, rng: np.random.Generator) -> Float[np.ndarray, "s k"]:
        chosen = self.centers[rng.integers(len(self.centers), size=count)]
        return chosen + rng.standard_normal((count, chosen.shape[1])) @ self.factor.T

    def log_density(self, z: Float[np.ndarray, "s k"]) -> Float[np.ndarray, " s"]:
        inverse = np.linalg.inv(self.factor)
        a, b = z @ inverse.T, self.centers @ inverse.T
        distance = (a**2).sum(axis=1)[:, None] - 2 * a @ b.T + (b**2).sum(axis=1)
        top = distance.min(axis=1, keepdims=True)
        near = np.log(np.exp(-0.5 * (distance - top)).mean(axis=1)) - 0.5 * top[:, 0]
        return near - np.log(np.diag(self.factor)).sum() - 0.5 * z.shape[1] * np.log(2 * np.pi)


def sample(
    target: LogDensity,
    proposal: Proposal,
    *,
    draws: int,
    enough: float,
    rng: np.random.Generator,
) -> Draws:
    """Draws from a proposal, weighed by the target's density over the proposal's.

    Where they are worth too little, kernels about the better ones make a new proposal, a few times over (population
    Monte Carlo: Cappé et al., doi:10.1198/106186004X12803). The first proposal keeps a share of every later one.

    Args:
        target: logarithm of the density, up to a constant; minus infinity outside its support. It is about the standard
            normal distribution where nothing is known.
        proposal: to begin with.
        draws: of a round.
        enough: effective draws with which to stop.
        rng: of the draws.
    """
    share = draws // 10
    z = proposal.sample(draws)
    # Wherever the proposal is wrong there is still the standard normal distribution.
    z[:share] = rng.standard_normal((share, z.shape[1]))
    log_proposed = np.logaddexp(np.log(0.9) + proposal.log_density(z), np.log(0.1) + _standard_normal(z))
    log_weight = target(z) - log_proposed
    best = _weighed(z, log_weight)
    for _ in range(_ROUNDS):
        if best.effective >= enough:
            break
        kernels = _adapted(z, log_weight, min(_KERNELS, draws // 4), rng)
        z = kernels.sample(draws, rng)
        z[:share] = proposal.sample(share)
        log_proposed = np.logaddexp(np.log(0.9) + kernels.log_density(z), np.log(0.1) + proposal.log_density(z))
        log_weight = target(z) - log_proposed
        best = max(best, _weighed(z, log_weight), key=lambda draws: draws.effective)
    return best


def _standard_normal(z: Float[np.ndarray, "s k"]) -> Float[np.ndarray, " s"]:
    return -0.5 * (z**2).sum(axis=1) - 0.5 * z.shape[1] * np.log(2 * np.pi)


def _adapted(
    z: Float[np.ndarray, "s k"], log_weight: Float[np.ndarray, " s"], count: int, rng: np.random.Generator
) -> _Kernels:
    """Kernels about some of the better draws, of the bandwidth that suits a normal target (Silverman's rule)."""
    k = z.shape[1]
    weight = effective_size.tempered(log_weight, max(40.0, 8.0 * k))
    center = weight @ z
    spread = (z - center).T @ ((z - center) * weight[:, None]) + 1e-12 * np.eye(k)
    width = ((k + 2) / 4 * min(effective_size.of_weights(weight), count)) ** (-1 / (k + 4))
    centers = z[rng.choice(len(z), count, p=weight)]
    # Shrunk towards their mean, kernels have the spread of what they stand for:
    # West, J. R. Stat. Soc. B 55 (1993) 409, doi:10.1111/j.2517-6161.1993.tb01911.x.
    centers = center + np.sqrt(max(0.0, 1 - width**2)) * (centers - center)
    return _Kernels(centers, np.linalg.cholesky(spread) * width)


def _weighed(points: Float[np.ndarray, "s k"], log_weight: Float[np.ndarray, " s"]) -> Draws:
    top = log_weight.max()
    weight = np.exp(log_weight - top) if np.isfinite(top) else np.ones(len(log_weight))
    weight /= weight.sum()
    return Draws(points, weight, effective_size.of_weights(weight) if np.isfinite(top) else 0.0)


def resampled(weight: Float[np.ndarray, " s"], count: int) -> list[int]:
    """Which of some weighted draws make `count` equally weighted ones, by their order and without chance."""
    edges = np.cumsum(weight)
    chosen = np.searchsorted(edges / edges[-1], (np.arange(count) + 0.5) / count)
    return np.minimum(chosen, len(weight) - 1).tolist()


def quantiles(
    values: Float[np.ndarray, "s v"], weight: Float[np.ndarray, " s"], levels: tuple[float, ...]
) -> Float[np.ndarray, "l v"]:
    """Quantiles of weighted draws."""
    order = np.argsort(values, axis=0, kind="stable")
    ordered = np.take_along_axis(values, order, axis=0)
    mass = weight[order]
    middle = np.cumsum(mass, axis=0) - 0.5 * mass
    return np.stack([np.interp(levels, middle[:, i], ordered[:, i]) for i in range(values.shape[1])], axis=1)
