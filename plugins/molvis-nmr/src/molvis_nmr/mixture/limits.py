"""How much of a compound that was not found there may be: the largest amount that nothing speaks against.

What a compound may have is what no other needs: the residual, all of what is itself in doubt, and what others have
beyond that to which their other multiplets bind them. Evidence is that of `matching`, in which a strong signal of
another shape says little; where the compound's shifts are not known, those count that leave it most room.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from jaxtyping import Float

from molvis_nmr.mixture.compounds import rows_of, wings
from molvis_nmr.mixture.matching import landscape
from molvis_nmr.mixture.responses import RESPONSE_SD, heights_of, readings
from molvis_nmr.mixture.selection import Search, offsets, weight_of

_LOSS = 2.5  # evidence that the largest amount may have less than the best: half of 1.645 squared if all were normal
_COARSE, _FINE = 40, 9  # amounts that are compared, and between two of them
_CLAIM = 0.012  # ppm about where a multiplet is expected
_OVERLAP = 0.02  # share of its highest point from which a compound claims a point


def free_signal(search: Search, i: int, doubted: Collection[int]) -> Float[np.ndarray, " t"]:
    """Signal of other compounds that compound `i` might have in their place."""
    fit = search.fit
    free = np.zeros(fit.mixture.axis.points)
    claimed = _claims(search, i)
    for k in fit.states:
        if k == i or k in search.fixed:
            continue
        if k in doubted:
            free += fit.signals[k]
        elif (fit.signals[k] * claimed).any():
            free += _not_vouched_for(search, k, claimed)
    return free


def _claims(search: Search, i: int) -> np.ndarray:
    """Points on which a compound may have signal, wherever its multiplets are."""
    fit = search.fit
    axis, frequency = fit.mixture.axis, fit.mixture.frequency
    commons, _ = offsets(search, known=True)
    claimed = np.zeros(axis.points, dtype=bool)
    for t in search.templates[i]:
        on = np.flatnonzero(t.shape > _OVERLAP * t.shape.max())
        reach = round(_CLAIM * frequency / axis.step)
        low = t.first + int(on[0]) + int(commons.mean()) - reach
        high = t.first + int(on[-1]) + int(commons.mean()) + reach + 1
        claimed[max(low, 0) : max(high, 0)] = True
    return claimed


def _not_vouched_for(search: Search, k: int, claimed: np.ndarray) -> Float[np.ndarray, " t"]:
    """What of a compound's signal on the claimed points its multiplets elsewhere do not vouch for."""
    fit = search.fit
    axis, state = fit.mixture.axis, fit.states[k]
    shapes = state.multiplets or fit.library[k].multiplets
    alone, error, excess = heights_of(fit, k, weight_of(search))
    drawn = []
    inside = np.zeros(len(shapes), dtype=bool)
    for m, multiplet in enumerate(shapes):
        reach = wings(alone[m] * multiplet.area, fit.shared.width, fit.floor)
        part, rows = rows_of(multiplet, axis, fit.shared, float(state.moved[m]), float(state.width[m]), reach)
        drawn.append((part, rows[0]))
        power = float((rows[0] ** 2).sum())
        inside[m] = power <= 0 or float((rows[0] ** 2 * claimed[part]).sum()) > 0.1 * power
    vouched = 0.0
    if not inside.all():
        amount, spread = readings(alone[~inside], error[~inside], excess[~inside])
        if np.isfinite(spread):
            vouched = max(amount - 1.645 * spread, 0.0)
    free = np.zeros(axis.points)
    for m, (part, shape) in enumerate(drawn):
        if inside[m]:
            free[part] += max(alone[m] - vouched, 0.0) * shape
    return free


def upper_limit(search: Search, i: int, doubted: Collection[int] = (), correlation: float = 1.0) -> float:
    """Amount of a compound that is not exceeded with a probability of 95%, in the fit's unit; infinite where the
    spectrum shows nothing of it.

    Args:
        search: at its end.
        i: place of the compound.
        doubted: places of others whose signal may be this one's.
        correlation: by how much neighbouring residuals make the variance of a mean larger.
    """
    fit = search.fit
    data = fit.residual() + free_signal(search, i, doubted)
    if i in fit.states:
        data = data + fit.signals[i]
    commons, prior = offsets(search, known=True)
    weight = weight_of(search, i if i in fit.states else None)
    seen = landscape(search.templates[i], fit.mixture.axis, fit.mixture.frequency, data, weight, commons)
    span = seen.span()
    if span is None:
        return float("inf")
    amounts = np.geomspace(*span, _COARSE)
    evidence = seen.evidence(amounts, prior, 1 / correlation)
    least = max(float(evidence.max()), 0.0) - _LOSS
    last = int(np.flatnonzero(evidence > least)[-1])
    if last + 1 < _COARSE:
        between = np.geomspace(amounts[last], amounts[last + 1], _FINE)
        held = np.flatnonzero(seen.evidence(between, prior, 1 / correlation) > least)
        return (1 + 1.645 * RESPONSE_SD) * float(between[held[-1] if len(held) else 0])
    return (1 + 1.645 * RESPONSE_SD) * float(amounts[last])
