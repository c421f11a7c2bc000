"""Which compounds of a library can be in a mixture, and which of those fitted stand out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from numpy.fft import irfft, rfft

from molvis_nmr.mixture.axis import Axis
from molvis_nmr.mixture.compounds import Compound, CompoundState
from molvis_nmr.mixture.engine import MixtureFit


def possible_compounds(
    axis: Axis,
    y: Float[np.ndarray, " t"],
    noise: float,
    mask: Bool[np.ndarray, " t"],
    compounds: Sequence[Compound],
    frequency: float,
) -> tuple[list[Compound], Bool[np.ndarray, " t"]]:
    """Compounds that the spectrum allows: each multiplet bounds the amount, since no signal may exceed the spectrum.

    With them the points to fit: where they may have signal, and where nothing is. What only others can have is no
    baseline.
    """
    from scipy.ndimage import minimum_filter1d, uniform_filter1d

    broadening = 2.0
    decay = axis.decay(broadening)
    signal = irfft(rfft(y, axis.size) * decay, n=axis.size)[: axis.points]
    wide = max(3, round(100 / axis.step))
    floor = np.asarray(uniform_filter1d(minimum_filter1d(signal, wide), wide))
    sd = noise * float(np.sqrt((decay**2).mean()))
    room = np.where(mask, np.maximum(signal - floor, 0) + 3 * sd, np.inf)
    kept: list[Compound] = []
    speaking = np.zeros(axis.points, dtype=bool)
    for compound in compounds:
        shapes = axis.back(compound.render(axis, frequency, compound.start(), 0.6, False).value * decay)
        bound, height = np.inf, 0.0
        bounds: list[float] = []
        for shape, window in zip(shapes, compound.window, strict=True):
            height = max(height, float(shape.max()))
            at = np.flatnonzero(shape > 0.3 * shape.max())
            if not len(at) or shape.max() <= 0 or not mask[at].all():
                continue
            reach = int(np.ceil(window * frequency / axis.step))
            places = np.clip(at[None, :] + np.arange(-reach, reach + 1)[:, None], 0, axis.points - 1)
            bounds.append(float((room[places] / shape[at]).min(axis=1).max()))
        # One multiplet in four may be missing, as protons that exchange are.
        bounds.sort()
        bound = bounds[len(bounds) // 4] if bounds else 0.0
        if compound.standard or bound * height > 6 * sd:
            kept.append(compound)
            for shape, window in zip(shapes, compound.window, strict=True):
                reach = window * frequency + 12
                some = np.flatnonzero(shape > 0.02 * shape.max())
                for run in np.split(some, np.flatnonzero(np.diff(some) * axis.step > reach) + 1) if len(some) else ():
                    margin = round(reach / axis.step)
                    speaking[max(0, run[0] - margin) : run[-1] + margin + 1] = True
    quiet = signal - floor < 10 * sd
    return kept, mask & (speaking | quiet)


def without_insignificant(fit: MixtureFit, exact: bool, limit: float, *, silent: bool = False) -> MixtureFit:
    """The fit without what does not stand out, the least significant first; the same fit where all does.

    What is left takes the place of what is left out: leaving out a variable of a normal distribution shifts the others
    by their regression on it.

    Args:
        fit: of all compounds.
        exact: whether widths and couplings were fitted.
        limit: significance in standard errors.
        silent: whether what is hardly there by its responses is left out as well.
    """
    amounts, covariance = fit.amounts(exact)
    left = np.ones(len(amounts), dtype=bool)
    quiet = np.array(
        [silent and silent_compound(c, s) for c, s in zip(fit.compounds, fit.states, strict=True)], dtype=bool
    )
    kept = np.array([c.standard for c in fit.compounds], dtype=bool)
    while left.any():
        variance = np.diag(covariance)
        significance = np.where(left & ~kept, amounts / np.sqrt(np.maximum(variance, 1e-300)), np.inf)
        significance[left & ~kept & quiet] = 0.0
        worst = int(significance.argmin())
        if significance[worst] >= limit:
            break
        left[worst] = False
        if variance[worst] > 0:
            column = covariance[:, worst] / variance[worst]
            amounts = amounts - column * amounts[worst]
            covariance = covariance - np.outer(column, covariance[worst])
    if left.all():
        return fit
    return fit.keep(np.flatnonzero(left).tolist(), amounts[left])


def silent_compound(compound: Compound, state: CompoundState) -> bool:
    """Whether more than a third of the multiplets hardly respond, or were pulled to the end of their window.

    Suppressed water takes a multiplet or two along; a compound that is there shows the others.
    """
    pulled = np.abs(state.shift - compound.shifts) > 0.97 * compound.window
    return float(((state.response < -0.5) | pulled).mean()) > 1 / 3
