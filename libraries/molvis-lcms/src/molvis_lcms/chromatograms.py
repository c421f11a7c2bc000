"""Chromatograms of single ions, and the peaks in them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from molvis_lcms.records import Scan

__all__ = ["Chromatogram", "Peak", "correlation", "extract", "find_peaks"]

_VALLEY = 0.7
"""Two maxima are one peak where what lies between them is higher than this share of the lower."""
_FOOT = 0.03
"""Share of the apex at which a peak begins and ends."""
_POINTS = 3
"""Points of a peak, at least: fewer are noise as likely as not."""


@dataclass(frozen=True, eq=False, slots=True)
class Chromatogram:
    """An ion through the survey scans.

    Attributes:
        time: of the scans, in s, ascending.
        mz: of the peak in each; 0 where there is none.
        intensity: of that peak.
    """

    time: Float[np.ndarray, " t"]
    mz: Float[np.ndarray, " t"]
    intensity: Float[np.ndarray, " t"]


@dataclass(frozen=True, slots=True)
class Peak:
    """A peak of a chromatogram, as places of its points.

    Attributes:
        start, apex, end: the first, the highest and the last.
        first, last: how far its ion is seen without interruption before and behind, up to the next peak.
    """

    start: int
    apex: int
    end: int
    first: int
    last: int


def extract(scans: Sequence[Scan], mz: float, ppm: float) -> Chromatogram:
    """The highest peak within `ppm` of an m/z in each of the scans."""
    width = mz * ppm * 1e-6
    place, height = np.zeros(len(scans)), np.zeros(len(scans))
    for k, scan in enumerate(scans):
        low, high = np.searchsorted(scan.mz, (mz - width, mz + width))
        if low < high:
            best = low + int(np.argmax(scan.intensity[low:high]))
            place[k], height[k] = scan.mz[best], scan.intensity[best]
    return Chromatogram(np.array([s.time for s in scans], dtype=np.float64), place, height)


def find_peaks(intensity: Float[np.ndarray, " t"]) -> list[Peak]:
    """The peaks of a chromatogram, in the order of time.

    The chromatogram is smoothed twice by (1, 2, 1) / 4 and cut at the valleys between its maxima; neighbours are one
    peak where the valley is higher than 0.7 times the lower of them. A peak goes as far as 3% of its apex, and has
    three points or more. The apex is the highest point that was measured.
    """
    if np.count_nonzero(intensity) < _POINTS:
        return []
    smooth = _smoothed(_smoothed(intensity.astype(np.float64)))
    inner = np.concatenate([[0.0], smooth, [0.0]])
    tops = np.flatnonzero((smooth > inner[:-2]) & (smooth >= inner[2:])).tolist()
    tops, valleys = _joined(smooth, tops)
    edges = [0, *valleys, len(smooth) - 1]
    out: list[Peak] = []
    for top, low, high in zip(tops, edges[:-1], edges[1:], strict=True):
        foot = _FOOT * smooth[top]
        start = end = top
        while start > low and smooth[start - 1] > foot:
            start -= 1
        while end < high and smooth[end + 1] > foot:
            end += 1
        part = intensity[start : end + 1]
        if np.count_nonzero(part) >= _POINTS:
            first, last = start, end
            while first > low and smooth[first - 1] > 0:
                first -= 1
            while last < high and smooth[last + 1] > 0:
                last += 1
            out.append(Peak(start, start + int(np.argmax(part)), end, first, last))
    return out


def _smoothed(values: Float[np.ndarray, " t"]) -> Float[np.ndarray, " t"]:
    padded = np.concatenate([[0.0], values, [0.0]])
    return (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4


def _joined(smooth: np.ndarray, tops: list[int]) -> tuple[list[int], list[int]]:
    """Maxima that are peaks of their own, and the lowest points between them."""
    lowest = [a + int(np.argmin(smooth[a : b + 1])) for a, b in itertools.pairwise(tops)]
    while lowest:
        share = [smooth[v] / min(smooth[a], smooth[b]) for v, a, b in zip(lowest, tops[:-1], tops[1:], strict=True)]
        worst = int(np.argmax(share))
        if share[worst] <= _VALLEY:
            break
        lower = worst if smooth[tops[worst]] < smooth[tops[worst + 1]] else worst + 1
        del lowest[worst], tops[lower]
    return tops, lowest


def correlation(a: Float[np.ndarray, " t"], b: Float[np.ndarray, " t"]) -> float:
    """Pearson's, of two chromatograms over the same scans; 0 where one of them does not vary."""
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else 0.0
