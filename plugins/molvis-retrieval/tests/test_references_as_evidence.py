"""Scorers whose evidence is from known compounds: more of it for one search, none of a query's own in calibration."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import barcode
import numpy as np
import pytest
from barcode import STRUCTURES, make_bundle, make_index, measurement

from molvis_core import output
from molvis_core.chemistry.structures import structure
from molvis_core.errors import BundleError, ConfigError
from molvis_core.interfaces import UsesReferences
from molvis_core.plugins import Component, Plugin
from molvis_core.records import PeakList, Structure
from molvis_core.testing import offer
from molvis_retrieval.bundle import Bundle, load_bundle
from molvis_retrieval.calibration.weights import calibrate
from molvis_retrieval.commands.identify import identify as command
from molvis_retrieval.evidence import Weigher
from molvis_retrieval.identification import identify
from molvis_retrieval.report import render_report


class Remembers:
    """Knows the compounds whose keys are in a file: a feature is 1 for those, two for all others; one is not fitted."""

    accepts = PeakList
    features = ("known", "strange", "familiar")
    usual_weights: Mapping[str, float] = {"known": 3.5}

    def __init__(self) -> None:
        self.compounds: frozenset[str] = frozenset()

    def __call__(self, query: PeakList, candidates: Sequence[Structure]) -> np.ndarray:
        known = np.array([float(c.inchikey14 in self.compounds) for c in candidates])
        return np.stack([known, 1 - known, known], axis=1)

    def with_references(self, path: Path) -> Remembers:
        out = copy.copy(self)
        out.compounds = self.compounds | frozenset((path / "keys.txt").read_text(encoding="utf-8").split())
        return out

    def without(self, compounds: Collection[str]) -> Remembers:
        out = copy.copy(self)
        out.compounds = self.compounds - frozenset(compounds)
        return out

    def reference(self, candidate: Structure, like: Any) -> PeakList | None:
        return like if candidate.inchikey14 in self.compounds else None


@pytest.fixture(autouse=True)
def toys() -> Iterator[None]:
    remembers = Component("scorer", "remembers", "test_references_as_evidence:Remembers", "Knows some.")
    with offer(barcode.PLUGIN), offer(Plugin("remembers", "molvis-remembers", "1.0", "x", (remembers,))):
        yield


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "bundle", scorer='{ use = "remembers" }')


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "refs").mkdir()
    (tmp_path / "refs" / "keys.txt").write_text("\n".join(s.inchikey14 for s in STRUCTURES), encoding="utf-8")
    return tmp_path / "refs"


def test_references_are_added_to_a_copy_of_the_bundle(bundle: Bundle, folder: Path) -> None:
    assert isinstance(Remembers(), UsesReferences)
    more = bundle.with_references(folder)
    assert len(more.scorers["liking"].compounds) == len(STRUCTURES)
    assert not bundle.scorers["liking"].compounds
    assert more.digest == bundle.digest


def test_a_bundle_that_uses_no_references_says_how_to_get_one_that_does(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(BundleError, match="nearest-spectra"):
        make_bundle(tmp_path / "plain").with_references(folder)


def test_calibration_leaves_the_query_s_own_compound_out(bundle: Bundle, folder: Path, tmp_path: Path) -> None:
    """With it all candidates would be known, and nothing would follow; without it, all but the truth are."""
    more = bundle.with_references(folder)
    index = make_index(bundle, tmp_path / "index")
    items = [measurement(one, noise=0.6, seed=seed) for one in STRUCTURES for seed in range(2)]
    found = calibrate(more, items, index).weights
    assert found["liking.strange"] > 1
    assert found["liking.known"] == 3.5
    assert calibrate(bundle, items, index).weights["liking.strange"] == 0


def test_likeness_to_a_reference_never_counts_against_a_candidate(
    bundle: Bundle, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Beside `strange`, its opposite, `familiar` says nothing of its own; fitted freely it would share its weight."""
    items = [measurement(one, noise=0.6, seed=seed) for one in STRUCTURES for seed in range(2)]
    with caplog.at_level("INFO", logger="molvis"):
        found = calibrate(bundle.with_references(folder), items, make_index(bundle, tmp_path / "index")).weights
    assert found["liking.familiar"] == 0
    assert "liking.familiar is held at 0" in caplog.text


