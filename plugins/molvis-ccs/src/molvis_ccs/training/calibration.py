"""Intervals that hold as many values as they claim."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
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


@dataclass(frozen=True, slots=True)
class Widths:
    """How wide intervals have to be for laboratories that taught nothing.

    A spread between laboratories is added to the networks' own: the one that makes the share that is held the same
    where these are sure and where they are not. Then a factor for each adduct and one for each class of compounds are
    found in turns, as raking does, until each of these groups has that share. Types of instruments get none: most
    laboratories have one type, so that its factor would be theirs, and hold for no other.

    Attributes:
        between: relative spread between laboratories.
        adducts, kinds: factors, in the order of the predictor's adducts and of `molvis_ccs.features.KINDS`.
    """

    between: float
    adducts: Float[np.ndarray, " a"]
    kinds: Float[np.ndarray, " k"]

    @classmethod
    def of(cls, values: Sequence[LeftOut]) -> Widths:
        """Those that hold `LEVEL` of a laboratory's values where the others set them.

        Those that hold `LEVEL` of the values that set them hold fewer of the next laboratory's. What that takes beyond
        is found with each laboratory left out in turn, and is common to all groups.
        """
        found = cls._of_these(values)
        names = sorted({one.laboratory for one in values})
        if len(names) < 2:
            return found
        scores = [
            cls._of_these([v for v in values if v.laboratory != name]).scores(
                [v for v in values if v.laboratory == name]
            )
            for name in names
        ]
        return replace(found, adducts=found.adducts * _quantile(np.concatenate(scores)))

    @classmethod
    def _of_these(cls, values: Sequence[LeftOut]) -> Widths:
        """Those that hold `LEVEL` of the values that set them."""
        flat = cls(0.0, np.ones(len(ADDUCTS)), np.ones(len(KINDS)))
        off, own = _errors(values)
        flat = replace(flat, between=_between(off, own))
        adducts, kinds = _raked(flat.scores(values), _groups(values), (len(ADDUCTS), len(KINDS)))
        return replace(flat, adducts=adducts, kinds=kinds)

    def scores(self, values: Sequence[LeftOut]) -> Float[np.ndarray, " n"]:
        """How far each value is off by half the width of its interval."""
        off, own = _errors(values)
        adducts, kinds = _groups(values)
        return off / (NORMAL_QUANTILE * np.hypot(own, self.between) * self.adducts[adducts] * self.kinds[kinds])

    def sd(self, values: Sequence[LeftOut]) -> Float[np.ndarray, " n"]:
        """Standard deviations in A^2."""
        _, own = _errors(values)
        adducts, kinds = _groups(values)
        mean = np.array([one.mean for one in values])
        return mean * np.hypot(own, self.between) * self.adducts[adducts] * self.kinds[kinds]


def _errors(values: Sequence[LeftOut]) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Relative errors and the networks' own relative deviations."""
    return (
        np.array([abs(one.measured - one.mean) / one.mean for one in values]),
        np.array([one.sd / one.mean for one in values]),
    )


def _groups(values: Sequence[LeftOut]) -> list[Int64[np.ndarray, " n"]]:
    """Places of adducts and of classes."""
    return [np.array([ADDUCTS.index(one.adduct) for one in values]), np.array([one.kind for one in values])]


def calibrate_between(model: CcsEnsemble, values: Sequence[LeftOut]) -> None:
    """Widen the intervals, so that they hold `LEVEL` of the values of a laboratory that taught nothing: see `Widths`.

    Args:
        model: to calibrate.
        values: predicted without their laboratory and their compound.
    """
    found = Widths.of(values)
    factors = torch.from_numpy(found.adducts[:, None] * found.kinds).float()
    model.get_buffer("calibration").copy_(factors.expand(len(INSTRUMENTS) + 1, -1, -1))
    model.get_buffer("between").fill_(found.between)


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
