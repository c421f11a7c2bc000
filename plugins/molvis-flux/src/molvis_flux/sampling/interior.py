"""Points inside the polytope of a fit, and what measures steps there."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from jaxtyping import Float

from molvis_flux.sampling import gibbs
from molvis_flux.space.coordinates import Coordinates
from molvis_flux.space.flux_space import FluxSpace
from molvis_flux.space.polytope import Polytope


class PolytopeWithMiddle(Polytope, Protocol):
    """A polytope, and a point well inside."""

    @property
    def middle(self) -> Float[np.ndarray, " k"]:
        """The point."""
        ...


def middle(map_: Coordinates, space: FluxSpace) -> Float[np.ndarray, " k"]:
    """A point well inside: of the flux space its own; exchange fluxes, weights and pools halfway."""
    start = np.zeros(map_.basis.shape[1])
    start[: len(space)] = space.center
    for value, column, *_ in (*map_.bent, *map_.logs):
        start[column] = map_.bend(value, map_.bounds[value]).mean()
    drawn = gibbs.sample(map_.rows, map_.low, map_.high, barrier(map_, start), start, 20 * len(start) + 20, seed=0)
    return drawn.mean(axis=0)


def barrier(map_: Coordinates, center: Float[np.ndarray, " k"]) -> Float[np.ndarray, "k k"]:
    """Hessian of the logarithmic barrier: 1 is about the size of the polytope."""
    k = len(center)
    at = map_.rows @ center
    width = np.where(np.isfinite(map_.low) & np.isfinite(map_.high), map_.high - map_.low, np.inf)
    least = 1e-6 * np.where(np.isfinite(width), width, 1.0)
    curvature = 1.0 / np.maximum(at - map_.low, least) ** 2 + 1.0 / np.maximum(map_.high - at, least) ** 2
    found = map_.rows.T @ (curvature[:, None] * map_.rows)
    return found + 1e-12 * np.trace(found) / max(k, 1) * np.eye(k)


def starting_points(polytope: PolytopeWithMiddle, n: int, seed: int) -> Float[np.ndarray, "n k"]:
    """Points spread over the polytope, to start a fit from."""
    given = (polytope.rows, polytope.low, polytope.high, polytope.metric, polytope.middle)
    return gibbs.sample(*given, n, seed=seed)
