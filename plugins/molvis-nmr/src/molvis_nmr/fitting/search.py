"""The search for the best fit: from broad to sharp, from more than one start, and what comes after.

Reference: D. A. Cheshkov et al., Magn. Reson. Chem. 56 (2018) 449, doi:10.1002/mrc.4689 (broadening by steps)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from molvis_core.progress import Progress
from molvis_core.ties import TIE, ascending
from molvis_nmr.fitting.last_steps import from_rest, from_start_values, to_the_end, with_extras
from molvis_nmr.fitting.lineshape import with_line_shapes
from molvis_nmr.fitting.moves import assigned, displaced, moves, transported
from molvis_nmr.fitting.priors import usual_spread
from molvis_nmr.fitting.problem import Problem, Stage
from molvis_nmr.fitting.second_looks import lopsided, shaped, told_badly, without_signal
from molvis_nmr.fitting.solutions import (
    Quiet,
    Solution,
    evidence,
    far_better,
    farther,
    one_solution,
    same_parameters,
    same_spectrum,
    worse,
)
from molvis_nmr.fitting.variable_projection import State, descend, evaluate

NEARBY = 0.35
"""R factor, at some broadening, below which a start is near enough to the data to go on from there."""
CONFIRMED = 3
"""Starts that must end in the best solution before it is taken for the best, its residual being small and not noise."""
SMALL = 0.05
"""R factor without noise below which a residual is small."""
MOVED = 4
"""Moves that are followed from each best solution; two where its residual is noise."""
GOOD_START = 0.1
"""Mean square of the distance from start values, in units of the prior, below which these were good: 0.33 is that of
starts off by up to 0.05 ppm and 3 Hz."""
SHARES = (0.6, 1.0, 0.8)
"""Of the spread of the prior that starts are drawn with, in turns."""
SHAPED = 0.4
"""Share of the residual that a line shape leaves where it explains it."""
PROMISING = 1.3
"""A solution is followed to sharp lines where its R factor before is at most so many times that of the best."""
ASTRAY = 3.0
"""A start is given up where, with broad lines, its R factor is more than so many times the lowest of all starts: of 60
starts that ended in the best solution none had been above 1.5 with lines 12 Hz broader, nor above 2 with 4 Hz."""
FAINT = 0.01
"""R factors below this are one: that little broad lines differ in hardly tells right from wrong."""
ORDERS = 8
"""Orders of the shifts that are tried once shifts were put where the signal is."""
BETTER = 0.97
"""Moves from a new best solution are looked for where its R factor is lower than by so much, or its residual is nearly
noise: what a line shape leaves differs by a little between solutions that are all but the same."""
FOLLOWED = 2
"""Times that starts which are one solution on broad lines are followed to sharp ones."""
HALFWAY = 0.5
"""Last broadening before sharp lines, in widths of the narrowest."""
COMPARABLE = 20.0
"""Solutions whose evidence (-2 log likelihood) is within this of the best are reported beside it."""
REPORTED = 4
"""Most solutions that are reported beside the best."""
ONE_BY_ONE, TRIED = 1.5, 10
"""Couplings that start at 0 and stay smaller than this, in Hz, are left out one by one; at most so many are tried."""
NEARLY_NOISE = 1.3
"""Residuals whose variance is at most so many times that of the noise are taken for noise at the end."""
ASKED = 9.0
"""What a Gaussian width, or couplings that start at 0, must gain in -2 log likelihood to be fitted, and 1 for each."""


@dataclass(eq=False, slots=True)
class _Basin:
    """Starts that are one solution on broad lines: the first of them, and how often it was followed."""

    judged: Solution
    followed: int = 1


class Search:
    """A search of several starts, each from broad to sharp.

    Attributes:
        problem: what is fitted.
        held: the same while broadened lines are still apart: new couplings stay at 0, and priors of widths and
            intensities are tight, so that they do not make up for lines in the wrong place.
        starts: how many were tried; `drawn` of these were drawn, the others came from moves.
        hits: how many of those drawn, the first among them, ended in the best solution.
        quiet: what the spectra are like beside the signals.
        judged: the best as it was compared with the others.
        others: solutions that are not the best; `looked`: those of second looks, and how much worse.
        placed: whether starts are drawn around shifts put where the signal is; `orders`: others of these, tried next.
        shaped: whether a line shape explains the residual of the best; None where nothing was tried.
        least: the lowest R factor of all starts, by broadening.
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
            free=problem.free & ~problem.new_couplings,
            spread=min(problem.spread, 0.02),
            r_sd=np.minimum(problem.r_sd, 0.1),
        )
        self.rng = np.random.default_rng(seed)
        self.progress, self.steps = progress, 0
        self.starts, self.hits, self.drawn = 0, 0, 0
        self.quiet: Quiet | None = None
        self.judged: Solution | None = None
        self.others: list[Solution] = []
        self.looked: list[tuple[Solution, float]] = []
        self.orders: list[Float[np.ndarray, " k"]] = []
        self.placed = False
        self.shaped: bool | None = None
        self.least: dict[float, float] = {}

    def run(self, *, starts: int) -> Solution:
        """The best fit in at most so many starts. Couplings that start at 0 join in at the end."""
        first, self.starts = self.problem.mean, 1
        rough = self._from(first)
        best = self._last(rough.state.theta)
        self.others, self.hits = [], 1
        if starts > 1 and self.problem.pairs and len(self.ladder) > 2:
            best = self._looked_again(self._widely(best, first, starts))
        return self._ended(best)

    def _from(self, first: Float[np.ndarray, " k"]) -> Solution:
        """From broad to sharp, beginning no broader than a start needs that is near already."""
        rungs = self.ladder[:-1]
        for k in range(len(rungs) - 1, 0, -1):
            stage = self.problem.stage(first, rungs[k], self.reach)
            state = evaluate(self.problem, first, stage)
            if self._solution(self.problem, state, stage, ended=False).error < NEARBY:
                near = self._sharpened(first, rungs[k:])
                if near.unexplained < 0.5 * NEARBY:
                    return near
                far = self._sharpened(first, rungs)
                return far if far.better_than(near) else near
        return self._sharpened(first, rungs)

    def _widely(self, best: Solution, first: Float[np.ndarray, " k"], starts: int) -> Solution:
        """Other starts, until none is needed: moves from the best, and starts drawn around the first, in turns.

        Starts that are one solution on broad lines are not followed to sharp ones again and again: what differs
        between them there is what a strange line shape lends to widths and small couplings.
        """
        court = self._court(best.state.theta)
        pending, base = self._moves(best, court), first
        leading = _Basin(self._judged(best.state.theta, court))
        basins, level = [leading], leading.judged.error
        while self.starts < starts and not self._settled(best, pending):
            self.starts += 1
            drawn = not pending or (self.starts % 2 == 0 and not self._settled(best, ()))
            theta = self._way(base) if drawn else self._move(pending.pop())
            if theta is None:
                continue
            judged = self._judged(theta, court)
            if drawn and self.drawn <= 2 and judged.error < 0.9 * level:
                base = displaced(self.problem, first, self.ladder[0]) if self.drawn == 1 else self._transported(first)
            if judged.error > PROMISING * level:
                continue
            basin = next((b for b in basins if one_solution(judged, b.judged)), None)
            self.hits += drawn and basin is leading
            if basin is None:
                basin = _Basin(judged)
                basins.append(basin)
            basin.followed += 1
            if basin.followed > FOLLOWED:
                continue
            found = self._last(self._to_line_width(judged, 3.0).state.theta, most=16)
            if same_spectrum(found, best):
                self.hits += drawn and basin is not leading
                if not same_parameters(found, best):
                    self.others.append(found)
                best = found if worse(found, best) < -TIE else best
                continue
            self.others.append(found)
            whole = judged.error < leading.judged.error and bool(lopsided(best)) and not lopsided(found)
            if whole:
                self.least.clear()  # what came near without the signal of a group is no measure of others
            if whole or far_better(judged, leading.judged) or worse(found, best) < 0:
                anew = found.only_noise(NEARLY_NOISE) or found.error < BETTER * best.error
                self.others[-1], best, self.shaped = best, found, None
                if basin is not leading:
                    leading, self.hits, level = basin, 1, min(level, judged.error)
                    pending = self._moves(best, court) if anew else pending
        return best

    def _looked_again(self, best: Solution) -> Solution:
        """The best, or what is better with near groups exchanged or couplings where they started."""
        self.looked = told_badly(best, noise=best.only_noise(NEARLY_NOISE))
        other, by = min(self.looked, key=lambda pair: pair[1] + farther(pair[0], best), default=(best, 0.0))
        if by + farther(other, best) > -TIE:
            return best
        self.looked = [(best, -by), *((one, more - by) for one, more in self.looked if one is not other)]
        return other

    def _settled(self, best: Solution, pending: Sequence[np.ndarray]) -> bool:
        """Whether no other start is needed: what is left is noise, or a line shape, or was found again and again."""
        if pending or lopsided(best):
            return False
        if best.only_noise():
            return True
        if best.unexplained < SMALL and self.hits >= CONFIRMED:
            return True
        if best.unexplained < 3 * SMALL and self._near_the_start(best):
            return True
        return self.hits > 1 and self._explained_by_line_shape(best)

    def _near_the_start(self, best: Solution) -> bool:
        """Whether shifts and couplings are so near their start values that those were good ones."""
        problem = best.problem
        some = problem.free & ~self.problem.new_couplings
        for s in range(len(problem.measured)):
            some[problem.at(s, "width")] = some[problem.at(s, "extra")] = False
        off = (best.state.theta - problem.mean)[some] / usual_spread(problem)[some]
        return bool((off**2).mean() < GOOD_START) if some.any() else True

    def _explained_by_line_shape(self, best: Solution) -> bool:
        """Whether an instrument line shape, which all lines share, takes most of the residual away.

        It cannot where lines are in wrong places.
        """
        if self.shaped is None:
            problem = best.problem
            state, _ = descend(problem, best.state.theta, best.stage, most=10)
            for _ in range(3):
                problem = with_line_shapes(problem, state, best.stage)
                state, _ = descend(problem, state.theta, best.stage, most=3, tolerance=1e-4)
            after = self._solution(problem, state, best.stage, ended=True)
            self.shaped = after.only_noise() or after.unexplained < SHAPED * best.unexplained
        return self.shaped

    def _moves(self, best: Solution, court: Stage) -> list[Float[np.ndarray, " k"]]:
        return moves(self.problem, best.state.theta, court, 2 if best.only_noise() else MOVED)

    def _move(self, theta: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
        """Down from a move; it has little way to go."""
        stage = self.held.stage(theta, self.ladder[1] if len(self.ladder) > 3 else self.ladder[0], self.reach + 10)
        return descend(self.held, theta, stage, tolerance=1e-3, most=24)[0].theta

    def _way(self, base: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"] | None:
        """Down from shifts displaced together, then from shifts put where the signal is, then from starts drawn.

        None where broad lines show already that it leads nowhere.
        """
        self.drawn += 1
        if self.drawn == 2:
            # Others may be near since they lost a group with its signal: on their points they say nothing of this one.
            return self._if_near(transported(self.problem, self.problem.mean), astray=np.inf)
        if self.orders:
            return self._if_near(self.orders.pop(0))
        if self.drawn > 2:
            share = SHARES[self.drawn % len(SHARES)]
            return self._if_near(base + share * (self._random(self.problem, self.problem.mean) - self.problem.mean))
        steps = [self.ladder[0]]
        while self.ladder[-2] > 0 and steps[-1] / 2 > self.ladder[-2]:
            steps.append(steps[-1] / 2)
        return self._sharpened(
            displaced(self.problem, base, self.ladder[0]), (*steps, self.ladder[-2]), 2.0
        ).state.theta

    def _transported(self, first: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
        """Shifts where the signal is; what was in the wrong order is tried next."""
        there = transported(self.problem, first)
        self.placed = True
        self.orders = assigned(self.held, there, self.held.stage(there, self.ladder[0], self.reach), ORDERS)
        return there

    def _if_near(self, theta: Float[np.ndarray, " k"], *, astray: float = ASTRAY) -> Float[np.ndarray, " k"] | None:
        """Down the ladder, as long as a start comes as near to the data as others did with lines as broad."""
        solution: Solution | None = None
        for broadening in self.ladder[:-1]:
            solution = self._annealed(self.held, theta if solution is None else solution.state.theta, broadening)
            if solution.error > astray * max(self.least.get(broadening, np.inf), FAINT):
                return None
        return theta if solution is None else self._to_line_width(solution, 3.0).state.theta

    def _court(self, theta: Float[np.ndarray, " k"]) -> Stage:
        """Where solutions are compared before they are followed to sharp lines.

        Also where the signal is, which lines of the start and of a wrong solution may all be far from: a start that
        is right would lose its lines where no points count.
        """
        there = transported(self.problem, self.problem.mean)
        broadening = max(self.ladder[-2], self._narrowest(theta))
        return self.problem.stage(theta, broadening, self.reach + 10, also=there)

    def _judged(self, theta: Float[np.ndarray, " k"], court: Stage) -> Solution:
        state, ended = descend(self.problem, theta, court, tolerance=1e-3, most=10)
        self._tick()
        return self._solution(self.problem, state, court, ended=ended)

    def alternatives(self, best: Solution) -> list[tuple[Solution, float]]:
        """Other solutions of comparable quality, each once, with how much worse they are in -2 log likelihood."""
        judged = self.judged or best
        kept: list[tuple[Solution, float]] = []
        for one, by in [*((one, evidence(one, judged)) for one in self.others), *self.looked]:
            if by > COMPARABLE or (lopsided(one) and not lopsided(best)):
                continue
            if any(same_spectrum(one, o) and same_parameters(one, o) for o in (best, *(s for s, _ in kept))):
                continue
            kept.append((one, by))
        nearest = sorted(kept, key=lambda pair: pair[1])[:REPORTED]
        if not best.stage.absolute:
            return nearest
        ended = [(self.absolute(one), one, by) for one, by in nearest]
        # One that is not found again by absolute deviations is reported as squared ones have it.
        return [(one if same_spectrum(end, best) else end, by) for end, one, by in ended]

    def doubt(self, best: Solution) -> str:
        """Why another solution may be better than the best; empty where that was looked into enough."""
        if lacking := lopsided(best):
            return without_signal(lacking)
        if not self.problem.pairs or self.starts < 2 or self._settled(best, ()):
            return ""
        return (
            f"not sure: {self.hits} of {self.drawn + 1} starts ended in this solution, and neither noise nor a line "
            f"shape explains its residual. Another may be better: try more starts, better start values, or ties"
        )

    def absolute(self, solution: Solution) -> Solution:
        """Go on with absolute deviations, on every point."""
        problem, theta = solution.problem, solution.state.theta
        stage = problem.stage(theta, 0.0, near(problem, theta, self.reach), fine=6.0, absolute=2e-4)
        state, ended = to_the_end(problem, theta, stage, most=40, tolerance=2e-4)
        state = from_rest(problem, state, stage, ~problem.new_couplings, tolerance=2e-4)
        self._tick()
        return self._solution(problem, state, stage, ended=ended)

    def with_line_shape(self, solution: Solution) -> Solution:
        """Fit an instrument line shape that all lines of a spectrum share, in turns with the other parameters."""
        self._tick()
        return shaped(solution)

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
            return self._solution(self.problem, evaluate(self.problem, theta, stage), stage, ended=False)
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
        found = self._solution(problem, state, stage, ended=ended)
        if problem is self.held:
            self.least[broadening] = min(found.error, self.least.get(broadening, np.inf))
        return found

    def _solution(self, problem: Problem, state: State, stage: Stage, *, ended: bool) -> Solution:
        if self.quiet is None:
            self.quiet = Quiet(problem, state.theta, self.reach)
        floor = tuple(self.quiet.floor(stage, s) for s in range(len(problem.measured)))
        return Solution(problem, state, stage, floor, ended)

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

    def _last(self, theta: Float[np.ndarray, " k"], most: int = 12) -> Solution:
        """On sharp lines; the first time also how high the baseline is."""
        problem, theta = self.problem, with_extras(self.problem, theta)
        halfway = problem.stage(theta, HALFWAY * self._narrowest(theta), near(problem, theta, self.reach))
        theta = descend(problem, theta, halfway, tolerance=5e-3, most=8)[0].theta
        stage = problem.stage(theta, 0.0, near(problem, theta, self.reach))
        state, ended = descend(problem, theta, stage, tolerance=2e-3, most=most)
        if not problem.slow and problem.baseline < 0:
            self.quiet = Quiet(problem, state.theta, self.reach)
            slow = tuple(
                self.quiet.slow(state.theta, state.linear[s][: problem.groups], s) for s in range(len(problem.measured))
            )
            self.problem = problem = replace(problem, slow=slow)
            if any(slow):
                stage = problem.stage(state.theta, 0.0, near(problem, state.theta, self.reach))
                state, ended = descend(problem, state.theta, stage, tolerance=1e-3, most=most)
        self._tick()
        return self._solution(problem, state, stage, ended=ended)

    def _ended(self, solution: Solution) -> Solution:
        """The last steps; without a Gaussian width where the data do not ask for one."""
        self.judged, noise = solution, solution.only_noise(NEARLY_NOISE)
        if any(solution.problem.slow) and not noise:
            solution = self._without_baseline(solution)
        problem, stage, given = solution.problem, solution.stage, ~solution.problem.new_couplings
        state, ended = to_the_end(
            problem, solution.state.theta, stage, tolerance=1e-5 if noise else 1e-3, most=40 if noise else 20
        )
        state = from_start_values(problem, state, stage, given)
        state = from_rest(problem, state, stage, given, tolerance=1e-5 if noise else 1e-3)
        best = self._solution(problem, state, stage, ended=ended)
        if noise:  # else they may make up for a line shape
            gaussian = np.zeros(len(problem.names), dtype=bool)
            for s in range(len(problem.measured)):
                gaussian[problem.at(s, "extra").start] = True
            best = self._without_small_couplings(self._without(best, gaussian))
        self._tick()
        return best

    def _without_baseline(self, solution: Solution) -> Solution:
        """Where more than noise is left, a baseline would make up for a line shape."""
        self.problem = problem = replace(solution.problem, slow=(0.0,) * len(solution.problem.measured))
        theta = solution.state.theta
        stage = problem.stage(theta, 0.0, near(problem, theta, self.reach))
        state, ended = descend(problem, theta, stage, tolerance=1e-3, most=20)
        return self._solution(problem, state, stage, ended=ended)

    def _without_small_couplings(self, best: Solution) -> Solution:
        """Without those new couplings, all together or one by one, that data do not ask for.

        A coupling that does not show makes a line broader whichever its sign: fitted where there is none, it makes
        widths too small.
        """
        new = self.problem.new_couplings
        found = self._without(best, new)
        if found is not best:
            return found
        order = [
            i
            for i in ascending(np.abs(best.state.theta), 1e-6).tolist()
            if new[i] and abs(best.state.theta[i]) < ONE_BY_ONE
        ]
        for i in order[:TRIED]:
            best = self._without(best, np.arange(len(new)) == i)
        return best

    def _without(self, best: Solution, which: Bool[np.ndarray, " k"]) -> Solution:
        """With some parameters held at 0, where that costs next to nothing."""
        problem, theta = best.problem, best.state.theta.copy()
        which = which & problem.free
        if not which.any():
            return best
        for s in range(len(problem.measured)):
            at = problem.at(s, "extra").start
            if which[at]:
                wide = np.exp(theta[problem.at(s, "width")]) + 0.5 * theta[at]
                theta[problem.at(s, "width")] = np.log(wide)
        theta[which] = 0.0
        held = replace(
            problem, free=problem.free & ~which, unseen=problem.unseen + tuple(np.flatnonzero(which).tolist())
        )
        state, ended = descend(held, theta, best.stage, tolerance=1e-5, most=30)
        plain = self._solution(held, state, best.stage, ended=ended)
        return plain if evidence(plain, best) < ASKED + int(which.sum()) else best

    def _random(self, problem: Problem, first: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
        """Shifts and couplings drawn from the prior."""
        sd = usual_spread(problem) if self.placed else problem.sd
        moved = np.where(problem.free, 0.6 * np.minimum(sd, 3.0), 0.0)
        for s in range(len(problem.measured)):
            moved[problem.at(s, "width")] = moved[problem.at(s, "extra")] = 0
        theta = first + moved * self.rng.standard_normal(len(first))
        return np.clip(problem.tied(theta, first), problem.low, problem.high)


def near(problem: Problem, theta: Float[np.ndarray, " k"], reach: float) -> float:
    """Hz around a line where its tail is above the threshold of the mask of `agreement.iou`."""
    widths = np.exp(np.concatenate([theta[problem.at(s, "width")] for s in range(len(problem.measured))]))
    return float(np.clip(45 * widths.max(), 10.0, 1.5 * reach))
