"""How much of a spectrum substructures of a candidate explain, as evidence."""

from __future__ import annotations

import numpy as np
import pytest

from molvis_core.chemistry.adducts import ion_mz
from molvis_core.chemistry.formula import ELECTRON_MASS, formula_mass
from molvis_core.chemistry.structures import structure
from molvis_core.errors import ConfigError
from molvis_core.records import PeakList
from molvis_core.testing import PluginContract, ScorerContract, synthetic_peaks, synthetic_structures
from molvis_msms.scorers.explained_peaks import ExplainedPeaks


def spectrum(mz: list[float], mode: str = "positive", precursor: float = 500.0) -> PeakList:
    return PeakList(np.array(mz), np.ones(len(mz)), precursor, None, None, mode)


def test_the_true_structure_explains_more_than_an_isomer() -> None:
    scorer = ExplainedPeaks()
    # An acetyl group gives C2H3O+ by one bond; a formyl group has no two carbons to give.
    truth, isomer = structure("CC(=O)Nc1ccc(C)cc1"), structure("O=CNc1ccc(CC)cc1")
    peaks = [formula_mass(f) - ELECTRON_MASS for f in ("C2H3O", "C7H8N", "C7H7")]
    scores = scorer(spectrum(sorted(peaks), precursor=150.1), [truth, isomer])
    place = scorer.features.index("standing")
    assert scores[0, place] > scores[1, place]


def test_the_shares_of_a_candidate_add_up_to_at_most_one_and_the_precursor_does_not_count() -> None:
    scorer = ExplainedPeaks()
    molecule = structure("CCOc1ccc(NC(C)=O)cc1")
    ion = ion_mz(molecule.exact_mass, "[M+H]+")
    bins = [i for i, name in enumerate(scorer.features) if name.startswith("cost")]
    only = scorer(PeakList(np.array([ion]), np.ones(1), ion, "[M+H]+", 1, "positive"), [molecule])
    assert only[0, bins].sum() == 0
    some = scorer(PeakList(np.array([43.0178, 110.06, ion]), np.ones(3), ion, "[M+H]+", 1, "positive"), [molecule])
    assert 0.9 < some[0, bins].sum() <= 1 + 1e-9


def test_a_tolerance_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="ppm must be"):
        ExplainedPeaks(ppm=0)


class TestExplainedPeaks(ScorerContract):
    @pytest.fixture
    def scorer(self) -> ExplainedPeaks:
        return ExplainedPeaks()

    @pytest.fixture
    def query(self) -> PeakList:
        return synthetic_peaks((12,))[0]

    @pytest.fixture
    def candidates(self) -> list:
        return synthetic_structures(5)


class TestPlugin(PluginContract):
    @pytest.fixture
    def name(self) -> str:
        return "msms"
