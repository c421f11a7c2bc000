from __future__ import annotations

from dataclasses import replace

import pytest
from rdkit import Chem

from molvis_core import structure
from molvis_core.chemistry.adducts import ion_mz
from molvis_core.chemistry.structures import parse_smiles
from molvis_core.errors import StructureError
from molvis_core.records import Structure
from molvis_core.testing.synthetic import synthetic_structures
from molvis_retrieval.parent_structures import is_betaine, is_plain, parent_of

# What it is, how it is drawn, and its parent; "=" stands for what stays as it is drawn.
CASES = [
    ("drug hydrochloride", "CN(C)CCOC(c1ccccc1)c1ccccc1.Cl", "CN(C)CCOC(c1ccccc1)c1ccccc1"),
    ("ammonium chloride of a drug", "C[NH+](C)CCOC(c1ccccc1)c1ccccc1.[Cl-]", "CN(C)CCOC(c1ccccc1)c1ccccc1"),
    ("hemisulfate", "CNCC(O)c1ccccc1.CNCC(O)c1ccccc1.OS(=O)(=O)O", "CNCC(O)c1ccccc1"),
    ("maleate", "OC(=O)/C=C\\C(=O)O.CN(C)CCC(c1ccccc1)c1ccccn1", "CN(C)CCC(c1ccccc1)c1ccccn1"),
    ("tartrate", "CNC1CCN(C)c2ccccc21.OC(=O)C(O)C(O)C(=O)O", "CNC1CCN(C)c2ccccc21"),
    (
        "citrate",
        "CCCC1=NN(C)c2c1nc([nH]c2=O)-c1cc(ccc1OCC)S(=O)(=O)N1CCN(C)CC1.OC(=O)CC(O)(C(=O)O)CC(=O)O",
        "CCCC1=NN(C)c2c1nc([nH]c2=O)-c1cc(ccc1OCC)S(=O)(=O)N1CCN(C)CC1",
    ),
    ("mesylate", "CC(N)Cc1ccccc1.CS(=O)(=O)O", "CC(N)Cc1ccccc1"),
    ("tosylate anion", "CC([NH3+])Cc1ccccc1.Cc1ccc(cc1)S(=O)(=O)[O-]", "CC(N)Cc1ccccc1"),
    ("sodium carboxylate", "CC(C)Cc1ccc(cc1)C(C)C(=O)[O-].[Na+]", "CC(C)Cc1ccc(cc1)C(C)C(=O)O"),
    ("covalent sodium", "CC(C)Cc1ccc(cc1)C(C)C(=O)O[Na]", "CC(C)Cc1ccc(cc1)C(C)C(=O)O"),
    ("covalent potassium sulfate", "CCOS(=O)(=O)O[K].CCCCCCCCCCO", "CCCCCCCCCCO"),
    ("calcium salt", "CSCCC(O)C(=O)O[Ca]OC(=O)C(O)CCSC", "CSCCC(O)C(=O)O"),
    ("calcium salt as ions", "CSCCC(O)C(=O)[O-].CSCCC(O)C(=O)[O-].[Ca+2]", "CSCCC(O)C(=O)O"),
    ("magnesium salt", "CCCC(CCC)C(=O)[O-].CCCC(CCC)C(=O)[O-].[Mg+2]", "CCCC(CCC)C(=O)O"),
    ("zinc salt", "CCCCCCCC=CCC(=O)[O-].CCCCCCCC=CCC(=O)[O-].[Zn+2]", "CCCCCCCC=CCC(=O)O"),
    (
        "meglumine salt",
        "CNC[C@H](O)[C@@H](O)[C@H](O)[C@H](O)CO.CC(=O)Nc1c(I)cc(I)c(C(=O)O)c1I",
        "CC(=O)Nc1c(I)cc(I)c(C(=O)O)c1I",
    ),
    ("tromethamine salt", "NC(CO)(CO)CO.O=C(c1ccccc1)c1ccc2n1CCC2C(=O)O", "O=C(c1ccccc1)c1ccc2n1CCC2C(=O)O"),
    ("ammonium salt", "OC(=O)CCCCCCCCC=C.N", "OC(=O)CCCCCCCCC=C"),
    ("triethylammonium salt", "CC[NH+](CC)CC.Cc1ccccc1OP(=O)(O)[O-]", "Cc1ccccc1OP(=O)(O)O"),
    ("acid salt of bases in excess", "[Na+].[Na+].OP(=O)([O-])[O-].CN1CCCC1c1cccnc1", "CN1CCCC1c1cccnc1"),
    ("monohydrate", "Cn1cnc2c1c(=O)n(C)c(=O)n2C.O", "Cn1cnc2c1c(=O)n(C)c(=O)n2C"),
    (
        "hydrochloride dihydrate",
        "CN1CCC23c4c5ccc(O)c4OC2C(O)C=CC3C1C5.Cl.O.O",
        "CN1CCC23c4c5ccc(O)c4OC2C(O)C=CC3C1C5",
    ),
    ("ethanol solvate", "CCO.O=C(O)c1ccccc1Nc1cccc(C(F)(F)F)c1", "O=C(O)c1ccccc1Nc1cccc(C(F)(F)F)c1"),
    ("DMSO solvate", "CS(C)=O.c1ccc2c(c1)c1ccccc1[nH]2", "c1ccc2c(c1)c1ccccc1[nH]2"),
    ("salt of two listed parts", "CC(=O)[O-].NCCCC[C@H]([NH3+])C(=O)O", "NCCCC[C@H](N)C(=O)O"),
    ("sodium acetate", "CC(=O)[O-].[Na+]", "CC(=O)O"),
    ("two copies", "c1ccc2ncccc2c1C.c1ccc2ncccc2c1C", "c1ccc2ncccc2c1C"),
    ("glycine", "[NH3+]CC(=O)[O-]", "NCC(=O)O"),
    ("tryptophan", "[NH3+][C@@H](Cc1c[nH]c2ccccc12)C(=O)[O-]", "N[C@@H](Cc1c[nH]c2ccccc12)C(=O)O"),
    ("arginine cation", "NC(=[NH2+])NCCC[C@H]([NH3+])C(=O)[O-]", "N=C(N)NCCC[C@H](N)C(=O)O"),
    ("taurine", "[NH3+]CCS(=O)(=O)[O-]", "NCCS(=O)(=O)O"),
    ("HEPES", "O=S(=O)([O-])CCN1CC[NH+](CCO)CC1", "O=S(=O)(O)CCN1CCN(CCO)CC1"),
    ("phosphoethanolamine", "[NH3+]CCOP(=O)([O-])O", "NCCOP(=O)(O)O"),
    ("protonated amine", "CC[NH+](CC)CC(=O)Nc1c(C)cccc1C", "CCN(CC)CC(=O)Nc1c(C)cccc1C"),
    ("protonated pyridine", "c1cc[nH+]cc1CO", "c1ccncc1CO"),
    ("protonated imidazole", "c1c[nH+]c(C)[nH]1", "c1cnc(C)[nH]1"),
    ("tetramethylguanidinium", "CN(C)C(N)=[N+](C)C", "CN(C)C(=N)N(C)C"),
    ("metformin cation", "C[N+](C)=C(N)N=C(N)N", "CN(C)C(=N)N=C(N)N"),
    ("dianion", "[O-]C(=O)CCC(=O)[O-]", "OC(=O)CCC(=O)O"),
    ("phenolate", "[O-]c1ccc([N+](=O)[O-])cc1", "Oc1ccc([N+](=O)[O-])cc1"),
    ("alkoxide", "CCCCC[O-]", "CCCCCO"),
    ("thiolate", "CCCCC[S-]", "CCCCCS"),
    ("sulfonamide anion", "Nc1ccc(S(=O)(=O)[N-]c2ncccn2)cc1", "Nc1ccc(S(=O)(=O)Nc2ncccn2)cc1"),
    ("tetrazolate", "c1ccc(cc1)-c1nn[n-]n1", "c1ccc(cc1)-c1nn[nH]n1"),
    ("sulfate", "CCCCCCCCCCCCOS(=O)(=O)[O-].[Na+]", "CCCCCCCCCCCCOS(=O)(=O)O"),
    (
        "ATP tetraanion",
        "Nc1ncnc2c1ncn2C1OC(COP(=O)([O-])OP(=O)([O-])OP(=O)([O-])[O-])C(O)C1O",
        "Nc1ncnc2c1ncn2C1OC(COP(=O)(O)OP(=O)(O)OP(=O)(O)O)C(O)C1O",
    ),
    (
        "bile salt",
        "C[C@H](CCC(=O)NCCS(=O)(=O)[O-])C1CCC2C1(C)C(O)CC1C2C(O)CC2CC(O)CCC21C.[Na+]",
        "C[C@H](CCC(=O)NCCS(=O)(=O)O)C1CCC2C1(C)C(O)CC1C2C(O)CC2CC(O)CCC21C",
    ),
    (
        "azo dye",
        "[Na+].[Na+].[O-]S(=O)(=O)c1ccc(cc1)N=Nc1c(O)ccc2cc(ccc12)S(=O)(=O)[O-]",
        "OS(=O)(=O)c1ccc(cc1)N=Nc1c(O)ccc2cc(ccc12)S(=O)(=O)O",
    ),
    ("choline", "C[N+](C)(C)CCO", "="),
    ("choline chloride", "C[N+](C)(C)CCO.[Cl-]", "C[N+](C)(C)CCO"),
    ("acetylcholine bromide", "CC(=O)OCC[N+](C)(C)C.[Br-]", "CC(=O)OCC[N+](C)(C)C"),
    ("betaine", "C[N+](C)(C)CC(=O)[O-]", "="),
    ("betaine hydrochloride", "C[N+](C)(C)CC(=O)O.[Cl-]", "C[N+](C)(C)CC(=O)[O-]"),
    ("carnitine", "C[N+](C)(C)CC(O)CC(=O)[O-]", "="),
    ("acylcarnitine cation", "CC(=O)OC(CC(=O)O)C[N+](C)(C)C", "CC(=O)OC(CC(=O)[O-])C[N+](C)(C)C"),
    ("phosphocholine lipid", "CCCCCC(=O)OCC(O)COP(=O)([O-])OCC[N+](C)(C)C", "="),
    ("phosphocholine cation", "OP(=O)(O)OCC[N+](C)(C)C", "OP(=O)([O-])OCC[N+](C)(C)C"),
    ("thiamine", "Cc1ncc(C[n+]2csc(CCO)c2C)c(N)n1", "="),
    (
        "thiamine hydrochloride",
        "Cc1ncc(C[n+]2csc(CCO)c2C)c([NH3+])n1.[Cl-].[Cl-]",
        "Cc1ncc(C[n+]2csc(CCO)c2C)c(N)n1",
    ),
    ("paraquat", "C[n+]1ccc(cc1)-c1cc[n+](C)cc1.[Cl-].[Cl-]", "C[n+]1ccc(cc1)-c1cc[n+](C)cc1"),
    (
        "berberine chloride",
        "COc1ccc2cc3[n+](cc2c1OC)CCc1cc2c(cc1-3)OCO2.[Cl-]",
        "COc1ccc2cc3[n+](cc2c1OC)CCc1cc2c(cc1-3)OCO2",
    ),
    ("methylene blue", "CN(C)c1ccc2nc3ccc(cc3[s+]c2c1)N(C)C.[Cl-]", "CN(C)c1ccc2nc3ccc(cc3[s+]c2c1)N(C)C"),
    (
        "crystal violet",
        "CN(C)c1ccc(cc1)C(=C1C=CC(=[N+](C)C)C=C1)c1ccc(cc1)N(C)C.[Cl-]",
        "CN(C)c1ccc(cc1)C(=C1C=CC(=[N+](C)C)C=C1)c1ccc(cc1)N(C)C",
    ),
    ("cyanidin", "Oc1cc(O)c2cc(O)c([o+]c2c1)-c1ccc(O)c(O)c1.[Cl-]", "Oc1cc(O)c2cc(O)c([o+]c2c1)-c1ccc(O)c(O)c1"),
    (
        "S-adenosylmethionine",
        "C[S+](CCC([NH3+])C(=O)[O-])CC1OC(C(O)C1O)n1cnc2c(N)ncnc12",
        "C[S+](CCC(N)C(=O)[O-])CC1OC(C(O)C1O)n1cnc2c(N)ncnc12",
    ),
    ("triphenylphosphonium", "C[P+](c1ccccc1)(c1ccccc1)c1ccccc1.[Br-]", "C[P+](c1ccccc1)(c1ccccc1)c1ccccc1"),
    ("NAD+", "NC(=O)c1ccc[n+](c1)C1OC(COP(=O)(O)OP(=O)([O-])OCC2OC(C(O)C2O)n2cnc3c(N)ncnc23)C(O)C1O", "="),
    ("ionic liquid", "CCCCn1cc[n+](C)c1.F[B-](F)(F)F", "CCCCn1cc[n+](C)c1"),
    ("hexafluorophosphate", "CCCCn1cc[n+](C)c1.F[P-](F)(F)(F)(F)F", "CCCCn1cc[n+](C)c1"),
    ("trifluoroborate zwitterion", "[NH3+]CCc1ccc([B-](F)(F)F)cc1", "="),
    ("diazonium", "c1ccccc1[N+]#N.F[B-](F)(F)F", "c1ccccc1[N+]#N"),
    (
        "rhodamine with an acid",
        "CCN(CC)c1ccc2c(c1)OC1=CC(=[N+](CC)CC)C=CC1=C2c1ccccc1C(=O)O",
        "CCN(CC)c1ccc2c(c1)OC1=CC(=[N+](CC)CC)C=CC1=C2c1ccccc1C(=O)[O-]",
    ),
    ("nitro", "O=[N+]([O-])c1ccccc1", "="),
    ("nitro and carboxylate", "O=[N+]([O-])c1ccc(C(=O)[O-])cc1", "O=[N+]([O-])c1ccc(C(=O)O)cc1"),
    ("N-oxide", "C[N+](C)([O-])Cc1ccccc1", "="),
    ("pyridine N-oxide", "[O-][n+]1ccccc1", "="),
    ("azide", "OCC1OC(C(O)C1O)N=[N+]=[N-]", "="),
    ("diazo", "CCOC(=O)C=[N+]=[N-]", "="),
    ("nitrone", "[O-][N+](=Cc1ccccc1)C", "="),
    ("isocyanide", "[C-]#[N+]CC", "="),
    ("sulfoxide drawn with charges", "C[S+]([O-])C", "="),
    ("furoxan", "Cc1no[n+]([O-])c1C", "="),
    ("nitramide anion", "O=c1ccccn1[N-][N+](=O)[O-]", "O=c1ccccn1N[N+](=O)[O-]"),
    ("boronic acid", "OB(O)c1ccccc1", "="),
    ("BODIPY", "F[B-]1(F)n2cccc2C=C2C=CC=[N+]12", "="),
    ("hydroxyboronate", "O[B-](O)(O)c1ccccc1.[Na+]", "O[B-](O)(O)c1ccccc1"),
    (
        "heme",
        "CC1=C(CCC(=O)O)C2=CC3=C(CCC(=O)O)C(C)=C4C=C5C(C)=C(C=C)C6=[N+]5[Fe-2]5(N34)N2C1=CC1=[N+]5C(=C6)C(C=C)=C1C",
        "=",
    ),
    ("iron salt", "CC(=O)[O-].CC(=O)[O-].[Fe+2]", "="),
    ("cisplatin", "N[Pt](N)(Cl)Cl", "="),
    ("gadolinium complex", "[Gd+3].[O-]C(=O)CN(CCN(CC(=O)[O-])CC(=O)[O-])CC(=O)O", "="),
    ("ferrocene", "[Fe+2].c1cc[cH-]c1.c1cc[cH-]c1", "="),
    ("chlorophyll-like magnesium", "C1=CC2=CC3=CC=C4C=C5C=CC6=[N+]5[Mg-2]5(N34)N2C1=CC1=[N+]5C(=C6)C=C1", "="),
    ("deuterated hydrochloride", "[2H]C([2H])([2H])NCCc1ccccc1.Cl", "[2H]C([2H])([2H])NCCc1ccccc1"),
    ("13C acetate", "[13CH3]C(=O)[O-].[Na+]", "[13CH3]C(=O)O"),
    ("deuterated ammonium", "[2H]C([2H])([2H])[NH2+]CCc1ccccc1", "[2H]C([2H])([2H])NCCc1ccccc1"),
    ("nitroxide radical", "CC1(C)CCCC(C)(C)N1[O]", "="),
    ("radical cation", "C[CH+]C", "="),
    ("table salt", "[Na+].[Cl-]", "="),
    ("mixture of two drugs", "CC(=O)Nc1ccc(O)cc1.CN1CCCC1c1cccnc1", "="),
    ("stereo kept", "C[C@@H]([NH3+])[C@@H](O)c1ccccc1.[Cl-]", "C[C@@H](N)[C@@H](O)c1ccccc1"),
]
NAMES = [name for name, _, _ in CASES]


