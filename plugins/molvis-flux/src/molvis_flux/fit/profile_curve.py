"""The sum of squares with one value held, all others refitted: the curve whose ends are a profile interval."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from molvis_flux.errors import FitError
from molvis_flux.fit.intervals import coordinate_covariance, ranges, slope_at
from molvis_flux.fit.levenberg_marquardt import minimise
from molvis_flux.fit.problem import FluxProblem

_HOLDS = (30.0, 1e3, 3e4)
"""How firmly a fit is held, in inverse standard deviations: at once as firmly as in the end it would hardly move."""


def profile_at(
    problem: FluxProblem, best: Float[np.ndarray, " k"], least: float, row: int, values: Float[np.ndarray, " p"]
) -> Float[np.ndarray, " p"]:
    """How much the sum of squares rises where a value is held at each of some places.

    Every place is a lane, fitted from the best fit and then from the ends of the lanes beside it, of which the lowest
    counts.

    Args:
        problem: what was fitted.
        best: coordinates of the best fit.
        least: its sum of squares.
        row: of the value.
        values: where to hold it.

    Raises:
        FitError: the network fixes the value, or a place is beyond its range.
    """
    name, direction, (low, high) = "/".join(problem.map.names[row]), problem.map.directions[row], ranges(problem)[row]
    if np.linalg.norm(direction) <= 1e-10:
        raise FitError(f"{name} is fixed by the network at {float(low):.6g}; it has no profile")
    slack = 1e-9 * (1.0 + abs(low) + abs(high))
    outside = values[~((values >= low - slack) & (values <= high + slack))]
    if len(outside):
        raise FitError(f"{name} cannot be {outside[0]:.6g}: the constraints allow {low:.6g} to {high:.6g}")
    if not len(values):
        return np.zeros(0)
    order = np.argsort(values, kind="stable")
    targets = np.asarray(problem.map.bend(row, values[order]), float)
    spread = coordinate_covariance(problem, slope_at(problem, best))
    deviation = max(float(np.sqrt(max(direction @ spread @ direction, 0.0))), 1e-12)
    directions = np.tile(direction, (len(values), 1))
    found, rise = _held(problem, directions, targets, deviation, np.tile(best, (len(values), 1)))
    for side in (1, -1):
        beside = np.clip(np.arange(len(values)) + side, 0, len(values) - 1)
        again, other = _held(problem, directions, targets, deviation, found[beside])
        better = other < rise
        found[better], rise[better] = again[better], other[better]
    out = np.empty(len(values))
    out[order] = np.maximum(rise - least, 0.0)
    return out


def _held(
    problem: FluxProblem,
    directions: Float[np.ndarray, "p k"],
    targets: Float[np.ndarray, " p"],
    deviation: float,
    starts: Float[np.ndarray, "p k"],
) -> tuple[Float[np.ndarray, "p k"], Float[np.ndarray, " p"]]:
    """Fits with the value held more and more firmly: coordinates, and sums of squares without what holds them."""
    y = starts
    ssr = np.zeros(len(targets))
    for hold in _HOLDS:
        pins = (directions, targets, np.full(len(targets), hold / deviation))
        ended = minimise(replace(problem, pins=pins), y, limit=60, tolerance=1e-7)
        y, ssr = ended.y, (ended.residuals[:, :-1] ** 2).sum(axis=1)
    return y, ssr
