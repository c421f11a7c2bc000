"""Every notebook runs from top to bottom, and what it says comes out.

Its code cells run one after the other in one namespace, in this process, as the code of the pages does: a Jupyter
kernel for this would bring thirty packages into everybody's environment. Warnings are errors here, too.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
import shared

import molvis_core
from molvis_retrieval.library import Library

pytestmark = pytest.mark.full
EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
NOTEBOOKS = sorted((EXAMPLES / "notebooks").glob("*.ipynb"))


def read(notebook: Path) -> dict[str, Any]:
    """The notebook as JSON."""
    return json.loads(notebook.read_text(encoding="utf-8"))


class Run(Protocol):
    def __call__(self, name: str) -> dict[str, Any]:
        """Run a notebook in a copy of the examples; its names afterwards, and the number of `pictures` that it drew."""
        ...


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    from matplotlib import pyplot as plt

    def once(name: str) -> dict[str, Any]:
        shutil.copytree(EXAMPLES, tmp_path / "examples")
        monkeypatch.chdir(tmp_path / "examples" / "notebooks")
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        monkeypatch.setattr(sys, "argv", [f"{name}.ipynb"])
        # That which ships takes as long to read as the rest of a notebook.
        ships = [molvis_core.load("example", name) for name in ("demo-library", "massbank-structures")]
        read_other = Library.read
        monkeypatch.setattr(Library, "read", lambda path: (shared.read_library if path in ships else read_other)(path))
        plt.switch_backend("Agg")
        space: dict[str, Any] = {"__name__": "__main__"}
        pictures = 0
        cells = [cell for cell in read(Path(f"{name}.ipynb"))["cells"] if cell["cell_type"] == "code"]
        for number, cell in enumerate(cells, start=1):
            exec(compile("".join(cell["source"]), f"{name}.ipynb, code cell {number}", "exec"), space)
            for figure in map(plt.figure, plt.get_fignums()):
                figure.canvas.draw()
                pictures += 1
            plt.close("all")
        return {**space, "pictures": pictures}

    return once


def test_importing_gives_the_ten_spectra_and_names_the_damaged_one(run: Run) -> None:
    found = run("01-import-and-look")
    assert found["report"].imported == {"msms": 10}
    assert found["second"].imported == {"msms": 9}
    (problem,) = found["second"].problems
    assert problem.endswith("the precursor m/z 'a lot' is not a number")
    assert found["pictures"] == 2


def test_training_learns_what_evaluation_then_measures(run: Run) -> None:
    found = run("02-train-and-evaluate")
    loss = [row["loss"] for row in found["rows"]]
    assert len(loss) == 12
    assert loss[-1] < loss[0] / 2
    measured = found["figures"]["test"]
    assert measured.estimates["hit20"].low > measured.chance["hit20"]
    assert found["pictures"] == 2


def test_the_truth_comes_far_up_among_many_candidates(run: Run) -> None:
    names = run("03-identify")
    found = names["found"]
    assert [one.problem for one in found] == [""] * 10
    assert min(one.n_candidates for one in found) >= 10
    # By chance it would come in the middle, first for less than one query in ten.
    ranks = [one.truth_rank for one in found]
    assert sum(rank == 1 for rank in ranks) >= 4
    assert sorted(ranks)[7] <= 3
    assert len(names["explained"]) >= 3
    assert names["pictures"] == 3


def test_a_spectrum_lies_near_its_own_structure_in_the_space_and_in_the_picture(run: Run) -> None:
    found = run("04-embedding")
    flat = found["flat"]
    assert np.sort(found["rank"])[7] <= 20
    assert found["rank"].max() <= 60
    assert 0.05 < found["share"].sum() < 1
    assert np.sort(np.linalg.norm(flat[:10] - flat[10:20], axis=1))[5] < flat[10:].std() / 4
    assert found["pictures"] == 3


def test_a_run_ends_in_answers_and_a_page(run: Run) -> None:
    found = run("05-run-to-answers")
    answers = found["answers"]
    assert answers[answers["rank"] == 1]["name"].tolist() == ["proline", "theophylline", "caffeine", "caffeine"]
    assert answers["unknown"].nunique() == 3  # the two ions of caffeine are one
    assert "C6H8N3O+" in {e["formula"] for e in found["explained"].values()}
    assert "caffeine" not in found["page"].read_text(encoding="utf-8")  # its rows are packed
    assert found["pictures"] == 2


def test_a_list_of_another_program_becomes_a_network_with_hints(run: Run) -> None:
    found = run("06-feature-list-and-network")
    assert [f.identifier for f in found["features"].features][:2] == ["F1", "F2"]
    assert list(found["areas"].columns) == ["case.mzML", "control.mzML", "fold change"]
    assert 12 <= len(found["answers"]) < 24
    assert found["network"].summary["edges"] > 12
    assert set(found["hints"]) - set(found["answers"])
    assert found["pictures"] == 1


def test_matchms_pandas_and_rdkit_go_there_and_back(run: Run) -> None:
    found = run("07-matchms-pandas-rdkit")
    assert len(found["table"]) == 20
    assert found["first"]["probability"].between(0, 1).all()
    assert len(found["own"]) < len(found["molecules"])
    assert found["has_matchms"] == (importlib.util.find_spec("matchms") is not None)


def test_a_formula_leads_to_structures_of_several_libraries(run: Run) -> None:
    found = run("08-formulas-and-libraries")
    assert "C9H9N3O2S2" in [f.formula for f in found["ranked"][:3]]
    first = found["found"].candidates[0]
    assert (first.structure.name, first.sources) == ("our sulfa drug", ("suspects.csv", "download.csv"))
    assert set(first.links) == {"cas:72-14-0", "hmdb:HMDB0015147"}


def test_every_notebook_is_run() -> None:
    tested = Path(__file__).read_text(encoding="utf-8")
    assert NOTEBOOKS
    assert [path.name for path in NOTEBOOKS if f'run("{path.stem}"' not in tested] == []


def test_a_service_answers_calls_and_does_jobs(run: Run) -> None:
    found = run("09-service")
    assert found["answer"]["candidates"][0]["name"] == found["query"].name
    assert len(found["named"]) > 3
    assert found["done"].state == found["states"][-1] == "done"
    assert len(found["unknowns"]) == 10
    assert found["process"].returncode == 0
    assert found["pictures"] == 1


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_output_is_kept(notebook: Path) -> None:
    cells = [cell for cell in read(notebook)["cells"] if cell["cell_type"] == "code"]
    assert [cell["id"] for cell in cells if cell["outputs"] or cell["execution_count"] is not None] == []


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_its_links_lead_somewhere(notebook: Path) -> None:
    text = "".join(line for cell in read(notebook)["cells"] for line in cell["source"])
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert [link for link in links if not (notebook.parent / link).exists()] == []