def _parent_smiles(drawn: str, wanted: str) -> str:
    return structure(drawn if wanted == "=" else wanted).smiles


@pytest.mark.parametrize(("name", "drawn", "wanted"), CASES, ids=NAMES)
def test_a_parent_is_the_neutral_compound_with_the_charges_that_cannot_be_lost(
    name: str, drawn: str, wanted: str
) -> None:
    given = structure(drawn, name=name)
    found = parent_of(given).structure
    assert found.smiles == _parent_smiles(drawn, wanted)
    assert found.name == name
    if wanted == "=":
        assert found is given


@pytest.mark.parametrize(("name", "drawn", "wanted"), CASES, ids=NAMES)
def test_key_formula_mass_and_charge_are_those_of_the_parent(name: str, drawn: str, wanted: str) -> None:
    found = parent_of(structure(drawn)).structure
    alone = structure(found.smiles)
    assert (found.inchikey, found.formula, found.charge) == (alone.inchikey, alone.formula, alone.charge)
    assert found.exact_mass == pytest.approx(alone.exact_mass, abs=1e-6)


@pytest.mark.parametrize(("name", "drawn", "wanted"), CASES, ids=NAMES)
def test_a_parent_is_its_own_parent(name: str, drawn: str, wanted: str) -> None:
    once = parent_of(structure(drawn)).structure
    assert parent_of(once).structure.smiles == once.smiles


