"""Covariance of the estimates, and which parameters the data do not determine.

Reference: W. K. Newey and K. D. West, Econometrica 55 (1987) 703, doi:10.2307/1913610
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int

from molvis_nmr.fitting.last_steps import together
from molvis_nmr.fitting.noise import autocorrelation
from molvis_nmr.fitting.problem import EQUIVALENT, Problem, Stage
from molvis_nmr.fitting.solutions import Floor
from molvis_nmr.fitting.variable_projection import State, derive, descend, evaluate, level

FLAT = 0.7
"""A parameter whose error stays above this share of its prior's is one that the data do not determine."""
OUTER = 0.05
"""Outer lines of a strongly coupled pair, relative to inner ones, below which its coupling may not show."""


def _correlated(
    columns: Float[np.ndarray, "t c"], lengths: Int[np.ndarray, " w"], correlation: Float[np.ndarray, " lag"]
) -> Float[np.ndarray, "t c"]:
    """Columns times the matrix of a stationary correlation, each window by itself."""
    out = columns * correlation[0]
    ends = np.cumsum(lengths)
    for first, last in zip(ends - lengths, ends, strict=True):
        for lag in range(1, min(len(correlation), last - first)):
            out[first : last - lag] += correlation[lag] * columns[first + lag : last]
            out[first + lag : last] += correlation[lag] * columns[first : last - lag]
    return out


def covariance(problem: Problem, state: State, stage: Stage, floor: Sequence[Floor] = ()) -> Float[np.ndarray, "n n"]:
    """Of all nonlinear parameters and then the intensities of each spectrum, in units of its data.

    From the Jacobian, the variance of the residuals and their correlation from point to point (Newey and West): points
    that a spectrum gained by zero filling carry no information of their own, and a wrong line shape is a correlated
    error too. The prior counts once. Baselines are parameters like others here, with what is known of their height.

    Args:
        problem: what was fitted.
        state: where the fit ended.
        stage: what was fitted last.
        floor: the noise of each spectrum: residuals that are no larger do not count as smaller.
    """
    k, g, spectra = len(problem.names), problem.groups, len(problem.measured)
    tie = problem.searched
    searched = tie.shape[1]
    size = searched + spectra * g
    last = size + sum(b.shape[1] for b in stage.background)
    precision, info, spread = (np.zeros((last, last)) for _ in range(3))
    precision[:searched, :searched] = tie.T @ problem.precision @ tie
    derived, done = derive(problem, state, stage), size
    for s in range(spectra):
        mine = searched + s * g + np.arange(g)
        waves = done + np.arange(stage.background[s].shape[1])
        done += len(waves)
        columns = np.zeros((len(stage.keep[s]), last))
        columns[:, :searched] = derived[s] @ tie[problem.own(s)]
        columns[:, mine] = state.columns[s][:, :g]
        columns[:, waves] = state.columns[s][:, g:]
        columns *= stage.keep[s][:, None]
        gram, mixed = _information(problem, state, stage, s, columns, floor[s].variance if floor else 0.0)
        info += gram
        spread += mixed
        precision[np.ix_(mine, mine)] += problem.ridge(s, level(problem, state, stage, s))[0]
        precision[waves, waves] += stage.stiffness[s]
    whole = info + precision
    size_of = 1 / np.sqrt(np.maximum(np.diag(whole), 1e-300))  # parameters have units: hertz beside ppm
    inverse = size_of[:, None] * np.linalg.pinv(size_of[:, None] * whole * size_of, hermitian=True) * size_of
    found = (inverse @ (spread + precision) @ inverse)[:size, :size]
    full = np.zeros((k + spectra * g, size))
    full[:k, :searched] = tie
    full[k:, searched:] = np.eye(spectra * g)
    return full @ found @ full.T


