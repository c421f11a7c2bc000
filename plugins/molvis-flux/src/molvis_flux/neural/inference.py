"""Fluxes of a sample: the neural posterior, weighed by the exact likelihood, refined by least squares, and judged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from molvis_core.progress import StageProgress
from molvis_flux.errors import EstimatorError
from molvis_flux.fit import identifiability
from molvis_flux.fit.information import information
from molvis_flux.fit.intervals import slope_at, unexplained
from molvis_flux.fit.levenberg_marquardt import Minimum, minimise
from molvis_flux.fit.multistart import FluxResult, in_order, result
from molvis_flux.fit.problem import FluxProblem, flux_problem
from molvis_flux.model.network import Study
from molvis_flux.neural.calibration import widened
from molvis_flux.neural.estimator import Data, Estimator, collect
from molvis_flux.neural.posterior import ensemble_draws, neural_draws, weigh
from molvis_flux.sampling.importance import Draws, equal_draws, quantiles, resampled
from molvis_flux.sampling.smc import posterior as sequential

METHODS = ("auto", "importance", "ensemble", "sequential", "neural")
WIDEST = 12
"""Free fluxes up to which importance sampling is tried first."""
SURE = 1e-3
"""Chance of a sum of squares this large under which data are flagged."""
ENOUGH = 100
"""Effective draws below which an estimate has a note on it."""
WORTH = 0.2
"""Effective share of the draws with which importance weights are enough for `auto`. With less, a few heavy draws stand
for the tails, and intervals are some percent too narrow: 90% intervals of two random networks held 84 and 87%."""


@dataclass(frozen=True, eq=False, slots=True)
class Estimate:
    """Fluxes of a sample. Axis v runs over `names`.

    Attributes:
        names: `(kind, reaction)`, as in the space of fluxes.
        values: medians of the posterior.
        intervals: of the posterior.
        level: probability of the intervals.
        samples: equally weighted draws from the posterior.
        method: `importance`, `ensemble` or `sequential`: draws from the exact posterior; `neural`: draws from the
            network. Intervals of `neural` are calibrated on held-out fluxes, and those of `ensemble` where the training
            did so.
        effective: how many independent draws the posterior rests on; of `sequential`, its particles.
        best: the least-squares fit that started from the posterior, or None where none was made.
        verdicts: how well each flux is determined.
        notes: what is unusual; empty where nothing is.
        problem: empty where the data agree with the network; else why the estimate should not be trusted.
    """

    names: tuple[tuple[str, str], ...]
    values: Float[np.ndarray, " v"]
    intervals: Float[np.ndarray, "v 2"]
    level: float
    samples: Float[np.ndarray, "s v"]
    method: str
    effective: float
    best: FluxResult | None
    verdicts: tuple[identifiability.Verdict, ...]
    notes: tuple[str, ...] = ()
    problem: str = ""

    def value(self, name: str, kind: str = "net") -> float:
        """One flux."""
        return float(self.values[self.names.index((kind, name))])


def estimate(
    estimator: Estimator,
    study: Study,
    *,
    level: float = 0.9,
    draws: int = 2000,
    method: str = "auto",
    refine: bool = True,
    seed: int = 0,
    progress: StageProgress | None = None,
) -> Estimate:
    """Fluxes of a sample, by an estimator trained for its network and tracers.

    Args:
        estimator: opened by `molvis_flux.neural.estimator.load_estimator`.
        study: the same network, and experiments with data; any measurement may be missing.
        level: probability of the intervals.
        draws: from the posterior.
        method: `importance`: neural draws weighed by the exact likelihood; `ensemble`: neural draws moved to the exact
            posterior, for many free fluxes; `sequential`: the same from the least-squares fit; `neural`: the network
            alone, with calibrated intervals, in milliseconds; `auto`: up to twelve free fluxes the first, or the third
            where fewer than a fifth of the draws are effective; the second for more.
        refine: fit by least squares from the best draws; without it data that the network cannot explain are not
            noticed. `sequential` begins with that fit and makes it anyway.
        seed: of the draws.
        progress: called with what is done of the ensemble's moves.

    Raises:
        EstimatorError: the data are not of the network or the tracers of the training, or a setting means nothing.
    """
    _check(method, level, draws)
    data, space = collect(estimator, study), estimator.space
    found, used = _draw(estimator, data, method, draws, seed, progress)
    problem = flux_problem(study, space=space) if refine or used == "sequential" else None
    best = None
    if problem is not None:
        pool = found.points[np.argsort(-found.weight, kind="stable")[:8]]
        best = result(problem, least_squares(problem, space.values(pool)), intervals="none", samples=0)
    notes = [*unfinished(estimator), *data.notes]
    if used == "sequential":
        assert problem is not None
        assert best is not None
        drawn = sequential(problem, best.y[0], n=draws, seed=seed, progress=progress).samples
        found = equal_draws(space.coordinates(drawn[:, : len(space.parameters)]))
    if used != "neural" and found.effective < ENOUGH:
        notes.append(
            f"the posterior rests on {found.effective:.0f} effective draws; raise `draws`, or choose another method"
        )
    samples = space.values(found.points[resampled(found.weight, draws)])
    if used in ("neural", "ensemble"):
        missing = 1 - np.mean([data.there[m.start : m.stop].any() for m in estimator.measurements])
        values, intervals = widened(estimator, samples, float(missing), level, ensemble=used == "ensemble")
    else:
        edges = ((1 - level) / 2, 0.5, (1 + level) / 2)
        low, values, high = quantiles(space.values(found.points), found.weight, edges)
        intervals = np.stack([low, high], axis=1)
    trouble, judged = "", ()
    if best is not None and problem is not None:
        judged = _judged(problem, best, values, intervals, samples, level)
        trouble = unexplained(best.goodness, SURE)
    return Estimate(
        space.parameters, values, intervals, level, samples, used, found.effective, best, judged, tuple(notes), trouble
    )


def unfinished(estimator: Estimator) -> tuple[str, ...]:
    """What is to be said of an estimator whose training has not ended."""
    if estimator.complete:
        return ()
    done, steps = estimator.metrics["steps"], estimator.settings.steps
    what = f"the estimator has {done:,.0f} of its training's {steps:,} steps: intervals are wider than they need to be"
    return (f"{what}. Run its training again where it was interrupted",)


def _check(method: str, level: float, draws: int) -> None:
    """Raise unless the settings of an estimate mean something."""
    if method not in METHODS:
        raise EstimatorError(f"the method must be one of {', '.join(METHODS)}, got {method!r}")
    if not 0 < level < 1:
        raise EstimatorError(f"the level must be between 0 and 1, got {level}")
    if draws < 100:
        raise EstimatorError(f"draws must be at least 100, got {draws}")


def _draw(
    estimator: Estimator,
    data: Data,
    method: str,
    draws: int,
    seed: int,
    progress: StageProgress | None,
) -> tuple[Draws, str]:
    """Draws from the posterior, and the method that gave them; for `sequential` those that its fit starts from."""
    posterior = estimator.posterior([data])
    if method == "importance" or (method == "auto" and len(estimator.space) <= WIDEST):
        found = weigh(estimator, data, posterior, draws=draws, enough=draws * WORTH, seed=seed)
        # Not the ensemble: its moves are too few for its chains to forget their starts, and training makes up for that
        # by calibration with more free fluxes only.
        return found, "sequential" if method == "auto" and found.effective < draws * WORTH else "importance"
    if method in ("auto", "ensemble"):
        return ensemble_draws(estimator, data, posterior, draws=draws, seed=seed, progress=progress), "ensemble"
    return equal_draws(neural_draws(estimator, posterior, draws, seed)[0]), method


def _judged(
    problem: FluxProblem,
    best: FluxResult,
    values: Float[np.ndarray, " v"],
    intervals: Float[np.ndarray, "v 2"],
    samples: Float[np.ndarray, "s v"],
    level: float,
) -> tuple[identifiability.Verdict, ...]:
    """What may be said of each flux; weights and pools, which no estimator has, are those of the fit."""
    count = len(values)
    pad = best.values[count:]
    told = information(problem, best.values, slope_at(problem, best.y[0]))
    judged = identifiability.judge(
        problem, np.concatenate([values, pad]), np.vstack([intervals, best.intervals[count:]]), best.ranges, told,
        level=level, profiled=False,
    )  # fmt: skip
    wide = np.concatenate([samples, np.tile(pad, (len(samples), 1))], axis=1)
    return identifiability.report(judged, wide, level)


def least_squares(problem: FluxProblem, values: Float[np.ndarray, "n v"]) -> Minimum:
    """Least squares from several fluxes at once, the best end first."""
    ended = minimise(problem, problem.map.points(values))
    order = in_order(ended.ssr)
    return Minimum(*(getattr(ended, name)[order] for name in Minimum.__slots__))


@dataclass(frozen=True, slots=True)
class FluxLine:
    """One flux of a report.

    Attributes:
        name: its path, such as `net/pgi`.
        median, low, high: of the posterior.
        best: of the least-squares fit, or None.
        identifiability: identifiable, bounded, not identifiable or fixed; empty where no fit was made.
    """

    name: str
    median: float
    low: float
    high: float
    best: float | None
    identifiability: str


@dataclass(frozen=True, slots=True)
class Report:
    """An estimate in plain values.

    Attributes:
        fluxes: all of them.
        method, effective, level, notes, problem: as in `Estimate`.
        ssr, p: of the least-squares fit: the sum of squares, and the chance of a larger one; None where not made.
    """

    fluxes: tuple[FluxLine, ...]
    method: str
    effective: float
    level: float
    notes: tuple[str, ...]
    problem: str
    ssr: float | None
    p: float | None


def report(found: Estimate) -> Report:
    """An estimate for printing."""
    best = found.best
    lines = tuple(
        FluxLine(
            "/".join(name), float(found.values[i]), float(found.intervals[i, 0]), float(found.intervals[i, 1]),
            None if best is None else float(best.values[i]), found.verdicts[i].kind if found.verdicts else "",
        )
        for i, name in enumerate(found.names)
    )  # fmt: skip
    return Report(
        lines, found.method, found.effective, found.level, found.notes, found.problem,
        None if best is None else best.ssr, None if best is None else best.goodness.p,
    )  # fmt: skip
