"""Preparation of spectra."""

from __future__ import annotations

import numpy as np
import pytest

from molvis_core.errors import RecordError
from molvis_core.records import PeakList
from molvis_msms.preparation import highest_peaks, neutral_losses, prepare

SPECTRUM = PeakList(
    np.array([50.0, 60.0, 70.0, 100.0, 101.0]), np.array([4.0, 0.0, 2.0, 8.0, 1.0]), 100.0, "[M+H]+", 1, "positive"
)


def test_the_highest_peaks_come_by_ascending_mz_and_the_highest_is_one() -> None:
    mz, height = highest_peaks(SPECTRUM, 2)
    assert mz.tolist() == [50.0, 100.0]
    assert height.tolist() == [0.5, 1.0]


def test_peaks_at_and_above_the_precursor_can_be_removed() -> None:
    mz, height = highest_peaks(SPECTRUM, 9, keep_precursor=False)
    assert mz.tolist() == [50.0, 70.0]
    assert height.tolist() == [1.0, 0.5]


def test_of_equal_peaks_the_one_of_lower_mz_is_taken() -> None:
    level = PeakList(np.array([10.0, 20.0, 30.0]), np.ones(3))
    assert highest_peaks(level, 2)[0].tolist() == [10.0, 20.0]


def test_a_spectrum_without_peaks_stays_without() -> None:
    mz, height = highest_peaks(PeakList(np.array([10.0]), np.zeros(1)), 5)
    assert len(mz) == len(height) == 0


def test_a_prepared_spectrum_keeps_what_is_known_of_the_ion() -> None:
    found = prepare(SPECTRUM, top_peaks=2, power=0.5)
    assert found.intensity.tolist() == pytest.approx([0.5**0.5, 1.0])
    assert (found.precursor_mz, found.adduct) == (100.0, "[M+H]+")
    assert len(SPECTRUM) == 5


def test_neutral_losses_are_what_the_precursor_lost() -> None:
    found = neutral_losses(SPECTRUM)
    assert found.mz.tolist() == [30.0, 40.0, 50.0]
    assert found.intensity.tolist() == [2.0, 0.0, 4.0]
    assert found.precursor_mz is None


@pytest.mark.parametrize(
    ("work", "complaint"),
    [
        (lambda: prepare(SPECTRUM, top_peaks=0), "top_peaks must be"),
        (lambda: prepare(SPECTRUM, power=0), "power must be"),
        (lambda: neutral_losses(PeakList(np.array([1.0]), np.ones(1))), "need a precursor"),
    ],
)
def test_what_makes_no_sense_is_refused(work, complaint: str) -> None:
    with pytest.raises(RecordError, match=complaint):
        work()