def _information(
    problem: Problem, state: State, stage: Stage, s: int, columns: Float[np.ndarray, "t c"], least: float
) -> tuple[Float[np.ndarray, "c c"], Float[np.ndarray, "c c"]]:
    """What a spectrum says of each column, as if points were independent, and as they are correlated."""
    residual = state.residual[s] * stage.keep[s]
    lengths = np.array([len(w) for w in stage.windows[s]])
    used = int((np.abs(columns).max(axis=0, initial=0.0) > 0).sum())
    variance = max(float(residual @ residual) / max(stage.count[s] - used, 1.0), least)
    pieces = np.split(residual, np.cumsum(lengths)[:-1])
    step = min((w.step for w in stage.windows[s]), default=1.0)
    widest = float(problem.system(state.theta, s).widths.max())
    correlation = autocorrelation(pieces, int(4 * widest / step) + 1)
    return columns.T @ columns / variance, columns.T @ _correlated(columns, lengths, correlation) / variance


def flags(problem: Problem, state: State, stage: Stage, sd: Float[np.ndarray, " k"]) -> dict[str, str]:
    """What the data do not determine, by parameter: `flat`, `sign-ambiguous`, `relabelling`, `unseen`.

    `flat`: the error is nearly the prior's, or a coupling shows in faint outer lines alone and one that is off by the
    prior's error explains the data as well: there the likelihood is no parabola. `sign-ambiguous`: with the other sign
    the fit is as good. `relabelling`: two groups can change places at little cost, so that their assignment rests on
    the start values. `unseen`: held at 0.

    Args:
        problem: what was fitted.
        state: where the fit ended.
        stage: what was fitted last.
        sd: errors of the nonlinear parameters.
    """
    found: dict[str, str] = {problem.names[i]: "unseen" for i in problem.unseen}
    width = np.where(problem.free, problem.sd, np.inf)
    for i in np.flatnonzero(problem.free & (sd > FLAT * width)):
        found[problem.names[i]] = "flat"
    for i in (k for k in range(len(problem.pairs)) if problem.free[k] and problem.names[k] not in found):
        if _hidden(problem, state, stage, i):
            found[problem.names[i]] = "flat"
        elif abs(state.theta[i]) >= 3 * sd[i] and _either_sign(problem, state, stage, i):
            found[problem.names[i]] = "sign-ambiguous"
    for k, m in _alike(problem):
        theta = problem.swapped(state.theta, k, m)
        change = ((theta - problem.mean) ** 2 - (state.theta - problem.mean) ** 2) / problem.sd**2
        if float(change[problem.free].sum()) < EQUIVALENT:
            for name in (problem.systems[0].names[k], problem.systems[0].names[m]):
                for s in range(len(problem.measured)):
                    found.setdefault(f"shift/{name}{problem.mark(s)}", "relabelling")
    return found


def resting_on_line_shape(problem: Problem, state: State, unexplained: float) -> dict[str, str]:
    """Couplings that a line shape makes up for where more than noise is left: `line-shape`.

    Those smaller than their lines are wide: what the model's line shape lacks they and the widths take up, so that they
    are off by more than their errors; nor does their sign show. And those of strongly coupled groups whose outer lines,
    all that shows of them, are fainter beside the inner ones than the share of the signal that is `unexplained`: the
    foot of an inner line may be taken for one.
    """
    found: dict[str, str] = {}
    for i, (k, m) in enumerate(problem.pairs):
        for s in range(len(problem.measured)):
            width = np.exp(state.theta[problem.at(s, "width")])
            small = abs(state.theta[i]) < width[k] + width[m]
            if problem.free[i] and (small or _outer_lines(problem, state, i) < unexplained):
                found[problem.names[i]] = "line-shape"
    return found


def _outer_lines(problem: Problem, state: State, i: int) -> float:
    """How intense the outer lines of two coupled groups are beside the inner ones, the largest of all spectra."""
    coupling, largest = abs(float(state.theta[i])), 0.0
    for s, one in enumerate(problem.measured):
        a, b = state.theta[problem.at(s, "shift")][list(problem.pairs[i])] * one.observed
        strong = coupling / max(float(np.hypot(coupling, a - b)), 1e-300)
        largest = max(largest, (1 - strong) / (1 + strong))
    return largest


