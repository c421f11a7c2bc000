"""The loops that break a molecule into connected sets of atoms, compiled.

A set is a pair of 64-bit words. A *half* is one side of a cut that leaves two connected parts: of one bond outside all
rings, of two bonds of a ring, or of three bonds of fused rings. Every set here is an intersection of halves. Costs are
whole numbers and everything is visited in the order of the atoms, so that the result is the same on every processor.
"""

from __future__ import annotations

import numba
import numpy as np

_ONE = np.uint64(1)
_NONE = np.uint64(0)
_MIX1, _MIX2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
_HALF_BITS, _FIRST_BITS = 13, 11
"""Places of the tables of halves, and of sets at first, as powers of two."""
_MOST_SEEN = 90_000
"""Sets that are looked at, kept or not: a table of 2^18 places stays fast to search."""


@numba.njit(cache=True, inline="always")
def count_bits(x):  # pragma: no cover - compiled
    """How many bits of a word are set."""
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((x * np.uint64(0x0101010101010101)) >> np.uint64(56))


@numba.njit(cache=True, inline="always")
def lowest(lo, hi):  # pragma: no cover - compiled
    """Place of the lowest bit of a set that is not empty."""
    if lo != _NONE:
        return count_bits((lo & (~lo + _ONE)) - _ONE)
    return 64 + count_bits((hi & (~hi + _ONE)) - _ONE)


@numba.njit(cache=True, inline="always")
def without_lowest(lo, hi):  # pragma: no cover - compiled
    """A set that is not empty, without its lowest bit."""
    if lo != _NONE:
        return lo & (lo - _ONE), hi
    return lo, hi & (hi - _ONE)


@numba.njit(cache=True, inline="always")
def single(place):  # pragma: no cover - compiled
    """The set of one atom."""
    if place < 64:
        return _ONE << np.uint64(place), _NONE
    return _NONE, _ONE << np.uint64(place - 64)


@numba.njit(cache=True)
def all_atoms(size):  # pragma: no cover - compiled
    """The set of so many atoms."""
    lo, hi = _NONE, _NONE
    for place in range(size):
        one_lo, one_hi = single(place)
        lo |= one_lo
        hi |= one_hi
    return lo, hi


@numba.njit(cache=True)
def reached(start, lo, hi, neighbours):  # pragma: no cover - compiled
    """Atoms of a set that can be reached from one of them within it."""
    seen_lo, seen_hi = single(start)
    front_lo, front_hi = seen_lo, seen_hi
    while front_lo | front_hi:
        next_lo, next_hi = _NONE, _NONE
        while front_lo | front_hi:
            place = lowest(front_lo, front_hi)
            front_lo, front_hi = without_lowest(front_lo, front_hi)
            next_lo |= neighbours[place, 0]
            next_hi |= neighbours[place, 1]
        front_lo, front_hi = next_lo & lo & ~seen_lo, next_hi & hi & ~seen_hi
        seen_lo |= front_lo
        seen_hi |= front_hi
    return seen_lo, seen_hi


@numba.njit(cache=True)
def crossing_cost(lo, hi, neighbours, cost):  # pragma: no cover - compiled
    """Sum of what the bonds cost that leave a set."""
    total = 0
    rest_lo, rest_hi = lo, hi
    while rest_lo | rest_hi:
        place = lowest(rest_lo, rest_hi)
        rest_lo, rest_hi = without_lowest(rest_lo, rest_hi)
        out_lo, out_hi = neighbours[place, 0] & ~lo, neighbours[place, 1] & ~hi
        while out_lo | out_hi:
            total += cost[place, lowest(out_lo, out_hi)]
            out_lo, out_hi = without_lowest(out_lo, out_hi)
    return total


@numba.njit(cache=True)
def _toggle(neighbours, bond):  # pragma: no cover - compiled
    """Take a bond out, or put it back."""
    for end in range(2):
        lo, hi = single(bond[1 - end])
        neighbours[bond[end], 0] ^= lo
        neighbours[bond[end], 1] ^= hi


@numba.njit(cache=True)
def _parts(lo, hi, bond):  # pragma: no cover - compiled
    """Whether a bond has one end in a set and one outside."""
    first_lo, first_hi = single(bond[0])
    second_lo, second_hi = single(bond[1])
    return ((lo & first_lo) | (hi & first_hi) != _NONE) != ((lo & second_lo) | (hi & second_hi) != _NONE)


@numba.njit(cache=True)
def _find(lo, hi, slots, seen):  # pragma: no cover - compiled
    """The slot of a set in the table, or the empty one where it would be."""
    mixed = (lo * _MIX1) ^ (hi * _MIX2)
    slot = np.int64((mixed ^ (mixed >> np.uint64(29))) >> np.uint64(20)) & (len(slots) - 1)
    while slots[slot] and (seen[slots[slot] - 1, 0] != lo or seen[slots[slot] - 1, 1] != hi):
        slot = (slot + 1) & (len(slots) - 1)
    return slot


@numba.njit(cache=True)
def _wider(slots, seen, known):  # pragma: no cover - compiled
    """A table of four times as many places for the same sets: most molecules are small, and clearing takes time."""
    out = np.zeros(4 * len(slots), np.int32)
    for place in range(known):
        out[_find(seen[place, 0], seen[place, 1], out, seen)] = place + 1
    return out


