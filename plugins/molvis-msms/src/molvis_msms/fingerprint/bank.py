"""A bank of spectra that nothing was learned from: what a network says of a mass, whatever the spectrum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float16

_NEAREST = 60


@dataclass(frozen=True, eq=False, slots=True)
class Bank:
    """Weights that a network gave to the bits for spectra of other compounds.

    Attributes:
        weights: one row for each spectrum.
        precursor: m/z of each.
        negative: whether its ion is negative.
    """

    weights: Float16[np.ndarray, "s bits"]
    precursor: Float[np.ndarray, " s"]
    negative: Bool[np.ndarray, " s"]

    def mean(self, precursor: float, *, negative: bool) -> Float[np.ndarray, " bits"]:
        """Mean over the spectra that are nearest in m/z, of the same ion mode; 0 where the bank has none."""
        mine = np.flatnonzero(self.negative == negative)
        if not len(mine):
            return np.zeros(self.weights.shape[1])
        near = np.argsort(np.abs(self.precursor[mine] - precursor), kind="stable")[:_NEAREST]
        return self.weights[mine[near]].astype(np.float64).mean(axis=0)
