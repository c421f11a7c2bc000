"""The recipes of docs/recipes.md: small files in the layouts of four libraries, made up here, from file to figures."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem

from molvis_core import output, registry
from molvis_core.chemistry.adducts import ion_mz
from molvis_core.chemistry.structures import structure
from molvis_core.errors import ConfigError
from molvis_core.records import Measurement, Structure
from molvis_retrieval.commands.benchmark import benchmark

ROOT = Path(__file__).resolve().parents[1]
SMILES = (
    "CCO", "CCCO", "CC(C)O", "CCCCO", "CC(C)CO", "CCC(C)O", "c1ccccc1O", "Cc1ccccc1O", "Cc1ccc(O)cc1", "OCc1ccccc1",
    "COc1ccccc1", "CC(=O)O", "CCC(=O)O", "NCCO", "CN(C)CCO", "OCCO", "CC(O)CO", "O=C(O)c1ccccc1", "Nc1ccccc1", "CCN",
)  # fmt: skip


@dataclass(frozen=True)
class Known:
    """What each layout writes of one spectrum."""

    name: str
    compound: Structure
    mz: Sequence[float]
    height: Sequence[float]
    fold: str

    @property
    def precursor(self) -> float:
        return ion_mz(self.compound.exact_mass, "[M+H]+")


def known() -> Iterator[Known]:
    for number, smiles in enumerate(SMILES):
        one = structure(smiles)
        rng = np.random.default_rng(number)
        mz = np.sort(rng.uniform(20, one.exact_mass, 4)).round(4)
        fold = "test" if number % 5 == 3 else "val" if number % 5 == 4 else "train"
        yield Known(f"MADE{number:03d}", one, mz.tolist(), rng.uniform(0.1, 1, 4).round(3).tolist(), fold)


def massspecgym(folder: Path) -> Path:
    """MassSpecGym.tsv, with the fourteen columns of the published table, folds among them."""
    heads = (
        "identifier", "mzs", "intensities", "smiles", "inchikey", "formula", "precursor_formula", "parent_mass",
        "precursor_mz", "adduct", "instrument_type", "collision_energy", "fold", "simulation_challenge",
    )  # fmt: skip
    rows = [
        (
            one.name, ",".join(map(str, one.mz)), ",".join(map(str, one.height)), one.compound.smiles,
            one.compound.inchikey14, one.compound.formula, one.compound.formula, str(one.compound.exact_mass),
            str(one.precursor), "[M+H]+", "Orbitrap", "30.0", one.fold, "True",
        )
        for one in known()
    ]  # fmt: skip
    (folder / "MassSpecGym.tsv").write_text("".join("\t".join(row) + "\n" for row in (heads, *rows)))
    return folder / "MassSpecGym.tsv"


def gnps(folder: Path) -> Path:
    """A cleaned GNPS library as matchms writes it: MGF with lowercase names of fields, in capitals."""
    blocks = [
        f"BEGIN IONS\nSCANS={i}\nCOMPOUND_NAME={one.name}\nSPECTRUM_ID=CCMSLIB{i:011d}\nPEPMASS={one.precursor}\n"
        f"PRECURSOR_MZ={one.precursor}\nCHARGE=1\nIONMODE=positive\nADDUCT=[M+H]+\nCOLLISION_ENERGY=30\n"
        f"INSTRUMENT_TYPE=Orbitrap\nSMILES={one.compound.smiles}\nINCHIKEY={one.compound.inchikey}\nMSLEVEL=2\n"
        + "".join(f"{mz} {height}\n" for mz, height in zip(one.mz, one.height, strict=True))
        + "END IONS\n"
        for i, one in enumerate(known(), start=1)
    ]
    (folder / "cleaned_spectra.mgf").write_text("\n".join(blocks))
    return folder / "cleaned_spectra.mgf"


def mona(folder: Path) -> Path:
    """MoNA's export of LC-MS/MS spectra: MSP whose SMILES stands in the comments."""
    blocks = [
        f"Name: {one.name}\nSynon: $:00in-source\nDB#: MoNA{i:06d}\nInChIKey: {one.compound.inchikey}\n"
        f"Precursor_type: [M+H]+\nSpectrum_type: MS2\nPrecursorMZ: {one.precursor}\nInstrument_type: LC-ESI-QTOF\n"
        f"Ion_mode: P\nCollision_energy: 30 eV\nFormula: {one.compound.formula}\n"
        f'Comments: "SMILES={one.compound.smiles}" "author=N. N." "license=CC BY"\nNum Peaks: {len(one.mz)}\n'
        + "".join(f"{mz} {height}\n" for mz, height in zip(one.mz, one.height, strict=True))
        for i, one in enumerate(known(), start=1)
    ]
    (folder / "MoNA-export-LC-MS-MS_Spectra.msp").write_text("\n".join(blocks))
    return folder / "MoNA-export-LC-MS-MS_Spectra.msp"


