"""The loops of spectral search, compiled: weights of peaks, matching of peaks, and sums over an index of peaks."""

from __future__ import annotations

import numba
import numpy as np

SCALE = 100.0
"""Cells per Da of an index of peaks."""
MOST_CELLS = 500_000
"""Values beyond these cells share the last one: each value is compared with the window in any case."""


@numba.njit(cache=True, nogil=True)
def weigh(offsets, mz, intensity, precursor, power, entropy, of_peaks, of_losses):  # pragma: no cover - compiled
    """What each peak weighs in the similarity, spectrum by spectrum.

    By powers of intensity, with the Euclidean norm 1 over what is compared: over peaks, over neutral losses (peaks
    below the precursor), or over both. Or for the entropy similarity.
    """
    out = np.zeros(len(mz))
    for s in range(len(offsets) - 1):
        part = slice(offsets[s], offsets[s + 1])
        if entropy:
            _weigh_by_entropy(intensity[part], out[part])
        else:
            _weigh_by_power(mz[part], intensity[part], precursor[s], power, of_peaks, of_losses, out[part])
    return out


@numba.njit(cache=True, nogil=True)
def _weigh_by_entropy(intensity, out):  # pragma: no cover - compiled
    """Intensities that add up to 1, raised before to the power that the spectrum's own entropy asks for."""
    total = intensity.sum()
    if total <= 0:
        return
    own = 0.0
    for height in intensity:
        if height > 0:
            own -= height / total * np.log(height / total)
    raised = 1.0 if own >= 3 else 0.25 + 0.25 * own
    for p in range(len(out)):
        out[p] = (intensity[p] / total) ** raised if intensity[p] > 0 else 0.0
    out /= out.sum()


@numba.njit(cache=True, nogil=True)
def _weigh_by_power(mz, intensity, precursor, power, of_peaks, of_losses, out):  # pragma: no cover - compiled
    highest = intensity.max() if len(intensity) else 0.0
    square = 0.0
    for p in range(len(mz)):
        times = (1 if of_peaks else 0) + (1 if of_losses and mz[p] < precursor else 0)
        if intensity[p] > 0 and times:
            out[p] = (intensity[p] / highest) ** power
            square += times * out[p] * out[p]
    if square > 0:
        out /= np.sqrt(square)


@numba.njit(cache=True, nogil=True)
def _gain(a, b, entropy):  # pragma: no cover - compiled
    """What a pair of peaks adds to the similarity."""
    if not entropy:
        return a * b
    return 0.5 * ((a + b) * np.log2(a + b) - (a * np.log2(a) + b * np.log2(b)))


@numba.njit(cache=True, nogil=True)
def _near(gap, a, b, width, relative):  # pragma: no cover - compiled
    """Whether a gap lies within the tolerance; a relative one is a share of the mean m/z of the two peaks."""
    return abs(gap) <= (width * 0.5 * (a + b) if relative else width)


@numba.njit(cache=True, nogil=True)
def _collect(
    mz, weight, other_mz, other_weight, shift, width, relative, least, entropy, i, j, gain, gap, count
):  # pragma: no cover - compiled
    """Append the pairs of peaks whose m/z agree once the second spectrum is shifted. Returns how many there are.

    Peaks of weight 0 and peaks at or above `least` (of each spectrum) are left out.
    """
    start = 0
    reach = width * 1.01 * (mz[-1] + abs(shift) + other_mz[-1]) if relative else width * 1.01
    for p in range(len(mz)):
        if weight[p] <= 0 or mz[p] >= least[0]:
            continue
        while start < len(other_mz) and (mz[p] - other_mz[start]) - shift > reach:
            start += 1
        for q in range(start, len(other_mz)):
            apart = (mz[p] - other_mz[q]) - shift
            if apart < -reach:
                break
            if other_weight[q] <= 0 or other_mz[q] >= least[1]:
                continue
            if _near(apart, mz[p], other_mz[q], width, relative):
                if count < len(i):
                    i[count], j[count] = p, q
                    gain[count], gap[count] = _gain(weight[p], other_weight[q], entropy), abs(apart)
                count += 1
    return count


@numba.njit(cache=True, nogil=True)
def _before(a, b, gain, gap, total):  # pragma: no cover - compiled
    """Whether one pair is taken before another."""
    if gain[a] != gain[b]:
        return gain[a] > gain[b]
    if gap[a] != gap[b]:
        return gap[a] < gap[b]
    if total[a] != total[b]:
        return total[a] < total[b]
    return a < b


