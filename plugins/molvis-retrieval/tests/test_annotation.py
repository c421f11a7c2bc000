"""Annotations of features: levels, tables, the settings of a folder."""

from __future__ import annotations

import csv
import json
import pickle
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from barcode import STRUCTURES, measurement

from molvis_core.errors import ConfigError
from molvis_core.records import PeakList, Structure
from molvis_files import chunks
from molvis_lcms.records import AdductHypothesis, Feature, FeatureTable
from molvis_retrieval import annotation, run_details
from molvis_retrieval.annotation import annotate, annotated, begin
from molvis_retrieval.annotation_tables import COLUMNS, annotation_of, write_annotation_csv, write_annotation_json
from molvis_retrieval.bundle import Bundle
from molvis_retrieval.false_discoveries import believed, q_values, rates_of
from molvis_retrieval.index import Index
from molvis_retrieval.levels import confidence_level
from molvis_retrieval.results import Candidate, Identification, to_json
from molvis_retrieval.run_details import detailed, work_out
from molvis_retrieval.unknown_features import asked, ion_of, together

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
    own = {"feature": "7", "unknown": "7", "ions": {"7": None}}
    return own | {"level": level, "level_evidence": evidence, **told}


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
    found = asked([FEATURE])
    (one,) = found.measurements
    assert (one.origin.feature_id, one.origin.rt_min, one.record.adduct) == ("7", 1.0, None)
    assert found.ions == {"[M+H]+": 3.0, "[M+Na]+": -1.0}
    assert found.isotopes is None
    named = asked(
        [replace(FEATURE, adduct="[M+Na]+", isotope_mz=np.array([181.07, 182.07]), isotope_intensity=np.ones(2))]
    )
    assert (named.measurements[0].record.adduct, named.ions) == ("[M+Na]+", {})
    assert named.isotopes is not None


def test_ions_of_one_molecule_are_one_unknown_where_that_is_sure_enough() -> None:
    sure = replace(FEATURE, group=1)
    sodium = AdductHypothesis("[M+Na]+", 3.0, 0.8, ("[M+H]+",))
    partner = replace(FEATURE, identifier="9", mz=203.0526, group=1, adducts=(sodium,), areas={"a.mzML": 9e6})
    unsure = replace(partner, identifier="10", adducts=(replace(sodium, weight=0.4),))
    elsewhere = replace(partner, identifier="11", mz=210.0)
    alone = replace(FEATURE, identifier="8")
    found = together([sure, alone, partner, unsure, elsewhere, replace(sure, identifier="12", spectra=())])
    assert [[f.identifier for f in some] for some in found] == [["7", "9"], ["8"], ["10"], ["11"]]
    both = asked(found[0])
    assert [m.record.adduct for m in both.measurements] == ["[M+Na]+", "[M+H]+"]  # the largest first
    assert both.ions == {}
    assert [ion_of(f, found[0]) for f in found[0]] == ["[M+H]+", "[M+Na]+"]
    assert ion_of(alone, [alone]) is None


def test_q_values_are_mean_errors_of_what_is_as_probable_or_more() -> None:
    rates = q_values(np.array([0.99, 0.5, 0.5, 0.01]))
    assert rates[0] < rates[1] == rates[2] < rates[3] < 1
    assert q_values(np.array([0.5])) == pytest.approx(1 / (1 + np.exp(-0.056)))
    assert q_values(np.array([])).shape == (0,)


def test_what_is_above_the_rate_loses_its_candidates_and_keeps_its_formula() -> None:
    good, poor = (kept(found(0.95, 0.05, among=a)) for a in (0.99, 0.2))
    poor |= {"unknown": "8", "ions": {"8": None}, "formulas": {"C2H6O": 0.95}}
    other = replace(FEATURE, identifier="8")
    both = [(FEATURE, good), (other, poor), (replace(FEATURE, identifier="9"), None)]
    rates = rates_of(both)
    assert rates["7"] < 0.2 < rates["8"]
    one, two, three = (x for _, x in believed(both, rates, 0.2))
    assert one is not None
    assert two is not None
    assert three is None
    assert (len(one["candidates"]), one["q_value"]) == (2, rates["7"])
    assert (two["candidates"], two["level"]) == ([], "4")
    assert "above --fdr 0.2" in two["problem"]
    assert [len(x["candidates"]) for _, x in believed(both, rates, None) if x] == [2, 2]
    named = poor | {"level": "2a"}
    assert [len(x["candidates"]) for _, x in believed([(other, named)], rates, 0.2) if x] == [2]
    with pytest.raises(ConfigError, match="between 0 and 1, got 10"):
        list(believed(both, rates, 10))


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


def test_chunks_that_other_processes_search_and_explain_are_kept_alike(
    bundle: Bundle, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spelled(number: int, one: Structure) -> Feature:
        spectrum = measurement(one, noise=0.5, seed=3).record
        mz = float(spectrum.precursor_mz)
        return replace(
            FEATURE, identifier=str(number), mz=mz, spectra=(spectrum,), merged=spectrum, adduct="[M+H]+", adducts=()
        )

    features = [spelled(n, one) for n, one in enumerate(STRUCTURES)]
    table = FeatureTable((*features, replace(features[0], identifier="silent", spectra=(), merged=None)), ("a.mzML",))
    monkeypatch.setattr(annotation, "CHUNK", 5)
    monkeypatch.setattr(run_details, "_CHUNK", 5)
    workers: list[str] = []

    def as_sent(work: Any, items: Iterable[Any], *_: Any, what: str, **__: Any) -> Iterator[Any]:
        workers.append(what)
        there = pickle.loads(pickle.dumps(work))
        yield from (pickle.loads(pickle.dumps(there(pickle.loads(pickle.dumps(item))))) for item in items)

    def results(folder: Path) -> list[Any]:
        begin(folder, {"ppm": 10})
        annotate(bundle, index, table, folder, options={"ppm": 10.0, "top": 3})
        work_out(bundle, annotated(folder, table), len(table.features), folder)
        (folder / "parts" / "00002.json").unlink()  # as if it had been killed
        (folder / "details" / "00001.json").unlink()
        annotate(bundle, index, table, folder, options={"ppm": 10.0, "top": 3})
        work_out(bundle, annotated(folder, table), len(table.features), folder)
        return list(detailed(folder, annotated(folder, table)))

    alone = results(tmp_path / "alone")
    monkeypatch.setattr(chunks, "in_parallel", as_sent)
    assert repr(results(tmp_path / "several")) == repr(alone)
    assert workers == ["annotated features", "explained features"] * 2
    assert [feature.identifier for feature, _, _ in alone][-1] == "silent"
    assert alone[0][1] is not None
    assert len(alone[0][1]["candidates"]) == 3
