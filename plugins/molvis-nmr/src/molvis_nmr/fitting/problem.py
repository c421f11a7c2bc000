"""Least squares on spectra: what is fitted, on which points, and how to go downhill.

Intensities and baseline are linear: at each point of the search they are solved for, and the search is over the rest
alone (variable projection). Noise is not known beforehand: the objective is that of a normal distribution of unknown
width, n log(sum of squares), plus squared distances from the prior.

Reference: G. H. Golub and V. Pereyra, Inverse Problems 19 (2003) R1, doi:10.1088/0266-5611/19/2/201
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from molvis_core.records import Trace
from molvis_nmr.fitting import agreement as metrics
from molvis_nmr.fitting.lorentzians import Shape, Window, basis, jacobian
from molvis_nmr.spins.derivatives import lines_and_derivatives
from molvis_nmr.spins.hamiltonian import RATIOS, components
from molvis_nmr.spins.system import SpinSystem
from molvis_nmr.spins.transitions import lines

STRONG = 1e-4
"""Lines weaker than this share of a spin's are left out where signals are looked for."""
ONE_SHIFT = 0.01
"""Groups of a kind that start nearer than this, in ppm, are taken to be alike."""
ALIKE = 0.05
"""By how much widths and intensities of such groups differ."""
TELLING = 6.0
"""Two answers that differ by less than this in the objective (-2 log likelihood) are as good as each other."""
WEAK = 1e-5
"""Lines weaker than this share of a spin's are left out of the model."""


class Measured:
    """A spectrum, ready to be fitted: in Hz, with excluded regions bridged, at any broadening.

    Attributes:
        trace: as it was given.
        frequency: of 1H, in MHz.
        observed: of the observed nucleus, in MHz.
        hertz: the axis in Hz.
        step: between points, in Hz.
        keep: points that are not excluded.
        data: the signal, divided by `unit`.
        unit: the highest point.
    """

    def __init__(self, trace: Trace, nucleus: str, exclude: Sequence[tuple[float, float]]) -> None:
        self.trace = trace
        self.observed = float(trace.frequency or 0.0)
        self.frequency = self.observed * 100 / RATIOS[nucleus]
        self.hertz = trace.x * self.observed
        self.step = float((self.hertz[-1] - self.hertz[0]) / (len(trace) - 1))
        self.keep = np.ones(len(trace), dtype=bool)
        for low, high in exclude:
            self.keep &= ~((trace.x >= min(low, high)) & (trace.x <= max(low, high)))
        data = np.array(trace.y)
        if not self.keep.all() and self.keep.any():
            at = np.arange(len(trace))
            data = np.interp(at, at[self.keep], data[self.keep])
        self.unit = float(np.abs(data).max()) or 1.0
        self.data = data / self.unit
        self._broadened: dict[float, np.ndarray] = {0.0: self.data}

    def broadened(self, width: float) -> Float[np.ndarray, " t"]:
        """The measurement convolved with a Lorentzian of `width` Hz."""
        if width not in self._broadened:
            from scipy.fft import irfft, next_fast_len, rfft, rfftfreq

            size = next_fast_len(len(self.data) + int(40 * width / self.step), real=True)
            decay = np.exp(-2 * np.pi * width * rfftfreq(size, self.step))
            self._broadened[width] = np.asarray(irfft(np.asarray(rfft(self.data, size)) * decay, size))[
                : len(self.data)
            ]
        return self._broadened[width]

    def windows(self, mask: Bool[np.ndarray, " t"], broadening: float, step: float) -> list[Window]:
        """Runs of `mask`, on every m-th point, so that these are at most `step` Hz apart."""
        every = max(int(step / self.step), 1)
        data = self.broadened(broadening)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.view(np.int8), [0]])))
        found: list[Window] = []
        for first, last in edges.reshape(-1, 2).tolist():
            count = (last - first) // every
            if count < 4:
                continue
            stop = first + count * every
            start = self.hertz[first]
            if broadening == 0 and every > 1:  # the mean of each m points, whose middle is where they are
                some = data[first:stop].reshape(count, every).mean(axis=1)
                keep = np.asarray(self.keep[first:stop].reshape(count, every).all(axis=1))
                start += self.step * (every - 1) / 2
            else:
                some, keep = data[first:stop:every], self.keep[first:stop:every]
            found.append(Window(float(start), self.step * every, some, keep))
        return found


