"""`molvis annotate`: a run, its features, their candidates; interrupted and resumed."""

from __future__ import annotations

import base64
import csv
import gzip
import json
import re
from pathlib import Path

import pytest
from lcms_samples import Eluting, made_run, write_run

from molvis_cli.app import main
from molvis_core.chemistry.structures import structure
from molvis_lcms.mztab import problems_of, read_mztab
from molvis_retrieval import annotation

pytestmark = pytest.mark.full

CAFFEINE_PEAKS = ((69.0447, 0.1), (83.0604, 0.1), (110.0713, 0.3), (123.0427, 0.1), (138.0662, 1.0), (163.0614, 0.1))
"""Of these m/z; the intensities are made up."""
CAFFEINE, THEOPHYLLINE, PROLINE = "Cn1c(=O)c2c(ncn2C)n(C)c1=O", "Cn1c(=O)c2[nH]cnc2n(C)c1=O", "OC(=O)C1CCCN1"
OUTPUTS = ("annotations.csv", "annotations.mztab", "report.html", "features.mgf", "features_quant.csv")


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(a) for a in arguments])
    return int(caught.value.code or 0)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("annotate")
    molecules = [
        # Peaks of caffeine are at the m/z of MassBank's; of the others whatever is at hand.
        Eluting(
            structure(CAFFEINE).exact_mass, 60.0, CAFFEINE_PEAKS, {"[M+H]+": 0.5, "[M+Na]+": 1.0},
            selected=("[M+Na]+", "[M+H]+"),
        ),
        Eluting(structure(PROLINE).exact_mass, 30.0, ((70.0651, 1.0),)),
    ]  # fmt: skip
    write_run(folder / "run.mzML", made_run(molecules, length=90.0))
    text = f"name,smiles\ncaffeine,{CAFFEINE}\ntheophylline,{THEOPHYLLINE}\nproline,{PROLINE}\n"
    (folder / "library.csv").write_text(text, encoding="utf-8")
    peaks = "\n".join(f"{mz} {height}" for mz, height in CAFFEINE_PEAKS)
    (folder / "standards.mgf").write_text(
        f"BEGIN IONS\nPEPMASS=195.0877\nADDUCT=[M+H]+\nSMILES={CAFFEINE}\nRTINSECONDS=63\n{peaks}\nEND IONS\n",
        encoding="utf-8",
    )
    files = (folder / "run.mzML", "--library", folder / "library.csv", "--out", folder / "whole")
    assert run("annotate", *files, "--standard-spectra", folder / "standards.mgf", "--quiet") == 0
    return folder


def test_each_feature_has_its_candidates_with_the_adduct_that_the_run_tells(workplace: Path) -> None:
    with (workplace / "whole" / "annotations.csv").open(encoding="utf-8") as file:
        rows = {(r["feature_id"], r["rank"]): r for r in csv.DictReader(file)}
    assert [rows[str(k), "1"]["name"] for k in (1, 2, 3)] == ["proline", "caffeine", "caffeine"]
    assert [rows[str(k), "1"]["adduct"] for k in (1, 2, 3)] == ["[M+H]+", "[M+H]+", "[M+Na]+"]
    assert rows["3", "1"]["adduct_evidence"].startswith("[M+H]+ at 195.08")
    assert rows["2", "1"]["level"] == "1"
    assert rows["2", "1"]["level_evidence"].startswith("your standard: cosine 0.9")
    assert rows["2", "1"]["level_evidence"].endswith("6 peaks, retention time -0.05 min")
    # Two ions of one molecule have one answer, each as its own ion.
    assert [rows[k, "1"]["together"] for k in "123"] == ["", "2; 3", "2; 3"]
    assert [rows[k, "1"]["unknown"] for k in "123"] == ["1", "2", "2"]
    assert rows["3", "1"]["level"] == "1"
    assert rows["3", "1"]["probability_joint"] == rows["2", "1"]["probability_joint"]
    assert rows["2", "1"]["best_formula"] == "C8H10N4O2"
    assert float(rows["2", "1"]["best_formula_probability"]) == float(rows["2", "1"]["formula_probability"]) > 0.9
    assert 0 < float(rows["2", "1"]["q_value"]) == float(rows["3", "1"]["q_value"]) < 1
    assert rows["2", "1"]["sources"] == "library.csv"
    assert rows["2", "1"]["group"] == rows["3", "1"]["group"] == "1"
    told = json.loads((workplace / "whole" / "annotations.json").read_text(encoding="utf-8"))
    assert "ion" in " ".join(told["features"][2]["candidates"][0]["evidence"]) or told["features"][2]["adducts"]
    assert problems_of(read_mztab(workplace / "whole" / "annotations.mztab")) == []
    page = (workplace / "whole" / "report.html").read_text(encoding="utf-8")
    packed = re.findall(r'<script type="text/plain" id="([\w-]+)">([^<]+)</script>', page)
    data = {name: json.loads(gzip.decompress(base64.b64decode(text))) for name, text in packed}
    assert data["rows"]["name"] == ["proline", "caffeine", "caffeine"]
    assert {"C6H8N3O+", "C8H11N4O2+"} <= {e["formula"] for e in data["part-0"][1]["explained"]}
    assert [len(one["trace"]) > 5 for one in data["part-0"]] == [True] * 3
    assert data["part-0"][1]["candidates"][0]["drawing"]["t"]["1"] == "N"


