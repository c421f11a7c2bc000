"""The best way to lay a measured list of shifts along predicted ones, for many candidates at once."""

from __future__ import annotations

import math

import numba
import numpy as np

_FAR = 14.0
"""Of two logarithms this far apart the smaller one changes their sum by less than a millionth."""


@numba.njit(cache=True, nogil=True)
def either(near: float, floor: float) -> float:  # pragma: no cover - compiled
    """Logarithm of the sum of what two logarithms are of."""
    # Most pairs are far from each other, and an exponential is most of what a pair costs.
    if near < floor - _FAR:
        return floor
    if near > floor + _FAR:
        return near
    top = max(near, floor)
    return top + math.log1p(math.exp(min(near, floor) - top))


@numba.njit(cache=True, nogil=True)
def align(
    shifts: np.ndarray,
    attached: np.ndarray,
    starts: np.ndarray,
    means: np.ndarray,
    widths: np.ndarray,
    hydrogens: np.ndarray,
    counts: np.ndarray,
    idle: np.ndarray,
    prices: np.ndarray,
    out: np.ndarray,
) -> None:  # pragma: no cover - compiled
    """Logarithm of the likelihood of the best alignment with each candidate.

    Both lists are ascending, and an alignment keeps their order. A signal is of a line, or is extra; a line has a
    signal, is missing, or falls together with the line before it; a line of several nuclei may have several signals.

    Args:
        shifts: measured, in ppm, ascending.
        attached: hydrogens on the carbon of each; -1 where that is not known.
        starts: where the lines of each candidate begin, and where the last one's end.
        means: of all lines, in ppm; those of a candidate are ascending.
        widths: of all lines, in ppm.
        hydrogens: on the atom of each line.
        counts: nuclei of each line.
        idle: logarithm of what it costs that a line is missing.
        prices: factor on the widths, share of outliers, their density per ppm, and the logarithms of what it costs
            that a signal is extra, that lines fall together, that a line has a further signal, and that the number of
            hydrogens is another.
        out: one number for each candidate.
    """
    factor, stray, density = prices[0], prices[1], prices[2]
    extra = prices[3] + math.log(density)
    shared, again, wrong = prices[4], prices[5], prices[6]
    n = len(shifts)
    last = np.empty(n + 1)
    here = np.empty(n + 1)
    last_hit = np.empty(n + 1)
    here_hit = np.empty(n + 1)
    floor = math.log(stray * density)
    for c in range(len(starts) - 1):
        # last[i]: best for the first i signals and the lines so far; last_hit[i]: where signal i is of the last line.
        for i in range(n + 1):
            last[i] = i * extra
            last_hit[i] = -1e18
        for k in range(starts[c], starts[c + 1]):
            width = widths[k] * factor
            narrow, tall = 1 / width, math.log(2 * width)
            peak = math.log(1 - stray) - tall
            here[0] = last[0] + idle[k]
            here_hit[0] = -1e18
            for i in range(1, n + 1):
                near = peak - abs(shifts[i - 1] - means[k]) * narrow
                near = either(near, floor)
                if attached[i - 1] >= 0 and attached[i - 1] != hydrogens[k]:
                    near += wrong
                hit = last[i - 1] + near
                # The signal is that of the line before, too: no density of its own, only how far off this line is.
                both = last_hit[i] + shared + near + tall
                if both > hit:
                    hit = both
                if counts[k] > 1:
                    more = here_hit[i - 1] + again + near
                    if more > hit:
                        hit = more
                here_hit[i] = hit
                best = hit
                if last[i] + idle[k] > best:
                    best = last[i] + idle[k]
                lone = here[i - 1] + extra
                if lone > best:
                    best = lone
                here[i] = best
            last, here = here, last
            last_hit, here_hit = here_hit, last_hit
        out[c] = last[n]


@numba.njit(cache=True, nogil=True)
def _suited(
    shift: float,
    held: int,
    first: int,
    near: int,
    end: int,
    means: np.ndarray,
    sharp: np.ndarray,
    tall: np.ndarray,
    hydrogens: np.ndarray,
    slope: float,
    top: float,
    narrow: float,
    wrong: float,
) -> float:  # pragma: no cover - compiled
    """The largest that a signal's density has on one of the lines of a candidate, but for what all share.

    Lines so far away that the best one could not be beaten by the narrowest line with the widest tails need no look.
    """
    best = -1e18
    for step in (-1, 1):
        k = near if step < 0 else near + 1
        while first <= k < end:
            off = abs(shift - means[k])
            if top - off * slope <= best:
                break
            value = tall[k] - off * sharp[k] * narrow
            if held >= 0 and held != hydrogens[k]:
                value += wrong
            best = max(best, value)
            k += step
    return best


@numba.njit(cache=True, nogil=True)
def bound(
    shifts: np.ndarray,
    attached: np.ndarray,
    starts: np.ndarray,
    means: np.ndarray,
    sharp: np.ndarray,
    tall: np.ndarray,
    reach: np.ndarray,
    hydrogens: np.ndarray,
    idle: float,
    prices: np.ndarray,
    out: np.ndarray,
) -> None:  # pragma: no cover - compiled
    """What `align` gives at most: every signal may have the line that suits it best, in whatever order.

    A line that is the first of no signal is missing or falls together with another; of these there are at least as many
    as there are more lines than signals.

    Args:
        shifts: as of `align`, and so are the others that it has; no price may be above 0.
        attached: as there.
        starts: as there.
        means: as there.
        sharp: one over the width of each line.
        tall: its logarithm.
        reach: the least `sharp` of each candidate, and its largest `tall`; "m 2".
        hydrogens: as there.
        idle: the least that a line without a signal of its own costs.
        prices: as there.
        out: one number for each candidate.
    """
    factor, stray, density = prices[0], prices[1], prices[2]
    extra, wrong = prices[3] + math.log(density), prices[6]
    floor, usual = math.log(stray * density), math.log(1 - stray) - math.log(2 * factor)
    narrow = 1 / factor
    n = len(shifts)
    for c in range(len(starts) - 1):
        first, end = starts[c], starts[c + 1]
        slope, top = reach[c, 0] * narrow, reach[c, 1]
        total = max(0, end - first - n) * idle
        near = first
        for i in range(n):
            shift = shifts[i]
            while near + 1 < end and means[near + 1] <= shift:
                near += 1
            best = _suited(
                shift, attached[i], first, near, end, means, sharp, tall, hydrogens, slope, top, narrow, wrong
            )
            total += max(either(best + usual, floor), extra)
        out[c] = total