@dataclass(frozen=True, eq=False, slots=True)
class Stage:
    """What is fitted at one broadening.

    Attributes:
        broadening: in Hz.
        windows: of each spectrum.
        data, keep: of all windows of each spectrum.
        background: columns of the baseline of each spectrum.
        count: points of each spectrum that count.
        absolute: 0 for least squares; else residuals count by their absolute value above this.
    """

    broadening: float
    windows: list[list[Window]]
    data: list[Float[np.ndarray, " _t"]]
    keep: list[Bool[np.ndarray, " _t"]]
    background: list[Float[np.ndarray, "_t _b"]]
    count: list[float]
    absolute: float = 0.0


@dataclass(frozen=True, eq=False, slots=True)
class State:
    """A point of the search with what was computed there.

    Attributes:
        theta: nonlinear parameters.
        linear: intensities and baseline of each spectrum.
        columns: what those are factors of.
        residual: measurement less model.
        weight: of each point.
        loss: sum of squares, or of absolute values, of each spectrum.
        objective: what is minimized.
    """

    theta: Float[np.ndarray, " k"]
    linear: list[Float[np.ndarray, " _c"]]
    columns: list[Float[np.ndarray, "_t _c"]]
    residual: list[Float[np.ndarray, " _t"]]
    weight: list[Float[np.ndarray, " _t"]]
    loss: list[float]
    objective: float


