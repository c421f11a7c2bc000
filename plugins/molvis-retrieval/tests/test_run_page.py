"""The page over a run, what a browser makes of it, and spectra with what their peaks are."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from molvis_core import Component
from molvis_core.errors import ConfigError, WriteError
from molvis_core.records import PeakList
from molvis_files.sketch import sketch
from molvis_lcms.records import AdductHypothesis, Feature, FeatureTable
from molvis_retrieval import run_details, run_neighbours
from molvis_retrieval.run_details import Detailed, detailed, isotopes, work_out
from molvis_retrieval.run_page import RunFacts, write_run_page
from molvis_retrieval.run_spectra import write_annotated_library, write_annotated_mgf

CAFFEINE = "Cn1c(=O)c2c(ncn2C)n(C)c1=O"
HOSTILE = "</script><b>bold</b>"
SPECTRUM = PeakList([110.0713, 138.0662, 195.0877], [0.3, 1.0, 0.1], 195.0877, collision_energy=30.0)
FEATURE = Feature(
    "F7", 195.0877, 60.6, 55.0, 66.0, "positive", 1, 1e6, {"a.mzML": 5e6}, np.array([195.0877, 196.0905]),
    np.array([100.0, 9.1]), (SPECTRUM, replace(SPECTRUM, collision_energy=60.0)), SPECTRUM, ("17", "21"),
    (AdductHypothesis("[M+H]+", 3.0, 0.9, ("[M+Na]+ at 217.0696, r 0.99",)),), 1,
    trace_time=np.linspace(55, 66, 12), trace_intensity=np.hanning(12) * 1e6, notes=(HOSTILE,),
)  # fmt: skip
FOUND: dict[str, Any] = {
    "level": "3", "level_evidence": "2 candidates", "probability_among": 0.8, "n_candidates": 2, "problem": "",
    "ions": {"F7": "[M+H]+", "F8": None}, "unknown": "F7", "q_value": 0.04,
    "adducts": {"[M+H]+": 0.97, "[M+Na]+": 0.03}, "formulas": {"C8H10N4O2": 0.99},
    "candidates": [
        {
            "rank": 1, "smiles": CAFFEINE, "inchikey": "RYYVLZVUVIJVGH-UHFFFAOYSA-N", "formula": "C8H10N4O2",
            "exact_mass": 194.080376, "name": "caffeine " + HOSTILE, "adduct": "[M+H]+", "mass_error_ppm": -0.4,
            "probability": 0.9, "probability_joint": 0.72, "evidence": {"msms": 1.5},
            "identifiers": ["hmdb:HMDB0001847"], "sources": ["suspects.csv"],
        },
    ],
}  # fmt: skip
DETAILS = {
    "sketches": {CAFFEINE: sketch(CAFFEINE)}, "isotopes": [[0.0, 1.0], [1.0028, 0.098]],
    "peaks": [
        {
            "n": 1, "formula": "C6H8N3O+", "ppm": -0.1, "smiles": "CN", "p": 0.97, "atoms": "3",
            "mzpaf": "f{C6H8N3O}/-0.1ppm",
        },
    ],
    "below": {"label": "predicted", "peaks": [[138.066, 1.0]]},
}  # fmt: skip
BARE: Detailed = (Feature("F8", 300.1), None, None)


def unpacked(page: Path) -> dict[str, Any]:
    text = page.read_text(encoding="utf-8")
    packed = re.findall(r'<script type="text/plain" id="([\w-]+)">([^<]+)</script>', text)
    return {name: json.loads(gzip.decompress(base64.b64decode(data))) for name, data in packed}


@pytest.fixture
def page(tmp_path: Path) -> Path:
    some: list[Detailed] = [(FEATURE, FOUND, DETAILS), BARE]
    facts = RunFacts(("a.mzML",), (HOSTILE,), {"library": HOSTILE})
    write_run_page(tmp_path / "report.html", some, facts, {"F7": [("F8", 0.9)]})
    return tmp_path / "report.html"


def test_the_page_holds_every_feature_and_loads_nothing(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert HOSTILE not in text
    assert not re.search(r"<(script|img|link)[^>]+(src|href)=|@import|url\(|fetch\(", text)
    data = unpacked(page)
    assert data["rows"]["id"] == ["F7", "F8"]
    assert data["rows"]["p"] == [0.72, None]
    assert data["rows"]["q"] == [0.04, None]
    assert "time" in data["rows"]
    assert "problem" in data["rows"]
    first, bare = data["part-0"]
    assert (first["explained"], first["below"], first["near"]) == (DETAILS["peaks"], DETAILS["below"], [["F8", 0.9]])
    assert [one["label"] for one in first["spectra"]] == ["all energies", "30 eV", "60 eV"]
    assert first["together"] == ["F7", "F8"]
    assert first["ions"] == [["[M+H]+", 0.97], ["[M+Na]+", 0.03]]
    assert first["candidates"][0]["ids"] == [["hmdb:HMDB0001847", "https://identifiers.org/hmdb:HMDB0001847"]]
    assert bare == {}


def test_chunks_of_a_large_page_lie_beside_it_and_go_when_it_is_small(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_run_page(path, [(FEATURE, FOUND, DETAILS)] * 60, RunFacts(), largest=1000)
    (tmp_path / "report_parts" / "9.js").write_text("", encoding="utf-8")
    write_run_page(path, [(FEATURE, FOUND, DETAILS)] * 60, RunFacts(), largest=1000)
    assert sorted(p.name for p in (tmp_path / "report_parts").iterdir()) == ["0.js", "1.js"]
    assert set(unpacked(path)) == {"rows"}
    write_run_page(path, [BARE], RunFacts())
    assert not (tmp_path / "report_parts").exists()


def run_in_chromium(url: str) -> str:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed")
    command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += ["--virtual-time-budget=5000", "--dump-dom", url]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.mark.full
@pytest.mark.parametrize("largest", [10**9, 100])
def test_a_browser_shows_the_table_and_the_feature_of_the_address(tmp_path: Path, largest: int) -> None:
    path = tmp_path / "report.html"
    write_run_page(path, [(FEATURE, FOUND, DETAILS), BARE], RunFacts(), {"F7": [("F8", 0.9)]}, largest=largest)
    shown = run_in_chromium(path.as_uri() + "#F7")
    body, panel = shown.split('<article id="panel"')
    assert body.count("data-k=") == 2
    assert "caffeine &lt;/script&gt;" in body
    assert panel.count('class="known"') >= 2  # the explained peak and its label
    for text in (
        "0.97",
        "suspects.csv",
        "https://identifiers.org/hmdb:HMDB0001847",
        "predicted",
        "72%",
        "none of these",
        "Ions of the same unknown",
    ):
        assert text in panel, text
    assert "<b>bold" not in shown


class _Explaining:
    accepts = PeakList

    def __init__(self) -> None:
        self.asked: list[str | None] = []

    def explain(self, query: PeakList, candidate: Any, /) -> list[Any]:
        self.asked.append(query.adduct)
        return []


class _Bundle:
    def __init__(self, *scorers: Any) -> None:
        self.scorers = dict(enumerate(scorers))


def test_what_is_worked_out_is_kept_and_not_worked_out_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_details, "_predicted", lambda *_: SPECTRUM)
    scorer, found = _Explaining(), [(FEATURE, FOUND), BARE[:2]]
    for _ in range(2):
        work_out(_Bundle(scorer), found, 2, tmp_path)
    assert scorer.asked == ["[M+H]+"]
    (_, _, first), (_, _, bare) = detailed(tmp_path, found)
    assert first is not None
    assert first["sketches"][CAFFEINE]["t"]["3"] == "O"
    assert first["isotopes"][1] == pytest.approx([1.0025, 0.105], abs=0.003)  # 8 C of 1.08%, 4 N of 0.37%, and H, O
    assert first["below"]["label"] == "predicted for the first candidate, 30 eV"
    assert bare == {"feature": "F8"}
    with pytest.raises(ConfigError, match="not of these features"):
        list(detailed(tmp_path, found[1:]))
    (tmp_path / "details" / "00001.json").write_text("[{", encoding="utf-8")
    with pytest.raises(ConfigError, match="damaged"):
        list(detailed(tmp_path, found))


def test_elements_and_adducts_without_a_pattern_have_none() -> None:
    assert isotopes("C8H10N4O2", None) == []
    assert isotopes("C8H10Uuo", "[M+H]+") == []


def test_features_that_are_alike_are_neighbours_of_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True)
    class Pair:
        first: int
        second: int
        similarity: float

    def join(spectra: Sequence[PeakList], /) -> list[Pair]:
        assert len(spectra) == 3  # one feature has no MS/MS
        return [Pair(0, 1, 0.8), Pair(1, 2, 0.9)]

    monkeypatch.setattr(run_neighbours.registry, "components", lambda kind: [Component(kind, "x", "a:b", "y")])
    monkeypatch.setattr(run_neighbours.registry, "load", lambda kind, name: join)
    features = tuple(Feature(name, 200.0, merged=None if name == "b" else SPECTRUM) for name in "abcd")
    found = run_neighbours.neighbours_of(FeatureTable(features))
    assert found == {"a": [("c", 0.8)], "c": [("d", 0.9), ("a", 0.8)], "d": [("c", 0.9)]}
    assert run_neighbours.neighbours_of(FeatureTable(features[1:2])) == {}


KNOWN: Detailed = (replace(FEATURE, usis=("mzspec:MSV000084951:a:scan:17",)), FOUND, DETAILS)


def test_spectra_are_written_with_what_their_peaks_are(tmp_path: Path) -> None:
    told = [
        (KNOWN[0], FOUND, {"peaks": [{"n": 1, "mzpaf": "f{C6H8N3O}/-0.1ppm*0.97"}]}),
        (replace(FEATURE, identifier="F9"), None, None),
        BARE,
    ]
    write_annotated_mgf(tmp_path / "a.mgf", told)
    known, bare = (tmp_path / "a.mgf").read_text(encoding="utf-8").strip().split("\n\n")
    for line in (
        "FEATURE_ID=F7", "ADDUCT=[M+H]+", "USI=mzspec:MSV000084951:a:scan:17", f"SMILES={CAFFEINE}",
        "PROBABILITY_JOINT=0.72", "PEAK_ANNOTATIONS=138.066200 f{C6H8N3O}/-0.1ppm*0.97", "138.066200 1",
    ):  # fmt: skip
        assert line in known.splitlines(), line
    assert "SMILES" not in bare
    write_annotated_library(tmp_path / "a.mzSpecLib.txt", told)
    lines = (tmp_path / "a.mzSpecLib.txt").read_text(encoding="utf-8").splitlines()
    assert lines[2] == "MS:1003188|library name=a"
    assert "138.066200\t1\tf{C6H8N3O}/-0.1ppm*0.97" in lines
    assert "110.071300\t0.3\t?" in lines
    assert "110.071300\t0.3" in lines  # of the feature that has no candidate
    (tmp_path / "dir").mkdir()
    with pytest.raises(WriteError, match="cannot be written"):
        write_annotated_mgf(tmp_path / "dir" / "none" / "a.mgf", told)


@pytest.mark.full
def test_the_validator_of_the_standard_takes_the_library(tmp_path: Path) -> None:
    mzspeclib = pytest.importorskip("mzspeclib", reason="a peer: pip install mzspeclib")
    from mzspeclib.validate import validator

    write_annotated_library(tmp_path / "a.mzSpecLib.txt", [KNOWN])
    rules = validator.ValidatorChain([validator.load_default_validator()])
    assert rules.validate_library(mzspeclib.SpectrumLibrary(filename=str(tmp_path / "a.mzSpecLib.txt")))
