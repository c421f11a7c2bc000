"""The fit of a mixture: amounts, shifts, responses, widths, couplings and a baseline, all together."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import numpy as np
from jaxtyping import Bool, Complex, Float, Int
from numpy.fft import irfft, rfft

from molvis_nmr.fitting.noise import variance_factor
from molvis_nmr.mixture.axis import Axis
from molvis_nmr.mixture.compounds import J_MOST, J_SD, Compound, CompoundState, Spins

RESPONDING = 0.5  # Hz; a multiplet in the wrong place must not hide by responding less
_WIDTH_SD = 0.35  # of the logarithm of a multiplet's width relative to the shared one
_RESPONSE = (-0.98, 0.5)
_FREEDOM = 3.0  # of Student's t that responses follow: suppressed water takes a multiplet near it along


class MixtureFit:
    """A mixture on an axis, and what is known of its noise so far."""

    def __init__(
        self,
        axis: Axis,
        y: Float[np.ndarray, " t"],
        frequency: float,
        compounds: Sequence[Compound],
        knots: float,
        noise: float,
        mask: Bool[np.ndarray, " t"],
    ) -> None:
        self.axis, self.frequency, self.compounds = axis, frequency, list(compounds)
        self.states = [c.start() for c in compounds]
        self.noise, self.floor, self.mask = noise, noise, mask
        self.width = 0.6  # Hz, half at half height
        self.kernel: Float[np.ndarray, " n"] | None = None
        self.model_error, self.response_sd, self.correlation = 0.3, 0.1, 1.0
        self.splines = _splines(axis.hertz, knots * frequency)
        self.base = np.linalg.lstsq(self.splines, np.full(len(y), np.median(y)), rcond=None)[0]
        self._y = rfft(np.append(y, np.linspace(y[-1], y[0], axis.size - len(y) + 2)[1:-1]))
        self.spreads: list[np.ndarray] = []
        self.covariance = np.zeros((len(compounds), len(compounds)))

    def target(self, broadening: float) -> Float[np.ndarray, " t"]:
        """The spectrum, broadened."""
        return irfft(self._y * self.axis.decay(broadening), n=self.axis.size)[: self.axis.points]

    def transfer(self, broadening: float, axis: Axis | None = None) -> Complex[np.ndarray, " k"]:
        """What the shared line shape and the broadening do to every line."""
        axis = axis or self.axis
        shape = axis.decay(broadening).astype(complex)
        if self.kernel is not None:
            lag = np.arange(len(self.kernel)) - len(self.kernel) // 2
            shape *= self.kernel @ np.exp(axis.turn * (lag * self.axis.step)[:, None])
        return shape

    def signals(self, broadening: float = 0.0) -> Float[np.ndarray, "c t"]:
        """What each compound gives."""
        transfer = self.transfer(broadening)
        rows = [
            s.amount * ((1 + s.response) @ c.render(self.axis, self.frequency, s, self.width, False).value)
            for c, s in zip(self.compounds, self.states, strict=True)
        ]
        return self.axis.back(np.stack(rows) * transfer) if rows else np.zeros((0, self.axis.points))

    def baseline(self) -> Float[np.ndarray, " t"]:
        """The smooth part."""
        return self.splines @ self.base

    def columns(self, broadening: float, exact: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Model and Jacobian on the mask; precision and pull of the priors.

        Parameters are, by compound, its amount, shifts, responses and, where `exact`, widths and couplings; then the
        shared width (its logarithm), then the baseline.
        """
        transfer = self.transfer(broadening)
        model = self.baseline()
        blocks, precision, pull = [], [], []
        by_shared = np.zeros(self.axis.points)
        for c, s, spread in zip(self.compounds, self.states, self.spreads, strict=True):
            r = c.render(self.axis, self.frequency, s, self.width, True)
            g = len(c.groups)
            rows = [(1 + s.response)[None] @ r.value, s.amount * r.by_shift, s.amount * r.value]
            shared = s.amount * r.by_width.sum(axis=0)[None]
            if exact:
                rows += [s.amount * r.by_width, s.amount * r.by_coupling]
            made = self.axis.back(np.concatenate([*rows, shared]) * transfer)
            model = model + s.amount * made[0]
            by_shared += made[-1]
            blocks.append(made[:-1][:, self.mask])
            sd = np.concatenate([c.window / 2, spread])
            off = np.concatenate([s.shift - c.shifts, s.response])
            if exact:
                sd = np.concatenate([sd, np.full(g, _WIDTH_SD), np.full(len(r.by_coupling), J_SD)])
                off = np.concatenate([off, s.width, (s.coupling - c.couplings)[: len(r.by_coupling)]])
            precision += [np.zeros(1), 1 / sd**2]
            pull += [np.zeros(1), off / sd**2]
        rest = np.concatenate([by_shared[None], self.splines.T])[:, self.mask]
        tiny = 1e-12 * (rest[1:] ** 2).sum(axis=1) / self.noise**2
        precision += [np.array([4.0]), tiny]
        pull += [np.array([4.0 * np.log(self.width / 0.6)]), np.zeros(len(tiny))]
        return model[self.mask], np.concatenate([*blocks, rest]), np.concatenate(precision), np.concatenate(pull)

    def moved(
        self, step: Float[np.ndarray, " k"], exact: bool, reach: float
    ) -> tuple[list[CompoundState], float, np.ndarray]:
        """States after a step; no multiplet leaves its window or goes further than `reach` Hz at once."""
        states: list[CompoundState] = []
        at = 0
        for c, s in zip(self.compounds, self.states, strict=True):
            g = len(c.groups)
            new = s.copy()
            new.amount = max(0.0, s.amount + step[at])
            most = reach / self.frequency
            shift = s.shift + np.clip(step[at + 1 : at + 1 + g], -most, most)
            new.shift = np.clip(shift, c.shifts - c.window, c.shifts + c.window)
            new.response = np.clip(s.response + step[at + 1 + g : at + 1 + 2 * g], *_RESPONSE)
            at += 1 + 2 * g
            if exact:
                new.width = np.clip(s.width + np.clip(step[at : at + g], -0.5, 0.5), -1.5, 1.5)
                at += g
                if isinstance(c, Spins):
                    p = len(c.couplings)
                    coupling = s.coupling + np.clip(step[at : at + p], -0.5, 0.5)
                    new.coupling = np.clip(coupling, c.couplings - J_MOST, c.couplings + J_MOST)
                    at += p
            states.append(new)
        width = self.width * float(np.exp(np.clip(step[at], -0.3, 0.3)))
        return states, float(np.clip(width, 0.05, 10.0)), self.base + step[at + 1 :]

    def amounts_at(self, exact: bool) -> Int[np.ndarray, " c"]:
        """Where the amounts are among the parameters."""
        sizes = [
            1 + (3 if exact else 2) * len(c.groups) + (len(c.couplings) if exact and isinstance(c, Spins) else 0)
            for c in self.compounds
        ]
        return np.cumsum([0, *sizes[:-1]]).astype(np.int64) if sizes else np.zeros(0, dtype=np.int64)

    def around(self, broadening: float) -> Float[np.ndarray, " m"]:
        """How strong the signal is near each fitted point: what is wrong about a line is wrong beside it, too."""
        return np.abs(self.signals(2 * broadening + 2.0).sum(axis=0))[self.mask]

    def sigma(self, broadening: float) -> Float[np.ndarray, " m"]:
        """Standard deviation of each fitted point: noise, and what the model misses of strong signals."""
        return np.sqrt(self.floor**2 + (self.model_error * self.around(broadening)) ** 2)

    def improve(self, broadening: float, *, exact: bool, rounds: int, most: int) -> None:
        """Levenberg-Marquardt, with the sizes of the errors learned again before each round."""
        target = self.target(broadening)[self.mask]
        for _ in range(rounds):
            self._learn(broadening, target)
            deviation = self.sigma(broadening)
            self._descend(broadening, exact, most, target, deviation)

    def _learn(self, broadening: float, target: Float[np.ndarray, " m"]) -> None:
        """Sizes of the errors, from what is left over: of points without signal, and of those with."""
        off = target - (self.signals(broadening).sum(axis=0) + self.baseline())[self.mask]
        near = self.around(broadening)
        noise = self.noise * float(np.sqrt((self.axis.decay(broadening) ** 2).mean()))
        quiet = near < np.quantile(near, 0.3)
        self.floor = max(noise, float(np.median(np.abs(off[quiet]))) / 0.6745) if quiet.any() else noise
        strong = near > 10 * self.floor
        if strong.sum() > 50:
            # The error by which half of the points lie within 0.67 standard deviations.
            low, high = 1e-5, 1.0
            for _ in range(40):
                middle = np.sqrt(low * high)
                beyond = np.median(off[strong] ** 2 / (self.floor**2 + (middle * near[strong]) ** 2)) > 0.455
                low, high = (middle, high) if beyond else (low, middle)
            self.model_error = float(np.sqrt(low * high))
        scaled = off / self.sigma(broadening)
        known = self.mask.copy()
        known[self.mask] = np.abs(scaled) < 5
        values = np.zeros(self.axis.points)
        values[self.mask] = scaled
        self.correlation = variance_factor(values, known)

    def _descend(
        self,
        broadening: float,
        exact: bool,
        most: int,
        target: Float[np.ndarray, " m"],
        deviation: Float[np.ndarray, " m"],
    ) -> None:
        amounts = self.amounts_at(exact)
        damping = 1e-3
        self.spreads = [
            np.full(len(s.response), 1e-4)
            if broadening > RESPONDING
            else self.response_sd * np.sqrt((_FREEDOM + (s.response / self.response_sd) ** 2) / (_FREEDOM + 1))
            for s in self.states
        ]
        model, jacobian, precision, pull = self.columns(broadening, exact)
        # A signal that nobody in the library has pulls at its neighbors: beyond 5 standard deviations less and less.
        weight = 1 / (deviation**2 * (1.0 if exact else self.correlation))
        weight = weight / (1 + ((target - model) / (5 * deviation)) ** 2)
        cost = self._cost(model, target, weight, precision, pull)
        for _ in range(most):
            scaled = jacobian * weight
            normal = scaled @ jacobian.T
            gradient = scaled @ (target - model) - pull
            free = np.ones(len(normal), dtype=bool)
            before = np.array([s.amount for s in self.states])
            while True:
                matrix = normal[np.ix_(free, free)] + np.diag(precision[free])
                matrix += damping * np.diag(np.diag(matrix)) + 1e-300 * np.eye(len(matrix))
                step = np.zeros(len(normal))
                step[free] = _solve(matrix, gradient[free])
                below = (before + step[amounts] < -1e-15) & free[amounts]
                if not below.any():
                    break
                step[amounts[below]] = 0
                free[amounts[below]] = False
                for place, amount in zip(amounts[below], before[below], strict=True):
                    # It goes to zero whatever the others do.
                    gradient = gradient + normal[:, place] * amount
            step[amounts[~free[amounts]]] = -before[~free[amounts]]
            kept = self.states, self.width, self.base
            self.states, self.width, self.base = self.moved(step, exact, max(3.0, 2 * broadening))
            fresh = self.columns(broadening, exact)
            new = self._cost(fresh[0], target, weight, fresh[2], fresh[3])
            if new < cost:
                gain = (cost - new) / max(cost, 1e-300)
                model, jacobian, precision, pull = fresh
                cost, damping = new, max(damping / 5, 1e-8)
                if gain < 1e-4:
                    break
            else:
                self.states, self.width, self.base = kept
                damping *= 8
                if damping > 1e4:
                    break
        normal = (jacobian * weight) @ jacobian.T / (self.correlation if exact else 1.0) + np.diag(precision)
        self.covariance = _inverse(normal)
        if broadening <= RESPONDING:
            self._spread_of_responses(exact)

    def _cost(
        self, model: np.ndarray, target: np.ndarray, weight: np.ndarray, precision: np.ndarray, pull: np.ndarray
    ) -> float:
        some = precision > 0
        return float((weight * (target - model) ** 2).sum() + (pull[some] ** 2 / precision[some]).sum())

    def _spread_of_responses(self, exact: bool) -> None:
        """By how much responses scatter beyond what noise explains, from all compounds that are clearly there."""
        variance = np.diag(self.covariance)
        found: list[tuple[float, float]] = []
        for at, c, s, spread in zip(self.amounts_at(exact), self.compounds, self.states, self.spreads, strict=True):
            g = len(c.groups)
            if g < 2 or s.amount < 5 * np.sqrt(variance[at]):
                continue
            # About their mean: the mean itself is the amount.
            block = slice(at + 1 + g, at + 1 + 2 * g)
            center = np.eye(g) - 1 / g
            known = np.diag(center @ self.covariance[block, block] @ center)
            prior = np.diag(center @ np.diag(spread**2) @ center)
            data = 1 / np.maximum(known, 1e-30) - 1 / prior
            raw = (center @ s.response) / (known * np.maximum(data, 1e-30))
            some = data > 1 / prior
            found += list(zip(raw[some] / np.sqrt(1 - 1 / g), 1 / data[some] / (1 - 1 / g), strict=True))
        if len(found) < 3:
            return
        raw, error = np.array(found).T
        # Half of a normal distribution lies within 0.6745: the median leaves out what suppressed water does.
        spread = (float(np.median(np.abs(raw))) / 0.6745) ** 2 - float(np.median(error))
        self.response_sd = float(np.clip(np.sqrt(max(spread, 0.0)), 0.002, 0.15))

    def explore(self, broadening: float, seed: int, enough: float = 0.06) -> None:
        """Other starts for compounds that explain their signals badly, one at a time, all else as it is.

        Only the stretch of the spectrum that is explained worst is looked at, and the multiplets there.
        """
        signals = self.signals()
        for i, compound in enumerate(self.compounds):
            if not isinstance(compound, Spins):
                continue
            off = self.target(0.0) - signals.sum(axis=0) - self.baseline()
            stretch = self._worst(signals[i], off, enough)
            if stretch is None:
                continue
            # As many as take about the same time, whatever the size.
            starts = int(np.clip(2000 / np.prod(compound.system.multiplicity + 1.0), 2, 32))
            random = np.random.default_rng([seed, i])
            signal = (off + signals[i])[stretch]
            found = self._elsewhere(compound, self.states[i], stretch, signal, broadening, random, starts)
            self.states[i] = found
            value = (1 + found.response) @ compound.render(self.axis, self.frequency, found, self.width, False).value
            signals[i] = found.amount * self.axis.back((value * self.transfer(0.0))[None])[0]

    def _worst(self, signal: Float[np.ndarray, " t"], off: Float[np.ndarray, " t"], enough: float) -> slice | None:
        """Where a compound's signals are explained worst, weighted by its own part in them; None if nowhere badly."""
        inside = np.flatnonzero(self.mask & (signal > 0.02 * signal.max()))
        if not len(inside) or signal.max() <= 0:
            return None
        runs = np.split(inside, np.flatnonzero(np.diff(inside) * self.axis.step > 0.15 * self.frequency) + 1)
        wrong = [(signal[run] * np.abs(off[run])).sum() for run in runs]
        worst = runs[int(np.argmax(wrong))]
        if max(wrong) < enough * (signal[worst] ** 2).sum():
            return None
        margin = round(20 / self.axis.step)
        return slice(max(0, worst[0] - margin), min(self.axis.points, worst[-1] + margin + 1))

    def _elsewhere(
        self,
        compound: Spins,
        state: CompoundState,
        stretch: slice,
        y: Float[np.ndarray, " s"],
        broadening: float,
        random: np.random.Generator,
        starts: int,
    ) -> CompoundState:
        axis = Axis(float(self.axis.hertz[stretch.start]), self.axis.step, len(y), self.axis.average)
        place = state.shift * self.frequency
        seen = (place > axis.start) & (place < axis.hertz[-1])
        there = copy(compound)
        there.shifts = np.where(seen, compound.shifts, state.shift)
        there.window = np.where(seen, compound.window, 1e-4)
        alone = MixtureFit(axis, y, self.frequency, [there], np.inf, self.noise, self.mask[stretch])
        alone.kernel, alone.floor, alone.base = self.kernel, self.floor, np.zeros_like(alone.base)
        alone.model_error, alone.response_sd = self.model_error, self.response_sd
        target = alone.target(broadening)[alone.mask]
        alone.states, alone.width = [state], self.width
        deviation = alone.sigma(broadening)
        best, found = np.inf, state
        for number in range(starts + 1):
            alone.width, alone.base = self.width, np.zeros_like(alone.base)
            if number:
                alone.states = [there.other(found, random, self.frequency)]
                for wide, most in ((6 * broadening, 4), (2 * broadening, 4)):
                    alone._descend(wide, True, most, alone.target(wide)[alone.mask], alone.sigma(wide))
            alone._descend(broadening, True, 6, target, deviation)
            model, _, precision, pull = alone.columns(broadening, True)
            cost = alone._cost(model, target, 1 / deviation**2, precision, pull)
            if cost < 0.97 * best:
                best, found = cost, alone.states[0]
                wrong = (np.abs(target - model) * np.abs(model)).sum() / (model**2).sum()
                if wrong < 0.03:
                    break
        return found

    def shape(self) -> None:
        """Fit the line shape that all lines share, as what to fold the model with."""
        reach = max(2, round(6.0 / self.axis.step))
        kernel, self.kernel = self.kernel, None
        signal = self.signals().sum(axis=0)
        self.kernel = kernel
        padded = np.pad(signal, reach)
        shifted = np.lib.stride_tricks.sliding_window_view(padded, self.axis.points)[::-1]  # row k: moved by k - reach
        basis = (shifted - signal)[:, self.mask]
        basis = np.delete(basis, reach, axis=0)
        off = (self.target(0.0) - self.baseline() - signal)[self.mask]
        weight = 1 / (self.sigma(0.0) ** 2 * self.correlation)
        lag = np.delete(np.abs(np.arange(2 * reach + 1) - reach), reach) * self.axis.step
        prior = (np.exp(lag / 2.0) / 0.05) ** 2
        taps = _solve((basis * weight) @ basis.T + np.diag(prior), basis @ (weight * off))
        self.kernel = np.insert(taps, reach, 1 - taps.sum())

    def keep(self, kept: Sequence[int]) -> None:
        """Leave the others out."""
        self.compounds = [self.compounds[i] for i in kept]
        self.states = [self.states[i] for i in kept]
        self.covariance = np.zeros((0, 0))

    def amounts(self, exact: bool) -> tuple[Float[np.ndarray, " c"], Float[np.ndarray, "c c"]]:
        """Amounts with their covariance."""
        at = self.amounts_at(exact)
        return np.array([s.amount for s in self.states]), self.covariance[np.ix_(at, at)]


def _solve(matrix: Float[np.ndarray, "k k"], right: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    scale = 1 / np.sqrt(np.diag(matrix))
    scaled = matrix * scale * scale[:, None]
    try:
        return scale * np.linalg.solve(scaled, scale * right)
    except np.linalg.LinAlgError:
        return scale * np.linalg.lstsq(scaled, scale * right, rcond=1e-12)[0]


def _inverse(matrix: Float[np.ndarray, "k k"]) -> Float[np.ndarray, "k k"]:
    scale = 1 / np.sqrt(np.maximum(np.diag(matrix), 1e-300))
    return np.linalg.pinv(matrix * scale * scale[:, None], hermitian=True) * scale * scale[:, None]


def _splines(x: Float[np.ndarray, " t"], spacing: float) -> Float[np.ndarray, "t b"]:
    """Cubic splines with about so much between their knots."""
    from scipy.interpolate import BSpline

    pieces = max(1, round((x[-1] - x[0]) / spacing))  # one where the spacing is infinite
    inner = np.linspace(x[0], x[-1], pieces + 1)
    knots = np.concatenate([[inner[0]] * 3, inner, [inner[-1]] * 3])
    return np.asarray(BSpline.design_matrix(x, knots, 3).toarray())
