"""The routes of retrieval with a bundle and a library: what they answer is what the commands give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lcms_samples import Eluting, made_run, write_run

from molvis_core.chemistry.structures import structure
from molvis_core.errors import ConfigError, MolvisError, StructureError
from molvis_core.testing import checks
from molvis_files.routes import Request, Setup, checked_options
from molvis_retrieval.routes.annotation import ROUTE as ANNOTATE
from molvis_retrieval.routes.comparison import COMPARE, SKETCH
from molvis_retrieval.routes.engine import Engine, open_engine
from molvis_retrieval.routes.identification import ROUTE as IDENTIFY
from molvis_retrieval.routes.prediction import ROUTE as PREDICT

CAFFEINE, THEOPHYLLINE, PROLINE = "Cn1c(=O)c2c(ncn2C)n(C)c1=O", "Cn1c(=O)c2[nH]cnc2n(C)c1=O", "OC(=O)C1CCCN1"
PEAKS = ((69.0447, 0.1), (83.0604, 0.1), (110.0713, 0.3), (123.0427, 0.1), (138.0662, 1.0), (163.0614, 0.1))


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    library = tmp_path_factory.mktemp("library") / "library.csv"
    library.write_text(f"name,smiles\ncaffeine,{CAFFEINE}\ntheophylline,{THEOPHYLLINE}\nproline,{PROLINE}\n", "utf-8")
    return open_engine(Setup("massbank", (str(library),)))


def ask(route: Any, given: dict[str, Any], engine: Any = None, folder: Path = Path(), **files: list[Path]) -> Any:
    request = Request(checked_options(route, given), files, folder, engine)
    checks.route_is_described(route)
    return request


@pytest.mark.full
def test_peaks_are_identified(engine: Engine) -> None:
    assert engine.describe()["libraries"] == [{"name": "library.csv", "structures": 3}]
    given = {"peaks": [list(peak) for peak in PEAKS], "precursor_mz": 195.0877, "adduct": "[M+H]+", "top": 2}
    asked = ask(IDENTIFY, given, engine)
    (one,) = IDENTIFY.run(asked, lambda *_: None)["unknowns"]
    assert one["candidates"][0]["name"] == "caffeine"
    assert one["records"][0]["peaks"][0] == [69.0447, 0.1]
    checks.route_answers(IDENTIFY, asked)
    with pytest.raises(ConfigError, match="send peaks"):
        IDENTIFY.run(ask(IDENTIFY, {}, engine), lambda *_: None)
    with pytest.raises(ConfigError, match="precursor_mz"):
        IDENTIFY.run(ask(IDENTIFY, {"peaks": [[100, 1]]}, engine), lambda *_: None)


@pytest.mark.full
def test_cross_sections_are_corrected_by_what_the_own_laboratory_measured(engine: Engine, tmp_path: Path) -> None:
    table = tmp_path / "known.csv"
    given = {"ccs": ["[M+H]+=138.2"], "formula": "C8H10N4O2"}
    table.write_text(f"smiles,adduct,TWCCSN2\n{CAFFEINE},[M+H]+,145.0\n{PROLINE},[M+H]+,131.0\n", "utf-8")
    plain = IDENTIFY.run(ask(IDENTIFY, given, engine), lambda *_: None)
    told = IDENTIFY.run(ask(IDENTIFY, given, engine, calibrants=[table]), lambda *_: None)
    assert "calibrants" not in plain
    assert told["calibrants"].startswith("ccs: TW +")
    (before,), (after,) = plain["unknowns"], told["unknowns"]
    assert before["candidates"][0]["evidence"] != after["candidates"][0]["evidence"]
    table.write_text(f"smiles,adduct,TWCCSN2\n{CAFFEINE},[M+Li]+,145.0\n", "utf-8")
    with pytest.raises(MolvisError, match="known.csv: no cross section in N2"):
        IDENTIFY.run(ask(IDENTIFY, given, engine, calibrants=[table]), lambda *_: None)


@pytest.mark.full
def test_one_of_several_libraries_is_searched(tmp_path: Path) -> None:
    paths = []
    for folder, name, smiles in (("a", "theophylline", THEOPHYLLINE), ("b", "caffeine", CAFFEINE)):
        (tmp_path / folder).mkdir()
        paths.append(str(tmp_path / folder / "library.csv"))
        Path(paths[-1]).write_text(f"name,smiles\n{name},{smiles}\nproline,{PROLINE}\n", "utf-8")
    engine = open_engine(Setup("massbank", tuple(paths)))
    # Both files are called the same.
    assert [one["name"] for one in engine.describe()["libraries"]] == paths
    given = {"peaks": [list(peak) for peak in PEAKS], "precursor_mz": 195.0877, "adduct": "[M+H]+"}

    def found(**more: str) -> list[str]:
        (one,) = IDENTIFY.run(ask(IDENTIFY, given | more, engine), lambda *_: None)["unknowns"]
        return [c["name"] for c in one["candidates"]]

    assert found() == found(library=paths[1]) == ["caffeine"]
    assert found(library=paths[0]) == []
    assert engine.chosen(paths[0])[1] != engine.chosen(None)[1], "what a run goes on from is told apart"
    with pytest.raises(ConfigError, match=r"no library 'c'.*There are"):
        found(library="c")
    with pytest.raises(ConfigError, match="twice"):
        open_engine(Setup("massbank", (paths[0], paths[0])))


@pytest.mark.full
def test_a_run_is_annotated_with_the_files_of_the_command(engine: Engine, tmp_path: Path) -> None:
    run, work = tmp_path / "run.mzML", tmp_path / "work"
    write_run(run, made_run([Eluting(structure(CAFFEINE).exact_mass, 60.0, PEAKS)], length=90.0))
    asked = ask(ANNOTATE, {}, engine, work, runs=[run])
    told: list[str] = []
    answer = ANNOTATE.run(asked, lambda done, total, what="": told.append(what))
    assert (answer["features"], answer["searched"]) == (1, 1)
    assert {"annotating", "explaining"} <= set(told)
    assert {"annotations.csv", "annotations.mztab", "report.html"} <= {p.name for p in work.iterdir()}
    # What is fetched names files, and not the server's folders.
    assert [p.name for p in work.iterdir() if p.is_file() and str(tmp_path).encode() in p.read_bytes()] == []
    # The same again goes on in the folder, and ends the same.
    assert ANNOTATE.run(asked, lambda *_: None) == answer


@pytest.mark.full
def test_spectra_are_predicted_for_structures_and_for_no_files(tmp_path: Path) -> None:
    asked = ask(PREDICT, {"structures": [CAFFEINE], "energy": "20"})
    (record,) = PREDICT.run(asked, lambda *_: None)["records"]
    assert max(record["peaks"], key=lambda peak: peak[1])[0] == pytest.approx(195.0877, abs=1e-3)
    secret = tmp_path / "secret.smi"
    secret.write_text("CCO\n", encoding="utf-8")
    with pytest.raises(StructureError):
        PREDICT.run(ask(PREDICT, {"structures": [str(secret)]}), lambda *_: None)
    with pytest.raises(MolvisError, match="no argument"):
        PREDICT.run(ask(PREDICT, {"structures": ["CCO"], "predictor": "ei-spectrum", "energy": "20"}), lambda *_: None)
    json.dumps(record)


@pytest.mark.full
def test_a_structure_is_held_against_a_spectrum(engine: Engine) -> None:
    given = {"smiles": CAFFEINE, "peaks": [list(peak) for peak in PEAKS], "precursor_mz": 195.0877, "adduct": "[M+H]+"}
    asked = ask(COMPARE, given | {"energy": 30}, engine)
    answer = COMPARE.run(asked, lambda *_: None)
    explained = {peak["n"]: peak for peak in answer["peaks"]}
    assert explained[4]["formula"] == "C6H8N3O+"
    atoms = len(answer["sketch"]["x"])
    assert all(0 < int(peak["atoms"], 16) < 1 << atoms for peak in explained.values())
    assert "of this structure" in answer["below"]["label"]
    assert answer["isotopes"][0] == [0.0, 1.0]
    checks.route_answers(COMPARE, asked)
    with pytest.raises(ConfigError, match="send the peaks"):
        COMPARE.run(ask(COMPARE, {"smiles": CAFFEINE}, engine), lambda *_: None)


def test_structures_are_sketched_and_what_is_none_is_not() -> None:
    asked = ask(SKETCH, {"structures": [CAFFEINE, "no structure"]})
    answer = SKETCH.run(asked, lambda *_: None)["sketches"]
    assert len(answer[CAFFEINE]["x"]) == 14
    assert answer["no structure"] is None
    checks.route_answers(SKETCH, asked)
