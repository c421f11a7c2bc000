from __future__ import annotations

import pytest

from molvis_core.chemistry.adducts import (
    COMMON_ADDUCTS,
    Adduct,
    ion_mz,
    likely_adducts,
    neutral_mass,
    parse_adduct,
    unknown_charge,
)
from molvis_core.errors import AdductError


@pytest.mark.parametrize(
    ("adduct", "shift", "tolerance"),
    [
        # Chang et al., Molecular Vision, Pacific Northwest National Laboratory 2024. The report prints chloride with a
        # minus sign; the adduct's mass is added. A proton weighs 1.4e-8 Da more than hydrogen without its electron,
        # which is what we add: their binding energy.
        ("[M+H]+", 1.0072764665789, 2e-8),
        ("[M+Na]+", 22.989222, 1e-5),
        ("[M-H]-", -1.0072764665789, 2e-8),
        ("[M+Cl]-", 34.969402, 1e-5),
        # Huang, Fiehn lab, table of adducts: https://fiehnlab.ucdavis.edu/staff/kind/metabolomics/ms-adduct-calculator
        ("[M+NH4]+", 18.033823, 1e-4),
        ("[M+K]+", 38.963158, 1e-4),
        ("[M+ACN+H]+", 42.033823, 1e-4),
        ("[M+H-H2O]+", -17.00384, 1e-3),
        ("[M+HCOO]-", 44.998201, 1e-4),
        ("[M+CH3COO]-", 59.013851, 1e-4),
        ("[M+Br]-", 78.918885, 1e-4),
    ],
)
def test_the_shift_is_that_of_the_published_tables(adduct: str, shift: float, tolerance: float) -> None:
    assert parse_adduct(adduct).shift == pytest.approx(shift, abs=tolerance)
    assert ion_mz(180.0, adduct) == pytest.approx(180.0 + shift, abs=tolerance)


def test_several_charges_and_several_molecules_divide_and_multiply() -> None:
    assert ion_mz(1000.0, "[M+2H]2+") == pytest.approx(500 + 1.0072764665789, abs=2e-8)
    assert ion_mz(100.0, "[2M+Na]+") == pytest.approx(200 + 22.989222, abs=1e-5)
    assert ion_mz(1000.0, "[M-2H]2-") == pytest.approx(500 - 1.0072764665789, abs=2e-8)


@pytest.mark.parametrize("adduct", COMMON_ADDUCTS)
@pytest.mark.parametrize("mass", [150.05, 999.5])
def test_mass_to_mz_and_back_is_the_mass(adduct: str, mass: float) -> None:
    assert neutral_mass(ion_mz(mass, adduct), adduct) == pytest.approx(mass, abs=1e-9)


@pytest.mark.parametrize("adduct", COMMON_ADDUCTS)
def test_common_adducts_keep_their_names_and_signs(adduct: str) -> None:
    ion = parse_adduct(adduct)
    assert ion.name == adduct
    assert ion.ionmode == ("positive" if adduct.endswith("+") else "negative")


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("M+H", "[M+H]+"),
        ("[M+H]+ ", "[M+H]+"),
        ("[M + H]+", "[M+H]+"),
        ("[M]+.", "[M]+"),
        ("[M+FA-H]-", "[M+HCOO]-"),
        ("[M+OAc]-", "[M+CH3COO]-"),
        ("[M-H2O+H]+", "[M+H-H2O]+"),
        ("M+H-H2O", "[M+H-H2O]+"),
        ("[M+H]1+", "[M+H]+"),
        ("[M+H]+1", "[M+H]+"),
        ("[M+H]", "[M+H]+"),
        ("(M+H)+", "[M+H]+"),
        ("MH+", "[M+H]+"),
        ("M-H1", "[M-H]-"),
        ("[M+H]⁺", "[M+H]+"),
        ("[M−H]⁻", "[M-H]-"),
        ("[M+2H]++", "[M+2H]2+"),
        ("[M+2H]+2", "[M+2H]2+"),
        ("2M+Na", "[2M+Na]+"),
        ("M-2H", "[M-2H]2-"),
        ("[M]+*", "[M]+"),
        ("M+•", "[M]+"),
        ("[M-NH3+H]+", "[M+H-NH3]+"),
        ("[M+NH3+H]+", "[M+NH4]+"),
        ("[M+HCOOH-H]-", "[M+HCOO]-"),
        ("[M+FA]-", "[M+HCOO]-"),
        ("[M+HAc]-", "[M+CH3COO]-"),
        ("M+H-C6H10O5", "[M+H-C6H10O5]+"),
    ],
)
def test_other_spellings_are_understood(written: str, name: str) -> None:
    assert parse_adduct(written).name == name


