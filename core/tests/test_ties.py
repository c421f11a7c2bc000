"""What is chosen among numbers that differ by their rounding alone does not depend on the rounding."""

from __future__ import annotations

import numpy as np

from molvis_core.ties import (
    alike,
    ascending,
    best,
    first_largest,
    product,
    rounded,
)

HAIR = 1e-13


def test_the_first_of_equals_is_the_largest() -> None:
    assert first_largest(np.array([1.0, 3.0 - HAIR, 3.0, 2.0])) == 1
    assert first_largest(np.array([-2.0, -1.0, -1.0 + HAIR])) == 1
    assert first_largest(np.zeros(3)) == 0


def test_equals_keep_their_order() -> None:
    values = np.array([2.0, 1.0 + HAIR, 1.0, np.inf, 0.5])
    assert ascending(values, 1e-6).tolist() == [4, 1, 2, 0, 3]
    assert ascending(np.full(3, np.inf), 1e-6).tolist() == [0, 1, 2]
    assert ascending(np.zeros(0), 1e-6).tolist() == []


def test_the_best_few_are_the_first_of_all_in_order() -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 4, 50) + HAIR * rng.standard_normal(50)
    for count in (1, 7, 20, 50, 60):
        assert best(scores, count, 1e-6).tolist() == ascending(-scores, 1e-6)[:count].tolist()


def test_rows_that_differ_by_rounding_are_alike() -> None:
    rows = np.array([[0.5, 0.0], [1.0, 0.0], [0.5 + HAIR, -HAIR], [0.5, 1e-6]])
    first, kind = alike(rows)
    assert first[kind].tolist() == [0, 1, 0, 3]


def test_products_and_rounded_numbers_are_what_they_say() -> None:
    a, b = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(product(a, b), a @ b)
    columns = np.array([[123.456789123, 0.0], [0.00123456789, 0.0]])
    np.testing.assert_allclose(rounded(columns), [[123.4568, 0.0], [0.0012, 0.0]], atol=1e-12)
