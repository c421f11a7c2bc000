"""How the intensities of a compound's multiplets agree: one amount for all, unless a signal of no compound lies on one.

A multiplet answers a little more or less than its protons say (relaxation, suppression of water). A signal that the
library lacks can only add to it. Where such signals are likely, an excess is cheap and a deficit is not, so that the
amount follows the multiplets that nothing adds to, and its error the ways in which they can be read.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from molvis_nmr.mixture.axis import Axis
from molvis_nmr.mixture.compounds import State, rows_of, wings
from molvis_nmr.mixture.model import MixtureFit

RESPONSE_SD = 0.06
"""By which responses of multiplets scatter."""
_FREEDOM = 5.0  # degrees of freedom of Student's t
_RARE, _OFTEN = 0.03, 0.6  # probability of an excess without signals of no compound nearby, and among strong ones
_EXCESS = 1.0  # mean excess, relative to the amount
_GRID = 121
_CORE = 0.3796  # density of Student's t of five degrees of freedom at its middle


def excess_probability(strength: Float[np.ndarray, " m"], height: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    """That a signal of no compound lies on a multiplet, by how strong such signals are beside it."""
    return _RARE + _OFTEN * strength / (strength + np.maximum(height, 1e-30))


def _densities(r: np.ndarray, sd: np.ndarray, excess: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of a response that only scatters, and of one with an excess."""
    scatter = (1 - excess) * _CORE / sd * (1 + (r / sd) ** 2 / _FREEDOM) ** (-(_FREEDOM + 1) / 2)
    added = np.where(r > 0, excess / _EXCESS * np.exp(-np.maximum(r, 0.0) / _EXCESS), 0.0)
    return scatter, added


def precision(r: Float[np.ndarray, " m"], excess: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    """Of the normal distribution that pulls a response as its prior does."""
    scatter, added = _densities(r, np.full(len(r), RESPONSE_SD), excess)
    share = scatter / (scatter + added)
    core = (_FREEDOM + 1) / (_FREEDOM * RESPONSE_SD**2 + r**2)
    return share * core + (1 - share) / _EXCESS / np.maximum(r, 0.3 * RESPONSE_SD)


def heights_of(
    fit: MixtureFit, i: int, weight: Float[np.ndarray, " t"]
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """Of a compound's multiplets, the amount that each would have alone, that amount's standard error, and the
    probability of an excess.
    """
    axis: Axis = fit.mixture.axis
    state: State = fit.states[i]
    shapes = state.multiplets or fit.library[i].multiplets
    unknown = np.broadcast_to(np.asarray(fit.unknown), (axis.points,))
    alone = state.amount * (1 + state.response)
    error, strength, height = np.full(len(shapes), np.inf), np.zeros(len(shapes)), np.zeros(len(shapes))
    for k, m in enumerate(shapes):
        reach = wings(alone[k] * m.area, fit.shared.width, fit.floor)
        part, rows = rows_of(m, axis, fit.shared, float(state.moved[k]), float(state.width[k]), reach)
        shape = rows[0]
        some = shape > 0.2 * shape.max(initial=0.0)
        power = float((weight[part] * shape**2).sum())
        if power > 0:
            error[k] = 1 / np.sqrt(power)
        if some.any():
            strength[k] = float(unknown[part][some].max())
            height[k] = state.amount * float(shape.mean(where=some))
    return alone, error, excess_probability(strength, height)


def readings(
    alone: Float[np.ndarray, " m"], error: Float[np.ndarray, " m"], excess: Float[np.ndarray, " m"]
) -> tuple[float, float]:
    """The amount that multiplets agree on, and its standard deviation over all ways to read them.

    Args:
        alone: amount of each multiplet by itself.
        error: its standard error; infinite where the spectrum does not show it.
        excess: probability that another signal lies on it.
    """
    seen = np.isfinite(error) & (alone > 0)
    if not seen.any():
        return float(np.mean(alone)), float("inf")
    h, e, p = alone[seen], error[seen], excess[seen]
    margin = 1 + 3 * RESPONSE_SD + np.minimum(2 * e / h, 2.0)
    low, high = float((h / margin).min()), float((h * margin).max())
    grid = np.exp(np.linspace(np.log(low), np.log(high), _GRID))
    r = h / grid[:, None] - 1
    sd = np.sqrt(RESPONSE_SD**2 + (e / grid[:, None]) ** 2)
    scatter, added = _densities(r, sd, np.broadcast_to(p, r.shape))
    # The density of a height is that of its response over the amount.
    logarithm = np.log(scatter + added + 1e-300).sum(axis=1) - len(h) * np.log(grid)
    weight = np.exp(logarithm - logarithm.max())
    weight /= weight.sum()
    best = float(grid[int(logarithm.argmax())])
    return best, float(np.sqrt((weight * (grid - best) ** 2).sum()))


def agree(fit: MixtureFit, weight: Float[np.ndarray, " t"]) -> dict[int, float]:
    """Give each compound the amount that its multiplets agree on, in place; the spectrum stays as it is.

    Returns:
        Standard deviation of each amount over the ways in which its multiplets can be read.
    """
    spread: dict[int, float] = {}
    for i, state in fit.states.items():
        alone, error, excess = heights_of(fit, i, weight)
        amount, spread[i] = readings(alone, error, excess)
        state.excess = excess
        if len(alone) == 1:
            amount = float(alone[0])
        if amount > 0:
            state.amount, state.response = amount, alone / amount - 1
    return spread
