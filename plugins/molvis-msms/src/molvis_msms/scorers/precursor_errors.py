"""How far the precursors of a run lie from the masses of their compounds, estimated without knowing the compounds.

The errors of all candidates of a spectrum are spread over the mass window, and that of the right formula lies near the
instrument's offset. Over the spectra of a run these agree and the others do not: with a share π_1 of the spectra copied
from theory, a share π_2 measured, and the rest without their compound among the candidates,

    p(e | spectrum) = π_0 + 2W/n Σ_j [π_1 N(e_j; 0, s_0) + π_2 N(e_j; μ, s)]

is maximised over π, μ and s by expectation maximisation (Dempster, Laird and Rubin, J. R. Stat. Soc. B 39 (1977) 1,
doi:10.1111/j.2517-6161.1977.tb01600.x). W is the half width of the window and n the number of candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64

DEFAULT_WIDTH = 3.0
"""Standard deviation in ppm for a run from which none can be estimated."""
LEAST_SPECTRA = 20
"""Different precursors from which offset and width are estimated."""
MOST_SPECTRA = 300
"""Of many, so many are looked at, evenly."""
PRIOR = 2.0
"""Offset 0 and width 2 ppm are believed as if so many spectra had shown them: a few may agree by chance."""
PRIOR_WIDTH = 2.0
SPIKE = 0.15
"""Standard deviation in ppm of precursors that were calculated: four decimals are written of most."""
THEORETICAL = 0.3
"""Share of calculated precursors from which the error of a run is no evidence."""
LEAST_FOUND = 0.1
"""Share of the spectra whose compound must be among the candidates."""
NARROWEST = 0.5
"""In ppm; what is narrower is taken to be calculated."""


@dataclass(frozen=True, slots=True)
class PrecursorErrors:
    """Of one run or instrument.

    Attributes:
        offset: mean of the errors in ppm.
        width: their standard deviation in ppm.
        theoretical: whether so many precursors look calculated that the error is no evidence.
        spectra: different precursors that this was estimated from; 0 for the default.
    """

    offset: float = 0.0
    width: float = DEFAULT_WIDTH
    theoretical: bool = False
    spectra: int = 0


def estimate(errors: Sequence[Float[np.ndarray, " _"]], reach: float) -> PrecursorErrors:
    """Offset and width of a run.

    Args:
        errors: of each precursor, measured less calculated m/z in ppm for all candidates of the window.
        reach: half width of the window in ppm.
    """
    some = [e for e in errors if len(e)]
    if len(some) < LEAST_SPECTRA:
        return PrecursorErrors()
    some = [some[i] for i in np.linspace(0, len(some) - 1, min(len(some), MOST_SPECTRA)).astype(int)]
    flat = np.concatenate(some)
    owner = np.repeat(np.arange(len(some)), [len(e) for e in some])
    starts = [
        _maximised(flat, owner, reach, offset, width)
        for offset in np.arange(-0.6, 0.61, 0.3) * reach
        for width in (1.0, reach / 3)
    ]
    _, spike, measured, offset, width = max(starts, key=lambda found: found[0])
    if spike > THEORETICAL * (spike + measured):
        return PrecursorErrors(0.0, SPIKE, True, len(some))
    if measured < LEAST_FOUND:
        return PrecursorErrors()  # hardly any compound of the run is among the candidates
    return PrecursorErrors(offset, width, False, len(some))


def _maximised(
    errors: Float[np.ndarray, " e"], owner: Int64[np.ndarray, " e"], reach: float, offset: float, width: float
) -> tuple[float, float, float, float, float]:
    """Log-likelihood, share that is calculated, share that is measured, offset and width."""
    density = 2 * reach / np.bincount(owner)[owner]
    spike, measured = 0.1, 0.5
    likelihood = -np.inf
    for _ in range(200):
        copied = spike * density * _gaussian(errors, 0.0, SPIKE)
        own = measured * density * _gaussian(errors, offset, width)
        total = 1 - spike - measured + np.bincount(owner, copied + own)
        gained, likelihood = float(np.log(total).sum()) - likelihood, float(np.log(total).sum())
        if gained < 1e-4:
            break
        copied, own = copied / total[owner], own / total[owner]
        count = len(total)
        spike, measured = min(float(copied.sum()) / count, 0.98), min(float(own.sum()) / count, 0.98)
        measured = min(measured, 0.99 - spike)
        weight = float(own.sum()) + PRIOR
        offset = float(np.clip(own @ errors / weight, -reach, reach))
        spread = own @ (errors - offset) ** 2 + PRIOR * PRIOR_WIDTH**2
        width = float(np.clip(np.sqrt(spread / weight), NARROWEST, reach))
    return likelihood - 0.5 * PRIOR * (offset / PRIOR_WIDTH) ** 2, spike, measured, offset, width


def _gaussian(x: Float[np.ndarray, " e"], mean: float, width: float) -> Float[np.ndarray, " e"]:
    return np.exp(-0.5 * ((x - mean) / width) ** 2) / (width * np.sqrt(2 * np.pi))
