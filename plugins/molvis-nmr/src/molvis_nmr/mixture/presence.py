"""How probable it is that a compound which was found is there: a logistic model of what the fit shows of it.

Its coefficients were learned on 72 half-real mixtures of compounds that were looked at in development, with libraries
of 10 to 100 entries, half of which lack four of a mixture's compounds, by
`benchmarks/nmr_mixture_trials.py --calibrate`, which draws them towards those that it finds here; that of the library's
size is as learned with up to 474 entries.
"""

from __future__ import annotations

import numpy as np

from molvis_nmr.mixture.matching import CORE, Match
from molvis_nmr.mixture.selection import Search, conditional

FEATURES = ("evidence", "significance", "templates", "against", "moved", "library")
CENTERS = (3.0, 2.0, 1.0, 0.05, 0.8, 4.0)
COEFFICIENTS = (2.13, 1.35, 1.61, 1.81, -2.16, -2.08, -1.01)


def features_of(search: Search, i: int, significance: float, entries: int) -> np.ndarray:
    """What the fit shows of a compound that is in it, as numbers of about the same size."""
    fit = search.fit
    found: Match = conditional(search, i)
    visible = found.seen > 0.5
    each = found.each[visible]
    off = np.abs(fit.states[i].moved - fit.offset) / (CORE * fit.mixture.frequency)
    return np.array(
        [
            np.log1p(max(found.evidence, 0.0)),
            np.log1p(max(significance, 0.0)),
            np.sqrt(float((each > 2).sum())),
            float((each < 0).mean()) if len(each) else 1.0,
            float(np.log1p(off.mean())),
            np.log(max(entries, 2)),
        ]
    )


def probability_of(features: np.ndarray) -> float:
    """Of a compound being there."""
    odds = COEFFICIENTS[0] + np.array(COEFFICIENTS[1:]) @ (features - np.array(CENTERS))
    return float(1 / (1 + np.exp(-np.clip(odds, -30, 30))))
