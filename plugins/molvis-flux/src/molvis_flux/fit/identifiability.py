"""The identifiability of each flux: whether the data determine it, limit it, or do neither."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from molvis_flux.fit.information import Information, normal_reach
from molvis_flux.fit.problem import FluxProblem
from molvis_flux.space.coordinates import Name

IDENTIFIABLE, BOUNDED, UNSEEN, FIXED = "identifiable", "bounded", "not identifiable", "fixed"
DATA, NETWORK, BOUND = "data", "network", "bound"

NARROW, FAR = 0.1, 10.0
"""In units of the fluxes' scale: the widest interval of an identifiable flux that is smaller than this itself, and the
distance from the estimate beyond which an end limits nothing."""
NARROW_SHARE, LARGEST_SHARE = 0.5, 0.95
"""The same for exchange fluxes, as v / (v + b), and for shares of a mixture: a larger exchange cannot be told from an
infinite one."""
NARROW_POOL, FAR_POOL = float(np.log(4.0)), float(np.log(100.0))
"""The same for the logarithm of a pool."""
PINNED = 0.2
"""A range that the network alone makes narrower than this part of the flux determines it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What may be said of a value.

    Attributes:
        name: `(kind, name)`.
        kind: `identifiable`: the interval is narrower than the flux itself or than a tenth of the fluxes' scale, no
            bound that somebody chose ends it, and the data see the flux; `bounded`: the data end the interval on one
            side at least; `not identifiable`: they do not; `fixed`: the network leaves one value.
        value: of the fit; None where not identifiable.
        low, high: the interval; where not identifiable that of the posterior if there is one, else the range.
        left: how much of the range the interval leaves, 0 to 1; of exchange fluxes as v / (v + net), of pools in the
            logarithm. It depends on bounds, which `kind` does not.
        low_from, high_from: what ends the interval there: `data`; `network`, where stoichiometry or a direction that is
            not possible does; `bound`, where a limit of a flux does that somebody chose.
        mean: of the posterior, where not identifiable and there is one.
    """

    name: Name
    kind: str
    value: float | None
    low: float
    high: float
    left: float
    low_from: str
    high_from: str
    mean: float | None = None


def judge(
    problem: FluxProblem,
    values: Float[np.ndarray, " v"],
    intervals: Float[np.ndarray, "v 2"],
    ranges: Float[np.ndarray, "v 2"],
    told: Information,
    *,
    level: float,
    profiled: bool,
) -> tuple[Verdict, ...]:
    """What the data say of each value, whatever bounds its user has set.

    An interval that ends where a bound of somebody's choice does is continued to where the data would end it, to first
    order, before it is judged. Loosening a bound therefore does not change a verdict where the problem is about linear.

    Args:
        problem: what was fitted.
        values: at the fit.
        intervals: of the values.
        ranges: what the constraints allow.
        told: what the data alone say.
        level: of the intervals.
        profiled: whether an end of an interval that is not at its range was set by the data, as those of profiles are;
            those of other methods are also shaped by what bounds allow.
    """
    structural = problem.space.structural_ends
    out: list[Verdict] = []
    for i, name in enumerate(problem.map.names):
        if told.known[i] or ranges[i, 1] - ranges[i, 0] <= 1e-7 * (1 + np.abs(ranges[i]).sum()):
            fixed = float(values[i]), float(ranges[i, 0]), float(ranges[i, 1])
            out.append(Verdict(name, FIXED, *fixed, 0.0, NETWORK, NETWORK))
            continue
        gauge = _gauge(problem, i, values, told.scale)
        here, a, b, low, high = gauge.of(np.array([values[i], *intervals[i], *ranges[i]])).tolist()
        size = gauge.size(here)
        reach = normal_reach(level) * float(told.sd[i]) * gauge.slope
        # Weights of a mixture end at 0 and 1; limits of pools are somebody's choice.
        by_network = structural[i] if i < len(structural) else np.full(2, name[0] == "mix")
        ends = [
            _end(abs(end - here), abs(limit - here), reach, far, bool(network), b - a, profiled)
            for end, limit, far, network in zip((a, b), (low, high), size.far, by_network, strict=True)
        ]
        kind = _kind(ends, reach, size.narrow, b - a, abs(here) if gauge.kind == "net" else 0.0)
        left = float(np.clip((b - a) / (high - low), 0.0, 1.0))
        value = None if kind == UNSEEN else float(values[i])
        sources = (ends[0].source, ends[1].source)
        out.append(Verdict(name, kind, value, float(intervals[i, 0]), float(intervals[i, 1]), left, *sources))
    return tuple(out)


@dataclass(frozen=True, slots=True)
class _Size:
    """What is narrow and what is far for one value, in its gauge."""

    narrow: float
    far: tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Gauge:
    """The coordinate in which labelling is about linear in a value, and which no bound enters.

    Exchange fluxes are v / (v + b) in it, b being the net flux; the fit's own coordinate has the net flux that is usual
    within the bounds. Pools are logarithms.

    Attributes:
        kind: `net`, `exchange`, `mix` or `pool`; an exchange flux that others depend on counts as `net`.
        half: b.
        scale: of the net fluxes.
        slope: derivative of this coordinate by that of the fit.
    """

    kind: str
    half: float
    scale: float
    slope: float

    def of(self, x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Values in it."""
        if self.kind == "pool":
            return np.log(np.maximum(x, 1e-300))
        if self.kind == "exchange":
            return np.where(np.isinf(x), 1.0, x / (np.where(np.isinf(x), 0.0, x) + self.half))
        return x

    def size(self, here: float) -> _Size:
        """What is narrow and what is far around an estimate."""
        if self.kind == "pool":
            return _Size(NARROW_POOL, (FAR_POOL, FAR_POOL))
        if self.kind == "mix":
            return _Size(NARROW_SHARE, (1.0, 1.0))
        if self.kind == "exchange":
            return _Size(NARROW_SHARE, (1.0, max(LARGEST_SHARE - here, 0.0)))
        far = max(abs(here), FAR * self.scale)
        return _Size(max(abs(here), NARROW * self.scale), (far, far))