@numba.njit(cache=True, nogil=True)
def _ordered(gain, gap, total):  # pragma: no cover - compiled
    """Pairs in the order in which they are taken, by a heap: NumPy's sorts by several keys compile for seconds."""
    order = np.arange(len(gain))
    for start in range(len(order) // 2 - 1, -1, -1):
        _sink(order, start, len(order), gain, gap, total)
    for end in range(len(order) - 1, 0, -1):
        order[0], order[end] = order[end], order[0]
        _sink(order, 0, end, gain, gap, total)
    return order


@numba.njit(cache=True, nogil=True)
def _sink(order, root, end, gain, gap, total):  # pragma: no cover - compiled
    """Put the entry at the root of a part of the heap in its place: the last to be taken is on top."""
    while 2 * root + 1 < end:
        child = 2 * root + 1
        if child + 1 < end and _before(order[child], order[child + 1], gain, gap, total):
            child += 1
        if not _before(order[root], order[child], gain, gap, total):
            break
        order[root], order[child] = order[child], order[root]
        root = child


@numba.njit(cache=True, nogil=True)
def _greedy(i, j, gain, gap, total, used, other_used):  # pragma: no cover - compiled
    """Keep pairs by descending gain, each peak once. Equal gains: the nearer pair first, then the one of lower m/z.

    The order does not depend on which spectrum comes first, so neither does the result.
    """
    used[:] = False
    other_used[:] = False
    clash = False
    for k in range(len(i)):
        clash = clash or used[i[k]] or other_used[j[k]]
        used[i[k]], other_used[j[k]] = True, True
    if not clash:
        return np.arange(len(i))
    used[:] = False
    other_used[:] = False
    kept = np.empty(len(i), np.int64)
    count = 0
    for k in _ordered(gain, gap, total):
        if not used[i[k]] and not other_used[j[k]]:
            used[i[k]], other_used[j[k]] = True, True
            kept[count] = k
            count += 1
    return kept[:count]


@numba.njit(cache=True, nogil=True)
def pairs_of(
    mz, weight, precursor, other_mz, other_weight, other_precursor, width, relative, direct, shifted, entropy
):  # pragma: no cover - compiled
    """All pairs of peaks that may match, those by m/z first: places, gain, gap, and whether they match by loss alone.

    `shifted` is 0 for no pairs by neutral loss, 1 for pairs of losses (peaks below the precursor), 2 for pairs of peaks
    that are shifted by the difference of the precursors.
    """
    size = 4 * (len(mz) + len(other_mz)) + 16
    everything = np.array([np.inf, np.inf])
    while True:
        i, j = np.empty(size, np.int64), np.empty(size, np.int64)
        gain, gap = np.empty(size), np.empty(size)
        count = 0
        if len(mz) and len(other_mz):
            if direct:
                count = _collect(
                    mz,
                    weight,
                    other_mz,
                    other_weight,
                    0.0,
                    width,
                    relative,
                    everything,
                    entropy,
                    i,
                    j,
                    gain,
                    gap,
                    count,
                )
            split = count
            shift = precursor - other_precursor
            # NaN, an unknown precursor, compares as false.
            apart = shift == shift and not _near(shift, precursor, other_precursor, width, relative)
            if (shifted == 1 and shift == shift) or (shifted == 2 and apart):
                least = np.array([precursor, other_precursor]) if shifted == 1 else everything
                count = _collect(
                    mz, weight, other_mz, other_weight, shift, width, relative, least, entropy, i, j, gain, gap, count
                )
        else:
            split = 0
        if count <= size:
            return i[:count], j[:count], gain[:count], gap[:count], split
        size = count


@numba.njit(cache=True, nogil=True)
def compare(
    mz, weight, precursor, other_mz, other_weight, other_precursor, width, relative, direct, shifted, entropy
):  # pragma: no cover - compiled
    """Similarity by greedy matching, and the places of the pairs."""
    i, j, gain, gap, split = pairs_of(
        mz, weight, precursor, other_mz, other_weight, other_precursor, width, relative, direct, shifted, entropy
    )
    used, other_used = np.zeros(len(mz), np.bool_), np.zeros(len(other_mz), np.bool_)
    total = np.empty(len(i))
    for k in range(len(i)):
        total[k] = mz[i[k]] + other_mz[j[k]]
    if direct and shifted == 1:  # peaks and losses are matched each by themselves
        one = _greedy(i[:split], j[:split], gain[:split], gap[:split], total[:split], used, other_used)
        two = _greedy(i[split:], j[split:], gain[split:], gap[split:], total[split:], used, other_used)
        kept = np.concatenate((one, two + split))
    else:
        kept = _greedy(i, j, gain, gap, total, used, other_used)
    score = 0.0
    for k in kept:
        score += gain[k]
    return min(score, 1.0), i[kept], j[kept]


@numba.njit(cache=True, nogil=True)
def compare_rows(
    rows, offsets, all_mz, all_weight, precursors, mz, weight, precursor, width, relative, direct, shifted, entropy
):  # pragma: no cover - compiled
    """Similarities of one spectrum with some rows of an index, and the numbers of pairs."""
    scores, counts = np.zeros(len(rows)), np.zeros(len(rows), np.int64)
    for k in range(len(rows)):
        first, last = offsets[rows[k]], offsets[rows[k] + 1]
        scores[k], found, _ = compare(
            mz, weight, precursor, all_mz[first:last], all_weight[first:last], precursors[rows[k]], width, relative,
            direct, shifted, entropy,
        )  # fmt: skip
        counts[k] = len(found)
    return scores, counts


@numba.njit(cache=True, nogil=True)
def _cell(value, low):  # pragma: no cover - compiled
    return min(max(int((value - low) * SCALE), 0), MOST_CELLS - 1)


@numba.njit(cache=True, nogil=True)
def _value(mz, weight, precursor, by_loss, below):  # pragma: no cover - compiled
    """Where a peak is found in an index: its m/z or its neutral loss; NaN where it is not to be found."""
    if weight <= 0:
        return np.nan
    value = precursor - mz if by_loss else mz
    return np.nan if below and value <= 0 else value


@numba.njit(cache=True, nogil=True)
def into_cells(offsets, mz, weight, precursor, by_loss, below):  # pragma: no cover - compiled
    """The peaks of some spectra ordered by cells of their m/z, or of their neutral loss.

    Returns the lowest value, the start of each cell, and the values, weights and spectra of the peaks. With `below`
    only peaks below the precursor count, as losses.
    """
    low, high, count = np.inf, -np.inf, 0
    for s in range(len(offsets) - 1):
        for p in range(offsets[s], offsets[s + 1]):
            value = _value(mz[p], weight[p], precursor[s], by_loss, below)
            if value == value:
                low, high, count = min(low, value), max(high, value), count + 1
    values, weights, owner = np.empty(count), np.empty(count, np.float32), np.empty(count, np.int32)
    if count == 0:
        return 0.0, np.zeros(2, np.int64), values, weights, owner
    starts = np.zeros(_cell(high, low) + 2, np.int64)
    for s in range(len(offsets) - 1):
        for p in range(offsets[s], offsets[s + 1]):
            value = _value(mz[p], weight[p], precursor[s], by_loss, below)
            if value == value:
                starts[_cell(value, low) + 1] += 1
    starts = np.cumsum(starts)
    place = starts.copy()
    for s in range(len(offsets) - 1):
        for p in range(offsets[s], offsets[s + 1]):
            value = _value(mz[p], weight[p], precursor[s], by_loss, below)
            if value == value:
                at = place[_cell(value, low)]
                values[at], weights[at], owner[at] = value, weight[p], s
                place[_cell(value, low)] += 1
    return low, starts, values, weights, owner


@numba.njit(cache=True, nogil=True)
def add_up(lows, highs, query, low, starts, values, weights, owner, entropy, bound, pairs):  # pragma: no cover
    """Add to each spectrum's bound what all its peaks within the windows of the query's peaks could add."""
    for k in range(len(lows)):
        if highs[k] < low:
            continue
        first, last = _cell(lows[k], low), _cell(highs[k], low)
        if first > len(starts) - 2:
            continue
        for e in range(starts[first], starts[min(last, len(starts) - 2) + 1]):
            if lows[k] <= values[e] <= highs[k]:
                bound[owner[e]] += _gain(query[k], np.float64(weights[e]), entropy)
                pairs[owner[e]] += 1
