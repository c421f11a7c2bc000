"""Derivatives in silico, and the spectra that are of one."""

from __future__ import annotations

import numpy as np
import pytest
from ei_samples import spectrum

from molvis_ei.derivatives import Stated, forms, forms_of, is_silylated, likely_form, parse_derivative, readings
from molvis_ei.preparation import unit_spectrum

SILYLATED = {73.0: 100.0, 74.0: 9.0, 75.0: 20.0, 116.0: 80.0, 147.0: 30.0, 148.0: 5.0, 218.0: 3.0}
PLAIN = {51.0: 10.0, 65.0: 12.0, 91.0: 100.0, 106.0: 30.0}


def named(smiles: str, text: str) -> dict[str, int]:
    return {form.name: form.mass for form in forms(smiles, parse_derivative(text))}


# The masses are those of the molecular ions that libraries of such derivatives state.
@pytest.mark.parametrize(
    ("smiles", "text", "expected"),
    [
        ("CC(N)C(=O)O", "2 TMS", {"2 TMS": 233}),
        ("CC(N)C(=O)O", "n TMS", {"1 TMS": 161, "2 TMS": 233, "3 TMS": 305}),
        ("c1ccccc1O", "TMS", {"1 TMS": 166}),
        ("CC(=O)C(=O)O", "1 TMS; 1 MeOX", {"1 TMS; 1 MeOX": 189}),
        ("OCC1OC(O)C(O)C(O)C1O", "5 TMS; 1 MeOX", {"5 TMS; 1 MeOX": 569}),
        ("O=C(O)CCC(=O)O", "2 TBDMS", {"2 TBDMS": 346}),
        ("CCc1ccccc1", "1 TMS", {}),
        ("O=c1[nH]cnc2nc[nH]c12", "2 TMS", {"2 TMS": 280}),
    ],
)
def test_forms_have_the_masses_of_their_molecular_ions(smiles: str, text: str, expected: dict[str, int]) -> None:
    assert named(smiles, text) == expected


def test_an_acid_is_silylated_before_an_amine() -> None:
    (form,) = forms("NCC(=O)O", parse_derivative("1 TMS"))
    assert form.smiles == "C[Si](C)(C)OC(=O)CN"


@pytest.mark.parametrize("text", [None, "none", "", "0 TMS"])
def test_without_a_derivative_a_molecule_is_its_own_form(text: str | None) -> None:
    assert parse_derivative(text) is None
    assert [(form.name, form.mass) for form in forms("CCO", None)] == [("", 46)]


def test_what_a_source_states_is_believed_and_otherwise_the_ions_of_silyl_groups_decide() -> None:
    silyl, plain = spectrum(SILYLATED), spectrum(PLAIN)
    either = (None, Stated("TMS", None, None))
    assert is_silylated(unit_spectrum(silyl))
    assert not is_silylated(unit_spectrum(plain))
    assert readings(silyl, unit_spectrum(silyl)) == either
    assert readings(plain, unit_spectrum(plain)) == (None,)
    assert readings(spectrum(SILYLATED, derivative="none"), unit_spectrum(silyl)) == (None,)
    assert readings(spectrum(PLAIN, derivative="3 TMS"), unit_spectrum(plain)) == (Stated("TMS", 3, 0),)
    assert [form.name for form in forms_of("CC(N)C(=O)O", either)] == ["", "1 TMS", "2 TMS", "3 TMS"]


def test_the_form_whose_molecular_ion_loses_methyl_is_the_likely_one() -> None:
    found = forms("CC(N)C(=O)O", parse_derivative("n TMS"))
    assert likely_form(found, unit_spectrum(spectrum(SILYLATED))).name == "2 TMS"
    assert likely_form(found, np.zeros(700, dtype=np.float32)).name == "3 TMS"
