"""The loops that compare sets of atoms with peaks, compiled: which sets weigh what was measured, and what they are."""

from __future__ import annotations

import numba
import numpy as np

from molvis_fragmentation.cutting import count_bits, lowest, without_lowest

BEST = 4
"""Sets that are kept of those that fit a peak, unless told otherwise: the cheapest."""
LARGEST_SHIFT = 4
"""Hydrogens that a set may gain or lose besides those that its charge needs."""
_SHIFT_COST = 30
"""Hundredths for each of these hydrogens."""
CROSSED = 6
"""Broken bonds that are described."""
NO_BOND = 255

COLUMNS = (
    *(f"bond{k}" for k in range(CROSSED)), "cuts", "cost", "bonds", "shift", "odd", "overfull", "error", "form", "rank",
    "basic", "basic-lost", "pyridine", "acid", "acid-lost", "phenol", "carbonyl", "cation", "cation-lost", "anion",
)  # fmt: skip
"""What is known of a match, a byte each. `shift` is counted from -4, `error` from -1 to 1 tolerances in 255 steps."""


@numba.njit(cache=True)
def fits(mz, mass, hydrogens, paid, forms, ppm, absolute, hydrogen, most=BEST):  # pragma: no cover - compiled
    """The cheapest sets whose mass fits each peak.

    `mass`, `hydrogens` and `paid` are of the sets, by ascending mass. `forms` has a row for each form that an ion can
    have: the number of charges, what is added to charges times m/z to get the mass of the set, the hydrogens that its
    charge needs, and a code. The tolerance is the larger of `ppm` and `absolute` (Da). `hydrogen` is its mass.
    `most` sets are kept.

    Returns for each peak and each of `most` places the set (-1 for none), the form, the hydrogens beyond what the
    charge needs, and the error in tolerances.
    """
    number = len(mz)
    found = np.full((number, most), -1, np.int64)
    form = np.zeros((number, most), np.int64)
    shift = np.zeros((number, most), np.int64)
    error = np.zeros((number, most))
    price = np.full((number, most), np.iinfo(np.int64).max, np.int64)
    for p in range(number):
        for v in range(len(forms)):
            tolerance = max(mz[p] * ppm * 1e-6, absolute) * forms[v, 0]
            for beyond in range(-LARGEST_SHIFT, LARGEST_SHIFT + 1):
                gained = beyond + np.int64(forms[v, 2])
                wanted = mz[p] * forms[v, 0] + forms[v, 1] - gained * hydrogen
                j = np.searchsorted(mass, wanted - tolerance)
                while j < len(mass) and mass[j] <= wanted + tolerance:
                    asked = paid[j] + _SHIFT_COST * abs(beyond)
                    if hydrogens[j] + gained >= 0 and asked < price[p, most - 1]:
                        place = most - 1
                        while place > 0 and price[p, place - 1] > asked:
                            found[p, place], form[p, place] = found[p, place - 1], form[p, place - 1]
                            shift[p, place], error[p, place] = shift[p, place - 1], error[p, place - 1]
                            price[p, place] = price[p, place - 1]
                            place -= 1
                        found[p, place], form[p, place], shift[p, place] = j, v, beyond
                        error[p, place], price[p, place] = (wanted - mass[j]) / tolerance, asked
                    j += 1
    return found, form, shift, error


@numba.njit(cache=True)
def _count(sets, j, site):  # pragma: no cover - compiled
    return count_bits(sets[j, 0] & site[0]) + count_bits(sets[j, 1] & site[1])


