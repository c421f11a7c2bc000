"""Tokens of a spectrum: its peaks, and the common fragments and losses that it might show at other settings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int16, Int64

from molvis_core.records import PeakList
from molvis_msms.preparation import highest_peaks
from molvis_msms.translation.vocabulary import Vocabulary, nearest

PEAK = 8
"""Numbers that describe a peak, besides its formulas."""
TOLERANCE = 0.01
"""Da within which a peak of the target is that of a place."""
_PPM, _LEAST = 10e-6, 0.002
_TOGETHER = 0.002
"""Da within which several formulas are one place."""
_LIGHTEST = 14.0
"""Da of the lightest fragment."""


@dataclass(frozen=True, eq=False, slots=True)
class Tokens:
    """A spectrum in the form that the network takes.

    Attributes:
        mz: of the places at which a translated spectrum may have peaks: those measured, then those of formulas alone.
        height: relative intensity of the measured peaks; they add up to 1.
        peaks: numbers of each measured peak.
        fragment, loss: formula of each measured peak and of what it lost, by place in the vocabulary; -1 for none.
        formula: of each further token, by place in the vocabulary.
        place: of each further token.
    """

    mz: Float[np.ndarray, " g"]
    height: Float[np.ndarray, " p"]
    peaks: Float[np.ndarray, "p q"]
    fragment: Int64[np.ndarray, " p"]
    loss: Int64[np.ndarray, " p"]
    formula: Int64[np.ndarray, " k"]
    place: Int64[np.ndarray, " k"]

    def targets(self, spectrum: PeakList) -> tuple[Int64[np.ndarray, " t"], Float[np.ndarray, " t"]]:
        """Places and shares of the intensity of a spectrum's peaks; of those at no place only the share counts (-1)."""
        order = np.argsort(self.mz, kind="stable")
        found = nearest(spectrum.mz, self.mz[order], TOLERANCE)
        heights = np.asarray(spectrum.intensity, dtype=np.float64)
        return np.where(found < 0, -1, order[found]), heights / max(heights.sum(), 1e-30)


@dataclass(frozen=True, eq=False, slots=True)
class Choices:
    """The formulas of a vocabulary that are possible for an ion, fragments and losses, each ascending in mass.

    They depend on polarity and formula of the ion alone, so that the spectra of a compound share them.
    """

    fragments: Int64[np.ndarray, " f"]
    losses: Int64[np.ndarray, " l"]

    @classmethod
    def of(cls, vocabulary: Vocabulary, *, negative: bool, atoms: Int16[np.ndarray, " e"] | None = None) -> Choices:
        """Those of a polarity, and within the atoms of the ion where these are known."""
        both = [vocabulary.sides[negative, loss] for loss in (False, True)]
        if atoms is not None:
            both = [places[(vocabulary.atoms[places] <= atoms).all(axis=1)] for places in both]
        return cls(*both)


def tokens(spectrum: PeakList, vocabulary: Vocabulary, choices: Choices, top_peaks: int) -> Tokens:
    """Peaks and formulas of a spectrum with a precursor.

    Args:
        spectrum: with `precursor_mz`.
        vocabulary: of formulas.
        choices: which of them are possible.
        top_peaks: so many of the highest peaks are used.
    """
    precursor = float(spectrum.precursor_mz or 0.0)
    mz, height = highest_peaks(spectrum, top_peaks)
    height = height.astype(np.float64) / max(float(height.sum()), 1e-30)
    masses, away = vocabulary.mass[choices.fragments], vocabulary.mass[choices.losses]
    width = np.maximum(mz * _PPM, _LEAST)
    fragment = _chosen(choices.fragments, nearest(mz, masses, width))
    loss = _chosen(choices.losses, nearest(precursor - mz, away, np.maximum(precursor * _PPM, _LEAST)))
    # What lies above the precursor by more than its own error cannot be its fragment.
    below = masses <= precursor + _LEAST
    left = precursor - away
    above = left > _LIGHTEST
    where = np.concatenate([masses[below], left[above]])
    formula = np.concatenate([choices.fragments[below], choices.losses[above]])
    order = np.argsort(where, kind="stable")
    where, formula = where[order], formula[order]
    measured = nearest(where, mz, np.maximum(where * _PPM, _LEAST))
    fresh = measured < 0
    starts = np.diff(where[fresh], prepend=-1.0) > _TOGETHER
    number = np.cumsum(starts) - 1
    place = measured.copy()
    place[fresh] = len(mz) + number
    counts = np.bincount(number)
    centres = np.bincount(number, where[fresh]) / counts
    return Tokens(
        np.concatenate([mz, centres]), height, _numbers(mz, height, precursor), fragment, loss, formula, place
    )


def _chosen(choices: np.ndarray, found: np.ndarray) -> np.ndarray:
    return np.where(found < 0, -1, choices[found] if len(choices) else -1)


def _numbers(mz: np.ndarray, height: np.ndarray, precursor: float) -> np.ndarray:
    """What describes each peak: height, m/z, defect of mass, distance from the precursor."""
    top = height / max(float(height.max(initial=0.0)), 1e-30)
    values = [
        np.sqrt(top), np.log(np.maximum(height, 1e-5)) / 5, height, mz / 500, mz / max(precursor, 1.0),
        mz % 1, np.exp(-np.abs(precursor - mz) / 0.02), mz > precursor + 0.5,
    ]  # fmt: skip
    return np.stack(values, axis=1).astype(np.float32)
