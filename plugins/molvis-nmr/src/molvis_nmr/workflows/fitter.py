"""`nmr-spin-system`: the fit of spin systems as a fitter of the core's interface."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np
from jaxtyping import Float

from molvis_core.errors import MolvisError, RecordError
from molvis_core.fitting import Fit, Fixed, Normal, Prior, Section
from molvis_core.records import Trace
from molvis_files.threads import one_thread
from molvis_nmr.fitting.measured import Measured, check
from molvis_nmr.fitting.priors import (
    COUPLING_SD,
    INTENSITY_SD,
    SHIFT_SD,
    WIDTH_SD,
    ZERO_SD,
    moments,
    with_prior,
    with_usual_prior,
)
from molvis_nmr.fitting.problem import Problem, problem_of
from molvis_nmr.fitting.spin_system import LADDER, REACH, STARTS, SpinSystemFit, fit, simulated_on
from molvis_nmr.fitting.variable_projection import evaluate, level
from molvis_nmr.report.figures import as_svg
from molvis_nmr.report.page import AGREEMENT, fitted, measured, parts, windows
from molvis_nmr.spins.system import SpinSystem

if TYPE_CHECKING:
    from molvis_core.records import Record


@dataclass(frozen=True, slots=True)
class NmrSpinSystem:
    """The fitter `nmr-spin-system`: `fit` on the core's interface, with the defaults of `fit` and of `molvis nmr fit`.

    Attributes:
        system: groups of spins with start values.
        nucleus: observed.
        shift_sd, coupling_sd, width_sd, intensity_sd: of the prior around the start values: in ppm, in Hz, relative.
        couplings: `all` between spins that are linked, or only those `given`.
        exclude: windows in ppm that do not count.
        gaussian: whether a Gaussian width that all lines share is fitted.
        phase: whether phase errors of order 0 and 1 are fitted.
        baseline: degree of a polynomial under each multiplet; None for no baseline.
        line_shape: whether an instrument line shape that all lines share is fitted at the end.
        absolute: whether the fit ends on absolute deviations where the residual is larger than the noise.
        starts: most starts to try where the first ends badly.
    """

    system: SpinSystem
    nucleus: str = "1H"
    shift_sd: float = SHIFT_SD
    coupling_sd: float = COUPLING_SD
    width_sd: float = WIDTH_SD
    intensity_sd: float = INTENSITY_SD
    couplings: str = "all"
    exclude: tuple[tuple[float, float], ...] = ()
    gaussian: bool = True
    phase: bool = False
    baseline: int | None = None
    line_shape: bool = False
    absolute: bool = True
    starts: int = STARTS

    def prior(self, records: Sequence[Record]) -> Prior:
        """Around the start values. `scale` is what an intensity of 1 gives; it is set by the height of the records.

        Raises:
            RecordError: as for `fit`.
        """
        problem = self._problem(records)
        theta = problem.mean
        found: Prior = {}
        system = self.system
        for i, name in enumerate(problem.names):
            if not problem.free[i]:
                continue
            if name.startswith("shift/"):
                found[name] = Normal(float(theta[i]), self.shift_sd)
            elif name.startswith("coupling/"):
                # A coupling that starts at 0 is smaller than others: by as much as in the usual prior.
                share = 1.0 if theta[i] else ZERO_SD / COUPLING_SD
                found[name] = Normal(float(theta[i]), share * self.coupling_sd)
            elif name.startswith("width/"):
                found[name] = Normal(float(np.exp(theta[i])), float(np.exp(theta[i])) * self.width_sd)
            else:
                found[name] = Normal(float(theta[i]), float(problem.sd[i]))
        for s, m in enumerate(problem.measured):
            for k in problem.observed:
                mean = float(system.intensities[k])
                found[f"intensity/{system.names[k]}{problem.mark(s)}"] = Normal(mean, mean * self.intensity_sd)
            stage = problem.stage(theta, LADDER[0], REACH)
            state = evaluate(problem, theta, stage)
            found[f"scale{problem.mark(s)}"] = Fixed(level(problem, state, stage, s) * m.unit)
        return found

    def _problem(self, records: Sequence[Record]) -> Problem:
        traces = [as_trace(record) for record in records]
        systems = [self.system] * len(traces)
        check(traces, systems, self.nucleus, self.exclude, LADDER)
        measured = [Measured(trace, self.nucleus, self.exclude) for trace in traces]
        problem = problem_of(
            measured,
            systems,
            self.nucleus,
            all_couplings=self.couplings == "all",
            baseline=-1 if self.baseline is None else self.baseline,
        )
        return with_usual_prior(problem, gaussian=self.gaussian, phase=self.phase)

    def simulate(self, values: Float[np.ndarray, " k"], like: Sequence[Record]) -> tuple[Record, ...]:
        """Spectra on the axes of `like`, from values in the order of `prior(like)`.

        Raises:
            RecordError: as for `fit`, or another number of values.
        """
        names = list(self.prior(like))
        if len(values) != len(names):
            raise RecordError(f"{len(values)} values were given for {len(names)} parameters: {', '.join(names)}")
        exact: Prior = {name: Fixed(float(value)) for name, value in zip(names, values, strict=True)}
        problem = with_prior(self._problem(like), exact)
        made: list[Record] = []
        with one_thread():
            for s, m in enumerate(problem.measured):
                y = simulated_on(problem, problem.mean, problem.r_mean[s], s) * cast("float", problem.scale[s])
                made.append(replace(m.trace, y=y))
        return tuple(made)

    def fit(self, records: Sequence[Record], prior: Prior, *, seed: int = 0) -> Fit:
        """Fit; what cannot be fitted comes back in `Fit.problem`."""
        return self._fit(records, prior, seed)[0]

    def fit_with_report(
        self, records: Sequence[Record], prior: Prior, *, seed: int = 0
    ) -> tuple[Fit, tuple[Section, ...]]:
        """The same fit, with pictures of all multiplets and figures of agreement."""
        found, details = self._fit(records, prior, seed)
        return found, sections(details, excluded=self.exclude)

    def _fit(self, records: Sequence[Record], prior: Prior, seed: int) -> tuple[Fit, SpinSystemFit | None]:
        try:
            found = fit(
                [as_trace(record) for record in records],
                self.system,
                nucleus=self.nucleus,
                prior=prior,
                couplings=self.couplings,
                exclude=self.exclude,
                gaussian=self.gaussian,
                phase=self.phase,
                baseline=self.baseline,
                line_shape=self.line_shape,
                absolute=self.absolute,
                starts=self.starts,
                seed=seed,
            )
        except (MolvisError, np.linalg.LinAlgError) as error:
            logging.getLogger("molvis").debug("nmr-spin-system: %s", error)
            return failed(prior, records, str(error)), None
        return found.fit, found


def sections(found: SpinSystemFit | None, *, excluded: Sequence[tuple[float, float]] = ()) -> tuple[Section, ...]:
    """Sections of a report: each spectrum with its multiplets, and what is to be said of parameters.

    Args:
        found: the fit; none gives no section.
        excluded: windows in ppm that were not fitted.
    """
    if found is None:
        return ()
    made: list[Section] = []
    for s, spectrum in enumerate(found.simulated):
        title = spectrum.identifier or ("Spectrum" if len(found.simulated) == 1 else f"Spectrum {s + 1}")
        figures = found.each[s]
        facts = (
            ("spectrometer", f"{spectrum.frequency:.2f} MHz"),
            ("IoU", f"{figures['iou']:.4f}"),
            ("ROI IoU", f"{figures['roi_iou']:.4f}"),
            ("R factor", f"{100 * figures['r_factor']:.2f}%"),
        )
        svg = as_svg(
            measured(found, s), fitted(found, s), parts(found, s), windows=windows(found, s), excluded=excluded
        )
        made.append(Section(title, svg, AGREEMENT, facts=facts))
    if found.flags:
        made.append(Section("Remarks", columns=("parameter", "remark"), rows=tuple(found.flags.items())))
    return tuple(made)


def failed(prior: Prior, records: Sequence[Record], problem: str) -> Fit:
    """The fit of what cannot be fitted: the prior."""
    free = {name: moments(belief) for name, belief in prior.items() if not isinstance(belief, Fixed)}
    return Fit(
        names=tuple(free),
        units=tuple(unit_of(name) for name in free),
        values=np.array([mean for mean, _ in free.values()]),
        covariance=np.diag([sd**2 for _, sd in free.values()]) if free else np.zeros((0, 0)),
        samples=None,
        simulated=tuple(records),
        problem=problem,
    )


def unit_of(name: str) -> str:
    """The unit of a parameter, from its path."""
    kinds = {"shift": "ppm", "coupling": "Hz", "width": "Hz", "gaussian": "Hz", "phase/0": "rad", "phase/1": "rad/kHz"}
    return next((unit for kind, unit in kinds.items() if name.startswith(kind)), "")


def as_trace(record: Record) -> Trace:
    """The record, which must be a spectrum."""
    if not isinstance(record, Trace):
        raise RecordError(f"an NMR spectrum must be a Trace, got a {type(record).__name__}")
    return record
