"""`nmr-spin-system`: shifts, couplings, widths and intensities of a spin system from spectra, by least squares.

The search goes from broad to sharp: measurement and model are broadened by 12, 4, 1 and 0 Hz, so that lines find each
other. Where the solution does not explain the data, other starts are tried: labels and couplings that change places,
then shifts and couplings drawn from the prior. At the end residuals count by their absolute value, since a line shape
that is a little wrong would otherwise bias the other parameters, unless the residual is no more than noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
from jaxtyping import Float

from molvis_core.errors import RecordError, did_you_mean
from molvis_core.fitting import Fit, Fixed, Normal, Uniform
from molvis_core.progress import Progress
from molvis_core.records import Trace
from molvis_files.threads import one_thread
from molvis_nmr.fitting import agreement as metrics
from molvis_nmr.fitting.foreign import Excluded
from molvis_nmr.fitting.lineshape import held_out
from molvis_nmr.fitting.lorentzians import Window
from molvis_nmr.fitting.measured import Measured, check
from molvis_nmr.fitting.priors import with_prior, with_symmetry, with_ties, with_usual_prior
from molvis_nmr.fitting.problem import Problem, problem_of
from molvis_nmr.fitting.search import NEARLY_NOISE, Search
from molvis_nmr.fitting.solutions import Solution
from molvis_nmr.fitting.uncertainty import covariance, flags, profile, resting_on_line_shape, unseen
from molvis_nmr.spins.approximation import approximation
from molvis_nmr.spins.system import SpinSystem
from molvis_nmr.spins.transitions import lines

LADDER = (12.0, 4.0, 1.0, 0.0)
"""Hz of extra broadening, one stage after the other."""
REACH = 40.0
"""Hz around each line that are fitted."""
STARTS = 24
"""Most starts to try where the first ends badly."""
_COUPLINGS = 1.1
"""By which errors of couplings are multiplied: in fits of simulated spectra half of 528 couplings were off by at most
0.69 of their errors, as they should be, but a tenth by more than 1.88 in place of 1.64."""
_BLOCK = 2048


@dataclass(frozen=True, eq=False, slots=True)
class Alternative:
    """Another solution of comparable quality.

    Attributes:
        system: of the first spectrum.
        r_factor: of the points that were fitted.
        worse: by how much it is worse than the best, in -2 log likelihood with residuals that correlate; it may be
            negative by a little where the last steps changed the order.
    """

    system: SpinSystem
    r_factor: float
    worse: float


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
        metrics: `iou` (of Fattakhov et al.), `roi_iou`, `r_factor` (the rest in `molvis_nmr.fitting.agreement`);
            means over the spectra. `unexplained` is the R factor of what was fitted, with what noise leaves taken off.
            With a line shape also `held_out_iou`: of multiplets, with a line shape from the others alone.
        each: the same of each spectrum.
        parametric: the same as `metrics` before an instrument line shape was fitted; None without one.
        flags: what the data do not determine, by parameter: `flat`, `sign-ambiguous`, `relabelling`, `unseen`:
            held at 0, since the data do not ask for it; `line-shape`: smaller than the lines are wide, or with outer
            lines fainter than what a fit leaves that leaves more than noise.
        scale: of each spectrum, what an intensity of 1 gives in its unit.
        gaussian: of each spectrum, the standard deviation in Hz that all lines are convolved with.
        line_shape: of each spectrum, offsets in Hz and the instrument's line shape there, where one was fitted.
        starts: how many starts were tried.
        alternatives: other solutions that explain the spectra as well or nearly so, the best first.
        doubt: why the fit is not sure to be the best solution; empty where it is.
        problem: empty when the fit succeeded; else what went wrong. The parameters are the best found all the same.
        excluded: windows that were found not to be the compound's, and left out: see `molvis_nmr.fitting.automatic`.
        advice: what else could be left out, and how.
        approximate: that spectra were simulated approximately, and how far off they are; empty where they are exact.
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
    alternatives: tuple[Alternative, ...]
    doubt: str
    problem: str
    excluded: tuple[Excluded, ...] = ()
    advice: str = ""
    approximate: str = ""
    _solution: Any = field(default=None, repr=False)

    def profile(self, name: str, values: Sequence[float]) -> Float[np.ndarray, " v"]:
        """Profile of -2 log likelihood of a shift, coupling or width at `values`: 2.71 bounds the 90% interval.

        Raises:
            RecordError: no such parameter.
        """
        solution = cast("Solution", self._solution)
        try:
            with one_thread():
                return profile(solution.problem, solution.state, solution.stage, name, values)
        except KeyError:
            known = solution.problem.names
            raise RecordError(f"the fit has no parameter {name!r}.{did_you_mean(name, known)}") from None


def fit(
    spectra: Trace | Sequence[Trace],
    system: SpinSystem | Sequence[SpinSystem],
    *,
    nucleus: str = "1H",
    prior: Mapping[str, Normal | Uniform | Fixed] | None = None,
    couplings: str = "all",
    ties: Sequence[Sequence[str]] | None = None,
    exclude: Sequence[tuple[float, float]] = (),
    gaussian: bool = True,
    phase: bool = False,
    baseline: int | None = None,
    line_shape: bool = False,
    absolute: bool = True,
    broadening: Sequence[float] | None = None,
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
        ties: groups of paths with one value, `[["shift/H2", "shift/H5"]]`; None for what symmetry makes equal.
        exclude: windows in ppm that do not count, such as those of water and of the reference.
        gaussian: fit a Gaussian width that all lines share.
        phase: fit phase errors of order 0 and 1.
        baseline: degree of a polynomial under each multiplet; None for no baseline.
        line_shape: fit an instrument line shape that all lines share, at the end.
        absolute: end on absolute deviations where the residual is larger than the noise.
        broadening: extra widths in Hz, from broad to sharp; the last is 0. `LADDER` where it is not given.
        starts: most starts to try where the first ends badly.
        seed: of the starts that are drawn.
        progress: called with (done, all) steps.

    Raises:
        RecordError: a spectrum without frequency, with an uneven axis, or that is 0 everywhere; a shift outside of the
            spectrum; more parameters than points; paths that do not exist.

    Reference: Cheshkov et al. 2018, doi:10.1002/mrc.4689; Golub and Pereyra 2003, doi:10.1088/0266-5611/19/2/201
    """
    traces = [spectra] if isinstance(spectra, Trace) else list(spectra)
    given = [system] * len(traces) if isinstance(system, SpinSystem) else list(system)
    ladder = LADDER if broadening is None else tuple(broadening)
    check(traces, given, nucleus, exclude, ladder)
    if couplings not in ("all", "given"):
        raise RecordError(f"couplings must be 'all' or 'given', got {couplings!r}")
    measured = [Measured(trace, nucleus, exclude) for trace in traces]
    problem = problem_of(
        measured, given, nucleus, all_couplings=couplings == "all", baseline=-1 if baseline is None else baseline
    )
    problem = with_prior(with_usual_prior(problem, gaussian=gaussian, phase=phase), prior or {})
    problem = with_symmetry(problem, prior or {}) if ties is None else with_ties(problem, ties)
    points = sum(problem.stage(problem.mean, 0.0, REACH).count)
    free = int(problem.free.sum())
    if points < free + len(traces) * len(problem.observed):
        raise RecordError(
            f"more parameters than points: {free} shifts, couplings and widths for {points:.0f} points near the lines; "
            f"measure finer, or give a prior that fixes some"
        )
    with one_thread():
        search = Search(problem, REACH, ladder, seed, progress)
        solution = search.run(starts=starts)
        if absolute and not solution.only_noise(NEARLY_NOISE):
            solution = search.absolute(solution)
        parametric, held = None, None
        if line_shape:
            held = held_out(solution.problem, solution.state, solution.stage)
            parametric = metrics.mean([on_spectrum(solution, s).metrics for s in range(len(traces))])
            solution = search.with_line_shape(solution)
        found = summarize(
            solution, search.starts, parametric=parametric, held=held,
            others=search.alternatives(solution), doubt=search.doubt(solution),
        )  # fmt: skip
    search.progress_ends()
    return found


