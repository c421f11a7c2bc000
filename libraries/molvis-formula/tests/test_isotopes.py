"""Isotope patterns."""

from __future__ import annotations

import numpy as np
import pytest

from molvis_core.chemistry.formula import parse_formula
from molvis_core.errors import ConfigError
from molvis_core.records import PeakList
from molvis_formula.elements import ISOTOPES, counts_of
from molvis_formula.ions import ion_atoms
from molvis_formula.isotopes import IsotopeErrors, isotope_evidence, isotope_patterns, measured_pattern


def pattern(formula: str, adduct: str = "[M+H]+", peaks: int = 5) -> tuple[np.ndarray, np.ndarray]:
    share, distance = isotope_patterns(counts_of(parse_formula(formula))[None], ion_atoms(adduct), peaks)
    return share[0], distance[0]


def test_abundances_of_an_element_add_up_to_one() -> None:
    for name, isotopes in ISOTOPES.items():
        assert sum(share for _, share in isotopes) == pytest.approx(1.0, abs=1e-9), name


def test_isotopes_are_those_that_rdkit_knows() -> None:
    chem = pytest.importorskip("rdkit.Chem", reason="compares masses and abundances with those of RDKit")
    table = chem.GetPeriodicTable()
    for name, isotopes in ISOTOPES.items():
        for mass, share in isotopes:
            assert table.GetMassForIsotope(name, round(mass)) == pytest.approx(mass, abs=3e-6)
            assert table.GetAbundanceForIsotope(name, round(mass)) / 100 == pytest.approx(share, abs=1e-3)


def test_a_pattern_is_the_binomial_distribution_where_one_element_has_two_isotopes() -> None:
    share, distance = pattern("C60", "[M]+")
    light, heavy = 0.9893, 0.0107
    assert share[:3] == pytest.approx([light**60, 60 * light**59 * heavy, 1770 * light**58 * heavy**2], rel=1e-9)
    assert distance[:3] == pytest.approx([0, 1.00335483507, 2 * 1.00335483507], abs=1e-9)


def test_a_pattern_is_that_of_every_combination_of_isotopes() -> None:
    share, distance = pattern("CH2BrCl", "[M]+", peaks=8)
    every: dict[int, list[tuple[float, float]]] = {}
    for c, pc in ISOTOPES["C"]:
        for h1, p1 in ISOTOPES["H"]:
            for h2, p2 in ISOTOPES["H"]:
                for br, pb in ISOTOPES["Br"]:
                    for cl, pl in ISOTOPES["Cl"]:
                        mass = c + h1 + h2 + br + cl
                        every.setdefault(round(mass), []).append((mass, pc * p1 * p2 * pb * pl))
    lowest = min(every)
    light = min(mass for mass, _ in every[lowest])
    for k in range(8):
        total = sum(p for _, p in every[lowest + k])
        assert share[k] == pytest.approx(total, rel=1e-9)
        assert distance[k] == pytest.approx(sum(m * p for m, p in every[lowest + k]) / total - light, abs=1e-9)


@pytest.mark.parametrize(("formula", "adduct"), [("C10H10Se", "[M]+"), ("C6H7BO2", "[M+K]+"), ("C8H8Br4", "[M]+")])
def test_all_isotopologues_at_and_above_the_monoisotopic_peak_are_counted(formula: str, adduct: str) -> None:
    share, _ = pattern(formula, adduct, peaks=30)
    below = {"Se": 0.0089 + 0.0937 + 0.0763 + 0.2377, "B": 0.199}
    if element := next((e for e in parse_formula(formula) if e in below), None):
        # What is lighter is brought back up by heavy isotopes of the other elements, about a tenth of it.
        assert 1 - below[element] < share.sum() < 1 - 0.7 * below[element]
    else:
        assert share.sum() == pytest.approx(1.0, abs=1e-6)


def test_the_carrier_of_the_charge_and_a_second_molecule_are_part_of_the_pattern() -> None:
    assert pattern("C10H10O2", "[M+Cl]-")[0][2] > 0.2
    assert pattern("C10H10O2", "[2M+Na]+")[0] == pytest.approx(pattern("C20H20O4", "[M+Na]+")[0], rel=1e-9)
    assert pattern("C10H10O2", "[M+2H]2+")[1][1] == pytest.approx(1.00335 / 2, abs=1e-3)


def survey(formula: str, adduct: str = "[M+H]+", mz: float = 301.1) -> PeakList:
    share, distance = pattern(formula, adduct)
    return PeakList(np.concatenate([mz + distance, [mz - 3.2, mz + 0.31]]), np.concatenate([share, [0.2, 0.1]]) * 1e6)


def test_a_measured_pattern_fits_its_own_formula_best() -> None:
    ion = ion_atoms("[M+H]+")
    counts = np.stack([counts_of(parse_formula(f)) for f in ("C16H12O6", "C14H20O3S2", "C13H13ClN2O4", "C8H9BrN2O4")])
    for place, formula in enumerate(("C16H12O6", "C14H20O3S2", "C13H13ClN2O4", "C8H9BrN2O4")):
        measured = measured_pattern(survey(formula), 301.1001, 1, 10.0)
        assert measured is not None
        assert measured.share.sum() == pytest.approx(1.0)
        evidence = isotope_evidence(measured, *isotope_patterns(counts, ion))
        assert int(np.argmax(evidence)) == place


def test_a_peak_below_the_noise_may_be_missing_and_a_strong_one_may_not() -> None:
    ion = ion_atoms("[M+H]+")
    counts = np.stack([counts_of(parse_formula(f)) for f in ("C16H12O6", "C13H13ClN2O4")])
    whole = survey("C16H12O6")
    kept = np.abs(whole.mz - 301.1) < 1.2  # nothing is left but M and M+1
    measured = measured_pattern(PeakList(whole.mz[kept], whole.intensity[kept]), 301.1, 1, 10.0)
    assert measured is not None
    plain, chlorine = isotope_evidence(measured, *isotope_patterns(counts, ion))
    assert plain > chlorine + 10


def test_where_the_monoisotopic_peak_is_missing_there_is_no_pattern() -> None:
    assert measured_pattern(survey("C16H12O6"), 305.1, 1, 10.0) is None


def test_errors_of_a_pattern_are_positive() -> None:
    with pytest.raises(ConfigError, match="larger than 0"):
        IsotopeErrors(relative=0)
