"""`molvis identify`, `calibrate` and `evaluate` from the command line to what they print and write."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import barcode
import pytest

from molvis_cli import app
from molvis_core.records import Origin
from molvis_core.testing import offer
from molvis_retrieval.bundle import load_bundle
from molvis_retrieval.commands.found import show_found
from molvis_retrieval.importing import write
from molvis_retrieval.results import Candidate, Identification, Searched


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a bundle, its index, a dataset and unknowns, one of which is no molecule."""
    monkeypatch.chdir(tmp_path)
    with offer(barcode.PLUGIN):
        fill(tmp_path)
        yield tmp_path


def fill(folder: Path) -> None:
    bundle = barcode.make_bundle(folder / "bundle")
    barcode.make_index(bundle, folder / "index")
    Path("unknown.codes").write_text("CCCCO\nC1CC\nCCC(C)O\n", encoding="utf-8")
    many = barcode.STRUCTURES[:21]
    write(
        [barcode.measurement(s, noise=0.7, seed=i, fold=f) for i, f in enumerate(("val", "test")) for s in many],
        folder / "data",
    )


def run(line: str) -> int:
    with pytest.raises(SystemExit) as caught:
        app.main(line.split())
    return int(caught.value.code or 0)


def test_identify_prints_a_table_and_says_what_it_could_not_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("identify unknown.codes --bundle bundle --library index") == 0
    shown = capsys.readouterr()
    assert "CCCCO, m/z 75.0804, [M+H]+, 74.0732 Da, 7 candidates" in shown.out
    lines = [line.split() for line in shown.out.splitlines()]
    assert ["1*", "C4H10O", "LRHPLDYGYMQRHN", "CCCCO"] in [[*line[:1], *line[2:]] for line in lines]
    assert "*: the true structure" in shown.err
    assert "not identified: C1CC: unknown.codes:2" in shown.err


