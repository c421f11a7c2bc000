"""The loops of fragmentation, compiled: breaking bonds, and matching peaks with fragments and with sub-formulas."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True)
def _place(bit: np.uint64) -> int:  # pragma: no cover - compiled
    place = 0
    for step in (32, 16, 8, 4, 2, 1):
        if bit >= np.uint64(1) << np.uint64(step):
            bit >>= np.uint64(step)
            place += step
    return place


@numba.njit(cache=True)
def _connected(start, within, neighbours, a, b, c, d):  # pragma: no cover - compiled
    """Atoms that can be reached from one, without crossing the bonds a-b and c-d."""
    one = np.uint64(1)
    seen = one << np.uint64(start)
    front = seen
    while front:
        following = np.uint64(0)
        rest = front
        while rest:
            low = rest & (~rest + one)
            rest ^= low
            place = _place(low)
            reach = neighbours[place]
            if place == a:
                reach &= ~(one << np.uint64(b))
            if place == b:
                reach &= ~(one << np.uint64(a))
            if place == c:
                reach &= ~(one << np.uint64(d))
            if place == d:
                reach &= ~(one << np.uint64(c))
            following |= reach
        front = following & within & ~seen
        seen |= front
    return seen


@numba.njit(cache=True)
def _has_both(inside, i, j):  # pragma: no cover - compiled
    """Whether both atoms are in a set."""
    one = np.uint64(1)
    return (inside >> np.uint64(i)) & one and (inside >> np.uint64(j)) & one


@numba.njit(cache=True)
def _enter(part, inside, paid, known, atoms, cost, count):  # pragma: no cover - compiled
    """Both sides of a cut as fragments, or as cheaper ways to fragments that are known. Returns how many there are."""
    for side in range(2):
        found = part if side == 0 else inside & ~part
        if found in known:
            place = known[found]
            cost[place] = min(cost[place], paid)
        elif count < len(atoms):
            known[found] = count
            atoms[count], cost[count] = found, paid
            count += 1
    return count


@numba.njit(cache=True)
def _open_ring(
    first, inside, paid, neighbours, bonds, costs, in_ring, known, atoms, cost, count
):  # pragma: no cover - compiled
    """Break a ring at one bond and at each later one that splits the molecule. Returns how many fragments there are."""
    i, j = bonds[first]
    for second in range(first + 1, len(bonds)):
        k, m = bonds[second]
        if not in_ring[second] or not _has_both(inside, k, m):
            continue
        part = _connected(i, inside, neighbours, i, j, k, m)
        if part != inside:
            count = _enter(part, inside, paid + costs[second], known, atoms, cost, count)
    return count


@numba.njit(cache=True)
def break_bonds(size, masses, bonds, costs, in_ring, most):  # pragma: no cover - compiled
    """Masses, costs and atoms of all fragments to a depth of two, the cheapest way to each."""
    one = np.uint64(1)
    neighbours = np.zeros(64, np.uint64)
    for bond in range(len(bonds)):
        i, j = bonds[bond]
        neighbours[i] |= one << np.uint64(j)
        neighbours[j] |= one << np.uint64(i)
    whole = np.uint64(0)
    for i in range(size):
        whole |= one << np.uint64(i)
    known = dict()
    known[whole] = 0
    atoms = np.zeros(most, np.uint64)
    cost = np.zeros(most)
    atoms[0] = whole
    count, start = 1, 0
    for _ in range(2):
        stop = count
        for parent in range(start, stop):
            inside = atoms[parent]
            for first in range(len(bonds)):
                i, j = bonds[first]
                if not _has_both(inside, i, j):
                    continue
                part = _connected(i, inside, neighbours, i, j, -1, -1)
                paid = cost[parent] + costs[first]
                if part != inside:
                    count = _enter(part, inside, paid, known, atoms, cost, count)
                elif in_ring[first]:
                    count = _open_ring(
                        first, inside, paid, neighbours, bonds, costs, in_ring, known, atoms, cost, count
                    )
        start = stop
    mass = np.zeros(count)
    for place in range(count):
        for i in range(size):
            if (atoms[place] >> np.uint64(i)) & one:
                mass[place] += masses[i]
    return mass, cost[:count], atoms[:count]


@numba.njit(cache=True)
def match(mz, mass, cost, sign, ppm, absolute, hydrogen, electron):  # pragma: no cover - compiled
    """For each peak the cheapest fragment within the tolerance, up to four hydrogens more or fewer.

    Returns its number (-1 for none), the hydrogens gained, and the cost.
    """
    number = np.full(len(mz), -1)
    gained = np.zeros(len(mz), np.int64)
    paid = np.full(len(mz), 99.0)
    for peak in range(len(mz)):
        best = 99.0
        tolerance = max(mz[peak] * ppm * 1e-6, absolute)
        for k in range(-4, 5):
            wanted = mz[peak] - k * hydrogen + sign * electron
            place = np.searchsorted(mass, wanted - tolerance)
            while place < len(mass) and mass[place] <= wanted + tolerance:
                # The charge itself is one hydrogen more or fewer; every further one is less likely.
                total = cost[place] + 0.3 * abs(k - sign)
                if total < best:
                    best = total
                    number[peak], gained[peak], paid[peak] = place, k, cost[place]
                place += 1
    return number, gained, paid


@numba.njit(cache=True)
def has_subformula(
    mz, counts, hydrogens, sign, ppm, absolute, masses, hydrogen, electron
):  # pragma: no cover - compiled
    """For each peak whether any subset of the molecule's atoms, of sensible valence, weighs as much."""
    out = np.zeros(len(mz), np.bool_)
    others = np.zeros(len(masses), np.int64)
    for peak in range(len(mz)):
        wanted = mz[peak] + sign * electron
        tolerance = max(mz[peak] * ppm * 1e-6, absolute)
        others[:] = 0
        while True:
            rest = wanted
            for e in range(1, len(masses)):
                rest -= others[e] * masses[e]
            if rest >= -tolerance:
                carbons = min(counts[0], int((rest + tolerance) / masses[0]))
                while carbons >= 0:
                    left = rest - masses[0] * carbons
                    k = round(left / hydrogen)
                    # More hydrogens than a saturated chain of these atoms can carry: fewer carbons only make it worse.
                    if k > hydrogens + 1 or k > 2 * carbons + others[1] + others[4] + 4:
                        break
                    if abs(left - k * hydrogen) <= tolerance:
                        out[peak] = True
                        break
                    carbons -= 1
            if out[peak]:
                break
            # Count on through the combinations of all other elements; what is too heavy is passed over.
            e = 1
            while e < len(masses):
                if others[e] < counts[e] and rest - masses[e] >= -tolerance:
                    others[e] += 1
                    break
                rest += others[e] * masses[e]
                others[e] = 0
                e += 1
            if e == len(masses):
                break
    return out
