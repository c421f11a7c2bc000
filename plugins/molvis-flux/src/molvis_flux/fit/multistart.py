"""Fluxes from labelling data by least squares: batched Levenberg-Marquardt from many starts."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from molvis_core.fitting import Fit
from molvis_core.progress import Progress, StageProgress
from molvis_core.records import Distribution
from molvis_core.ties import ascending
from molvis_files.threads import one_thread
from molvis_flux.errors import FitError
from molvis_flux.fit import identifiability
from molvis_flux.fit import intervals as statistics
from molvis_flux.fit.combinations import Combination, combinations
from molvis_flux.fit.defaults import LEVEL, LIMIT, SAMPLES, STARTS
from molvis_flux.fit.information import deviations, information
from molvis_flux.fit.levenberg_marquardt import Minimum, minimise
from molvis_flux.fit.places import place
from molvis_flux.fit.problem import FluxProblem, flux_problem
from molvis_flux.fit.profile_curve import profile_at
from molvis_flux.model.network import Study
from molvis_flux.sampling.interior import starting_points
from molvis_flux.sampling.smc import Posterior, posterior
from molvis_flux.space.coordinates import Name

logger = logging.getLogger("molvis")

INTERVALS = ("profile", "covariance", "monte-carlo", "posterior", "none")


@dataclass(frozen=True, eq=False, slots=True)
class Residual:
    """How well one datum is met.

    Attributes:
        experiment, target, kind, time: of the datum.
        channels: which of a distribution's mass isotopomers follow; others were not measured.
        measured, fitted, sd: its numbers; a fitted one of a datum in arbitrary units is scaled to it.
        ssr: sum of squared residuals over standard deviations.
        scale: of a datum in arbitrary units, else 1.
        labels: what the numbers of a distribution are called, such as `M+0`.
    """

    experiment: str
    target: str
    kind: str
    time: float | None
    channels: tuple[int, ...]
    measured: Float[np.ndarray, " c"]
    fitted: Float[np.ndarray, " c"]
    sd: Float[np.ndarray, " c"]
    ssr: float
    scale: float
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class FluxResult:
    """What a fit found. Axis v runs over `names`: fluxes, then mixing weights and pool sizes; n over the starts.

    Attributes:
        least_squares: what was fitted.
        names: `(kind, name)`: `net`, `exchange`, `mix` or `pool`.
        values: at the lowest minimum.
        covariance: of the values to first order; what the data cannot see keeps the width the constraints leave it.
        ranges: smallest and largest value without data.
        level: probability of the intervals.
        intervals: of each value; of the method asked for.
        verdicts: on each value: identifiable, bounded, or not identifiable.
        combinations: sums and ratios of net fluxes that are identifiable where the fluxes themselves are not.
        samples: draws from the posterior, or None.
        goodness: the chi-square test.
        residuals: of each datum.
        starts: sums of squared residuals of all starts, ascending up to their rounding.
        converged: whether each of those starts did.
        y: coordinates of the starts' ends.
        problem: empty where the lowest minimum is one; else what is wrong with it.
    """

    least_squares: FluxProblem
    names: tuple[Name, ...]
    values: Float[np.ndarray, " v"]
    covariance: Float[np.ndarray, "v v"]
    ranges: Float[np.ndarray, "v 2"]
    level: float
    intervals: Float[np.ndarray, "v 2"]
    verdicts: tuple[identifiability.Verdict, ...]
    combinations: tuple[Combination, ...]
    samples: Float[np.ndarray, "s v"] | None
    goodness: statistics.Goodness
    residuals: tuple[Residual, ...]
    starts: Float[np.ndarray, " n"]
    converged: Bool[np.ndarray, " n"]
    y: Float[np.ndarray, "n k"]
    problem: str = ""

    @property
    def ssr(self) -> float:
        """Sum of squared residuals over standard deviations."""
        return float(self.starts[0])

    @property
    def fit(self) -> Fit:
        """What any fitter returns: values by path such as `net/pgi`, and the fitted distributions."""
        names = tuple("/".join(name) for name in self.names)
        simulated = tuple(
            Distribution(part.fitted, part.sd, f"{part.experiment}/{part.target}")
            for part in self.residuals
            if part.kind == "mid"
        )
        return Fit(names, ("",) * len(names), self.values, self.covariance, self.samples, simulated, self.problem)

    @property
    def sd(self) -> Float[np.ndarray, " v"]:
        """Standard deviations to first order."""
        return deviations(self.covariance)

    def value(self, name: str, kind: str = "net") -> float:
        """One flux."""
        return float(self.values[self.names.index((kind, name))])

    def verdict(self, name: str | Name) -> identifiability.Verdict:
        """What may be said of one value, by `v1` (the net flux) or a path: `net/v1`, `exchange/v1`, `pool/A`, `mix/x`.

        Raises:
            FitError: there is no such value.
        """
        return self.verdicts[place(self.names, name)]

    def profile(self, name: str | Name, values: Sequence[float]) -> Float[np.ndarray, " p"]:
        """Profile of the sum of squares at some values of a flux: how much it rises, all else refitted.

        Where the model is right it is -2 times the logarithm of a likelihood ratio: 2.71 bounds the 90% interval.

        Args:
            name: as in `verdict`.
            values: within what the constraints allow.

        Raises:
            FitError: no such value, one that the network fixes, or a place beyond its range.
        """
        return profile_at(self.least_squares, self.y[0], self.ssr, place(self.names, name), np.asarray(values, float))

    def posterior(self, n: int = SAMPLES, *, seed: int = 0, progress: StageProgress | None = None) -> Posterior:
        """Draws from the posterior, whatever intervals were asked from the fit. Axis v runs over `names`.

        Args:
            n: draws.
            seed: of the draws.
            progress: called with thousandths of the way, then with sweeps of moves.

        Raises:
            FitError: `n` is less than 2.
        """
        return posterior(self.least_squares, self.y[0], n=n, seed=seed, progress=progress)


def in_order(ssr: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Places from the lowest sum of squared residuals up; sums that differ by their rounding keep their order."""
    return ascending(ssr, 1e-9 * (1.0 + float(ssr.min())))


