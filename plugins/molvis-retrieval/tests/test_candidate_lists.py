"""Each query among candidates of its own: files of lists, ranks, and the layout of MassSpecGym."""

from __future__ import annotations

import csv
import gzip
import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from barcode import BUTANOLS, PENTANOLS, STRUCTURES, make_bundle, measurement

from molvis_core import output
from molvis_core.errors import ConfigError, DatasetError, ReadError
from molvis_retrieval import importing
from molvis_retrieval.bundle import Bundle
from molvis_retrieval.commands.evaluate import evaluate
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.evaluation import mces as distance
from molvis_retrieval.evaluation.candidate_lists import CandidateLists, read_candidate_lists
from molvis_retrieval.evaluation.lists import ListEvaluation, ListFigure, _over_spectra, evaluate_lists, write_table

pytestmark = pytest.mark.usefixtures("toys")
LISTS = {smiles: list(BUTANOLS) for smiles in BUTANOLS[:4]}


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    importing.write([measurement(s, seed=i) for i in range(2) for s in STRUCTURES[:8]], tmp_path / "data")
    return Dataset.open(tmp_path / "data")


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def figure(found: ListEvaluation, method: str = "embedding", by: str = "spectrum") -> ListFigure:
    (one,) = [f for f in found.figures if (f.method, f.by) == (method, by)]
    return one


def test_lists_are_read_from_json_and_from_tables(tmp_path: Path) -> None:
    write(tmp_path / "lists.json", LISTS)
    rows = [(query, one) for query, some in LISTS.items() for one in some]
    (tmp_path / "lists.csv").write_text("query,candidate\n" + "".join(f"{q},{c}\n" for q, c in rows))
    with gzip.open(tmp_path / "lists.tsv.gz", "wt") as file:
        file.write("rank\tCandidate\tQuery\n" + "".join(f"1\t{c}\t{q}\n" for q, c in rows))
    for name in ("lists.json", "lists.csv", "lists.tsv.gz"):
        assert read_candidate_lists(tmp_path / name) == LISTS, name


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("a.json", "[1]", "must be an object"),
        ("a.json", '{"CCO": "CC"}', "must be a list of SMILES"),
        ("a.json", "query,candidate\n", "it is no JSON.*ends in .csv"),
        ("a.csv", "a,b\nCCO,CC\n", "columns 'query' and 'candidate' are needed, found a, b"),
        ("a.csv", "query,candidate\nCCO\n", "fewer cells"),
        ("a.csv", "", "it is empty"),
        ("a.json", '{"no smiles": ["CC"]}', "none of its 1 queries is a structure"),
    ],
)
def test_what_is_no_file_of_lists_is_refused(tmp_path: Path, name: str, text: str, why: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ReadError, match=why):
        CandidateLists.read(tmp_path / name)


def test_a_compound_that_is_written_in_two_ways_has_one_list(tmp_path: Path) -> None:
    lists = CandidateLists.read(write(tmp_path / "a.json", {"CCO": ["CCO", "CCN"], "OCC": ["CCC", "CCN", "x"]}))
    (compound,) = lists.compounds()
    found = lists.of(compound)
    assert [one.smiles for one in found.structures] == ["CCO", "CCN", "CCC"]
    assert (list(found.true), found.refused) == ([0], 1)


def test_a_bundle_that_knows_puts_the_truth_first_in_each_list(bundle: Bundle, data: Dataset, tmp_path: Path) -> None:
    found = evaluate_lists(bundle, data, CandidateLists.read(write(tmp_path / "a.json", LISTS)))
    assert (found.spectra, found.compounds, found.without_list, found.without_truth) == (8, 4, 8, 0)
    assert found.median_candidates == len(BUTANOLS)
    for by in ("compound", "spectrum"):
        assert figure(found, by=by).estimates["hit1"].value == 1
        assert figure(found, "random", by).estimates["hit5"].value == pytest.approx(5 / 7)


def test_a_bundle_that_knows_nothing_gets_what_chance_gets(data: Dataset, tmp_path: Path) -> None:
    same = make_bundle(tmp_path / "same", same=True)
    found = evaluate_lists(same, data, CandidateLists.read(write(tmp_path / "a.json", LISTS)))
    for name, estimate in figure(found).estimates.items():
        assert estimate.value == pytest.approx(figure(found, "random").estimates[name].value)


def test_a_compound_that_is_not_in_its_list_is_never_found(bundle: Bundle, data: Dataset, tmp_path: Path) -> None:
    lists = {BUTANOLS[0]: list(BUTANOLS), BUTANOLS[1]: list(PENTANOLS), BUTANOLS[2]: []}
    found = evaluate_lists(bundle, data, CandidateLists.read(write(tmp_path / "a.json", lists)))
    assert (found.spectra, found.without_truth) == (6, 4)
    assert figure(found).estimates["hit20"].value == pytest.approx(1 / 3)


def test_a_stereoisomer_of_the_truth_is_the_truth(bundle: Bundle, data: Dataset, tmp_path: Path) -> None:
    """2-butanol, drawn flat, left and right: any of them first is a hit, and the others are no rivals."""
    forms = ["C[C@@H](O)CC", "CCC(C)O", "C[C@H](O)CC", "CCCCO"]
    lists = CandidateLists.read(write(tmp_path / "a.json", {"CCC(C)O": forms}))
    assert list(lists.of(next(iter(lists.compounds()))).true) == [0, 1, 2]
    assert figure(evaluate_lists(bundle, data, lists)).estimates["hit1"].value == 1


