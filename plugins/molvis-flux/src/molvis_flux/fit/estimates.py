"""Estimates of a fit without the fit: what is kept in a folder, compared, and drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from molvis_flux.fit.identifiability import Verdict
from molvis_flux.fit.information import deviations
from molvis_flux.fit.places import place
from molvis_flux.model.network import Study
from molvis_flux.space.coordinates import Name

if TYPE_CHECKING:
    from molvis_flux.fit.multistart import FluxResult


@dataclass(frozen=True, eq=False, slots=True)
class Estimates:
    """Fluxes with what is known of them. Axis v runs over the verdicts.

    Attributes:
        name: for people: of the network, or of the folder that it was read from.
        study: what was fitted.
        verdicts: on each value.
        covariance: of the values to first order.
        level: probability of the verdicts' intervals.
        ssr: sum of squared residuals over standard deviations.
        accepted: whether the chi-square test accepts the fit.
    """

    name: str
    study: Study
    verdicts: tuple[Verdict, ...]
    covariance: Float[np.ndarray, "v v"]
    level: float
    ssr: float
    accepted: bool

    @property
    def sd(self) -> Float[np.ndarray, " v"]:
        """Standard deviations to first order."""
        return deviations(self.covariance)

    def verdict(self, name: str | Name) -> Verdict:
        """On one value: `v1` or `net/v1`, `exchange/v1`, `pool/A`, `mix/x`, or a pair of kind and name.

        Raises:
            FitError: there is no such value.
        """
        return self.verdicts[place(tuple(verdict.name for verdict in self.verdicts), name)]


def estimates(result: FluxResult, name: str = "") -> Estimates:
    """Of a fit."""
    study = result.least_squares.study
    return Estimates(
        name or study.network.name, study, result.verdicts, result.covariance, result.level, result.ssr,
        result.goodness.accepted,
    )  # fmt: skip
