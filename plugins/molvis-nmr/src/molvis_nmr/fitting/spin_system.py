"""`nmr-spin-system`: shifts, couplings, widths and intensities of a spin system from spectra, by least squares.

The search goes from broad to sharp: measurement and model are broadened by 12, 4, 1 and 0 Hz, so that lines find each
other. Where the answer does not explain the data, others are tried: labels and couplings that change places, then
shifts and couplings drawn from the prior. At the end residuals count by their absolute value, since a line shape that
is a little wrong would otherwise pull at the rest, unless the noise is all that is left over.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from jaxtyping import Float

from molvis_core.errors import MolvisError, RecordError, did_you_mean
from molvis_core.fitting import Fit, Fixed, Normal, Prior, Uniform
from molvis_core.records import Trace
from molvis_nmr.fitting import agreement as metrics
from molvis_nmr.fitting.lorentzians import Window
from molvis_nmr.fitting.problem import Measured, Problem, Stage, State
from molvis_nmr.fitting.search import Search, held_out
from molvis_nmr.fitting.uncertainty import covariance, flags, profile
from molvis_nmr.spins.hamiltonian import RATIOS
from molvis_nmr.spins.system import SpinSystem
from molvis_nmr.spins.transitions import lines, one_thread

if TYPE_CHECKING:
    from molvis_core.records import Record

Progress = Callable[[int, int], None]
LADDER = (12.0, 4.0, 1.0, 0.0)
"""Hz of extra broadening, one stage after the other."""
REACH = 40.0
"""Hz around each line that are fitted."""
STARTS = 24
"""Most starts to try where the first ends badly."""
SHIFT_SD = 0.05
COUPLING_SD = 3.0
WIDTH_SD = 0.7
INTENSITY_SD = 0.25
"""Of the usual prior around the start values: in ppm, in Hz, and relative. That of a coupling of 0 is `ZERO_SD`."""
ZERO_SD = 1.0
_BLOCK = 2048


@dataclass(frozen=True, eq=False, slots=True)
class SpinSystemFit:
    """A spin system fitted to one or more spectra.

    Attributes:
        system: as fitted to the first spectrum: shifts, couplings, widths, and intensities with a mean of 1.
        systems: of each spectrum; they share their couplings.
        fit: parameters with errors, as `shift/H3`, `coupling/H3-H4`, `width/H3`, `intensity/H3`, `gaussian`; where
            there are several spectra, what is a spectrum's own ends in `@1`, `@2`, ...
        simulated: of each spectrum, on its axis and in its unit, without baseline.
        baseline: of each spectrum, where one was fitted; 0 outside of what was fitted.
        residual: measurement less simulation and baseline.
        metrics: `iou` (of the paper), `roi_iou`, `r_factor` (the rest in `molvis_nmr.fitting.agreement`); means over
            the spectra. With a line shape also `held_out_iou`: of multiplets, with a line shape from the others alone.
        each: the same of each spectrum.
        parametric: the same as `metrics` before an instrument line shape was fitted; None without one.
        flags: what the data cannot tell, by parameter: `flat`, `sign-ambiguous`, `relabelling`.
        scale: of each spectrum, what an intensity of 1 gives in its unit.
        gaussian: of each spectrum, the standard deviation in Hz that all lines are convolved with.
        line_shape: of each spectrum, offsets in Hz and the instrument's line shape there, where one was fitted.
        starts: how many starts were tried.
        problem: empty when the fit succeeded; else what went wrong. The parameters are the best found all the same.
    """

    system: SpinSystem
    systems: tuple[SpinSystem, ...]
    fit: Fit
    simulated: tuple[Trace, ...]
    baseline: tuple[Float[np.ndarray, " _t"], ...]
    residual: tuple[Trace, ...]
    metrics: dict[str, float]
    each: tuple[dict[str, float], ...]
    parametric: dict[str, float] | None
    flags: dict[str, str]
    scale: tuple[float, ...]
    gaussian: tuple[float, ...]
    line_shape: tuple[tuple[Float[np.ndarray, " _m"], Float[np.ndarray, " _m"]] | None, ...]
    starts: int
    problem: str
    _search: Any = field(default=None, repr=False)

    def profile(self, name: str, values: Sequence[float]) -> Float[np.ndarray, " v"]:
        """Profile of -2 log likelihood of a shift, coupling or width at `values`: 2.71 bounds the 90% interval.

        Raises:
            RecordError: no such parameter.
        """
        search = cast("Search", self._search)
        try:
            with one_thread():
                return profile(search.problem, search.state, search.stage, name, values)
        except KeyError:
            known = search.problem.names
            raise RecordError(f"the fit has no parameter {name!r}.{did_you_mean(name, known)}") from None


def fit(
    spectra: Trace | Sequence[Trace],
    system: SpinSystem | Sequence[SpinSystem],
    *,
    nucleus: str = "1H",
    prior: Mapping[str, Normal | Uniform | Fixed] | None = None,
    couplings: str = "all",
    ties: Sequence[Sequence[str]] = (),
    exclude: Sequence[tuple[float, float]] = (),
    gaussian: bool = True,
    phase: bool = False,
    baseline: int | None = None,
    line_shape: bool = False,
    absolute: bool = True,
    broadening: Sequence[float] = LADDER,
    starts: int = STARTS,
    seed: int = 0,
    progress: Progress | None = None,
) -> SpinSystemFit:
    """Fit a spin system to a spectrum, or to several with one set of couplings.

    Args:
        spectra: one, or several of the same spins: other fields, solvents, pH.
        system: start values; or those of each spectrum, which may differ in shifts, widths and intensities.
        nucleus: observed.
        prior: of some parameters by path, in place of the usual: `Fixed` is not fitted, `Uniform` bounds.
        couplings: `all` between spins that are linked, or only those that are `given`, that is not 0.
        ties: groups of paths that share one value, such as `[["coupling/H2-H3", "coupling/H5-H6"]]`.
        exclude: windows in ppm that do not count, such as those of water and of the reference.
        gaussian: fit a Gaussian width that all lines share.
        phase: fit phase errors of order 0 and 1.
        baseline: degree of a polynomial under each multiplet; None for no baseline.
        line_shape: fit an instrument line shape that all lines share, at the end.
        absolute: end on absolute deviations where more is left over than noise.
        broadening: extra widths in Hz, from broad to sharp; the last is 0.
        starts: most starts to try where the first ends badly.
        seed: of the starts that are drawn.
        progress: called with (done, all) steps.

    Raises:
        RecordError: a spectrum without frequency, with an uneven axis, or that is 0 everywhere; a shift outside of the
            spectrum; more parameters than points; paths that do not exist.

    Reference: D. A. Cheshkov et al., Magn. Reson. Chem. 56 (2018) 449, doi:10.1002/mrc.4689 (broadening);
    G. H. Golub and V. Pereyra, Inverse Problems 19 (2003) R1, doi:10.1088/0266-5611/19/2/201 (variable projection)
    """
    traces = [spectra] if isinstance(spectra, Trace) else list(spectra)
    given = [system] * len(traces) if isinstance(system, SpinSystem) else list(system)
    check(traces, given, nucleus, exclude, broadening)
    if couplings not in ("all", "given"):
        raise RecordError(f"couplings is {couplings!r}; 'all' or 'given' is wanted")
    measured = [Measured(trace, nucleus, exclude) for trace in traces]
    problem = Problem(
        measured, given, nucleus, all_couplings=couplings == "all", baseline=-1 if baseline is None else baseline
    )
    theta = usual_prior(problem, gaussian=gaussian, phase=phase)
    if prior:
        theta = apply_prior(problem, prior, theta)
    tie(problem, ties, theta)
    points = problem.stage(theta, 0.0, REACH).count
    if sum(points) < int(problem.free.sum()) + len(traces) * len(problem.observed):
        raise RecordError(
            f"more parameters than points: {int(problem.free.sum())} shifts, couplings and widths for "
            f"{sum(points):.0f} points near the lines; measure finer, or give a prior that fixes some"
        )
    with one_thread():
        search = Search(problem, REACH, tuple(broadening), seed, progress)
        search.run(theta, starts=starts)
        return finish(search, absolute=absolute, line_shape=line_shape)


def check(
    traces: Sequence[Trace],
    systems: Sequence[SpinSystem],
    nucleus: str,
    exclude: Sequence[tuple[float, float]],
    broadening: Sequence[float],
) -> None:
    """Refuse what cannot be fitted: see `fit`."""
    if not traces:
        raise RecordError("no spectrum is given")
    if len(systems) != len(traces):
        raise RecordError(f"{len(systems)} spin systems are given for {len(traces)} spectra; give one, or one for each")
    if nucleus not in RATIOS:
        raise RecordError(f"no spin 1/2 named {nucleus!r}.{did_you_mean(nucleus, RATIOS)}")
    if not broadening or broadening[-1] != 0 or min(broadening) < 0:
        raise RecordError(f"broadening is {tuple(broadening)}; widths in Hz that end with 0 are wanted")
    for other in systems[1:]:
        same = other.names == systems[0].names and other.nuclei == systems[0].nuclei
        if not same or (other.multiplicity != systems[0].multiplicity).any():
            raise RecordError("the spin systems of the spectra differ in their groups; the same groups are wanted")
    for number, (trace, system) in enumerate(zip(traces, systems, strict=True), start=1):
        name = f"spectrum {number}" + (f" ({trace.identifier})" if trace.identifier else "")
        if trace.frequency is None:
            raise RecordError(f"{name} has no frequency; give Trace.frequency, that of {nucleus} in MHz")
        if len(trace) < 16:
            raise RecordError(f"{name} has {len(trace)} points; that is no spectrum")
        steps = np.diff(trace.x)
        if steps.max() - steps.min() > 0.02 * steps.mean():
            raise RecordError(
                f"{name} has an uneven axis: its steps are from {steps.min():.3g} to {steps.max():.3g} ppm; "
                f"interpolate it to even ones"
            )
        if not np.abs(trace.y).max() > 0:
            raise RecordError(f"{name} is 0 everywhere")
        keep = np.ones(len(trace), dtype=bool)
        for low, high in exclude:
            keep &= (trace.x < min(low, high)) | (trace.x > max(low, high))
        if not np.abs(trace.y[keep]).max(initial=0.0) > 0:
            raise RecordError(f"{name} is 0 everywhere outside of the excluded windows")
        if nucleus not in system.nuclei:
            raise RecordError(f"the spin system has no {nucleus}; it has {', '.join(sorted(set(system.nuclei)))}")
        for group, shift, kind in zip(system.names, system.shifts, system.nuclei, strict=True):
            if kind == nucleus and not trace.x[0] <= shift <= trace.x[-1]:
                raise RecordError(
                    f"{group} is at {shift:g} ppm, outside of {name}, which goes from {trace.x[0]:.3f} to "
                    f"{trace.x[-1]:.3f} ppm; correct the start values or the reference"
                )


def usual_prior(problem: Problem, *, gaussian: bool, phase: bool) -> Float[np.ndarray, " k"]:
    """Weak priors around the start values: what keeps parameters from running away. Returns the start.

    Shifts by 0.05 ppm, couplings by 3 Hz, those of 0 by 1 Hz, widths by a factor of 2 together and by a third apart,
    intensities by a quarter.
    """
    p = len(problem.pairs)
    start = np.array([problem.systems[0].couplings[pair] for pair in problem.pairs])
    problem.mean[:p], problem.sd[:p] = start, np.where(start != 0, COUPLING_SD, ZERO_SD)
    for s, (system, m) in enumerate(zip(problem.systems, problem.measured, strict=True)):
        seen = np.isin(np.arange(problem.groups), problem.observed)
        shift, width, extra = (problem.at(s, kind) for kind in ("shift", "width", "extra"))
        problem.mean[shift], problem.sd[shift], problem.free[shift] = system.shifts, SHIFT_SD, seen
        problem.mean[width], problem.sd[width], problem.free[width] = np.log(system.widths), WIDTH_SD, seen
        problem.low[width], problem.high[width] = np.log(max(0.02, 0.05 * m.step)), np.log(100.0)
        problem.mean[extra], problem.sd[extra] = 0.0, (1.0, 0.1, 0.1)
        problem.free[extra] = (gaussian, phase, phase)
        problem.low[extra.start] = 0.0
        problem.r_mean[s] = system.intensities
    return problem.mean.copy()


def apply_prior(
    problem: Problem, prior: Mapping[str, Normal | Uniform | Fixed], theta: Float[np.ndarray, " k"]
) -> Float[np.ndarray, " k"]:
    """Put a prior by path in place of the usual; returns the start.

    Raises:
        RecordError: a path that does not exist.
    """
    theta = theta.copy()
    intensities = {
        f"intensity/{name}{problem.mark(s)}": (s, k)
        for s in range(len(problem.measured))
        for k, name in enumerate(problem.systems[s].names)
    }
    scales = {f"scale{problem.mark(s)}": s for s in range(len(problem.measured))}
    for name, belief in prior.items():
        mean, sd = _moments(belief)
        if name in scales:
            if not isinstance(belief, Fixed):
                raise RecordError(f"{name} of a prior can only be Fixed: intensities say the rest")
            problem.scale[scales[name]] = belief.value
        elif name in intensities:
            problem.r_mean[intensities[name]], problem.r_sd[intensities[name]] = mean, max(sd, 1e-6 * abs(mean))
        elif name in problem.names:
            i = problem.names.index(name)
            low, high = (belief.low, belief.high) if isinstance(belief, Uniform) else (-np.inf, np.inf)
            if name.startswith("width/"):
                problem.spread = np.inf
                if mean <= 0:
                    raise RecordError(f"the prior of {name} is around {mean:g} Hz; a positive width is wanted")
                mean, sd, floor = np.log(mean), sd / mean, problem.low[i]
                low = max(floor, np.log(low) if low > 0 else -np.inf)
                high = np.log(high) if np.isfinite(high) else problem.high[i]
            theta[i] = problem.mean[i] = mean
            problem.free[i] = sd > 0
            problem.sd[i], problem.low[i], problem.high[i] = sd or np.inf, low, high
        else:
            known = [*problem.names, *intensities, *scales]
            raise RecordError(f"the prior names {name!r}, which is no parameter.{did_you_mean(name, known)}")
    return theta


def _moments(belief: Normal | Uniform | Fixed) -> tuple[float, float]:
    if isinstance(belief, Normal):
        return belief.mean, belief.sd
    if isinstance(belief, Uniform):
        return (belief.low + belief.high) / 2, (belief.high - belief.low) / 12**0.5
    return belief.value, 0.0


def tie(problem: Problem, ties: Sequence[Sequence[str]], theta: Float[np.ndarray, " k"]) -> None:
    """Let parameters share one value each group; `theta` is brought to the means.

    Raises:
        RecordError: a path that does not exist, is not fitted, or comes twice.
    """
    if not ties:
        return
    left = {i: [i] for i in np.flatnonzero(problem.free).tolist()}
    for together in ties:
        index: list[int] = []
        for name in together:
            if name not in problem.names:
                raise RecordError(f"ties name {name!r}, which is no parameter.{did_you_mean(name, problem.names)}")
            index.append(problem.names.index(name))
        if len(index) < 2 or any(i not in left for i in index) or len(set(index)) < len(index):
            raise RecordError(f"ties of {', '.join(together)}: two or more fitted parameters are wanted, each once")
        theta[index] = problem.mean[index] = theta[index].mean()
        for i in index[1:]:
            left[index[0]] += left.pop(i)
    columns = np.zeros((len(problem.names), len(left)))
    for column, members in enumerate(left.values()):
        columns[members, column] = 1
    problem.tie = columns


def finish(search: Search, *, absolute: bool, line_shape: bool) -> SpinSystemFit:
    """From where a search ended to its result, by way of absolute deviations and a line shape where they are wanted."""
    problem = search.problem
    if absolute and not search.only_noise():
        search.absolute()
    parametric, held = None, None
    if line_shape:
        held = held_out(problem, search.state, search.stage)
        parametric = metrics.mean([_agreement(problem, search.state, s)[0] for s in range(len(problem.measured))])
        search.shape_lines()
    state, stage = search.state, search.stage
    k, g = len(problem.names), problem.groups
    spread = covariance(problem, state, stage)
    found = flags(problem, state, stage, np.sqrt(np.maximum(np.diag(spread)[:k], 0)))
    systems, simulated, residual, baselines, each, scales = [], [], [], [], [], []
    names, units, values = list(problem.names), list(problem.units), list(state.theta)
    factor = np.eye(len(spread))
    for s, m in enumerate(problem.measured):
        r = state.linear[s][:g]
        given = problem.scale[s]
        scale = float(r[problem.observed].mean()) if given is None else given / m.unit
        systems.append(replace(problem.system(state.theta, s), intensities=r / scale))
        scales.append(scale * m.unit)
        one, y, base = _agreement(problem, state, s, stage)
        each.append(one)
        baselines.append(base)
        simulated.append(replace(m.trace, y=y))
        residual.append(replace(m.trace, y=m.trace.y - y - base))
        names += [f"intensity/{name}{problem.mark(s)}" for name in problem.systems[s].names]
        units += [""] * g
        values += list(r / scale)
        mine = slice(k + s * g, k + (s + 1) * g)
        factor[mine, mine] /= scale
        if given is None:  # where all are too high by as much, that is the scale's error
            seen = np.isin(np.arange(g), problem.observed) / len(problem.observed)
            factor[mine, mine] -= np.outer(r / scale, seen) / scale
    for i, name in enumerate(problem.names):
        if name.startswith("width/"):
            values[i] = factor[i, i] = float(np.exp(state.theta[i]))
    seen = np.isin(np.arange(g), problem.observed)
    wanted = np.concatenate([problem.free, np.tile(seen, len(problem.measured))])
    order = _in_order(names, wanted)
    spread = factor @ spread @ factor.T
    fitted = Fit(
        names=tuple(names[i] for i in order),
        units=tuple(units[i] for i in order),
        values=np.array(values)[order],
        covariance=spread[np.ix_(order, order)],
        samples=None,
        simulated=tuple(simulated),
        problem=search.problem_found(),
    )
    figures = metrics.mean(each)
    if held is not None and parametric is not None:
        parametric["held_out_iou"], figures["held_out_iou"] = held
    search.progress_ends()
    return SpinSystemFit(
        system=systems[0],
        systems=tuple(systems),
        fit=fitted,
        simulated=tuple(simulated),
        baseline=tuple(baselines),
        residual=tuple(residual),
        metrics=figures,
        each=tuple(each),
        parametric=parametric,
        flags=found,
        scale=tuple(scales),
        gaussian=tuple(float(state.theta[problem.at(s, "extra")][0]) for s in range(len(problem.measured))),
        line_shape=tuple(_sampled(kernel) for kernel in problem.kernel),
        starts=search.starts,
        problem=fitted.problem,
        _search=search,
    )


def _in_order(names: Sequence[str], wanted: np.ndarray) -> list[int]:
    kinds = ("shift/", "coupling/", "width/", "intensity/", "gaussian", "phase/")
    return [i for kind in kinds for i, name in enumerate(names) if name.startswith(kind) and wanted[i]]


def _sampled(kernel: tuple[np.ndarray, float] | None) -> tuple[np.ndarray, np.ndarray] | None:
    if kernel is None:
        return None
    half = (len(kernel[0]) - 1) // 2
    return kernel[1] * np.arange(-half, half + 1), kernel[0]


def simulated_on(problem: Problem, theta: Float[np.ndarray, " k"], r: Float[np.ndarray, " g"], s: int) -> np.ndarray:
    """A spectrum on its whole axis, in the unit of the problem's data."""
    m = problem.measured[s]
    blocks = [
        Window(float(m.hertz[i]), m.step, m.data[i : i + _BLOCK], m.keep[i : i + _BLOCK])
        for i in range(0, len(m.hertz), _BLOCK)
    ]
    return problem.basis(theta, blocks, s, 0.0) @ r