class Problem:
    """Spectra of one spin system, and its parameters.

    Nonlinear parameters in order: couplings; then of each spectrum shifts (ppm), logarithms of widths (Hz), the
    Gaussian width (Hz), phases. Each has a normal prior `mean`, `sd`, bounds `low`, `high`, and may move only where
    `free`. `tie` maps the vector that is searched over to that of all parameters.

    Attributes:
        pairs: groups whose coupling is a parameter.
        names: paths of the parameters.
        r_mean, r_sd: prior of the intensities, of each spectrum and group.
        spread: of the logarithms of the widths of one spectrum around their mean.
        scale: of each spectrum, in its units: what an intensity of 1 gives; None where it is to be found.
    """

    def __init__(
        self,
        measured: Sequence[Measured],
        systems: Sequence[SpinSystem],
        nucleus: str,
        *,
        all_couplings: bool = True,
        baseline: int = -1,
    ) -> None:
        self.measured, self.systems, self.nucleus = list(measured), list(systems), nucleus
        self.baseline = baseline
        self.groups = len(systems[0])
        first = systems[0]
        linked = first.couplings != 0
        if all_couplings:
            self.pairs = [p for c in components(linked) for p in itertools.combinations(c, 2)]
        else:
            self.pairs = [(k, m) for k, m in itertools.combinations(range(self.groups), 2) if linked[k, m]]
        names = [f"coupling/{first.names[k]}-{first.names[m]}" for k, m in self.pairs]
        units = ["Hz"] * len(names)
        for s in range(len(self.measured)):
            names += [f"{kind}/{name}{self.mark(s)}" for kind in ("shift", "width") for name in first.names]
            names += [f"{kind}{self.mark(s)}" for kind in ("gaussian", "phase/0", "phase/1")]
            units += ["ppm"] * self.groups + ["Hz"] * self.groups + ["Hz", "rad", "rad/kHz"]
        self.names, self.units = tuple(names), tuple(units)
        size = len(names)
        self.mean, self.sd = np.zeros(size), np.full(size, np.inf)
        self.low, self.high = np.full(size, -np.inf), np.full(size, np.inf)
        self.free = np.ones(size, dtype=bool)
        self.spread = 0.3
        self.tie: Float[np.ndarray, "k f"] | None = None
        self.r_mean = np.ones((len(self.measured), self.groups))
        self.r_sd = np.full((len(self.measured), self.groups), 0.25)
        self.scale: list[float | None] = [None] * len(self.measured)
        self.kernel: list[tuple[np.ndarray, float] | None] = [None] * len(self.measured)
        self.observed = [k for k in range(self.groups) if first.nuclei[k] == nucleus]

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

    def stage(
        self,
        theta: Float[np.ndarray, " k"],
        broadening: float,
        reach: float,
        *,
        fine: float = 3.0,
        absolute: float = 0.0,
    ) -> Stage:
        """Windows around the lines of the system as it is, and as it was given.

        Args:
            theta: nonlinear parameters.
            broadening: in Hz.
            reach: of the windows, in Hz.
            fine: points in the width of the narrowest line, at least, as far as the measurement has them.
            absolute: see `Stage`.
        """
        windows: list[list[Window]] = []
        for s, m in enumerate(self.measured):
            system = self.system(theta, s)
            mask = np.zeros(len(m.hertz), dtype=bool)
            for one in (system, self.systems[s]):
                found = lines(one, m.frequency, nucleus=self.nucleus, threshold=STRONG)
                mask |= metrics.region(m.hertz, found.position, found.weight.sum(axis=1), reach=reach)
            narrow = system.widths[self.observed].min() + self.shape(theta, s).gaussian + broadening
            windows.append(m.windows(mask, broadening, narrow / fine))
        data = [np.concatenate([w.data for w in some] or [np.zeros(0)]) for some in windows]
        keep = [np.concatenate([w.keep for w in some] or [np.zeros(0, dtype=bool)]) for some in windows]
        background = [_polynomials([len(w) for w in some], self.baseline) for some in windows]
        return Stage(broadening, windows, data, keep, background, [float(k.sum()) for k in keep], absolute)

    def basis(self, theta: Float[np.ndarray, " k"], windows: Sequence[Window], s: int, broadening: float) -> np.ndarray:
        """The spectrum of each group at intensity 1, on all windows."""
        system = self.system(theta, s)
        found = lines(system, self.measured[s].frequency, nucleus=self.nucleus, threshold=WEAK)
        return np.concatenate(basis(windows, found, system.widths, self.shape(theta, s, broadening)))

    def _level(self, s: int, data: np.ndarray, total: np.ndarray, weight: np.ndarray) -> float:
        """What an intensity of 1 gives: as it was set, or as the data have it for all groups alike."""
        given = self.scale[s]
        if given is not None:
            return given / self.measured[s].unit
        level = float((weight * total) @ data) / max(float((weight * total) @ total), 1e-300)
        return max(level, 1e-9)

    def level(self, s: int, state: State, stage: Stage) -> float:
        """What an intensity of 1 gives in the data of a spectrum."""
        return self._level(s, stage.data[s], state.columns[s][:, : self.groups] @ self.r_mean[s], state.weight[s])

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

    def likeness(self, s: int) -> Float[np.ndarray, "g g"]:
        """Precision of the differences between groups that start at one shift: they are alike, and relax alike."""
        shift, sizes = self.systems[s].shifts, self.systems[s].multiplicity
        near = (np.abs(shift[:, None] - shift) < ONE_SHIFT) & (sizes[:, None] == sizes)
        seen = np.isin(np.arange(self.groups), self.observed)
        near &= seen[:, None] & seen & ~np.eye(self.groups, dtype=bool)
        return (np.diag(near.sum(axis=1)) - near) / ALIKE**2

    def ridge(self, s: int, level: float) -> tuple[Float[np.ndarray, "g g"], Float[np.ndarray, " g"]]:
        """Prior of the linear intensities: precision and mean."""
        return (np.diag(1 / self.r_sd[s] ** 2) + self.likeness(s)) / level**2, self.r_mean[s] * level

    def _solve(
        self, stage: Stage, s: int, columns: np.ndarray, weight: np.ndarray, variance: float | None
    ) -> tuple[np.ndarray, float]:
        """Intensities, which are positive, and baseline; and what the prior of the intensities costs."""
        data, g = stage.data[s], self.groups
        weighted = columns * weight[:, None]
        gram, right = weighted.T @ columns, weighted.T @ data
        level = self._level(s, data, columns[:, :g] @ self.r_mean[s], weight)
        if variance is None:
            variance = 1e-3 * float((weight * data) @ data) / max(float(weight.sum()), 1.0)
        precision, mean = self.ridge(s, level)
        precision *= variance
        gram[:g, :g] += precision
        right[:g] += precision @ mean
        diagonal = np.arange(len(gram))
        gram[diagonal, diagonal] += 1e-12 * np.trace(gram) / len(gram)
        found = np.linalg.solve(gram, right)
        low = 0.02 * mean
        fixed = np.zeros(len(found), dtype=bool)
        while ((found[:g] < low) & ~fixed[:g]).any():
            fixed[:g] |= found[:g] < low
            found[:g][fixed[:g]] = low[fixed[:g]]
            open_ = ~fixed
            found[open_] = np.linalg.solve(
                gram[np.ix_(open_, open_)], right[open_] - gram[np.ix_(open_, fixed)] @ found[fixed]
            )
        return found, float((found[:g] - mean) @ precision @ (found[:g] - mean))

    def evaluate(self, theta: Float[np.ndarray, " k"], stage: Stage, before: State | None = None) -> State:
        """Model and objective. `before` tells how large the noise is, and where residuals are large."""
        off = np.where(self.free, theta - self.mean, 0.0)
        objective = float(off @ self.precision() @ off)
        linear, columns, residual, weight, loss = [], [], [], [], []
        for s in range(len(self.measured)):
            if before is not None and before.theta is theta:
                found = before.columns[s]
            else:
                found = np.hstack([self.basis(theta, stage.windows[s], s, stage.broadening), stage.background[s]])
            w = stage.keep[s].astype(np.float64)
            variance = None
            if before is not None:
                variance = before.loss[s] / stage.count[s]
                if stage.absolute:
                    w, variance = before.weight[s], variance * 0.5
            c, cost = self._solve(stage, s, found, w, variance)
            off = stage.data[s] - found @ c
            if stage.absolute:
                size = np.hypot(off, stage.absolute)
                w = stage.keep[s] / size
                total = float(size @ stage.keep[s]) + cost
            else:
                total = float((w * off) @ off) + cost
            objective += stage.count[s] * np.log(max(total, 1e-300)) * (2.0 if stage.absolute else 1.0)
            linear.append(c)
            columns.append(found)
            residual.append(off)
            weight.append(w)
            loss.append(total)
        return State(theta, linear, columns, residual, weight, loss, objective)

    def derive(self, state: State, stage: Stage) -> list[Float[np.ndarray, "_t _k"]]:
        """Derivatives of each spectrum by its own nonlinear parameters, at the state's intensities."""
        g, p = self.groups, len(self.pairs)
        found: list[np.ndarray] = []
        for s, m in enumerate(self.measured):
            system, r = self.system(state.theta, s), state.linear[s][:g]
            derived = lines_and_derivatives(
                system, m.frequency, nucleus=self.nucleus, threshold=WEAK, pairs=self.pairs, intensities=r
            )
            shape = self.shape(state.theta, s, stage.broadening)
            both = jacobian(stage.windows[s], derived, system.widths, shape, r)
            columns = np.concatenate([j for _, j in both])
            columns[:, g + p : 2 * g + p] *= system.widths
            found.append(columns)
        return found

    def normal(
        self, state: State, stage: Stage, derived: list[Float[np.ndarray, "_t _k"]]
    ) -> tuple[Float[np.ndarray, "k k"], Float[np.ndarray, " k"]]:
        """Normal equations of the nonlinear parameters, with the linear ones projected out."""
        size = len(self.names)
        left, right = np.zeros((size, size)), np.zeros(size)
        for s, slopes in enumerate(derived):
            place = self.own(s)
            weighted = state.columns[s] * state.weight[s][:, None]
            gram = weighted.T @ state.columns[s]
            diagonal = np.arange(len(gram))
            gram[diagonal, diagonal] += 1e-6 * gram[diagonal, diagonal] + 1e-9 * np.trace(gram) / len(gram)
            across = weighted.T @ slopes
            down = slopes * state.weight[s][:, None]
            factor = stage.count[s] / state.loss[s]
            projected = np.linalg.solve(gram, across)
            left[np.ix_(place, place)] += factor * (down.T @ slopes - across.T @ projected)
            right[place] += factor * (down - weighted @ projected).T @ state.residual[s]
        return left, right

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
                    found[np.ix_(at, at)] += self.likeness(s)[np.ix_(some, some)]
        return found

    def searched(self) -> Float[np.ndarray, "k f"]:
        """From the vector that is searched over to that of all parameters."""
        if self.tie is None:
            return np.eye(len(self.names))[:, self.free]
        some = self.tie * self.free[:, None]
        return some[:, some.any(axis=0)]

    def _limits(self, broadening: float) -> Float[np.ndarray, " k"]:
        """How far a parameter may go in one step."""
        limit = np.full(len(self.names), 1.0 + broadening / 4)
        for s, m in enumerate(self.measured):
            limit[self.at(s, "shift")] = (1.5 + 0.5 * broadening) / m.observed
            limit[self.at(s, "width")] = 0.5
            limit[self.at(s, "extra")] = (0.3, 0.1, 0.1)
        return limit

    def descend(
        self, theta: Float[np.ndarray, " k"], stage: Stage, *, most: int = 20, tolerance: float = 1e-3, reuse: int = 3
    ) -> tuple[State, bool]:
        """Levenberg and Marquardt from `theta` on; and whether it came to an end by itself.

        Args:
            theta: where to start.
            stage: what to fit.
            most: steps.
            tolerance: the end is reached where two steps in a row gain less than this share of the number of points.
            reuse: steps that share derivatives.
        """
        tie = self.searched()
        state = self.evaluate(theta, stage)
        state = self.evaluate(theta, stage, state)
        precision = self.precision()
        limit = self._limits(stage.broadening)
        damping, age, small = 1e-2, reuse, 0
        derived: list[np.ndarray] = []
        for _ in range(most):
            if age >= reuse:
                derived, age = self.derive(state, stage), 0
            age += 1
            left, right = self.normal(state, stage, derived)
            left = tie.T @ (left + precision) @ tie
            right = tie.T @ (right - precision @ np.where(self.free, state.theta - self.mean, 0.0))
            diagonal = np.diag(np.diag(left) + 1e-12)
            found = state
            for _ in range(6):
                move = np.clip(tie @ np.linalg.solve(left + damping * diagonal, right), -limit, limit)
                new = np.clip(state.theta + move, self.low, self.high)
                found = self.evaluate(new, stage, state)
                if found.objective < state.objective:
                    break
                damping = max(damping * 6, 1e-3)
            if not found.objective < state.objective:
                if age == 1:
                    return state, True
                age = reuse
                continue
            gain, state = state.objective - found.objective, found
            damping = max(damping / 6, 1e-7)
            if gain < tolerance * sum(stage.count):
                age, small = reuse, small + 1
                if small == 2:
                    return state, True
            else:
                small = 0
        return state, False


def _polynomials(lengths: Sequence[int], degree: int) -> Float[np.ndarray, "t b"]:
    """Columns of a polynomial of each window of its own; none where the degree is negative."""
    from scipy.linalg import block_diag

    each = [np.polynomial.legendre.legvander(np.linspace(-1, 1, n), degree) for n in lengths] if degree >= 0 else []
    return np.asarray(block_diag(*each)) if each else np.zeros((sum(lengths), 0))
