"""Repeated spectra of one ion as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from molvis_core.records import PeakList
from molvis_lcms.records import Scan

__all__ = ["merge_energies", "merge_peaks", "merge_repeats", "merge_spectra"]

_LEAST_DA = 0.005
"""m/z within which two peaks are one, at least: below m/z 300 that of repeated scans of an Orbitrap or a time of flight
scatters by some millidaltons where peaks are small."""
_LEAST_HEIGHT = 1e-3
"""Of the highest peak of a merged spectrum: what is lower is left out."""
_OFTEN = 5
"""From so many repeats on a peak must be in two of them."""


def merge_peaks(
    spectra: Sequence[tuple[Float[np.ndarray, " _p"], Float[np.ndarray, " _p"]]], ppm: float, least: int = 1
) -> tuple[Float[np.ndarray, " q"], Float[np.ndarray, " q"]]:
    """Peaks of several spectra put together: heights added up, m/z averaged with the heights as weights.

    Args:
        spectra: m/z and heights of each.
        ppm: within which peaks that follow each other are one, or within 0.005 where that is more.
        least: spectra that a peak must be in.
    """
    mz = np.concatenate([m for m, _ in spectra]).astype(np.float64)
    height = np.concatenate([h for _, h in spectra]).astype(np.float64)
    owner = np.repeat(np.arange(len(spectra)), [len(m) for m, _ in spectra])
    if not len(mz):
        return mz, height
    order = np.argsort(mz, kind="stable")
    mz, height, owner = mz[order], height[order], owner[order]
    group = np.concatenate([[0], np.cumsum(np.diff(mz) > np.maximum(_LEAST_DA, ppm * 1e-6 * mz[1:]))])
    total = np.bincount(group, height)
    place = np.bincount(group, height * mz) / total
    pairs = np.unique(group.astype(np.int64) * len(spectra) + owner) // len(spectra)
    keep = np.bincount(pairs, minlength=len(total)) >= least
    keep &= total >= _LEAST_HEIGHT * total.max()
    return place[keep], total[keep]


def merge_repeats(scans: Sequence[Scan], precursor_mz: float, charge: int | None, ppm: float) -> tuple[PeakList, ...]:
    """MS/MS scans of one ion as one spectrum for each collision energy, lowest first; the unknown one last.

    Heights of repeats are averaged. Of five repeats or more a peak that only one has is left out.
    """
    out: list[PeakList] = []
    energies = sorted({s.collision_energy for s in scans}, key=lambda e: (e is None, e or 0.0))
    for energy in energies:
        some = [s for s in scans if s.collision_energy == energy and len(s)]
        if not some:
            continue
        mz, height = merge_peaks([(s.mz, s.intensity) for s in some], ppm, 2 if len(some) >= _OFTEN else 1)
        if not len(mz):
            continue
        out.append(_spectrum(mz, height / len(some), some[0], precursor_mz, charge, energy))
    return tuple(out)


def merge_spectra(spectra: Sequence[PeakList], ppm: float) -> PeakList:
    """Spectra of one ion and energy, of several runs, as one: heights averaged."""
    if len(spectra) == 1:
        return spectra[0]
    mz, height = merge_peaks([(s.mz, s.intensity) for s in spectra], ppm)
    return replace(spectra[0], mz=mz, intensity=(height / len(spectra)).astype(np.float32))


def merge_energies(spectra: Sequence[PeakList], ppm: float) -> PeakList | None:
    """Spectra of several energies as one: each scaled to its highest peak, then added up. None where there is none."""
    if len(spectra) <= 1:
        return spectra[0] if spectra else None
    mz, height = merge_peaks([(s.mz, s.intensity / s.intensity.max()) for s in spectra], ppm)
    known = [s.collision_energy for s in spectra if s.collision_energy is not None]
    first = spectra[0]
    return PeakList(
        mz,
        (height / height.max()).astype(np.float32),
        first.precursor_mz,
        charge=first.charge,
        ionmode=first.ionmode,
        collision_energy=float(np.mean(known)) if known else None,
        ms_level=2,
    )


def _spectrum(
    mz: np.ndarray, height: np.ndarray, scan: Scan, precursor_mz: float, charge: int | None, energy: float | None
) -> PeakList:
    return PeakList(
        mz,
        height.astype(np.float32),
        precursor_mz,
        charge=charge,
        ionmode=scan.ionmode,
        collision_energy=energy,
        ms_level=2,
    )
