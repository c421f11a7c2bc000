"""The error of a precursor's mass is evidence as far as the run's own errors make it so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from molvis_core.chemistry.adducts import ion_mz
from molvis_core.chemistry.structures import structure
from molvis_core.errors import ConfigError
from molvis_core.records import PeakList, Structure
from molvis_core.testing import ScorerContract
from molvis_msms.scorers.mass_error import MassError
from molvis_msms.scorers.precursor_errors import DEFAULT_WIDTH, LEAST_SPECTRA, PrecursorErrors, estimate

REACH = 10.0


class TestMassError(ScorerContract):
    @pytest.fixture
    def scorer(self) -> Any:
        return MassError()


def _run(
    count: int, offset: float, width: float, *, rivals: int = 8, found: float = 1.0, seed: int = 0
) -> list[np.ndarray]:
    """Errors of the candidates of many spectra: one near the offset if the compound is found, the others anywhere."""
    rng = np.random.default_rng(seed)
    out: list[np.ndarray] = []
    for _ in range(count):
        own = [rng.normal(offset, width)] if rng.random() < found else []
        out.append(np.r_[own, rng.uniform(-REACH, REACH, rivals)])
    return out


@pytest.mark.parametrize(("offset", "width"), [(0.0, 1.0), (2.0, 0.8), (-3.0, 1.5)])
def test_offset_and_width_are_found_among_candidates_without_knowing_which_is_right(
    offset: float, width: float
) -> None:
    found = estimate(_run(300, offset, width, found=0.7, rivals=4), REACH)
    assert found.offset == pytest.approx(offset, abs=0.5)
    assert found.width == pytest.approx(width, rel=0.3)
    assert not found.theoretical


def test_a_wide_error_is_found_where_rivals_are_few() -> None:
    found = estimate(_run(600, 0.5, 3.0, rivals=1), REACH)
    assert found.offset == pytest.approx(0.5, abs=0.5)
    assert found.width == pytest.approx(3.0, rel=0.2)


def test_a_few_dozen_spectra_are_enough_for_a_fair_guess() -> None:
    for seed in range(10):
        found = estimate(_run(30, 1.0, 1.0, seed=seed), REACH)
        assert abs(found.offset - 1.0) < 1.0
        assert 0.5 < found.width < 2.5


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_calculated_precursors_are_told_from_measured_ones(share: float) -> None:
    copied = _run(round(200 * share), 0.0, 0.1, seed=1)
    measured = _run(200 - len(copied), 0.5, 2.0, seed=2)
    assert estimate([*copied, *measured], REACH).theoretical


def test_a_good_instrument_is_no_calculation() -> None:
    for seed in range(5):
        assert not estimate(_run(200, 0.0, 0.8, seed=seed), REACH).theoretical


def test_too_few_spectra_or_foreign_ones_leave_the_default() -> None:
    assert estimate(_run(LEAST_SPECTRA - 1, 0.0, 1.0), REACH) == PrecursorErrors()
    assert estimate([np.zeros(0)] * 100, REACH) == PrecursorErrors()
    assert estimate([], REACH).width == DEFAULT_WIDTH


def _spectrum(one: Structure, ppm: float, adduct: str | None = "[M+H]+", instrument: str = "QTOF") -> PeakList:
    mz = ion_mz(one.exact_mass, adduct or "[M+H]+") * (1 + ppm * 1e-6)
    return PeakList(np.array([50.0]), np.ones(1), mz, adduct, instrument_type=instrument)


RIGHT, ISOMER = structure("CC(=O)Oc1ccccc1C(=O)O"), structure("OC(=O)c1ccc(OC(C)=O)cc1")
OTHER = structure("Clc1ccc(cc1)-c1ccn(C)n1")


def test_the_nearer_mass_is_the_likelier_and_isomers_are_level() -> None:
    heavier = Structure(OTHER.smiles, OTHER.inchikey, OTHER.formula, RIGHT.exact_mass * (1 + 6e-6))
    right, isomer, off = MassError()(_spectrum(RIGHT, 0.0), [RIGHT, ISOMER, heavier])[:, 0]
    assert right == isomer == pytest.approx(0.0, abs=1e-9)
    assert off == pytest.approx(np.log(0.99 * np.exp(-0.5 * (6 / 3) ** 2) + 0.01), abs=0.05)
    assert MassError()(_spectrum(RIGHT, 500.0), [RIGHT])[0, 0] == pytest.approx(np.log(0.01))


def test_adducts_and_charges_count() -> None:
    for adduct in ("[M+Na]+", "[M-H]-", "[2M+H]+", "[M+2H]2+"):
        right, off = MassError()(_spectrum(RIGHT, 0.0, adduct), [RIGHT, OTHER])[:, 0]
        assert right == pytest.approx(0.0, abs=1e-9)
        assert off < -4


def test_what_names_no_ion_says_nothing() -> None:
    assert (MassError()(_spectrum(RIGHT, 0.0, None), [RIGHT, OTHER]) == 0).all()
    bare = PeakList(np.array([50.0]), np.ones(1), None, "[M+H]+")
    assert (MassError()(bare, [RIGHT, OTHER]) == 0).all()


def _measured(errors: np.ndarray, instrument: str, seed: int) -> tuple[list[PeakList], list[np.ndarray]]:
    """Spectra of made-up masses with these errors, each with the masses of its candidates."""
    rng = np.random.default_rng(seed)
    spectra, masses = [], []
    for error in errors:
        mass = float(rng.uniform(150, 700))
        mz = ion_mz(mass, "[M+H]+") * (1 + error * 1e-6)
        spectra.append(PeakList(np.array([50.0]), np.ones(1), mz, "[M+H]+", instrument_type=instrument))
        masses.append(np.r_[mass, mass * (1 + rng.uniform(-10e-6, 10e-6, 2))])
    return spectra, masses


def test_each_instrument_of_a_run_has_its_own_errors() -> None:
    rng = np.random.default_rng(0)
    good, of_good = _measured(rng.normal(1.5, 0.7, 120), "QFT", 1)
    poor, of_poor = _measured(rng.normal(-2.0, 2.5, 120), "QTOF", 2)
    copied, of_copied = _measured(np.zeros(120), "library", 3)
    made = MassError().adapted([*good, *poor, *copied], [*of_good, *of_poor, *of_copied], REACH)
    assert made.run(good[0]).offset == pytest.approx(1.5, abs=0.3)
    assert made.run(good[0]).width == pytest.approx(0.7, rel=0.3)
    assert made.run(poor[0]).width == pytest.approx(2.5, rel=0.35)
    assert made.note(good[0]) == made.note(poor[0]) == ""
    assert made.note(copied[0]) == "precursors look calculated: mass error is no evidence"
    assert (made(copied[0], [RIGHT, OTHER]) == 0).all()
    assert MassError().note(copied[0]) == ""


def test_many_spectra_of_one_precursor_are_one_error() -> None:
    spectra, masses = _measured(np.array([2.0]), "QFT", 1)
    made = MassError().adapted(spectra * 100, masses * 100, REACH)
    assert made.run(spectra[0]) == PrecursorErrors(width=DEFAULT_WIDTH)


def test_a_width_that_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="ppm must be positive, got 0"):
        MassError(0.0)
