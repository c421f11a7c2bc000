"""What is fitted: spectra of one spin system, its parameters with their priors, and the points that count.

A `Problem` is resolved once and never changes: what ties parameters, holds them back or gives them a line shape makes a
new one with `dataclasses.replace`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float

from molvis_nmr.fitting import agreement
from molvis_nmr.fitting.lorentzians import Shape, Window, basis
from molvis_nmr.fitting.measured import Measured
from molvis_nmr.spins.hamiltonian import components
from molvis_nmr.spins.system import SpinSystem
from molvis_nmr.spins.transitions import lines

STRONG = 1e-4
"""Transitions weaker than this share of a spin's are left out where signals are looked for."""
WEAK = 1e-5
"""Transitions weaker than this share of a spin's are left out of the model."""
SAME_SHIFT = 0.01
"""Groups of a kind that start nearer than this, in ppm, are taken to be alike."""
ALIKE = 0.05
"""By how much intensities of such groups differ; widths by twice as much."""
SYMMETRIC = 1e-3
"""The same of groups that a symmetry makes equal."""
WAVE = 80.0
"""Hz of a window for each degree of a smooth baseline."""
EQUIVALENT = 6.0
"""Two fits that differ by less than this in the objective (-2 log likelihood) are equally good."""

Kernel = tuple[np.ndarray, float]
"""An instrument's line shape: weights on equidistant points, and their distance in Hz."""


@dataclass(frozen=True, eq=False, slots=True)
class Stage:
    """What is fitted at one broadening.

    Attributes:
        broadening: in Hz.
        windows: of each spectrum.
        data, keep: of all windows of each spectrum.
        background: columns of the baseline of each spectrum.
        stiffness: precision of the prior around 0 of each of these columns, in units of the data; 0 for none.
        count: points of each spectrum that count.
        absolute: 0 for least squares; else residuals count by their absolute value above this.
    """

    broadening: float
    windows: list[list[Window]]
    data: list[Float[np.ndarray, " _t"]]
    keep: list[Bool[np.ndarray, " _t"]]
    background: list[Float[np.ndarray, "_t _b"]]
    stiffness: list[Float[np.ndarray, " _b"]]
    count: list[float]
    absolute: float = 0.0