@dataclass(frozen=True, eq=False, slots=True)
class OnSpectrum:
    """A solution on one whole spectrum.

    Attributes:
        metrics: figures of agreement.
        simulated: without baseline.
        baseline: 0 outside of what was fitted.
    """

    metrics: dict[str, float]
    simulated: Float[np.ndarray, " t"]
    baseline: Float[np.ndarray, " t"]


def summarize(
    solution: Solution,
    starts: int,
    *,
    parametric: dict[str, float] | None = None,
    held: tuple[float, float] | None = None,
    others: Sequence[tuple[Solution, float]] = (),
    doubt: str = "",
) -> SpinSystemFit:
    """From where a search ended to its result.

    Args:
        solution: the parameters.
        starts: how many were tried.
        parametric: figures before an instrument line shape was fitted.
        held: IoU of multiplets left out, without and with a line shape from the others.
        others: solutions of comparable quality, with how much worse they are.
        doubt: why another solution may be better.
    """
    problem, state, stage = solution.problem, solution.state, solution.stage
    spread = covariance(problem, state, stage, solution.floor)
    found = _flags(solution, spread)
    systems, scales = zip(*(_fitted_system(solution, s) for s in range(len(problem.measured))), strict=True)
    each = [on_spectrum(solution, s) for s in range(len(problem.measured))]
    simulated = tuple(replace(m.trace, y=one.simulated) for m, one in zip(problem.measured, each, strict=True))
    residual = tuple(
        replace(m.trace, y=m.trace.y - one.simulated - one.baseline)
        for m, one in zip(problem.measured, each, strict=True)
    )
    figures = metrics.mean([one.metrics for one in each]) | {"unexplained": solution.unexplained}
    if held is not None and parametric is not None:
        parametric = {**parametric, "held_out_iou": held[0]}
        figures["held_out_iou"] = held[1]
    fitted = _fit_of(solution, spread, simulated, solution.failure(starts))
    return SpinSystemFit(
        system=systems[0],
        systems=systems,
        fit=fitted,
        simulated=simulated,
        baseline=tuple(one.baseline for one in each),
        residual=residual,
        metrics=figures,
        each=tuple(one.metrics for one in each),
        parametric=parametric,
        flags=found,
        scale=scales,
        gaussian=tuple(float(state.theta[problem.at(s, "extra")][0]) for s in range(len(problem.measured))),
        line_shape=tuple(_sampled(kernel) for kernel in problem.kernel),
        starts=starts,
        alternatives=tuple(Alternative(_fitted_system(one, 0)[0], one.error, worse) for one, worse in others),
        doubt="" if fitted.problem else doubt,
        problem=fitted.problem,
        approximate=_approximate(systems, problem),
        _solution=solution,
    )


