"""The last steps of a fit: on until nothing is gained, and away from where a coupling rests at 0."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from molvis_nmr.fitting.problem import EQUIVALENT, Problem, Stage
from molvis_nmr.fitting.variable_projection import State, descend

AGAIN = 3
"""Times that a last descent goes on where it has not ended."""
RESTING, MOST_RESTING = 1.0, 6
"""Hz below which a coupling that did not start at 0 may rest there, and how many are looked at."""
AWAY = (0.6, 1.2)
"""Hz at which such a coupling is tried."""
NARROWER = 0.85
"""Factor of the widths of its groups, which made up for it."""
GONE, MOST_GONE = 2.0, 6
"""Hz by which a coupling is off its start value that is tried there again, and how many are looked at."""
LESS = 0.3
"""Factor of the Gaussian width, which did, too."""


def to_the_end(
    problem: Problem, theta: Float[np.ndarray, " k"], stage: Stage, *, most: int, tolerance: float
) -> tuple[State, bool]:
    """`descend`, again while it has not come to an end; it has where further steps gain what no data can tell.

    Couplings that hardly show, as those between the protons of a CH2, go on for long at next to no gain.
    """
    state, ended = descend(problem, theta, stage, most=most, tolerance=tolerance)
    for _ in range(AGAIN):
        if ended:
            break
        before = state.objective
        state, ended = descend(problem, state.theta, stage, most=most, tolerance=tolerance)
        ended = ended or before - state.objective < EQUIVALENT
    return state, ended


def from_rest(
    problem: Problem, state: State, stage: Stage, given: Bool[np.ndarray, " k"], *, tolerance: float
) -> State:
    """The same, or what is better with a small coupling larger and the lines of its groups narrower.

    A multiplet of first order is an even function of each coupling: one that came near 0 on the way has no slope
    there, and stays, while widths and the Gaussian make up for what it lacks.

    Args:
        problem: what is fitted.
        state: where a descent ended.
        stage: the points.
        given: couplings that did not start at 0.
        tolerance: as for `descend`.
    """
    small = [i for i in range(len(problem.pairs)) if given[i] and problem.free[i] and abs(state.theta[i]) < RESTING]
    for i in sorted(small, key=lambda i: abs(state.theta[i]))[:MOST_RESTING]:
        for away in AWAY:
            theta = state.theta.copy()
            theta[i] = np.copysign(away, theta[i])
            for s in range(len(problem.measured)):
                theta[problem.at(s, "extra").start] *= LESS
                for k in problem.pairs[i]:
                    theta[problem.at(s, "width").start + k] += np.log(NARROWER)
            theta = np.clip(problem.tied(theta, state.theta), problem.low, problem.high)
            other, _ = descend(problem, theta, stage, most=8, tolerance=tolerance)
            if other.objective < state.objective - EQUIVALENT:
                state = other
                break
    return state


def together(problem: Problem, i: int) -> Bool[np.ndarray, " k"]:
    """A parameter and those tied to it."""
    held = np.arange(len(problem.names)) == i
    if problem.tie is not None:
        held |= (problem.tie[:, problem.tie[i] != 0] != 0).any(axis=1)
    return held


def held_at_start(problem: Problem, theta: Float[np.ndarray, " k"], stage: Stage, i: int) -> Float[np.ndarray, " k"]:
    """A parameter, and those tied to it, at its start value, and the others fitted to that."""
    held = together(problem, i)
    begun = np.where(held, problem.mean, theta)
    return descend(replace(problem, free=problem.free & ~held), begun, stage, most=12, tolerance=1e-3)[0].theta


def from_start_values(problem: Problem, state: State, stage: Stage, given: Bool[np.ndarray, " k"]) -> State:
    """The same, or what is better with a coupling that went far from its start value there again.

    That between the two protons of a CH2 which are nearly one shift has optima far apart (-7 and -20 Hz beside -14),
    in which their couplings to others, averaged by it, are off by half a hertz: it is held at its start value, the
    others fitted, and then all.

    Args:
        problem: what is fitted.
        state: where a descent ended.
        stage: the points.
        given: couplings that did not start at 0.
    """
    off = np.abs(state.theta - problem.mean)
    away = [i for i in range(len(problem.pairs)) if given[i] and problem.free[i] and off[i] > GONE]
    for i in sorted(away, key=lambda i: -off[i])[:MOST_GONE]:
        if abs(state.theta[i] - problem.mean[i]) <= GONE:
            continue  # one before has brought it back
        other, _ = descend(problem, held_at_start(problem, state.theta, stage, i), stage, most=16, tolerance=1e-4)
        if other.objective < state.objective - EQUIVALENT:
            state = other
    return state


def with_extras(problem: Problem, theta: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """A Gaussian that is to be fitted does not start at 0, where it has no slope."""
    theta = theta.copy()
    for s in range(len(problem.measured)):
        at = problem.at(s, "extra").start
        if problem.free[at] and theta[at] == 0:
            theta[at] = 0.5 * float(np.exp(theta[problem.at(s, "width")].min()))
    return theta