def nist(folder: Path) -> Path:
    """What NIST's Lib2NIST exports with structures: SDF whose data items are called like the lines of its MSP."""
    blocks = [
        Chem.MolToMolBlock(Chem.MolFromSmiles(one.compound.smiles))
        + f">  <NAME>\n{one.name}\n\n>  <PRECURSOR TYPE>\n[M+H]+\n\n>  <SPECTRUM TYPE>\nMS2\n\n"
        f">  <PRECURSOR M/Z>\n{one.precursor}\n\n>  <INSTRUMENT TYPE>\nHCD\n\n>  <COLLISION ENERGY>\nNCE=20% 9eV\n\n"
        f">  <ION MODE>\nP\n\n>  <NUM PEAKS>\n{len(one.mz)}\n\n>  <MASS SPECTRAL PEAKS>\n"
        + "".join(f"{mz} {round(999 * height)}\n" for mz, height in zip(one.mz, one.height, strict=True))
        + "\n$$$$\n"
        for one in known()
    ]
    (folder / "hr_msms_nist.SDF").write_text("".join(blocks))
    return folder / "hr_msms_nist.SDF"


LAYOUTS: dict[str, Callable[[Path], Path]] = {
    "massspecgym": massspecgym, "mgf": gnps, "msp": mona, "nist-sdf": nist,
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_is_recognised_and_read_whole(layout: str, tmp_path: Path) -> None:
    path = LAYOUTS[layout](tmp_path)
    chosen = registry.for_suffix("reader", path, modality="msms")
    assert chosen.name == layout
    found = list(registry.load("reader", layout)(path))
    for one, item in zip(known(), found, strict=True):
        assert isinstance(item, Measurement), item
        assert item.structure is not None
        assert item.structure.inchikey14 == one.compound.inchikey14
        record = item.record
        assert record.mz.tolist() == pytest.approx(one.mz)
        assert record.precursor_mz == pytest.approx(one.precursor)
        assert (record.adduct, record.ionmode, record.ms_level) == ("[M+H]+", "positive", 2)
        assert record.collision_energy == (9 if layout == "nist-sdf" else 30)
        assert item.fold == (one.fold if layout == "massspecgym" else None)


def test_structures_alone_are_no_library_of_spectra(tmp_path: Path) -> None:
    (tmp_path / "plain.sdf").write_text(Chem.MolToMolBlock(Chem.MolFromSmiles("CCO")) + "$$$$\n")
    assert registry.for_suffix("reader", tmp_path / "plain.sdf").name == "sdf"


@pytest.fixture
def config(tmp_path: Path) -> str:
    text = (ROOT / "examples" / "quick.toml").read_text()
    (tmp_path / "quick.toml").write_text(text.replace("epochs = 25", "epochs = 1"))
    return str(tmp_path / "quick.toml")


@pytest.mark.full
def test_massspecgym_from_file_to_the_table_of_its_results(tmp_path: Path, config: str) -> None:
    path = massspecgym(tmp_path)
    lists = {one.compound.smiles: [*SMILES[:4], one.compound.smiles, *SMILES[4:9]] for one in known()}
    (tmp_path / "candidates.json").write_text(json.dumps(lists))
    options = {"config": config, "candidate_lists": tmp_path / "candidates.json"}
    benchmark([path], tmp_path / "out", **options)
    figures = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert (figures["spectra"], figures["compounds"], figures["without_truth"]) == (4, 4, 0)
    assert (tmp_path / "out" / "massspecgym.csv").read_text().startswith("Method,Hit rate @ 1,Hit rate @ 1 CI Low")
    # Again: nothing is imported or trained anew, and the figures are the same.
    written = (tmp_path / "out" / "dataset" / "dataset.toml").stat().st_mtime_ns
    benchmark([path], tmp_path / "out", **options)
    assert (tmp_path / "out" / "dataset" / "dataset.toml").stat().st_mtime_ns == written
    assert json.loads((tmp_path / "out" / "figures.json").read_text()) == figures


@pytest.mark.full
@pytest.mark.parametrize("layout", ["mgf", "msp", "nist-sdf"])
def test_a_library_without_folds_is_split_and_searched_among_its_own_structures(
    layout: str, tmp_path: Path, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with output.asked(json=True):
        benchmark([LAYOUTS[layout](tmp_path)], tmp_path / "out", config=config, by="compound")
    (figures,) = json.loads(capsys.readouterr().out)
    assert figures["library"] == len(SMILES)
    assert figures["compounds"] == 3
    assert (tmp_path / "out" / "run" / "bundle" / "bundle.toml").exists()


def test_distances_that_cannot_be_measured_are_refused_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = massspecgym(tmp_path)
    (tmp_path / "candidates.json").write_text("{}")
    with pytest.raises(ConfigError, match="give --candidate-lists"):
        benchmark([path], tmp_path / "out", mces=True)
    monkeypatch.setitem(sys.modules, "myopic_mces.myopic_mces", None)
    with pytest.raises(ConfigError, match=r"molvis-retrieval\[mces\]"):
        benchmark([path], tmp_path / "out", candidate_lists=tmp_path / "candidates.json", mces=True)
    assert not (tmp_path / "out").exists()


def test_two_kinds_of_candidates_are_refused(tmp_path: Path) -> None:
    path = massspecgym(tmp_path)
    with pytest.raises(ConfigError, match="give one of them"):
        benchmark([path], tmp_path / "out", library=path, candidate_lists=path)
