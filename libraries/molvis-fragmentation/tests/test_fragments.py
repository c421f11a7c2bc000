"""Substructures and the peaks they explain."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from molvis_core.chemistry.adducts import ion_mz
from molvis_core.chemistry.formula import ELECTRON_MASS, ISOTOPE_MASS, formula_mass, parse_formula
from molvis_core.chemistry.structures import structure
from molvis_core.errors import StructureError
from molvis_core.records import PeakList
from molvis_fragmentation.explanation import explain
from molvis_fragmentation.fragments import ABSOLUTE, ELEMENT_MASSES, Fragments, fragments
from molvis_fragmentation.kernels import has_subformula

HYDROGEN = ISOTOPE_MASS["H"]


def spectrum(mz: list[float], mode: str = "positive", precursor: float = 500.0) -> PeakList:
    return PeakList(np.array(mz), np.ones(len(mz)), precursor, None, None, mode)


def atoms(found: Fragments) -> set[frozenset[int]]:
    return {frozenset(i for i in range(found.size) if (int(a) >> i) & 1) for a in found.atoms}


def test_ethanol_breaks_into_every_connected_part_of_it() -> None:
    assert atoms(fragments("CCO")) == {frozenset(p) for p in ([0, 1, 2], [0], [1, 2], [0, 1], [2], [1])}


def test_a_ring_opens_only_where_two_of_its_bonds_break() -> None:
    found = fragments("C1CCC1")
    sizes = sorted(len(a) for a in atoms(found))
    assert sizes == [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4]
    assert found.cost[found.atoms == 0b1111].tolist() == [0.0]
    assert (found.cost[found.cost > 0] >= 2).all()


def test_bonds_to_other_elements_cost_less_and_double_bonds_more() -> None:
    def cheapest(smiles: str, part: set[int]) -> float:
        found = fragments(smiles)
        return min(
            float(c) for c, a in zip(found.cost, found.atoms, strict=True) if int(a) == sum(1 << i for i in part)
        )

    assert cheapest("CO", {0}) == pytest.approx(0.7)
    assert cheapest("CC", {0}) == pytest.approx(1.0)
    assert cheapest("C=C", {0}) == pytest.approx(2.0)
    assert cheapest("C#N", {0}) == pytest.approx(2.1)
    assert cheapest("Cc1ccccc1", {0}) == pytest.approx(1.2)


def test_the_whole_molecule_weighs_what_its_formula_weighs() -> None:
    for molecule in (structure(s) for s in ("CC(=O)Oc1ccccc1C(=O)O", "Cn1cnc2c1c(=O)n(C)c(=O)n2C", "C1CC1S")):
        assert fragments(molecule.smiles).mass.max() == pytest.approx(molecule.exact_mass, abs=1e-6)


def test_a_molecule_of_more_than_63_atoms_is_not_broken() -> None:
    found = fragments("C" * 64)
    assert len(found.mass) == 1
    assert found.size == 64
    assert explain(spectrum([29.04]), structure("C" * 64)) == []


def test_what_rdkit_refuses_is_an_error() -> None:
    with pytest.raises(StructureError, match="RDKit refuses"):
        fragments("C(")


@pytest.mark.parametrize(("mode", "sign"), [("positive", 1), ("negative", -1)])
def test_a_peak_at_the_mass_of_a_fragment_is_explained_by_it(mode: str, sign: int) -> None:
    # Phenol loses nothing, CO is no fragment of it by bonds broken, but C6H5 is.
    phenyl = formula_mass("C6H5") - sign * ELECTRON_MASS
    found = explain(spectrum([phenyl, 300.0], mode), structure("Oc1ccccc1"))
    assert [(e.peak, e.formula, e.hydrogens) for e in found] == [(0, "C6H5" + ("+" if sign > 0 else "-"), 0)]
    assert abs(found[0].ppm) < 0.1
    assert found[0].smiles == "c1ccccc1"


def test_the_protonated_molecule_explains_itself_at_no_cost() -> None:
    molecule = structure("CC(=O)Nc1ccc(O)cc1")
    found = explain(spectrum([ion_mz(molecule.exact_mass, "[M+H]+")]), molecule)
    assert (found[0].formula, found[0].hydrogens, found[0].cost) == ("C8H10NO2+", 1, 0.0)


def test_subformulas_agree_with_trying_them_all() -> None:
    counts = np.array([3, 1, 1, 0, 0, 0, 1, 0, 0])
    masses = ELEMENT_MASSES
    rng = np.random.default_rng(0)
    every: list[float] = []
    for number in itertools.product(*(range(c + 1) for c in counts)):
        limit = 2 * number[0] + number[1] + number[4] + 4
        every += [float(np.dot(number, masses)) + h * HYDROGEN for h in range(min(9, limit) + 1)]
    mz = np.sort(np.concatenate([rng.choice(every, 60), rng.uniform(10, 110, 60)])) - ELECTRON_MASS
    found = has_subformula(mz, counts, 8, 1, 10.0, ABSOLUTE, masses, HYDROGEN, ELECTRON_MASS)
    tolerance = np.maximum(mz * 1e-5, ABSOLUTE)
    near = (np.abs(mz[:, None] + ELECTRON_MASS - np.array(every)) <= tolerance[:, None]).any(axis=1)
    assert np.array_equal(found, near)
    assert 0 < found.sum() < len(found)


def test_formulas_are_in_hill_order() -> None:
    found = explain(spectrum([formula_mass("CH3O") - ELECTRON_MASS]), structure("CCO"))
    assert found[0].formula == "CH3O+"
    assert parse_formula(found[0].formula.rstrip("+")) == {"C": 1, "H": 3, "O": 1}
