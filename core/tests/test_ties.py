"""What is chosen among numbers that differ by their rounding alone does not depend on the rounding."""

from __future__ import annotations

import numpy as np
import pytest

from molvis_core.ties import (
    alike,
    ascending,
    best,
    first_largest,
    leading_signs,
    product,
    rounded,
    spanning_rows,
    steady_basis,
)

HAIR = 1e-13


def turned(basis: np.ndarray, seed: int) -> np.ndarray:
    """Another orthonormal basis of the same space, with rounding of its own."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.standard_normal((basis.shape[1],) * 2))[0]
    return basis @ turn + HAIR * rng.standard_normal(basis.shape)


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


def test_signs_are_those_of_the_first_large_entry() -> None:
    rows = np.array([[0.1, -1.0, 1.0 + HAIR], [0.1, 1.0, -1.0 - HAIR], [0.0, 0.0, 0.0]])
    assert leading_signs(rows).tolist() == [-1.0, 1.0, 1.0]
    assert leading_signs(np.zeros((0, 2))).tolist() == []


def test_rows_that_differ_by_rounding_are_alike() -> None:
    rows = np.array([[0.5, 0.0], [1.0, 0.0], [0.5 + HAIR, -HAIR], [0.5, 1e-6]])
    first, kind = alike(rows)
    assert first[kind].tolist() == [0, 1, 0, 3]


@pytest.mark.parametrize("seed", range(5))
def test_a_space_gives_the_same_rows_and_the_same_basis_whatever_it_was_computed_from(seed: int) -> None:
    # Rows 0 and 1, and the other three, stand out equally.
    matrix = np.array([[1.0, 0, 0], [1, 0, 0], [0, 1, 1], [0, 1, 0], [0, 0, 1]])
    basis = np.linalg.qr(matrix)[0]
    other = turned(basis, seed)
    assert spanning_rows(other).tolist() == spanning_rows(basis).tolist() == [0, 2, 3]
    steady = steady_basis(other)
    np.testing.assert_allclose(steady, steady_basis(basis), atol=1e-11)
    np.testing.assert_allclose(steady.T @ steady, np.eye(3), atol=1e-11)
    np.testing.assert_allclose(steady @ steady.T, basis @ basis.T, atol=1e-11)


def test_products_and_rounded_numbers_are_what_they_say() -> None:
    a, b = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(product(a, b), a @ b)
    columns = np.array([[123.456789123, 0.0], [0.00123456789, 0.0]])
    np.testing.assert_allclose(rounded(columns), [[123.4568, 0.0], [0.0012, 0.0]], atol=1e-12)