def _flags(solution: Solution, spread: Float[np.ndarray, "n n"]) -> dict[str, str]:
    """What the data do not determine, and what rests on the line shape where more than noise is left.

    Errors of couplings that are `flat` become those of the prior in `spread`.
    """
    problem, state = solution.problem, solution.state
    found = flags(problem, state, solution.stage, np.sqrt(np.maximum(np.diag(spread)[: len(problem.names)], 0)))
    for i in range(len(problem.pairs)):
        if found.get(problem.names[i]) == "flat":  # a parabola there says too much
            spread[i, i] = max(spread[i, i], problem.sd[i] ** 2)
    if solution.only_noise(NEARLY_NOISE):
        return found
    known = {name: flag for name, flag in found.items() if flag != "sign-ambiguous"}
    return found | resting_on_line_shape(problem, state, solution.unexplained) | known


def _approximate(systems: Sequence[SpinSystem], problem: Problem) -> str:
    """How far simulations in clusters are off, of the spectrum that is most; empty where all are exact."""
    found = [
        approximation(system, m.frequency, nucleus=problem.nucleus)
        for system, m in zip(systems, problem.measured, strict=True)
    ]
    some = [one for one in found if one is not None]
    return str(max(some, key=lambda one: one.apart)) if some else ""


def _level(solution: Solution, s: int) -> float:
    """What an intensity of 1 gives in the data of a spectrum: as it was set, or the mean of those observed."""
    problem = solution.problem
    given = problem.scale[s]
    if given is not None:
        return given / problem.measured[s].unit
    return float(solution.state.linear[s][: problem.groups][problem.observed].mean())


