"""Where a search ended, and how good that is beside the noise of the spectrum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from molvis_core.ties import TIE
from molvis_nmr.fitting import agreement
from molvis_nmr.fitting.noise import autocorrelation, noise_outside
from molvis_nmr.fitting.problem import STRONG, Problem, Stage
from molvis_nmr.fitting.variable_projection import State
from molvis_nmr.spins.transitions import lines

HOPELESS = 0.2
"""Share of the signal that may stay unexplained, as an R factor without noise; above it a fit has failed."""
OBVIOUS = 0.1
"""Share of the signal that stays unexplained by solutions that are obviously wrong."""
NOISE_ONLY = 1.03
"""Residuals whose variance is at most this many times that of the noise are noise, beside what their number allows."""
ASIDE = 0.05
"""ppm beyond a window where signals may lie that start values did not hit."""
BLOCK = 25.0
"""Hz over which a baseline is averaged where there is no signal."""
WING = 3.0
"""In noise: what few points without signal have above this is the wing of a signal, as that of water."""
NEGLIGIBLE = 0.05
"""A baseline lower than this share of the noise is none."""


@dataclass(frozen=True, slots=True)
class Floor:
    """The noise of one spectrum on the points of one stage.

    Attributes:
        variance: of a point, in squared units of the data; 0 where it is not known.
        spread: standard error of residuals' mean square beside `variance`, relative to it.
    """

    variance: float = 0.0
    spread: float = 0.0


class Quiet:
    """What spectra are like where there is no signal.

    Attributes:
        problem: what is fitted.
        masks: of each spectrum, the points away from the lines of the start and of where a first descent ended.
    """

    def __init__(self, problem: Problem, theta: Float[np.ndarray, " k"], reach: float) -> None:
        self.problem = problem
        self.masks: list[Bool[np.ndarray, " t"]] = []
        for s, m in enumerate(problem.measured):
            outside = m.keep & (m.data != 0)
            for one in (problem.system(theta, s), problem.systems[s]):
                found = lines(one, m.frequency, nucleus=problem.nucleus, threshold=STRONG)
                wide = reach + ASIDE * m.observed
                outside &= ~agreement.region(m.hertz, found.position, found.weight.sum(axis=1), reach=wide)
            self.masks.append(outside)
        self._floors: dict[tuple[int, float, float], Floor] = {}

    def floor(self, stage: Stage, s: int) -> Floor:
        """The noise on the points of a stage: as it is after broadening and after points were averaged."""
        step = stage.windows[s][0].step if stage.windows[s] else 0.0
        key = (s, stage.broadening, round(step, 9))
        if key not in self._floors:
            self._floors[key] = self._measured(stage, s, step)
        return self._floors[key]

    def _measured(self, stage: Stage, s: int, step: float) -> Floor:
        if not step:
            return Floor()
        pieces = [w.data for w in self.problem.measured[s].windows(self.masks[s], stage.broadening, step * 1.0001)]
        pieces = [p for p in pieces if len(p) >= 64]
        quiet = np.concatenate([p[: len(p) // 64 * 64] for p in pieces] or [np.zeros(0)])
        noise = noise_outside(quiet)
        if not noise:
            return Floor()
        flat = [block - np.median(block) for p in pieces for block in p[: len(p) // 64 * 64].reshape(-1, 64)]
        flat = [np.clip(block, -4 * noise, 4 * noise) for block in flat]
        alike = autocorrelation(flat, 30)
        together = 1 + 2 * float((alike[1:] ** 2).sum())
        # A median of deviations is 1.65 times as uncertain as a standard deviation.
        error = (2 * together * (1 / max(stage.count[s], 1.0) + 1.65**2 / len(quiet))) ** 0.5
        return Floor(noise**2, error)

    def slow(self, theta: Float[np.ndarray, " k"], r: Float[np.ndarray, " g"], s: int) -> float:
        """How high the baseline is: what medians of stretches deviate from 0 beyond what noise lets them."""
        m, problem = self.problem.measured[s], self.problem
        windows = m.windows(self.masks[s], 0.0, max(m.step, 0.5))
        size = max(int(BLOCK / max(windows[0].step, 1e-9)), 8) if windows else 8
        pieces = [w for w in windows if len(w) >= size]
        if not pieces:
            return 0.0
        model = problem.basis(theta, pieces, s, 0.0) @ r
        rest = np.split(np.concatenate([w.data for w in pieces]) - model, np.cumsum([len(w) for w in pieces])[:-1])
        blocks = np.concatenate([p[: len(p) // size * size].reshape(-1, size) for p in rest])
        middles = np.median(blocks, axis=1)
        noise = 1.4826 * float(np.median(np.abs(blocks - middles[:, None]))) if len(blocks) else 0.0
        if len(blocks) < 6:  # too few to say that there is none, and the noise in their medians does little harm
            level = float((middles**2).mean()) ** 0.5 if len(blocks) else 0.0
            return level if level < WING * noise else 0.0
        alike = autocorrelation([b - m for b, m in zip(blocks, middles, strict=True)], min(size - 1, 20))
        variance = (1.4826 * float(np.median(np.abs(middles)))) ** 2
        expected = 1.57 * noise**2 * (1 + 2 * float(alike[1:].sum())) / size
        # What is not seen beside that of noise alone is not there: medians of few blocks scatter.
        level = max(variance - expected * (1 + 2.3 / len(blocks) ** 0.5), 0.0) ** 0.5
        return level if level > NEGLIGIBLE * noise else 0.0


@dataclass(frozen=True, eq=False, slots=True)
class Solution:
    """Where a search ended.

    Attributes:
        problem: what was fitted.
        state: the parameters.
        stage: the points that were fitted last.
        floor: of each spectrum, the noise on these points.
        ended: whether the last descent came to an end by itself.
    """

    problem: Problem
    state: State
    stage: Stage
    floor: tuple[Floor, ...]
    ended: bool = False

    def squares(self, s: int) -> float:
        """Sum of squared residuals of a spectrum."""
        return float((self.state.residual[s][self.stage.keep[s]] ** 2).sum())

    def _signal(self) -> float:
        return sum(float(y[k] @ y[k]) for y, k in zip(self.stage.data, self.stage.keep, strict=True))

    @property
    def error(self) -> float:
        """R factor of the stage."""
        squares = sum(self.squares(s) for s in range(len(self.floor)))
        return (squares / max(self._signal(), 1e-300)) ** 0.5

    @property
    def unexplained(self) -> float:
        """R factor of the stage without what noise leaves, both in the residual and in the data."""
        noise = sum(f.variance * n for f, n in zip(self.floor, self.stage.count, strict=True))
        squares = sum(self.squares(s) for s in range(len(self.floor)))
        signal = max(self._signal() - noise, 0.05 * self._signal(), 1e-300)
        return (max(squares - noise, 0.0) / signal) ** 0.5

    def better_than(self, other: Solution) -> bool:
        """Whether the error is lower by more than rounding: of labels that change places at no cost the first stay."""
        return self.error < (1 - TIE) * other.error

    def only_noise(self, most: float = NOISE_ONLY) -> bool:
        """Whether the residual's variance is at most so many times that of the noise beside the signals."""
        for s, floor in enumerate(self.floor):
            if not floor.variance or not self.stage.count[s]:
                return False
            if self.squares(s) / self.stage.count[s] > floor.variance * (most + 2 * floor.spread):
                return False
        return True

    def failure(self, starts: int) -> str:
        """Why the fit is not to be trusted; empty where it is."""
        if self.unexplained > HOPELESS:
            return (
                f"the best of {starts} starts leaves {self.unexplained:.0%} of the signal unexplained (R factor "
                f"without noise): the start values are too far off, or signals of something else are among those fitted"
            )
        if not self.ended:
            return "the fit did not converge: more steps would still make it better"
        return ""