@pytest.mark.parametrize(("name", "drawn", "wanted"), CASES, ids=NAMES)
def test_the_order_of_the_atoms_and_of_the_parts_does_not_matter(name: str, drawn: str, wanted: str) -> None:
    given = structure(drawn)
    mol = parse_smiles(drawn)
    for seed in range(5):
        other = Chem.MolToRandomSmilesVect(mol, 1, randomSeed=seed + 1)[0]
        shuffled = Structure(other, given.inchikey, given.formula, given.exact_mass, given.charge)
        assert structure(parent_of(shuffled).structure.smiles).inchikey == parent_of(given).structure.inchikey


def test_the_parents_of_made_up_salts_are_what_they_were_made_of() -> None:
    for one in synthetic_structures(12):
        neutral = parent_of(one).structure
        if neutral.exact_mass < 100:
            continue  # the counterion may be the larger compound
        for counterion in ("Cl", "[Na+].[Cl-]", "O", "CS(=O)(=O)O", "CCO.O"):
            salt = parent_of(structure(f"{neutral.smiles}.{counterion}"))
            assert salt.structure.smiles == neutral.smiles
            assert "stripped" in salt.changes


def test_what_was_done_is_stated() -> None:
    salt = parent_of(structure("C[NH+](C)CCOC(c1ccccc1)c1ccccc1.[Cl-].O"))
    assert salt.changes == ("stripped", "neutralised")
    assert set(salt.removed) == {"Cl", "O"}
    assert parent_of(structure("[NH3+]CC(=O)[O-]")).changes == ("neutralised",)
    assert parent_of(structure("CC(=O)Nc1ccc(O)cc1.CN1CCCC1c1cccnc1")).changes == ("mixture",)
    assert parent_of(structure("CCO")).changes == ()