@numba.njit(cache=True)
def describe(
    found, form, shift, error, forms, sets, depth, paid, hydrogens, neighbours, classes, sites
):  # pragma: no cover - compiled
    """A row of `COLUMNS` for each match, and the peak of each.

    `found`, `form`, `shift` and `error` are as `fits` returns them, `forms` as it was given, `sets`, `depth`, `paid`
    and `hydrogens` of the sets in the same order, `neighbours`, `classes` and `sites` of the molecule.
    """
    rows = np.zeros((np.count_nonzero(found >= 0), CROSSED + 19), np.uint8)
    peak = np.zeros(len(rows), np.int64)
    r = 0
    for p in range(len(found)):
        for place in range(found.shape[1]):
            j = found[p, place]
            if j < 0:
                break
            v, row = form[p, place], rows[r]
            peak[r] = p
            bonds = _broken(sets[j, 0], sets[j, 1], neighbours, classes, row)
            r += 1
            gained = shift[p, place] + np.int64(forms[v, 2])
            # An even number of electrons is left where protons and charge are both even, or both odd.
            protons = _count(sets, j, sites[10]) + gained
            carbon, nitrogen = _count(sets, j, sites[0]), _count(sets, j, sites[1])
            room = 2 * carbon + 3 + nitrogen - _count(sets, j, sites[2])
            row[CROSSED] = depth[j]
            row[CROSSED + 1] = min(paid[j] // 4, 255)
            row[CROSSED + 2] = min(bonds, 255)
            row[CROSSED + 3] = shift[p, place] + LARGEST_SHIFT
            row[CROSSED + 4] = (protons - np.int64(forms[v, 2])) % 2
            row[CROSSED + 5] = hydrogens[j] + gained > room
            row[CROSSED + 6] = np.uint8(np.round(127.5 + 127.0 * error[p, place]))
            row[CROSSED + 7] = np.int64(forms[v, 3])
            row[CROSSED + 8] = min(place, 255)
            for k, (site, lost) in enumerate(
                ((3, 0), (3, 1), (4, 0), (5, 0), (5, 1), (6, 0), (7, 0), (8, 0), (8, 1), (9, 0))
            ):
                inside = _count(sets, j, sites[site])
                every = count_bits(sites[site, 0]) + count_bits(sites[site, 1])
                row[CROSSED + 9 + k] = min(every - inside if lost else inside, 255)
    return rows, peak


@numba.njit(cache=True)
def _broken(lo, hi, neighbours, classes, row):  # pragma: no cover - compiled
    """Enter the classes of the bonds that leave a set. Returns how many there are."""
    count = 0
    row[:CROSSED] = NO_BOND
    rest_lo, rest_hi = lo, hi
    while rest_lo | rest_hi:
        atom = lowest(rest_lo, rest_hi)
        rest_lo, rest_hi = without_lowest(rest_lo, rest_hi)
        out_lo, out_hi = neighbours[atom, 0] & ~lo, neighbours[atom, 1] & ~hi
        while out_lo | out_hi:
            if count < CROSSED:
                row[count] = classes[atom, lowest(out_lo, out_hi)]
            count += 1
            out_lo, out_hi = without_lowest(out_lo, out_hi)
    return count


@numba.njit(cache=True)
def ends_of_bonds(found, sets, neighbours):  # pragma: no cover - compiled
    """The atoms at both ends of the bonds that each match breaks, in the order in which `describe` names the bonds.

    `found` and `sets` are as `describe` takes them. Of each row the first `CROSSED` atoms are kept, the others lost;
    `NO_BOND` where there is none.
    """
    ends = np.full((np.count_nonzero(found >= 0), 2 * CROSSED), NO_BOND, np.uint8)
    r = 0
    for p in range(len(found)):
        for place in range(BEST):
            j = found[p, place]
            if j < 0:
                break
            _enter_ends(sets[j, 0], sets[j, 1], neighbours, ends[r])
            r += 1
    return ends


@numba.njit(cache=True)
def _enter_ends(lo, hi, neighbours, row):  # pragma: no cover - compiled
    """Enter the atoms at both ends of the bonds that leave a set."""
    count = 0
    rest_lo, rest_hi = lo, hi
    while (rest_lo | rest_hi) and count < CROSSED:
        atom = lowest(rest_lo, rest_hi)
        rest_lo, rest_hi = without_lowest(rest_lo, rest_hi)
        out_lo, out_hi = neighbours[atom, 0] & ~lo, neighbours[atom, 1] & ~hi
        while (out_lo | out_hi) and count < CROSSED:
            row[count], row[CROSSED + count] = atom, lowest(out_lo, out_hi)
            count += 1
            out_lo, out_hi = without_lowest(out_lo, out_hi)