def test_a_weigher_without_references_is_itself(tmp_path: Path, bundle: Bundle, folder: Path) -> None:
    plain = Weigher(make_bundle(tmp_path / "plain"))
    assert plain.without(["A"]) is plain
    weights = bundle.calibration.weights | {"liking.known": 1.0}
    more = bundle.with_references(folder)
    weigher = Weigher(more.with_calibration(dataclasses.replace(more.calibration, weights=weights)))
    fewer = weigher.without([STRUCTURES[0].inchikey14])
    query = {"msms": [measurement(STRUCTURES[0]).record]}
    assert weigher.features(query, STRUCTURES[:2])["liking"][:, 0].tolist() == [1, 1]
    assert fewer.features(query, STRUCTURES[:2])["liking"][:, 0].tolist() == [0, 1]


def test_the_report_draws_the_reference_that_a_scorer_knows(bundle: Bundle, folder: Path, tmp_path: Path) -> None:
    index = make_index(bundle, tmp_path / "index")
    query = measurement(STRUCTURES[0])
    for one, drawn in ((bundle, False), (bundle.with_references(folder), True)):
        page = render_report(identify(one, [query], index), bundle=one, index=index)
        assert ("below: reference spectrum of candidate 1, cosine 1.00" in page) == drawn


def test_the_command_takes_references(
    bundle: Bundle, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_index(bundle, tmp_path / "index")
    (tmp_path / "a.codes").write_text(STRUCTURES[0].smiles + "\n", encoding="utf-8")
    options = {"library": [tmp_path / "index"], "bundle": str(bundle.path), "html": tmp_path / "a.html"}
    command([tmp_path / "a.codes"], **options, references=[folder])
    assert "reference spectrum of candidate 1" in (tmp_path / "a.html").read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match="no such folder"):
        command([tmp_path / "a.codes"], **options, references=[tmp_path / "no"])
    assert load_bundle(bundle.path).scorers["liking"].compounds == frozenset()


def test_a_file_of_references_that_has_none_of_the_candidates_is_told_of(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_index(bundle, tmp_path / "index")
    for name, one in (("a", STRUCTURES[0]), ("other", structure("CCCCCCCCCCCCC#N"))):
        (tmp_path / f"{name}.codes").write_text(one.smiles + "\n", encoding="utf-8")
    page = tmp_path / "a.html"
    options = {"library": [tmp_path / "index"], "bundle": str(bundle.path), "html": page}
    for name, drawn in (("a", True), ("other", False)):
        with output.asked(quiet=False):
            command([tmp_path / "a.codes"], **options, reference=tmp_path / f"{name}.codes")
        assert ("reference spectrum of candidate 1" in page.read_text(encoding="utf-8")) is drawn
        assert ("has no spectrum of the best candidates" in capsys.readouterr().err) is not drawn


def test_cosines_that_are_to_be_silent_count_alone_and_choose_the_shortlist(folder: Path, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "quiet", scorer='{ use = "remembers" }', cosines=False).with_references(folder)
    items = [measurement(one, noise=0.6, seed=seed) for one in STRUCTURES for seed in range(2)]
    found = calibrate(bundle, items, make_index(bundle, tmp_path / "index"))
    assert found.weights["msms"] == 0
    assert found.weights["msms.alone"] > 0
    weigher = Weigher(bundle.with_calibration(dataclasses.replace(found, shortlist=2)))
    query, cosine = {"msms": [items[0].record]}, {"msms": np.array([[0.1, 0.9, 0.2, 0.8]])}
    scored = weigher.score(query, cosine, lambda near: [STRUCTURES[i] for i in near])
    assert scored.near.tolist() == [1, 3]
    assert not scored.cosines["msms"].any()
