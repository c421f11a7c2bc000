"""Formulas of a mass."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molvis_core.chemistry.adducts import COMMON_ADDUCTS, ion_mz, parse_adduct
from molvis_core.chemistry.formula import ISOTOPE_MASS, formula_mass, parse_formula
from molvis_core.errors import AdductError, ConfigError
from molvis_formula.cores import cores_for
from molvis_formula.decomposition import FormulaError, Window, formulas_within, masses_of, neutral_window
from molvis_formula.elements import ELEMENTS, MASSES, UNIT, counts_of, hill, parse_elements, units
from molvis_formula.ions import ion_atoms
from molvis_formula.rules import COMMON, EXTENDED, VALENCE, Rules, rules_named


def window_of(formula: str) -> Window:
    mass = int(masses_of([counts_of(parse_formula(formula))])[0])
    return Window(mass, mass)


def names(window: Window, **options: object) -> set[str]:
    return {hill(row) for row in formulas_within(window, **options)}


def test_a_mass_in_units_is_the_mass_in_da_exactly() -> None:
    for name, mass in zip(ELEMENTS, MASSES, strict=True):
        assert Fraction(int(mass), UNIT) == Fraction(str(ISOTOPE_MASS[name]))


def test_every_formula_of_a_mass_is_listed_once_and_no_other() -> None:
    # Against a count through all combinations, under the widest rules.
    window = Window(units(120.05), units(120.08))
    widest = Rules(None, {}, 9, False, False, (-20, 60), False, False)
    found = formulas_within(window, elements="CHNOS", rules=widest)
    expected: set[str] = set()
    plain = MASSES.tolist()
    for c, n, o, s in itertools.product(range(11), range(9), range(8), range(4)):
        rest = window.high - (c * plain[0] + n * plain[2] + o * plain[3] + s * plain[5])
        h = rest // plain[1]
        if h >= 0 and rest - h * plain[1] <= window.high - window.low:
            expected.add(hill([c, h, n, o, 0, s, 0, 0, 0, 0, 0, 0, 0]))
    assert {hill(row) for row in found} == expected
    assert len(found) == len(expected) > 20


@pytest.mark.parametrize("any_shell", [False, True])
@pytest.mark.parametrize(
    ("mz", "elements", "rules"),
    [
        (180.06, "CHNOPSFClBrI", COMMON),
        (412.2, "CHNOPSFClBrI", COMMON),
        (498.11, "CHNO[2-5]PSCl[1]Si", COMMON),
        (310.1, "CHNOPSF", EXTENDED),
        (95.06, "CHNOCl[2]", VALENCE),
    ],
)
def test_a_table_of_cores_lists_what_counting_through_all_elements_does_in_the_same_order(
    mz: float, elements: str, rules: Rules, any_shell: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = neutral_window(mz, "[M+H]+", 10.0)
    options = {"elements": elements, "rules": rules, "any_shell": any_shell}
    limits = parse_elements(elements)[1]
    assert cores_for(window.high, limits, rules.ratios(), rules.numbers(any_shell=any_shell)) is not None
    by_cores = formulas_within(window, **options)
    monkeypatch.setattr("molvis_formula.decomposition.cores_for", lambda *_: None)
    np.testing.assert_array_equal(by_cores, formulas_within(window, **options))
    assert len(by_cores) > 0


def test_a_table_of_larger_masses_does_for_smaller_ones_and_radicals() -> None:
    limits = parse_elements("CHNO")[1]
    small = [
        cores_for(units(m), limits, COMMON.ratios(), COMMON.numbers(any_shell=s)) for m in (240, 100) for s in (0, 1)
    ]
    assert all(one is small[0] for one in small)
    large = cores_for(units(300.0), limits, COMMON.ratios(), COMMON.numbers())
    assert large is not None
    assert small[0] is not None
    assert len(large.masses) > len(small[0].masses)
    assert cores_for(units(240.0), limits, COMMON.ratios(), COMMON.numbers()) is large


def test_a_table_that_would_be_too_large_is_not_made() -> None:
    limits = parse_elements("CHNO")[1]
    assert cores_for(units(3000.0), limits, VALENCE.ratios(), VALENCE.numbers()) is None
    assert cores_for(units(100.0), parse_elements("CHB")[1], COMMON.ratios(), COMMON.numbers()) is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=len(ELEMENTS), max_size=len(ELEMENTS)))
def test_a_formula_is_found_at_its_own_mass_whatever_it_is(counts: list[int]) -> None:
    if not any(counts):
        return
    widest = Rules(None, {}, 9, False, False, (-200, 200), False, False)
    limits = np.stack([np.zeros(len(ELEMENTS), dtype=np.int64), np.array(counts)])
    mass = int(masses_of([counts])[0])
    assert hill(counts) in names(Window(mass, mass), elements=limits, rules=widest)


def test_a_formula_at_the_very_edge_of_the_tolerance_is_within_and_one_unit_further_is_not() -> None:
    mass = int(masses_of([counts_of(parse_formula("C6H12O6"))])[0])
    assert "C6H12O6" in names(Window(mass - 1000, mass), elements="CHO")
    assert "C6H12O6" in names(Window(mass, mass + 1000), elements="CHO")
    assert "C6H12O6" not in names(Window(mass - 1000, mass - 1), elements="CHO")
    assert "C6H12O6" not in names(Window(mass + 1, mass + 1000), elements="CHO")


@pytest.mark.parametrize("adduct", [a for a in COMMON_ADDUCTS if a not in ("[M+Li]+",)])
def test_the_window_of_an_ion_holds_its_molecule_and_is_as_wide_as_was_asked(adduct: str) -> None:
    mass = formula_mass("C20H24O8")
    mz = ion_mz(mass, adduct)
    window = neutral_window(mz, adduct, 5.0)
    assert window.low < units(mass) < window.high
    ion = parse_adduct(adduct)
    wide = 2 * 5e-6 * mz * abs(ion.charge) / ion.molecules
    assert (window.high - window.low) / UNIT == pytest.approx(wide, abs=1e-9)
    middle = (window.high + window.low) / 2 / UNIT
    assert middle == pytest.approx(mass, abs=2e-9)


def test_rules_leave_out_what_they_say_and_can_be_taken_away() -> None:
    assert names(window_of("C6H12O6"), elements="CHNO") == {"C6H12O6"}
    for formula, fault in (
        ("C2H8O", "hydrogen that no valence holds"),
        ("C6H13O6", "an odd number of electrons"),
        ("C10H12O30", "too much oxygen"),
        ("C40H2", "too little hydrogen"),
        ("C20H21N10O4P4S4F", "too many of N, O, P and S together"),
        ("C10H8FClBrIS", "too many kinds of elements"),
        ("H2O", "no carbon"),
    ):
        limits = np.stack([counts_of(parse_formula(formula))] * 2)
        assert not names(window_of(formula), elements=limits), fault
        widest = Rules(None, {}, 9, False, False, (-20, 60), False, False)
        assert names(window_of(formula), elements=limits, rules=widest) == {hill(limits[0])}


@pytest.mark.parametrize(
    "formula",
    ["C4H6O5", "C6H13O9P", "C2H7NO3S", "C8HF17O3S", "C5H11O8P", "C12H4Cl6", "C55H83N17O21S3", "C63H88N14O14P", "CH4O"],
)
def test_well_known_molecules_keep_the_common_rules(formula: str) -> None:
    limits = np.stack([counts_of(parse_formula(formula))] * 2)
    closed = formulas_within(window_of(formula), elements=limits)
    either = formulas_within(window_of(formula), elements=limits, any_shell=True)
    assert len(either) == 1
    assert len(closed) == (formula != "C63H88N14O14P")  # which has an odd number of electrons without its cobalt


def test_stricter_rules_list_a_part_of_what_wider_ones_list() -> None:
    window = neutral_window(400.15, "[M+H]+", 10.0)
    common, extended, valence = (names(window, rules=rules) for rules in (COMMON, EXTENDED, VALENCE))
    assert common < extended < valence


def test_a_salt_is_listed_where_the_ion_is_the_molecule() -> None:
    assert ion_atoms("[M]+").bare
    assert not ion_atoms("[M+H]+").bare
    choline = neutral_window(104.1070, "[M]+", 10.0)
    assert "C5H14NO" in names(choline, any_shell=True)
    assert "C5H14NO" not in names(choline)


def test_elements_are_read_with_their_limits() -> None:
    limits = parse_elements("CHNOCl[3]Br[1-2]")
    assert limits[:, ELEMENTS.index("Cl")].tolist() == [0, 3]
    assert limits[:, ELEMENTS.index("Br")].tolist() == [1, 2]
    assert limits[1, ELEMENTS.index("S")] == 0
    window = neutral_window(252.97, "[M+H]+", 50.0)
    assert all("Br" in name for name in names(window, elements="CHNOCl[3]Br[1-2]"))


@pytest.mark.parametrize("text", ["", "CHX", "CHC", "CH[3-1]", "CH[", "chno", "CH NO"])
def test_elements_that_cannot_be_read_are_refused_with_what_can(text: str) -> None:
    with pytest.raises(ConfigError, match=r"elements .*(write them like|at least)"):
        parse_elements(text)


def test_what_cannot_be_asked_is_answered_in_a_line() -> None:
    with pytest.raises(FormulaError, match="too small for adduct"):
        neutral_window(20.0, "[M+Na]+", 5.0)
    with pytest.raises(FormulaError, match="0 ppm"):
        neutral_window(200.0, "[M+H]+", 0)
    with pytest.raises(FormulaError, match="precursor m/z nan"):
        neutral_window(float("nan"), "[M+H]+", 5.0)
    with pytest.raises(FormulaError, match="more than one nominal mass"):
        formulas_within(Window(units(100), units(102)))
    with pytest.raises(AdductError, match="with Ag"):
        neutral_window(300.0, "[M+Ag]+", 5.0)
    with pytest.raises(ConfigError, match="no rules named 'wide'"):
        rules_named("wide")
    with pytest.raises(ConfigError, match=r"Rules\.hydrogen"):
        Rules(hydrogen=(3.0, 1.0))
    with pytest.raises(ConfigError, match=r"Rules\.per_carbon has 'Xe'"):
        Rules(per_carbon={"Xe": 1.0})


def test_the_order_of_formulas_is_always_the_same() -> None:
    window = neutral_window(400.15, "[M+H]+", 10.0)
    assert formulas_within(window).tolist() == formulas_within(window).tolist()
