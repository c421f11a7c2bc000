"""Readings of an unknown weighed side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from molvis_core import structure
from molvis_core.records import PeakList, Structure
from molvis_retrieval.calibration.weights import _Candidates, _Maker
from molvis_retrieval.channels import ScorerChannel
from molvis_retrieval.evidence import Embedded, Weigher
from molvis_retrieval.placing import Placed
from molvis_retrieval.unknowns import Unknown
from molvis_retrieval.weighing import Weighed, weigh_readings

STRUCTURES = [structure(smiles) for smiles in ("CCCCO", "CCC(C)O", "CCCCCO", "CCCOC")]
SPECTRUM = PeakList(np.array([57.07]), np.ones(1), 75.08)


class Scorer:
    """Gives what it is told to, and remembers of whom it was asked."""

    accepts = PeakList
    features = ("x",)

    def __init__(self, values: dict[str, float], cost: int) -> None:
        self.values, self.cost = values, cost
        self.asked: list[str] = []

    def __call__(self, query: PeakList, candidates: Sequence[Structure]) -> np.ndarray:
        self.asked += [one.smiles for one in candidates]
        return np.array([[self.values.get(one.smiles, 0.0)] for one in candidates])


class Index:
    """Looks structures up."""

    library = SimpleNamespace(structures=lambda rows: [STRUCTURES[row] for row in rows])


def weigher(*scorers: Scorer) -> Weigher:
    out = object.__new__(Weigher)
    out.calibration = SimpleNamespace(shortlist=10, repeats=0.0, weights={f"s{n}.x": 1.0 for n in range(len(scorers))})
    takes = lambda modality, record: True  # noqa: E731
    out.scorers = {
        f"s{n}": SimpleNamespace(scorer=one, features=one.features, takes=takes, apart=lambda records: [records])
        for n, one in enumerate(scorers)
    }
    return out


def reading(adduct: str, rows: list[int], formula: list[float] | None) -> tuple[Embedded, Placed]:
    unknown = Unknown("q", {"msms": (SPECTRUM,)}, mass=74.07, share=0.5)
    prior = np.zeros(len(rows))
    told = None if formula is None else np.array(formula)
    return Embedded(unknown, {}), Placed(unknown, np.array(rows), prior, [""] * len(rows), told)


def test_a_reading_far_behind_is_not_asked_for_what_costs_more() -> None:
    quick, slow = Scorer({"CCCCO": 9.0}, 0), Scorer({}, 2)
    some = [reading("[M+H]+", [0, 1], [0.0, 0.0]), reading("[M+Na]+", [2, 3], [0.0, -1.0])]
    found = weigh_readings([e for e, _ in some], [p for _, p in some], Index(), weigher(quick, slow))
    assert slow.asked == ["CCCCO", "CCC(C)O"]
    assert isinstance(found[0], Weighed)
    assert "far behind" in str(found[1])


def test_readings_that_come_near_are_weighed_as_each_alone() -> None:
    quick, middle, slow = Scorer({"CCCCO": 2.0}, 0), Scorer({"CCCCCO": 1.5}, 1), Scorer({"CCCOC": 0.5}, 2)
    some = [reading("[M+H]+", [0, 1], [0.0, 0.0]), reading("[M+Na]+", [2, 3], [0.0, -1.0])]
    together = weigh_readings([e for e, _ in some], [p for _, p in some], Index(), weigher(quick, middle, slow))
    assert quick.asked == middle.asked == slow.asked == [one.smiles for one in STRUCTURES]  # of each once
    for one, (embedded, placed) in zip(together, some, strict=True):
        (alone,) = weigh_readings([embedded], [placed], Index(), weigher(quick, middle, slow))
        assert isinstance(one, Weighed)
        assert isinstance(alone, Weighed)
        np.testing.assert_allclose(one.logits, alone.logits)
        assert one.evidence(0) == pytest.approx(alone.evidence(0))


def test_without_formulas_every_reading_is_weighed_to_the_end() -> None:
    quick, slow = Scorer({"CCCCO": 9.0}, 0), Scorer({}, 2)
    some = [reading("[M+H]+", [0, 1], None), reading("[M+Na]+", [2, 3], None)]
    found = weigh_readings([e for e, _ in some], [p for _, p in some], Index(), weigher(quick, slow))
    assert all(isinstance(one, Weighed) for one in found)
    assert len(slow.asked) == len(STRUCTURES)


def test_what_costs_most_does_not_look_at_candidates_that_are_far_behind() -> None:
    some = [structure("C" * n + "O") for n in range(1, 9)]
    behind = {one.smiles: -1.0 * n for n, one in enumerate(some)}
    quick, middle = Scorer({}, 0), Scorer(behind, 1)
    slow = Scorer({one.smiles: 0.1 * n for n, one in enumerate(some)}, 2)
    found = weigher(quick, middle, slow).score_without({"msms": [SPECTRUM]}, 8, lambda rows: [some[r] for r in rows])
    assert slow.asked == [one.smiles for one in some[:5]]
    np.testing.assert_allclose(found.scorers["s2"], [0.0, 0.1, 0.2, 0.3, 0.4, 0.0, 0.0, 0.0])
    assert np.argsort(-found.logits, kind="stable").tolist() == list(range(8))


class Telling(Scorer):
    """Tells records apart by their precursor."""

    def kind(self, record: PeakList) -> str:
        return str(record.precursor_mz)


def test_records_that_a_scorer_tells_apart_add_up_where_weights_are_fitted_as_where_they_are_used() -> None:
    weigh = weigher()
    weigh.calibration.repeats = 0.0
    weigh.scorers = {
        "s0": ScorerChannel(Telling({"CCCCO": 3.0, "CCCOC": 1.0}, 0), "msms"),
        "s1": ScorerChannel(Scorer({"CCCOC": 2.0}, 0), "msms"),
    }
    records = {"msms": [SPECTRUM, replace(SPECTRUM, precursor_mz=80.0), replace(SPECTRUM, precursor_mz=80.0)]}
    maker: Any = object.__new__(_Maker)
    for name, value in (("weigh", weigh), ("columns", ("s0.x", "s1.x"))):
        object.__setattr__(maker, name, value)
    candidates = _Candidates(STRUCTURES, np.zeros((4, 2)), 0, {}, {})
    single = {"msms": [maker._values(candidates, "msms", k, record) for k, record in enumerate(records["msms"])]}
    case = maker._together(candidates, single, records)
    used = weigh.features(records, STRUCTURES)
    np.testing.assert_allclose(case.values, np.hstack([used["s0"], used["s1"]]))
    assert case.values[0, 0] == pytest.approx(6.0)  # two kinds, each of 3
    assert case.counts.tolist() == [1.5, 3.0]


def test_a_case_of_evidence_that_is_all_told_apart_counts_repeats_of_one_kind() -> None:
    weigh = weigher()
    weigh.scorers = {"s0": ScorerChannel(Telling({"CCCCO": 3.0}, 0), "msms")}
    records = {"msms": [SPECTRUM, replace(SPECTRUM), replace(SPECTRUM)]}
    maker: Any = object.__new__(_Maker)
    for name, value in (("weigh", weigh), ("columns", ("s0.x",))):
        object.__setattr__(maker, name, value)
    candidates = _Candidates(STRUCTURES, np.zeros((4, 2)), 0, {}, {})
    single = {"msms": [maker._values(candidates, "msms", k, record) for k, record in enumerate(records["msms"])]}
    case = maker._together(candidates, single, records)
    assert case.counts.tolist() == [3.0]
    assert case.values[0, 0] == pytest.approx(3.0)
