"""Intervals that hold as many values as they claim."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int64

from molvis_ccs.features import KINDS
from molvis_ccs.predictor.ensemble import ADDUCTS, INSTRUMENTS, CcsEnsemble
from molvis_ccs.training.ions import Ion

if TYPE_CHECKING:
    from molvis_ccs.training.laboratories import LeftOut

log = logging.getLogger("molvis")
LEVEL = 0.9
"""Share of the values of fold `val` that the calibrated intervals hold."""
NORMAL_QUANTILE = 1.6448536269514722
"""Of a normal distribution: this many standard deviations to either side hold `LEVEL`."""
_ENOUGH = 40  # values of an adduct and instrument, to calibrate them by themselves


def calibrate(model: CcsEnsemble, ions: Sequence[Ion]) -> None:
    """Widen or narrow the intervals, so that they hold `LEVEL` of these values, by adduct and type of instrument.

    Of the laboratories that taught the model: `calibrate_between` is for others.

    Where an adduct on an instrument has few values, those of the adduct on all of them count, then all.

    Reference: V. Vovk, A. Gammerman, G. Shafer, Algorithmic Learning in a Random World, Springer 2005 (split
    conformal prediction), doi:10.1007/b106715
    """
    if len(ions) < _ENOUGH:
        log.warning("%d ions in fold 'val', too few to calibrate the intervals; they stay as they are", len(ions))
        return
    factors = model.get_buffer("within")
    factors.fill_(1.0)
    adducts = np.array([ADDUCTS.index(ion.adduct) for ion in ions])
    kinds = np.array([INSTRUMENTS.index(ion.instrument_type) for ion in ions])
    structures, names = [ion.structure for ion in ions], [ion.adduct for ion in ions]
    truth = np.array([ion.ccs for ion in ions])
    fresh = torch.ones_like(factors)
    for given in (True, False):
        kinds_given = [ion.instrument_type for ion in ions] if given else None
        mean, sd = model.predict(structures, names, kinds_given, within=True)
        score = np.abs(truth - mean) / (NORMAL_QUANTILE * sd)
        for kind in range(len(INSTRUMENTS)) if given else (len(INSTRUMENTS),):
            for adduct in range(len(ADDUCTS)):
                own = adducts == adduct
                groups = (own & (kinds == kind), own, np.ones(len(ions), dtype=bool))
                mine = next(group for group in groups if group.sum() >= _ENOUGH)
                fresh[kind, adduct] = _quantile(score[mine])
    factors.copy_(fresh)
    model.get_buffer("calibration").copy_(fresh[:, :, None].expand(-1, -1, len(KINDS)))
    model.get_buffer("between").fill_(0.0)


def _quantile(scores: Float[np.ndarray, " n"]) -> float:
    rank = math.ceil((len(scores) + 1) * LEVEL)
    return float(np.sort(scores)[min(rank, len(scores)) - 1])


def calibrate_between(model: CcsEnsemble, values: Sequence[LeftOut]) -> None:
    """Widen the intervals, so that they hold `LEVEL` of the values of laboratories that taught nothing.

    A spread between laboratories is added to the networks' own: the one that makes the share the same where these are
    sure and where they are not. Then a factor for each type of instrument, one for each adduct and one for each class
    of compounds are found in turns, as raking does, until each of these groups has that share.

    Args:
        model: to calibrate.
        values: predicted without their laboratory and their compound.
    """
    off = np.array([abs(one.measured - one.mean) / one.mean for one in values])
    own = np.array([one.sd / one.mean for one in values])
    groups = [
        np.array([INSTRUMENTS.index(one.instrument_type) for one in values]),
        np.array([ADDUCTS.index(one.adduct) for one in values]),
        np.array([one.kind for one in values]),
    ]
    between = _between(off, own)
    score = off / (NORMAL_QUANTILE * np.sqrt(own**2 + between**2))
    instruments, adducts, kinds = _raked(score, groups, (len(INSTRUMENTS), len(ADDUCTS), len(KINDS)))
    # Of an instrument that is not known, no type is meant.
    instruments = np.append(instruments, np.exp(np.log(instruments).mean()))
    factors = instruments[:, None, None] * adducts[:, None] * kinds
    model.get_buffer("calibration").copy_(torch.from_numpy(factors).float())
    model.get_buffer("between").fill_(between)


def _between(off: Float[np.ndarray, " n"], own: Float[np.ndarray, " n"]) -> float:
    """The relative spread between laboratories beside which errors are alike, however sure the networks are."""
    bins = np.array_split(np.argsort(own), _BINS)

    def unlike(spread: float) -> float:
        score = off / np.sqrt(own**2 + spread**2)
        return float(np.std(np.log([np.quantile(score[some], LEVEL) for some in bins])))

    return float(min(np.linspace(0.0, 0.06, 61), key=unlike))


_BINS = 6
_TURNS = 60


def _raked(
    score: Float[np.ndarray, " n"], groups: Sequence[Int64[np.ndarray, " n"]], sizes: Sequence[int]
) -> list[Float[np.ndarray, " _"]]:
    """A factor for each group of each kind, their products such that each group's scores are below 1 in `LEVEL`."""
    factors = [np.ones(size) for size in sizes]
    factors[0][:] = _quantile(score)
    for _ in range(_TURNS):
        for place, (owner, size) in enumerate(zip(groups, sizes, strict=True)):
            scaled = score / np.prod([f[g] for f, g in zip(factors, groups, strict=True)], axis=0)
            for group in range(size):
                mine = scaled[owner == group]
                if len(mine) >= _ENOUGH:
                    factors[place][group] *= _quantile(mine)
    return factors
