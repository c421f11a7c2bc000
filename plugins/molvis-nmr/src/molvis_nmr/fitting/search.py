"""The search for the best fit: from broad to sharp, from more than one start, and what comes after.

Reference: D. A. Cheshkov et al., Magn. Reson. Chem. 56 (2018) 449, doi:10.1002/mrc.4689 (broadening by steps)
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from molvis_core.progress import Progress
from molvis_core.ties import TIE, ascending
from molvis_nmr.fitting.lineshape import with_line_shapes
from molvis_nmr.fitting.lorentzians import Window
from molvis_nmr.fitting.noise import noise_outside
from molvis_nmr.fitting.problem import EQUIVALENT, Problem, Stage
from molvis_nmr.fitting.variable_projection import State, descend, evaluate

ENOUGH = 0.04
"""R factor, at the last broadening but one, below which an solution is accepted and no other start is tried."""

AGAIN = 5
"""Most starts, all near the first, before others are looked for."""
DISPLACED = 0.15
"""Most ppm by which all shifts are moved together."""
HOPELESS = 0.2
"""R factor above which a fit has failed."""
MOVES = 40
"""Most moves that are looked at from one solution."""


@dataclass(frozen=True, eq=False, slots=True)
class Solution:
    """Where a search ended.

    Attributes:
        problem: what was fitted.
        state: the parameters.
        stage: the points that were fitted last.
        ended: whether the last descent came to an end by itself.
    """

    problem: Problem
    state: State
    stage: Stage
    ended: bool = False

    @property
    def error(self) -> float:
        """R factor of the stage."""
        residual, data, keep = self.state.residual, self.stage.data, self.stage.keep
        squares = sum(float(r[k] @ r[k]) for r, k in zip(residual, keep, strict=True))
        return (squares / sum(float(y[k] @ y[k]) for y, k in zip(data, keep, strict=True))) ** 0.5

    def better_than(self, other: Solution) -> bool:
        """Whether the error is lower by more than rounding: of labels that change places at no cost the first stay."""
        return self.error < (1 - TIE) * other.error

    def only_noise(self) -> bool:
        """Whether the residual is as large as the noise beside the signals, or little more."""
        for s, m in enumerate(self.problem.measured):
            outside = np.ones(len(m.data), dtype=bool)
            for w in self.stage.windows[s]:
                first = np.searchsorted(m.hertz, w.start - w.step / 2)
                outside[first : first + round(len(w) * w.step / m.step)] = False
            quiet = m.data[outside & m.keep]
            noise = noise_outside(quiet[quiet != 0])
            if noise is None:
                return False
            every = max(round(self.stage.windows[s][0].step / m.step), 1)
            rms = float(np.sqrt((self.state.residual[s] ** 2)[self.stage.keep[s]].mean()))
            if rms * every**0.5 > 1.5 * noise:
                return False
        return True

    def failure(self, starts: int) -> str:
        """Why the fit is not to be trusted; empty where it is."""
        if self.error > HOPELESS:
            return (
                f"the best of {starts} starts leaves {self.error:.0%} of the signal unexplained (R factor): the start "
                f"values are too far off, or signals of something else are among those fitted"
            )
        if not self.ended:
            return "the fit did not converge: more steps would still make it better"
        return ""


class Search:
    """A search of several starts, each from broad to sharp.

    Attributes:
        problem: what is fitted.
        held: the same while broadened lines are still apart: new couplings stay at 0, and priors of widths and
            intensities are tight, so that they do not make up for lines in the wrong place.
        starts: how many were tried.
    """

    def __init__(
        self,
        problem: Problem,
        reach: float,
        ladder: tuple[float, ...],
        seed: int,
        progress: Progress | None,
    ) -> None:
        self.problem, self.reach, self.ladder = problem, reach, ladder
        self.held = replace(
            problem,
            free=problem.free & ~_new_couplings(problem),
            spread=min(problem.spread, 0.02),
            r_sd=np.minimum(problem.r_sd, 0.1),
        )
        self.rng = np.random.default_rng(seed)
        self.progress, self.steps = progress, 0
        self.starts = 0

    def run(self, *, starts: int) -> Solution:
        """The best fit in at most so many starts. Couplings that start at 0 join in at the end."""
        first, self.starts = self.problem.mean, 1
        best = plain = self._sharpened(first, self.ladder[:-1])
        if starts > 1 and len(self.ladder) > 2 and self.problem.pairs and best.error > ENOUGH:
            best = self._again(best, first, min(AGAIN, starts))
            if best.error > ENOUGH and self.starts < starts:
                other = self._to_line_width(self._explore(best, first, starts), 3.0)
                if not best.better_than(other):
                    best = other
        last = self._last(best.state.theta)
        if not np.array_equal(best.state.theta, plain.state.theta):
            # The lower of two at the last broadening need not be the lower without.
            other = self._last(plain.state.theta)
            if not last.better_than(other):
                last = other
        return last

    def absolute(self, solution: Solution) -> Solution:
        """Go on with absolute deviations, on every point."""
        problem, theta = solution.problem, solution.state.theta
        stage = problem.stage(theta, 0.0, near(problem, theta, self.reach), fine=6.0, absolute=2e-4)
        state, ended = descend(problem, theta, stage, most=40, tolerance=2e-4)
        self._tick()
        return Solution(problem, state, stage, ended)

    def with_line_shape(self, solution: Solution, rounds: int = 3) -> Solution:
        """Fit an instrument line shape that all lines of a spectrum share, in turns with the other parameters."""
        for _ in range(rounds):
            problem = with_line_shapes(solution.problem, solution.state, solution.stage)
            state, _ = descend(problem, solution.state.theta, solution.stage, most=4, tolerance=1e-4)
            solution = replace(solution, problem=problem, state=state)
            self._tick()
        return solution

    def progress_ends(self) -> None:
        """Report that all steps are done."""
        if self.progress is not None:
            self.progress(self.steps, self.steps)

    def _tick(self) -> None:
        self.steps += 1
        if self.progress is not None:
            self.progress(self.steps, max(self.steps + 1, len(self.ladder) + 3))

    def _sharpened(self, theta: Float[np.ndarray, " k"], ladder: Sequence[float], factor: float = 3.0) -> Solution:
        """Down the ladder, and on in small steps to the width of the lines: sharp ones find each other only so."""
        if not ladder:
            stage = self.problem.stage(theta, 0.0, self.reach)
            return Solution(self.problem, evaluate(self.problem, theta, stage), stage)
        solution = self._annealed(self.held, theta, ladder[0])
        for broadening in ladder[1:]:
            solution = self._annealed(self.held, solution.state.theta, broadening)
        return self._to_line_width(solution, factor)

    def _to_line_width(self, solution: Solution, factor: float) -> Solution:
        broadening = self.ladder[-2] if len(self.ladder) > 1 else 0.0
        while broadening > 4 * self._narrowest(solution.state.theta):
            broadening /= factor
            solution = self._annealed(self.problem, solution.state.theta, broadening)
        return solution

    def _annealed(self, problem: Problem, theta: Float[np.ndarray, " k"], broadening: float) -> Solution:
        stage = problem.stage(theta, broadening, self.reach)
        state, ended = descend(problem, theta, stage, tolerance=1e-3, most=24)
        self._tick()
        return Solution(problem, state, stage, ended)

    def _again(self, solution: Solution, first: Float[np.ndarray, " k"], starts: int) -> Solution:
        """Down once more from the broadest, in smaller steps: as it was, all shifts displaced, then places nearby."""
        coarse, fine = self.ladder[0], self.ladder[-2]
        steps = [coarse]
        while fine > 0 and steps[-1] / 2 > fine:
            steps.append(steps[-1] / 2)
        base, displaced = first, self._displaced(first)
        others = [first] if np.array_equal(displaced, first) else [first, displaced]
        while self.starts < starts and solution.error > ENOUGH:
            self.starts += 1
            start = others.pop(0) if others else base + 0.3 * (self._drawn(self.problem, first) - first)
            found = self._sharpened(start, (*steps, fine), 2.0)
            if found.better_than(solution):
                solution = found
                base = displaced if start is displaced else base
        return solution

    def _displaced(self, first: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
        """All shifts of a spectrum moved together to where they fit best: another reference, temperature or pH."""
        problem, width, theta = self.problem, self.ladder[0], first.copy()
        for s, m in enumerate(problem.measured):
            every = max(int(width / 4 / m.step), 1)
            data = np.where(m.keep, m.broadened(width), 0.0)[::every]
            axis = Window(float(m.hertz[0]), m.step * every, data, m.keep[::every])
            model = problem.basis(theta, [axis], s, width) @ problem.r_mean[s]
            mask = (model > 0.02 * model.max()).astype(np.float64)
            most = min(int(DISPLACED * m.observed / axis.step), len(data) // 4)
            padded = np.pad(data, most)
            score = np.correlate(padded, model) / np.sqrt(np.maximum(np.correlate(padded**2, mask), 1e-300))
            offset = (int(score.argmax()) - most) * axis.step / m.observed
            if score.max() > 1.02 * score[most]:
                at = problem.at(s, "shift")
                theta[at] += np.where(problem.free[at], offset, 0.0)
        return np.clip(problem.tied(theta, first), problem.low, problem.high)

    def _narrowest(self, theta: Float[np.ndarray, " k"]) -> float:
        """Width of the narrowest line, as far as the points of the spectrum show it."""
        problem = self.problem
        return max(
            min(
                float(np.exp(theta[problem.at(s, "width")][problem.observed]).min())
                for s in range(len(problem.measured))
            ),
            min(m.step for m in problem.measured),
        )

    def _last(self, theta: Float[np.ndarray, " k"]) -> Solution:
        problem = self.problem
        stage = problem.stage(theta, 0.0, near(problem, theta, self.reach))
        state, ended = descend(problem, _with_extras(problem, theta), stage, tolerance=1e-3, most=12)
        solution = Solution(problem, state, stage, ended)
        if solution.only_noise():
            state, ended = descend(problem, state.theta, stage, tolerance=1e-5, most=30)
            solution = Solution(problem, state, stage, ended)
        self._tick()
        return solution

    def _explore(self, solution: Solution, first: Float[np.ndarray, " k"], starts: int) -> Solution:
        """Other starts until one explains the data: labels swapped from the best, then draws from the prior."""
        held, (coarse, fine) = self.held, (self.ladder[0], self.ladder[-2])
        middle = self.ladder[1] if len(self.ladder) > 3 else coarse
        rough, closer = (held.stage(first, b, self.reach + 10) for b in (coarse, middle))
        best = descend(held, solution.state.theta, closer, tolerance=1e-3, most=8)[0]
        moves = _moves(held, best.theta, closer)
        while self.starts < starts:
            self.starts += 1
            self._tick()
            if moves:
                state = descend(held, moves.pop(0), closer, tolerance=1e-3, most=24)[0]
            else:
                state = descend(held, self._drawn(held, first), rough, tolerance=1e-3, most=24)[0]
                state = descend(held, state.theta, closer, tolerance=1e-3, most=24)[0]
            if state.objective < best.objective - EQUIVALENT:
                best = state
                found = self._annealed(held, best.theta, fine)
                if found.better_than(solution):
                    solution = found
                if solution.error < ENOUGH:
                    break
                moves = _moves(held, best.theta, closer)
        return solution

    def _drawn(self, problem: Problem, first: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
        """Shifts and couplings drawn from the prior."""
        moved = np.where(problem.free, 0.6 * np.minimum(problem.sd, 3.0), 0.0)
        for s in range(len(problem.measured)):
            moved[problem.at(s, "width")] = moved[problem.at(s, "extra")] = 0
        theta = first + moved * self.rng.standard_normal(len(first))
        return np.clip(problem.tied(theta, first), problem.low, problem.high)


def near(problem: Problem, theta: Float[np.ndarray, " k"], reach: float) -> float:
    """Hz around a line where its tail is above the threshold of the mask of `agreement.iou`."""
    widths = np.exp(np.concatenate([theta[problem.at(s, "width")] for s in range(len(problem.measured))]))
    return float(np.clip(45 * widths.max(), 10.0, 1.5 * reach))


def _new_couplings(problem: Problem) -> Bool[np.ndarray, " k"]:
    new = np.zeros(len(problem.names), dtype=bool)
    for i, (k, m) in enumerate(problem.pairs):
        new[i] = problem.systems[0].couplings[k, m] == 0 and problem.mean[i] == 0
    return new


def _with_extras(problem: Problem, theta: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """A Gaussian that is to be fitted does not start at 0, where it has no slope."""
    theta = theta.copy()
    for s in range(len(problem.measured)):
        at = problem.at(s, "extra").start
        if problem.free[at] and theta[at] == 0:
            theta[at] = 0.5 * float(np.exp(theta[problem.at(s, "width")].min()))
    return theta


def _moves(problem: Problem, theta: Float[np.ndarray, " k"], stage: Stage) -> list[Float[np.ndarray, " k"]]:
    """The most promising of what comes from other labels, or from couplings that change places, after a few steps."""
    tried: list[State] = []
    for pairs in _exchanges(problem, theta)[:MOVES]:
        new = theta.copy()
        for i, j in pairs:
            new[[i, j]] = theta[[j, i]]
        tried.append(descend(problem, problem.tied(new, theta), stage, tolerance=1e-3, most=3)[0])
    objective = np.array([state.objective for state in tried])
    return [tried[i].theta for i in ascending(objective, 1e-3 * EQUIVALENT)[:3]]


def _exchanges(problem: Problem, theta: Float[np.ndarray, " k"]) -> list[list[tuple[int, int]]]:
    """Places of parameters that change places together.

    Two groups that are near each other change their shifts; or a group changes its couplings to two others.
    """
    place = {frozenset(p): i for i, p in enumerate(problem.pairs)}
    at, sizes = problem.at(0, "shift"), problem.systems[0].multiplicity
    free, apart = problem.free[at], 3 * np.minimum(problem.sd[at], 1.0)
    found: list[list[tuple[int, int]]] = []
    for k, m in itertools.combinations(problem.observed, 2):
        if sizes[k] != sizes[m]:
            continue
        if free[k] and free[m] and abs(theta[at][k] - theta[at][m]) < min(apart[k], apart[m]):
            starts = [problem.at(s, "shift").start for s in range(len(problem.measured))]
            found.append([(first + k, first + m) for first in starts])
        found += [[pair] for pair in _exchanged_couplings(problem, theta, place, k, m)]
    return found


def _exchanged_couplings(
    problem: Problem, theta: Float[np.ndarray, " k"], place: Mapping[frozenset[int], int], k: int, m: int
) -> Iterator[tuple[int, int]]:
    """Places of the couplings of two groups to a third, of the same sign and far enough apart to matter."""
    for a in range(problem.groups):
        i, j = place.get(frozenset((k, a)), -1), place.get(frozenset((m, a)), -1)
        if a in (k, m) or min(i, j) < 0 or not (problem.free[i] and problem.free[j]):
            continue
        if theta[i] * theta[j] > 0 and abs(theta[i] - theta[j]) > 0.5:
            yield i, j
