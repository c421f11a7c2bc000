"""Coordinates in which sampled fluxes are about normal: where the neural estimator's posterior lives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from molvis_flux.sampling.prior import blocks, exchange_start, logarithmic
from molvis_flux.space.flux_space import FluxSpace


@dataclass(frozen=True, eq=False, slots=True)
class Copula:
    """A monotone map of each coordinate of a flux space, after which its prior is the standard normal distribution.

    What the data cannot see is then a standard normal posterior, which a mixture of normal distributions holds exactly.
    Axis k runs over the coordinates, q over quantiles.

    Attributes:
        knots: quantiles of each coordinate's prior at even levels, from 0 to 1; of its logarithm where `logs`.
        logs: coordinates whose logarithm is uniform: exchange fluxes.
        g, h: half-spaces `g @ theta <= h` that a coordinate may still violate.
    """

    knots: Float[np.ndarray, "k q"]
    logs: Bool[np.ndarray, " k"]
    g: Float[np.ndarray, "c k"]
    h: Float[np.ndarray, " c"]

    def __len__(self) -> int:
        return len(self.knots)

    def normal(self, theta: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
        """Coordinates of the flux space to normal ones."""
        from scipy.special import ndtri

        levels = np.linspace(0, 1, self.knots.shape[1])
        z = np.empty_like(theta)
        for j, knots in enumerate(self.knots):
            x = np.log(np.maximum(theta[:, j], 1e-300)) if self.logs[j] else theta[:, j]
            z[:, j] = ndtri(np.clip(np.interp(x, knots, levels), 1e-9, 1 - 1e-9))
        return z

    def theta(self, z: Float[np.ndarray, "n k"]) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, " n"]]:
        """Normal coordinates to those of the flux space, and the logarithm of the prior's density over them.

        The density is over the normal coordinates, up to a constant, and minus infinity outside the space.
        """
        from scipy.special import ndtr

        steps = self.knots.shape[1] - 1
        u = ndtr(z) * steps
        cell = np.clip(u.astype(int), 0, steps - 1)
        theta, log_prior = np.empty_like(z), -0.5 * (z**2).sum(axis=1)
        for j, knots in enumerate(self.knots):
            width = np.diff(knots)[cell[:, j]]
            x = knots[cell[:, j]] + (u[:, j] - cell[:, j]) * width
            theta[:, j] = np.exp(x) if self.logs[j] else x
            log_prior += np.log(width * steps)
        log_prior[(theta @ self.g.T > self.h).any(axis=1)] = -np.inf
        return theta, log_prior

    def slopes(self, z: Float[np.ndarray, "n k"]) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, "n k"]]:
        """Coordinates of the flux space, and their derivatives with respect to the normal ones."""
        from scipy.special import ndtr

        theta, _ = self.theta(z)
        steps = self.knots.shape[1] - 1
        cell = np.clip((ndtr(z) * steps).astype(int), 0, steps - 1)
        width = np.take_along_axis(np.diff(self.knots, axis=1).T, cell, axis=0) * steps
        slope = width * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
        return theta, np.where(self.logs, slope * theta, slope)


def fit_copula(
    space: FluxSpace, values: Float[np.ndarray, "n v"], *, smallest_exchange: float | None = None, quantiles: int = 65
) -> Copula:
    """The map for a space, from draws of its fluxes by `molvis_flux.sampling.prior.sample`.

    Args:
        space: of the fluxes.
        values: draws.
        smallest_exchange: as it was for the draws.
        quantiles: knots of the map of each coordinate.
    """
    free = list(space.free)
    theta = space.coordinates(values)
    logs = logarithmic(space)
    alone = {block[0] for block in blocks(space) if len(block) == 1}
    levels = np.linspace(0, 1, quantiles)
    knots = np.empty((len(free), quantiles))
    for j, row in enumerate(free):
        low, high = space.ranges[row]
        if logs[j]:
            knots[j] = np.linspace(np.log(exchange_start(space, row, smallest_exchange)), np.log(high), quantiles)
        elif j in alone:
            knots[j] = np.linspace(low, high, quantiles)
        else:
            inner = np.quantile(theta[:, j], levels)
            inner[[0, -1]] = low, high
            least = 1e-9 * (high - low)
            knots[j] = np.minimum(np.maximum.accumulate(inner) + least * np.arange(quantiles), high + least * quantiles)
    g, h = space.halfspaces
    slack = 1e-9 * (1 + np.abs(h))
    # A bound on one coordinate is kept by the knots themselves.
    coupled = (np.abs(g) > 1e-12).sum(axis=1) > 1
    return Copula(knots, logs, g[coupled], (h + slack)[coupled])
