from __future__ import annotations

import pytest
from rdkit import Chem

from molvis_core import structure
from molvis_core.chemistry.formula import formula_mass
from molvis_core.chemistry.structures import _count_smiles, parse_mol, parse_molfile, parse_smiles, structure_of
from molvis_core.errors import MolvisError, StructureError
from molvis_core.testing.synthetic import synthetic_structures

# Names, SMILES, InChIKeys, formulas and monoisotopic masses as PubChem gives them (CID 702, 2244, 2519, 5793).
KNOWN = [
    ("ethanol", "CCO", "LFQSCWFLJHTTHZ-UHFFFAOYSA-N", "C2H6O", 46.041864811),
    ("aspirin", "CC(=O)OC1=CC=CC=C1C(=O)O", "BSYNRYMUTXBXSQ-UHFFFAOYSA-N", "C9H8O4", 180.04225873),
    ("caffeine", "CN1C=NC2=C1C(=O)N(C(=O)N2C)C", "RYYVLZVUVIJVGH-UHFFFAOYSA-N", "C8H10N4O2", 194.08037557),
    ("glucose", "C([C@@H]1[C@H]([C@@H]([C@H](C(O1)O)O)O)O)O", "WQZGKKKJIJFFOK-GASJEMHNSA-N", "C6H12O6", 180.06338810),
]


@pytest.mark.parametrize(("name", "smiles", "inchikey", "formula", "mass"), KNOWN)
def test_well_known_compounds_are_who_they_are(
    name: str, smiles: str, inchikey: str, formula: str, mass: float
) -> None:
    found = structure(smiles, name=name)
    assert (found.inchikey, found.formula, found.charge, found.name) == (inchikey, formula, 0, name)
    assert found.exact_mass == pytest.approx(mass, abs=1e-5)
    assert found.inchikey14 == inchikey[:14]


@pytest.mark.parametrize(
    "text", ["CCO", "OCC", "C(O)C", "[CH3][CH2][OH]", " CCO\n", "InChI=1S/C2H6O/c1-2-3/h3H,2H2,1H3"]
)
def test_one_compound_has_one_smiles_however_it_is_written(text: str) -> None:
    assert structure(text) == structure("CCO")
    assert structure(text).smiles == "CCO"


@pytest.mark.parametrize("version", [False, True], ids=["V2000", "V3000"])
def test_a_molfile_is_its_molecule(version: bool) -> None:
    block = Chem.MolToMolBlock(Chem.MolFromSmiles("CC(=O)Oc1ccccc1C(=O)O"), forceV3000=version)
    assert structure(block).inchikey == "BSYNRYMUTXBXSQ-UHFFFAOYSA-N"


def test_canonical_smiles_stay_as_they_are() -> None:
    for one in synthetic_structures(12):
        assert structure(one.smiles, name=one.name) == one


def test_stereoisomers_share_the_first_block_only() -> None:
    left, right = structure("C[C@@H](N)C(=O)O"), structure("C[C@H](N)C(=O)O")
    assert left.inchikey != right.inchikey
    assert left.inchikey14 == right.inchikey14
    assert left.smiles != right.smiles


def test_stereo_can_be_left_out_of_the_smiles() -> None:
    assert structure("C[C@@H](N)C(=O)O", stereo=False).smiles == "CC(N)C(=O)O"
    assert structure("F/C=C/F", stereo=False).smiles == "FC=CF"


def test_tautomers_that_inchi_joins_are_one_compound() -> None:
    # InChI moves hydrogens among nitrogen and oxygen; the SMILES stay different.
    one, other = structure("Oc1ccccn1"), structure("O=c1cccc[nH]1")
    assert one.inchikey == other.inchikey
    assert one.smiles != other.smiles


def test_the_charge_is_a_field_and_not_in_the_formula() -> None:
    choline, acetate = structure("C[N+](C)(C)CCO"), structure("CC(=O)[O-]")
    assert (choline.formula, choline.charge) == ("C5H14NO", 1)
    assert (acetate.formula, acetate.charge) == ("C2H3O2", -1)
    assert structure("[Ca+2]").charge == 2
    assert structure("[Ca+2]").formula == "Ca"


def test_the_mass_is_that_of_the_formula() -> None:
    for one in (*synthetic_structures(12), structure("C[N+](C)(C)CCO"), structure("CC(=O)[O-]"), structure("[Ca+2]")):
        assert one.exact_mass == pytest.approx(formula_mass(one.formula), abs=1e-5)


def test_a_heavy_isotope_counts_in_the_mass() -> None:
    # Deuterium is 1.0062767 Da heavier than hydrogen; the mass evaluation of 2012.
    assert structure("[2H]C").exact_mass - structure("C").exact_mass == pytest.approx(1.0062767, abs=1e-5)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        ("C1CC", "not a SMILES"),
        ("hello", "not a SMILES"),
        ("InChI=1S/nonsense", "InChI=1S/nonsense"),
        ("FC(F)(F)(F)F", "valence"),
        ("c1cccc1", "kekulize"),
        ("\n  bad\n\n  0  0  0  0  0  0  0  0  0  0999 V2000\nM  END\n", "refuses"),
    ],
)
def test_a_refused_structure_says_why(text: str, reason: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StructureError, match=f"(?i){reason}") as caught:
        structure(text)
    assert isinstance(caught.value, (MolvisError, ValueError))
    assert capfd.readouterr() == ("", "")  # RDKit is told to keep its own complaint to itself