def test_identify_writes_csv_json_and_a_report(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = "--csv found.csv --json-file found.json --html report.html"
    assert run(f"identify unknown.codes --bundle bundle --library index --candidates all --top 4 {where}") == 0
    with Path("found.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [r["rank"] for r in rows] == [*"1234", *"1234", ""]
    assert [len(q["candidates"]) for q in json.loads(Path("found.json").read_text(encoding="utf-8"))] == [4, 4, 0]
    assert "whole library" in Path("report.html").read_text(encoding="utf-8")
    capsys.readouterr()
    assert run("identify unknown.codes --bundle bundle --library index --json --ppm 5") == 0
    assert json.loads(capsys.readouterr().out)[0]["candidates"][0]["smiles"] == "CCCCO"


def test_identify_prints_one_line_for_each_of_many_queries(capsys: pytest.CaptureFixture[str]) -> None:
    Path("many.codes").write_text("CCCCO\n" * 20 + "C1CC\n" * 12, encoding="utf-8")
    assert run("identify many.codes --bundle bundle --library index") == 0
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 1 + 20
    assert "LRHPLDYGYMQRHN" in shown.out.splitlines()[1]
    assert "not identified: 2 more" in shown.err
    assert run("identify many.codes --bundle bundle --library index --full") == 0
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) > 20 * 7
    assert shown.err.count("not identified: C1CC") == 12


def test_what_identify_prints_fits_a_terminal_of_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    for files in ("unknown.codes", " ".join(["unknown.codes"] * 10)):
        assert run(f"identify {files} --bundle bundle --library index") == 0
        lines = capsys.readouterr().out.splitlines()
        assert max(map(len, lines)) <= 80
        for whole in ("C4H10O", "LRHPLDYGYMQRHN", "CCCCO", "probability"):
            assert any(whole in line for line in lines)


def test_what_evaluate_prints_fits_a_terminal_of_80_columns_and_says_what_it_means(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    assert run("evaluate bundle data --library index") == 0
    shown = capsys.readouterr()
    table = shown.out.split("Beside retrieval")[0].splitlines()[1:]
    assert max(map(len, table)) <= 80
    assert table[0].split() == ["scope", "ranked", "median", "hit@1", "hit@5", "hit@20", "MRR"]
    assert "the whole library, which embeddings rank alone" in shown.err


def test_controls_are_shown_with_what_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("evaluate bundle data --library index --scope mass --controls") == 0
    shown = capsys.readouterr()
    table = shown.out.split("Controls, within 10 ppm")[1]
    for kind in ("spectrum", "decoy", "no peaks", "precursor off", "random"):
        assert kind in table
    assert "decoy: peaks of the compound nearest in mass" in shown.err


def test_calibrate_says_what_its_weights_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("calibrate bundle data --library index --out copy") == 0
    said = capsys.readouterr().err
    assert "NAME.alone: of an embedding without scorers beside it" in said
    assert "n measurements of one modality count as n^" in said


def test_json_of_identify_takes_no_file(capsys: pytest.CaptureFixture[str]) -> None:
    for given in ("-", "found.json"):
        assert run(f"identify unknown.codes --bundle bundle --library index --json {given}") == 1
        assert "--json-file FILE writes it" in capsys.readouterr().err


def test_identify_takes_likely_adducts_for_ions_that_name_none(capsys: pytest.CaptureFixture[str]) -> None:
    Path("nameless.codes").write_text("CCCCO [M+Na]+?\nCCC(C)O\n", encoding="utf-8")
    assert run("identify nameless.codes --bundle bundle --library index --csv found.csv") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["1*", "C4H10O", "LRHPLDYGYMQRHN", "CCCCO", "[M+Na]+"] in [[*line[:1], *line[2:]] for line in lines]
    with Path("found.csv").open(encoding="utf-8", newline="") as file:
        assert next(csv.DictReader(file))["adduct"] == "[M+Na]+"
    assert run("identify nameless.codes --bundle bundle --library index --adducts M+H,[M+K]+") == 0
    assert "as none of these the library holds a candidate: [M+H]+ (96" in capsys.readouterr().err
    assert run("identify nameless.codes --bundle bundle --library index --adducts M+Q") == 1
    assert "adduct 'M+Q'" in capsys.readouterr().err


def test_identify_ends_with_3_when_nothing_could_be_searched(capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.codes").write_text("C1CC\n", encoding="utf-8")
    assert run("identify bad.codes --bundle bundle --library index --csv found.csv") == 3
    assert Path("found.csv").exists()
    assert "not identified" in capsys.readouterr().err
    assert run("identify bad.codes unknown.codes --bundle bundle --library index") == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("identify nowhere.codes --bundle bundle --library index", "nowhere.codes: no such file"),
        (
            "identify unknown.codes --bundle nowhere --library index",
            "nowhere: no installed plugin ships a bundle of this name",
        ),
        ("identify unknown.codes --bundle bundle --library nowhere", "nowhere: no such file or folder"),
        ("identify unknown.codes --bundle bundle --library index --csv no/found.csv", "there is no folder no"),
        ("identify unknown.codes --bundle bundle --library index --formula C4Q", "'Q' is not an element"),
        ("evaluate data --library index", "no bundle to evaluate: molvis evaluate BUNDLE data"),
        ("evaluate bundle bundle data --library index", "2 bundles and 1 indexes"),
        ("evaluate bundle data --library index --fold tset", "Did you mean 'test'?"),
        ("evaluate bundle data --library index --scope massive", "Did you mean 'mass'?"),
        ("evaluate bundle nowhere --library index", "nowhere: no such file or folder; give a dataset"),
        ("calibrate bundle data --library index --fold vall", "Did you mean 'val'?"),
    ],
)
def test_what_cannot_be_is_one_clear_line(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert message in shown.err
    assert len(shown.err.splitlines()) == 1


@pytest.mark.full
def test_a_file_of_structures_is_a_library_for_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    Path("alcohols.smi").write_text("\n".join(s.smiles for s in barcode.STRUCTURES), encoding="utf-8")
    assert run("identify unknown.codes --bundle bundle --library alcohols.smi --json") == 0
    by_file = [c for q in json.loads(capsys.readouterr().out) for c in q["candidates"]]
    assert {tuple(c.pop("sources")) for c in by_file} == {("alcohols.smi",)}
    assert run("identify unknown.codes --bundle bundle --library index --json") == 0
    by_index = [c for q in json.loads(capsys.readouterr().out) for c in q["candidates"]]
    assert {tuple(c.pop("sources")) for c in by_index} == {()}  # made of structures of no file
    assert by_file == by_index
    assert run("calibrate bundle data --library alcohols.smi --out copy") == 0
    assert run("evaluate bundle copy data --library alcohols.smi --scope mass") == 0
    assert len(list(Path("alcohols.smi.index").iterdir())) == 1  # the copy embeds as the bundle does


def test_calibrate_can_leave_the_bundle_and_write_a_copy(capsys: pytest.CaptureFixture[str]) -> None:
    before = load_bundle("bundle").calibration
    assert run("calibrate bundle data --library index --out copy") == 0
    assert load_bundle("bundle").calibration == before
    assert load_bundle("copy").calibration != before
    assert load_bundle("copy").encoders_digest == load_bundle("bundle").encoders_digest
    assert run("calibrate bundle data --library index --out copy") == 1
    assert "copy exists" in capsys.readouterr().err


def test_calibrate_stores_weights_and_leaves_the_index_valid(capsys: pytest.CaptureFixture[str]) -> None:
    before = load_bundle("bundle")
    assert run("calibrate bundle data --library index --json") == 0
    said = json.loads(capsys.readouterr().out)
    after = load_bundle("bundle")
    assert after.calibration.weights == said["weights"]
    assert after.calibration.fitted_on == "fold val of data (msms)"
    assert (before.calibration.weights, before.encoders_digest) == ({}, after.encoders_digest)
    assert run("identify unknown.codes --bundle bundle --library index") == 0


def test_calibrate_fits_whether_the_truth_is_among_the_candidates_too(capsys: pytest.CaptureFixture[str]) -> None:
    line = "identify unknown.codes --bundle bundle --library index --json"
    assert run(line) == 0
    assert all(one["probability_among"] is None for one in json.loads(capsys.readouterr().out))
    assert run("calibrate bundle data --library index") == 0
    assert "fitted too: how probable it is that the truth is among the candidates" in capsys.readouterr().err
    assert load_bundle("bundle").calibration.presence.usable
    assert run(line) == 0
    searched = [one for one in json.loads(capsys.readouterr().out) if one["candidates"]]
    assert searched
    assert all(0 < one["probability_among"] < 1 for one in searched)
    assert all(c["probability_joint"] <= one["probability_among"] for one in searched for c in one["candidates"])


@pytest.mark.parametrize(
    ("what", "file"), [("library verify index", "vectors.f16"), ("data verify data", "msms.arrow")]
)
def test_a_damaged_file_is_named_with_its_block(
    what: str, file: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"{what} --json") == 0
    assert json.loads(capsys.readouterr().out)["intact"] is True
    path = workplace / what.split()[2] / file
    path.write_bytes(bytes([path.read_bytes()[0] ^ 4]) + path.read_bytes()[1:])
    assert run(f"{what} --json") == 1
    said = json.loads(capsys.readouterr().out)
    assert said["intact"] is False
    assert [(d["file"], d["block"]) for d in said["damaged"]] == [(file, 0)]
    assert run(what) == 1
    assert f"{file}: block 0 (from byte 0 on) is not what was written" in capsys.readouterr().err


def test_a_bundle_is_verified_and_an_edit_by_hand_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("bundle verify bundle --json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["digest"], said["intact"]) == (load_bundle("bundle").digest, True)
    file = Path("bundle/bundle.toml")
    file.write_text(file.read_text().replace("shortlist = 256", "shortlist = 255"))
    assert run("bundle verify bundle") == 1
    assert "if you edited it on purpose" in capsys.readouterr().err
    assert run("bundle verify bundle --accept") == 0
    assert load_bundle("bundle").calibration.shortlist == 255


@pytest.mark.full
def test_evaluate_compares_bundles_side_by_side(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    same = barcode.make_bundle(workplace / "same", same=True, name="same")
    barcode.make_index(same, workplace / "same-index")
    assert run("evaluate bundle same data --library index --library same-index --scope mass --json") == 0
    first, second = json.loads(capsys.readouterr().out)
    assert (first["bundle"], second["bundle"]) == ("barcode", "same")
    assert first["figures"][0]["estimates"]["mrr"]["value"] > second["figures"][0]["estimates"]["mrr"]["value"]
    assert run("evaluate data --bundle bundle -b same -l index -l same-index --groups") == 0
    shown = capsys.readouterr().out
    for said in ("hit@1", "barcode", "same", "random", "consensus", "adduct [M+H]+", "AUROC", "Tanimoto of first hit"):
        assert said in shown


def test_a_query_of_a_feature_table_says_its_feature_and_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    best = Candidate(1, barcode.STRUCTURES[0], 1.0, 1.0, {"msms": 1.0}, "[M+H]+", 74.07)
    one = Identification("17", precursor_mz=75.0804, adduct="[M+H]+", mass=74.0732, n_candidates=1, candidates=(best,))
    show_found([dataclasses.replace(one, origin=Origin("F3", "17", 1.9305, "a.mgf"))])
    assert "17, feature F3, m/z 75.0804, 1.93 min, [M+H]+" in capsys.readouterr().out
    show_found([one])
    assert "17, m/z 75.0804, [M+H]+" in capsys.readouterr().out
    searched = Searched("index", 7, "mass", 10.0, None, ("[M+H]+", "[M+Na]+"))
    show_found([dataclasses.replace(one, searched=searched)] * 11)  # one line a query
    assert capsys.readouterr().out.splitlines()[-1].split()[-2:] == ["[M+H]+", "CCCCO"]
