"""`nmr-gradient`: gradient descent as a fitter of the core's interface. It needs PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from molvis_core.errors import MolvisError
from molvis_core.fitting import Fit, Prior, Section
from molvis_nmr.fitting.gradient import fit_gradient
from molvis_nmr.fitting.spin_system import SpinSystemFit
from molvis_nmr.spins.system import SpinSystem
from molvis_nmr.workflows.fitter import NmrSpinSystem, as_trace, failed, sections

if TYPE_CHECKING:
    from molvis_core.records import Record


@dataclass(frozen=True, slots=True)
class NmrGradient:
    """The fitter `nmr-gradient`: `fit_gradient` on the core's interface.

    Attributes:
        system: groups of spins with start values.
        mode: what is free: `free`, or one of the others of `fit_gradient`.
        nucleus: observed.
        epochs: steps at each broadening.
        learning_rate: of Adam, to begin with.
        exclude: windows in ppm that do not count.
    """

    system: SpinSystem
    mode: str = "free"
    nucleus: str = "1H"
    epochs: int = 400
    learning_rate: float = 1e-2
    exclude: tuple[tuple[float, float], ...] = ()

    def _plain(self) -> NmrSpinSystem:
        return NmrSpinSystem(self.system, nucleus=self.nucleus, couplings="all", exclude=self.exclude)

    def prior(self, records: Sequence[Record]) -> Prior:
        """Around the start values, as that of `NmrSpinSystem`; the descent starts from its means."""
        return self._plain().prior(records)

    def simulate(self, values: Float[np.ndarray, " k"], like: Sequence[Record]) -> tuple[Record, ...]:
        """Spectra on the axes of `like`, from values in the order of `prior(like)`."""
        return self._plain().simulate(values, like)

    def fit(self, records: Sequence[Record], prior: Prior, *, seed: int = 0) -> Fit:
        """Fit; what cannot be fitted comes back in `Fit.problem`. Nothing is drawn: `seed` changes nothing."""
        del seed
        return self._fit(records, prior)[0]

    def fit_with_report(
        self, records: Sequence[Record], prior: Prior, *, seed: int = 0
    ) -> tuple[Fit, tuple[Section, ...]]:
        """The same fit, with pictures of all multiplets and figures of agreement."""
        del seed
        found, details = self._fit(records, prior)
        return found, sections(details, excluded=self.exclude)

    def _fit(self, records: Sequence[Record], prior: Prior) -> tuple[Fit, SpinSystemFit | None]:
        try:
            found = fit_gradient(
                [as_trace(record) for record in records],
                self.system,
                mode=self.mode,
                nucleus=self.nucleus,
                epochs=self.epochs,
                learning_rate=self.learning_rate,
                exclude=self.exclude,
                prior=prior,
            )
        except (MolvisError, np.linalg.LinAlgError) as error:
            return failed(prior, records, str(error)), None
        return found.fit, found
