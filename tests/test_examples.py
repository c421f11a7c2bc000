"""Every example runs, in an empty folder, from what it makes itself."""

from __future__ import annotations

import shutil
from pathlib import Path

import pages
import pytest

import molvis_retrieval
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.evaluation.ranking import evaluate

pytestmark = pytest.mark.full

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the first example has run."""
    folder = tmp_path_factory.mktemp("examples")
    shutil.copytree(pages.prepared(), folder, dirs_exist_ok=True)
    return folder


def test_the_first_example_leaves_a_bundle_that_opens(workplace: Path) -> None:
    bundle = molvis_retrieval.load_bundle(workplace / "runs" / "quick" / "bundle")
    assert bundle.name == "quick"
    assert bundle.modalities == ("msms", "structure")


def test_the_first_example_ends_with_a_model_that_is_far_better_than_chance(workplace: Path) -> None:
    bundle = molvis_retrieval.load_bundle(workplace / "runs" / "quick" / "bundle")
    found = evaluate(bundle, Dataset.open(workplace / "dataset"), molvis_retrieval.Index.open(workplace / "index"))
    scopes = {f.candidates: f for f in found.figures if (f.by, f.method, f.group) == ("compound", "embedding", "")}
    assert scopes["all"].chance["hit5"] < 0.02
    assert scopes["all"].estimates["hit5"].value > 0.4
    assert scopes["mass"].estimates["hit1"].value > scopes["mass"].chance["hit1"]


def test_the_neighbours_example_names_a_neighbour_for_each_spectrum(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workplace)
    said = pages.run(f"python {EXAMPLES / 'nearest_neighbours.py'} runs/quick/bundle spectra.mgf --first 5")
    lines = [line for line in said.splitlines() if line.endswith(")")]
    assert len(lines) == 5
    # Both spectra of a compound hold the same pieces: even a hardly trained model puts them next to each other.
    assert lines[0].split(" at ")[0] == lines[0].split(": ")[1].split(" at ")[0]


def test_the_fit_of_a_spectrum_leaves_a_report(tmp_path: Path) -> None:
    said = pages.run(f"python {EXAMPLES / 'fit_spectrum.py'} {tmp_path / 'fit'}")
    assert "shift/H2: 4.12" in said
    assert (tmp_path / "fit" / "report.html").exists()


def test_the_made_run_has_the_features_that_it_was_made_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from molvis_lcms.finding import find_features

    monkeypatch.chdir(tmp_path)
    pages.run(f"python {EXAMPLES / 'made_run.py'}")
    found = find_features(Path("run.mzML")).features
    assert [round(f.mz, 2) for f in found] == [116.07, 181.07, 195.09, 217.07, 267.17]
    assert len(find_features(Path("blank.mzML"))) == 1


def test_every_example_is_run_by_a_test() -> None:
    tested = Path(__file__).read_text(encoding="utf-8")
    started = (EXAMPLES / "getting_started.py").read_text(encoding="utf-8")
    names = [p.name for p in EXAMPLES.iterdir() if p.suffix in (".py", ".toml")]
    assert [name for name in names if name not in tested + started] == []
