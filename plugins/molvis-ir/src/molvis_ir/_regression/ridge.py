"""Kernel ridge regression, and what it predicts of each example when it has not learned from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import linalg

from molvis_core.errors import TrainingError


@dataclass(frozen=True)
class Ridge:
    """Coefficients of a regression.

    Attributes:
        coefficients: a row for each example; a prediction is a row of the kernel with the examples times them.
        correction: what is added to the prediction for an example to get what it would be had it been left out.
        left_out: that prediction, of every example.
    """

    coefficients: Float[np.ndarray, "n k"]
    correction: Float[np.ndarray, "n k"]
    left_out: Float[np.ndarray, "n k"]


def ridge(kernel: Float[np.ndarray, "n n"], values: Float[np.ndarray, "n k"], penalty: float) -> Ridge:
    """Coefficients c = (K + penalty)^-1 y; left out, an example's residual is c over the diagonal of that inverse.

    Args:
        kernel: of the examples with each other.
        values: to be predicted, centred.
        penalty: on the coefficients.

    Raises:
        TrainingError: the kernel is not positive definite.

    Reference: C. E. Rasmussen and C. K. I. Williams, Gaussian Processes for Machine Learning, 2006, eq. 5.12,
    ISBN 978-0-262-18253-9
    """
    inverse = inverted(kernel.astype(np.float64), penalty)
    found = inverse @ values
    residual = found / np.diag(inverse)[:, None]
    # The prediction with all examples is y - penalty c, and without its own y - residual.
    return Ridge(found, penalty * found - residual, values - residual)


def inverted(kernel: Float[np.ndarray, "n n"], penalty: float) -> Float[np.ndarray, "n n"]:
    """(K + penalty)^-1, of the kernel's precision, by Cholesky's factor: half of the work of a general inverse.

    Args:
        kernel: of examples with each other.
        penalty: that is added to its diagonal.

    Raises:
        TrainingError: the kernel is not positive definite.
    """
    penalised = kernel + (penalty * np.eye(len(kernel))).astype(kernel.dtype)
    factorise, invert = linalg.get_lapack_funcs(("potrf", "potri"), (penalised,))
    lower, failed = factorise(penalised, lower=1, overwrite_a=1)
    if failed:
        raise TrainingError("two examples are too much alike for a regression; raise the penalty")
    inverse, _ = invert(lower, lower=1, overwrite_c=1)
    return np.tril(inverse) + np.tril(inverse, -1).T
