"""What a mixture is made of: entries of a library, compounds found and their amounts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

import numpy as np
from jaxtyping import Float

from molvis_core.records import Trace
from molvis_nmr.spins.system import SpinSystem

WATER = (4.67, 4.92)
"""Window in ppm around water that is not fitted unless the caller names other windows."""


@dataclass(frozen=True, eq=False, slots=True)
class Reference:
    """A measured spectrum of one compound, as an entry of a library.

    Attributes:
        trace: the spectrum, with its frequency, measured in the same field as the mixture.
        name: of the compound.
        protons: that its signals add up to; without it amounts count multiples of what the reference shows, and are
            no concentrations.
        excluded: windows in ppm without signals of the compound, such as water and DSS.
        identifier: of the source.
    """

    trace: Trace
    name: str
    protons: float | None = None
    excluded: tuple[tuple[float, float], ...] = ((-0.2, 0.2), WATER)
    identifier: str = ""


Entry: TypeAlias = SpinSystem | Reference | Trace


@dataclass(frozen=True, eq=False, slots=True)
class Metabolite:
    """A compound of the library, and what of it is in the mixture.

    Attributes:
        name, identifier: of the library.
        amount: area under one proton's signal, in the spectrum's units times Hz; 0 or more.
        error: its standard error.
        present: the amount is more than `limit` standard errors, and the probability high enough.
        probability: that the compound is there, calibrated on mixtures whose compounds are known.
        upper_limit: amount that is not exceeded with a probability of 95%, by residual, overlap and the model's error.
        upper_concentration: the same as a concentration; None without a standard.
        snr: highest point over the noise.
        features: what the probability rests on, see `molvis_nmr.mixture.presence`.
        tube: whether it is none of the library's, but what tubes hold beside a sample.
        concentration: relative to the standard, in its unit; None without one.
        concentration_error: its standard error.
        shifts: in ppm, by multiplet, where the spectrum has them.
        moved: the largest way in ppm that a multiplet went from where the library has it.
        response: of each multiplet, relative to that of the amount and the number of its spins.
    """

    name: str
    identifier: str
    amount: float
    error: float
    present: bool
    concentration: float | None = None
    concentration_error: float | None = None
    shifts: Mapping[str, float] = field(default_factory=dict)
    moved: float = 0.0
    response: Mapping[str, float] = field(default_factory=dict)
    probability: float = 0.0
    upper_limit: float = 0.0
    upper_concentration: float | None = None
    snr: float = 0.0
    tube: bool = False
    features: tuple[float, ...] = field(default=(), repr=False)

    @property
    def significance(self) -> float:
        """Amount in standard errors."""
        return self.amount / self.error if self.error > 0 else 0.0

    @property
    def note(self) -> str:
        """What the numbers do not show of what a compound was taken for; empty where there is nothing.

        Any other compound that has one signal in the same place looks the same as one that has no other.
        """
        alone = len(set(self.shifts.values())) == 1
        return ", ".join(["solvent or additive"] * self.tube + ["one signal"] * alone)

    def interval(self, level: float = 0.9) -> tuple[float, float]:
        """Bounds of the amount that should hold the truth with probability `level`.

        Raises:
            ValueError: `level` is not between 0 and 1.
        """
        from statistics import NormalDist

        if not 0 < level < 1:
            raise ValueError(f"level must be between 0 and 1, got {level}")
        reach = NormalDist().inv_cdf((1 + level) / 2) * self.error
        return max(0.0, self.amount - reach), self.amount + reach


@dataclass(frozen=True, eq=False, slots=True)
class Quantification:
    """A mixture taken apart.

    Attributes:
        metabolites: every compound of the library, those present first, by amount.
        measured: the spectrum, referenced to the standard where one was found.
        fitted: the model on the same axis, baseline included.
        parts: what each compound present gives to it, the standard too.
        baseline: on the same axis.
        covariance: of the amounts of the compounds present, in their order.
        excluded: windows in ppm that were not fitted.
        roi_iou: intersection over union within 25 Hz of the lines of the compounds present.
        width: shared half width at half height in Hz.
        model_error: how well the model follows strong signals, relative.
        response_sd: by which the responses of multiplets scatter.
        standard: name of the reference compound, empty without one.
        standard_amount: of one of its protons, with standard error.
        unit: of the concentrations.
        unexplained: share of the signal within the fitted windows that no compound explains.
        limit: significance from which a compound counts as present.
        offset: by how much in ppm the sample is off from the library, beside what the standard tells.
        problem: empty; else why the numbers are not to be trusted.
    """

    __no_type_check__: ClassVar[bool] = True
    metabolites: tuple[Metabolite, ...]
    measured: Trace = field(repr=False)
    fitted: Trace = field(repr=False)
    parts: Mapping[str, Float[np.ndarray, " t"]] = field(repr=False)
    baseline: Float[np.ndarray, " t"] = field(repr=False)
    covariance: Float[np.ndarray, "m m"] = field(repr=False)
    excluded: tuple[tuple[float, float], ...]
    roi_iou: float
    width: float
    model_error: float
    response_sd: float
    standard: str
    standard_amount: tuple[float, float] | None
    unit: str
    unexplained: float
    limit: float
    offset: float = 0.0
    problem: str = ""

    @property
    def present(self) -> tuple[Metabolite, ...]:
        """The compounds that are there."""
        return tuple(m for m in self.metabolites if m.present)