def test_a_long_refused_structure_is_quoted_in_part() -> None:
    with pytest.raises(StructureError) as caught:
        structure("C" * 900 + "(")
    assert len(str(caught.value)) < 250
    assert "(901 characters)" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("C" * 1001, "about 1,001 heavy atoms, at most 1,000"),
        ("C" * 50_001, "too long"),
        ("[U]" + "([2H])" * 4000, "about 4,001 atoms"),
        ("InChI=1S/2C600H1202/c1-2/h1H", "about 1,200 heavy atoms"),
        ("InChI=1S/CH4/c1-99999999/h1H4", "about 99,999,999 atoms"),
    ],
)
def test_a_structure_beyond_the_sizes_is_refused_before_rdkit_sees_it(
    text: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("RDKit saw it")

    monkeypatch.setattr(Chem, "MolFromSmiles", never)
    monkeypatch.setattr(Chem, "MolFromInchi", never)
    with pytest.raises(StructureError, match=reason):
        structure(text)


def test_the_largest_structures_are_read() -> None:
    assert structure("C" * 1000).formula == "C1000H2002"
    peptide = structure("N[C@@H](C)C(=O)" * 199 + "O")
    assert peptide.formula == "C597H997N199O200"
    assert structure(f"[H]{'C([H])([H])' * 900}[H]").formula == "C900H1802"


def test_the_count_of_a_smiles_is_never_below_that_of_its_molecule() -> None:
    odd = ["[13CH3]Br", "Cl[Fe@TH](Br)(I)F", "c1cc[nH]c1", "[H][H]", "[2H]O[2H]", "C%10CC%10", "C%(123)CC%(123)", "*C",
           "[se]1cccc1", "[Na+].[Cl-]", "OB(O)O", "CC(C)(C)[Si](C)(C)C"]  # fmt: skip
    for smiles in [*odd, *(s.smiles for s in synthetic_structures(12))]:
        mol = Chem.MolFromSmiles(smiles)
        heavy, atoms, rings = _count_smiles(smiles)
        assert heavy == sum(a.GetAtomicNum() != 1 for a in mol.GetAtoms()), smiles
        assert atoms >= mol.GetNumAtoms(), smiles
        assert rings == mol.GetRingInfo().NumRings(), smiles


BENZENE = """benzene


  0  0  0  0  0  0  0  0  0  0999 V3000
M  V30 BEGIN CTAB
M  V30 COUNTS 6 6 0 0 0
M  V30 BEGIN ATOM
M  V30 1 C 1 0 0 0
M  V30 2 C 2 0 0 0
M  V30 3 C 3 0 0 0
M  V30 4 C 4 0 0 0
M  V30 5 C 5 0 0 0
M  V30 6 C 6 0 0 0
M  V30 END ATOM
M  V30 BEGIN BOND
M  V30 1 2 1 2
M  V30 2 1 2 3
M  V30 3 2 3 4
M  V30 4 1 4 5
M  V30 5 2 5 6
M  V30 6 1 6 1
M  V30 END BOND
M  V30 END CTAB
M  END
"""


def test_an_empty_list_of_elements_is_refused_and_does_not_end_the_process() -> None:
    assert structure_of(parse_molfile(BENZENE)).formula == "C6H6"
    with pytest.raises(StructureError):
        structure_of(parse_molfile(BENZENE.replace("M  V30 6 C 6", "M  V30 6 [] 6")))


def test_numbers_of_a_molfile_that_moved_are_refused() -> None:
    block = Chem.MolToMolBlock(Chem.MolFromSmiles("CCO"))
    with pytest.raises(StructureError):
        parse_molfile(block.replace("  3  2  0  0", "1 3  2  0  0"))


def test_a_ring_that_is_aromatic_and_has_no_kekule_structure_is_refused() -> None:
    odd = Chem.MolFromSmiles("CC(=O)Nc1ccc(O)cc1")
    odd.GetBondBetweenAtoms(7, 8).SetBondType(Chem.BondType.UNSPECIFIED)  # as RDKit reads a bond of type 65535
    with pytest.raises(StructureError, match="InChI has no key"):
        structure_of(odd)


def test_a_molecule_without_an_inchikey_is_refused() -> None:
    with pytest.raises(StructureError, match="no key"):
        structure_of(parse_mol("*CC"))


def test_a_molecule_is_the_callers_own_though_it_was_parsed_before() -> None:
    first = parse_smiles("CCO")
    first.GetAtomWithIdx(0).SetAtomicNum(7)
    first.SetProp("_Name", "changed")
    second = parse_smiles("CCO")
    assert Chem.MolToSmiles(second) == "CCO"
    assert not second.HasProp("_Name")


def test_a_refused_structure_is_refused_again() -> None:
    for _ in range(2):
        with pytest.raises(StructureError, match="RDKit refuses"):
            parse_smiles("C1CC")