@pytest.mark.parametrize(("one", "two"), [("[M+H2O+H]+", "[M+H+H2O]+"), ("[M+CH3OH+H]+", "[M+MeOH+H]+")])
def test_the_order_and_the_name_of_a_solvent_do_not_matter_to_the_mass(one: str, two: str) -> None:
    assert parse_adduct(one).shift == pytest.approx(parse_adduct(two).shift, abs=1e-9)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("[M+H", "not understood. Did you mean '[M+H]+'?"),
        ("[M]", "has no charge"),
        ("M+Nna", "Write it like [M+H]+"),
        ("", "Write it like [M+H]+"),
        ("[M+Xx]+", "'Xx' is not an element"),
        ("[M+H*2]+", "'*2' is not understood; write it like +H or -H2O"),
    ],
)
def test_an_adduct_that_is_none_says_what_is_near(written: str, message: str) -> None:
    with pytest.raises(AdductError) as caught:
        parse_adduct(written)
    assert message in str(caught.value)
    assert repr(written) in str(caught.value)


def test_a_precursor_lighter_than_its_adduct_is_refused() -> None:
    with pytest.raises(AdductError, match="precursor m/z 20.0 is too small for adduct"):
        neutral_mass(20.0, "[M+Na]+")


def test_an_adduct_object_does_as_well_as_its_name() -> None:
    ion = Adduct("[M+X]+", 1, 1, 10.0)
    assert ion_mz(100.0, ion) == 110.0
    assert neutral_mass(110.0, ion) == 100.0


@pytest.mark.parametrize(
    ("written", "charge"),
    [("[M+?]+", 1), ("[M + ?]-", -1), ("[M?]+", 1), ("[M+?]2+", 2), ("[M]?", 0), ("[M+H]+", None), ("M", None)],
)
def test_an_adduct_that_is_left_open_says_its_charge(written: str, charge: int | None) -> None:
    assert unknown_charge(written) == charge


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_the_likely_adducts_of_a_polarity_are_of_it_and_their_shares_add_up(mode: str) -> None:
    found = likely_adducts(mode)
    assert sum(found.values()) == pytest.approx(1)
    assert {parse_adduct(name).ionmode for name in found} == {mode}
    assert next(iter(found)) == max(found, key=lambda name: found[name])
    assert set(found) <= set(COMMON_ADDUCTS)


def test_a_known_charge_leaves_the_adducts_of_that_charge() -> None:
    assert list(likely_adducts("positive", 2)) == ["[M+2H]2+"]
    assert "[M+2H]2+" not in likely_adducts("positive", 1)
    with pytest.raises(AdductError, match=r"no adduct to try is positive and charge \+3.*--adducts"):
        likely_adducts("positive", 3)


def test_adducts_that_are_named_count_more_than_a_charge_that_a_program_guessed() -> None:
    assert list(likely_adducts("positive", 2, ["[M+H]+", "[M+2H]2+"])) == ["[M+2H]2+"]
    assert list(likely_adducts("positive", 2, ["[M+H]+", "[M+Na]+"])) == ["[M+H]+", "[M+Na]+"]
    with pytest.raises(AdductError, match="no adduct to try is negative"):
        likely_adducts("negative", -1, ["[M+H]+"])


def test_without_polarity_the_adducts_of_both_are_tried() -> None:
    both = likely_adducts(None)
    assert set(both) == set(likely_adducts("positive")) | set(likely_adducts("negative"))
    assert both["[M+H]+"] == pytest.approx(likely_adducts("positive")["[M+H]+"] / 2, rel=0.05)


def test_adducts_to_try_can_be_named_in_any_spelling() -> None:
    assert list(likely_adducts("positive", names=["M+Na", "[M+Cs]+", "[M-H]-"])) == ["[M+Na]+", "[M+Cs]+"]
    assert likely_adducts(None, names=["negative"]) == likely_adducts("negative")
    with pytest.raises(AdductError, match="'M-Q'"):
        likely_adducts("positive", names=["M-Q"])
