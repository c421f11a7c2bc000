"""Classes of structures."""

from __future__ import annotations

import numpy as np
import pytest

from molvis_core.chemistry.structures import structure
from molvis_core.errors import ConfigError, StructureError
from molvis_core.records import Structure
from molvis_core.testing import ClassifierContract
from molvis_structure.chemistry.classes import StructuralClass, StructuralClasses, table

ALL = StructuralClasses()


def classes_of(smiles: str) -> set[str]:
    return {name for name, inside in zip(ALL.names, ALL([structure(smiles)])[0], strict=True) if inside}


@pytest.mark.parametrize("one", table(), ids=lambda one: one.name)
def test_each_class_holds_its_examples_and_not_the_others(one: StructuralClass) -> None:
    assert one.examples
    assert one.others
    assert all(one.name in classes_of(smiles) for smiles in one.examples)
    assert not [smiles for smiles in one.others if one.name in classes_of(smiles)]


def test_names_are_unique_and_classes_are_made_of_earlier_ones() -> None:
    names = [one.name for one in table()]
    assert len(set(names)) == len(names) >= 150
    for place, one in enumerate(table()):
        assert set(one.any + one.all) <= set(names[:place])
        assert bool(one.smarts) != bool(one.any or one.all)


@pytest.mark.parametrize(
    ("smiles", "some"),
    [
        ("CC(=O)Oc1ccccc1C(=O)O", {"ester", "carboxylic acid", "benzene ring"}),  # aspirin
        ("Cn1cnc2c1c(=O)n(C)c(=O)n2C", {"xanthine", "purine"}),  # caffeine
        ("CN1C2CCC1C(C(=O)OC)C(OC(=O)c1ccccc1)C2", {"tropane", "ester", "tertiary amine"}),  # cocaine
        ("CN1CCC23c4c5ccc(O)c4OC2C(O)C=CC3C1C5", {"phenol", "alcohol", "tertiary amine"}),  # morphine
        (
            "O=c1c(OC2OC(CO)C(O)C(O)C2O)c(-c2ccc(O)c(O)c2)oc2cc(O)cc(O)c12",
            {"flavonol", "flavonoid", "flavonoid glycoside", "catechol", "hexopyranose"},
        ),  # isoquercitrin
        ("CC(C)CCCC(C)C1CCC2C3CC=C4CC(O)CCC4(C)C3CCC12C", {"steroid", "alcohol", "alkene"}),  # cholesterol
        ("CCNc1nc(Cl)nc(NC(C)C)n1", {"triazine herbicide", "organochlorine", "secondary amine"}),  # atrazine
    ],
)
def test_known_compounds_are_in_their_classes(smiles: str, some: set[str]) -> None:
    assert some <= classes_of(smiles)


def test_a_structure_may_be_in_no_class() -> None:
    assert classes_of("CCC") == set()


def test_groups_choose_classes() -> None:
    rings = StructuralClasses(["ring"])
    assert set(rings.groups) == {"ring"}
    assert rings([structure("c1ccncc1")])[0, rings.names.index("pyridine")]
    assert np.array_equal(rings([]), np.empty((0, len(rings.names)), dtype=bool))
    with pytest.raises(ConfigError, match="no group 'rings'"):
        StructuralClasses(["rings"])


def test_a_structure_that_cannot_be_is_refused() -> None:
    with pytest.raises(StructureError):
        ALL([Structure("C1CC", "", "", "", 0.0)])


class TestStructuralClasses(ClassifierContract):
    @pytest.fixture
    def classifier(self) -> StructuralClasses:
        return ALL


def test_a_class_is_located_at_its_atoms() -> None:
    found = StructuralClasses().locate(structure("COc1ccc(CC(=O)O)cc1"))
    places = {(one.name, one.atoms) for one in found}
    assert ("methoxyarene", (0, 1, 2)) in places
    assert next(one.group for one in found if one.name == "carboxylic acid") == "functional group"
    glycoside = structure("OCC1OC(Oc2cc(O)c3c(c2)OC(c2ccc(O)cc2)CC3=O)C(O)C(O)C1O")
    named = {one.name: one.atoms for one in StructuralClasses().locate(glycoside)}
    assert set(named["flavonoid"]) | set(named["glycoside"]) <= set(named["flavonoid glycoside"])
    assert {one.name for one in StructuralClasses(groups=["ring"]).locate(glycoside)} <= set(
        StructuralClasses(groups=["ring"]).names
    )


def test_every_class_that_a_structure_is_in_has_a_place() -> None:
    for one in table():
        if not one.examples:
            continue
        example = structure(one.examples[0])
        assert one.name in {found.name for found in StructuralClasses().locate(example)}, one.name
