"""SDF libraries of spectra."""

from __future__ import annotations

from pathlib import Path

from molvis_core.chemistry.structures import parse_smiles
from molvis_core.errors import ReadError
from molvis_core.records import Measurement
from molvis_msms.readers.sdf import read_nist_sdf


def test_a_name_without_a_line_is_the_molecule_s_own(tmp_path: Path) -> None:
    from rdkit.Chem import MolToMolBlock

    molfile = "ethanol" + MolToMolBlock(parse_smiles("CCO"))
    items = "> <NAME>\n\n> <PRECURSOR M/Z>\n47.0491\n\n> <MASS SPECTRAL PEAKS>\n29.0386 10\n47.0491 100\n\n$$$$\n"
    path = tmp_path / "one.sdf"
    path.write_text(molfile + items, encoding="utf-8")
    (found,) = read_nist_sdf(path)
    assert isinstance(found, Measurement)
    assert len(found.record) == 2
    assert found.structure is not None
    assert found.structure.formula == "C2H6O"


def test_an_atom_that_rdkit_cannot_count_is_an_error_of_its_record(tmp_path: Path) -> None:
    from rdkit.Chem import MolToMolBlock

    rows = MolToMolBlock(parse_smiles("CCO")).split("\n")
    rows[5] = rows[5][:34] + "9" * 21
    path = tmp_path / "one.sdf"
    path.write_text("\n".join(rows) + "$$$$\n", encoding="utf-8")
    (found,) = read_nist_sdf(path)
    assert isinstance(found, ReadError)
    assert "RDKit refuses the molecule" in str(found)
