"""What the data determine of fluxes that they do not determine singly: sums, differences and ratios."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from molvis_core.ties import alike
from molvis_flux.fit.identifiability import BOUNDED, NARROW, UNSEEN, Verdict
from molvis_flux.fit.information import Information, normal_reach
from molvis_flux.fit.intervals import profile_along
from molvis_flux.fit.levenberg_marquardt import Minimum
from molvis_flux.fit.problem import FluxProblem
from molvis_flux.space.steady import leading_signs

SHARPER = 5.0
"""A combination is worth a line where its standard deviation is this much smaller than that of each of its fluxes."""
MOST = 40
"""Fluxes that are combined, at most: those of triples grow with the cube."""


@dataclass(frozen=True, slots=True)
class Combination:
    """A quantity that the data determine though not its parts.

    Attributes:
        text: such as `v31 + v32`, of net fluxes.
        kind: `sum` (with signs) or `ratio`.
        terms: `(reaction, coefficient)`; of a ratio the numerator, then the denominator with 1 each.
        value: at the fit.
        low, high: the interval: the profile of a sum where profiles were asked for, otherwise to first order.
    """

    text: str
    kind: str
    terms: tuple[tuple[str, int], ...]
    value: float
    low: float
    high: float


def combinations(
    problem: FluxProblem,
    found: Minimum,
    values: Float[np.ndarray, " v"],
    verdicts: tuple[Verdict, ...],
    told: Information,
    *,
    level: float,
    profiled: bool,
) -> tuple[Combination, ...]:
    """Sums, differences and ratios of net fluxes that are identifiable, of fluxes that are not.

    Pairs come first; of three fluxes only those with a combination that no pair of them has. Fluxes that are multiples
    of each other, as those of one pathway, count as the first of them. Whether a combination is determined follows from
    the null space of the data's curvature at the fit, to first order, without any bound.
    """
    lone = _leaders(problem, verdicts)[:MOST]
    if len(lone) < 2:
        return ()
    reach = normal_reach(level)
    sums = _sums(problem, values, lone, told, reach)
    out = _with_intervals(problem, found, values, sums, told, level, profiled)
    summed = {frozenset(name for name, _ in each.terms) for each in out}
    for i, j in itertools.combinations(lone, 2):
        ratio = _ratio(problem, values, i, j, told, reach)
        if ratio is not None and frozenset(name for name, _ in ratio.terms) not in summed:
            out.append(ratio)
    return tuple(out)


def _leaders(problem: FluxProblem, verdicts: tuple[Verdict, ...]) -> list[int]:
    """The first of each group of proportional net fluxes that are not identifiable."""
    rows = [i for i, v in enumerate(verdicts) if v.name[0] == "net" and v.kind in (BOUNDED, UNSEEN)]
    if not rows:
        return []
    directions = problem.map.directions[rows]
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    first, _ = alike(unit * leading_signs(unit)[:, None])
    return [rows[i] for i in sorted(np.asarray(first).tolist())]


def _sums(
    problem: FluxProblem, values: Float[np.ndarray, " v"], lone: list[int], told: Information, reach: float
) -> list[dict[int, int]]:
    """Coefficients of the sums and differences that are determined, pairs before triples."""
    directions = problem.map.directions
    alone = dict(zip(lone, told.sd_of(directions[lone]).tolist(), strict=True))
    found: list[dict[int, int]] = []
    for count in (2, 3):
        for rows in itertools.combinations(lone, count):
            if count == 3 and any(each.keys() <= set(rows) for each in found):
                continue
            signs = np.array(list(itertools.product((1, -1), repeat=count - 1)))
            coefficients = np.column_stack([np.ones(len(signs), int), signs])
            along = coefficients @ directions[list(rows)]
            sds = told.sd_of(along)
            best = int(np.argmin(sds))
            value = float(coefficients[best] @ values[list(rows)])
            constant = np.linalg.norm(along[best]) <= 1e-9
            narrow = 2 * reach * sds[best] <= max(abs(value), NARROW * told.scale)
            if not constant and narrow and SHARPER * sds[best] <= min(alone[row] for row in rows):
                found.append(dict(zip(rows, coefficients[best].tolist(), strict=True)))
    return found


def _with_intervals(
    problem: FluxProblem,
    found: Minimum,
    values: Float[np.ndarray, " v"],
    sums: list[dict[int, int]],
    told: Information,
    level: float,
    profiled: bool,
) -> list[Combination]:
    """The sums, with their values and intervals."""
    if not sums:
        return []
    along = np.array([sum(c * problem.map.directions[row] for row, c in each.items()) for each in sums])
    at = np.array([sum(c * float(values[row]) for row, c in each.items()) for each in sums])
    reach = normal_reach(level) * told.sd_of(along)
    intervals = np.column_stack([at - reach, at + reach])
    if profiled:
        start = at - along @ found.y[0]
        intervals = profile_along(problem, found, along, level=level) + start[:, None]
    return [
        Combination(
            _text(terms := tuple((problem.map.names[row][1], c) for row, c in each.items())), "sum", terms,
            float(at[n]), float(intervals[n, 0]), float(intervals[n, 1]),
        )
        for n, each in enumerate(sums)
    ]  # fmt: skip


def _ratio(
    problem: FluxProblem, values: Float[np.ndarray, " v"], i: int, j: int, told: Information, reach: float
) -> Combination | None:
    """The ratio of two fluxes where it is determined, the smaller over the larger; None where it is not."""
    if abs(values[i]) > abs(values[j]):
        i, j = j, i
    a, b = float(values[i]), float(values[j])
    if min(abs(a), abs(b)) <= 1e-6 * told.scale:
        return None
    directions, ratio = problem.map.directions, a / b
    relative = float(told.sd_of((directions[i] / a - directions[j] / b)[None])[0])
    singly = told.sd_of(np.stack([directions[i] / a, directions[j] / b]))
    constant = np.linalg.norm(directions[i] / a - directions[j] / b) * told.scale <= 1e-9
    if constant or 2 * reach * relative > 1.0 or SHARPER * relative > singly.min():
        return None
    # Two fluxes with a known difference have a ratio near 1 wherever both are large: the ratio must hold elsewhere too.
    cross = (directions[[i, j]] @ told.factor) @ (directions[i] @ told.factor)
    moved = 0.1 * min(abs(a), told.scale) * np.sign(a) - a
    elsewhere = b + float(cross[1] / cross[0]) * moved
    if abs((a + moved) / elsewhere / ratio - 1.0) > 0.2:
        return None
    names = problem.map.names[i][1], problem.map.names[j][1]
    # A ratio of two fluxes is about normal in its logarithm, as relative errors are.
    low, high = sorted(ratio * float(np.exp(sign * reach * relative)) for sign in (-1, 1))
    return Combination(f"{names[0]} / {names[1]}", "ratio", ((names[0], 1), (names[1], 1)), ratio, low, high)


def _text(terms: tuple[tuple[str, int], ...]) -> str:
    (first, _), *rest = terms
    return first + "".join(f" {'+' if c > 0 else '-'} {name}" for name, c in rest)
