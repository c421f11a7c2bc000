"""What the data alone say of the values at a fit, whatever the bounds are."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from jaxtyping import Bool, Float

from molvis_flux.fit.problem import FluxProblem

UNSEEN_REACH = 1e3
"""A coordinate that no datum sees has this standard deviation, in units of the fluxes' scale (or of 1)."""
SEEN_REACH = 0.05 * UNSEEN_REACH
"""A value whose standard deviation exceeds this, in the same units, is not seen: its own is infinite."""


@dataclass(frozen=True, eq=False, slots=True)
class Information:
    """Curvature of the sum of squares at a fit, without what bounds add. Axis v runs over values, k over coordinates.

    Attributes:
        scale: the size of net fluxes that the data determine: the median of those known to a factor of two.
        factor: of the coordinates' covariance to first order, `factor @ factor.T`, which is vast in directions that no
            datum sees.
        sd: standard deviation of each value in the coordinate in which it is about linear (`Coordinates.bend`);
            infinite where no datum sees it.
        known: whether a value is a constant of the network.
    """

    scale: float
    factor: Float[np.ndarray, "k k"]
    sd: Float[np.ndarray, " v"]
    known: Bool[np.ndarray, " v"]

    def sd_of(self, directions: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
        """Standard deviation of linear combinations of the coordinates."""
        return np.linalg.norm(directions @ self.factor, axis=1)


def information(
    problem: FluxProblem, values: Float[np.ndarray, " v"], jacobian: Float[np.ndarray, "m k"]
) -> Information:
    """What residuals and their derivatives at a fit say.

    A direction without information gets a very wide normal distribution instead of the polytope's, so that no user's
    bound is in the answer. Its width, and the scale, are those of the fluxes that are determined with or without it.
    """
    map_ = problem.map
    net = np.array([kind == "net" for kind, _ in map_.names])
    known = np.linalg.norm(map_.directions, axis=1) <= 1e-10
    sizes = np.abs(values[net & (np.abs(values) > 0)])
    scale = float(np.median(sizes)) if len(sizes) else 1.0
    factor, sd = np.zeros((jacobian.shape[1],) * 2), np.zeros(len(values))
    # With as many rows as columns at least there is a right singular vector for every direction, seen or not.
    rows = np.concatenate([jacobian, np.zeros((max(jacobian.shape[1] - len(jacobian), 0), jacobian.shape[1]))])
    special = [column for _, column, *_ in (*map_.bent, *map_.logs)]
    for _ in range(3):
        reach = np.full(jacobian.shape[1], UNSEEN_REACH * scale)
        reach[special] = UNSEEN_REACH
        # Seen and unseen directions differ by more than the digits of a matrix of second derivatives have.
        _, singular, right = np.linalg.svd(rows * reach, full_matrices=False)
        factor = reach[:, None] * right.T / np.hypot(singular, 1.0)
        sd = np.linalg.norm(map_.directions @ factor, axis=1)
        told = net & (sd < np.abs(values)) & (np.abs(values) > 0)
        better = float(np.median(np.abs(values[told]))) if told.any() else scale
        if abs(better - scale) <= 1e-6 * scale:
            break
        scale = better
    bent = [value for value, *_ in (*map_.bent, *map_.logs)]
    unit = np.full(len(values), scale)
    unit[bent] = 1.0
    return Information(scale, factor, np.where(sd > SEEN_REACH * unit, np.inf, sd), known)


def normal_reach(level: float) -> float:
    """Standard deviations on each side of a normal distribution's interval."""
    return NormalDist().inv_cdf((1 + level) / 2)


def deviations(covariance: Float[np.ndarray, "v v"]) -> Float[np.ndarray, " v"]:
    """Standard deviations of a covariance; 0 where rounding left a variance below it."""
    return np.sqrt(np.maximum(np.diag(covariance), 0.0))
