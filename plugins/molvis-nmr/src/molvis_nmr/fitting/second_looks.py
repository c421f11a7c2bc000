"""What a search looks at once it has ended: assignments and couplings that the data tell badly, and groups that lack
their signal.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from molvis_nmr.fitting.last_steps import GONE, MOST_GONE, held_at_start
from molvis_nmr.fitting.lineshape import with_line_shapes
from molvis_nmr.fitting.moves import near_pairs
from molvis_nmr.fitting.problem import Problem
from molvis_nmr.fitting.solutions import Solution, evidence, same_parameters
from molvis_nmr.fitting.variable_projection import descend

MOST_LOOKED = 3
"""Such solutions that are looked at closely."""
FAR = 1.5
"""One whose R factor is more than so many times the best's is none."""
DIFFERENT = 1.0
"""Hz by which two groups' couplings to a third differ where it matters which of them is which."""
LOPSIDED = 3.0
"""Standard deviations of the prior by which an intensity is off that no group has: one of 0.25, or of 1.75."""


def told_badly(best: Solution, *, noise: bool) -> list[tuple[Solution, float]]:
    """The same with two groups at nearly one shift exchanged, and couplings left, or, where more than noise is left,
    with a coupling that went far from its start value there again; each fitted again.

    Which of two near groups couples to a third often hardly shows, and a search that ended in noise or in a line shape
    has no reason to ask. Nor does the coupling of two near groups show but in faint outer lines, and in its place a
    wrong one may take up what the model's line shape lacks.

    Args:
        best: where the search ended.
        noise: whether it left no more than noise. Where it left more, solutions are compared with a line shape of their
            own each: a wrong assignment can make up for what the model's line shape lacks, and fit better than the
            right one without it.

    Returns:
        Solutions, and how much worse each is in -2 log likelihood.
    """
    found = _compared(best, _exchanged(best.problem, best.state.theta), plain=noise)
    return found if best.only_noise() else [*found, *_compared(best, _gone_back(best), plain=False)]


def _compared(best: Solution, begun: Iterable[Float[np.ndarray, " k"]], *, plain: bool) -> list[tuple[Solution, float]]:
    """Solutions from some starts, and how much worse each is; with a line shape each unless it is to be plain."""
    problem = best.problem
    found: list[Solution] = []
    for new in begun:
        state, ended = descend(problem, new, best.stage, most=16, tolerance=1e-3)
        one = Solution(problem, state, best.stage, best.floor, ended)
        if one.error < FAR * best.error and not same_parameters(one, best):
            found.append(one)
    found = sorted(found, key=lambda one: one.error)[:MOST_LOOKED]
    beside = best if plain or not found else shaped(best)
    return [(one, evidence(one if plain else shaped(one), beside)) for one in found]


def _exchanged(problem: Problem, theta: Float[np.ndarray, " k"]) -> Iterator[Float[np.ndarray, " k"]]:
    """Starts with two near groups exchanged."""
    for k, m in near_pairs(problem, theta):
        if not _matters(problem, theta, k, m):
            continue
        new = theta.copy()
        for s in range(len(problem.measured)):
            first = problem.at(s, "shift").start
            new[[first + k, first + m]] = theta[[first + m, first + k]]
        yield problem.tied(new, theta)


def _gone_back(best: Solution) -> Iterator[Float[np.ndarray, " k"]]:
    """Starts with a coupling held at its start value, the others fitted to that."""
    problem, theta = best.problem, best.state.theta
    off = np.abs(theta - problem.mean)
    pairs = [i for i in range(len(problem.pairs)) if problem.free[i] and not problem.new_couplings[i]]
    for i in sorted((i for i in pairs if off[i] > GONE), key=lambda i: -off[i])[:MOST_GONE]:
        yield held_at_start(problem, theta, best.stage, i)


def shaped(solution: Solution, rounds: int = 3) -> Solution:
    """With an instrument line shape that all lines of a spectrum share, in turns with the other parameters."""
    for _ in range(rounds):
        problem = with_line_shapes(solution.problem, solution.state, solution.stage)
        state, _ = descend(problem, solution.state.theta, solution.stage, most=4, tolerance=1e-4)
        solution = replace(solution, problem=problem, state=state)
    return solution


def _matters(problem: Problem, theta: Float[np.ndarray, " k"], k: int, m: int) -> bool:
    couplings = problem.system(theta, 0).couplings
    rest = [n for n in range(problem.groups) if n not in (k, m)]
    return bool((np.abs(couplings[k, rest] - couplings[m, rest]) > DIFFERENT).any())


def lopsided(best: Solution) -> dict[str, float]:
    """Groups whose intensity, the mean being 1, is one that none has: by name."""
    problem = best.problem
    found: dict[str, float] = {}
    for s, k in itertools.product(range(len(problem.measured)), problem.observed):
        r = best.state.linear[s][: problem.groups]
        share = float(r[k] / r[problem.observed].mean() * problem.r_mean[s][problem.observed].mean())
        if abs(share - problem.r_mean[s][k]) > LOPSIDED * problem.r_sd[s][k]:
            found[problem.systems[s].names[k] + problem.mark(s)] = share
    return found


def without_signal(lacking: Mapping[str, float]) -> str:
    """What to say of `lopsided` groups."""
    some = ", ".join(f"{name} {share:.2f}" for name, share in lacking.items())
    return (
        f"not sure: the signal of a group is far from that of its spins ({some} times): its lines may be others, or "
        f"part of them was suppressed or left out. Try better start values, or give a prior for its intensity"
    )
