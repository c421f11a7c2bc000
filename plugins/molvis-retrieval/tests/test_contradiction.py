"""A measurement of another compound among those of an unknown: noticed, told of, and of little weight."""

# ruff: noqa: F811 - fixtures have the names of arguments
from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from barcode import BUTANOL, STRUCTURES, measurement
from test_several import Sized, bundle, index, number, size, toys, trace  # noqa: F401 - fixtures

from molvis_core import output
from molvis_core.errors import ConfigError, DatasetError
from molvis_core.records import Measurement, Structure, Value
from molvis_retrieval.bundle import Bundle, load_bundle, write_calibration
from molvis_retrieval.calibration.pieces import calibrate_pieces, fit_pieces, piece_cases
from molvis_retrieval.commands.found import show_found
from molvis_retrieval.identification import identify
from molvis_retrieval.index import Index
from molvis_retrieval.pieces import VERSION, Pieces, fit_of, mixed, unjudged_words, words
from molvis_retrieval.report import render_report
from molvis_retrieval.results import to_json

OTHER = STRUCTURES[18]


def everything(noise: float = 0.3) -> list[Measurement]:
    return [
        one
        for seed in range(2)
        for s in STRUCTURES[:24]
        for one in (measurement(s, noise=noise, seed=seed), trace(s, noise, seed), number(s))
    ]


@pytest.fixture
def fitted(bundle: Bundle, index: Index) -> Bundle:
    pieces = calibrate_pieces(bundle, everything(), index, per_compound=4, fitted_on="codes")
    return bundle.with_calibration(dataclasses.replace(bundle.calibration, pieces=pieces))


def exchanged(one: Measurement) -> Measurement:
    """Another compound's spectrum or number in the place of the butanol's."""
    assert isinstance(one.record, Value)
    return dataclasses.replace(one, record=dataclasses.replace(one.record, value=one.record.value * 1.45))


def test_a_spectrum_of_another_compound_is_noticed_and_hardly_counts(fitted: Bundle, index: Index) -> None:
    own = [measurement(BUTANOL, noise=0.3, seed=9), trace(BUTANOL, 0.3, 9), number(BUTANOL)]
    mixed_up = [own[0], dataclasses.replace(trace(OTHER, 0.3, 9), structure=BUTANOL), own[2]]
    good, bad = identify(fitted, [own, mixed_up], index)
    assert set(good.pieces) == set(bad.pieces) == {"msms", "ir", "ccs"}
    assert all(probability > 0.9 for probability in good.pieces.values())
    assert good.contradictions == ()
    assert bad.pieces["ir"] < 0.5 < min(bad.pieces["msms"], bad.pieces["ccs"])
    (said,) = bad.contradictions
    assert said.startswith("the IR spectrum fits none of these candidates; that it is of this unknown: ")
    assert bad.truth_rank == 1
    assert bad.candidates[0].probability > 0.9
    believed = identify(fitted, [mixed_up], index, doubt=0.0)[0]
    assert believed.pieces == {}
    for c in bad.candidates:
        assert c.score == pytest.approx(sum(c.evidence.values()), abs=1e-6)
        assert "doubt" in c.evidence


