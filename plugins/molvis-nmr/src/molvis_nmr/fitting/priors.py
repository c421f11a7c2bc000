"""Priors of the parameters: the usual ones, those given by path, and parameters that share a value.

Each function returns a new `Problem`; the search starts at its `mean`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from molvis_core.errors import RecordError, did_you_mean
from molvis_core.fitting import Fixed, Normal, Uniform
from molvis_nmr.fitting.problem import Problem
from molvis_nmr.fitting.symmetry import ties_of
from molvis_nmr.spins.system import SpinSystem

SHIFT_SD = 0.05
COUPLING_SD = 3.0
WIDTH_SD = 0.7
INTENSITY_SD = 0.25
"""Of the usual prior around the start values: in ppm, in Hz, and relative. That of a coupling of 0 is `ZERO_SD`."""
ZERO_SD = 1.0


def with_usual_prior(problem: Problem, *, gaussian: bool, phase: bool) -> Problem:
    """Weak priors around the start values: what keeps parameters from running away.

    Shifts by 0.05 ppm, couplings by 3 Hz, those of 0 by 1 Hz, widths by a factor of 2 together and by a third apart,
    intensities by a quarter.

    Args:
        problem: what is fitted.
        gaussian: whether the Gaussian width is free.
        phase: whether the phases are free.
    """
    p, seen = len(problem.pairs), problem.seen
    mean, sd, free = problem.mean.copy(), problem.sd.copy(), problem.free.copy()
    low, high, r_mean = problem.low.copy(), problem.high.copy(), problem.r_mean.copy()
    start = np.array([problem.systems[0].couplings[pair] for pair in problem.pairs])
    mean[:p], sd[:p] = start, np.where(start != 0, COUPLING_SD, ZERO_SD)
    for s, (system, m) in enumerate(zip(problem.systems, problem.measured, strict=True)):
        shift, width, extra = (problem.at(s, kind) for kind in ("shift", "width", "extra"))
        mean[shift], sd[shift], free[shift] = system.shifts, SHIFT_SD, seen
        mean[width], sd[width], free[width] = np.log(system.widths), WIDTH_SD, seen
        low[width], high[width] = np.log(max(0.02, 0.05 * m.step)), np.log(100.0)
        mean[extra], sd[extra] = 0.0, (1.0, 0.1, 0.1)
        free[extra] = (gaussian, phase, phase)
        low[extra.start] = 0.0
        r_mean[s] = system.intensities
    return replace(problem, mean=mean, sd=sd, low=low, high=high, free=free, r_mean=r_mean)


def with_prior(problem: Problem, prior: Mapping[str, Normal | Uniform | Fixed]) -> Problem:
    """A prior by path in place of the usual, within the bounds of the usual.

    Widths of one spectrum are alike in the usual prior. They are independent where the prior of one is another.

    Raises:
        RecordError: a path that does not exist.
    """
    intensities = {
        f"intensity/{name}{problem.mark(s)}": (s, k)
        for s in range(len(problem.measured))
        for k, name in enumerate(problem.systems[s].names)
    }
    scales = {f"scale{problem.mark(s)}": s for s in range(len(problem.measured))}
    mean, sd, free = problem.mean.copy(), problem.sd.copy(), problem.free.copy()
    low, high = problem.low.copy(), problem.high.copy()
    r_mean, r_sd, scale, spread = problem.r_mean.copy(), problem.r_sd.copy(), list(problem.scale), problem.spread
    for name, belief in prior.items():
        middle, deviation = moments(belief)
        if name in scales:
            if not isinstance(belief, Fixed):
                raise RecordError(f"{name} of a prior must be Fixed: the intensities determine the rest")
            scale[scales[name]] = belief.value
        elif name in intensities:
            r_mean[intensities[name]], r_sd[intensities[name]] = middle, max(deviation, 1e-6 * abs(middle))
        elif name in problem.names:
            i = problem.names.index(name)
            least, most = (belief.low, belief.high) if isinstance(belief, Uniform) else (-np.inf, np.inf)
            if name.startswith("width/"):
                middle, deviation, least, most = _logarithms(name, middle, deviation, least, most)
                spread = spread if np.allclose((middle, deviation), (mean[i], sd[i]), rtol=1e-9) else np.inf
            mean[i], free[i] = middle, deviation > 0
            sd[i], low[i], high[i] = deviation or np.inf, max(least, low[i]), min(most, high[i])
        else:
            known = [*problem.names, *intensities, *scales]
            raise RecordError(f"the prior names {name!r}, which is not a parameter.{did_you_mean(name, known)}")
    return replace(
        problem, mean=mean, sd=sd, low=low, high=high, free=free,
        r_mean=r_mean, r_sd=r_sd, scale=tuple(scale), spread=spread,
    )  # fmt: skip


def of_shifts(system: SpinSystem, sd: float, spectra: int = 1) -> dict[str, Normal | Uniform | Fixed]:
    """A prior of shifts that may be off by more than usual, as those of a structure: `sd` in ppm."""
    marks = [f"@{s + 1}" for s in range(spectra)] if spectra > 1 else [""]
    return {
        f"shift/{name}{mark}": Normal(float(shift), sd)
        for name, shift in zip(system.names, system.shifts, strict=True)
        for mark in marks
    }


def usual_spread(problem: Problem) -> Float[np.ndarray, " k"]:
    """The prior's standard deviations, of shifts no more than the usual one: those of a structure may be far off."""
    sd = problem.sd.copy()
    for s in range(len(problem.measured)):
        sd[problem.at(s, "shift")] = np.minimum(sd[problem.at(s, "shift")], SHIFT_SD)
    return sd