@numba.njit(cache=True)
def _keep_both(lo, hi, size, slots, out, count):  # pragma: no cover - compiled
    """Both sides of a cut, unless they are known or there is no room. Returns how many halves there are."""
    slot = _find(lo, hi, slots, out)
    if slots[slot] or count + 2 > len(out):
        return count
    whole_lo, whole_hi = all_atoms(size)
    for _ in range(2):
        out[count, 0], out[count, 1] = lo, hi
        count += 1
        slots[_find(lo, hi, slots, out)] = count
        lo, hi = whole_lo & ~lo, whole_hi & ~hi
    return count


@numba.njit(cache=True)
def find_halves(bonds, ring, fused, neighbours, most):  # pragma: no cover - compiled
    """Both sides of every cut, and how many of them are of one or two bonds: these come first.

    Of more than `most` halves the first are kept.
    """
    size, number = len(neighbours), len(bonds)
    whole_lo, whole_hi = all_atoms(size)
    left = neighbours.copy()
    out = np.empty((most, 2), np.uint64)
    slots = np.zeros(1 << max(_HALF_BITS, int(np.log2(most + 1)) + 2), np.int32)
    count = 0
    for e in range(number):
        start = bonds[e, 0]
        _toggle(left, bonds[e])
        lo, hi = reached(start, whole_lo, whole_hi, left)
        if lo != whole_lo or hi != whole_hi:
            count = _keep_both(lo, hi, size, slots, out, count)
        for f in range(e + 1, number if ring[e] else e + 1):
            if ring[f]:
                _toggle(left, bonds[f])
                lo, hi = reached(start, whole_lo, whole_hi, left)
                if lo != whole_lo or hi != whole_hi:
                    count = _keep_both(lo, hi, size, slots, out, count)
                _toggle(left, bonds[f])
        _toggle(left, bonds[e])
    simple = count
    for e in range(number):
        if fused[e]:
            _toggle(left, bonds[e])
            for f in range(number):
                if ring[f] and f != e:
                    _toggle(left, bonds[f])
                    count = _three_bond_cuts(bonds, ring, e, f, left, slots, out, count)
                    _toggle(left, bonds[f])
            _toggle(left, bonds[e])
    return out[:count], simple


@numba.njit(cache=True)
def _three_bond_cuts(bonds, ring, e, f, left, slots, out, count):  # pragma: no cover - compiled
    """Halves of cuts that need a third bond besides e and f, which are out already."""
    size, start = len(left), bonds[e, 0]
    whole_lo, whole_hi = all_atoms(size)
    lo, hi = reached(start, whole_lo, whole_hi, left)
    if lo != whole_lo or hi != whole_hi:
        return count
    for g in range(f + 1, len(bonds)):
        if ring[g] and g != e:
            _toggle(left, bonds[g])
            lo, hi = reached(start, whole_lo, whole_hi, left)
            if (lo != whole_lo or hi != whole_hi) and _parts(lo, hi, bonds[e]) and _parts(lo, hi, bonds[f]):
                count = _keep_both(lo, hi, size, slots, out, count)
            _toggle(left, bonds[g])
    return count


@numba.njit(cache=True)
def intersect(neighbours, cost, halves, simple, most, ceilings):  # pragma: no cover - compiled
    """Connected intersections of up to three halves, with what their bonds cost and how many cuts they need.

    A half of three bonds counts for two cuts. Sets of few cuts come first; for the third cut, those of low cost.

    `halves` and `simple` are as `find_halves` returns them. `most` sets are kept; `ceilings` are the costs that a set
    of one, two or three cuts may have.
    """
    sets = np.empty((most, 2), np.uint64)
    paid = np.empty(most, np.int64)
    depth = np.empty(most, np.int8)
    seen = np.empty((_MOST_SEEN, 2), np.uint64)
    slots = np.zeros(1 << _FIRST_BITS, np.int32)
    sets[0, 0], sets[0, 1] = all_atoms(len(neighbours))
    paid[0] = depth[0] = 0
    seen[0] = sets[0]
    slots[_find(seen[0, 0], seen[0, 1], slots, seen)] = 1
    count = known = 1
    for cuts in range(1, 4):
        for parent in np.argsort(paid[:count], kind="mergesort"):
            room = cuts - depth[parent]
            if room > 2 or room < 1 or paid[parent] >= ceilings[cuts - 1]:
                continue
            for k in range(0 if room == 1 else simple, simple if room == 1 else len(halves)):
                lo, hi = sets[parent, 0] & halves[k, 0], sets[parent, 1] & halves[k, 1]
                if (lo | hi) == _NONE or (lo == sets[parent, 0] and hi == sets[parent, 1]):
                    continue
                slot = _find(lo, hi, slots, seen)
                if slots[slot]:
                    continue
                if known == _MOST_SEEN or count == most:
                    return sets[:count], paid[:count], depth[:count]
                seen[known, 0], seen[known, 1] = lo, hi
                known += 1
                slots[slot] = known
                if 2 * known > len(slots):
                    slots = _wider(slots, seen, known)
                price = crossing_cost(lo, hi, neighbours, cost)
                if price > ceilings[cuts - 1]:
                    continue
                there_lo, there_hi = reached(lowest(lo, hi), lo, hi, neighbours)
                if there_lo == lo and there_hi == hi:
                    sets[count, 0], sets[count, 1], paid[count], depth[count] = lo, hi, price, cuts
                    count += 1
    return sets[:count], paid[:count], depth[:count]


@numba.njit(cache=True)
def masses_of(sets, mass):  # pragma: no cover - compiled
    """Mass of each set, its atoms added up in their order."""
    out = np.zeros(len(sets))
    for i in range(len(sets)):
        lo, hi = sets[i, 0], sets[i, 1]
        while lo | hi:
            out[i] += mass[lowest(lo, hi)]
            lo, hi = without_lowest(lo, hi)
    return out