@dataclass(frozen=True, eq=False)
class Problem:
    """Spectra of one spin system, and its parameters.

    Nonlinear parameters in order: couplings; then of each spectrum shifts (ppm), logarithms of widths (Hz), the
    Gaussian width (Hz), phases. Each has a normal prior `mean`, `sd`, bounds `low`, `high`, and may move only where
    `free`; the search starts at `mean`. Make one with `problem_of`.

    Attributes:
        measured: the spectra.
        systems: start values for each spectrum.
        nucleus: observed.
        pairs: groups whose coupling is a parameter.
        names, units: paths and units of the parameters.
        mean, sd, low, high, free: prior, bounds and freedom of each parameter.
        r_mean, r_sd: prior of the intensities, of each spectrum and group.
        scale: of each spectrum, in its units: what an intensity of 1 gives; None where it is to be found.
        kernel: of each spectrum, the instrument's line shape; None where lines are Lorentzians.
        spread: standard deviation of the logarithms of the widths of one spectrum around their mean.
        tie: maps the vector that is searched over to that of all parameters; None where nothing is tied.
        unseen: places of parameters that are held at 0 because the data did not ask for them.
        alike: groups that a symmetry makes equal; they relax alike.
        baseline: degree of a polynomial in each window; negative for none.
        slow: of each spectrum, how high its baseline is where there is no signal, in units of its data: where
            `baseline` is negative, each window has a smooth one that is held near 0 by as much. 0 for none.
    """

    measured: tuple[Measured, ...]
    systems: tuple[SpinSystem, ...]
    nucleus: str
    pairs: tuple[tuple[int, int], ...]
    names: tuple[str, ...]
    units: tuple[str, ...]
    mean: Float[np.ndarray, " k"]
    sd: Float[np.ndarray, " k"]
    low: Float[np.ndarray, " k"]
    high: Float[np.ndarray, " k"]
    free: Bool[np.ndarray, " k"]
    r_mean: Float[np.ndarray, "s g"]
    r_sd: Float[np.ndarray, "s g"]
    scale: tuple[float | None, ...]
    kernel: tuple[Kernel | None, ...]
    spread: float = 0.3
    tie: Float[np.ndarray, "k f"] | None = None
    unseen: tuple[int, ...] = ()
    alike: tuple[tuple[int, ...], ...] = ()
    baseline: int = -1
    slow: tuple[float, ...] = ()

    @property
    def groups(self) -> int:
        """Number of groups of spins."""
        return len(self.systems[0])

    @cached_property
    def observed(self) -> list[int]:
        """Groups of the observed nucleus."""
        return [k for k, nucleus in enumerate(self.systems[0].nuclei) if nucleus == self.nucleus]

    @cached_property
    def seen(self) -> Bool[np.ndarray, " g"]:
        """The same as a mask."""
        return np.isin(np.arange(self.groups), self.observed)

    @cached_property
    def new_couplings(self) -> Bool[np.ndarray, " k"]:
        """Couplings that start at 0 as a mask of the parameters."""
        new = np.zeros(len(self.names), dtype=bool)
        for i, (k, m) in enumerate(self.pairs):
            new[i] = self.systems[0].couplings[k, m] == 0 and self.mean[i] == 0
        return new

    def mark(self, s: int) -> str:
        """What the names of a spectrum's own parameters end with."""
        return f"@{s + 1}" if len(self.measured) > 1 else ""

    def at(self, s: int, kind: str) -> slice:
        """Where a spectrum's `shift`, `width` or `extra` (Gaussian and phases) are."""
        first = len(self.pairs) + s * (2 * self.groups + 3)
        begin = {"shift": 0, "width": self.groups, "extra": 2 * self.groups}[kind]
        return slice(first + begin, first + begin + (3 if kind == "extra" else self.groups))

    def own(self, s: int) -> np.ndarray:
        """Places of what `jacobian` gives columns for."""
        place = np.arange(len(self.names))
        return np.concatenate([
            place[self.at(s, "shift")], place[: len(self.pairs)], place[self.at(s, "width")], place[self.at(s, "extra")]
        ])  # fmt: skip

    def system(self, theta: Float[np.ndarray, " k"], s: int) -> SpinSystem:
        """The spin system of one spectrum, with intensities as they were given."""
        couplings = self.systems[s].couplings.copy()
        for (k, m), value in zip(self.pairs, theta, strict=False):
            couplings[k, m] = couplings[m, k] = value
        return replace(
            self.systems[s],
            shifts=theta[self.at(s, "shift")],
            couplings=couplings,
            widths=np.exp(theta[self.at(s, "width")]),
            frequency=self.measured[s].frequency,
        )

    def shape(self, theta: Float[np.ndarray, " k"], s: int, broadening: float = 0.0) -> Shape:
        """The line shape of one spectrum."""
        gaussian, zero, one = theta[self.at(s, "extra")].tolist()
        return Shape(broadening, abs(gaussian), (zero, one), *(self.kernel[s] or (None, 1.0)))

    def basis(self, theta: Float[np.ndarray, " k"], windows: Sequence[Window], s: int, broadening: float) -> np.ndarray:
        """The spectrum of each group at intensity 1, on all windows."""
        system = self.system(theta, s)
        found = lines(system, self.measured[s].frequency, nucleus=self.nucleus, threshold=WEAK)
        return np.concatenate(basis(windows, found, system.widths, self.shape(theta, s, broadening)))

    def stage(
        self,
        theta: Float[np.ndarray, " k"],
        broadening: float,
        reach: float,
        *,
        also: Float[np.ndarray, " k"] | None = None,
        fine: float = 3.0,
        absolute: float = 0.0,
    ) -> Stage:
        """Windows around the transitions of the system as it is, and as it was given.

        Args:
            theta: nonlinear parameters.
            broadening: in Hz.
            reach: of the windows, in Hz.
            also: other parameters around whose transitions there are windows.
            fine: points in the width of the narrowest line, at least, as far as the measurement has them.
            absolute: see `Stage`.
        """
        windows: list[list[Window]] = []
        for s, m in enumerate(self.measured):
            system = self.system(theta, s)
            mask = np.zeros(len(m.hertz), dtype=bool)
            others = [] if also is None else [self.system(also, s)]
            for one in (system, self.systems[s], *others):
                found = lines(one, m.frequency, nucleus=self.nucleus, threshold=STRONG)
                mask |= agreement.region(m.hertz, found.position, found.weight.sum(axis=1), reach=reach)
            narrow = system.widths[self.observed].min() + self.shape(theta, s).gaussian + broadening
            windows.append(m.windows(mask, broadening, narrow / fine))
        data = [np.concatenate([w.data for w in some] or [np.zeros(0)]) for some in windows]
        keep = [np.concatenate([w.keep for w in some] or [np.zeros(0, dtype=bool)]) for some in windows]
        count = [float(k.sum()) for k in keep]
        return Stage(broadening, windows, data, keep, *self._background(windows), count, absolute)

    def _background(self, windows: list[list[Window]]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Columns of the baselines, and the precision of their priors: none of a polynomial that was asked for."""
        columns, stiffness = [], []
        for s, some in enumerate(windows):
            level = self.slow[s] if self.slow and self.baseline < 0 else 0.0
            degrees = [int(min(1 + len(w) * w.step / WAVE, 8)) if level else self.baseline for w in some]
            columns.append(_polynomials([len(w) for w in some], degrees))
            stiffness.append(np.full(columns[-1].shape[1], 1 / level**2 if level else 0.0))
        return columns, stiffness

    def swapped(self, theta: Float[np.ndarray, " k"], k: int, m: int) -> Float[np.ndarray, " k"]:
        """The same spectrum with two groups under each other's names."""
        new = theta.copy()
        turn = {k: m, m: k}
        place = {frozenset(p): i for i, p in enumerate(self.pairs)}
        for i, (a, b) in enumerate(self.pairs):
            new[place[frozenset((turn.get(a, a), turn.get(b, b)))]] = theta[i]
        for s in range(len(self.measured)):
            for kind in ("shift", "width"):
                at = self.at(s, kind).start
                new[[at + k, at + m]] = theta[[at + m, at + k]]
        return new

    @cached_property
    def likeness(self) -> tuple[Float[np.ndarray, "g g"], ...]:
        """Of each spectrum, the precision of differences between groups that start at one shift and relax alike."""
        found: list[np.ndarray] = []
        for system in self.systems:
            shift, sizes = system.shifts, system.multiplicity
            near = (np.abs(shift[:, None] - shift) < SAME_SHIFT) & (sizes[:, None] == sizes)
            near &= self.seen[:, None] & self.seen & ~np.eye(self.groups, dtype=bool)
            precision = near / ALIKE**2
            for together in self.alike:
                precision[np.ix_(together, together)] = (1 - np.eye(len(together))) / SYMMETRIC**2
            found.append(np.diag(precision.sum(axis=1)) - precision)
        return tuple(found)

    def ridge(self, s: int, level: float) -> tuple[Float[np.ndarray, "g g"], Float[np.ndarray, " g"]]:
        """Prior of the linear intensities: precision and mean."""
        return (np.diag(1 / self.r_sd[s] ** 2) + self.likeness[s]) / level**2, self.r_mean[s] * level

    @cached_property
    def precision(self) -> Float[np.ndarray, "k k"]:
        """Of the prior: of each parameter by itself, and of widths around their mean."""
        found = np.diag(np.where(self.free, 1 / self.sd**2, 0.0))
        if np.isfinite(self.spread):
            for s in range(len(self.measured)):
                at = np.arange(len(self.names))[self.at(s, "width")]
                at = at[self.free[at]]
                if len(at) > 1:
                    found[np.ix_(at, at)] += (np.eye(len(at)) - 1 / len(at)) / self.spread**2
                    some = at - self.at(s, "width").start
                    found[np.ix_(at, at)] += self.likeness[s][np.ix_(some, some)] / 4
        return found

    @cached_property
    def searched(self) -> Float[np.ndarray, "k f"]:
        """From the vector that is searched over to that of all parameters."""
        if self.tie is None:
            return np.eye(len(self.names))[:, self.free]
        some = self.tie * self.free[:, None]
        return some[:, some.any(axis=0)]

    def tied(self, theta: Float[np.ndarray, " k"], around: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
        """The nearest parameters to `theta` whose differences from `around` obey the ties."""
        if self.tie is None:
            return theta
        return around + self.tie @ (np.linalg.pinv(self.tie) @ (theta - around))


def problem_of(
    measured: Sequence[Measured],
    systems: Sequence[SpinSystem],
    nucleus: str,
    *,
    all_couplings: bool = True,
    baseline: int = -1,
) -> Problem:
    """The parameters of spectra, without a prior.

    Args:
        measured: the spectra.
        systems: start values for each.
        nucleus: observed.
        all_couplings: couplings between all groups that are linked, or those alone that are not 0.
        baseline: degree of a polynomial in each window; negative for none.
    """
    first, groups, spectra = systems[0], len(systems[0]), len(measured)
    linked = first.couplings != 0
    if all_couplings:
        pairs = [p for c in components(linked) for p in itertools.combinations(c, 2)]
    else:
        pairs = [(k, m) for k, m in itertools.combinations(range(groups), 2) if linked[k, m]]
    names = [f"coupling/{first.names[k]}-{first.names[m]}" for k, m in pairs]
    units = ["Hz"] * len(names)
    for s in range(spectra):
        mark = f"@{s + 1}" if spectra > 1 else ""
        names += [f"{kind}/{name}{mark}" for kind in ("shift", "width") for name in first.names]
        names += [f"{kind}{mark}" for kind in ("gaussian", "phase/0", "phase/1")]
        units += ["ppm"] * groups + ["Hz"] * groups + ["Hz", "rad", "rad/kHz"]
    size = len(names)
    return Problem(
        measured=tuple(measured),
        systems=tuple(systems),
        nucleus=nucleus,
        pairs=tuple((int(k), int(m)) for k, m in pairs),
        names=tuple(names),
        units=tuple(units),
        mean=np.zeros(size),
        sd=np.full(size, np.inf),
        low=np.full(size, -np.inf),
        high=np.full(size, np.inf),
        free=np.ones(size, dtype=bool),
        r_mean=np.ones((spectra, groups)),
        r_sd=np.full((spectra, groups), 0.25),
        scale=(None,) * spectra,
        kernel=(None,) * spectra,
        baseline=baseline,
    )


def _polynomials(lengths: Sequence[int], degrees: Sequence[int]) -> Float[np.ndarray, "t b"]:
    """Columns of a polynomial of each window of its own; none where the degree is negative."""
    from scipy.linalg import block_diag

    each = [
        np.polynomial.legendre.legvander(np.linspace(-1, 1, n), degree)
        for n, degree in zip(lengths, degrees, strict=True)
        if degree >= 0
    ]
    return np.asarray(block_diag(*each)) if each else np.zeros((sum(lengths), 0))
