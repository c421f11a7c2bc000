"""The instrument's line shape, which all lines of a spectrum share.

It is estimated from what Lorentzians do not explain: the residual is a sum of shifted copies of the model, whose
heights are found by linear least squares with a penalty (ridge regression), and the copies' heights are the weights of
a convolution ("taps") that is applied to every line. The idea is that of reference deconvolution, with all lines as the
reference.

Reference: G. A. Morris, H. Barjat, T. J. Horne, Prog. Nucl. Magn. Reson. Spectrosc. 31 (1997) 197,
doi:10.1016/S0079-6565(97)00011-3; A. E. Hoerl, R. W. Kennard, Technometrics 12 (1970) 55, doi:10.2307/1267351
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from scipy.signal import fftconvolve

from molvis_nmr.fitting.agreement import roi_iou
from molvis_nmr.fitting.lorentzians import Window
from molvis_nmr.fitting.problem import Kernel, Problem, Stage
from molvis_nmr.fitting.variable_projection import State

WINGS = 25.0
"""Hz to both sides that an instrument line shape may reach."""
STIFFNESS = 0.3
"""Prior of an instrument line shape per Hz, relative to its area."""


def ridge(
    columns: Float[np.ndarray, "t c"],
    residual: Float[np.ndarray, " t"],
    weight: Float[np.ndarray, " t"],
    precision: Float[np.ndarray, " c"],
) -> Float[np.ndarray, " c"]:
    """Coefficients of least squares with a normal prior around 0: (X'WX + P) b = X'W y of Hoerl and Kennard."""
    weighted = columns * weight[:, None]
    return np.linalg.solve(weighted.T @ columns + np.diag(precision), weighted.T @ residual)


def line_shape(problem: Problem, state: State, stage: Stage, s: int, without: Container[int] = ()) -> Kernel:
    """The line shape that explains what Lorentzians do not, and its step in Hz.

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
    plainly = replace(problem, kernel=_replaced(problem.kernel, s, None))
    system = problem.system(state.theta, s)
    one_side = _nodes(float(system.widths[problem.observed].min()) + plainly.shape(state.theta, s).gaussian)
    nodes = np.concatenate([-one_side[:0:-1], one_side])
    half = int(one_side[-2] / step)
    hats = np.maximum(_hats(step * np.arange(-half, half + 1), nodes[1:-1], nodes), 0)
    wide = [
        Window(w.start - half * step, step, np.zeros(len(w) + 2 * half), np.ones(len(w) + 2 * half, dtype=bool))
        for w in windows
    ]
    r = state.linear[s][:g]
    lengths = [len(w) for w in wide]
    pieces = np.split(plainly.basis(state.theta, wide, s, stage.broadening) @ r, np.cumsum(lengths)[:-1])
    columns = np.concatenate([fftconvolve(p[:, None], hats, mode="valid", axes=0) for p in pieces])
    plain = np.concatenate([p[half : len(p) - half] for p in pieces])
    residual = stage.data[s] - plain - stage.background[s] @ state.linear[s][g:]
    weight = state.weight[s].copy()
    at = 0
    for i, w in enumerate(windows):
        if i in without:
            weight[at : at + len(w)] = 0
        at += len(w)
    # The last column is a common factor of all intensities.
    squares = float((weight * state.residual[s]) @ state.residual[s])
    # Of data without noise nothing is left, and the prior would hold nothing.
    variance = max(squares, 1e-10 * float((weight * stage.data[s]) @ stage.data[s])) / max(stage.count[s], 1.0)
    stiff = np.full(columns.shape[1] + 1, variance / (STIFFNESS * step) ** 2)
    stiff[-1] = variance
    found = ridge(np.column_stack([columns, plain]), residual, weight, stiff)
    taps = hats @ found[:-1]
    taps[half] += 1 + found[-1]
    return taps / taps.sum(), step


def with_line_shapes(problem: Problem, state: State, stage: Stage) -> Problem:
    """The problem with the line shape of each spectrum estimated anew."""
    for s in range(len(problem.measured)):
        problem = replace(problem, kernel=_replaced(problem.kernel, s, line_shape(problem, state, stage, s)))
    return problem


def held_out(problem: Problem, state: State, stage: Stage) -> tuple[float, float] | None:
    """Mean IoU of multiplets without a line shape, and with one that was learned on the other multiplets alone.

    Each multiplet is brought to unit area and counts by its points; None where no spectrum has two.
    """
    plain, shaped, weight = [], [], []
    for s, windows in enumerate(stage.windows):
        if len(windows) < 2:
            continue
        ends = np.cumsum([len(w) for w in windows])[:-1]
        g = problem.groups
        base = stage.background[s] @ state.linear[s][g:]
        target = np.split(stage.data[s] - base, ends)
        for i, window in enumerate(windows):
            everywhere = np.ones(len(window), dtype=bool)
            for kernel, figures in ((None, plain), (line_shape(problem, state, stage, s, without=(i,)), shaped)):
                other = replace(problem, kernel=_replaced(problem.kernel, s, kernel))
                made = other.basis(state.theta, [window], s, stage.broadening) @ state.linear[s][:g]
                figures.append(roi_iou(made, target[i], everywhere))
            weight.append(len(window))
    if not weight:
        return None
    return float(np.average(plain, weights=weight)), float(np.average(shaped, weights=weight))


def _replaced(kernels: tuple[Kernel | None, ...], s: int, kernel: Kernel | None) -> tuple[Kernel | None, ...]:
    return (*kernels[:s], kernel, *kernels[s + 1 :])


def _nodes(width: float) -> Float[np.ndarray, " n"]:
    """Offsets in Hz on one side between which a line shape is straight: dense in the middle, sparse in the wings."""
    found, step = [0.0], 0.35 * width
    while found[-1] < WINGS:
        found.append(found[-1] + step)
        step *= 1.25
    return np.array(found)


def _hats(
    at: Float[np.ndarray, " m"], centres: Float[np.ndarray, " n"], nodes: Float[np.ndarray, " _"]
) -> Float[np.ndarray, "m n"]:
    """Piecewise linear functions: 1 at one node, 0 at its neighbours."""
    return np.column_stack([np.interp(at, nodes, (nodes == c).astype(float)) for c in centres])
