"""Commands that are killed at any moment, with real processes: nothing is lost, and nothing is silently wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from molvis_core.errors import DatasetError
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.importing import import_files
from molvis_retrieval.splitting import split

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them"),
]

APPEND_KILLED = """
import os, pathlib, shutil, signal, sys
from molvis_cli.app import main
from molvis_files import writing as files

wanted = int(sys.argv[2])
if sys.argv[1] == "two-renames":
    files.exchange = lambda a, b: False
steps = 0

def dying(function):
    def step(*args, **options):
        global steps
        if any(".dataset." in str(a) or str(a).endswith("dataset") for a in args):
            steps += 1
            if steps == wanted:
                os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **options)
    return step

files.exchange = dying(files.exchange)
files._sync = dying(files._sync)
files.shutil.rmtree = dying(shutil.rmtree)
pathlib.Path.rename = dying(pathlib.Path.rename)
main(["data", "import", "spectra.mgf", "--out", "dataset", "--append"])
"""

APPEND_THAT_WAITS = """
from molvis_cli.app import main
from molvis_retrieval import importing

reading = importing._write_measurements

def waiting(*args, **options):
    print("reading", flush=True)
    input()
    return reading(*args, **options)

importing._write_measurements = waiting
main(["data", "import", "spectra.mgf", "--out", "dataset", "--append"])
"""

MGF = "".join(
    f"BEGIN IONS\nTITLE={n}\nPEPMASS=47.049\nADDUCT=[M+H]+\nSMILES=CCO\n29.04 1\n46.0 {n}\nEND IONS\n"
    for n in range(1, 301)
)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spectra.mgf").write_text(MGF)
    import_files(["spectra.mgf"], "dataset")
    return tmp_path


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("way", "step", "left"),
    [
        ("exchange", 4, 300),  # while files are put on the disk
        ("exchange", 6, 300),  # before the exchange
        ("exchange", 7, 600),  # after it
        ("two-renames", 7, 300),  # before the old one steps aside
        ("two-renames", 8, 300),  # while there is none
        ("two-renames", 9, 600),  # when the new one is there
    ],
)
def test_an_append_that_is_killed_loses_nothing_and_can_be_said_again(
    workplace: Path, way: str, step: int, left: int
) -> None:
    killed = run("-c", APPEND_KILLED, way, str(step))
    assert killed.returncode == -9, killed.stderr
    assert len(Dataset.open("dataset").table("msms")) == left
    import_files(["spectra.mgf"], "dataset", append=True)
    assert len(Dataset.open("dataset").table("msms")) == left + 300
    assert sorted(p.name for p in workplace.iterdir()) == ["dataset", "spectra.mgf"]


def test_of_two_appends_at_once_the_second_is_refused_and_nothing_is_lost(workplace: Path) -> None:
    first = subprocess.Popen(
        [sys.executable, "-c", APPEND_THAT_WAITS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert first.stdout is not None
    assert first.stdout.readline() == "reading\n"
    second = run("-m", "molvis_cli", "data", "import", "spectra.mgf", "--out", "dataset", "--append")
    assert second.returncode == 1
    assert f"process {first.pid} on " in second.stderr
    assert "is writing it. Wait until it has ended" in second.stderr
    first.communicate("go on\n", timeout=60)
    assert first.returncode == 0
    assert len(Dataset.open("dataset").table("msms")) == 600
    assert sorted(p.name for p in workplace.iterdir()) == ["dataset", "spectra.mgf"]


def test_a_split_does_not_undo_an_append_that_came_between(workplace: Path) -> None:
    before = Dataset.open("dataset")
    import_files(["spectra.mgf"], "dataset", append=True)
    with pytest.raises(DatasetError, match="it has changed since it was opened"):
        split(before)
    assert len(Dataset.open("dataset").table("msms")) == 600