ONE = 0.2
"""Two solutions whose spectra differ by less than this share of the residual have one spectrum."""


def _model(solution: Solution, like: Solution, s: int) -> Float[np.ndarray, " t"]:
    """The spectrum of a solution on the points of another, with lines as broad as there, without its baseline."""
    problem, state, stage = solution.problem, solution.state, like.stage
    return problem.basis(state.theta, stage.windows[s], s, stage.broadening) @ state.linear[s][: problem.groups]


def _apart(one: Solution, other: Solution) -> float:
    """How far two spectra are apart, as an R factor."""
    apart = total = 0.0
    for s in range(len(other.floor)):
        keep = other.stage.keep[s]
        a, b = _model(one, other, s)[keep], _model(other, other, s)[keep]
        apart += float(((a - b) ** 2).sum())
        total += float((b**2).sum())
    return (apart / max(total, 1e-300)) ** 0.5


def same_spectrum(one: Solution, other: Solution) -> bool:
    """Whether two solutions have the same spectrum but for a fraction of the residual."""
    return _apart(one, other) <= ONE * min(one.error, other.error) + 2e-3


def one_solution(one: Solution, other: Solution) -> bool:
    """Whether two solutions are one but for what a strange line shape lends to widths and to small couplings.

    They have the same couplings, and are not farther apart than either is from the data beyond the noise.
    """
    least = min(one.error, other.error)
    within = max(ONE * least, min(one.unexplained, other.unexplained)) + 2e-3
    return same_parameters(one, other) and _apart(one, other) <= within


