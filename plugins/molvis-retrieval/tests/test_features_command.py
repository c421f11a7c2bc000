"""`molvis features`: lists of what is in runs."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from lcms_samples import Eluting, made_run, write_run

from molvis_core import output
from molvis_core.errors import ReadError
from molvis_lcms.formats.reading import read_features
from molvis_retrieval.commands.features import features

GLUCOSE = Eluting(180.0634, 60.0, adducts={"[M+H]+": 1.0, "[M+Na]+": 0.5}, selected=("[M+H]+", "[M+Na]+"))


def test_a_run_becomes_a_list_that_is_read_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "a.mzML", made_run([GLUCOSE]))
    with output.asked(json=True, quiet=True):
        features([run], out=tmp_path / "out")
    told = json.loads(capsys.readouterr().out)
    assert [f["feature_id"] for f in told["features"]] == ["1", "2"]
    assert told["features"][1]["adducts"][0]["adduct"] == "[M+Na]+"
    for name in ("features.mgf", "features.json"):
        assert [f.identifier for f in read_features(tmp_path / "out" / name).features] == ["1", "2"]
    with (tmp_path / "out" / "features_quant.csv").open(encoding="utf-8") as file:
        assert all(float(row["a.mzML Peak area"]) > 0 for row in csv.DictReader(file))


def test_the_summary_counts_and_each_problem_is_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "a.mzML", made_run([GLUCOSE]))
    data = run.read_bytes()
    run.write_bytes(data[: int(len(data) * 0.9)])
    features([run], out=tmp_path / "out")
    shown = capsys.readouterr()
    assert "molecules with several ions" in shown.out
    assert [line for line in shown.err.splitlines() if "cut off" in line]
    assert "Traceback" not in shown.err


def test_targets_stand_in_for_msms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "a.mzML", [s for s in made_run([GLUCOSE]) if s.level == 1])
    targets = tmp_path / "targets.csv"
    targets.write_text("name,formula,rt_s\nglucose,C6H12O6,60\nsucrose,C12H22O11,60\n", encoding="utf-8")
    with output.asked(json=True, quiet=True):
        features([run], out=tmp_path / "out", targets=targets)
    there, missing = json.loads(capsys.readouterr().out)["features"]
    assert (there["name"], there["adduct"]) == ("glucose", "[M+H]+")
    assert there["areas"]["a.mzML"] > 0
    assert missing["areas"]["a.mzML"] == 0


def test_what_is_no_run_is_an_error_and_nothing_is_written(tmp_path: Path) -> None:
    run = tmp_path / "a.mzML"
    run.write_text("no run", encoding="utf-8")
    with pytest.raises(ReadError):
        features([run], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
