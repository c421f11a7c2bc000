"""What ships works as it is: presets, the demo's data, and the bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import molvis_core
from molvis_core.adducts import neutral_mass
from molvis_core.bundle import Bundle
from molvis_core.config import fill, from_mapping, read_config
from molvis_core.dataset import Measurement
from molvis_core.library import Library
from molvis_core.reading import read_queries
from molvis_core.testing import PluginContract


class TestPlugin(PluginContract):
    @pytest.fixture
    def name(self) -> str:
        return "molvis-models"


@pytest.fixture(scope="module")
def spectra() -> list[Measurement]:
    found, unreadable = read_queries(molvis_core.load("example", "demo-spectra"))
    assert unreadable == []
    return found


@pytest.fixture(scope="module")
def library() -> Library:
    return Library.read(molvis_core.load("example", "demo-library"))


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return molvis_core.load_bundle("massbank")


@pytest.mark.parametrize("name", ["default", "ir", "joint", "pnnl-2024"])
def test_a_preset_is_a_configuration_that_survives_being_filled(name: str) -> None:
    config = read_config(molvis_core.load("preset", name))
    assert config.name == name
    filled = fill(config)
    assert fill(from_mapping(molvis_core.RunConfig, filled)) == filled


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


def test_the_demo_library_holds_every_compound_of_the_demo_and_others_of_its_mass(
    spectra: list[Measurement], library: Library
) -> None:
    assert library.problems == ()
    rivals = []
    for item in spectra:
        assert item.structure is not None
        assert len(library.rows_of(item.structure.inchikey14)) == 1, item.name
        rivals.append(len(library.within_ppm(item.structure.exact_mass, 10.0)))
    assert float(np.mean(rivals)) > 2


def test_the_bundle_opens_and_gives_unit_vectors(bundle: Bundle, spectra: list[Measurement]) -> None:
    structures = [item.structure for item in spectra]
    measured = bundle.embed("msms", [item.record for item in spectra])
    predicted = bundle.embed("structure", structures)
    assert measured.shape == predicted.shape
    np.testing.assert_allclose(np.linalg.norm(measured, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(predicted, axis=1), 1, atol=1e-5)


def test_the_bundle_finds_most_of_the_demo_compounds_among_each_other(
    bundle: Bundle, spectra: list[Measurement]
) -> None:
    scores = (
        bundle.embed("msms", [s.record for s in spectra]) @ bundle.embed("structure", [s.structure for s in spectra]).T
    )
    assert (scores.argmax(axis=1) == np.arange(len(spectra))).sum() >= 8


def test_the_bundle_is_calibrated_and_says_on_what(bundle: Bundle) -> None:
    assert bundle.calibration.weights["msms"] > 0
    assert bundle.calibration.fitted_on


def test_the_card_says_data_licences_figures_and_limits(bundle: Bundle) -> None:
    card = (bundle.path / "CARD.md").read_text(encoding="utf-8").lower()
    assert [word for word in ("massbank", "cc by", "10 ppm", "limit") if word not in card] == []


def test_nothing_that_ships_names_a_folder_of_the_machine_that_made_it() -> None:
    home = Path(molvis_core.load("preset", "default")).parents[1]
    for path in home.rglob("*"):
        if path.suffix in (".toml", ".md"):
            assert '= "/' not in path.read_text(encoding="utf-8"), path