def test_an_ion_of_which_only_the_first_block_of_the_key_is_known_keeps_it() -> None:
    ion = structure("CC(C)Cc1ccc(cc1)C(C)C(=O)[O-]")
    short = Structure(ion.smiles, ion.inchikey14, ion.formula, ion.exact_mass, ion.charge)
    acid = structure("CC(C)Cc1ccc(cc1)C(C)C(=O)O")
    assert parent_of(short).structure.inchikey == acid.inchikey14
    assert parent_of(short).structure.exact_mass == pytest.approx(acid.exact_mass, abs=1e-6)


@pytest.mark.parametrize(
    "smiles", ["CCO", "c1ccc(-c2ccccc2)cc1", "O=[N+]([O-])c1ccccc1", "C[C@@H](N)C(=O)O", "O=C(O)c1ccccc1[N+](=O)[O-]"]
)
def test_most_structures_need_not_be_parsed(smiles: str) -> None:
    assert is_plain(smiles)


@pytest.mark.parametrize("smiles", [drawn for _, drawn, wanted in CASES if wanted != "="])
def test_whatever_has_another_parent_is_not_plain(smiles: str) -> None:
    given = structure(smiles).smiles
    assert not is_plain(given) or parent_of(structure(smiles)).structure.smiles == given


def test_a_structure_that_rdkit_refuses_is_refused() -> None:
    with pytest.raises(StructureError, match="RDKit refuses"):
        parent_of(Structure("C[N+", "AAAAAAAAAAAAAA", "C", 12.0))


def test_betaines_are_neutral_with_a_charge_that_stays() -> None:
    for smiles in ("C[N+](C)(C)CC(O)CC(=O)[O-]", "CCCCCC(=O)OCC(O)COP(=O)([O-])OCC[N+](C)(C)C"):
        assert is_betaine(smiles)
    for smiles in ("CCO", "[NH3+]CC(=O)[O-]", "O=[N+]([O-])c1ccccc1", "C[N+](C)(C)CCO", "C[N+](C)([O-])C"):
        assert not is_betaine(smiles)


def test_the_mass_of_a_permanent_ion_is_that_of_its_atoms_whatever_the_table_states() -> None:
    choline = structure("C[N+](C)(C)CCO")
    assert ion_mz(choline.exact_mass, "[M]+") == pytest.approx(104.1070, abs=5e-5)  # HMDB0000097
    stated = replace(choline, exact_mass=104.10699)
    assert parent_of(stated).structure.exact_mass == pytest.approx(choline.exact_mass, abs=1e-5)
    assert parent_of(choline).structure is choline
    deuterated = structure("[2H]C([2H])([2H])[N+](C)(C)CCO")
    assert parent_of(deuterated).structure is deuterated
