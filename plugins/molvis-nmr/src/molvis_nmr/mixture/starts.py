"""Other starts for compounds that explain their signals badly, one at a time, all else as it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from molvis_nmr.mixture.axis import Axis
from molvis_nmr.mixture.compounds import CompoundState, Spins
from molvis_nmr.mixture.engine import MixtureFit, begin, descend, mixture_of


def explore(fit: MixtureFit, broadening: float, seed: int, enough: float = 0.06) -> MixtureFit:
    """Look for better shifts and couplings of compounds whose residuals are large.

    Only the stretch of the spectrum that is explained worst is looked at, and the multiplets there.

    Args:
        fit: of all compounds.
        broadening: in Hz.
        seed: of the starts that are drawn.
        enough: share of the squared signal below which the residual is small.
    """
    signals, mixture = fit.signals(), fit.mixture
    for i, compound in enumerate(fit.compounds):
        if not isinstance(compound, Spins):
            continue
        off = mixture.target(0.0) - signals.sum(axis=0) - fit.baseline()
        stretch = _worst(fit, signals[i], off, enough)
        if stretch is None:
            continue
        # As many as take about the same time, whatever the size.
        starts = int(np.clip(2000 / np.prod(compound.system.multiplicity + 1.0), 2, 32))
        random = np.random.default_rng([seed, i])
        found = _elsewhere(fit, i, stretch, (off + signals[i])[stretch], broadening, random, starts)
        fit = replace(fit, states=(*fit.states[:i], found, *fit.states[i + 1 :]))
        signals[i] = found.amount * mixture.axis.back((fit.transform(i) * fit.transfer(0.0))[None])[0]
    return fit


def _worst(
    fit: MixtureFit, signal: Float[np.ndarray, " t"], off: Float[np.ndarray, " t"], enough: float
) -> slice | None:
    """Where a compound's signals are explained worst, weighted by its own part in them; None if nowhere badly."""
    axis, mixture = fit.mixture.axis, fit.mixture
    inside = np.flatnonzero(mixture.mask & (signal > 0.02 * signal.max()))
    if not len(inside) or signal.max() <= 0:
        return None
    runs = np.split(inside, np.flatnonzero(np.diff(inside) * axis.step > 0.15 * mixture.frequency) + 1)
    wrong = [(signal[run] * np.abs(off[run])).sum() for run in runs]
    worst = runs[int(np.argmax(wrong))]
    if max(wrong) < enough * (signal[worst] ** 2).sum():
        return None
    margin = round(20 / axis.step)
    return slice(max(0, worst[0] - margin), min(axis.points, worst[-1] + margin + 1))


def _elsewhere(
    fit: MixtureFit,
    i: int,
    stretch: slice,
    y: Float[np.ndarray, " s"],
    broadening: float,
    random: np.random.Generator,
    starts: int,
) -> CompoundState:
    """The best state of one compound on a stretch of the spectrum, from its own and from others."""
    compound, state, whole = fit.compounds[i], fit.states[i], fit.mixture
    assert isinstance(compound, Spins)
    axis = Axis(float(whole.axis.hertz[stretch.start]), whole.axis.step, len(y), whole.axis.average)
    place = state.shift * whole.frequency
    seen = (place > axis.start) & (place < axis.hertz[-1])
    there = replace(
        compound,
        shifts=np.where(seen, compound.shifts, state.shift),
        window=np.where(seen, compound.window, 1e-4),
    )
    mixture = mixture_of(axis, y, whole.frequency, np.inf, whole.noise, whole.mask[stretch])
    flat = np.zeros(mixture.splines.shape[1])
    alone = replace(
        begin(mixture, y, [there]),
        states=(state,), base=flat, width=fit.width, kernel=fit.kernel,
        floor=fit.floor, model_error=fit.model_error, response_sd=fit.response_sd,
    )  # fmt: skip
    target = mixture.target(broadening)[mixture.mask]
    deviation = alone.sigma(broadening)
    best, found = np.inf, state
    for number in range(starts + 1):
        alone = replace(alone, width=fit.width, base=flat)
        if number:
            alone = replace(alone, states=(there.other(found, random, whole.frequency),))
            for wide, most in ((6 * broadening, 4), (2 * broadening, 4)):
                aim = mixture.target(wide)[mixture.mask]
                alone = descend(alone, wide, True, most, aim, alone.sigma(wide)).fit
        point = descend(alone, broadening, True, 6, target, deviation)
        alone = point.fit
        cost = point.cost_of(target, 1 / deviation**2)
        if cost < 0.97 * best:
            best, found = cost, alone.states[0]
            wrong = (np.abs(target - point.model) * np.abs(point.model)).sum() / (point.model**2).sum()
            if wrong < 0.03:
                break
    return found