def test_spectra_without_any_list_are_an_error(bundle: Bundle, data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="none of the 16 spectra of fold 'test'"):
        evaluate_lists(bundle, data, CandidateLists.read(write(tmp_path / "a.json", {"c1ccccc1Cl": ["CCO"]})))


@pytest.fixture
def fake_mces(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The package that measures distances, standing in for it: what it was asked, and the length that differs."""
    asked: list[tuple[str, str]] = []

    def measure(one: str, other: str, **options: Any) -> tuple[int, float, float, int]:
        assert options["threshold"] == 15
        assert options["always_stronger_bound"] is True
        asked.append((one, other))
        return 0, float(one != other) * 4, 0.1, 1

    package, module = (types.ModuleType(name) for name in ("myopic_mces", "myopic_mces.myopic_mces"))
    module.MCES = measure  # type: ignore[attr-defined]
    monkeypatch.setattr(distance, "_solver", lambda: ("a solver", {}))
    for one in (package, module):
        monkeypatch.setitem(sys.modules, one.__name__, one)
    distance.mces.cache_clear()
    return asked


def test_the_distance_of_the_first_candidate_is_measured_once_for_each_pair(
    data: Dataset, tmp_path: Path, fake_mces: list[tuple[str, str]]
) -> None:
    same = make_bundle(tmp_path / "same", same=True)  # the first of the list is first for everybody
    found = evaluate_lists(same, data, CandidateLists.read(write(tmp_path / "a.json", LISTS)), distances=True)
    assert figure(found).estimates["mces1"].value == pytest.approx(4 * 3 / 4)
    assert len(fake_mces) == 4


def test_distances_without_their_package_are_refused_at_once(
    bundle: Bundle, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "myopic_mces.myopic_mces", None)
    lists = CandidateLists.read(write(tmp_path / "a.json", LISTS))
    with pytest.raises(ConfigError, match=r"molvis-retrieval\[mces\]"):
        evaluate_lists(bundle, data, lists, distances=True)


def test_the_real_package_measures_bonds_that_two_structures_do_not_share() -> None:
    pytest.importorskip("myopic_mces")
    distance.mces.cache_clear()
    assert distance.mces("CCCCO", "CCCCO") == 0
    assert distance.mces("CCCCO", "CCCCN") == 2  # C-O on one side, C-N on the other


def test_a_table_has_the_layout_of_massspecgym(bundle: Bundle, data: Dataset, tmp_path: Path) -> None:
    found = evaluate_lists(bundle, data, CandidateLists.read(write(tmp_path / "a.json", LISTS)))
    write_table(tmp_path / "table.csv", [found])
    with (tmp_path / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    # https://github.com/pluskal-lab/MassSpecGym, results/retrieval.csv
    assert list(rows[0]) == [
        "Method", "Hit rate @ 1", "Hit rate @ 1 CI Low", "Hit rate @ 1 CI High", "Hit rate @ 5", "Hit rate @ 5 CI Low",
        "Hit rate @ 5 CI High", "Hit rate @ 20", "Hit rate @ 20 CI Low", "Hit rate @ 20 CI High", "MCES @ 1",
        "MCES @ 1 CI Low", "MCES @ 1 CI High", "Paper", "DOI", "Comment", "Publication date",
    ]  # fmt: skip
    assert [row["Method"] for row in rows] == [f"molvis {bundle.name}, embedding", "Random"]
    assert (rows[0]["Hit rate @ 1"], rows[0]["MCES @ 1"], rows[1]["Hit rate @ 1"]) == ("100.00", "", "14.29")


def test_intervals_over_spectra_are_those_of_massspecgym() -> None:
    """Its random order has 0.37% at 1, from 0.24 to 0.54, over 17,556 spectra (results/retrieval.csv)."""
    hits = np.zeros(17_556)
    hits[:65] = 1
    one = _over_spectra(hits)
    assert 100 * np.array([one.value, one.low, one.high]) == pytest.approx([0.37, 0.24, 0.54], abs=0.03)


def test_the_command_shows_figures_and_what_was_left_out(
    bundle: Bundle, data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "a.json", LISTS)
    evaluate([str(bundle.path)], data=data.path, candidate_lists=path, table=tmp_path / "table.csv")
    shown = capsys.readouterr()
    assert "8 spectra of 4 compounds, median of 7 candidates" in shown.out
    assert "of compounds without a list: 8 spectra" in shown.err
    assert (tmp_path / "table.csv").exists()
    with output.asked(json=True):
        evaluate([str(bundle.path)], data=data.path, candidate_lists=path)
    assert json.loads(capsys.readouterr().out)[0]["without_list"] == 8


def test_options_that_lists_do_not_go_with_are_refused(bundle: Bundle, data: Dataset, tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", LISTS)
    with pytest.raises(ConfigError, match="leave out --library, --controls"):
        evaluate([str(bundle.path)], data=data.path, candidate_lists=path, library=[path], controls=True)
    with pytest.raises(ConfigError, match="no candidates"):
        evaluate([str(bundle.path)], data=data.path)


def test_what_is_measured_among_lists_alone_is_refused_elsewhere(bundle: Bundle, data: Dataset) -> None:
    with pytest.raises(ConfigError, match="--mces is for lists of candidates"):
        evaluate([str(bundle.path)], data=data.path, mces=True)
