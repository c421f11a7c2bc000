"""Kernel ridge regression whose examples are left out in groups, and the errors of what it then predicts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int64
from scipy import linalg

__all__ = ["left_out", "whitening"]


def left_out(
    kernel: Float[np.ndarray, "n n"],
    values: Float[np.ndarray, "n k"],
    penalty: Float[np.ndarray, " n"],
    groups: Sequence[Int64[np.ndarray, " _"]],
) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, "n k"]]:
    """Kernel ridge regression, and what it predicts of each group without having learned from it.

    Args:
        kernel: of the examples with each other.
        values: to be predicted, centred.
        penalty: on the coefficient of each example.
        groups: examples that are left out together.

    Returns:
        Coefficients c = (K + penalty)^-1 y; and predictions, whose errors in a group g are (A^-1)_gg^-1 c_g, A being
        the matrix above (C. E. Rasmussen and C. K. I. Williams, Gaussian Processes for Machine Learning, 2006,
        section 5.4.2, ISBN 978-0-262-18253-9).
    """
    matrix = np.array(kernel, dtype=np.float64, order="F")
    matrix[np.diag_indices(len(matrix))] += penalty
    lower = linalg.cholesky(matrix, lower=True, overwrite_a=True, check_finite=False)
    found = linalg.cho_solve((lower, True), values.astype(np.float64), check_finite=False)
    # Blocks of the inverse follow from the columns of L^-1: a second matrix of this size is not needed.
    (invert,) = linalg.get_lapack_funcs(("trtri",), (lower,))
    inverse, _ = invert(lower, lower=1, overwrite_c=1)
    predicted = np.empty_like(found)
    for group in groups:
        columns = inverse[int(group.min()) :, group]
        block = columns.T @ columns
        predicted[group] = values[group] - linalg.solve(block, found[group], assume_a="pos")
    return found, predicted


def whitening(residual: Float[np.ndarray, "n k"], floor: float) -> Float[np.ndarray, "k k"]:
    """The matrix that errors of prediction are multiplied by, from the right, to be of unit covariance.

    Args:
        residual: errors of predictions for examples that were left out.
        floor: variance that is added to each direction, in parts of their mean.
    """
    covariance = residual.T @ residual / max(len(residual), 1)
    size = len(covariance)
    covariance += (floor * np.trace(covariance) / size + 1e-12) * np.eye(size)
    lower = linalg.cholesky(covariance, lower=True)
    return linalg.solve_triangular(lower, np.eye(size), lower=True).T
