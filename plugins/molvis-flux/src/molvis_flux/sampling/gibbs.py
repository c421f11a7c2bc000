"""Gibbs steps in a polytope under a uniform or a normal density: cheap, because nothing is simulated."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numba import njit

from molvis_core.ties import TIE, product, rounded
from molvis_flux.space.steady import steady_basis


def sample(
    rows: Float[np.ndarray, "c k"],
    low: Float[np.ndarray, " c"],
    high: Float[np.ndarray, " c"],
    metric: Float[np.ndarray, "k k"],
    start: Float[np.ndarray, " k"],
    n: int,
    *,
    seed: int,
    peak: Float[np.ndarray, " k"] | None = None,
    precision: Float[np.ndarray, "k k"] | None = None,
) -> Float[np.ndarray, "n k"]:
    """Draw from `low <= rows @ y <= high`, uniformly or under a normal density.

    Steps go along axes on which precision and metric are both diagonal, so that the density falls apart into one factor
    for each. The axes are rounded, so that the same seed gives the same draws on every machine.

    Args:
        rows: of the polytope.
        low: what they are at least.
        high: what they are at most.
        metric: 1 is about the polytope's size.
        start: a point inside.
        n: how many draws.
        seed: of the draws.
        peak: of the normal density.
        precision: of the normal density; without, it is flat.
    """
    k = len(start)
    if not k:
        return np.zeros((n, 0))
    rng = np.random.default_rng(seed)
    peak = start if peak is None else peak
    axes, curvature = diagonal_axes(metric, np.zeros((k, k)) if precision is None else precision)
    at = product(rows, start[:, None])[:, 0]
    drawn = _gibbs(
        np.ascontiguousarray(product(rows, axes).T), at - low, high - at, np.linalg.solve(axes, start - peak),
        curvature, n, 2 * k + 4, 100 * k + 400, rng,
    )  # fmt: skip
    return rng.permutation(peak + product(drawn, axes.T))


def diagonal_axes(
    metric: Float[np.ndarray, "k k"], precision: Float[np.ndarray, "k k"]
) -> tuple[Float[np.ndarray, "k k"], Float[np.ndarray, " k"]]:
    """Axes, as columns, on which a metric and a precision are both diagonal, and the precision on them."""
    factor = np.linalg.inv(np.linalg.cholesky(precision + metric)).T
    curvature, turn = np.linalg.eigh(factor.T @ precision @ factor)
    return rounded(factor @ _steady(curvature, turn)), np.maximum(curvature, 0.0)


def _steady(values: Float[np.ndarray, " k"], vectors: Float[np.ndarray, "k k"]) -> Float[np.ndarray, "k k"]:
    """Eigenvectors whose signs, and turns among equal eigenvalues, are not the processor's."""
    ends = np.flatnonzero(np.diff(values) > TIE * values[-1]) + 1
    return np.concatenate([steady_basis(some) for some in np.split(vectors, ends, axis=1)], axis=1)


@njit(cache=True, nogil=True)
def _gibbs(columns, below, above, start, curvature, n, thinning, burn, rng):
    at = start.copy()
    kept = np.empty((n, len(start)))
    for turn in range(-burn, n * thinning):
        _step(columns, below, above, at, curvature, rng)
        if turn >= 0 and (turn + 1) % thinning == 0:
            kept[(turn + 1) // thinning - 1] = at
    return kept


@njit(cache=True, nogil=True)
def walk(columns, below, above, at, curvature, steps, rng):
    """Some steps of many points, in place. The density under which they go is left as it is: they are reversible.

    Args:
        columns: the polytope's rows along each axis.
        below: how far the rows of each point are above the least that they may be.
        above: how far below the most.
        at: the points on the axes, 0 being the density's peak.
        curvature: of the density along each axis.
        steps: of each point.
        rng: of the steps.
    """
    for i in range(len(at)):
        for _ in range(steps):
            _step(columns, below[i], above[i], at[i], curvature, rng)


@njit(cache=True, nogil=True)
def _step(columns, below, above, at, curvature, rng):
    """Along one axis at a time; the normal density by a slice under it, so that no tail is too far.

    With the height u p(x), u uniform, the slice is |x| <= sqrt(x^2 - 2 log(u) / c) for the curvature c.
    Reference: Neal, Ann. Stat. 31 (2003) 705, doi:10.1214/aos/1056562461
    """
    j = rng.integers(0, len(at))
    low, high = -np.inf, np.inf
    for i in range(columns.shape[1]):
        slope = columns[j, i]
        if slope > 1e-14:
            high = min(high, max(above[i], 0.0) / slope)
            low = max(low, -max(below[i], 0.0) / slope)
        elif slope < -1e-14:
            high = min(high, -max(below[i], 0.0) / slope)
            low = max(low, max(above[i], 0.0) / slope)
    if curvature[j] > 1e-12:
        reach = np.sqrt(at[j] ** 2 - 2.0 * np.log(max(rng.random(), 1e-300)) / curvature[j])
        low, high = max(low, -reach - at[j]), min(high, reach - at[j])
    move = low + (high - low) * rng.random()
    at[j] += move
    for i in range(columns.shape[1]):
        below[i] += move * columns[j, i]
        above[i] -= move * columns[j, i]
