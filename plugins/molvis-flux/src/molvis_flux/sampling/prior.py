"""Draws from what a network allows: net fluxes uniform, exchange fluxes uniform in their logarithm."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from molvis_core.ties import product, rounded
from molvis_files.writing import write_text
from molvis_flux.sampling.hit_and_run import hit_and_run
from molvis_flux.space.flux_space import FluxSpace


def sample(
    space: FluxSpace, n: int, seed: int = 0, *, smallest_exchange: float | None = None
) -> Float[np.ndarray, "n v"]:
    """Draw fluxes from a space: net fluxes uniformly, exchange fluxes uniformly in their logarithm.

    Exchange fluxes that constraints tie to others are drawn with them, uniformly.

    Args:
        space: where to draw.
        n: how many.
        seed: the same seed gives the same draws.
        smallest_exchange: where the logarithm of exchange fluxes begins, if their lower bound is less. By default a
            thousandth of the largest flux through the reaction, or of its upper bound if that is less.

    Raises:
        ValueError: `n` or `smallest_exchange` is not positive.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    if smallest_exchange is not None and smallest_exchange <= 0:
        raise ValueError(f"smallest_exchange must be a positive number, got {smallest_exchange}")
    rng = np.random.default_rng(seed)
    theta = np.empty((n, len(space)))
    logs = logarithmic(space)
    for block in blocks(space):
        row = space.free[block[0]]
        low, high = space.ranges[row]
        if len(block) > 1:
            theta[:, block] = _hit_and_run(space, block, n, rng)
        elif logs[block[0]]:
            start = exchange_start(space, row, smallest_exchange)
            theta[:, block[0]] = np.exp(rng.uniform(np.log(start), np.log(high), n))
        else:
            theta[:, block[0]] = rng.uniform(low, high, n)
    return np.clip(space.values(theta), space.lower, space.upper)


@dataclass(frozen=True, slots=True)
class FluxRange:
    """What a flux may be.

    Attributes:
        name: its path, such as `net/pgi`.
        low, high: least and most.
        q05, q50, q95: quantiles of draws.
        free: it is a coordinate of the space.
    """

    name: str
    low: float
    high: float
    q05: float
    q50: float
    q95: float
    free: bool


def summary(space: FluxSpace, values: Float[np.ndarray, "n v"]) -> list[FluxRange]:
    """Range and quantiles of each flux of some draws."""
    cuts = np.quantile(values, [0.05, 0.5, 0.95], axis=0).T
    return [
        FluxRange("/".join(parameter), float(low), float(high), float(a), float(b), float(c), i in space.free)
        for i, (parameter, (low, high), (a, b, c)) in enumerate(zip(space.parameters, space.ranges, cuts, strict=True))
    ]


def write_fluxes(path: Path | str, space: FluxSpace, values: Float[np.ndarray, "n v"]) -> None:
    """Draws as CSV, a column for each flux, named as `net/pgi`.

    Raises:
        WriteError: the file cannot be written; what was there before is kept.
    """
    lines = [",".join(f'"{kind}/{name}"' if "," in name else f"{kind}/{name}" for kind, name in space.parameters)]
    lines += [",".join(f"{x:.9g}" for x in row) for row in values]
    write_text(Path(path), "\n".join(lines) + "\n")


def logarithmic(space: FluxSpace) -> Bool[np.ndarray, " k"]:
    """Which coordinates are exchange fluxes that no constraint ties to another coordinate."""
    logs = np.zeros(len(space), dtype=bool)
    for block in blocks(space):
        logs[block] = len(block) == 1 and space.parameters[space.free[block[0]]][0] == "exchange"
    return logs


def exchange_start(space: FluxSpace, row: int, smallest: float | None = None) -> float:
    """Where the logarithmic scale of an exchange flux begins: its lower bound where that is positive."""
    low, high = space.ranges[row]
    net = space.index["net", space.parameters[row][1]]
    usual = 1e-3 * (float(np.abs(space.ranges[net]).max()) or high)
    return float(max(low, min(usual if smallest is None else smallest, 0.5 * high)))


def blocks(space: FluxSpace) -> list[list[int]]:
    """Coordinates that share a half-space, together."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    g, _ = space.halfspaces
    touched = (np.abs(g) > 1e-12).astype(float)
    count, label = connected_components(csr_array(touched.T @ touched + np.eye(len(space))), directed=False)
    return [np.flatnonzero(label == i).tolist() for i in range(count)]


def _hit_and_run(space: FluxSpace, block: list[int], n: int, rng: np.random.Generator) -> np.ndarray:
    """Uniform draws of some coordinates, by coordinate hit-and-run in a rounded body.

    Pilot runs give the covariance that rounds the body; a draw is kept every few sweeps, and their order is shuffled.
    The same seed gives the same draws on every machine, because no chain depends on the last digits of a BLAS.
    """
    g, h = space.halfspaces
    mine = (np.abs(g[:, block]) > 1e-12).any(axis=1)
    g, h = np.ascontiguousarray(g[mine][:, block]), h[mine]
    k = len(block)
    low, high = space.ranges[[space.free[i] for i in block]].T
    point, shape = space.center[block], np.diag(high - low)

    def drawn(n: int, thinning: int) -> np.ndarray:
        start = h - product(g, point[:, None])[:, 0]
        return point + product(hit_and_run(product(g, shape), start, np.zeros(k), n, thinning, rng), shape.T)

    for _ in range(6):
        draws = drawn(max(400, 40 * k), 4 * k)
        spread = np.cov(draws.T)
        before = np.linalg.inv(shape) @ spread @ np.linalg.inv(shape).T
        point = draws[len(draws) // 2 :].mean(axis=0)
        shape = rounded(np.linalg.cholesky(spread + 1e-14 * np.trace(spread) / k * np.eye(k)))
        if np.linalg.cond(before) < 10:
            break
    return rng.permutation(drawn(n, 4 * k + k * k // 4))
