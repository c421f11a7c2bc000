"""The search for the best fit: from broad to sharp, from more than one start, and what comes after."""

from __future__ import annotations

from collections.abc import Callable, Container

import numpy as np
from jaxtyping import Float
from scipy.signal import fftconvolve

from molvis_nmr.model import Window
from molvis_nmr.squares import Problem, Stage, State

ENOUGH = 0.1
"""R factor below which an answer is taken for right without a look at others."""

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
        """Find the best fit from `theta` on, in at most so many starts."""
        self.starts = min(starts, 1)
        self._tick()
        for broadening in self.ladder:
            last = broadening == 0
            stage = self.problem.stage(theta, broadening, self.reach)
            if last:
                theta = self._with_extras(theta)
            self.state, self.ended = self.problem.descend(
                theta, stage, tolerance=1e-4 if last else 1e-3, most=40 if last else 20
            )
            self.stage, theta = stage, self.state.theta
            self._tick()

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
            noise = 1.4826 * float(np.median(np.abs(np.diff(quiet)))) / 2**0.5
            every = max(round(self.stage.windows[s][0].step / m.step), 1)
            rms = float(np.sqrt((self.state.residual[s] ** 2)[self.stage.keep[s]].mean()))
            if rms * every**0.5 > 1.5 * noise:
                return False
        return True

    def absolute(self) -> None:
        """Go on with absolute deviations, on every point."""
        stage = self.problem.stage(self.state.theta, 0.0, self.reach, fine=6.0, absolute=2e-4)
        self.state, _ = self.problem.descend(self.state.theta, stage, most=15, tolerance=1e-4)
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


def _hats(
    at: Float[np.ndarray, " m"], centres: Float[np.ndarray, " n"], nodes: Float[np.ndarray, " _"]
) -> Float[np.ndarray, "m n"]:
    """Piecewise linear functions: 1 at one node, 0 at its neighbours."""
    return np.column_stack([np.interp(at, nodes, (nodes == c).astype(float)) for c in centres])
