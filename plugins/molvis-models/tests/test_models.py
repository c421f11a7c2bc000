"""What ships works as it is: presets, the demo's data, and the bundle."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shared

import molvis_core
import molvis_retrieval
from molvis_core.chemistry.adducts import neutral_mass
from molvis_core.records import Measurement, Structure
from molvis_core.testing import PluginContract, synthetic_peaks, synthetic_structures
from molvis_msms.references.index import References
from molvis_msms.references.similarity import Similarity, Tolerance
from molvis_msms.translation.settings import Settings
from molvis_msms.translation.translator import Request, Translator
from molvis_retrieval.bundle import Bundle, verify_bundle
from molvis_retrieval.calibration.presence import random_peaks
from molvis_retrieval.config import config_from, fill, read_config
from molvis_retrieval.index import build_index
from molvis_retrieval.library import Library
from molvis_retrieval.queries import read_queries


class TestPlugin(PluginContract):
    @pytest.fixture
    def name(self) -> str:
        return "molvis-models"


SCORES = [
    [-0.099381, 0.213921, 0.082895, -0.012928],
    [-0.188349, -0.050773, -0.158844, 0.195763],
    [0.150820, 0.052966, -0.022725, 0.235781],
]
"""Of three synthetic spectra and four synthetic structures."""


@pytest.fixture(scope="module")
def spectra() -> list[Measurement]:
    found, unreadable = read_queries(molvis_core.load("example", "demo-spectra"))
    assert unreadable == []
    return found


@pytest.fixture(scope="module")
def library() -> Library:
    return shared.read_library(molvis_core.load("example", "demo-library"))


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    """Of the demo's library, as they stand in the file: reading them all as structures takes twenty seconds."""
    return pq.read_table(molvis_core.load("example", "demo-library"))


def structures_near(rows: pa.Table, *masses: float) -> list[Structure]:
    """The rows within 10 ppm of a mass."""
    every = rows["exact_mass"].to_numpy()
    near = np.any([np.abs(every - mass) <= 10e-6 * mass for mass in masses], axis=0)
    return [molvis_core.structure(smiles) for smiles in rows["smiles"].filter(near).to_pylist()]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return molvis_retrieval.load_bundle("massbank")


@pytest.mark.parametrize("name", ["default", "ei", "ir", "joint", "nmr-shifts", "pnnl-2024"])
def test_a_preset_is_a_configuration_that_survives_being_filled(name: str) -> None:
    config = read_config(molvis_core.load("preset", name))
    assert config.name == name
    filled = fill(config)
    assert fill(config_from(filled)) == filled


def test_the_report_is_quoted_with_its_own_settings() -> None:
    # Settings of the Molecular Vision report: Adam, 5e-6, times 0.999 an epoch, batches of 64, 300 epochs.
    train = read_config(molvis_core.load("preset", "pnnl-2024")).train
    assert (train.optimizer, train.learning_rate, train.schedule, train.decay) == ("adam", 5e-6, "exponential", 0.999)
    assert (train.batch, train.epochs, train.select) == (64, 300, "loss")


def test_the_demo_has_ten_spectra_with_their_compounds_and_terms(spectra: list[Measurement]) -> None:
    assert len(spectra) == 10
    for item in spectra:
        assert item.structure is not None
        assert item.name
        assert item.licence
        assert item.authors


def test_precursors_of_the_demo_agree_with_their_compounds(spectra: list[Measurement]) -> None:
    for item in spectra:
        assert isinstance(item.record, molvis_core.PeakList)
        assert item.structure is not None
        assert item.record.precursor_mz is not None
        assert item.record.adduct is not None
        mass = neutral_mass(item.record.precursor_mz, item.record.adduct)
        assert mass == pytest.approx(item.structure.exact_mass, rel=10e-6), item.name


@pytest.mark.full
def test_the_demo_library_holds_every_compound_of_the_demo_and_ten_candidates_of_its_mass(
    spectra: list[Measurement], library: Library, rows: pa.Table
) -> None:
    assert len(library) == len(rows) >= 50_000  # none is refused, and none comes twice
    rivals = []
    for item in spectra:
        assert item.structure is not None
        assert len(library.rows_of(item.structure.inchikey14)) == 1, item.name
        rivals.append(len(library.within_ppm(item.structure.exact_mass, 10.0)))
    assert float(np.median(rivals)) >= 10
    assert min(rivals) > 1


def test_rows_of_the_demo_library_say_where_they_come_from(rows: pa.Table) -> None:
    sources = rows["source"].to_pylist()
    known = {key for key, s in zip(rows["inchikey14"].to_pylist(), sources, strict=True) if "Mass" in s}
    assert len(known) > 5000
    for source in sources:
        where, _, told = source.partition(" ")
        assert (where, told[:4]) in {("MassBank", "CC-B"), ("MassBank", "CC0-"), ("MassBank", "DL-D")} or (
            where == "isomer" and told.removeprefix("of ")
        )


def test_one_spectrum_of_the_demo_has_no_truth_in_its_library(bundle: Bundle, rows: pa.Table, tmp_path: Path) -> None:
    (absent,), _ = read_queries(molvis_core.load("example", "demo-absent"))
    assert absent.structure is not None
    key = absent.structure.inchikey14
    assert key not in rows["inchikey14"].to_pylist()
    assert f"isomer of {key}" not in rows["source"].to_pylist()
    near = structures_near(rows, absent.structure.exact_mass)
    index = build_index(bundle, Library.from_structures(near), tmp_path / "index")
    (found,) = molvis_retrieval.identify(bundle, [absent], index)
    assert found.n_candidates >= 5
    assert found.truth_rank is None
    assert found.probability_among is not None


