"""Priors of the parameters: the usual ones, those given by path, and parameters that share a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from molvis_core.errors import RecordError, did_you_mean
from molvis_core.fitting import Fixed, Normal, Uniform
from molvis_nmr.fitting.problem import Problem

if TYPE_CHECKING:
    pass

SHIFT_SD = 0.05
COUPLING_SD = 3.0
WIDTH_SD = 0.7
INTENSITY_SD = 0.25
"""Of the usual prior around the start values: in ppm, in Hz, and relative. That of a coupling of 0 is `ZERO_SD`."""
ZERO_SD = 1.0


def usual_prior(problem: Problem, *, gaussian: bool, phase: bool) -> Float[np.ndarray, " k"]:
    """Weak priors around the start values: what keeps parameters from running away. Returns the start.

    Shifts by 0.05 ppm, couplings by 3 Hz, those of 0 by 1 Hz, widths by a factor of 2 together and by a third apart,
    intensities by a quarter.
    """
    p = len(problem.pairs)
    start = np.array([problem.systems[0].couplings[pair] for pair in problem.pairs])
    problem.mean[:p], problem.sd[:p] = start, np.where(start != 0, COUPLING_SD, ZERO_SD)
    for s, (system, m) in enumerate(zip(problem.systems, problem.measured, strict=True)):
        seen = np.isin(np.arange(problem.groups), problem.observed)
        shift, width, extra = (problem.at(s, kind) for kind in ("shift", "width", "extra"))
        problem.mean[shift], problem.sd[shift], problem.free[shift] = system.shifts, SHIFT_SD, seen
        problem.mean[width], problem.sd[width], problem.free[width] = np.log(system.widths), WIDTH_SD, seen
        problem.low[width], problem.high[width] = np.log(max(0.02, 0.05 * m.step)), np.log(100.0)
        problem.mean[extra], problem.sd[extra] = 0.0, (1.0, 0.1, 0.1)
        problem.free[extra] = (gaussian, phase, phase)
        problem.low[extra.start] = 0.0
        problem.r_mean[s] = system.intensities
    return problem.mean.copy()


def apply_prior(
    problem: Problem, prior: Mapping[str, Normal | Uniform | Fixed], theta: Float[np.ndarray, " k"]
) -> Float[np.ndarray, " k"]:
    """Put a prior by path in place of the usual; returns the start.

    Raises:
        RecordError: a path that does not exist.
    """
    theta = theta.copy()
    intensities = {
        f"intensity/{name}{problem.mark(s)}": (s, k)
        for s in range(len(problem.measured))
        for k, name in enumerate(problem.systems[s].names)
    }
    scales = {f"scale{problem.mark(s)}": s for s in range(len(problem.measured))}
    for name, belief in prior.items():
        mean, sd = moments(belief)
        if name in scales:
            if not isinstance(belief, Fixed):
                raise RecordError(f"{name} of a prior can only be Fixed: intensities say the rest")
            problem.scale[scales[name]] = belief.value
        elif name in intensities:
            problem.r_mean[intensities[name]], problem.r_sd[intensities[name]] = mean, max(sd, 1e-6 * abs(mean))
        elif name in problem.names:
            i = problem.names.index(name)
            low, high = (belief.low, belief.high) if isinstance(belief, Uniform) else (-np.inf, np.inf)
            if name.startswith("width/"):
                problem.spread = np.inf
                if mean <= 0:
                    raise RecordError(f"the prior of {name} is around {mean:g} Hz; a positive width is wanted")
                mean, sd, floor = np.log(mean), sd / mean, problem.low[i]
                low = max(floor, np.log(low) if low > 0 else -np.inf)
                high = np.log(high) if np.isfinite(high) else problem.high[i]
            theta[i] = problem.mean[i] = mean
            problem.free[i] = sd > 0
            problem.sd[i], problem.low[i], problem.high[i] = sd or np.inf, low, high
        else:
            known = [*problem.names, *intensities, *scales]
            raise RecordError(f"the prior names {name!r}, which is no parameter.{did_you_mean(name, known)}")
    return theta


def moments(belief: Normal | Uniform | Fixed) -> tuple[float, float]:
    """Mean and standard deviation of a prior."""
    if isinstance(belief, Normal):
        return belief.mean, belief.sd
    if isinstance(belief, Uniform):
        return (belief.low + belief.high) / 2, (belief.high - belief.low) / 12**0.5
    return belief.value, 0.0


def tie(problem: Problem, ties: Sequence[Sequence[str]], theta: Float[np.ndarray, " k"]) -> None:
    """Let parameters share one value each group; `theta` is brought to the means.

    Raises:
        RecordError: a path that does not exist, is not fitted, or comes twice.
    """
    if not ties:
        return
    left = {i: [i] for i in np.flatnonzero(problem.free).tolist()}
    for together in ties:
        index: list[int] = []
        for name in together:
            if name not in problem.names:
                raise RecordError(f"ties name {name!r}, which is no parameter.{did_you_mean(name, problem.names)}")
            index.append(problem.names.index(name))
        if len(index) < 2 or any(i not in left for i in index) or len(set(index)) < len(index):
            raise RecordError(f"ties of {', '.join(together)}: two or more fitted parameters are wanted, each once")
        theta[index] = problem.mean[index] = theta[index].mean()
        for i in index[1:]:
            left[index[0]] += left.pop(i)
    columns = np.zeros((len(problem.names), len(left)))
    for column, members in enumerate(left.values()):
        columns[members, column] = 1
    problem.tie = columns
