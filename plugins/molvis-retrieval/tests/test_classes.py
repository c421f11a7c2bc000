"""Classes of unknowns, from what their candidates agree on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molvis_core.chemistry.structures import structure
from molvis_core.records import Structure
from molvis_retrieval.classes import LEAST, analogues, class_probabilities

ALCOHOL, ACID, RING = (structure(s) for s in ("CCO", "CC(=O)O", "Oc1ccccc1"))


class Toy:
    """Whether a structure has oxygen, a double-bonded one, a ring."""

    names = ("oxygen", "carbonyl", "ring")
    groups = ("element", "group", "group")

    def __call__(self, structures: Sequence[Structure]) -> np.ndarray:
        rows = [("O" in s.smiles, "=O" in s.smiles, "1" in s.smiles) for s in structures]
        return np.array(rows, dtype=bool).reshape(-1, 3)


def test_the_probability_of_a_class_is_that_of_its_candidates() -> None:
    found = class_probabilities([ALCOHOL, ACID, RING], np.array([0.5, 0.3, 0.2]), [Toy()])
    assert [(c.name, round(c.probability, 6), c.candidates) for c in found] == [
        ("oxygen", 1.0, 3), ("carbonyl", 0.3, 1), ("ring", 0.2, 1),
    ]  # fmt: skip


def test_what_candidates_further_down_hold_is_left_out_of_the_scale() -> None:
    (oxygen, carbonyl) = class_probabilities([ALCOHOL, ACID], np.array([0.25, 0.25]), [Toy()])
    assert (oxygen.probability, carbonyl.probability) == (1.0, 0.5)


def test_unlikely_classes_are_not_reported() -> None:
    found = class_probabilities([ALCOHOL, RING], np.array([1 - LEAST / 2, LEAST / 2]), [Toy()])
    assert [c.name for c in found] == ["oxygen"]


@given(st.lists(st.floats(1e-6, 1), min_size=3, max_size=3))
def test_probabilities_are_from_0_to_1_and_fall(shares: list[float]) -> None:
    found = class_probabilities([ALCOHOL, ACID, RING], np.array(shares), [Toy(), Toy()])
    values = [c.probability for c in found]
    assert all(0 <= v <= 1 for v in values)
    assert values == sorted(values, reverse=True) or np.allclose(values, sorted(values, reverse=True), atol=1e-6)


def test_without_a_classifier_there_are_no_classes() -> None:
    assert class_probabilities([ALCOHOL], np.ones(1), []) == ()


def test_where_the_truth_is_surely_a_candidate_analogues_say_nothing() -> None:
    shares, alike = np.array([0.5, 0.3, 0.2]), [(0.9, RING)]
    found = class_probabilities([ALCOHOL, ACID, RING], shares, [Toy()], among=1.0, alike=alike)
    assert [c.probability_overall for c in found] == pytest.approx([1.0, 0.3, 0.2])


def test_without_the_truth_candidates_promise_less_and_analogues_count() -> None:
    def ring(among: float, *alike: tuple[float, Structure]) -> float:
        found = class_probabilities([ALCOHOL, ACID, RING], np.ones(3), [Toy()], among=among, alike=alike)
        return {c.name: c.told for c in found}["ring"]

    assert ring(0.0, (0.9, RING)) > ring(0.0) > ring(0.0, (0.9, ALCOHOL))
    assert ring(0.3, (0.9, RING)) == pytest.approx(0.3 / 3 + 0.7 * ring(0.0, (0.9, RING)))
    # An analogue counts by the square of its similarity.
    assert ring(0.0, (0.9, RING), (0.1, ALCOHOL)) > ring(0.0, (0.5, RING), (0.5, ALCOHOL))


def test_analogues_alone_name_classes_where_there_is_no_candidate() -> None:
    found = class_probabilities([], np.zeros(0), [Toy()], among=0.0, alike=[(0.8, RING), (0.7, RING)])
    told = {c.name: (c.probability, c.candidates, c.told) for c in found}
    assert told["ring"][:2] == (0.0, 0)
    assert told["ring"][2] > 0.9
    assert "carbonyl" not in told


def test_what_is_not_known_of_presence_is_not_said() -> None:
    found = class_probabilities([ALCOHOL], np.ones(1), [Toy()], alike=[(0.9, RING)])
    assert [(c.name, c.probability_overall, c.told) for c in found] == [("oxygen", None, 1.0)]


class Knows:
    """A scorer that names the same analogues of everything."""

    def __init__(self, *found: tuple[float, Structure]) -> None:
        self.found = found

    def analogues(self, record: object) -> list[tuple[float, Structure]]:
        return list(self.found)


def test_the_most_similar_analogues_of_all_scorers_and_records_are_taken() -> None:
    some = Knows((0.9, ACID), (0.2, RING))
    assert analogues([(some, ["a"]), (object(), ["a"]), (Knows((0.5, ALCOHOL)), [])]) == [(0.9, ACID), (0.2, RING)]
    many = analogues([(some, ["a"] * 9)])
    assert [value for value, _ in many] == [0.9] * 9 + [0.2]
