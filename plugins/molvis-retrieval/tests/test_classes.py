"""Classes of unknowns, from what their candidates agree on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from molvis_core.chemistry.structures import structure
from molvis_core.records import Structure
from molvis_retrieval.classes import LEAST, class_probabilities

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
