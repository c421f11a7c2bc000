"""Fluxes of two conditions beside each other: differences and fold changes with their errors."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from molvis_flux.errors import FitError
from molvis_flux.fit.estimates import Estimates
from molvis_flux.fit.identifiability import BOUND, DATA, FIXED, NETWORK, UNSEEN, Verdict
from molvis_flux.fit.information import normal_reach
from molvis_flux.space.coordinates import Name

MORE, LESS, TURNED, SAME, NOT = "more", "less", "turned round", "not told apart", "not comparable"


@dataclass(frozen=True, slots=True)
class Change:
    """One value in two conditions.

    Attributes:
        name: `(kind, name)`.
        call: `more` or `less` of it, in whichever direction it flows; `turned round`; `not told apart`: the interval of
            the difference holds 0; `not comparable`: it is not identifiable in one of them.
        before, after: estimates; None where not identifiable.
        difference: after less before, with the direction that the network writes as positive.
        low, high: interval of the difference.
        low_from, high_from: what ended the intervals that this end is made of: `data`, `network`, or `bound`.
        fold: after over before; None where either interval holds 0.
        fold_low, fold_high: its interval.
        p: chance of a difference as large where there is none, of a normal distribution with the interval's error.
        q: share of false calls among all with a p as small (Benjamini and Hochberg).
    """

    name: Name
    call: str
    before: float | None
    after: float | None
    difference: float | None
    low: float
    high: float
    low_from: str
    high_from: str
    fold: float | None
    fold_low: float | None
    fold_high: float | None
    p: float | None
    q: float | None = None


def compare(before: Estimates, after: Estimates, kinds: Collection[str] = ()) -> tuple[Change, ...]:
    """The values that two fits have in common, one by one.

    An interval of a difference is made from the two intervals (MOVER: each end from the distances of the ends that it
    depends on, added in squares), so that profile intervals keep their asymmetry; that of a fold change is the same of
    logarithms. The fits have to be independent: of different data. Fluxes of one network depend on each other, so
    that q is a guide rather than a guarantee.

    Args:
        before: of one condition.
        after: of another.
        kinds: of the values that count, such as `net`; all where none is given.

    Reference: Zou and Donner, Stat. Med. 27 (2008) 1693, doi:10.1002/sim.3095; Benjamini and Hochberg, J. R. Stat.
    Soc. B 57 (1995) 289, doi:10.1111/j.2517-6161.1995.tb02031.x

    Raises:
        FitError: intervals of different levels, or no value in common.
    """
    if abs(before.level - after.level) > 1e-9:
        raise FitError(
            f"{before.name} has intervals of {before.level:.0%} and {after.name} of {after.level:.0%}; fit both with "
            "one --level"
        )
    ours = {verdict.name: verdict for verdict in before.verdicts}
    both = [(ours[verdict.name], verdict) for verdict in after.verdicts if verdict.name in ours]
    both = [(a, b) for a, b in both if not kinds or a.name[0] in kinds]
    if not both:
        raise FitError(f"{before.name} and {after.name} have no flux in common: are they fits of one network?")
    return _with_q([_change(a, b, before.level) for a, b in both])


def _change(a: Verdict, b: Verdict, level: float) -> Change:
    x, y = _middle(a), _middle(b)
    unseen = UNSEEN in (a.kind, b.kind)
    d = y - x
    low = d - math.hypot(y - b.low, a.high - x)
    high = d + math.hypot(b.high - y, x - a.low)
    ends = _worse(b.low_from, a.high_from), _worse(b.high_from, a.low_from)
    if unseen:
        # Intervals of what is not seen are those of the posterior; no estimate is between them.
        return Change(a.name, NOT, a.value, b.value, None, low, high, *ends, None, None, None, None)
    fold = _fold(a, b, x, y)
    p = None
    if not (a.kind == FIXED and b.kind == FIXED):
        error = (d - low if d > 0 else high - d) / normal_reach(level)
        p = 2.0 * NormalDist().cdf(-abs(d) / error) if error > 0 else float(d == 0)
    return Change(a.name, _call(x, y, low, high), a.value, b.value, d, low, high, *ends, *fold, p)


def _middle(verdict: Verdict) -> float:
    if verdict.value is not None:
        return min(max(verdict.value, verdict.low), verdict.high)
    return (verdict.low + verdict.high) / 2 if verdict.mean is None else verdict.mean


def _worse(one: str, other: str) -> str:
    return next((source for source in (BOUND, NETWORK) if source in (one, other)), DATA)


def _call(x: float, y: float, low: float, high: float) -> str:
    if low <= 0 <= high:
        return SAME
    if x * y < 0:
        return TURNED
    return MORE if abs(y) > abs(x) else LESS


def _fold(a: Verdict, b: Verdict, x: float, y: float) -> tuple[float | None, float | None, float | None]:
    if min(a.low * a.high, b.low * b.high) <= 0 or a.low * b.low <= 0:
        return None, None, None
    # Of two negative fluxes the one end is the other's.
    near_a, far_a = sorted((abs(a.low), abs(a.high)))
    near_b, far_b = sorted((abs(b.low), abs(b.high)))
    log = math.log(y / x)
    down = math.hypot(math.log(abs(y) / near_b), math.log(far_a / abs(x)))
    up = math.hypot(math.log(far_b / abs(y)), math.log(abs(x) / near_a))
    return y / x, math.exp(log - down), math.exp(log + up)


def _with_q(changes: Sequence[Change]) -> tuple[Change, ...]:
    from dataclasses import replace

    told = [i for i, change in enumerate(changes) if change.p is not None]
    p = np.array([changes[i].p for i in told], float)
    order = np.argsort(p, kind="stable")
    q = p[order] * len(p) / np.arange(1, len(p) + 1)
    q = np.minimum.accumulate(q[::-1])[::-1]
    out = list(changes)
    for rank, place in enumerate(order):
        out[told[place]] = replace(changes[told[place]], q=float(min(q[rank], 1.0)))
    return tuple(out)