def test_a_run_that_is_interrupted_goes_on_and_gives_the_same(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotation, "CHUNK", 1)
    command = ("annotate", workplace / "run.mzML", "--library", workplace / "library.csv", "--quiet", "--out")
    assert run(*command, workplace / "straight") == 0
    identify, calls = annotation.identify, []

    def stopped(*arguments: object, **options: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return identify(*arguments, **options)

    monkeypatch.setattr(annotation, "identify", stopped)
    assert run(*command, workplace / "resumed") == 130
    assert [p.name for p in (workplace / "resumed" / "parts").iterdir()] == ["00001.json"]
    assert run(*command, workplace / "resumed") == 0
    assert len(calls) == 3  # one unknown before, one stopped, and again
    for name in OUTPUTS:
        straight, resumed = ((workplace / f / name).read_bytes() for f in ("straight", "resumed"))
        assert resumed.replace(b"resumed", b"straight") == straight, name


def test_other_settings_do_not_mix_with_what_is_there(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    standards = ("--standard-spectra", workplace / "standards.mgf")
    command = ("annotate", workplace / "run.mzML", "--library", workplace / "library.csv", "--out", workplace / "whole")
    assert run(*command, *standards, "--ppm", "5") == 1
    assert "other settings (ppm differ)" in capsys.readouterr().err


def test_what_is_above_the_false_discovery_rate_has_no_candidates(workplace: Path) -> None:
    standards = ("--standard-spectra", workplace / "standards.mgf", "--quiet")
    command = ("annotate", workplace / "run.mzML", "--library", workplace / "library.csv", "--out", workplace / "whole")
    assert run(*command, *standards, "--fdr", "0.001") == 0
    with (workplace / "whole" / "annotations.csv").open(encoding="utf-8") as file:
        rows = {r["feature_id"]: r for r in csv.DictReader(file)}
    assert [rows[k]["name"] for k in "123"] == ["", "caffeine", "caffeine"]  # a standard is evidence of its own
    assert "above --fdr 0.001" in rows["1"]["problem"]
    assert run(*command, *standards) == 0
    assert "proline" in (workplace / "whole" / "annotations.csv").read_text(encoding="utf-8")


def test_a_feature_list_of_another_program_keeps_its_ids(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "BEGIN IONS\nFEATURE_ID=F42\nPEPMASS=195.0877\nCHARGE=1+\nRTINSECONDS=60\n138.0662 9\n110.0713 3\nEND IONS\n"
    (workplace / "theirs.mgf").write_text(text, encoding="utf-8")
    (workplace / "areas.csv").write_text("row ID,row m/z,a.mzML Peak area\nF42,195.0877,1234.5\n", encoding="utf-8")
    files = (workplace / "theirs.mgf", workplace / "areas.csv")
    assert run("annotate", *files, "--library", workplace / "library.csv", "--out", workplace / "theirs", "--json") == 0
    assert json.loads(capsys.readouterr().out)["searched"] == 1
    with (workplace / "theirs" / "annotations.csv").open(encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    assert (row["feature_id"], row["areas"], row["name"]) == ("F42", "a.mzML=1234.5", "caffeine")


def test_a_run_and_a_list_together_are_refused(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (workplace / "list.mgf").write_text("BEGIN IONS\nEND IONS\n", encoding="utf-8")
    files = (workplace / "run.mzML", workplace / "list.mgf")
    assert run("annotate", *files, "--library", workplace / "library.csv", "--out", workplace / "both") == 1
    assert "either runs (.mzML), or one feature list" in capsys.readouterr().err
