"""Scorers that depend on how a run was measured are adapted to all of its queries before any is ranked."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from molvis_core.chemistry.adducts import ion_mz, neutral_mass
from molvis_core.errors import ConfigError
from molvis_core.plugins import Component, Plugin
from molvis_core.records import Measurement, PeakList, Structure
from molvis_core.testing import offer
from molvis_retrieval import importing
from molvis_retrieval.bundle import Bundle, Calibration
from molvis_retrieval.calibration.presence import presence_cases
from molvis_retrieval.calibration.weights import calibrate
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.evaluation.ranking import evaluate
from molvis_retrieval.evidence import Weigher
from molvis_retrieval.identification import identify
from molvis_retrieval.index import Index
from molvis_retrieval.runs import adapted, adapts, as_measured, remarks

sys.path.insert(0, str(Path(__file__).parent))
import barcode
from barcode import STRUCTURES, make_bundle, make_index, measurement


class Balance:
    """Likes candidates whose mass is off by what the run is off by; nothing where all of a run is exact."""

    accepts = PeakList
    features = ("near",)

    def __init__(self) -> None:
        self.offset, self.exact = 0.0, False

    def adapted(self, queries: Sequence[PeakList], masses: Sequence[np.ndarray], ppm: float) -> Balance:
        out = Balance()
        found = [_ppm(q, m)[np.abs(_ppm(q, m)).argmin()] for q, m in zip(queries, masses, strict=True) if len(m)]
        if found:
            out.offset, out.exact = float(np.median(found)), bool(np.abs(found).max() < 0.1)
        return out

    def note(self, query: PeakList) -> str:
        return "the run is exact" if self.exact else ""

    def __call__(self, query: PeakList, candidates: Sequence[Structure]) -> np.ndarray:
        errors = _ppm(query, np.array([c.exact_mass for c in candidates]))
        return np.zeros((len(candidates), 1)) if self.exact else -np.abs(errors - self.offset)[:, None]


def _ppm(query: PeakList, masses: np.ndarray) -> np.ndarray:
    assert query.precursor_mz is not None
    return (neutral_mass(query.precursor_mz, str(query.adduct)) / masses - 1) * 1e6


COMPONENT = Component("scorer", "balance", "test_runs:Balance", "Balance.")
BALANCE = Plugin("balance", "molvis-balance", "1.0", "balance", (COMPONENT,))
SOME = STRUCTURES[:1] + STRUCTURES[7:12:2] + STRUCTURES[21:]
"""Compounds of several masses."""


def _shifted(one: Structure, letter: str, ppm: float) -> Structure:
    """A made-up compound whose mass is this much higher."""
    return dataclasses.replace(
        one, inchikey=f"{letter * 14}-UHFFFAOYSA-N", exact_mass=one.exact_mass * (1 + ppm * 1e-6)
    )


TWIN = _shifted(SOME[0], "T", 6.0)


@pytest.fixture(autouse=True)
def toys() -> Iterator[None]:
    with offer(barcode.PLUGIN, BALANCE):
        yield


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(
        tmp_path / "bundle",
        same=True,
        scorer='{ use = "balance" }',
        calibration=Calibration({"msms": 0.0, "liking.near": 1.0}),
    )


@pytest.fixture
def index(bundle: Bundle, tmp_path: Path) -> Index:
    return make_index(bundle, tmp_path / "index", [*STRUCTURES, TWIN])


def _off(one: Structure, ppm: float, fold: str = "test") -> Measurement:
    good = measurement(one, fold=fold)
    mz = ion_mz(one.exact_mass, "[M+H]+") * (1 + ppm * 1e-6)
    return dataclasses.replace(good, record=dataclasses.replace(good.record, precursor_mz=mz))


def _run(ppm: float) -> list[Measurement]:
    return [_off(one, ppm) for one in SOME]


def test_all_queries_of_a_run_tell_how_each_was_measured(bundle: Bundle, index: Index) -> None:
    alone = identify(bundle, [_off(SOME[0], 5.0)], index)[0]
    assert alone.candidates[0].structure.inchikey == TWIN.inchikey  # 1 ppm off, where the truth is 5 ppm off
    together = identify(bundle, _run(5.0), index)[0]
    assert together.candidates[0].structure.exact_mass == pytest.approx(SOME[0].exact_mass)
    assert together.notes == ()


def test_an_answer_states_what_is_no_evidence(bundle: Bundle, index: Index) -> None:
    for found in identify(bundle, _run(0.0), index):
        assert found.notes == ("liking: the run is exact",)
        assert all(c.evidence["liking"] == 0 for c in found.candidates)
    assert all(not one.notes for one in identify(bundle, _run(0.0), index, rerank=False))


def test_an_ion_without_adduct_does_not_speak_for_the_run(bundle: Bundle, index: Index) -> None:
    nameless = [dataclasses.replace(m, record=dataclasses.replace(m.record, adduct=None)) for m in _run(0.0)]
    assert all(not one.notes for one in identify(bundle, nameless, index))


def test_an_evaluation_is_one_run_and_can_leave_a_scorer_out(bundle: Bundle, index: Index, tmp_path: Path) -> None:
    importing.write(_run(5.0), tmp_path / "off")
    data = Dataset.open(tmp_path / "off")
    found = evaluate(bundle, data, index, scopes=("mass",))
    hits = {f.method: f.estimates["hit1"].value for f in found.figures if f.by == "compound" and not f.group}
    without = evaluate(bundle, data, index, scopes=("mass",), without=("liking",))
    (level,) = [f for f in without.figures if f.method == "reranked" and f.by == "compound" and not f.group]
    assert found.remarks == {}
    assert hits["reranked"] > hits["embedding"] == pytest.approx(level.estimates["hit1"].value)
    with pytest.raises(ConfigError, match="no scorer 'likin' to leave out. Did you mean 'liking'"):
        evaluate(bundle, data, index, without=("likin",))


def test_an_evaluation_states_how_many_queries_a_remark_is_about(bundle: Bundle, index: Index, tmp_path: Path) -> None:
    importing.write(_run(0.0), tmp_path / "exact")
    found = evaluate(bundle, Dataset.open(tmp_path / "exact"), index, scopes=("mass",))
    assert found.remarks == {"liking: the run is exact": len(SOME)}


def test_a_decoy_does_not_live_on_the_precursor_of_its_compound(bundle: Bundle, index: Index, tmp_path: Path) -> None:
    rivals = [_shifted(SOME[0], letter, 2 * i - 7) for i, letter in enumerate("ABCDEFGH")]
    crowded = make_index(bundle, tmp_path / "crowded", [SOME[0], SOME[-1], *rivals])
    importing.write([_off(SOME[0], 0.2) for _ in range(40)] + [_off(SOME[-1], 0.2)], tmp_path / "data")
    found = evaluate(bundle, Dataset.open(tmp_path / "data"), crowded, scopes=("mass",), controls=True)
    hits = {(c.kind, c.method): c.estimates["mrr"].value for c in found.controls if c.method}
    assert hits["decoy", "reranked"] < hits["spectrum", "reranked"] - 0.2


def test_a_weight_is_fitted_on_errors_where_precursors_were_calculated(
    bundle: Bundle, index: Index, caplog: pytest.LogCaptureFixture
) -> None:
    exact = _run(0.0)
    weigh, measured = as_measured(Weigher(bundle), index.library, exact, 10.0, np.random.default_rng(0))
    assert adapts(weigh)
    off = [_ppm(m.record, np.array([one.exact_mass]))[0] for m, one in zip(measured, SOME, strict=True)]
    assert 1 < np.std(off) < 6
    assert f"{len(SOME)} of {len(SOME)} precursors look calculated: an error of 3 ppm is put on each" in caplog.text
    assert remarks(weigh, {"msms": [m.record for m in measured]}) == {}
    kept = as_measured(Weigher(bundle), index.library, _run(5.0), 10.0, np.random.default_rng(0))[1]
    assert [m.record.precursor_mz for m in kept] == [m.record.precursor_mz for m in _run(5.0)]
    many = [_off(one, 0.0) for one in STRUCTURES]
    assert "liking.near" in calibrate(bundle, many, index).weights
    assert len(presence_cases(bundle, many, index)) > 10


def test_evidence_that_adapts_to_nothing_stays_the_same(tmp_path: Path) -> None:
    plain = make_bundle(tmp_path / "plain", scorer='{ use = "favours" }', calibration=Calibration({"msms": 1.0}))
    weigh, items = Weigher(plain), _run(0.0)
    library = make_index(plain, tmp_path / "of-plain").library
    assert adapted(weigh, library, {"msms": [m.record for m in items]}, 10.0) is weigh
    assert as_measured(weigh, library, items, 10.0, np.random.default_rng(0)) == (weigh, items)
