"""Candidate libraries as databases give them out: columns are recognised, names and numbers are kept.

The files are of a few rows, in the layout of each database's download.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rdkit import Chem

from molvis_core.errors import ReadError
from molvis_core.records import Measurement
from molvis_structure.readers.sdf import read_sdf
from molvis_structure.readers.smiles import read_smiles
from molvis_structure.readers.tables import read_table

KEY, MASS = "RYYVLZVUVIJVGH-UHFFFAOYSA-N", "194.080376"
SMILES, INCHI = "CN1C=NC2=C1C(=O)N(C)C(=O)N2C", "InChI=1S/C8H10N4O2/c1-10-4-9-6-5(10)7(13)12(3)8(14)11(6)2/h4H,1-3H3"

LAYOUTS = {
    "PubChemLite": (
        (
            "Identifier,CompoundName,MolecularFormula,SMILES,InChI,InChIKey,FirstBlock,MonoisotopicMass,XLogP,PubMed_Count,"
            "Patent_Count,Synonym"
        ),
        f'2519,Caffeine,C8H10N4O2,{SMILES},"{INCHI}",{KEY},{KEY[:14]},{MASS},-0.1,30000,90000,caffeine|Guaranine',
        "Caffeine",
        ("pubchem.compound:2519",),
    ),
    "COCONUT": (
        (
            "identifier,canonical_smiles,standard_inchi,standard_inchi_key,name,iupac_name,molecular_formula,"
            "molecular_weight,exact_molecular_weight,cas"
        ),
        f'CNP0228556.0,{SMILES},"{INCHI}",{KEY},caffeine,"1,3,7-trimethylpurine-2,6-dione",C8H10N4O2,194.19,{MASS},58-08-2',
        "caffeine",
        ("coconut:CNP0228556", "cas:58-08-2"),
    ),
    "LOTUS": (
        (
            "structure_wikidata,structure_inchikey,structure_inchi,structure_smiles,structure_molecular_formula,"
            "structure_exact_mass,structure_smiles_2D,structure_cid,structure_nameIupac,structure_nameTraditional,"
            "organism_name"
        ),
        (
            f'http://www.wikidata.org/entity/Q60235,{KEY},"{INCHI}",{SMILES},C8H10N4O2,{MASS},{SMILES},2519.0,'
            '"1,3,7-trimethylpurine-2,6-dione",caffeine,Coffea arabica'
        ),
        "caffeine",
        ("wikidata:Q60235", "pubchem.compound:2519"),
    ),
    "NORMAN SusDat": (
        (
            "Norman_SusDat_ID,Name,CAS_RN,SMILES,StdInChI,StdInChIKey,MS_Ready_SMILES,Molecular_Formula,Monoiso_Mass,"
            "PubChem_CID,DTXSID"
        ),
        f'NS00000212,Caffeine,CAS_RN: 58-08-2,{SMILES},"{INCHI}",{KEY},{SMILES},C8H10N4O2,{MASS},2519,DTXSID0020232',
        "Caffeine",
        ("comptox:DTXSID0020232", "cas:58-08-2", "pubchem.compound:2519"),
    ),
    "a list of one's own": ("compound;SMILES;CAS", f"my suspect;{SMILES};58-08-2", "my suspect", ("cas:58-08-2",)),
}


def _only(items: list[Measurement | ReadError]) -> Measurement:
    assert len(items) == 1
    assert isinstance(items[0], Measurement), items[0]
    return items[0]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_download_is_read_as_it_is(layout: str, tmp_path: Path) -> None:
    heading, row, name, identifiers = LAYOUTS[layout]
    file = tmp_path / "download.csv"
    file.write_text(f"{heading}\n{row}\n", encoding="utf-8")
    found = _only(list(read_table(file))).structure
    assert found is not None
    assert (found.inchikey, found.formula, found.name, found.identifiers) == (KEY, "C8H10N4O2", name, identifiers)
    assert found.exact_mass == pytest.approx(194.080376, abs=1e-6)


def test_hmdb_molecules_are_called_by_their_names(tmp_path: Path) -> None:
    block = Chem.MolToMolBlock(Chem.MolFromSmiles(SMILES)).split("\n", 1)[1]
    items = "> <DATABASE_ID>\nHMDB0001847\n\n> <DATABASE_NAME>\nhmdb\n\n> <GENERIC_NAME>\nCaffeine\n\n$$$$\n"
    file = tmp_path / "structures.sdf"
    file.write_text(f"HMDB0001847\n{block}{items}", encoding="utf-8")
    found = _only(list(read_sdf(file))).structure
    assert found is not None
    assert (found.name, found.identifiers) == ("Caffeine", ("hmdb:HMDB0001847",))


def test_a_molecule_without_another_name_keeps_its_number(tmp_path: Path) -> None:
    block = Chem.MolToMolBlock(Chem.MolFromSmiles(SMILES)).split("\n", 1)[1]
    file = tmp_path / "structures.sdf"
    file.write_text(f"HMDB0001847\n{block}$$$$\n", encoding="utf-8")
    assert _only(list(read_sdf(file))).name == "HMDB0001847"


def test_the_number_behind_a_smiles_is_an_identifier(tmp_path: Path) -> None:
    file = tmp_path / "coconut.smi"
    file.write_text(f"{SMILES} CNP0228556\n", encoding="utf-8")
    found = _only(list(read_smiles(file))).structure
    assert found is not None
    assert found.identifiers == ("coconut:CNP0228556",)


def test_columns_of_numbers_are_read_from_parquet(tmp_path: Path) -> None:
    file = tmp_path / "some.parquet"
    pq.write_table(pa.table({"smiles": [SMILES], "pubchem_cid": [2519], "weight": [1.0]}), file)
    found = _only(list(read_table(file))).structure
    assert found is not None
    assert found.identifiers == ("pubchem.compound:2519",)


def test_the_mass_of_an_ion_is_worked_out_where_no_column_states_its_charge(tmp_path: Path) -> None:
    file = tmp_path / "ions.csv"
    # Choline as databases state it: without the electron that it lacks.
    file.write_text(
        "smiles,inchikey,formula,exact_mass\nC[N+](C)(C)CCO,OEYIOHPDSNJKLS-UHFFFAOYSA-N,C5H14NO,104.10699\n"
    )
    found = _only(list(read_table(file))).structure
    assert found is not None
    assert found.charge == 1
    assert found.exact_mass == pytest.approx(104.107539, abs=1e-6)
