"""Tables in the layout of MassSpecGym; the lines here are made up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from molvis_core.chemistry.adducts import ion_mz
from molvis_core.chemistry.structures import structure
from molvis_core.errors import ReadError
from molvis_core.records import Measurement
from molvis_core.registry import for_suffix
from molvis_msms.readers.massspecgym import read_massspecgym

HEADINGS = (
    "identifier", "mzs", "intensities", "smiles", "inchikey", "formula", "precursor_formula", "parent_mass",
    "precursor_mz", "adduct", "instrument_type", "collision_energy", "fold", "simulation_challenge",
)  # fmt: skip
CAFFEINE = structure("Cn1cnc2c1c(=O)n(C)c(=O)n2C")


def row(**changes: str) -> str:
    cells = {
        "identifier": "MADE0000001",
        "mzs": "42.034,69.0447,110.0713,138.0662",
        "intensities": "0.05,0.1,0.31,1.0",
        "smiles": CAFFEINE.smiles,
        "inchikey": CAFFEINE.inchikey14,
        "formula": "C8H10N4O2",
        "precursor_formula": "C8H11N4O2",
        "parent_mass": "194.0804",
        "precursor_mz": "195.0877",
        "adduct": "[M+H]+",
        "instrument_type": "Orbitrap",
        "collision_energy": "30.0",
        "fold": "val",
        "simulation_challenge": "True",
    } | changes
    return "\t".join(cells[name] for name in HEADINGS)


def table(tmp_path: Path, *rows: str, headings: tuple[str, ...] = HEADINGS) -> Path:
    path = tmp_path / "made.tsv"
    path.write_text("\n".join(["\t".join(headings), *rows]) + "\n", encoding="utf-8")
    return path


def test_a_line_is_a_spectrum_with_its_structure_and_fold(tmp_path: Path) -> None:
    path = table(tmp_path, row(), row(identifier="MADE0000002", adduct="[M+Na]+", precursor_mz="217.0696", fold="test"))
    assert for_suffix("reader", path, modality="msms").name == "massspecgym"
    first, second = read_massspecgym(path)
    assert isinstance(first, Measurement)
    assert isinstance(second, Measurement)
    assert first.structure is not None
    assert (first.structure.inchikey14, first.fold, first.record.identifier) == (
        CAFFEINE.inchikey14,
        "val",
        "MADE0000001",
    )
    np.testing.assert_allclose(first.record.mz, [42.034, 69.0447, 110.0713, 138.0662])
    np.testing.assert_allclose(first.record.intensity, [0.05, 0.1, 0.31, 1.0], rtol=1e-6)
    assert first.record.precursor_mz == pytest.approx(ion_mz(CAFFEINE.exact_mass, "[M+H]+"), abs=1e-3)
    assert (first.record.adduct, first.record.collision_energy, first.record.instrument_type) == (
        "[M+H]+",
        30.0,
        "Orbitrap",
    )
    assert (first.record.ionmode, first.record.ms_level) == ("positive", 2)
    assert (second.record.adduct, second.fold) == ("[M+Na]+", "test")


def test_an_energy_or_an_instrument_that_is_not_given_is_not_made_up(tmp_path: Path) -> None:
    (found,) = read_massspecgym(table(tmp_path, row(collision_energy="", instrument_type="")))
    assert isinstance(found, Measurement)
    assert found.record.collision_energy is None
    assert found.record.instrument_type is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"mzs": "42.0,abc", "intensities": "1,1"}, "could not convert string to float: 'abc'"),
        ({"mzs": "42.0", "intensities": "1,1"}, "1 m/z and 2 intensities"),
        ({"mzs": "", "intensities": ""}, "no peaks"),
        ({"smiles": "C1CC"}, "not a SMILES"),
        ({"adduct": "M plus something"}, "adduct"),
    ],
)
def test_a_bad_line_is_named_and_the_rest_is_read(tmp_path: Path, changes: dict[str, str], reason: str) -> None:
    found = list(read_massspecgym(table(tmp_path, row(**changes), row(identifier="good"))))
    assert isinstance(found[0], ReadError)
    assert reason in str(found[0])
    assert ":2" in str(found[0]) or "line 2" in str(found[0])
    assert isinstance(found[1], Measurement)


def test_a_line_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    (found,) = read_massspecgym(table(tmp_path, row()[:60]))
    assert isinstance(found, ReadError)
    assert "not as many cells as the table has headings" in found.reason


def test_a_table_of_another_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no column 'mzs'; found identifier, smiles"):
        list(read_massspecgym(table(tmp_path, headings=("identifier", "smiles"))))
