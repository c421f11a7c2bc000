from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molvis_core.chemistry.formula import ELECTRON_MASS, ISOTOPE_MASS, formula_mass, parse_formula


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("C8H10N4O2", {"C": 8, "H": 10, "N": 4, "O": 2}),
        ("Ca(OH)2", {"Ca": 1, "O": 2, "H": 2}),
        ("Fe4(Fe(CN)6)3", {"Fe": 7, "C": 18, "N": 18}),
        ("CHCl3", {"C": 1, "H": 1, "Cl": 3}),
        ("", {}),
    ],
)
def test_a_formula_is_counted(text: str, counts: dict[str, int]) -> None:
    assert parse_formula(text) == counts


@pytest.mark.parametrize(
    ("formula", "mass"),
    [
        ("C8H10N4O2", 194.08038),  # caffeine, PubChem CID 2519
        ("C6H12O6", 180.06339),  # glucose, PubChem CID 5793
        ("C14H11Cl2NO2", 295.01668),  # diclofenac, PubChem CID 3033
        ("H2O", 18.010565),  # PubChem CID 962
    ],
)
def test_masses_are_those_of_pubchem(formula: str, mass: float) -> None:
    assert formula_mass(formula) == pytest.approx(mass, abs=1e-5)


def test_masses_of_isotopes_agree_with_rdkit() -> None:
    from rdkit.Chem import GetPeriodicTable

    table = GetPeriodicTable()
    for element, mass in ISOTOPE_MASS.items():
        known = table.GetMassForIsotope("H", 2) if element == "D" else table.GetMostCommonIsotopeMass(element)
        assert mass == pytest.approx(known, abs=2e-5), element


def test_the_proton_is_hydrogen_without_its_electron_but_for_their_binding_energy() -> None:
    assert ISOTOPE_MASS["H"] - ELECTRON_MASS == pytest.approx(1.00727646662, abs=2e-8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("C6H12O6!", "'!' at position 8 is not understood"),
        ("c6", "'c' at position 1"),
        ("Xx2", "'Xx' is not an element"),
        ("C(OH", "a bracket is not closed"),
        ("COH)2", "closes at position 4 that never opened"),
    ],
)
def test_a_formula_that_is_none_names_the_place(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="formula") as caught:
        parse_formula(text)
    assert message in str(caught.value)


@given(st.dictionaries(st.sampled_from(sorted(ISOTOPE_MASS)), st.integers(1, 300), max_size=6))
def test_any_counts_written_out_are_read_back(counts: dict[str, int]) -> None:
    text = "".join(f"{element}{count}" for element, count in counts.items())
    assert parse_formula(text) == counts
    assert formula_mass(text) == pytest.approx(formula_mass(counts))