def test_how_far_a_number_is_off_is_told_where_a_scorer_can_say(
    fitted: Bundle,
    index: Index,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def misfit(self: Any, query: Value, candidates: Sequence[Structure]) -> str:
        return f"{100 * min(abs(query.value / size(c) - 1) for c in candidates):.0f}% off every candidate"

    parts = [measurement(BUTANOL, noise=0.3, seed=9), trace(BUTANOL, 0.3, 9), exchanged(number(BUTANOL))]
    (plain,) = identify(fitted, [parts], index)
    monkeypatch.setattr(Sized, "misfit", misfit, raising=False)
    (found,) = identify(fitted, [parts], index)
    assert found.pieces["ccs"] < 0.05
    assert "the CCS fits none of these candidates; " in plain.contradictions[0]
    assert "% off every candidate)" in found.contradictions[0]
    assert found.truth_rank == 1


def test_a_scorer_that_says_how_far_a_number_is_off_is_believed(
    fitted: Bundle, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fit to few compounds may take a number that is far off all candidates for one that fits others."""
    pieces = fitted.calibration.pieces
    isomers = [s for s in STRUCTURES if s.formula == BUTANOL.formula]
    other = max(isomers, key=lambda s: abs(size(s) - size(BUTANOL)))
    far = dataclasses.replace(number(other), structure=BUTANOL)
    weights = pieces.weights | {k: -3.5 if k == "ccs/" else 0.0 for k in pieces.weights if k.startswith("ccs/")}
    unsure = dataclasses.replace(pieces, weights=weights)
    bundle = fitted.with_calibration(dataclasses.replace(fitted.calibration, pieces=unsure))
    parts = [measurement(BUTANOL, noise=0.3, seed=9), trace(BUTANOL, 0.3, 9), far]
    said = identify(bundle, [parts], index)[0].contradictions
    monkeypatch.setattr(Sized, "misfit", lambda *_: "far off", raising=False)
    told = identify(bundle, [parts], index)[0].contradictions
    assert len(said) == len(told) == 1
    assert "fits other candidates" in said[0]
    assert "the CCS fits none of these candidates (far off)" in told[0]


def test_what_is_said_reaches_text_json_and_report(
    fitted: Bundle,
    index: Index,
    capsys: pytest.CaptureFixture[str],
) -> None:
    parts = [measurement(BUTANOL, noise=0.3, seed=9), exchanged(number(BUTANOL))]
    found = identify(fitted, [parts], index)
    show_found(found)
    assert "contradiction: the CCS fits none of these candidates" in capsys.readouterr().out
    plain = to_json(found)[0]
    assert plain["contradictions"] == list(found[0].contradictions)
    assert plain["pieces"] == dict(found[0].pieces)
    page = render_report(found, bundle=fitted, index=index)
    assert "The CCS fits none of these candidates" in page
    assert "Of this unknown at all" in page


def test_the_overview_marks_the_queries_whose_measurements_contradict_each_other(fitted: Bundle, index: Index) -> None:
    own = [measurement(BUTANOL, noise=0.3, seed=9), number(BUTANOL)]
    found = identify(fitted, [own, [own[0], exchanged(own[1])], own], index)
    overview = render_report(found, bundle=fitted, index=index).partition("<section")[0]
    assert overview.count("contradiction: ccs</span>") == overview.count("contradiction") == 1
    (row,) = [one for one in overview.split("<tr>") if "contradiction: ccs" in one]
    assert 'href="#query-2"' in row
    assert "fits none of these candidates" in row
    assert "<dt>measurements contradict each other</dt><dd>1 of 3 queries</dd>" in overview
    told = [row["contradictions"] for row in found.to_rows()]
    assert {text for text in told if text} == {"; ".join(found[1].contradictions)}
    good = render_report(identify(fitted, [own, own], index), bundle=fitted, index=index)
    assert "contradict" not in good


def test_one_kind_of_measurement_is_not_doubted(fitted: Bundle, index: Index) -> None:
    found = identify(fitted, [[measurement(BUTANOL)], [measurement(BUTANOL), measurement(BUTANOL, seed=1)]], index)
    for one in found:
        assert (one.pieces, one.contradictions) == ({}, ())
        assert all("doubt" not in c.evidence for c in one.candidates)


def test_what_nobody_looked_at_is_said(
    bundle: Bundle, fitted: Bundle, index: Index, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bundle without such a fit would else print a mixed-up set as it prints a good one."""
    parts = [measurement(BUTANOL, noise=0.3, seed=9), trace(BUTANOL, 0.3, 9)]
    found = identify(bundle, [parts], index)
    assert found[0].unjudged == ("msms", "ir")
    with output.asked(quiet=False):
        show_found(found)
    assert "whether MSMS and IR are of this unknown was not looked at" in capsys.readouterr().err
    assert to_json(found)[0]["pieces_unjudged"] == ["msms", "ir"]
    assert "Whether MSMS and IR are of this unknown was not looked at" in render_report(
        found, bundle=bundle, index=index
    )
    judged = [*identify(fitted, [parts], index), *identify(bundle, [parts[:1]], index)]
    with output.asked(quiet=False):
        show_found(judged)
    assert [one.unjudged for one in judged] == [(), ()]
    assert "not looked at" not in capsys.readouterr().err
    assert "not looked at" not in render_report(judged, bundle=fitted, index=index)


def test_of_three_pieces_that_without_a_fit_is_named(fitted: Bundle, index: Index) -> None:
    pieces = fitted.calibration.pieces
    kept = {name: v for name, v in pieces.features.items() if not name.startswith("ir/")}
    less = dataclasses.replace(pieces, features=kept)
    bundle = fitted.with_calibration(dataclasses.replace(fitted.calibration, pieces=less))
    parts = [measurement(BUTANOL, noise=0.3, seed=9), trace(BUTANOL, 0.3, 9), number(BUTANOL)]
    (found,) = identify(bundle, [parts], index)
    assert set(found.pieces) == {"msms", "ccs"}
    assert found.unjudged == ("ir",)
    assert "whether IR is of this unknown" in unjudged_words(found.unjudged)
    (undoubted,) = identify(fitted, [parts], index, doubt=0)
    assert undoubted.unjudged == ("msms", "ir", "ccs")


def test_a_fit_is_kept_in_the_bundle_and_one_of_another_version_is_not_used(
    fitted: Bundle,
    index: Index,
) -> None:
    stored = write_calibration(load_bundle(fitted.path), fitted.calibration)
    assert load_bundle(stored.path).calibration.pieces == fitted.calibration.pieces
    later = dataclasses.replace(fitted.calibration.pieces, version=VERSION + 1)
    unused = fitted.with_calibration(dataclasses.replace(fitted.calibration, pieces=later))
    parts = [measurement(BUTANOL), number(BUTANOL)]
    assert identify(unused, [parts], index)[0].pieces == {}


def test_probabilities_of_pieces_agree_with_how_often_they_are_own(fitted: Bundle, index: Index) -> None:
    """Of fresh measurements, a piece exchanged in half of the cases."""
    fresh = [
        one
        for s in STRUCTURES[:24]
        for one in (measurement(s, noise=0.3, seed=70), trace(s, 0.3, 70), number(s, error=0.3))
    ]
    cases = piece_cases(fitted, fresh, index, per_compound=4, seed=3)
    stated: list[float] = []
    own: list[bool] = []
    for case in cases:
        found = fitted.calibration.pieces.doubted(case.pieces, 0.5)
        assert found is not None
        logits = found.added + np.sum([p.evidence for p in case.pieces.values()], axis=0)
        chosen = np.exp(logits - np.logaddexp.reduce(logits))
        stated += [float(chosen @ (1 - foreign)) for foreign in found.foreign.values()]
        own += [m != case.foreign for m in found.foreign]
    p, y = np.array(stated), np.array(own)
    assert len(p) > 100
    assert abs(p.mean() - y.mean()) < 0.1
    assert p[y].mean() > p[~y].mean() + 0.3


def test_a_piece_that_fits_nothing_leaves_the_others_as_they_are() -> None:
    evidence = {"a": np.array([3.0, 0.0, -1.0]), "b": np.array([0.0, -4.0, -8.0])}
    told = mixed(evidence, {"a": 30.0, "b": -30.0}, 0.1)
    logits = told.added + evidence["a"] + evidence["b"]
    np.testing.assert_allclose(np.diff(logits), np.diff(evidence["a"]), atol=1e-6)
    assert told.foreign["b"].min() > 0.999
    assert told.foreign["a"].max() < 1e-3


def test_what_fits_is_looked_at_where_the_piece_fits_best() -> None:
    found = fit_of(np.array([0.0, 2.0]), {"x": np.array([5.0, 7.0])})
    assert found == pytest.approx({"x": 7.0, "stands": 2 - np.log((1 + np.exp(2)) / 2), "rivals": np.log(2)})


def test_words_say_what_and_how_sure() -> None:
    assert words("ccs", "", 0.004, fits_none=True, detail="45% above") == (
        "the CCS fits none of these candidates (45% above); that it is of this unknown: < 1%"
    )
    assert words("nmr-shifts", "shifts", 0.31, fits_none=False) == (
        "the nmr-shifts shifts fits other candidates than what else was measured; that it is of this unknown: 31%"
    )


def test_what_makes_no_sense_is_refused(fitted: Bundle, index: Index) -> None:
    with pytest.raises(ConfigError, match="doubt is a probability"):
        identify(fitted, [measurement(BUTANOL)], index, doubt=1.0)
    with pytest.raises(DatasetError, match="were measured in several ways; at least 20"):
        fit_pieces([])
    assert not Pieces().usable


def test_a_report_of_several_measurements_is_written(fitted: Bundle, index: Index, tmp_path: Path) -> None:
    parts = [measurement(BUTANOL, noise=0.3, seed=9), exchanged(number(BUTANOL))]
    page = tmp_path / "page.html"
    page.write_text(render_report(identify(fitted, [parts], index)), encoding="utf-8")
    assert "contradiction" in page.read_text(encoding="utf-8")