@one_thread()
def multistart(
    problem: FluxProblem,
    *,
    starts: int = STARTS,
    seed: int = 0,
    limit: int = LIMIT,
    tolerance: float = 1e-7,
    progress: Progress | None = None,
) -> Minimum:
    """Fit from points drawn from the space of fluxes.

    Returns:
        All ends, the lowest sum of squared residuals first. Of sums that differ by their rounding the first start's
        comes first: what the data do not see is different at each.
    """
    found = minimise(
        problem, starting_points(problem, starts, seed), limit=limit, tolerance=tolerance, progress=progress
    )
    order = in_order(found.ssr)
    return Minimum(*(getattr(found, name)[order] for name in Minimum.__slots__))


def fit(
    study: Study,
    *,
    starts: int = STARTS,
    seed: int = 0,
    level: float = LEVEL,
    intervals: str = "profile",
    samples: int | None = None,
    fixed: Mapping[tuple[str, str], float] | None = None,
    limit: int = LIMIT,
    progress: StageProgress | None = None,
) -> FluxResult:
    """Fluxes, mixing weights and pool sizes of a study from its data.

    Pools matter where labelling has times. Those with bounds are fitted; others have the size that the study gives, and
    are fitted between 0.001 and 1,000 where it gives none.

    Args:
        study: network and experiments; labelling and measured fluxes count together.
        starts: points to start from; drawn from the feasible fluxes.
        seed: the same seed gives the same result.
        level: probability of the intervals.
        intervals: `profile` (of the likelihood), `covariance` (of residuals made linear over what the data leave open,
            cut to the polytope), `monte-carlo` (refits of simulated data), `posterior`, or `none`.
        samples: draws from the posterior; by default 1,000 where some flux is not identifiable or the intervals are
            asked from it, else none.
        fixed: `(kind, reaction)` to a flux held at a value.
        limit: steps of a start at most.
        progress: called with what is done of the starts, then of the intervals, then of draws.

    Raises:
        FluxSpaceError: no flux vector is possible, or some flux has no limit.
        FitError: no data, data that cannot be used, or an argument that means nothing.
    """
    if starts < 1:
        raise FitError(f"starts must be at least 1, got {starts}")
    if not 0 < level < 1:
        raise FitError(f"the level must be between 0 and 1, got {level}")
    if intervals not in INTERVALS:
        raise FitError(f"intervals must be one of {', '.join(INTERVALS)}, got {intervals!r}")
    problem = flux_problem(study, fixed=fixed)
    found = multistart(problem, starts=starts, seed=seed, limit=limit, progress=_stage(progress, "starts"))
    trouble = ""
    if not found.converged[0]:
        steps = int(found.steps[0])
        cure = f"raise the limit of {limit}" if steps >= limit else "it found no better point; try more starts"
        trouble = f"the best start had not converged after {steps} steps; {cure}"
        logger.warning("flux fit: %s", trouble)
    return result(problem, found, level=level, intervals=intervals, samples=samples, seed=seed, trouble=trouble,
                  progress=progress)  # fmt: skip


