"""Windows of a chemical shift axis that do not count, such as water's."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool, Float


def outside(x: Float[np.ndarray, " t"], windows: Iterable[tuple[float, float]]) -> Bool[np.ndarray, " t"]:
    """Points of an axis that lie in none of some windows; their ends are in them.

    Args:
        x: in the unit of the windows, ppm.
        windows: from low to high.
    """
    kept = np.ones(len(x), dtype=bool)
    for low, high in windows:
        kept &= (x < low) | (x > high)
    return kept
