"""The scorer `nearest-spectra`: votes, a candidate's own spectra, and what it learns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from reference_samples import COMPOUNDS, measurement, references

from molvis_core.chemistry.structures import structure
from molvis_core.errors import BundleError, ConfigError, IndexFileError, StructureError, TrainingError
from molvis_core.interfaces import Learns, UsesReferences
from molvis_core.records import PeakList, RankedQuery, Structure
from molvis_core.testing import ScorerContract
from molvis_msms.references.similarity import Similarity
from molvis_msms.scorers.nearest_spectra import SUPPORT, NearestSpectra, fit_support, similarity

STRUCTURES = [structure(smiles, name=name) for name, smiles in COMPOUNDS.items()]


def examples(copies: int = 3) -> list[RankedQuery]:
    return [
        RankedQuery(measurement(known.name, seed).record, tuple(STRUCTURES), place)
        for place, known in enumerate(STRUCTURES)
        for seed in range(copies)
        if known.name
    ]


class TestNearestSpectra(ScorerContract):
    @pytest.fixture
    def scorer(self) -> NearestSpectra:
        return NearestSpectra()

    @pytest.fixture
    def query(self) -> PeakList:
        return measurement("caffeine", 5).record

    @pytest.fixture
    def candidates(self) -> Sequence[Structure]:
        return STRUCTURES

    @pytest.fixture
    def examples(self) -> list[RankedQuery]:
        return examples()


class TestWithReferences(TestNearestSpectra):
    @pytest.fixture
    def scorer(self, tmp_path: Path) -> NearestSpectra:
        return NearestSpectra(str(references(tmp_path / "refs").path))


def test_it_is_what_the_interfaces_ask_for() -> None:
    assert isinstance(NearestSpectra(), Learns)
    assert isinstance(NearestSpectra(), UsesReferences)


def test_similarity_is_that_of_rdkit() -> None:
    from rdkit import Chem, DataStructs
    from rdkit.Chem import rdFingerprintGenerator

    smiles = list(COMPOUNDS.values())
    made = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    prints = [made.GetFingerprint(Chem.MolFromSmiles(s)) for s in smiles]
    wanted = [DataStructs.BulkTanimotoSimilarity(one, prints) for one in prints]
    assert similarity(smiles, smiles) == pytest.approx(np.array(wanted))
    with pytest.raises(StructureError):
        similarity(["C1CC"], smiles)


def test_a_vote_is_the_mean_of_similarity_times_squared_similarity(tmp_path: Path) -> None:
    refs = references(tmp_path / "refs")
    scorer = NearestSpectra(str(tmp_path / "refs"), neighbours=3)
    query = measurement("caffeine", 50, count=40).record
    near = refs.search(query, Similarity("peaks-and-losses"), top=3)
    known = [str(refs.table["smiles"][int(row)].as_py()) for row in near.rows]
    alike = similarity(known, [s.smiles for s in STRUCTURES])
    found = scorer(query, STRUCTURES)
    assert len(near.rows) == 3
    assert found[:, 0] == pytest.approx((near.scores[:, None] * alike**2).sum(axis=0) / 3)
    assert found[:, 1] == pytest.approx((near.scores[:, None] * alike).max(axis=0))
    assert found[:, 3] == pytest.approx(np.minimum(found[:, 1], 0.2))


def test_a_known_spectrum_supports_its_compound_and_is_shown(tmp_path: Path) -> None:
    refs = references(tmp_path / "refs")
    scorer = NearestSpectra(str(tmp_path / "refs"))
    query, caffeine = measurement("caffeine", 0).record, STRUCTURES[0]
    found = scorer(query, STRUCTURES)
    (own, *others) = found[:, 2]
    assert own > 2
    assert found[0, 1] > found[0, 3] == 0.2
    assert others == [0] * 5
    assert scorer(query, [structure("CCO")])[0, 2] == 0
    shown = scorer.reference(caffeine, query)
    assert shown is not None
    assert shown.mz.tolist() == refs.spectrum(0).mz.tolist()
    assert scorer.reference(STRUCTURES[3], query) is None
    assert scorer.reference(structure("CCO"), query) is None


def test_references_of_a_compound_can_be_left_out(tmp_path: Path) -> None:
    references(tmp_path / "refs")
    whole = NearestSpectra(str(tmp_path / "refs"))
    query, caffeine = measurement("caffeine", 0).record, STRUCTURES[0]
    fewer = whole.without([caffeine.inchikey14])
    assert fewer(query, [caffeine])[0, 2] == 0
    assert fewer(query, [caffeine])[0, 0] < whole(query, [caffeine])[0, 0]
    assert fewer.reference(caffeine, query) is None
    assert whole(query, [caffeine])[0, 2] > 0


def test_references_can_be_added_to_what_was_learned(tmp_path: Path) -> None:
    references(tmp_path / "refs")
    learned = NearestSpectra()
    figures = learned.learn(examples()[3:], [])
    assert figures == {"references": 15, "compounds": 5}
    query, caffeine = measurement("caffeine", 0).record, STRUCTURES[0]
    assert learned(query, [caffeine])[0, 2] == 0
    both = learned.with_references(tmp_path / "refs")
    assert len(both.indexes) == 2
    assert both(query, [caffeine])[0, 0] > learned(query, [caffeine])[0, 0]
    assert len(learned.indexes) == 1
    with pytest.raises(IndexFileError, match="molvis references build"):
        learned.with_references(tmp_path / "nowhere")


def test_nothing_is_said_of_a_spectrum_without_peaks_or_before_there_are_references() -> None:
    empty = PeakList(np.empty(0), np.empty(0), 195.0877)
    assert not NearestSpectra()(measurement("caffeine").record, STRUCTURES).any()
    learned = NearestSpectra()
    learned.learn(examples(), [])
    assert not learned(empty, STRUCTURES).any()


def test_what_tells_one_compound_from_two_is_a_ratio_of_likelihoods() -> None:
    """Similarities drawn from two normal distributions of one width: the logarithm of their ratio is a line."""
    rng = np.random.default_rng(0)
    same, other = rng.normal(0.7, 0.1, 4000), rng.normal(0.5, 0.1, 40_000)
    cases = np.column_stack([np.r_[same, other], np.zeros(44_000), np.r_[np.ones(4000), np.zeros(40_000)]])
    base, slope, peaks = fit_support(cases)
    assert slope == pytest.approx(0.2 / 0.01, rel=0.05)
    assert base == pytest.approx(-0.6 * 20, rel=0.05)
    assert peaks == pytest.approx(0, abs=1e-9)
    assert fit_support(cases[:10]) == SUPPORT


def test_the_support_grows_with_similarity_once_learned() -> None:
    rng = np.random.default_rng(0)
    scorer = NearestSpectra()
    scorer.learn(examples(4), [])
    base, slope, peaks = scorer._support
    assert all(math.isfinite(v) for v in (base, slope, peaks))
    query = measurement("caffeine", 0).record
    noisy = PeakList(
        query.mz, query.intensity * rng.uniform(0.9, 1.1, len(query)), query.precursor_mz, ionmode="positive"
    )
    assert scorer(noisy, STRUCTURES)[:, 2].argmax() == 0


def test_wrong_arguments_and_damaged_states_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="neighbours"):
        NearestSpectra(neighbours=0)
    with pytest.raises(ConfigError, match="tolerance"):
        NearestSpectra(tolerance=0)
    with pytest.raises(TrainingError, match="nothing to learn from"):
        NearestSpectra().learn([], [])
    learned = NearestSpectra()
    learned.learn(examples(), [])
    learned.save(tmp_path)
    with pytest.raises(BundleError, match=r"0\.01 Da, not 0\.02"):
        NearestSpectra(tolerance=0.02).load(tmp_path)
    (tmp_path / "support.json").write_text('{"tolerance": 0.01, "support": [1, 2]}')
    with pytest.raises(BundleError, match="damaged: 2 numbers"):
        NearestSpectra().load(tmp_path)
    (tmp_path / "support.json").write_text("{")
    with pytest.raises(BundleError, match="damaged"):
        NearestSpectra().load(tmp_path)
    (tmp_path / "support.json").unlink()
    with pytest.raises(BundleError, match="damaged"):
        NearestSpectra().load(tmp_path)
