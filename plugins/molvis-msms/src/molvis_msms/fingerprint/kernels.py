"""The loop over the branched paths of a molecule, compiled."""

from __future__ import annotations

import numba
import numpy as np

_AROMATIC = 1.5
_GOLDEN = np.uint32(0x9E3779B9)


@numba.njit(cache=True, nogil=True, inline="always")
def _combined(seed, value):  # pragma: no cover - compiled
    """Boost's `hash_combine` of 32 bits."""
    mixed = np.uint32(np.uint32(seed << np.uint32(6)) + np.uint32(seed >> np.uint32(2)))
    return seed ^ np.uint32(np.uint32(value + _GOLDEN) + mixed)


@numba.njit(cache=True, nogil=True)
def path_bits(orders, atoms, longest, bits):  # pragma: no cover - compiled
    """Bits of all connected sets of bonds, as RDKit's fingerprint of paths has them with one bit for each.

    A set grows by bonds that are later than its first one and touch none but the last that was taken, so that each set
    is met once. A bond's hash is of its order, of what both ends are, and of how many bonds of the set meet there; a
    set's is of the sorted hashes of its bonds, and of how many atoms it has.

    Args:
        orders: of the bond between two atoms, 1.5 where it is aromatic, 0 where there is none.
        atoms: twice the atomic number, plus one where an atom is aromatic.
        longest: bonds of a set at most.
        bits: of the fingerprint.
    """
    out = np.zeros(bits, np.uint8)
    first, second, order, start, at = _bonds(orders)
    count = len(first)
    touched = np.zeros(count, np.int32)  # by how many bonds of the set, a bond of it by itself
    degree = np.zeros(len(atoms), np.int32)
    taken = np.empty(longest, np.int32)
    free = np.empty((longest, count), np.int32)
    left = np.zeros(longest, np.int32)
    hashes = np.empty(longest, np.uint32)
    for root in range(count):
        level, bond, size = 0, root, 0
        while True:
            taken[level] = bond
            more = 0
            if level > 0:
                more = left[level - 1]
                free[level, :more] = free[level - 1, :more]
            touched[bond] += 1
            for atom in (first[bond], second[bond]):
                size += degree[atom] == 0
                degree[atom] += 1
                if level + 1 < longest:
                    for other in at[start[atom] : start[atom + 1]]:
                        if touched[other] == 0 and other > root:
                            free[level, more] = other
                            more += 1
                        touched[other] += 1
            left[level] = more
            out[_hash(taken, level + 1, size, first, second, order, atoms, degree, hashes) % np.uint32(bits)] = 1
            while level >= 0 and (level + 1 == longest or left[level] == 0):
                bond = taken[level]
                touched[bond] -= 1
                for atom in (first[bond], second[bond]):
                    degree[atom] -= 1
                    size -= degree[atom] == 0
                    touched[at[start[atom] : start[atom + 1]]] -= level + 1 < longest
                level -= 1
            if level < 0:
                break
            left[level] -= 1
            bond = free[level, left[level]]
            level += 1
    return out


@numba.njit(cache=True, nogil=True)
def _bonds(orders):  # pragma: no cover - compiled
    """Both ends and the order of each bond, and the bonds at each atom, between two places of `start`."""
    atoms = len(orders)
    count = 0
    for i in range(atoms):
        for j in range(i):
            count += orders[i, j] > 0
    first, second = np.empty(count, np.int32), np.empty(count, np.int32)
    order = np.empty(count, np.uint32)
    start = np.zeros(atoms + 2, np.int32)
    bond = 0
    for i in range(atoms):
        for j in range(i):
            if orders[i, j] > 0:
                first[bond], second[bond] = i, j
                order[bond] = 12 if orders[i, j] == _AROMATIC else int(orders[i, j])  # RDKit's numbers of bond types
                start[i + 2] += 1
                start[j + 2] += 1
                bond += 1
    for i in range(2, atoms + 2):
        start[i] += start[i - 1]
    at = np.empty(2 * count, np.int32)
    for bond in range(count):
        for atom in (first[bond], second[bond]):
            at[start[atom + 1]] = bond
            start[atom + 1] += 1
    return first, second, order, start, at


@numba.njit(cache=True, nogil=True)
def _hash(taken, count, size, first, second, order, atoms, degree, hashes):  # pragma: no cover - compiled
    """The hash of a set of so many bonds and atoms; `hashes` is for its own use."""
    for place in range(count):
        bond = taken[place]
        a, b = first[bond], second[bond]
        this, that = atoms[a], atoms[b]
        here, there = np.uint32(degree[a]), np.uint32(degree[b])
        beside = np.uint32(here + there - np.uint32(2))
        if this < that or (this == that and here < there):
            this, that = that, this
            here, there = there, here
        one = _combined(_combined(_combined(_combined(_combined(beside, order[bond]), this), here), that), there)
        slot = place
        while slot > 0 and hashes[slot - 1] > one:
            hashes[slot] = hashes[slot - 1]
            slot -= 1
        hashes[slot] = one
    if count == 1:
        return hashes[0]
    whole = np.uint32(0)
    for place in range(count):
        whole = _combined(whole, hashes[place])
    return _combined(whole, np.uint32(size))
