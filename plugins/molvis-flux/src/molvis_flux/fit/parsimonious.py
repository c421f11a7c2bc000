"""Parsimonious fluxes: of all that the data allow, those with the least total flux."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from molvis_flux.errors import FitError
from molvis_flux.fit.information import normal_reach
from molvis_flux.fit.levenberg_marquardt import Price, minimise
from molvis_flux.fit.multistart import FluxResult
from molvis_flux.fit.problem import FluxProblem
from molvis_flux.space.coordinates import Name


@dataclass(frozen=True, eq=False, slots=True)
class Parsimonious:
    """The least total flux that the data allow.

    Attributes:
        names, values: as in the fit.
        total: sum of the absolute net fluxes and the exchange fluxes.
        total_of_fit: the same of the best fit.
        ssr: sum of squared residuals.
        limit: the largest that was allowed.
    """

    names: tuple[Name, ...]
    values: Float[np.ndarray, " v"]
    total: float
    total_of_fit: float
    ssr: float
    limit: float


def parsimonious(result: FluxResult, *, level: float = 0.9, rounds: int = 4) -> Parsimonious:
    """Lower the total flux until the sum of squares has risen to its chi-square limit.

    The limit is the fit's own sum plus the quantile of chi-square with one degree of freedom, so that the fluxes stay
    as probable as those at the ends of their intervals. Fits under growing prices of a unit of flux run side by side.

    Reference: Foguet et al., PLoS Comput. Biol. 15 (2019) e1007310, doi:10.1371/journal.pcbi.1007310

    Raises:
        FitError: `level` is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise FitError(f"the level must be between 0 and 1, got {level}")
    problem, best = result.least_squares, result.y[0]
    limit = result.ssr + normal_reach(level) ** 2
    price_of, before = _slopes(problem, best), _total(problem, best)
    size = np.sqrt(max(float(price_of @ np.linalg.solve(problem.metric, price_of)), 1e-300))
    prices = np.logspace(-4, 3, 24) / size
    low, y, lowest = best, best, before
    for _ in range(rounds):
        start = np.tile(low, (len(prices), 1))
        found = minimise(problem, start, cost=Price(prices[:, None] * _slopes(problem, low)), tolerance=1e-6)
        allowed = found.ssr <= limit
        totals = np.array([_total(problem, point) for point in found.y])
        for point, total in zip(found.y[allowed], totals[allowed], strict=True):
            if total < lowest - 1e-9 * before:
                lowest, y = total, point
        inside, outside = prices[allowed], prices[~allowed]
        low = y
        if not len(inside) or not len(outside) or inside.max() >= outside.min():
            prices = prices * (0.1 if not len(inside) else 10.0)
        else:
            prices = np.geomspace(inside.max(), outside.min(), len(prices))
    residuals = problem.residuals(y[None], np.zeros(1, int))[0]
    values = problem.map.values(y[None])[0]
    return Parsimonious(problem.map.names, values, float(lowest), float(before), float(residuals @ residuals), limit)


def _fluxes(problem: FluxProblem) -> int:
    return len(problem.space.parameters)


def _total(problem: FluxProblem, y: Float[np.ndarray, " k"]) -> float:
    return float(np.abs(problem.map.values(y[None])[0, : _fluxes(problem)]).sum())


def _slopes(problem: FluxProblem, y: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """Of the total flux; a flux at 0 counts as positive."""
    signs = np.where(problem.map.values(y[None])[0, : _fluxes(problem)] < 0, -1.0, 1.0)
    return (signs @ problem.map.directions[: _fluxes(problem)]) * problem.map.slopes(y[None])[0]
