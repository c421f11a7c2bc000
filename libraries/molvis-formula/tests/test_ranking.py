"""Formulas in order, with probabilities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from molvis_core.chemistry.adducts import ion_mz, parse_adduct
from molvis_core.chemistry.formula import ELECTRON_MASS, formula_mass, parse_formula
from molvis_core.errors import AdductError, ConfigError, ReadError
from molvis_core.records import PeakList
from molvis_formula.decomposition import FormulaError
from molvis_formula.elements import counts_of, hill
from molvis_formula.ions import ion_atoms
from molvis_formula.isotopes import isotope_patterns
from molvis_formula.ranking import FormulaList, FormulaSettings, formula_list, formulas
from molvis_formula.rules import VALENCE
from molvis_formula.score import load_score

MASS = formula_mass("C15H10O6")
FRAGMENTS = ("C15H11O6", "C8H5O4", "C7H5O4", "C8H7O2", "C13H9O4", "C6H5O2")
"""Luteolin's and its fragments' ions."""


def luteolin(adduct: str | None = "[M+H]+", ppm: float = 0.0) -> PeakList:
    mz = np.array([formula_mass(f) - ELECTRON_MASS for f in FRAGMENTS])
    return PeakList(
        mz, np.array([100, 60, 50, 20, 10, 5]), precursor_mz=ion_mz(MASS, "[M+H]+") * (1 + ppm * 1e-6), adduct=adduct,
        ionmode="positive",
    )  # fmt: skip


def test_the_true_formula_comes_first_and_all_probabilities_add_up_to_one() -> None:
    found = formulas(luteolin(ppm=2.0))
    assert found[0].formula == "C15H10O6"
    assert found[0].probability > 0.5
    assert found[0].ppm == pytest.approx(2.0, abs=0.01)
    assert found[0].explained == pytest.approx(1.0)
    assert found[0].peaks == len(FRAGMENTS)
    assert sum(c.probability for c in found) == pytest.approx(1.0)
    assert [c.probability for c in found] == pytest.approx(
        sorted((c.probability for c in found), reverse=True), abs=1e-6
    )


def test_peaks_of_another_molecule_make_the_formula_less_likely() -> None:
    own = {c.formula: c.probability for c in formulas(luteolin())}
    other = PeakList(np.array([58.0651, 72.0808, 86.0964, 100.1121]), np.ones(4), luteolin().precursor_mz, "[M+H]+")
    assert {c.formula: c.probability for c in formulas(other)}["C15H10O6"] < own["C15H10O6"]


def test_without_an_adduct_the_formulas_of_all_usual_ones_compete() -> None:
    found = formulas(luteolin(adduct=None))
    assert {c.adduct for c in found} > {"[M+H]+", "[M+Na]+", "[M+NH4]+"}
    assert (found[0].formula, found[0].adduct) == ("C15H10O6", "[M+H]+")
    assert sum(c.probability for c in found) == pytest.approx(1.0)


def test_adducts_can_be_given_with_their_probabilities() -> None:
    even = {c.adduct: 0.0 for c in formulas(luteolin(), adduct={"[M+H]+": 1.0, "[M+NH4]+": 1.0})}
    assert set(even) == {"[M+H]+", "[M+NH4]+"}

    def share(prior: float) -> float:
        found = formulas(luteolin(), adduct={"[M+H]+": 1.0, "[M+NH4]+": prior})
        return sum(c.probability for c in found if c.adduct == "[M+NH4]+")

    assert share(100.0) > share(1.0) > share(0.01)


def test_of_several_adducts_one_that_is_heavier_than_the_ion_is_left_out() -> None:
    water = ion_mz(formula_mass("H2O"), "[M+H]+")
    found = formulas(precursor_mz=water, adduct={"[M+H]+": 1.0, "[M+K]+": 1.0}, settings=FormulaSettings(rules=VALENCE))
    assert {c.adduct for c in found} == {"[M+H]+"}
    with pytest.raises(FormulaError, match="too small"):
        formulas(precursor_mz=water, adduct="[M+K]+")


def test_an_isotope_pattern_tells_chlorine_from_none() -> None:
    ion = ion_atoms("[M+H]+")
    mz = ion_mz(MASS, "[M+H]+")
    share, distance = isotope_patterns(counts_of(parse_formula("C15H10O6"))[None], ion)
    pattern = PeakList(mz + distance[0], share[0] * 1e5)
    with_it = formulas(precursor_mz=mz, adduct="[M+H]+", isotope_pattern=pattern)
    without = formulas(precursor_mz=mz, adduct="[M+H]+")
    assert with_it[0].isotopes is not None
    best = {c.formula: c for c in with_it}["C15H10O6"]
    assert best.isotopes is not None
    assert best.isotopes > -0.5
    assert best.probability > {c.formula: c for c in without}["C15H10O6"].probability
    assert sum(c.probability for c in with_it if "Cl" in c.formula) < 1e-3


def test_known_formulas_are_likelier_only_where_they_are_asked_for() -> None:
    plain = {c.formula: c for c in formulas(luteolin())}
    other = next(name for name in plain if name != "C15H10O6")
    favoured = {c.formula: c for c in formulas(luteolin(), settings=FormulaSettings(known={other}))}
    assert plain[other].known is None
    assert favoured[other].known
    assert favoured[other].probability > plain[other].probability


def test_a_spectrum_without_peaks_is_ranked_by_its_mass() -> None:
    empty = PeakList(np.zeros(0), np.zeros(0), precursor_mz=ion_mz(MASS, "[M-H]-"), adduct="[M-H]-")
    found = formulas(empty)
    assert found
    assert all(c.explained is None for c in found)


def test_elements_and_rules_are_those_that_were_asked_for() -> None:
    found = formulas(luteolin(), settings=FormulaSettings(elements="CHO", ppm=5.0))
    assert all(set(parse_formula(c.formula)) <= set("CHO") for c in found)
    assert all(abs(c.ppm) <= 5.0 for c in found)


@pytest.mark.parametrize("adduct", ["[M+H]+", "[M+Na]+", "[M-H]-", "[M+HCOO]-", "[2M+H]+", "[M-2H]2-", "[M+H-H2O]+"])
def test_what_an_adduct_takes_the_molecule_has_and_the_mass_is_the_ions(adduct: str) -> None:
    mz = ion_mz(formula_mass("C12H22O11"), adduct)
    found = formulas(precursor_mz=mz, adduct=adduct, settings=FormulaSettings(elements="CHO", ppm=3.0))
    assert "C12H22O11" in {c.formula for c in found}
    for one in found:
        assert ion_mz(one.exact_mass, adduct) == pytest.approx(mz, rel=3.01e-6)
        assert hill(counts_of(parse_formula(one.formula))) == one.formula
        assert one.adduct == parse_adduct(adduct).name


def test_what_cannot_be_ranked_is_answered_in_a_line() -> None:
    with pytest.raises(ConfigError, match="the spectrum has none"):
        formulas(PeakList(np.array([100.0]), np.ones(1), adduct="[M+H]+"))
    with pytest.raises(AdductError, match="Write it like"):
        formulas(precursor_mz=200.0, adduct="[M+Q]+")
    with pytest.raises(ConfigError, match="probability larger than 0"):
        formulas(precursor_mz=200.0, adduct={"[M+H]+": 0.0})


def test_a_file_that_is_no_score_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "score.npz"
    path.write_bytes(b"no score")
    with pytest.raises(ReadError, match="no score of formulas"):
        load_score(path)


def test_formulas_as_arrays_have_the_same_probabilities() -> None:
    named = {c.formula: c.probability for c in formulas(luteolin())}
    listed = formula_list(luteolin(), adduct="[M+H]+")
    assert len(listed) == len(named)
    assert {f: np.exp(x) for f, x in listed.likely(-np.inf).items()} == pytest.approx(named, rel=1e-9)
    assert listed.log_of("C15H10O6") == pytest.approx(np.log(named["C15H10O6"]))
    assert list(listed.likely(np.log(0.5))) == ["C15H10O6"]
    assert [listed.log_of(f) for f in ("C15H10O7", "C10H2Fe", "nonsense")] == [None] * 3
    with pytest.raises(ConfigError, match="the spectrum has none"):
        formula_list(PeakList(np.array([100.0]), np.ones(1)), adduct="[M+H]+")


def test_lists_of_two_ions_are_joined_as_what_both_say() -> None:
    one = formula_list(luteolin(), adduct="[M+H]+")
    assert FormulaList.joined([one], -12.0) is one
    fewer = FormulaList(one.counts[1:], one.masses[1:], one.logs[1:])
    both = FormulaList.joined([one, fewer], -12.0)
    logs = {f: (one.log_of(f), both.log_of(f)) for f in one.likely(-np.inf)}
    assert np.logaddexp.reduce(both.logs) == pytest.approx(0)
    lost = hill(one.counts[0])
    expected = {f: max(a, -12) * 2**0.5 if f != lost else (max(a, -12) - 12) / 2**0.5 for f, (a, _) in logs.items()}
    norm = np.logaddexp.reduce(list(expected.values()))
    assert {f: b for f, (_, b) in logs.items()} == pytest.approx({f: v - norm for f, v in expected.items()})
