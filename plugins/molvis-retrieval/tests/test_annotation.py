"""Annotations of features: levels, tables, the settings of a folder."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from molvis_core.errors import ConfigError
from molvis_core.records import PeakList, Structure
from molvis_lcms.records import AdductHypothesis, Feature
from molvis_retrieval.annotation import as_query, begin
from molvis_retrieval.annotation_tables import COLUMNS, annotation_of, write_annotation_csv, write_annotation_json
from molvis_retrieval.levels import confidence_level
from molvis_retrieval.results import Candidate, Identification, to_json

KEYS = ("LFQSCWFLJHTTHZ-UHFFFAOYSA-N", "LCGLNKUTAGEVQW-UHFFFAOYSA-N")
SPECTRUM = PeakList(np.array([50.0, 60.0]), np.array([1.0, 2.0], dtype="f4"), 181.0707)
FEATURE = Feature(
    "7",
    181.0707,
    60.0,
    50.0,
    70.0,
    "positive",
    1,
    1e6,
    {"a.mzML": 5e6},
    spectra=(SPECTRUM,),
    merged=SPECTRUM,
    adducts=(
        AdductHypothesis("[M+H]+", 3.0, 0.9, ("[M+Na]+ at 203.0526, r 0.99",)),
        AdductHypothesis("[M+Na]+", -1.0, 0.1),
    ),
)


def found(*shares: float, among: float | None = 1.0, formulas: tuple[str, ...] = ("C2H6O", "C2H6O")) -> Identification:
    candidates = tuple(
        Candidate(k + 1, Structure("CCO", KEYS[k], formulas[k], 46.04, name="=cmd"), 0.0, share, adduct="[M+H]+")
        for k, share in enumerate(shares)
    )
    return Identification("x", candidates=candidates, n_candidates=len(shares), probability_among=among)


def kept(one: Identification) -> dict[str, Any]:
    (told,) = to_json([one])
    level, evidence = confidence_level(one)
    return {"feature": "7", "level": level, "level_evidence": evidence, **told}


def test_tables_have_their_columns_whatever_was_found(tmp_path: Path) -> None:
    bare = Feature("8", 300.0)
    some = [(FEATURE, kept(found(0.6, 0.4, among=0.8))), (bare, None)]
    write_annotation_csv(tmp_path / "a.csv", some)
    with (tmp_path / "a.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [(r["feature_id"], r["rank"], r["level"]) for r in rows] == [
        ("7", "1", "3"),
        ("7", "2", "3"),
        ("8", "", "5"),
    ]
    assert rows[0]["adduct_evidence"] == "[M+Na]+ at 203.0526, r 0.99"
    assert float(rows[0]["none_of_these"]) == pytest.approx(0.2)
    assert float(rows[0]["probability_joint"]) == pytest.approx(0.48)
    assert rows[0]["inchikey14"] == KEYS[0][:14]
    assert not rows[0]["name"].startswith("=")  # no spreadsheet runs it
    assert rows[2]["problem"] == "no MS/MS"
    write_annotation_json(tmp_path / "a.json", some, {"ppm": 10})
    told = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert (told["format"], told["settings"]) == (1, {"ppm": 10})
    assert [len(f["candidates"]) for f in told["features"]] == [2, 0]
    assert told["features"][0]["areas"] == {"a.mzML": 5e6}
    assert annotation_of(*some[0]).candidates[0].joint == pytest.approx(0.48)
    assert annotation_of(*some[1]).level == "5"


def test_a_feature_is_asked_for_with_its_spectra_and_the_ions_that_it_may_be() -> None:
    (one,), ions = as_query(FEATURE)
    assert (one.origin.feature_id, one.origin.rt_min, one.record.adduct) == ("7", 1.0, None)
    assert ions == {"[M+H]+": 3.0, "[M+Na]+": -1.0}
    from dataclasses import replace

    (named,), none = as_query(replace(FEATURE, adduct="[M+Na]+"))
    assert (named.record.adduct, none) == ("[M+Na]+", {})


def test_a_folder_belongs_to_its_settings(tmp_path: Path) -> None:
    assert not begin(tmp_path / "a", {"ppm": 10, "top": 5})
    assert begin(tmp_path / "a", {"ppm": 10, "top": 5})
    with pytest.raises(ConfigError, match=r"other settings \(ppm differ\)"):
        begin(tmp_path / "a", {"ppm": 5, "top": 5})
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine.txt").write_text("x", encoding="utf-8")
    with pytest.raises(ConfigError, match="holds other files"):
        begin(tmp_path / "b", {})
    (tmp_path / "a" / "settings.json").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match="damaged"):
        begin(tmp_path / "a", {})