@one_thread()
def result(
    problem: FluxProblem,
    found: Minimum,
    *,
    level: float = LEVEL,
    intervals: str = "profile",
    samples: int | None = None,
    seed: int = 0,
    trouble: str = "",
    progress: StageProgress | None = None,
) -> FluxResult:
    """Statistics around a minimum: what `fit` adds to `multistart`."""
    y = found.y[0]
    values = problem.map.values(y[None])[0]
    ranges = statistics.ranges(problem)
    slope = statistics.slope_at(problem, y)
    covariance = statistics.covariance(problem, y, slope)
    draws = None
    if intervals == "posterior" or samples:
        draws = posterior(problem, y, n=samples or SAMPLES, seed=seed, progress=progress).samples
    bounds = _intervals(problem, found, draws, intervals, level, seed, _stage(progress, f"{intervals} intervals"))
    told = information(problem, values, slope)
    judged = identifiability.judge(
        problem, values, statistics.normal_intervals(values, covariance, ranges, level) if bounds is None else bounds,
        ranges, told, level=level, profiled=intervals == "profile",
    )  # fmt: skip
    unseen = any(verdict.kind == identifiability.UNSEEN for verdict in judged)
    if draws is None and samples is None and unseen and intervals != "none":
        draws = posterior(problem, y, n=SAMPLES, seed=seed, progress=progress).samples
    return FluxResult(
        least_squares=problem,
        names=problem.map.names,
        values=values,
        covariance=covariance,
        ranges=ranges,
        level=level,
        intervals=ranges if bounds is None else bounds,
        verdicts=identifiability.report(judged, draws, level),
        combinations=()
        if intervals == "none"
        else combinations(problem, found, values, judged, told, level=level, profiled=intervals == "profile"),
        samples=draws,
        goodness=statistics.goodness(problem, float(found.ssr[0]), slope),
        residuals=_residuals(problem, y),
        starts=found.ssr,
        converged=found.converged,
        y=found.y,
        problem=trouble,
    )


def _stage(progress: StageProgress | None, what: str) -> Progress | None:
    return (lambda done, total: progress(done, total, what)) if progress else None


def _intervals(
    problem: FluxProblem,
    found: Minimum,
    draws: Float[np.ndarray, "s v"] | None,
    method: str,
    level: float,
    seed: int,
    progress: Progress | None,
) -> Float[np.ndarray, "v 2"] | None:
    """Intervals by one of `INTERVALS`; None where none are asked for."""
    y = found.y[0]
    if method == "profile":
        return statistics.profile(problem, found, level=level, progress=progress)
    if method == "monte-carlo":
        return statistics.monte_carlo(problem, y, level=level, seed=seed, progress=progress)
    if method == "covariance":
        return statistics.covariance_intervals(problem, y, level, seed=seed)
    if method == "posterior":
        assert draws is not None
        return np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0).T
    return None


def _residuals(problem: FluxProblem, y: Float[np.ndarray, " k"]) -> tuple[Residual, ...]:
    predicted = problem.predict(y[None])
    measured = np.atleast_2d(problem.measured)[:1]
    scales = problem.scales(predicted, measured)[0]
    out: list[Residual] = []
    for part in problem.parts:
        scale = float(scales[problem.scaled.index(part.rows)]) if part.rows in problem.scaled else 1.0
        fitted = scale * predicted[0, part.rows]
        sd, values = problem.sd[part.rows], measured[0, part.rows]
        datum = part.datum
        ssr = float((((fitted - values) / sd) ** 2).sum())
        named = (part.experiment, datum.target, datum.kind, datum.time, part.channels)
        labels = problem.study.network.fragments[datum.target].labels(part.channels) if datum.kind == "mid" else ()
        out.append(Residual(*named, values, fitted, sd, ssr, scale, labels))
    return tuple(out)
