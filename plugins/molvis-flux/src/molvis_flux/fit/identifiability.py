"""The identifiability of each flux: whether the data determine it, bound it, or do neither."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from molvis_flux.fit.problem import FluxProblem
from molvis_flux.space.coordinates import Name

IDENTIFIABLE, BOUNDED, UNSEEN, FIXED = "identifiable", "bounded", "not identifiable", "fixed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What may be said of a value.

    Attributes:
        name: `(kind, name)`.
        kind: `identifiable`: the interval is at most half as wide as the constraints allow and ends inside them, or is
            at most a tenth as wide; `bounded`: the data exclude a part of what the constraints allow; `not
            identifiable`: nine tenths or more of it remain; `fixed`: the constraints leave one value.
        value: of the fit; None where not identifiable.
        low, high: the interval; where not identifiable that of the posterior if there is one, else the range.
        left: how much of the range the interval leaves, 0 to 1; for exchange fluxes and pools in the fit's coordinate,
            in which labelling is about linear.
        mean: of the posterior, where not identifiable and there is one.
    """

    name: Name
    kind: str
    value: float | None
    low: float
    high: float
    left: float
    mean: float | None = None


def judge(
    problem: FluxProblem,
    values: Float[np.ndarray, " v"],
    intervals: Float[np.ndarray, "v 2"],
    ranges: Float[np.ndarray, "v 2"],
) -> tuple[Verdict, ...]:
    """Compare each interval with what the constraints allow."""
    out: list[Verdict] = []
    for i, name in enumerate(problem.map.names):
        low, high = problem.map.bend(i, ranges[i])
        a, b = problem.map.bend(i, intervals[i])
        width = high - low
        if width <= 1e-7 * (1 + abs(low) + abs(high)):
            out.append(Verdict(name, FIXED, float(values[i]), float(ranges[i, 0]), float(ranges[i, 1]), 0.0))
            continue
        left = float(np.clip((b - a) / width, 0.0, 1.0))
        inside = a > low + 0.01 * width and b < high - 0.01 * width
        if left >= 0.9:
            kind = UNSEEN
        elif left <= 0.1 or (inside and left <= 0.5):
            kind = IDENTIFIABLE
        else:
            kind = BOUNDED
        value = None if kind == UNSEEN else float(values[i])
        out.append(Verdict(name, kind, value, float(intervals[i, 0]), float(intervals[i, 1]), left))
    return tuple(out)


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
