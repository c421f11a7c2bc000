"""Every notebook runs from top to bottom, and what it says comes out.

Each runs in a fresh process of its own, its code cells one after the other in one namespace: a Jupyter kernel for this
would bring thirty packages into everybody's environment. Warnings are errors there, too.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.full
EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
NOTEBOOKS = sorted((EXAMPLES / "notebooks").glob("*.ipynb"))
# Passed with -c: in a process that multiprocessing spawns, a file would be run again from its top.
PROGRAM = """
import json, sys, warnings
from matplotlib import pyplot

warnings.simplefilter("error")
warnings.filterwarnings("ignore", "`torch.jit.script", FutureWarning)
warnings.filterwarnings("ignore", "`torch.jit.script", DeprecationWarning)
notebook, wanted, result = sys.argv[1:]
space, pictures = {"__name__": "__main__"}, 0
with open(notebook, encoding="utf-8") as file:
    cells = [cell for cell in json.load(file)["cells"] if cell["cell_type"] == "code"]
for number, cell in enumerate(cells, start=1):
    exec(compile("".join(cell["source"]), f"{notebook}, code cell {number}", "exec"), space)
    for figure in map(pyplot.figure, pyplot.get_fignums()):
        figure.canvas.draw()
        pictures += 1
    pyplot.close("all")
with open(result, "w", encoding="utf-8") as file:
    json.dump({"pictures": pictures, **eval(wanted, space)}, file)
"""


def read(notebook: Path) -> dict[str, Any]:
    """The notebook as JSON."""
    return json.loads(notebook.read_text(encoding="utf-8"))


def run(name: str, folder: Path, wanted: str) -> dict[str, Any]:
    """Run a notebook in a copy of the examples; what `wanted`, an expression in its names, is afterwards."""
    place = folder / "examples"
    shutil.copytree(EXAMPLES, place)
    temporary, result = folder / "temporary", folder / "result.json"
    temporary.mkdir()
    environment = {**os.environ, "MPLBACKEND": "Agg", "MPLCONFIGDIR": str(folder), "TMPDIR": str(temporary)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, f"{name}.ipynb", wanted, str(result)],
        cwd=place / "notebooks", env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(result.read_text(encoding="utf-8"))


def test_importing_gives_the_ten_spectra_and_names_the_damaged_one(tmp_path: Path) -> None:
    wanted = "{'imported': report.imported, 'left': second.imported, 'problems': second.problems}"
    found = run("01-import-and-look", tmp_path, wanted)
    assert found["imported"] == {"msms": 10}
    assert found["left"] == {"msms": 9}
    assert [problem.endswith("the precursor m/z 'a lot' is not a number") for problem in found["problems"]] == [True]
    assert found["pictures"] == 2


def test_training_learns_what_evaluation_then_measures(tmp_path: Path) -> None:
    wanted = (
        "{'loss': [row['loss'] for row in rows], "
        "'hit20': figures['test'].estimates['hit20'].low, 'chance': figures['test'].chance['hit20']}"
    )
    found = run("02-train-and-evaluate", tmp_path, wanted)
    assert len(found["loss"]) == 12
    assert found["loss"][-1] < found["loss"][0] / 2
    assert found["hit20"] > found["chance"]
    assert found["pictures"] == 2


def test_the_truth_comes_far_up_among_many_candidates(tmp_path: Path) -> None:
    wanted = (
        "{'problems': [one.problem for one in found], 'explained': len(explained), "
        "'rank': [one.truth_rank for one in found], 'candidates': [one.n_candidates for one in found]}"
    )
    found = run("03-identify", tmp_path, wanted)
    assert found["problems"] == [""] * 10
    assert min(found["candidates"]) >= 10
    # By chance it would come in the middle, first for less than one query in ten.
    assert sum(rank == 1 for rank in found["rank"]) >= 4
    assert sorted(found["rank"])[7] <= 3
    assert found["explained"] >= 3
    assert found["pictures"] == 3


def test_a_spectrum_lies_near_its_own_structure_in_the_space_and_in_the_picture(tmp_path: Path) -> None:
    wanted = (
        "{'rank': rank.tolist(), 'share': float(share.sum()), "
        "'own': np.linalg.norm(flat[:10] - flat[10:20], axis=1).tolist(), 'size': float(flat[10:].std())}"
    )
    found = run("04-embedding", tmp_path, wanted)
    assert max(found["rank"]) <= 20
    assert 0.1 < found["share"] < 1
    assert sorted(found["own"])[5] < found["size"] / 4
    assert found["pictures"] == 3


def test_every_notebook_is_run() -> None:
    tested = Path(__file__).read_text(encoding="utf-8")
    assert NOTEBOOKS
    assert [path.name for path in NOTEBOOKS if f'run("{path.stem}"' not in tested] == []


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_output_is_kept(notebook: Path) -> None:
    cells = [cell for cell in read(notebook)["cells"] if cell["cell_type"] == "code"]
    assert [cell["id"] for cell in cells if cell["outputs"] or cell["execution_count"] is not None] == []


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_its_links_lead_somewhere(notebook: Path) -> None:
    text = "".join(line for cell in read(notebook)["cells"] for line in cell["source"])
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert [link for link in links if not (notebook.parent / link).exists()] == []
