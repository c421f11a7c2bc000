"""The loops over formulas, compiled: which weigh what was measured, and which sub-formulas fit which peaks."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True)
def allowed(counts, rules, ratios, combinations, valences, most_valences):  # pragma: no cover - compiled
    """Whether a formula keeps the rules, which are described at `decompose`."""
    carbon = counts[0]
    doubled, total, largest, atoms = 2, 0, 0, 0
    single = counts[1] + counts[6] + counts[7] + counts[8] + counts[9]  # halogens take hydrogen's places
    for e in range(len(counts)):
        count = counts[e]
        if count == 0:
            continue
        doubled += count * (valences[e] - 2)
        total += count * most_valences[e]
        largest = max(largest, most_valences[e])
        atoms += count
        if ratios[e, 1] and free(e, counts) * ratios[e, 1] > ratios[e, 0] * carbon:
            return False
    if single * rules[1] < rules[0] * carbon or (rules[3] and single * rules[3] > rules[2] * carbon):
        return False
    if doubled < rules[4] or doubled > rules[5] or (rules[6] < 2 and doubled % 2 != rules[6]):
        return False
    if rules[7] and (total < 2 * (atoms - 1) or total < 2 * largest):
        return False
    return _combine(counts, combinations)


@numba.njit(cache=True)
def free(e, counts):  # pragma: no cover - compiled
    """Atoms of an element that count in its ratio to carbon: of oxygen, phosphates and sulphates bring their own."""
    return max(counts[e] - 3 * (counts[4] + counts[5]), 0) if e == 3 else counts[e]


@numba.njit(cache=True)
def _combine(counts, combinations):  # pragma: no cover - compiled
    """Whether these numbers of N, O, P and S may be in one formula; they follow carbon and hydrogen."""
    for row in range(combinations.shape[1]):
        many = few = True
        for k in range(4):
            many &= counts[2 + k] > combinations[0, row, k]
            few &= counts[2 + k] < combinations[1, row, k]
        if many and not few:
            return False
    return True


@numba.njit(cache=True)
def _solve(
    left, first, width, counts, masses, least, most, rules, ratios, combinations, valences, most_valences, found, number
):  # pragma: no cover - compiled
    """Add the formulas whose other elements are given.

    Carbon and hydrogen weigh `left`, or up to `width` less. As carbon weighs nearly twelve hydrogen atoms, the
    remainder of the rest over hydrogen moves by the same step with each carbon atom, which is one addition and one
    comparison for each. Returns how many formulas there are now.
    """
    carbon, hydrogen = masses[0], masses[1]
    step = hydrogen - carbon % hydrogen
    left -= first * carbon
    # A product of floats stands for the quotient, which takes longer; what is rounded is corrected in whole numbers.
    remainder = left - int(left * (1.0 / hydrogen)) * hydrogen
    while remainder < 0:
        remainder += hydrogen
    while remainder >= hydrogen:
        remainder -= hydrogen
    for count in range(first, most[0] + 1):
        if left < 0:
            break
        if remainder <= width:
            atoms = left // hydrogen
            counts[0], counts[1] = count, atoms
            if least[1] <= atoms <= most[1] and allowed(counts, rules, ratios, combinations, valences, most_valences):
                for e in range(len(counts)):
                    found[number, e] = counts[e]
                number += 1
        left -= carbon
        remainder += step
        if remainder >= hydrogen:
            remainder -= hydrogen
    counts[0] = counts[1] = 0
    return number


@numba.njit(cache=True)
def carbons_wanted(high, size, masses, order, ratios):  # pragma: no cover - compiled
    """Carbon atoms that so many atoms of an element ask for, "e n"."""
    lightest = masses[1]
    for e in order:
        lightest = masses[e]
    bound = np.zeros((size, high // lightest + 2), np.int64)
    for e in order:
        if ratios[e, 1]:
            for count in range(bound.shape[1]):
                bound[e, count] = -((-count * ratios[e, 1]) // ratios[e, 0])
    return bound


@numba.njit(cache=True)
def decompose(
    low, high, masses, least, most, order, ratios, rules, combinations, kinds, valences, most_valences, limit
):  # pragma: no cover - compiled
    """All counts whose mass is from `low` to `high`, both included; masses are whole numbers.

    Elements but carbon and hydrogen are counted through in `order`, the heaviest first; for the rest of the mass, the
    number of carbon atoms decides that of hydrogen. `rules` holds the fewest and the most hydrogen and halogen atoms
    for each carbon atom as two fractions, the least and the most of twice the rings and double bonds, their parity (2
    for either), and whether Senior's rules hold; `combinations` the numbers of N, O, P and S above which those of each
    must be below others.

    Returns:
        Counts, the first `limit` of them at most, and how many there are, more than `limit` for any larger number.
    """
    size, levels = len(masses), len(order)
    most_carbon = high // masses[0] + 1
    found = np.empty((1024 + most_carbon, size), np.int16)
    number = 0
    counts = np.zeros(size, np.int64)
    rest, needed, spare, varied = np.zeros((4, levels + 1), np.int64)
    carbon, hydrogen, width = masses[0], masses[1], high - low
    by_valence = 1.0 / (carbon + 2 * hydrogen)
    by_ratio = rules[3] / (carbon * rules[3] + rules[2] * hydrogen) if rules[3] else 0.0
    bound = carbons_wanted(high, size, masses, order, ratios)
    rest[0], needed[0], spare[0] = high, least[0], 2 - rules[4]
    level = 0
    if levels:
        counts[order[0]] = least[order[0]] - 1
    while level >= 0 and number <= limit:
        if level < levels:
            e = order[level]
            counts[e] += 1
            left = rest[level] - counts[e] * masses[e]
            some = varied[level] + (e > 3 and counts[e] > 0)
            carbons = max(needed[level], bound[e, min(free(e, counts), bound.shape[1] - 1)])
            if left < carbons * carbon or counts[e] > most[e] or some > kinds:
                counts[e] = 0
                level -= 1
                continue
            level += 1
            rest[level], needed[level], varied[level] = left, carbons, some
            spare[level] = spare[level - 1] + counts[e] * (valences[e] - 2)
            if level < levels:
                counts[order[level]] = least[order[level]] - 1
                continue
        # No molecule has more than 2 C + 2 hydrogen atoms, and one for each valence over two of the others.
        least_left = rest[level] - width
        first = int((least_left - max(spare[level], 0) * hydrogen) * by_valence) - 1
        first = max(first, needed[level], int(least_left * by_ratio) - 1)
        if number + most_carbon > len(found):
            larger = np.empty((2 * len(found), size), np.int16)
            larger[:number] = found[:number]
            found = larger
        number = _solve(
            rest[level],
            first,
            width,
            counts,
            masses,
            least,
            most,
            rules,
            ratios,
            combinations,
            valences,
            most_valences,
            found,
            number,
        )
        level -= 1
    return found[: min(number, limit)], number


@numba.njit(cache=True)
def subformulas(low, high, masses, most, order, limit):  # pragma: no cover - compiled
    """Counts up to `most` of each element whose mass is from `low` to `high`, at most `limit` of them; no other rule.

    Elements but carbon and hydrogen are counted through in `order`.
    """
    size, levels = len(masses), len(order)
    found = np.empty((64, size), np.int16)
    number = 0
    counts = np.zeros(size, np.int64)
    rest = np.zeros(levels + 1, np.int64)
    carbon, hydrogen = masses[0], masses[1]
    width = high - low
    rest[0] = high
    room = most[1] * hydrogen + most[0] * carbon
    level = 0
    if levels:
        counts[order[0]] = -1
    while level >= 0 and high >= 0:
        if level < levels:
            e = order[level]
            counts[e] += 1
            left = rest[level] - counts[e] * masses[e]
            if counts[e] > most[e] or left < 0:
                counts[e] = 0
                level -= 1
                continue
            level += 1
            rest[level] = left
            if level < levels:
                counts[order[level]] = -1
                continue
        left = rest[level]
        if left - width <= room:
            first = max(0, (left - width - most[1] * hydrogen) // carbon)
            for count in range(first, min(left // carbon, most[0]) + 1):
                over = left - count * carbon
                atoms = over // hydrogen
                if atoms <= most[1] and over - atoms * hydrogen <= width:
                    counts[0], counts[1] = count, atoms
                    if number == limit:
                        return found[:number]
                    if number == len(found):
                        larger = np.empty((2 * len(found), size), np.int16)
                        larger[:number] = found
                        found = larger
                    for e in range(size):
                        found[number, e] = counts[e]
                    number += 1
            counts[0] = counts[1] = 0
        level -= 1
    return found[:number]


@numba.njit(cache=True)
def _mark_outside(bound, guards, by_word, first, count, outside):  # pragma: no cover - compiled
    """Enter 0 for each part that has no more atoms than an ion, without a branch: several are looked at in one step."""
    for w in range(len(guards)):
        row = by_word[w, first : first + count]
        for k in range(count):
            over = ((bound[w] - row[k]) & guards[w]) ^ guards[w]
            outside[k] = over | outside[k] if w else over


@numba.njit(cache=True)
def explain(
    bounds,
    guards,
    weights,
    doubled,
    parts,
    part_masses,
    part_doubled,
    starts,
    is_loss,
    targets,
    widths,
    metals,
    charges,
    forms,
    spread,
    radical,
):  # pragma: no cover - compiled
    """The most plausible sub-formula of each candidate's ion for each peak.

    `bounds` "n w", `weights` " n" and `doubled` " n" are the atoms of the candidates' ions without metals, their
    masses in units, and twice their rings and double bonds; `parts` "m w", `part_masses` and `part_doubled` " m" are
    the same of the sub-formulas of all peaks. Atoms are packed into words, each element with a bit above it, `guards`
    " w": in `bounds` it is set, and stays so in the difference where the part has no more atoms. The sub-formulas of
    each peak and form, all forms of a peak beside each other, begin at `starts` " q+1", and are what the peak has lost
    where `is_loss` " q" says so, else the peak itself.
    `targets` and `widths` " q" are the mass of the peak's atoms without metals, and its tolerance. `metals` " q" says
    whether the form keeps a metal, which takes the place of a hydrogen atom, and `charges` " q" its charges. `spread`
    is the standard deviation of mass errors as a share of the tolerance, and `radical` the cost of an odd number of
    electrons.

    Returns:
        Of each candidate and peak, "n p": the place of the sub-formula, -1 for none; its error as a share of the
        tolerance; how many sub-formulas there are; and which form it has.
    """
    peaks = len(targets) // forms
    best = np.full((len(bounds), peaks), -1, np.int32)
    errors = np.zeros((len(bounds), peaks), np.float32)
    ways = np.zeros((len(bounds), peaks), np.int32)
    which = np.zeros((len(bounds), peaks), np.int8)
    by_word = np.ascontiguousarray(parts.T)
    outside = np.zeros(len(parts), np.int64)
    for c in range(len(bounds)):
        for p in range(peaks):
            least = 1e18
            for f in range(forms):
                q = p * forms + f
                first, count = starts[q], starts[q + 1] - starts[q]
                _mark_outside(bounds[c], guards, by_word, first, count, outside)
                for k in range(count):
                    if outside[k]:
                        continue
                    m = first + k
                    if is_loss[q]:
                        away = weights[c] - part_masses[m] - targets[q]
                        rings = doubled[c] - part_doubled[m] + 2
                    else:
                        away = part_masses[m] - targets[q]
                        rings = part_doubled[m]
                    rings -= metals[q]
                    if away > widths[q] or -away > widths[q] or rings < -charges[q]:
                        continue
                    ways[c, p] += 1
                    error = away / widths[q]
                    cost = 0.5 * (error / spread) ** 2
                    if (rings + charges[q]) % 2:
                        cost += radical
                    if cost < least:
                        least = cost
                        best[c, p], errors[c, p], which[c, p] = m, error, f
    return best, errors, ways, which


@numba.njit(cache=True)
def collect(bounds, parts, losses, forms, found, which):  # pragma: no cover - compiled
    """Fragments and losses of the sub-formulas that `explain` found, "n p e", whether a metal is kept, and charges.

    `bounds` "n e" are the atoms of the ions, `parts` "m e" the sub-formulas: what was lost where `losses` "p f"
    says so, and `forms` "f 3" those of `molvis_formula.ions.IonAtoms.forms`.
    """
    n, peaks, size = found.shape[0], found.shape[1], bounds.shape[1]
    fragment = np.zeros((n, peaks, size), np.int16)
    lost = np.zeros((n, peaks, size), np.int16)
    metal = np.zeros((n, peaks), np.bool_)
    charge = np.zeros((n, peaks), np.int64)
    for c in range(n):
        for p in range(peaks):
            f = which[c, p]
            charge[c, p] = forms[f, 2]
            k = found[c, p]
            if k < 0:
                continue
            metal[c, p] = forms[f, 0] > 0
            for e in range(size):
                part = parts[k, e]
                other = bounds[c, e] - part
                fragment[c, p, e] = other if losses[p, f] else part
                lost[c, p, e] = part if losses[p, f] else other
    return fragment, lost, metal, charge


@numba.njit(cache=True)
def peak_columns(
    found, error, fragment, lost, metal, charge, ways, chance, share, mz, tops, valences, logs, known
):  # pragma: no cover - compiled
    """What `molvis_formula.features.peak_features` says of each peak and candidate, "n p b".

    `tops` " n" are the m/z that the molecules would have with the ion's charge; `logs` the logarithms of one more than
    0, 1, 2, ..., and `known` how many elements have numbers of their own.
    """
    n, peaks, size = fragment.shape
    plain = 21
    out = np.zeros((n, peaks, plain + 2 * known))
    highest = 1e-9
    for p in range(peaks):
        highest = max(highest, share[p])
    for p in range(peaks):
        root, log, relative = np.sqrt(share[p]), np.log(share[p] + 1e-4) / 5, share[p] / highest
        for c in range(n):
            row = out[c, p]
            row[13], row[14], row[15], row[16] = root, log, relative, mz[p] / 500
            row[17] = min(max(mz[p] / tops[c], 0.0), 2.0)
            row[18] = min(max(np.log(chance[c, p] + 1e-6), -14.0), 8.0) / 5
            row[19], row[20] = np.log1p(ways[c, p]), np.log1p(peaks) / 3
            row[1], row[2] = error[c, p] ** 2 * 9, abs(error[c, p]) * 3
            for e in range(known):
                row[plain + e], row[plain + known + e] = logs[fragment[c, p, e]], logs[lost[c, p, e]]
            if not found[c, p]:
                continue
            rings, left, atoms, away, kinds = 2, 0, 0, 0, 0
            for e in range(size):
                rings += fragment[c, p, e] * (valences[e] - 2)
                left += lost[c, p, e] * (valences[e] - 2)
                atoms += fragment[c, p, e]
                away += lost[c, p, e]
                kinds += e > 3 and fragment[c, p, e] > 0
            rings -= metal[c, p]
            hetero = atoms - fragment[c, p, 0] - fragment[c, p, 1]
            row[0], row[3], row[4], row[5] = 1.0, (rings + charge[c, p]) % 2, rings / 20, left / 20
            row[6], row[7], row[8], row[9] = metal[c, p], charge[c, p] > 1, away == 0, rings < 1
            row[10] = fragment[c, p, 1] / max(fragment[c, p, 0], 1) / 2
            row[11], row[12] = hetero / max(atoms, 1), kinds
    return out
