"""SDF libraries of spectra."""

from __future__ import annotations

from pathlib import Path

from molvis_core.chemistry.structures import parse_smiles
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
