"""How probable it is that the truth is among the candidates: fitted, stored, combined, shown, and never invented."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from barcode import STRUCTURES, make_index, measurement

from molvis_core.errors import DatasetError
from molvis_retrieval.bundle import Bundle, Calibration, load_bundle, write_calibration
from molvis_retrieval.calibration.presence import (
    KINDS,
    PresenceCase,
    calibrate_presence,
    fit_presence,
    presence_cases,
    random_peaks,
)
from molvis_retrieval.calibration.weights import calibrate
from molvis_retrieval.identification import identify
from molvis_retrieval.index import Index
from molvis_retrieval.presence import VERSION, Presence, words
from molvis_retrieval.report import render_report
from molvis_retrieval.results import to_json, to_rows, write_csv

BUTANOL = STRUCTURES[0]


pytestmark = pytest.mark.usefixtures("toys")


def queries(noise: float = 0.25, repeats: int = 3) -> list[Any]:
    return [measurement(s, noise=noise, seed=i) for i in range(repeats) for s in STRUCTURES[:21]]


def calibrated(bundle: Bundle, index: Index) -> Bundle:
    weighed = bundle.with_calibration(calibrate(bundle, queries(), index))
    presence = calibrate_presence(weighed, queries(), index, fitted_on="codes")
    return weighed.with_calibration(dataclasses.replace(weighed.calibration, presence=presence))


def without(one: Any) -> tuple[Any, ...]:
    return tuple(s for s in STRUCTURES if s.inchikey14 != one.inchikey14)


def test_the_truth_in_the_library_is_told_from_the_truth_taken_out(
    bundle: Bundle, index: Index, tmp_path: Path
) -> None:
    ready = calibrated(bundle, index)
    lacking = make_index(ready, tmp_path / "lacking", without(BUTANOL))
    fresh = [measurement(BUTANOL, noise=0.25, seed=100 + i) for i in range(5)]
    there = [f.probability_among for f in identify(ready, fresh, index)]
    gone = [f.probability_among for f in identify(ready, fresh, lacking)]
    assert all(a is not None and b is not None and a > 0.5 > b for a, b in zip(there, gone, strict=True))


def test_a_single_candidate_is_not_certain(bundle: Bundle, index: Index, tmp_path: Path) -> None:
    ready = calibrated(bundle, index)
    lone = make_index(ready, tmp_path / "lone", (STRUCTURES[1],))
    wrong, right = identify(ready, [measurement(BUTANOL), measurement(STRUCTURES[1])], lone)
    assert wrong.n_candidates == right.n_candidates == 1
    assert wrong.candidates[0].probability == right.candidates[0].probability == 1
    assert wrong.probability_among is not None
    assert right.probability_among is not None
    assert wrong.probability_among < 0.25 < right.probability_among
    page = render_report([wrong, right], bundle=ready, index=lone)
    assert ">100.0%<" not in page
    assert "only candidate" in page
    assert "probably not among them" in page


def test_measurements_of_one_unknown_say_more_together(bundle: Bundle, index: Index) -> None:
    ready = calibrated(bundle, index)
    spectra = [measurement(s, noise=0.45, seed=50 + i) for s in STRUCTURES[:21] for i in range(4)]
    alone = [f.probability_among or 0.0 for f in identify(ready, spectra, index)]
    groups = [spectra[i : i + 4] for i in range(0, len(spectra), 4)]
    together = [f.probability_among or 0.0 for f in identify(ready, groups, index)]
    assert len(together) == 21
    assert 0 < min(together) < max(together) < 1
    # A mean over measurements hides the worst of them, so that fewer answers are wide of the mark.
    assert np.quantile(together, 0.1) >= np.quantile(alone, 0.1)


def test_a_bundle_that_was_not_calibrated_for_it_says_so_and_gives_no_number(bundle: Bundle, index: Index) -> None:
    (found,) = identify(bundle, [measurement(BUTANOL)], index)
    assert found.probability_among is None
    assert found.joint(found.candidates[0]) is None
    assert to_json([found])[0]["probability_among"] is None
    assert "not calibrated" in render_report([found], bundle=bundle, index=index)


def test_what_was_not_seen_in_the_fit_gets_no_number(bundle: Bundle, index: Index) -> None:
    ready = calibrated(bundle, index)
    assert identify(ready, [measurement(BUTANOL)], index, candidates="all")[0].probability_among is None
    assert identify(ready, [measurement(BUTANOL)], index)[0].probability_among is not None
    other = dataclasses.replace(ready.calibration.presence, modalities=("ir",))
    changed = ready.with_calibration(dataclasses.replace(ready.calibration, presence=other))
    assert identify(changed, [measurement(BUTANOL)], index)[0].probability_among is None
    newer = dataclasses.replace(ready.calibration.presence, version=VERSION + 1)
    changed = ready.with_calibration(dataclasses.replace(ready.calibration, presence=newer))
    assert identify(changed, [measurement(BUTANOL)], index)[0].probability_among is None


def test_new_weights_of_the_evidence_forget_what_was_fitted_to_the_old(bundle: Bundle, index: Index) -> None:
    ready = calibrated(bundle, index)
    assert ready.calibration.presence.usable
    assert not calibrate(ready, queries(), index).presence.usable


def test_it_is_stored_with_the_bundle(bundle: Bundle, index: Index) -> None:
    ready = calibrated(bundle, index)
    write_calibration(bundle, ready.calibration)
    stored = load_bundle(bundle.path)
    assert stored.calibration == ready.calibration
    assert stored.calibration.presence.fitted_on == "codes"
    query = [measurement(BUTANOL, noise=0.3)]
    assert identify(stored, query, index)[0].probability_among == identify(ready, query, index)[0].probability_among


def test_probabilities_all_told_are_shares_of_it(bundle: Bundle, index: Index, tmp_path: Path) -> None:
    found = identify(calibrated(bundle, index), [measurement(BUTANOL, noise=0.3)], index)
    rows, (plain,) = to_rows(found), to_json(found)
    assert sum(r["probability_joint"] for r in rows) == pytest.approx(found[0].probability_among)
    assert rows[0]["probability_joint"] == pytest.approx(rows[0]["probability"] * rows[0]["probability_among"])
    assert plain["candidates"][0]["probability_joint"] == rows[0]["probability_joint"]
    write_csv(tmp_path / "found.csv", found)
    with (tmp_path / "found.csv").open(encoding="utf-8", newline="") as file:
        written = float(next(csv.DictReader(file))["probability_among"])
    assert written == pytest.approx(found[0].probability_among, rel=1e-8)
    assert json.dumps(plain)


def test_the_truth_comes_and_goes_among_equally_many_candidates(bundle: Bundle, index: Index) -> None:
    cases = presence_cases(bundle, queries(), index, per_compound=2)
    assert {c.kind for c in cases} == set(KINDS)
    real = [(c.compound, c.kind, c.candidates) for c in cases if c.kind in ("present", "removed")]
    for present, removed in zip(real[::2], real[1::2], strict=True):
        assert (present[1], removed[1]) == ("present", "removed")
        assert (present[0], present[2]) == (removed[0], removed[2])
    assert min(c.candidates for c in cases) < 3 < max(c.candidates for c in cases)
    assert {c.records for c in cases} == {1, 2}
    for compound in {c.compound for c in cases}:
        assert sum(c.share for c in cases if c.compound == compound and c.present) == pytest.approx(0.5)


def test_a_compound_alone_in_its_window_gives_no_case(bundle: Bundle, tmp_path: Path) -> None:
    lone = make_index(bundle, tmp_path / "lone", (BUTANOL,))
    assert presence_cases(bundle, [measurement(BUTANOL)], lone) == []


def test_random_peaks_keep_heights_and_ion_and_lose_the_rest() -> None:
    record = dataclasses.replace(measurement(BUTANOL).record, precursor_mz=300.0)
    made = random_peaks(record, np.random.default_rng(0))
    assert sorted(made.intensity) == sorted(record.intensity)
    assert (made.precursor_mz, made.adduct) == (300.0, record.adduct)
    assert 50 <= made.mz.min() <= made.mz.max() <= 299
    assert not np.isin(made.mz, record.mz).any()


def test_too_few_compounds_to_fit_it_are_an_error(bundle: Bundle, index: Index) -> None:
    with pytest.raises(DatasetError, match="5 compounds can be used.*at least 20"):
        calibrate_presence(bundle, [measurement(s) for s in STRUCTURES[:5]], index)


def test_what_a_feature_is_worth_depends_on_what_was_measured() -> None:
    rng = np.random.default_rng(0)

    def case(number: int, modality: str) -> PresenceCase:
        first = float(rng.uniform())
        # The share of the first candidate tells of presence by mass spectra; by cross sections it tells nothing.
        present = rng.uniform() < (first if modality == "msms" else 0.5)
        features = {f"has.{modality}": 1.0, "first": first}
        return PresenceCase(f"compound {number}", "present" if present else "removed", features, 5, 1, 1.0)

    fitted = fit_presence([case(n, modality) for n in range(800) for modality in ("msms", "ccs")])
    assert fitted.modalities == ("ccs", "msms")
    spectra = [fitted.probability({"has.msms": 1.0, "first": first}) for first in (0.1, 0.9)]
    sections = [fitted.probability({"has.ccs": 1.0, "first": first}) for first in (0.1, 0.9)]
    assert spectra == pytest.approx([0.1, 0.9], abs=0.1)
    assert sections == pytest.approx([0.5, 0.5], abs=0.1)


def test_beyond_what_was_seen_nothing_is_extrapolated() -> None:
    presence = Presence(weights={"a": 2.0, "a*a": 1.0}, features={"a": (0.0, 1.0, 0.5, 0.5)}, modalities=("msms",))
    assert presence.probability({"a": 50.0}) == presence.probability({"a": 1.0})
    assert presence.probability({"a": 1.0}) == pytest.approx(1 / (1 + np.exp(-3)))
    assert presence.probability({}) == 0.5
    assert not Presence().takes(("msms",))
    assert Calibration().presence == Presence()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "not calibrated"),
        (0.97, "97%"),
        (0.9999, "> 99%"),
        (0.12, "12%, probably not among them"),
        (0.0001, "< 1%, probably not among them"),
    ],
)
def test_a_probability_is_said_in_words(value: float | None, text: str) -> None:
    assert words(value) == text
