"""The library that ships can be read, is what its licence file says, and names where each entry comes from."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import molvis_core
from molvis_core.testing import PluginContract

ROOT = Path(__file__).parents[1]
PRESETS = ("amino-acids", "medium", "metabolites", "serum", "urine")


class TestPlugin(PluginContract):
    @pytest.fixture
    def name(self) -> str:
        return "molvis-nmr-library"


def entries(name: str) -> list[dict]:
    return json.loads(Path(molvis_core.load("spin-library", name)).read_text(encoding="utf-8"))["systems"]


@pytest.mark.parametrize("name", PRESETS)
def test_every_entry_has_a_source_a_licence_and_an_inchikey(name: str) -> None:
    found = entries(name)
    for entry in found:
        assert re.fullmatch(r"[A-Z]{14}-[A-Z]{10}-[A-Z]", entry["inchikey"])
        assert entry["licence"] == "CC-BY-SA-4.0"
        assert "GISSMO" in entry["source"]
    names = [entry["name"] for entry in found]
    assert len(set(names)) == len(names)


def test_inchi_and_key_are_those_of_one_molecule() -> None:
    inchi = pytest.importorskip("rdkit.Chem.inchi")
    for entry in entries("metabolites"):
        mol = inchi.MolFromInchi(entry["inchi"])
        assert inchi.MolToInchiKey(mol) == entry["inchikey"], entry["name"]


@pytest.mark.parametrize("name", PRESETS)
def test_the_readme_says_how_many_entries_there_are(name: str) -> None:
    assert f"| `{name}` | {len(entries(name))} |" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_presets_are_parts_of_the_whole() -> None:
    whole = {entry["id"]: entry for entry in entries("metabolites")}
    for name in PRESETS:
        assert all(whole[entry["id"]] == entry for entry in entries(name))


def test_the_licence_of_the_data_names_every_file() -> None:
    words = (ROOT / "LICENSE-DATA.md").read_text(encoding="utf-8")
    for name in PRESETS:
        assert f"molvis_nmr_library/{name}.json" in words
    assert "CC BY-SA 4.0" in words
    assert "10.1021/acs.analchem.7b02884" in words


def test_the_amino_acids_of_proteins_are_there() -> None:
    keys = {entry["inchikey"].split("-")[0] for entry in entries("amino-acids")}
    glycine, alanine, tryptophan, valine = "DHMQDGOQFOQNFH", "QNAYBMKLOCPYGJ", "QIVBCDIJIAJPQS", "KZSNJWFQEVHDMF"
    assert {glycine, alanine, tryptophan, valine} <= keys
    assert len(keys) >= 27


def test_every_entry_is_a_spin_system_that_gives_the_area_of_its_protons() -> None:
    formats = pytest.importorskip("molvis_nmr.formats.spin_systems", reason="molvis-nmr is not installed")
    spins = pytest.importorskip("molvis_nmr.spins.transitions", reason="molvis-nmr is not installed")
    for system in formats.read_systems(molvis_core.load("spin-library", "amino-acids")):
        found = spins.lines(system, 500.0, threshold=1e-7)
        assert found.weight.sum(axis=0) == pytest.approx(system.multiplicity, rel=5e-3)
