"""A space has one basis, one choice of rows and one set of signs, whatever it was computed from."""

from __future__ import annotations

import numpy as np
import pytest

from molvis_flux.space.steady import leading_signs, spanning_rows, steady_basis

HAIR = 1e-13


def turned(basis: np.ndarray, seed: int) -> np.ndarray:
    """Another orthonormal basis of the same space, with rounding of its own."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.standard_normal((basis.shape[1],) * 2))[0]
    return basis @ turn + HAIR * rng.standard_normal(basis.shape)


def test_signs_are_those_of_the_first_large_entry() -> None:
    rows = np.array([[0.1, -1.0, 1.0 + HAIR], [0.1, 1.0, -1.0 - HAIR], [0.0, 0.0, 0.0]])
    assert leading_signs(rows).tolist() == [-1.0, 1.0, 1.0]
    assert leading_signs(np.zeros((0, 2))).tolist() == []


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