def test_the_bundle_opens_and_gives_unit_vectors(bundle: Bundle, spectra: list[Measurement]) -> None:
    structures = [item.structure for item in spectra]
    measured = bundle.embed("msms", [item.record for item in spectra])
    predicted = bundle.embed("structure", structures)
    assert measured.shape == predicted.shape
    np.testing.assert_allclose(np.linalg.norm(measured, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(predicted, axis=1), 1, atol=1e-5)


def test_scores_of_the_bundle_are_those_of_the_day_it_was_made(bundle: Bundle) -> None:
    """Layers may move and be named anew, but the numbers stay: computed before they last did."""
    spectra, structures = synthetic_peaks(sizes=(5, 20, 60)), synthetic_structures(4)
    scores = bundle.embed("msms", spectra) @ bundle.embed("structure", structures).T
    np.testing.assert_allclose(scores, SCORES, atol=1e-5)


def test_the_bundle_finds_most_of_the_demo_compounds_among_each_other(
    bundle: Bundle, spectra: list[Measurement]
) -> None:
    scores = (
        bundle.embed("msms", [s.record for s in spectra]) @ bundle.embed("structure", [s.structure for s in spectra]).T
    )
    assert (scores.argmax(axis=1) == np.arange(len(spectra))).sum() >= 8


def test_the_bundle_is_calibrated_and_says_on_what(bundle: Bundle) -> None:
    weights = bundle.calibration.weights
    assert weights["msms.alone"] > 0
    assert weights["msms"] == 0
    counted = {k for k, v in weights.items() if v > 0}
    assert {"fragments.logit", "predicted.matched", "references.nearest-capped"} <= counted
    assert bundle.calibration.fitted_on


def random_spectra(spectra: list[Measurement]) -> list[Measurement]:
    rng = np.random.default_rng(0)
    return [dataclasses.replace(s, record=random_peaks(s.record, rng)) for s in spectra for _ in range(3)]


def test_noise_is_probably_of_no_candidate_be_there_one_or_many(
    bundle: Bundle, spectra: list[Measurement], rows: pa.Table, tmp_path: Path
) -> None:
    noise = random_spectra(spectra)
    truths = [s.structure for s in spectra if s.structure]
    alone = build_index(bundle, Library.from_structures(truths), tmp_path / "alone")
    near = structures_near(rows, *(t.exact_mass for t in truths))
    many = build_index(bundle, Library.from_structures(near), tmp_path / "many")
    for index in (alone, many):
        stated = [f.probability_among for f in molvis_retrieval.identify(bundle, noise, index)]
        assert len(stated) == 30
        assert all(p is not None and p < 0.25 for p in stated)
    own = [f.probability_among for f in molvis_retrieval.identify(bundle, spectra, alone)]
    assert min(p for p in own if p is not None) > 0.15 > np.median(stated)
    assert {f.n_candidates for f in molvis_retrieval.identify(bundle, spectra, alone)} == {1}


def test_the_card_says_data_licences_figures_and_limits(bundle: Bundle) -> None:
    card = (bundle.path / "CARD.md").read_text(encoding="utf-8").lower()
    assert [word for word in ("massbank", "cc by", "10 ppm", "limit") if word not in card] == []


def test_nothing_that_ships_names_a_folder_of_the_machine_that_made_it() -> None:
    home = Path(molvis_core.load("preset", "default")).parents[1]
    for path in home.rglob("*"):
        if path.suffix in (".toml", ".md"):
            assert '= "/' not in path.read_text(encoding="utf-8"), path


def test_a_bundle_that_names_components_as_they_were_called_before_loads_without_a_warning(
    bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = tmp_path / "old"
    shutil.copytree(bundle.path, old)
    text = (old / "bundle.toml").read_text(encoding="utf-8")
    assert 'use = "concatenated"' in text
    text = text.replace('use = "concatenated"', 'use = "joined"')
    (old / "bundle.toml").write_text(text, encoding="utf-8")
    verify_bundle(old, accept=True)
    found = molvis_retrieval.load_bundle(old)
    assert found.config.encoders["msms"]["use"] == "concatenated"
    assert found.config.encoders["msms"]["of"][0]["use"] == "fingerprint-regression"
    assert caplog.messages == []


def test_the_shipped_translation_leaves_less_of_the_ion_the_more_energy_there_is(spectra: list[Measurement]) -> None:
    translator = Translator.open(molvis_core.load("translation", "massbank"))
    assert translator.about["fold"] == "train"
    energies = (10.0, 30.0, 60.0)
    left: list[list[float]] = []
    for one in spectra:
        asked = [Request(one.record, Settings(energy, "QTOF")) for energy in energies]
        made = translator.translate(asked)
        near = [np.abs(s.mz - one.record.precursor_mz) < 0.01 for s in made]
        left.append([float(s.intensity[n].sum() / s.intensity.sum()) for s, n in zip(made, near, strict=True)])
    mean = np.mean(left, axis=0)
    assert mean[0] > 0.3 > mean[1] > mean[2]


def test_the_shipped_references_name_their_terms_and_find_a_compound() -> None:
    found = References.open(molvis_core.load("references", "massbank"))
    assert len(found) == 58_063
    assert len({c for c in found.compounds if c}) == 4_851
    for column in ("licence", "contributor", "authors", "identifier"):
        assert all(found.table[column].to_pylist()), column
    assert set(found.table["licence"].unique().to_pylist()) == {"CC0", "CC BY", "CC BY-SA", "dl-de/by-2-0"}
    row = found.compounds.index("RYYVLZVUVIJVGH")
    hit = found.search(found.spectrum(row), Similarity(), precursor=Tolerance(10, "ppm"), top=1)
    assert found.compounds[hit.rows[0]] == "RYYVLZVUVIJVGH"
    assert hit.scores[0] == pytest.approx(1.0)
