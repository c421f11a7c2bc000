"""What a polytope of coordinates is to those that move in it, and least squares over one."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from jaxtyping import Float, Int


class Polytope(Protocol):
    """`low <= rows @ y <= high`; bounds are infinite where open, and never equal."""

    @property
    def rows(self) -> Float[np.ndarray, "c k"]:
        """Normals of its faces."""
        ...

    @property
    def low(self) -> Float[np.ndarray, " c"]:
        """What `rows @ y` is at least."""
        ...

    @property
    def high(self) -> Float[np.ndarray, " c"]:
        """What `rows @ y` is at most."""
        ...

    @property
    def metric(self) -> Float[np.ndarray, "k k"]:
        """A positive definite matrix that measures steps: the polytope's size is about 1 in it."""
        ...


class LeastSquares(Polytope, Protocol):
    """Residuals of many starts, or lanes, over a polytope."""

    def residuals(self, y: Float[np.ndarray, "n k"], lanes: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n m"]:
        """Differences over their standard deviations; `lanes` is the start that each row belongs to."""
        ...

    def jacobian(
        self, y: Float[np.ndarray, "n k"], lanes: Int[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, "n m"], Float[np.ndarray, "n m k"]]:
        """Residuals and their derivatives."""
        ...