def _gauge(problem: FluxProblem, value: int, values: Float[np.ndarray, " v"], scale: float) -> _Gauge:
    kind, name = problem.map.names[value]
    for bent, _, b in problem.map.bent:
        if bent == value:
            v = float(values[value])
            half = max(abs(float(values[problem.map.names.index(("net", name))])), NARROW * scale)
            return _Gauge("exchange", half, scale, (v + b) ** 2 / b * half / (v + half) ** 2)
    return _Gauge("net" if kind == "exchange" else kind, 1.0, scale, 1.0)


@dataclass(frozen=True, slots=True)
class _End:
    """One end of an interval: what set it, how far from the estimate the data alone allow, and whether that is near."""

    source: str
    reach: float
    limited: bool


def _end(
    distance: float, room: float, reach: float, far: float, structural: bool, width: float, profiled: bool
) -> _End:
    """One end.

    Args:
        distance: of the interval's end from the estimate.
        room: of the range's end from it.
        reach: to which the data alone would let the interval go, to first order.
        far: beyond which an end limits nothing.
        structural: whether the range ends by the network rather than by a bound that somebody chose.
        width: of the interval.
        profiled: see `judge`.
    """
    at_limit = room - distance <= 1e-3 * width + 1e-9 * (1 + room) if profiled else reach > room
    if not at_limit:
        return _End(DATA, distance, distance <= far)
    if structural:
        return _End(NETWORK, distance, False)
    # A bound breaks the interval off; without it the data would end it about here.
    return _End(BOUND, max(distance, reach), reach <= far)


def _kind(ends: list[_End], reach: float, narrow: float, width: float, size: float) -> str:
    known = all(end.limited or end.source == NETWORK for end in ends)
    if known and sum(end.reach for end in ends) <= narrow and reach <= narrow:
        return IDENTIFIABLE
    if all(end.source == NETWORK for end in ends) and width <= PINNED * size:
        return IDENTIFIABLE
    return BOUNDED if any(end.limited for end in ends) else UNSEEN


def report(judged: tuple[Verdict, ...], samples: Float[np.ndarray, "s v"] | None, level: float) -> tuple[Verdict, ...]:
    """The same, and where a value is not identifiable the posterior's mean and interval."""
    if samples is None:
        return judged
    bounds = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2], axis=0)
    means = samples.mean(axis=0)
    return tuple(
        replace(verdict, low=float(bounds[0, i]), high=float(bounds[1, i]), mean=float(means[i]))
        if verdict.kind == UNSEEN
        else verdict
        for i, verdict in enumerate(judged)
    )