def _agreement(
    problem: Problem, state: State, s: int, stage: Stage | None = None
) -> tuple[dict[str, float], np.ndarray, np.ndarray]:
    """Figures of one spectrum, its simulation and its baseline."""
    m, g = problem.measured[s], problem.groups
    y = simulated_on(problem, state.theta, state.linear[s][:g], s) * m.unit
    base = np.zeros(len(y))
    if stage is not None and stage.background[s].shape[1]:
        axis = np.concatenate([w.axis() for w in stage.windows[s]])
        inside = np.concatenate([
            np.flatnonzero((m.hertz >= w.start - w.step / 2) & (m.hertz <= w.axis()[-1] + w.step / 2))
            for w in stage.windows[s]
        ])  # fmt: skip
        base[inside] = np.interp(m.hertz[inside], axis, stage.background[s] @ state.linear[s][g:]) * m.unit
    start = lines(problem.systems[s], m.frequency, nucleus=problem.nucleus)
    mask = metrics.region(m.hertz, start.position, start.weight @ problem.systems[s].intensities) & m.keep
    return metrics.agreement(y, np.asarray(m.trace.y), mask, base), y, base


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
        absolute: whether the end is on absolute deviations where more is left over than noise.
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
        problem, theta = self._problem(records)
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
            state = problem.evaluate(theta, stage)
            found[f"scale{problem.mark(s)}"] = Fixed(problem.level(s, state, stage) * m.unit)
        return found

    def _problem(self, records: Sequence[Record]) -> tuple[Problem, Float[np.ndarray, " k"]]:
        traces = [as_trace(record) for record in records]
        systems = [self.system] * len(traces)
        check(traces, systems, self.nucleus, self.exclude, LADDER)
        measured = [Measured(trace, self.nucleus, self.exclude) for trace in traces]
        problem = Problem(
            measured,
            systems,
            self.nucleus,
            all_couplings=self.couplings == "all",
            baseline=-1 if self.baseline is None else self.baseline,
        )
        return problem, usual_prior(problem, gaussian=self.gaussian, phase=self.phase)

    def simulate(self, values: Float[np.ndarray, " k"], like: Sequence[Record]) -> tuple[Record, ...]:
        """Spectra on the axes of `like`, from values in the order of `prior(like)`.

        Raises:
            RecordError: as for `fit`, or another number of values.
        """
        names = list(self.prior(like))
        if len(values) != len(names):
            raise RecordError(f"{len(values)} values are given for {len(names)} parameters: {', '.join(names)}")
        exact: Prior = {name: Fixed(float(value)) for name, value in zip(names, values, strict=True)}
        problem, theta = self._problem(like)
        theta = apply_prior(problem, exact, theta)
        made: list[Record] = []
        with one_thread():
            for s, m in enumerate(problem.measured):
                y = simulated_on(problem, theta, problem.r_mean[s], s) * cast("float", problem.scale[s])
                made.append(replace(m.trace, y=y))
        return tuple(made)

    def fit(self, records: Sequence[Record], prior: Prior, *, seed: int = 0) -> Fit:
        """Fit; what cannot be fitted comes back in `Fit.problem`."""
        try:
            return fit(
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
            ).fit
        except (MolvisError, np.linalg.LinAlgError) as error:
            logging.getLogger("molvis").debug("nmr-spin-system: %s", error)
            return failed(prior, records, str(error))


def failed(prior: Prior, records: Sequence[Record], problem: str) -> Fit:
    """The fit of what cannot be fitted: the prior."""
    free = {name: _moments(belief) for name, belief in prior.items() if not isinstance(belief, Fixed)}
    return Fit(
        names=tuple(free),
        units=tuple(_unit(name) for name in free),
        values=np.array([mean for mean, _ in free.values()]),
        covariance=np.diag([sd**2 for _, sd in free.values()]) if free else np.zeros((0, 0)),
        samples=None,
        simulated=tuple(records),
        problem=problem,
    )


def _unit(name: str) -> str:
    kinds = {"shift": "ppm", "coupling": "Hz", "width": "Hz", "gaussian": "Hz", "phase/0": "rad", "phase/1": "rad/kHz"}
    return next((unit for kind, unit in kinds.items() if name.startswith(kind)), "")


def as_trace(record: Record) -> Trace:
    """The record, which has to be a spectrum."""
    if not isinstance(record, Trace):
        raise RecordError(f"a {type(record).__name__} is given; a Trace is wanted: an NMR spectrum")
    return record
