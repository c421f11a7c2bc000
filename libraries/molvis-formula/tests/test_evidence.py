"""Sub-formulas of peaks."""

from __future__ import annotations

import numpy as np
import pytest

from molvis_core.chemistry.adducts import ion_mz
from molvis_core.chemistry.formula import ELECTRON_MASS, ISOTOPE_MASS, formula_mass, parse_formula
from molvis_core.records import PeakList
from molvis_formula.elements import counts_of, hill
from molvis_formula.evidence import Explained, chance_matches, explain_peaks
from molvis_formula.ions import ion_atoms

CAFFEINE = "C8H10N4O2"


def explained(mz: list[float], *formulas: str, adduct: str = "[M+H]+", ppm: float = 10.0) -> Explained:
    counts = np.stack([counts_of(parse_formula(f)) for f in formulas])
    return explain_peaks(PeakList(np.array(mz), np.ones(len(mz))), counts, ion_atoms(adduct), ppm)


def cation(formula: str) -> float:
    return formula_mass(formula) - ELECTRON_MASS


def test_fragments_light_and_heavy_are_found_with_what_was_lost() -> None:
    found = explained([cation("C5H8N3"), cation("C6H8N3O"), cation("C8H11N4O2")], CAFFEINE)
    assert found.found.all()
    assert [hill(row) for row in found.fragment[0]] == ["C5H8N3", "C6H8N3O", "C8H11N4O2"]
    assert [hill(row) for row in found.lost[0]] == ["C3H3NO2", "C2H3NO", ""]
    assert np.abs(found.error).max() < 1e-6


def test_a_peak_that_is_no_part_of_the_molecule_is_not_explained() -> None:
    found = explained([cation("C2H6PO"), cation("C5H8N3")], CAFFEINE, "C12H11N2")
    assert found.found.tolist() == [[False, True], [False, False]]
    assert not found.fragment[0, 0].any()


def test_a_peak_beyond_the_tolerance_is_not_explained_and_its_error_is_a_share_of_it() -> None:
    mz = cation("C6H8N3O")
    found = explained([mz * (1 + 5e-6), mz * (1 + 25e-6)], CAFFEINE, ppm=10.0)
    assert found.found.tolist() == [[True, False]]
    assert found.error[0, 0] == pytest.approx(-0.5, abs=1e-3)


def test_a_metal_is_kept_or_lost_and_a_negative_ion_lacks_a_proton() -> None:
    sodium = ISOTOPE_MASS["Na"]
    found = explained([cation("C6H7N3O"), cation("C6H7N3O") + sodium], CAFFEINE, adduct="[M+Na]+")
    assert found.metal.tolist() == [[False, True]]
    glucose = explained([formula_mass("C3H5O3") + ELECTRON_MASS], "C6H12O6", adduct="[M-H]-")
    assert hill(glucose.fragment[0, 0]) == "C3H5O3"


def test_a_dimer_and_a_doubly_charged_ion_have_fragments_of_their_own() -> None:
    whole = explained([ion_mz(formula_mass("C6H12O6"), "[M+H]+")], "C6H12O6", adduct="[2M+H]+")
    assert hill(whole.fragment[0, 0]) == "C6H13O6"
    half = explained([(formula_mass("C8H12N4O") - 2 * ELECTRON_MASS) / 2], CAFFEINE, adduct="[M+2H]2+")
    assert half.found.all()
    assert half.charge.tolist() == [[2]]


def test_of_several_sub_formulas_the_closest_with_an_even_number_of_electrons_is_taken() -> None:
    crowded = explained([200.1], "C30H60N12O12P4S4", ppm=100.0)
    assert crowded.ways[0, 0] > 5
    assert abs(crowded.error[0, 0]) < 1


def test_a_large_formula_of_many_elements_explains_more_by_chance() -> None:
    small, large = (counts_of(parse_formula(f)) for f in ("C15H10O5", "C6H14N4O5PSCl"))
    targets = np.array([[round(130.05 * 1e11)]])
    chance = chance_matches(np.stack([small, large]), targets, np.full((1, 1), round(0.0013 * 1e11)))
    assert chance[1, 0] > 3 * chance[0, 0] > 0


def test_the_expected_number_of_chance_matches_is_that_of_masses_nearby() -> None:
    counts = counts_of(parse_formula("C20H30N4O8S"))
    rng = np.random.default_rng(0)
    # Peaks as measured ones lie: at masses of sub-formulas of other molecules, within some mDa.
    mz = np.sort(150 + rng.integers(0, 100, 400) + rng.normal(0.075, 0.03, 400))
    found = explain_peaks(PeakList(mz, np.ones(400)), counts[None], ion_atoms("[M+H]+"), 10.0, peaks=400)
    assert 0.3 < found.ways.sum() / found.chance.sum() < 1.5


def test_a_spectrum_without_peaks_says_nothing() -> None:
    found = explain_peaks(
        PeakList(np.zeros(0), np.zeros(0)), counts_of(parse_formula(CAFFEINE))[None], ion_atoms("[M+H]+")
    )
    assert found.found.shape == (1, 0)
