"""Preparation of spectra: the highest peaks, with or without the precursor, and neutral losses.

Encoders prepare their input themselves, with these functions; call them to look at or plot what an encoder receives.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float

from molvis_core.errors import RecordError
from molvis_core.records import PeakList


def highest_peaks(
    spectrum: PeakList, top_peaks: int, *, keep_precursor: bool = True
) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"]]:
    """m/z (64 bits) and intensity (32 bits) of the highest peaks by ascending m/z; the highest of them is 1.

    Peaks of intensity 0 are left out. Of equal peaks that compete for the last place the one of lower m/z is taken.

    Args:
        spectrum: to prepare.
        top_peaks: so many at most.
        keep_precursor: keep peaks at and above the precursor's m/z; without a precursor all are kept.
    """
    keep = spectrum.intensity > 0
    if not keep_precursor and spectrum.precursor_mz is not None:
        keep = keep & (spectrum.mz < spectrum.precursor_mz)
    places = np.flatnonzero(keep)
    if len(places) > top_peaks:
        places = np.sort(places[np.argsort(-spectrum.intensity[places], kind="stable")[:top_peaks]])
    heights = spectrum.intensity[places]
    return spectrum.mz[places], heights / heights.max(initial=np.float32(1e-30))


def prepare(spectrum: PeakList, *, top_peaks: int = 100, keep_precursor: bool = True, power: float = 1.0) -> PeakList:
    """The spectrum with its highest peaks alone, the highest of them 1.

    Args:
        spectrum: to prepare; it stays as it is.
        top_peaks: so many at most.
        keep_precursor: keep peaks at and above the precursor's m/z.
        power: that intensities are raised to; 0.5 is the square root, which lets small peaks speak.

    Raises:
        RecordError: `top_peaks` is below 1, or `power` is not positive.
    """
    if top_peaks < 1:
        raise RecordError(f"top_peaks must be a positive whole number, got {top_peaks}")
    if not power > 0:
        raise RecordError(f"power must be a positive number, got {power}")
    mz, intensity = highest_peaks(spectrum, top_peaks, keep_precursor=keep_precursor)
    return dataclasses.replace(spectrum, mz=mz, intensity=intensity**power)


def neutral_losses(spectrum: PeakList) -> PeakList:
    """What each fragment has lost: the precursor's m/z less the peak's, for peaks below the precursor.

    For an ion of one charge these are masses in Da. The result has no precursor: its peaks are no longer m/z.

    Raises:
        RecordError: the spectrum has no precursor m/z.
    """
    if spectrum.precursor_mz is None:
        raise RecordError("neutral losses need a precursor m/z, which this spectrum does not have")
    below = spectrum.mz < spectrum.precursor_mz
    return dataclasses.replace(
        spectrum,
        mz=(spectrum.precursor_mz - spectrum.mz[below])[::-1],
        intensity=spectrum.intensity[below][::-1],
        precursor_mz=None,
    )
