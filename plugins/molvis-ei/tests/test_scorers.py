"""Evidence for candidates from electron ionization spectra, on made-up spectra of a few compounds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ei_samples import NIST_MSP, spectrum

from molvis_core.chemistry.structures import structure
from molvis_core.errors import BundleError, ConfigError, ReadError, StructureError, TrainingError
from molvis_core.records import EiSpectrum, RankedQuery
from molvis_core.testing import RecordPredictorContract, ScorerContract
from molvis_ei.derivatives import Form, forms_of, nominal_mass
from molvis_ei.predictor import EiSpectrumPredictor
from molvis_ei.scorers.forward import EiForward
from molvis_ei.scorers.fragments import EiFragments, costs
from molvis_ei.scorers.neighbours import EiNeighbours
from molvis_ei.scorers.retention import RetentionIndex, phase

ALCOHOLS = [structure("C" * n + "O") for n in range(2, 14)]
ACIDS = [structure("C" * n + "C(=O)O") for n in range(1, 13)]
EVERY = [*ALCOHOLS, *ACIDS]


def made(number: int, *, derivative: str = "none") -> EiSpectrum:
    """A spectrum of a compound: of its kind, and of its molecular ion."""
    known = EVERY[number]
    kind = {31.0: 100.0, 45.0: 30.0} if number < len(ALCOHOLS) else {60.0: 100.0, 73.0: 40.0}
    whole = float(nominal_mass(known.smiles))
    index = 100 * known.formula.count("C") + 12.0 * known.exact_mass
    return spectrum(
        {**kind, whole - 15: 20.0, whole: 15.0}, derivative=derivative, energy=70.0, column="DB-5MS",
        retention_index=index,
    )  # fmt: skip


def examples(numbers: Sequence[int]) -> list[RankedQuery]:
    return [RankedQuery(made(n), (EVERY[n], EVERY[(n + 5) % len(EVERY)]), 0) for n in numbers]


@pytest.fixture(scope="module")
def forward() -> EiForward:
    scorer = EiForward(width=32, blocks=1, epochs=12, dropout=0.0)
    figures = scorer.learn(examples(range(len(EVERY))), [], seed=1)
    assert figures["val_cosine"] > 0.3
    return scorer


class TestForward(ScorerContract):
    @pytest.fixture
    def scorer(self) -> Any:
        return EiForward(width=8, blocks=0, epochs=1)


class TestFragments(ScorerContract):
    @pytest.fixture
    def scorer(self) -> Any:
        return EiFragments()


class TestNeighbours(ScorerContract):
    @pytest.fixture
    def scorer(self) -> Any:
        return EiNeighbours()


class TestRetention(ScorerContract):
    @pytest.fixture
    def scorer(self) -> Any:
        return RetentionIndex()

    @pytest.fixture
    def examples(self) -> Any:
        return examples(range(len(EVERY)))


class TestPredictor(RecordPredictorContract):
    @pytest.fixture
    def predictor(self, forward: EiForward, tmp_path: Path) -> Any:
        forward.save(tmp_path)
        return EiSpectrumPredictor(str(tmp_path), width=32)


def test_the_network_prefers_the_kind_of_compound_that_gives_such_spectra(forward: EiForward) -> None:
    query = made(3)
    alcohol, acid = forward(query, [ALCOHOLS[3], ACIDS[3]])[:, 0]
    assert alcohol > acid + 0.1


def test_a_derivative_is_compared_as_one_and_a_molecule_that_has_none_scores_nothing(forward: EiForward) -> None:
    query = made(3, derivative="1 TMS")
    alcohol, ether = forward(query, [ALCOHOLS[3], structure("CCOCC")])[:, 0]
    assert (alcohol > 0, ether) == (True, 0)
    assert not forward(query, [structure("CCOCC"), structure("CCOCCC")]).any()
    forms = forms_of(ALCOHOLS[3].smiles, [None])
    assert forward.predict(forms).shape == (1, 700)
    assert not forward.predict([Form("", "CCO", 46)])[0, 60:].any()  # nothing is heavier than the molecule


def test_a_predictor_of_a_derivative_refuses_what_cannot_be_one(forward: EiForward, tmp_path: Path) -> None:
    forward.save(tmp_path)
    made_of = EiSpectrumPredictor(str(tmp_path), derivative="1 TMS", width=32)
    ((one,),) = made_of.records([ALCOHOLS[0]])
    assert (one.derivative, one.intensity.max()) == ("1 TMS", 1)
    with pytest.raises(StructureError, match="no place for 1 TMS"):
        made_of.records([structure("CCOCC")])
    with pytest.raises(ConfigError, match="none that is known"):
        EiSpectrumPredictor(str(tmp_path), derivative="acetyl", width=32)
    with pytest.raises(BundleError, match="other settings"):
        EiSpectrumPredictor(str(tmp_path), width=16)


def test_settings_and_lessons_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="width must be"):
        EiForward(width=0)
    with pytest.raises(ConfigError, match="neighbours must be"):
        EiNeighbours(neighbours=0)
    for scorer in (EiForward(), EiNeighbours(), RetentionIndex()):
        with pytest.raises(TrainingError):
            scorer.learn([], [])
        with pytest.raises(TrainingError, match="before it has learned"):
            scorer.save(tmp_path)
        with pytest.raises(BundleError):
            scorer.load(tmp_path)


def test_parts_of_ethylbenzene_explain_its_spectrum_and_not_those_of_xylene() -> None:
    query = spectrum({77.0: 10.0, 91.0: 100.0, 106.0: 30.0}, derivative="none")
    ethylbenzene, propanol = EiFragments()(query, [structure("CCc1ccccc1"), structure("CCCO")])
    # 106 is the molecular ion, 91 is it without CH3, 77 without C2H5: one bond each.
    assert ethylbenzene[:2].sum() == pytest.approx(1, abs=0.02)
    assert propanol[0] == 0
    table = costs(Form("", "CCc1ccccc1", 106))
    assert table[[106, 107, 91, 77]].tolist() == [0, 0, 1, 1]
    assert table[200] == 4


def test_spectra_of_the_candidate_support_it_and_those_of_analogues_vote(tmp_path: Path) -> None:
    scorer = EiNeighbours(neighbours=3)
    scorer.learn(examples(range(len(EVERY))), [])
    rows = scorer(made(3), [ALCOHOLS[3], ALCOHOLS[4], ACIDS[3]])
    assert rows[0, 2] > 1
    assert rows[0, 0] > rows[2, 0]
    assert scorer.reference(ALCOHOLS[3], made(3)) is not None
    fewer = scorer.without([ALCOHOLS[3].inchikey14])
    assert fewer(made(3), [ALCOHOLS[3]])[0, 2] == 0
    assert fewer.reference(ALCOHOLS[3], made(3)) is None
    assert scorer(made(3), [ALCOHOLS[3]])[0, 2] > 1


def test_spectra_of_a_users_file_are_references_too(tmp_path: Path) -> None:
    (tmp_path / "mine.msp").write_text(NIST_MSP)
    query = spectrum({65.0: 11.3, 91.0: 99.99, 106.0: 28.3})
    benzene = structure("CCc1ccccc1")
    scorer = EiNeighbours().with_references(tmp_path / "mine.msp")
    assert scorer(query, [benzene])[0, 2] > 1
    assert EiNeighbours()(query, [benzene])[0, 2] == 0
    with pytest.raises(ReadError):
        EiNeighbours().with_references(tmp_path / "none.msp")


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ("DB-5MS 122-5532 (Agilent)", "5% phenyl"),
        ("CP-SIL 8 CB LOW BLEED/MS", "5% phenyl"),
        ("semi-standard non-polar", "5% phenyl"),
        ("standard non-polar", "methyl"),
        ("standard polar", "polar"),
        ("DB-17MS", "50% phenyl"),
        ("as in the library (FAME-anchored)", "fame"),
        (None, "unknown"),
    ],
)
def test_columns_have_phases(column: str | None, kind: str) -> None:
    assert phase(column) == kind


def test_a_retention_index_prefers_the_compound_that_has_it_and_says_nothing_elsewhere() -> None:
    scorer = RetentionIndex()
    figures = scorer.learn(examples(range(len(EVERY))), [])
    assert figures["width 5% phenyl"] < 300
    near, far = scorer(made(5), [ALCOHOLS[5], ALCOHOLS[11]])[:, 0]
    assert near > far + 1
    found = scorer.predict([ALCOHOLS[5].smiles], "DB-5MS")
    assert found is not None
    assert found[0][0] == pytest.approx(made(5).retention_index, abs=4 * found[1])
    other = spectrum({31.0: 1.0}, retention_index=900.0, column="WAX")
    assert not scorer(other, ALCOHOLS).any()
    assert not scorer(spectrum({31.0: 1.0}), ALCOHOLS).any()
    assert np.isfinite(scorer(made(5, derivative="2 TMS"), ALCOHOLS)).all()
