"""Formulas by their cores: what carbon, hydrogen, nitrogen and oxygen weigh together, in one sorted table.

Most combinations of elements that are counted through lead to no formula. A table of all numbers of the four light
elements, sorted by mass, is made once. To each combination of the others, of which there are few, it tells by a binary
search what completes it: as many steps as combinations of the others and formulas that are found, not as combinations
of all. The time is a tenth at 400 Da.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from jaxtyping import Int, Int64

from molvis_formula.elements import MASSES, UNIT, VALENCES
from molvis_formula.kernels import allowed, carbons_wanted, free

MOST_CORES = 4_000_000
"""Of a table, 16 bytes each; beyond that elements are counted through."""
_STEP = 250 * UNIT
"""Tables are made up to whole multiples of it."""
_BITS = 12
_LOW = (1 << _BITS) - 1
_ANY = 10_000
"""A ratio that stands for any number."""
_Limits = tuple[int, float, float, float]
"""Hydrogen atoms beyond those of a chain, and hydrogen, nitrogen and oxygen for each carbon atom."""


@dataclass(frozen=True, eq=False, slots=True)
class Cores:
    """Numbers of C, H, N and O by ascending mass.

    Attributes:
        masses: in units.
        codes: atoms of O, N, C and H, twelve bits each.
    """

    masses: Int64[np.ndarray, " n"]
    codes: Int64[np.ndarray, " n"]


def cores_for(
    high: int, most: Int[np.ndarray, " e"], ratios: Int[np.ndarray, "e 2"], rules: Int[np.ndarray, " 8"]
) -> Cores | None:
    """A table that holds the cores of all formulas of a mass; None where it would be too large.

    Nor is there one where boron is tried, which is lighter than oxygen, so that formulas would come in another order.

    Args:
        high: the largest mass, in units.
        most: atoms of each element.
        ratios: most atoms of each element for each carbon atom, as fractions; 0/0 for any number.
        rules: as `molvis_formula.kernels.decompose` takes them.
    """
    if any(most[e] and MASSES[e] < MASSES[3] for e in range(4, len(MASSES))):
        return None
    ceiling = -(-high // _STEP) * _STEP
    nitrogen = _ratio(ratios, 2)
    oxygen = _ratio(ratios, 3) + 3 * sum(_ratio(ratios, e) for e in (4, 5) if most[e])
    hydrogen = rules[2] / rules[3] if rules[3] else float(_ANY)
    # Each valence over two of the other elements may hold one more hydrogen atom.
    giving = [e for e in range(4, len(MASSES)) if most[e] and VALENCES[e] > 2]
    room = 0.0
    for e in giving:
        carbon = MASSES[0] / _ratio(ratios, e) if len(giving) == 1 else 0.0
        room = max(room, (VALENCES[e] - 2) * ceiling / (MASSES[e] + carbon))
    # Radicals, which have one hydrogen atom more, share the table of others: rules leave out what does not keep them.
    spare = 3 + 2 * (-int(rules[4]) // 2) + int(room)
    return _TABLES.table(int(ceiling), (spare, hydrogen, nitrogen, oxygen))


class _Tables:
    """The table that was made last: one of a larger mass does for smaller ones, too.

    Ions of a run differ in mass and charge and seldom in elements, so that one is enough, and there is room for one.
    """

    def __init__(self) -> None:
        self.last: tuple[int, _Limits, Cores] | None = None
        self.too_large: dict[_Limits, int] = {}

    def table(self, ceiling: int, limits: _Limits) -> Cores | None:
        """A table up to this mass at least, or None where that is too large."""
        last = self.last
        if last is not None and last[1][1:] == limits[1:] and last[1][0] >= limits[0] and last[0] >= ceiling:
            return last[2]
        if ceiling >= self.too_large.get(limits, ceiling + 1):
            return None
        made = _made(ceiling, *limits)
        if made is None:
            self.too_large[limits] = ceiling
        else:
            self.last = (ceiling, limits, made)
        return made


_TABLES = _Tables()


def _ratio(ratios: Int[np.ndarray, "e 2"], element: int) -> float:
    return ratios[element, 0] / ratios[element, 1] if ratios[element, 1] else float(_ANY)


def _made(ceiling: int, spare: int, hydrogen: float, nitrogen: float, oxygen: float) -> Cores | None:
    count = _count(ceiling, spare, hydrogen, nitrogen, oxygen, MASSES, MOST_CORES)
    if count > MOST_CORES:
        return None
    masses, codes = _list(ceiling, spare, hydrogen, nitrogen, oxygen, MASSES, count)
    order = np.argsort(masses, kind="stable")
    return Cores(masses[order], codes[order])


@numba.njit(cache=True)
def _most(ratio, carbons):  # pragma: no cover - compiled
    """Atoms that so many of carbon allow."""
    return int(ratio * carbons + 1e-9) if ratio < _ANY else _ANY


@numba.njit(cache=True)
def _count(ceiling, spare, hydrogen, nitrogen, oxygen, masses, limit):  # pragma: no cover - compiled
    number = 0
    for c in range(ceiling // masses[0] + 1):
        for n in range(min(_most(nitrogen, c), (ceiling - c * masses[0]) // masses[2]) + 1):
            for o in range(_most(oxygen, c) + 1):
                left = ceiling - c * masses[0] - n * masses[2] - o * masses[3]
                if left < 0 or number > limit:
                    break
                number += min(left // masses[1], 2 * c + n + spare, _most(hydrogen, c)) + 1
    return number


@numba.njit(cache=True)
def _list(ceiling, spare, hydrogen, nitrogen, oxygen, masses, count):  # pragma: no cover - compiled
    weights, codes = np.empty(count, np.int64), np.empty(count, np.int64)
    number = 0
    for c in range(ceiling // masses[0] + 1):
        for n in range(min(_most(nitrogen, c), (ceiling - c * masses[0]) // masses[2]) + 1):
            for o in range(_most(oxygen, c) + 1):
                weight = c * masses[0] + n * masses[2] + o * masses[3]
                if weight > ceiling:
                    break
                for h in range(min((ceiling - weight) // masses[1], 2 * c + n + spare, _most(hydrogen, c)) + 1):
                    weights[number] = weight + h * masses[1]
                    codes[number] = (((((o << _BITS) | n) << _BITS) | c) << _BITS) | h
                    number += 1
    return weights, codes


@numba.njit(cache=True)
def _added(
    low,
    high,
    carbons,
    core_masses,
    core_codes,
    counts,
    least,
    most,
    rules,
    ratios,
    combinations,
    valences,
    most_valences,
    found,
    number,
):  # pragma: no cover - compiled
    """Formulas so far with those that cores of a range of masses complete, and how many there are now."""
    first = np.searchsorted(core_masses, low)
    last = first
    while last < len(core_masses) and core_masses[last] <= high:
        last += 1
    for code in np.sort(core_codes[first:last]):
        counts[3], counts[2] = code >> (3 * _BITS), (code >> (2 * _BITS)) & _LOW
        counts[0], counts[1] = (code >> _BITS) & _LOW, code & _LOW
        within = counts[0] >= carbons
        for e in range(4):
            within &= least[e] <= counts[e] <= most[e]
        if not within or not allowed(counts, rules, ratios, combinations, valences, most_valences):
            continue
        if number == len(found):
            larger = np.empty((2 * len(found), len(counts)), np.int16)
            larger[:number] = found
            found = larger
        for e in range(len(counts)):
            found[number, e] = counts[e]
        number += 1
    counts[:4] = 0
    return found, number


@numba.njit(cache=True)
def complete(
    low,
    high,
    core_masses,
    core_codes,
    masses,
    least,
    most,
    order,
    ratios,
    rules,
    combinations,
    kinds,
    valences,
    most_valences,
    limit,
):  # pragma: no cover - compiled
    """The same as `molvis_formula.kernels.decompose`, in the same order; `order` names no C, H, N and O."""
    size, levels = len(masses), len(order)
    found = np.empty((1024, size), np.int16)
    number = 0
    counts = np.zeros(size, np.int64)
    rest, needed, varied = np.zeros((3, levels + 1), np.int64)
    bound = carbons_wanted(high, size, masses, order, ratios)
    rest[0], needed[0] = high, least[0]
    level = 0
    if levels:
        counts[order[0]] = least[order[0]] - 1
    while level >= 0 and number <= limit:
        if level < levels:
            e = order[level]
            counts[e] += 1
            left = rest[level] - counts[e] * masses[e]
            some = varied[level] + (counts[e] > 0)
            carbons = max(needed[level], bound[e, min(free(e, counts), bound.shape[1] - 1)])
            if left < carbons * masses[0] or counts[e] > most[e] or some > kinds:
                counts[e] = 0
                level -= 1
                continue
            level += 1
            rest[level], needed[level], varied[level] = left, carbons, some
            if level < levels:
                counts[order[level]] = least[order[level]] - 1
                continue
        found, number = _added(
            rest[level] - (high - low), rest[level], needed[level], core_masses, core_codes, counts, least, most,
            rules, ratios, combinations, valences, most_valences, found, number,
        )  # fmt: skip
        level -= 1
    return found[: min(number, limit)], number