def _logarithms(name: str, mean: float, sd: float, low: float, high: float) -> tuple[float, float, float, float]:
    """The prior of a width in Hz as that of its logarithm: mean, standard deviation, bounds."""
    if mean <= 0:
        raise RecordError(f"the mean of the prior of {name} must be positive, got {mean:g} Hz")
    return (
        np.log(mean),
        sd / mean,
        np.log(low) if low > 0 else -np.inf,
        np.log(high),
    )


def moments(belief: Normal | Uniform | Fixed) -> tuple[float, float]:
    """Mean and standard deviation of a prior."""
    if isinstance(belief, Normal):
        return belief.mean, belief.sd
    if isinstance(belief, Uniform):
        return (belief.low + belief.high) / 2, (belief.high - belief.low) / 12**0.5
    return belief.value, 0.0


def with_ties(problem: Problem, ties: Sequence[Sequence[str]]) -> Problem:
    """Parameters that share one value each group, and start from the mean of theirs.

    Raises:
        RecordError: a path that does not exist, is not fitted, or comes twice.
    """
    if not ties:
        return problem
    mean = problem.mean.copy()
    left = {i: [i] for i in np.flatnonzero(problem.free).tolist()}
    for together in ties:
        index: list[int] = []
        for name in together:
            if name not in problem.names:
                raise RecordError(f"ties name {name!r}, which is not a parameter.{did_you_mean(name, problem.names)}")
            index.append(problem.names.index(name))
        if len(index) < 2 or any(i not in left for i in index) or len(set(index)) < len(index):
            raise RecordError(f"ties must hold two or more fitted parameters, each once, got {', '.join(together)}")
        mean[index] = mean[index].mean()
        for i in index[1:]:
            left[index[0]] += left.pop(i)
    columns = np.zeros((len(problem.names), len(left)))
    for column, members in enumerate(left.values()):
        columns[members, column] = 1
    return replace(problem, mean=mean, tie=columns)


def with_symmetry(problem: Problem, prior: Mapping[str, Normal | Uniform | Fixed]) -> Problem:
    """What the symmetry of the start values makes one is tied; not what a prior of its own tells from the rest.

    Nothing is tied where the spectra's start values have different symmetries.
    """
    found = [ties_of(system, len(problem.measured)) for system in problem.systems]
    if any(ties != found[0] for ties in found):
        return problem
    fitted = {name for name, free in zip(problem.names, problem.free, strict=True) if free}
    kept: list[list[str]] = []
    for together in found[0]:
        beliefs = {prior.get(name) for name in together}
        if set(together) <= fitted and len(beliefs) == 1:
            kept.append(together)
    orbits = [
        tuple(problem.systems[0].names.index(name.removeprefix("shift/").split("@")[0]) for name in together)
        for together in kept
        if together[0].startswith("shift/")
    ]
    return replace(with_ties(problem, kept), alike=tuple(orbits)) if kept else problem
