"""Intervals that hold as many values as they claim."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from molvis_ccs.predictor.ensemble import ADDUCTS, INSTRUMENTS, CcsEnsemble
from molvis_ccs.training.ions import Ion

log = logging.getLogger("molvis")
LEVEL = 0.9
"""Share of the values of fold `val` that the calibrated intervals hold."""
NORMAL_QUANTILE = 1.6448536269514722
"""Of a normal distribution: this many standard deviations to either side hold `LEVEL`."""
_ENOUGH = 40  # values of an adduct and instrument, to calibrate them by themselves


def calibrate(model: CcsEnsemble, ions: Sequence[Ion]) -> None:
    """Widen or narrow the intervals, so that they hold `LEVEL` of these values, by adduct and type of instrument.

    Where an adduct on an instrument has few values, those of the adduct on all of them count, then all.

    Reference: V. Vovk, A. Gammerman, G. Shafer, Algorithmic Learning in a Random World, Springer 2005 (split
    conformal prediction), doi:10.1007/b106715
    """
    if len(ions) < _ENOUGH:
        log.warning("%d ions in fold 'val', too few to calibrate the intervals; they stay as they are", len(ions))
        return
    factors = model.get_buffer("calibration")
    factors.fill_(1.0)
    adducts = np.array([ADDUCTS.index(ion.adduct) for ion in ions])
    kinds = np.array([INSTRUMENTS.index(ion.instrument_type) for ion in ions])
    structures, names = [ion.structure for ion in ions], [ion.adduct for ion in ions]
    truth = np.array([ion.ccs for ion in ions])
    fresh = torch.ones_like(factors)
    for given in (True, False):
        mean, sd = model.predict(structures, names, [ion.instrument_type for ion in ions] if given else None)
        score = np.abs(truth - mean) / (NORMAL_QUANTILE * sd)
        for kind in range(len(INSTRUMENTS)) if given else (len(INSTRUMENTS),):
            for adduct in range(len(ADDUCTS)):
                own = adducts == adduct
                groups = (own & (kinds == kind), own, np.ones(len(ions), dtype=bool))
                mine = next(group for group in groups if group.sum() >= _ENOUGH)
                fresh[kind, adduct] = _quantile(score[mine])
    factors.copy_(fresh)


def _quantile(scores: Float[np.ndarray, " n"]) -> float:
    rank = math.ceil((len(scores) + 1) * LEVEL)
    return float(np.sort(scores)[min(rank, len(scores)) - 1])
