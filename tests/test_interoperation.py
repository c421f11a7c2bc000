"""molvis beside other tools: from R, and as a workflow of Snakemake, where these are installed."""

from __future__ import annotations

import csv
import os
import runpy
import shutil
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import checkout
import pytest

pytestmark = pytest.mark.slow
EXAMPLES = checkout.ROOT / "examples"


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    with chdir(tmp_path):
        runpy.run_path(str(EXAMPLES / "made_run.py"))["main"]()
    return tmp_path


def run(*command: str, cwd: Path) -> str:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_r_reads_the_answers(workplace: Path) -> None:
    program = shutil.which("Rscript")
    if program is None:
        pytest.skip("R is not installed: apt-get install r-base-core r-cran-jsonlite")
    if subprocess.run([program, "-e", "library(jsonlite)"], capture_output=True, check=False).returncode:
        pytest.skip("R has no jsonlite: apt-get install r-cran-jsonlite")
    told = run(program, str(EXAMPLES / "annotations.R"), "run.mzML", "library.csv", "results", cwd=workplace)
    assert "features, of which" in told
    with (workplace / "results" / "answers_from_r.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [r["name"] for r in rows if r["adduct"] == "[M+Na]+"] == ["caffeine"]
    assert {r["formula"] for r in rows} >= {"C8H10N4O2", "C7H8N4O2", "C5H9NO2"}


def test_snakemake_goes_from_runs_to_a_network(workplace: Path) -> None:
    program = os.environ.get("SNAKEMAKE") or shutil.which("snakemake")
    if program is None:
        pytest.skip("snakemake is not installed: pip install snakemake, and name it in SNAKEMAKE")
    (workplace / "runs").mkdir()
    (workplace / "run.mzML").rename(workplace / "runs" / "run.mzML")
    shutil.copy(EXAMPLES / "snakemake" / "Snakefile", workplace)
    command = [program, "--cores", "1", "--config", "library=library.csv", "blank=blank.mzML"]
    run(*command, cwd=workplace)
    with (workplace / "results" / "annotations.csv").open(encoding="utf-8") as file:
        names = [row["name"] for row in csv.DictReader(file) if row["rank"] == "1"]
    assert names == ["proline", "theophylline", "caffeine", "caffeine"]
    assert "caffeine" in (workplace / "results" / "network.graphml").read_text(encoding="utf-8")
    assert (
        "Nothing to be done"
        in subprocess.run(command, cwd=workplace, capture_output=True, text=True, check=True).stderr
    )