def same_parameters(one: Solution, other: Solution, *, hertz: float = 1.0) -> bool:
    """Whether two solutions have the same couplings but for signs, groups being told by their shifts."""
    from scipy.optimize import linear_sum_assignment

    problem = other.problem
    for s in range(len(problem.measured)):
        a, b = (x.problem.system(x.state.theta, s) for x in (one, other))
        cost = np.abs(a.shifts[:, None] - b.shifts) + 100.0 * (a.multiplicity[:, None] != b.multiplicity)
        order = np.asarray(linear_sum_assignment(cost.T)[1])
        off = np.abs(a.couplings[np.ix_(order, order)]) - np.abs(b.couplings)
        if np.abs(off).max(initial=0.0) > hertz:
            return False
    return True


def far_better(one: Solution, other: Solution) -> bool:
    """Whether the first leaves less than half of what the second leaves unexplained, and that is much."""
    return other.unexplained > OBVIOUS and one.unexplained < 0.5 * other.unexplained


def worse(one: Solution, other: Solution) -> float:
    """By how much the first is worse than the second: `evidence`, and how much farther it is from the prior.

    Of two names for one spectrum that which the start values gave is better. Where one leaves less than half of what
    the other does unexplained, how far it is from start values does not matter: shifts of a structure are at times off
    by ten times their prior.
    """
    if far_better(one, other) or far_better(other, one):
        return evidence(one, other)
    return evidence(one, other) + farther(one, other)


def farther(one: Solution, other: Solution) -> float:
    """By how much the first is farther from the prior, in -2 log density."""
    problem = other.problem
    far = [np.where(problem.free, x.state.theta - problem.mean, 0.0) for x in (one, other)]
    return float(far[0] @ problem.precision @ far[0] - far[1] @ problem.precision @ far[1])


def evidence(one: Solution, other: Solution) -> float:
    """By how much the first is worse than the second, in -2 log likelihood.

    Residuals that correlate from point to point count as fewer points: noise of a zero-filled spectrum, more so
    what a wrong line shape leaves.
    """
    total = 0.0
    for s in range(len(other.floor)):
        lengths = np.cumsum([len(w) for w in other.stage.windows[s]])[:-1]
        pieces = np.split(other.state.residual[s] * other.stage.keep[s], lengths)
        alike = autocorrelation(pieces, 200)
        points = other.stage.count[s] / (1 + 2 * float(alike[1:].sum()))
        mine, theirs = one.squares(s) / one.stage.count[s], other.squares(s) / other.stage.count[s]
        total += points * float(np.log(max(mine, 1e-300) / max(theirs, 1e-300)))
    return total
