"""Features of several runs put side by side: times made comparable, one feature for each ion, areas in every file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from molvis_core.records import PeakList
from molvis_lcms.merging import merge_energies, merge_spectra
from molvis_lcms.records import Feature, FeatureTable

__all__ = ["Warp", "consensus", "estimate_warp"]

_LEAST = 5
"""Ions in common from which times are warped: fewer give their median shift, or nothing below three."""
_BESIDE = 11
"""Ions in common over which a shift is averaged, by the median."""
_SPREAD = 3.0
"""Median absolute deviations by which a shift may differ from those around it."""


@dataclass(frozen=True, eq=False, slots=True)
class Warp:
    """Times of one run as those of another: straight lines between knots, and the shift of the outermost beyond them.

    Attributes:
        own: times of the run, in s, ascending.
        other: times of the other run that correspond to them, ascending.
        shared: ions that it was estimated from.
    """

    own: Float[np.ndarray, " k"]
    other: Float[np.ndarray, " k"]
    shared: int = 0

    def there(self, time: float) -> float:
        """A time of this run as one of the other."""
        return _mapped(time, self.own, self.other)

    def back(self, time: float) -> float:
        """A time of the other run as one of this."""
        return _mapped(time, self.other, self.own)


def _mapped(time: float, start: np.ndarray, end: np.ndarray) -> float:
    if not len(start):
        return time
    if time <= start[0]:
        return time + float(end[0] - start[0])
    if time >= start[-1]:
        return time + float(end[-1] - start[-1])
    return float(np.interp(time, start, end))


def estimate_warp(run: Sequence[Feature], other: Sequence[Feature], ppm: float, within: float = 60.0) -> Warp:
    """How the times of a run correspond to those of another, from the ions that both have.

    An ion counts where it is the only one of its m/z and polarity within `within` seconds in either run. The shift at
    the time of each is the median over the eleven around it, without those that are far off; the result is made
    monotone, so that the order of ions is kept.

    Args:
        run: features of the run.
        other: features of the other.
        ppm: tolerance of m/z.
        within: seconds by which the runs may differ.
    """
    pairs = _shared(run, other, ppm, within)
    if len(pairs) < 3:
        return Warp(np.empty(0), np.empty(0), len(pairs))
    own = np.array([a for a, _ in pairs])
    shift = np.array([b - a for a, b in pairs])
    order = np.argsort(own, kind="stable")
    own, shift = own[order], shift[order]
    if len(pairs) < _LEAST:
        middle = float(np.median(shift))
        return Warp(own[:1], own[:1] + middle, len(pairs))
    local = _running_median(shift)
    off = np.abs(shift - local)
    keep = off <= _SPREAD * max(float(np.median(off)), 0.5)
    own, local = own[keep], _running_median(shift[keep])
    own, first = np.unique(own, return_index=True)
    return Warp(own, np.maximum.accumulate(own + local[first]), int(keep.sum()))


def _running_median(values: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    half = _BESIDE // 2
    return np.array([np.median(values[max(0, k - half) : k + half + 1]) for k in range(len(values))])


def _shared(run: Sequence[Feature], other: Sequence[Feature], ppm: float, within: float) -> list[tuple[float, float]]:
    """Times in both runs of the ions that are the only ones of their m/z there."""
    timed = sorted((f for f in other if f.start is not None), key=lambda f: f.mz)
    mzs = np.array([f.mz for f in timed])
    found: dict[int, list[float]] = {}
    for one in run:
        if one.start is None or one.time is None:
            continue
        width = one.mz * ppm * 1e-6
        low, high = np.searchsorted(mzs, (one.mz - width, one.mz + width))
        near = [
            k
            for k in range(low, high)
            if timed[k].ionmode == one.ionmode and abs((timed[k].time or 0.0) - one.time) <= within
        ]
        if len(near) == 1:
            found.setdefault(near[0], []).append(one.time)
    return [(times[0], timed[k].time or 0.0) for k, times in found.items() if len(times) == 1]


@dataclass(frozen=True, slots=True)
class _Placed:
    """A feature of a file with its time on the scale of the reference."""

    file: int
    feature: Feature
    time: float | None


def consensus(
    tables: Sequence[FeatureTable], warps: Sequence[Warp], ppm: float, seconds: float, fragment_ppm: float
) -> list[Feature]:
    """One feature for each ion of several runs.

    The highest feature that is left takes, from each other file, the nearest within both tolerances. It gives m/z,
    time on the scale of the reference, isotopes and adduct hypotheses; MS/MS of all is merged, and areas stand side by
    side.

    Args:
        tables: of one file each.
        warps: from each file's times to the reference's.
        ppm: tolerance of m/z.
        seconds: tolerance of times, once they are comparable.
        fragment_ppm: within which peaks of MS/MS are one.
    """
    placed = [
        _Placed(k, f, warp.there(f.time) if f.time is not None else None)
        for k, (table, warp) in enumerate(zip(tables, warps, strict=True))
        for f in table.features
    ]
    placed.sort(key=lambda p: p.feature.mz)
    mzs = np.array([p.feature.mz for p in placed])
    free = np.ones(len(placed), dtype=bool)
    names = [table.files[0] for table in tables]
    out: list[Feature] = []
    for first in sorted(range(len(placed)), key=lambda k: (-(placed[k].feature.height or 0.0), k)):
        if not free[first]:
            continue
        free[first] = False
        members = [placed[first]]
        width = mzs[first] * ppm * 1e-6
        low, high = np.searchsorted(mzs, (mzs[first] - width, mzs[first] + width))
        near = [
            (d, k) for k in range(low, high) if free[k] and (d := _distance(placed[first], placed[k], ppm, seconds))
        ]
        for _, k in sorted(near):
            if all(placed[k].file != m.file for m in members):
                free[k] = False
                members.append(placed[k])
        out.append(_together(members, names, fragment_ppm))
    return out


def _distance(one: _Placed, other: _Placed, ppm: float, seconds: float) -> float | None:
    """In tolerances, more than 0; None where one is exceeded."""
    if one.file == other.file or one.feature.ionmode != other.feature.ionmode:
        return None
    if one.time is None or other.time is None:
        return None
    late = abs(one.time - other.time) / seconds
    heavy = abs(one.feature.mz - other.feature.mz) / (ppm * 1e-6 * one.feature.mz)
    return late + heavy + 1e-9 if late <= 1 else None


def _together(members: Sequence[_Placed], names: Sequence[str], fragment_ppm: float) -> Feature:
    leader = members[0]
    spectra: dict[float | None, list[PeakList]] = {}
    for one in members:
        for spectrum in one.feature.spectra:
            spectra.setdefault(spectrum.collision_energy, []).append(spectrum)
    energies = sorted(spectra, key=lambda e: (e is None, e or 0.0))
    merged = tuple(merge_spectra(spectra[e], fragment_ppm) for e in energies)
    shift = 0.0 if leader.time is None or leader.feature.time is None else leader.time - leader.feature.time
    own = leader.feature
    return replace(
        own,
        time=leader.time,
        start=own.start + shift if own.start is not None else None,
        end=own.end + shift if own.end is not None else None,
        trace_time=own.trace_time + shift,
        areas={name: area for one in members for name, area in one.feature.areas.items()},
        spectra=merged,
        merged=merge_energies(merged, fragment_ppm),
        scans=tuple(f"{names[m.file]}:{s}" for m in sorted(members, key=lambda m: m.file) for s in m.feature.scans),
        notes=tuple(dict.fromkeys(n for m in members for n in m.feature.notes)),
    )