def _hidden(problem: Problem, state: State, stage: Stage, i: int) -> bool:
    """Whether outer lines are faint, and a coupling off by the prior's error explains the data as well."""
    if _outer_lines(problem, state, i) >= OUTER:
        return False
    held = together(problem, i)
    value = float(state.theta[i])
    aims = (value + problem.sd[i], value - problem.sd[i])
    return any(_cost(_held_at(problem, state.theta, stage, held, a), stage, state) < EQUIVALENT for a in aims)


def _either_sign(problem: Problem, state: State, stage: Stage, i: int) -> bool:
    """Whether a coupling of the other sign explains the data as well; the distance from the prior is no evidence."""
    value, theta = float(state.theta[i]), state.theta.copy()
    theta[i] = -value
    prior = ((theta[i] - problem.mean[i]) ** 2 - (value - problem.mean[i]) ** 2) / problem.sd[i] ** 2
    return evaluate(problem, theta, stage, state).objective - prior < state.objective + EQUIVALENT


def _held_at(
    problem: Problem, theta: Float[np.ndarray, " k"], stage: Stage, held: Bool[np.ndarray, " k"], aim: float
) -> State:
    """Some parameters held at a value, the others fitted again."""
    theta = theta.copy()
    theta[held] = aim
    return descend(replace(problem, free=problem.free & ~held), theta, stage, most=12, tolerance=1e-5)[0]


def _cost(one: State, stage: Stage, best: State) -> float:
    """By how much a solution is worse than another in -2 log likelihood."""
    return sum(n * float(np.log(a / b)) for n, a, b in zip(stage.count, one.loss, best.loss, strict=True))


def unseen(problem: Problem, state: State, stage: Stage) -> dict[int, float]:
    """How large parameters that are held at 0 could be: where each, alone, costs 1 in -2 log likelihood.

    Widths would make up for some of it: half as much again is allowed for that.
    """
    found: dict[int, float] = {}
    for i in problem.unseen:
        most = problem.sd[i]
        for size in most * 2.0 ** np.arange(-7.0, 1.0):
            theta = state.theta.copy()
            theta[i] = size
            other = evaluate(problem, theta, stage, state)
            if other.objective - state.objective > 1.0:
                most = min(1.5 * size, problem.sd[i])
                break
        found[i] = float(most)
    return found


def _alike(problem: Problem) -> list[tuple[int, int]]:
    """Observed groups of the same size that take part in the same couplings."""
    first = problem.systems[0]
    pairs = {frozenset(p) for p in problem.pairs}
    return [
        (k, m)
        for i, k in enumerate(problem.observed)
        for m in problem.observed[i + 1 :]
        if first.multiplicity[k] == first.multiplicity[m]
        and all(
            (frozenset((k, n)) in pairs) == (frozenset((m, n)) in pairs)
            for n in range(problem.groups)
            if n not in (k, m)
        )
    ]


def profile(
    problem: Problem, state: State, stage: Stage, name: str, values: Sequence[float]
) -> Float[np.ndarray, " v"]:
    """Profile of -2 log likelihood: of one nonlinear parameter held at each of `values`, the others fitted again.

    The 90% interval is where it stays below 2.71. Values are in the parameter's unit (Hz for a width).

    Raises:
        KeyError: there is no such parameter.
    """
    where = problem.names.index(name) if name in problem.names else None
    if where is None:
        raise KeyError(name)
    found = np.full(len(values), np.nan)
    held = together(problem, where)
    order = np.argsort(np.abs(np.array(values) - _shown(problem, state.theta, where)), kind="stable")
    ends = dict[bool, np.ndarray]()
    for i in order.tolist():  # outwards, each from the solution of its neighbour
        aim = float(np.log(values[i])) if name.startswith("width/") else float(values[i])
        side = aim > state.theta[where]
        end = _held_at(problem, ends.get(side, state.theta), stage, held, aim)
        ends[side] = end.theta
        found[i] = _cost(end, stage, state)
    return found


def _shown(problem: Problem, theta: Float[np.ndarray, " k"], where: int) -> float:
    return float(np.exp(theta[where])) if problem.names[where].startswith("width/") else float(theta[where])
