"""The scorer that predicts the spectra of candidates: it learns from spectra, and says nothing without peaks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from molvis_core.chemistry.adducts import ion_mz
from molvis_core.chemistry.formula import ELECTRON_MASS, formula_mass
from molvis_core.chemistry.structures import structure
from molvis_core.errors import BundleError, ConfigError
from molvis_core.records import PeakList, RankedQuery, Structure
from molvis_core.testing import ScorerContract
from molvis_msms.scorers.predicted_spectrum import PredictedSpectrum


def amide(acid: int, amine: int) -> Structure:
    """An amide of straight chains of so many carbons."""
    return structure(f"{'C' * (acid - 1)}C(=O)N{'C' * amine}")


def query(acid: int, amine: int) -> RankedQuery:
    """The acylium ion and the protonated amine of an amide, among its isomers."""
    isomers = tuple(amide(a, acid + amine - a) for a in range(1, acid + amine))
    mz = np.array([formula_mass(f"C{acid}H{2 * acid - 1}O"), formula_mass(f"C{amine}H{2 * amine + 4}N")])
    precursor = ion_mz(isomers[0].exact_mass, "[M+H]+")
    peaks = PeakList(mz - ELECTRON_MASS, np.array([1.0, 0.8]), precursor, "[M+H]+", 1, "positive", 20.0)
    return RankedQuery(peaks, isomers, acid - 1)


@pytest.fixture(scope="module")
def learned() -> PredictedSpectrum:
    scorer = PredictedSpectrum(width=16, layers=1, epochs=15)
    scorer.learn([query(a, b) for a, b in ((2, 4), (3, 5), (4, 2), (5, 3), (2, 7), (6, 2))], [query(3, 3)], seed=1)
    return scorer


def test_it_prefers_the_amide_whose_two_halves_are_seen(learned: PredictedSpectrum) -> None:
    unseen = query(3, 6)
    scores = learned(unseen.record, unseen.candidates)
    assert scores[:, :3].argmax(axis=0).tolist() == [unseen.truth] * 3
    assert not scores[:, 3].any()  # one validation compound is too few to learn a match from
    np.testing.assert_allclose(scores[:, 2], scores[:, 0] * np.log(3))  # one more than its two peaks


def test_a_spectrum_without_fragments_is_no_evidence(learned: PredictedSpectrum) -> None:
    one = query(3, 6)
    precursor = one.record.precursor_mz
    assert precursor is not None
    alone = PeakList(np.array([precursor]), np.ones(1), precursor, "[M+H]+", 1, "positive", 20.0)
    assert not learned(alone, one.candidates).any()
    assert not PredictedSpectrum()(one.record, one.candidates).any()


def test_what_it_learned_is_read_again_by_a_scorer_of_the_same_size(learned: PredictedSpectrum, tmp_path: Path) -> None:
    learned.save(tmp_path)
    again = PredictedSpectrum(width=16, layers=1)
    again.load(tmp_path)
    one = query(3, 6)
    np.testing.assert_allclose(again(one.record, one.candidates), learned(one.record, one.candidates))
    with pytest.raises(BundleError, match="width 16 and 1 layers; this scorer has width = 96"):
        PredictedSpectrum().load(tmp_path)
    with pytest.raises(BundleError, match="has learned nothing"):
        PredictedSpectrum().save(tmp_path)


def test_a_size_that_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="width must be positive"):
        PredictedSpectrum(width=0)


class TestContract(ScorerContract):
    @pytest.fixture
    def scorer(self) -> PredictedSpectrum:
        return PredictedSpectrum(width=8, layers=1, epochs=2)