def _fitted_system(solution: Solution, s: int) -> tuple[SpinSystem, float]:
    """The spin system of a spectrum as fitted, and what an intensity of 1 gives in the spectrum's unit."""
    problem, level = solution.problem, _level(solution, s)
    r = solution.state.linear[s][: problem.groups] / level
    return replace(problem.system(solution.state.theta, s), intensities=r), level * problem.measured[s].unit


def _fit_of(solution: Solution, spread: Float[np.ndarray, "n n"], simulated: tuple[Trace, ...], failure: str) -> Fit:
    """Parameters with errors in units that people use: widths in Hz, intensities with a mean of 1.

    Both are functions of what was fitted, the logarithms of widths and the heights of multiplets, so that errors follow
    from its covariance by the derivatives of these functions (propagation to first order).
    """
    problem, state = solution.problem, solution.state
    k, g = len(problem.names), problem.groups
    names, units, values = list(problem.names), list(problem.units), list(state.theta)
    factor = np.eye(len(spread))
    for s in range(len(problem.measured)):
        level = _level(solution, s)
        r = state.linear[s][:g] / level
        names += [f"intensity/{name}{problem.mark(s)}" for name in problem.systems[s].names]
        units += [""] * g
        values += list(r)
        mine = slice(k + s * g, k + (s + 1) * g)
        factor[mine, mine] /= level
        if problem.scale[s] is None:  # where all are too high by as much, that is the scale's error
            factor[mine, mine] -= np.outer(r, problem.seen / len(problem.observed)) / level
    factor[: len(problem.pairs), : len(problem.pairs)] *= _COUPLINGS
    for i, name in enumerate(problem.names):
        if name.startswith("width/"):
            values[i] = factor[i, i] = float(np.exp(state.theta[i]))
    shown = problem.free.copy()
    shown[list(problem.unseen)] = True
    order = _in_order(names, np.concatenate([shown, np.tile(problem.seen, len(problem.measured))]))
    spread = factor @ spread @ factor.T
    for i, sd in unseen(problem, state, solution.stage).items():
        spread[i, i] = sd**2
    return Fit(
        names=tuple(names[i] for i in order),
        units=tuple(units[i] for i in order),
        values=np.array(values)[order],
        covariance=spread[np.ix_(order, order)],
        samples=None,
        simulated=simulated,
        problem=failure,
    )


def _in_order(names: Sequence[str], kept: np.ndarray) -> list[int]:
    kinds = ("shift/", "coupling/", "width/", "intensity/", "gaussian", "phase/")
    return [i for kind in kinds for i, name in enumerate(names) if name.startswith(kind) and kept[i]]


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


def on_spectrum(solution: Solution, s: int) -> OnSpectrum:
    """The fit of one spectrum on its whole axis, in its unit."""
    problem, state, stage = solution.problem, solution.state, solution.stage
    m, g = problem.measured[s], problem.groups
    y = simulated_on(problem, state.theta, state.linear[s][:g], s) * m.unit
    base = np.zeros(len(y))
    if stage.background[s].shape[1]:
        axis = np.concatenate([w.axis() for w in stage.windows[s]])
        inside = np.concatenate([
            np.flatnonzero((m.hertz >= w.start - w.step / 2) & (m.hertz <= w.axis()[-1] + w.step / 2))
            for w in stage.windows[s]
        ])  # fmt: skip
        base[inside] = np.interp(m.hertz[inside], axis, stage.background[s] @ state.linear[s][g:]) * m.unit
    start = lines(problem.systems[s], m.frequency, nucleus=problem.nucleus)
    mask = metrics.region(m.hertz, start.position, start.weight @ problem.systems[s].intensities) & m.keep
    # What is excluded has no part in any figure: water would decide them else.
    kept, data, left = m.keep, np.asarray(m.trace.y), base
    if problem.baseline >= 0:  # one that was asked for is none of the compound's signal, and known where it was fitted
        inside = [(m.hertz >= w.start - w.step / 2) & (m.hertz <= w.axis()[-1] + w.step / 2) for w in stage.windows[s]]
        kept, data, left = m.keep & np.any(inside, axis=0), data - base, np.zeros(len(y))
    return OnSpectrum(metrics.agreement(y[kept], data[kept], mask[kept], left[kept]), y, base)
