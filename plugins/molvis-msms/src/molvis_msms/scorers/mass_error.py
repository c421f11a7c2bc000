"""`mass-error`: how probable the error of the precursor's mass is, for an instrument like the run's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from molvis_core.chemistry.adducts import ion_mz
from molvis_core.errors import AdductError, ConfigError
from molvis_core.records import PeakList, Structure
from molvis_msms.scorers.precursor_errors import DEFAULT_WIDTH, PrecursorErrors, estimate

_OUTLIERS = 0.01
"""Share of precursors that are off by anything: the peak of another isotope, a wrong peak picked."""


class MassError:
    """Logarithm of a Gaussian of the precursor's error in ppm, bounded below, for each candidate.

    Offset and width belong to the instrument. `adapted` estimates them from all spectra of a run together, apart for
    each type of instrument that has enough of them. Where precursors were calculated and not measured, as in most
    libraries, their error is no evidence: all candidates get 0, and `note` states it. A spectrum without precursor m/z
    or adduct gets 0 as well.

    Args:
        ppm: standard deviation for a run from which none can be estimated.
    """

    accepts = PeakList
    features: tuple[str, ...] = ("log-likelihood",)

    def __init__(self, ppm: float = DEFAULT_WIDTH) -> None:
        if not ppm > 0:
            raise ConfigError(f"mass-error: ppm must be positive, got {ppm}")
        self.ppm = ppm
        self._runs: dict[str | None, PrecursorErrors] = {}

    def run(self, query: PeakList) -> PrecursorErrors:
        """What is known of the errors of the run that a spectrum is from."""
        found = self._runs.get(query.instrument_type) or self._runs.get(None)
        return found if found is not None and found.spectra else PrecursorErrors(width=self.ppm)

    def note(self, query: PeakList) -> str:
        """Why a spectrum's error is no evidence; empty where it is."""
        return "precursors look calculated: mass error is no evidence" if self.run(query).theoretical else ""

    def adapted(self, queries: Sequence[PeakList], masses: Sequence[Float[np.ndarray, " _"]], ppm: float) -> MassError:
        """The same scorer for a run: with offset and width of its instruments.

        Args:
            queries: all spectra of the run.
            masses: exact masses in Da of the candidates of each.
            ppm: half width of the mass window that these come from.
        """
        groups: dict[str | None, dict[Any, np.ndarray]] = {}
        for query, some in zip(queries, masses, strict=True):
            if query.precursor_mz is None or query.adduct is None:
                continue
            # Many spectra of one precursor are one error.
            key = round(query.precursor_mz, 5), query.adduct
            errors = _errors(query.precursor_mz, query.adduct, some)
            for group in (None, query.instrument_type):
                groups.setdefault(group, {}).setdefault(key, errors)
        out = MassError(self.ppm)
        estimates = {group: estimate([*some.values()], ppm) for group, some in groups.items()}
        out._runs = {group: found for group, found in estimates.items() if found.spectra}
        return out

    def __call__(self, query: PeakList, candidates: Sequence[Structure]) -> Float[np.ndarray, "m f"]:
        """One row for each candidate: at most 0, and at least the logarithm of the share of outliers."""
        out = np.zeros((len(candidates), 1))
        run = self.run(query)
        if run.theoretical or query.precursor_mz is None or query.adduct is None or not len(candidates):
            return out
        try:
            errors = _errors(query.precursor_mz, query.adduct, np.array([c.exact_mass for c in candidates]))
        except AdductError:
            return out
        out[:, 0] = np.log((1 - _OUTLIERS) * np.exp(-0.5 * ((errors - run.offset) / run.width) ** 2) + _OUTLIERS)
        return out


def _errors(precursor_mz: float, adduct: str, masses: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    """Measured less calculated m/z of each mass as this ion, in ppm."""
    calculated = ion_mz(0.0, adduct) + (ion_mz(1.0, adduct) - ion_mz(0.0, adduct)) * masses
    return (precursor_mz / calculated - 1) * 1e6
