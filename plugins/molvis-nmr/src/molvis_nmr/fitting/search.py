"""The search for the best fit: from broad to sharp, from more than one start, and what comes after."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from jaxtyping import Float
from scipy.signal import fftconvolve

from molvis_core.ties import TIE, ascending
from molvis_nmr.fitting.agreement import roi_iou
from molvis_nmr.fitting.lorentzians import Window
from molvis_nmr.fitting.problem import TELLING, Problem, Stage, State

ENOUGH = 0.04
"""R factor, at the last broadening but one, below which an answer is taken for right without a look at others."""

AGAIN = 5
"""Most starts, all near the first, before others are looked for."""
DISPLACED = 0.15
"""Most ppm by which all shifts are moved together."""
HOPELESS = 0.2
"""R factor above which a fit has failed."""
MOVES = 40
"""Most moves that are looked at from one answer."""
WINGS = 25.0
"""Hz to both sides that an instrument line shape may reach."""
STIFFNESS = 0.3
"""Prior of an instrument line shape per Hz, relative to its area."""


class Search:
    """The state of a search.

    Attributes:
        problem: what is fitted.
        state, stage: the best so far.
        starts: how many were tried.
    """

    def __init__(
        self,
        problem: Problem,
        reach: float,
        ladder: tuple[float, ...],
        seed: int,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self.problem, self.reach, self.ladder = problem, reach, ladder
        self.rng = np.random.default_rng(seed)
        self.progress, self.steps = progress, 0
        self.starts = 0
        self.ended = False

    def run(self, theta: Float[np.ndarray, " k"], *, starts: int) -> None:
        """Find the best fit from `theta` on, in at most so many starts.

        Couplings that start at 0 join in at the end.
        """
        problem, first, self.starts = self.problem, theta, 1
        plain = theta = self._sharpened(first, self.ladder[:-1])
        if starts > 1 and len(self.ladder) > 2 and problem.pairs and self._error() > ENOUGH:
            theta = self._again(first, min(AGAIN, starts))
            if self._error() > ENOUGH and self.starts < starts:
                before, error = theta, self._error()
                with self._held_back():
                    theta = self._explore(first, starts)
                theta = self._sharpened(theta, ())
                if _lower(error, self._error()):
                    theta = before
        self._last(theta)
        if not np.array_equal(theta, plain):
            # The lower of two at the last broadening need not be the lower without.
            other, error = (self.state, self.stage, self.ended), self._error()
            self._last(plain)
            if _lower(error, self._error()):
                self.state, self.stage, self.ended = other

    @contextmanager
    def _held_back(self) -> Iterator[None]:
        """While lines still look for each other, widths and intensities are no place to hide what does not fit."""
        problem = self.problem
        kept = problem.free, problem.spread, problem.r_sd
        problem.free = problem.free & ~self._new_couplings()
        problem.spread, problem.r_sd = min(problem.spread, 0.02), np.minimum(problem.r_sd, 0.1)
        try:
            yield
        finally:
            problem.free, problem.spread, problem.r_sd = kept

    def _sharpened(
        self, theta: Float[np.ndarray, " k"], ladder: Sequence[float], factor: float = 3.0
    ) -> Float[np.ndarray, " k"]:
        """Down the ladder, and on in small steps to the width of the lines: sharp ones find each other only so."""
        with self._held_back():
            theta = self._anneal(theta, ladder)
        broadening = self.ladder[-2] if len(self.ladder) > 1 else 0.0
        sharp = self._narrowest(theta)
        while broadening > 4 * sharp:
            broadening /= factor
            theta = self._anneal(theta, (broadening,))
            sharp = self._narrowest(theta)
        return theta

    def _again(self, first: Float[np.ndarray, " k"], starts: int) -> Float[np.ndarray, " k"]:
        """Down once more from the broadest, in smaller steps: as it was, all shifts displaced, then places nearby."""
        answer, error = self.state, self._error()
        coarse, fine = self.ladder[0], self.ladder[-2]
        steps = [coarse]
        while fine > 0 and steps[-1] / 2 > fine:
            steps.append(steps[-1] / 2)
        base, stage, displaced = first, self.stage, self._displaced(first)
        others = [first] if np.array_equal(displaced, first) else [first, displaced]
        while self.starts < starts and error > ENOUGH:
            self.starts += 1
            start = others.pop(0) if others else base + 0.3 * (self._drawn(first) - first)
            self._sharpened(start, (*steps, fine), 2.0)
            if _lower(self._error(), error):
                answer, error, stage = self.state, self._error(), self.stage
                base = displaced if start is displaced else base
        self.state, self.stage = answer, stage
        return answer.theta

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
        if problem.tie is not None:
            theta = first + problem.tie @ (np.linalg.pinv(problem.tie) @ (theta - first))
        return np.clip(theta, problem.low, problem.high)

    def _new_couplings(self) -> np.ndarray:
        new = np.zeros(len(self.problem.names), dtype=bool)
        for i, (k, m) in enumerate(self.problem.pairs):
            new[i] = self.problem.systems[0].couplings[k, m] == 0 and self.problem.mean[i] == 0
        return new

    def _anneal(self, theta: Float[np.ndarray, " k"], ladder: Sequence[float]) -> Float[np.ndarray, " k"]:
        for broadening in ladder:
            self.stage = self.problem.stage(theta, broadening, self.reach)
            self.state, _ = self.problem.descend(theta, self.stage, tolerance=1e-3, most=24)
            theta = self.state.theta
            self._tick()
        return theta

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

    def _near(self, theta: Float[np.ndarray, " k"]) -> float:
        """Hz around a line where its tail is above the threshold of the paper's mask."""
        widths = np.exp(np.concatenate([theta[self.problem.at(s, "width")] for s in range(len(self.problem.measured))]))
        return float(np.clip(45 * widths.max(), 10.0, 1.5 * self.reach))

    def _last(self, theta: Float[np.ndarray, " k"]) -> None:
        self.stage = self.problem.stage(theta, 0.0, self._near(theta))
        theta = self._with_extras(theta)
        self.state, self.ended = self.problem.descend(theta, self.stage, tolerance=1e-3, most=12)
        if self.only_noise():
            self.state, self.ended = self.problem.descend(self.state.theta, self.stage, tolerance=1e-5, most=30)
        self._tick()

    def _error(self) -> float:
        """R factor of the stage."""
        left = sum(float(r[k] @ r[k]) for r, k in zip(self.state.residual, self.stage.keep, strict=True))
        return (left / sum(float(y[k] @ y[k]) for y, k in zip(self.stage.data, self.stage.keep, strict=True))) ** 0.5

    def _explore(self, first: Float[np.ndarray, " k"], starts: int) -> Float[np.ndarray, " k"]:
        """Other starts until one explains the data: labels swapped from the best, then draws from the prior."""
        problem, (coarse, fine) = self.problem, (self.ladder[0], self.ladder[-2])
        middle = self.ladder[1] if len(self.ladder) > 3 else coarse
        rough, closer = (problem.stage(first, b, self.reach + 10) for b in (coarse, middle))
        best = problem.descend(self.state.theta, closer, tolerance=1e-3, most=8)[0]
        answer, error = self.state, self._error()
        moves = self._moves(best.theta, closer)
        while self.starts < starts:
            self.starts += 1
            self._tick()
            if moves:
                state = problem.descend(moves.pop(0), closer, tolerance=1e-3, most=24)[0]
            else:
                state = problem.descend(self._drawn(first), rough, tolerance=1e-3, most=24)[0]
                state = problem.descend(state.theta, closer, tolerance=1e-3, most=24)[0]
            if state.objective < best.objective - TELLING:
                best = state
                self._anneal(best.theta, (fine,))
                if _lower(self._error(), error):
                    answer, error = self.state, self._error()
                if error < ENOUGH:
                    break
                moves = self._moves(best.theta, closer)
        return answer.theta

    def _moves(self, theta: Float[np.ndarray, " k"], stage: Stage) -> list[Float[np.ndarray, " k"]]:
        """The most promising of what comes from other labels, or from couplings that change places, after a few steps.

        Two groups that are near each other change their shifts; or a group changes its couplings to two others.
        """
        problem = self.problem
        place = {frozenset(p): i for i, p in enumerate(problem.pairs)}
        at, sizes = problem.at(0, "shift"), problem.systems[0].multiplicity
        free, near = problem.free[at], 3 * np.minimum(problem.sd[at], 1.0)
        exchanges: list[list[tuple[int, int]]] = []
        for k, m in itertools.combinations(problem.observed, 2):
            if sizes[k] != sizes[m]:
                continue
            if free[k] and free[m] and abs(theta[at][k] - theta[at][m]) < min(near[k], near[m]):
                starts = [problem.at(s, "shift").start for s in range(len(problem.measured))]
                exchanges.append([(first + k, first + m) for first in starts])
            for a in range(problem.groups):
                i, j = place.get(frozenset((k, a)), -1), place.get(frozenset((m, a)), -1)
                if a in (k, m) or min(i, j) < 0 or not (problem.free[i] and problem.free[j]):
                    continue
                if theta[i] * theta[j] > 0 and abs(theta[i] - theta[j]) > 0.5:
                    exchanges.append([(i, j)])
        tried: list[State] = []
        for pairs in exchanges[:MOVES]:
            new = theta.copy()
            for i, j in pairs:
                new[[i, j]] = theta[[j, i]]
            if problem.tie is not None:
                new = theta + problem.tie @ (np.linalg.pinv(problem.tie) @ (new - theta))
            tried.append(problem.descend(new, stage, tolerance=1e-3, most=3)[0])
        objective = np.array([state.objective for state in tried])
        return [tried[i].theta for i in ascending(objective, 1e-3 * TELLING)[:3]]

    def _drawn(self, first: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
        problem = self.problem
        moved = np.where(problem.free, 0.6 * np.minimum(problem.sd, 3.0), 0.0)
        for s in range(len(problem.measured)):
            moved[problem.at(s, "width")] = moved[problem.at(s, "extra")] = 0
        theta = first + moved * self.rng.standard_normal(len(first))
        if problem.tie is not None:
            theta = first + problem.tie @ (np.linalg.pinv(problem.tie) @ (theta - first))
        return np.clip(theta, problem.low, problem.high)

    def _with_extras(self, theta: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
        """A Gaussian that is to be fitted does not start at 0, where it has no slope."""
        theta = theta.copy()
        for s in range(len(self.problem.measured)):
            at = self.problem.at(s, "extra").start
            if self.problem.free[at] and theta[at] == 0:
                theta[at] = 0.5 * float(np.exp(theta[self.problem.at(s, "width")].min()))
        return theta

    def only_noise(self) -> bool:
        """What is left over is as large as the noise beside the signals, or little more."""
        for s, m in enumerate(self.problem.measured):
            outside = np.ones(len(m.data), dtype=bool)
            for w in self.stage.windows[s]:
                first = np.searchsorted(m.hertz, w.start - w.step / 2)
                outside[first : first + round(len(w) * w.step / m.step)] = False
            quiet = m.data[outside & m.keep]
            quiet = quiet[quiet != 0]
            if len(quiet) < 64:
                return False
            blocks = quiet[: len(quiet) // 64 * 64].reshape(-1, 64)
            noise = 1.4826 * float(np.median(np.abs(blocks - np.median(blocks, axis=1, keepdims=True))))
            every = max(round(self.stage.windows[s][0].step / m.step), 1)
            rms = float(np.sqrt((self.state.residual[s] ** 2)[self.stage.keep[s]].mean()))
            if rms * every**0.5 > 1.5 * noise:
                return False
        return True

    def absolute(self) -> None:
        """Go on with absolute deviations, on every point."""
        reach = self._near(self.state.theta)
        stage = self.problem.stage(self.state.theta, 0.0, reach, fine=6.0, absolute=2e-4)
        self.state, self.ended = self.problem.descend(self.state.theta, stage, most=40, tolerance=2e-4)
        self.stage = stage
        self._tick()

    def shape_lines(self, rounds: int = 3) -> None:
        """Fit an instrument line shape that all lines of a spectrum share, in turns with the other parameters."""
        for _ in range(rounds):
            for s in range(len(self.problem.measured)):
                self.problem.kernel[s] = line_shape(self.problem, self.state, self.stage, s)
            self.state, _ = self.problem.descend(self.state.theta, self.stage, most=4, tolerance=1e-4)
            self._tick()

    def problem_found(self) -> str:
        """Why the fit is not to be trusted; empty where it is."""
        error = self._error()
        if error > HOPELESS:
            return (
                f"the best of {self.starts} starts leaves {error:.0%} of the signal unexplained (R factor): the start "
                f"values are too far off, or signals of something else are among those fitted"
            )
        if not self.ended:
            return "the fit did not converge: more steps would still make it better"
        return ""

    def progress_ends(self) -> None:
        """Report that all steps are done."""
        if self.progress is not None:
            self.progress(self.steps, self.steps)

    def _tick(self) -> None:
        self.steps += 1
        if self.progress is not None:
            self.progress(self.steps, max(self.steps + 1, len(self.ladder) + 3))


def _lower(error: float, other: float) -> bool:
    """Whether an error is lower by more than its rounding: of labels that change places at no cost the first stay."""
    return error < (1 - TIE) * other


def _nodes(width: float) -> Float[np.ndarray, " n"]:
    """Offsets in Hz on one side between which a line shape is straight: dense in the middle, sparse in the wings."""
    found, step = [0.0], 0.35 * width
    while found[-1] < WINGS:
        found.append(found[-1] + step)
        step *= 1.25
    return np.array(found)


def line_shape(
    problem: Problem, state: State, stage: Stage, s: int, without: Container[int] = ()
) -> tuple[Float[np.ndarray, " m"], float]:
    """The line shape that explains what lines without one leave over, and its step in Hz.

    It is a single line plus straight pieces around it, whose heights are held near 0 by what the noise allows.

    Args:
        problem: what is fitted.
        state: where the search is.
        stage: what is fitted last.
        s: which spectrum.
        without: windows that do not count.
    """
    g, windows = problem.groups, stage.windows[s]
    step = windows[0].step
    before, problem.kernel[s] = problem.kernel[s], None
    system = problem.system(state.theta, s)
    one_side = _nodes(float(system.widths[problem.observed].min()) + problem.shape(state.theta, s).gaussian)
    nodes = np.concatenate([-one_side[:0:-1], one_side])
    half = int(one_side[-2] / step)
    hats = np.maximum(_hats(step * np.arange(-half, half + 1), nodes[1:-1], nodes), 0)
    wide = [
        Window(w.start - half * step, step, np.zeros(len(w) + 2 * half), np.ones(len(w) + 2 * half, dtype=bool))
        for w in windows
    ]
    r = state.linear[s][:g]
    lengths = [len(w) for w in wide]
    pieces = np.split(problem.basis(state.theta, wide, s, stage.broadening) @ r, np.cumsum(lengths)[:-1])
    problem.kernel[s] = before
    columns = np.concatenate([fftconvolve(p[:, None], hats, mode="valid", axes=0) for p in pieces])
    plain = np.concatenate([p[half : len(p) - half] for p in pieces])
    left = stage.data[s] - plain - stage.background[s] @ state.linear[s][g:]
    weight = state.weight[s].copy()
    at = 0
    for i, w in enumerate(windows):
        if i in without:
            weight[at : at + len(w)] = 0
        at += len(w)
    area = np.column_stack([columns, plain])  # the last says how much too high or low all is
    weighted = area * weight[:, None]
    gram = weighted.T @ area
    variance = float((weight * state.residual[s]) @ state.residual[s]) / max(stage.count[s], 1.0)
    stiff = np.full(len(gram), variance / (STIFFNESS * step) ** 2)
    stiff[-1] = variance
    found = np.linalg.solve(gram + np.diag(stiff), weighted.T @ left)
    taps = hats @ found[:-1]
    taps[half] += 1 + found[-1]
    return taps / taps.sum(), step


def held_out(problem: Problem, state: State, stage: Stage) -> tuple[float, float] | None:
    """Mean IoU of multiplets without a line shape, and with one that was learned on the other multiplets alone.

    Each multiplet is brought to unit area and counts by its points; None where there are no two.
    """
    plain, shaped, weight = [], [], []
    for s, windows in enumerate(stage.windows):
        if len(windows) < 2:
            continue
        ends = np.cumsum([len(w) for w in windows])[:-1]
        g, kept = problem.groups, problem.kernel[s]
        base = stage.background[s] @ state.linear[s][g:]
        target = np.split(stage.data[s] - base, ends)
        for i, window in enumerate(windows):
            everywhere = np.ones(len(window), dtype=bool)
            for kernel, figures in ((None, plain), (line_shape(problem, state, stage, s, without=(i,)), shaped)):
                problem.kernel[s] = kernel
                made = problem.basis(state.theta, [window], s, stage.broadening) @ state.linear[s][:g]
                figures.append(roi_iou(made, target[i], everywhere))
            weight.append(len(window))
        problem.kernel[s] = kept
    if not weight:
        return None
    return float(np.average(plain, weights=weight)), float(np.average(shaped, weights=weight))


def _hats(
    at: Float[np.ndarray, " m"], centres: Float[np.ndarray, " n"], nodes: Float[np.ndarray, " _"]
) -> Float[np.ndarray, "m n"]:
    """Piecewise linear functions: 1 at one node, 0 at its neighbours."""
    return np.column_stack([np.interp(at, nodes, (nodes == c).astype(float)) for c in centres])
