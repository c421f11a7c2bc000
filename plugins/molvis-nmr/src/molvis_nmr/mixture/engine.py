"""The fit of a mixture: amounts, shifts, responses, widths, couplings and a baseline, all together.

A `Mixture` is what does not change; a `MixtureFit` is what is known of it so far, and every step returns a new one.
The errors of the model are learned beside its parameters: noise, what the model misses of strong signals, and by how
much multiplets respond more or less than they should.

Reference: K. L. Lange, R. J. A. Little, J. M. G. Taylor, J. Am. Stat. Assoc. 84 (1989) 881,
doi:10.1080/01621459.1989.10478852 (least squares of Student's t by reweighting)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Complex, Float, Int
from numpy.fft import irfft, rfft

from molvis_nmr.fitting.levenberg_marquardt import Schedule, minimize
from molvis_nmr.fitting.lineshape import ridge
from molvis_nmr.fitting.noise import variance_factor
from molvis_nmr.mixture.axis import Axis
from molvis_nmr.mixture.compounds import J_MOST, J_SD, Compound, CompoundState, Spins

RESPONDING = 0.5  # Hz; a multiplet in the wrong place must not vanish by a low response
_WIDTH_SD = 0.35  # of the logarithm of a multiplet's width relative to the shared one
_RESPONSE = (-0.98, 0.5)
_FREEDOM = 3.0  # of Student's t that responses follow: suppressed water takes a multiplet near it along
_WIDTH = 0.6  # Hz, half at half height: what the shared width is expected to be


@dataclass(frozen=True, eq=False, slots=True)
class Mixture:
    """The measured spectrum on the axis that is fitted. Make it with `mixture_of`.

    Attributes:
        axis: of the spectrum.
        frequency: of the spectrometer in MHz.
        spectrum: its transform.
        noise: standard deviation of the noise.
        mask: points that are fitted.
        splines: columns of the baseline.
    """

    axis: Axis
    frequency: float
    spectrum: Complex[np.ndarray, " k"]
    noise: float
    mask: Bool[np.ndarray, " t"]
    splines: Float[np.ndarray, "t b"]

    def target(self, broadening: float) -> Float[np.ndarray, " t"]:
        """The spectrum, broadened."""
        return irfft(self.spectrum * self.axis.decay(broadening), n=self.axis.size)[: self.axis.points]


@dataclass(frozen=True, eq=False, slots=True)
class MixtureFit:
    """What is known of a mixture so far.

    Attributes:
        mixture: what is fitted.
        compounds, states: those that are taken to be there, and what is estimated of each.
        base: coefficients of the baseline.
        floor: standard deviation of points without signal.
        width: of all lines, half at half height in Hz.
        kernel: the instrument's line shape as weights of a convolution; None for Lorentzians.
        model_error: how well the model follows strong signals, relative.
        response_sd: by which the responses of multiplets scatter.
        correlation: by which the variance of a mean is larger than that of independent points.
        covariance: of all parameters of the last descent.
    """

    mixture: Mixture
    compounds: tuple[Compound, ...]
    states: tuple[CompoundState, ...]
    base: Float[np.ndarray, " b"]
    floor: float
    width: float = _WIDTH
    kernel: Float[np.ndarray, " n"] | None = None
    model_error: float = 0.3
    response_sd: float = 0.1
    correlation: float = 1.0
    covariance: Float[np.ndarray, "p p"] | None = None

    def transfer(self, broadening: float, axis: Axis | None = None) -> Complex[np.ndarray, " k"]:
        """What the shared line shape and the broadening do to every line."""
        own = self.mixture.axis
        axis = axis or own
        shape = axis.decay(broadening).astype(complex)
        if self.kernel is not None:
            lag = np.arange(len(self.kernel)) - len(self.kernel) // 2
            shape *= self.kernel @ np.exp(axis.turn * (lag * own.step)[:, None])
        return shape

    def transform(self, i: int, axis: Axis | None = None) -> Complex[np.ndarray, " k"]:
        """A compound at amount 1, before the shared line shape."""
        compound, state = self.compounds[i], self.states[i]
        value = compound.render(axis or self.mixture.axis, self.mixture.frequency, state, self.width, False).value
        return (1 + state.response) @ value

    def signals(self, broadening: float = 0.0) -> Float[np.ndarray, "c t"]:
        """What each compound gives."""
        transfer, axis = self.transfer(broadening), self.mixture.axis
        rows = [s.amount * self.transform(i) for i, s in enumerate(self.states)]
        return axis.back(np.stack(rows) * transfer) if rows else np.zeros((0, axis.points))

    def baseline(self) -> Float[np.ndarray, " t"]:
        """The smooth part."""
        return self.mixture.splines @ self.base

    def residual(self, broadening: float = 0.0) -> Float[np.ndarray, " t"]:
        """The spectrum less the model."""
        return self.mixture.target(broadening) - (self.signals(broadening).sum(axis=0) + self.baseline())

    def around(self, broadening: float) -> Float[np.ndarray, " m"]:
        """How strong the signal is near each fitted point: what is wrong about a line is wrong beside it, too."""
        return np.abs(self.signals(2 * broadening + 2.0).sum(axis=0))[self.mixture.mask]

    def sigma(self, broadening: float) -> Float[np.ndarray, " m"]:
        """Standard deviation of each fitted point: noise, and what the model misses of strong signals."""
        return np.sqrt(self.floor**2 + (self.model_error * self.around(broadening)) ** 2)

    def amounts_at(self, exact: bool) -> Int[np.ndarray, " c"]:
        """Where the amounts are among the parameters."""
        sizes = [_size(c, exact) for c in self.compounds]
        return np.cumsum([0, *sizes[:-1]]).astype(np.int64) if sizes else np.zeros(0, dtype=np.int64)

    def amounts(self, exact: bool) -> tuple[Float[np.ndarray, " c"], Float[np.ndarray, "c c"]]:
        """Amounts with their covariance."""
        at = self.amounts_at(exact)
        covariance = np.zeros((len(at), len(at))) if self.covariance is None else self.covariance[np.ix_(at, at)]
        return np.array([s.amount for s in self.states]), covariance

    def keep(self, kept: Sequence[int], amounts: Float[np.ndarray, " c"]) -> MixtureFit:
        """Some of the compounds, with new amounts."""
        states = tuple(replace(self.states[i], amount=max(float(a), 0.0)) for i, a in zip(kept, amounts, strict=True))
        return replace(self, compounds=tuple(self.compounds[i] for i in kept), states=states, covariance=None)


def mixture_of(
    axis: Axis,
    y: Float[np.ndarray, " t"],
    frequency: float,
    knots: float,
    noise: float,
    mask: Bool[np.ndarray, " t"],
) -> Mixture:
    """A spectrum on its axis, with a baseline that has `knots` ppm between its knots."""
    spectrum = rfft(np.append(y, np.linspace(y[-1], y[0], axis.size - len(y) + 2)[1:-1]))
    return Mixture(axis, frequency, spectrum, noise, mask, _splines(axis.hertz, knots * frequency))


def begin(mixture: Mixture, y: Float[np.ndarray, " t"], compounds: Sequence[Compound]) -> MixtureFit:
    """Nothing known yet: no amounts, and a flat baseline."""
    base = np.linalg.lstsq(mixture.splines, np.full(len(y), np.median(y)), rcond=None)[0]
    return MixtureFit(mixture, tuple(compounds), tuple(c.start() for c in compounds), base, mixture.noise)


def _size(compound: Compound, exact: bool) -> int:
    """How many parameters a compound has."""
    return (
        1
        + (3 if exact else 2) * len(compound.groups)
        + (len(compound.couplings) if isinstance(compound, Spins) and exact else 0)
    )


@dataclass(frozen=True, eq=False, slots=True)
class Point:
    """A fit with its model and Jacobian on the mask, the precision and gradient of the priors, and the objective."""

    fit: MixtureFit
    model: Float[np.ndarray, " m"]
    jacobian: Float[np.ndarray, "p m"]
    precision: Float[np.ndarray, " p"]
    prior_gradient: Float[np.ndarray, " p"]
    cost: float = np.inf

    def cost_of(self, target: Float[np.ndarray, " m"], weight: Float[np.ndarray, " m"]) -> float:
        """Weighted squares of the residuals, and squared distances from the prior."""
        some = self.precision > 0
        squares = (weight * (target - self.model) ** 2).sum()
        return float(squares + (self.prior_gradient[some] ** 2 / self.precision[some]).sum())


def evaluate(fit: MixtureFit, spreads: Sequence[Float[np.ndarray, " _"]], broadening: float, exact: bool) -> Point:
    """Model and Jacobian.

    Parameters are, by compound, its amount, shifts, responses and, where `exact`, widths and couplings; then the
    shared width (its logarithm), then the baseline.

    Args:
        fit: what is known so far.
        spreads: standard deviations of the responses of each compound.
        broadening: in Hz.
        exact: whether widths and couplings are fitted.
    """
    axis, mask, splines = fit.mixture.axis, fit.mixture.mask, fit.mixture.splines
    transfer = fit.transfer(broadening)
    model = fit.baseline()
    blocks, precision, prior_gradient = [], [], []
    by_shared = np.zeros(axis.points)
    for c, s, spread in zip(fit.compounds, fit.states, spreads, strict=True):
        r = c.render(axis, fit.mixture.frequency, s, fit.width, True)
        rows = [(1 + s.response)[None] @ r.value, s.amount * r.by_shift, s.amount * r.value]
        shared = s.amount * r.by_width.sum(axis=0)[None]
        if exact:
            rows += [s.amount * r.by_width, s.amount * r.by_coupling]
        made = axis.back(np.concatenate([*rows, shared]) * transfer)
        model = model + s.amount * made[0]
        by_shared += made[-1]
        blocks.append(made[:-1][:, mask])
        sd = np.concatenate([c.window / 2, spread])
        off = np.concatenate([s.shift - c.shifts, s.response])
        if exact:
            couplings = len(r.by_coupling)
            sd = np.concatenate([sd, np.full(len(c.groups), _WIDTH_SD), np.full(couplings, J_SD)])
            off = np.concatenate([off, s.width, (s.coupling - c.couplings)[:couplings]])
        precision += [np.zeros(1), 1 / sd**2]
        prior_gradient += [np.zeros(1), off / sd**2]
    rest = np.concatenate([by_shared[None], splines.T])[:, mask]
    tiny = 1e-12 * (rest[1:] ** 2).sum(axis=1) / fit.mixture.noise**2
    precision += [np.array([4.0]), tiny]
    prior_gradient += [np.array([4.0 * np.log(fit.width / _WIDTH)]), np.zeros(len(tiny))]
    return Point(
        fit, model[mask], np.concatenate([*blocks, rest]), np.concatenate(precision), np.concatenate(prior_gradient)
    )


def _moved(fit: MixtureFit, step: Float[np.ndarray, " p"], exact: bool, reach: float) -> MixtureFit:
    """After a step; no multiplet leaves its window or goes further than `reach` Hz at once."""
    states: list[CompoundState] = []
    at, most = 0, reach / fit.mixture.frequency
    for c, s in zip(fit.compounds, fit.states, strict=True):
        g = len(c.groups)
        shift = s.shift + np.clip(step[at + 1 : at + 1 + g], -most, most)
        new = CompoundState(
            max(0.0, float(s.amount + step[at])),
            np.clip(shift, c.shifts - c.window, c.shifts + c.window),
            np.clip(s.response + step[at + 1 + g : at + 1 + 2 * g], *_RESPONSE),
            s.width,
            s.coupling,
        )
        at += 1 + 2 * g
        if exact:
            new = replace(new, width=np.clip(s.width + np.clip(step[at : at + g], -0.5, 0.5), -1.5, 1.5))
            at += g
            if isinstance(c, Spins):
                p = len(c.couplings)
                coupling = s.coupling + np.clip(step[at : at + p], -0.5, 0.5)
                new = replace(new, coupling=np.clip(coupling, c.couplings - J_MOST, c.couplings + J_MOST))
                at += p
        states.append(new)
    width = fit.width * float(np.exp(np.clip(step[at], -0.3, 0.3)))
    return replace(fit, states=tuple(states), width=float(np.clip(width, 0.05, 10.0)), base=fit.base + step[at + 1 :])


@dataclass(frozen=True, eq=False, slots=True)
class _Descent:
    """A mixture at one broadening, as `minimize` takes it."""

    target: Float[np.ndarray, " m"]
    weight: Float[np.ndarray, " m"]
    spreads: Sequence[Float[np.ndarray, " _"]]
    amounts: Int[np.ndarray, " c"]
    broadening: float
    exact: bool

    def derivatives(self, point: Point) -> Float[np.ndarray, "p m"]:
        return point.jacobian

    def equations(self, point: Point, derivatives: Float[np.ndarray, "p m"]) -> tuple[np.ndarray, np.ndarray]:
        scaled = derivatives * self.weight
        return scaled @ derivatives.T, scaled @ (self.target - point.model) - point.prior_gradient

    def trial(self, point: Point, equations: tuple[np.ndarray, np.ndarray], damping: float) -> Point:
        normal, gradient = equations
        amounts = self.amounts
        free = np.ones(len(normal), dtype=bool)
        before = np.array([s.amount for s in point.fit.states])
        while True:
            matrix = normal[np.ix_(free, free)] + np.diag(point.precision[free])
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
        fit = _moved(point.fit, step, self.exact, max(3.0, 2 * self.broadening))
        new = evaluate(fit, self.spreads, self.broadening, self.exact)
        return replace(new, cost=new.cost_of(self.target, self.weight))

    def objective(self, point: Point) -> float:
        return point.cost

    def negligible(self, before: Point, after: Point) -> bool:
        return before.cost - after.cost < 1e-4 * max(before.cost, 1e-300)


def descend(
    fit: MixtureFit,
    broadening: float,
    exact: bool,
    most: int,
    target: Float[np.ndarray, " m"],
    deviation: Float[np.ndarray, " m"],
) -> Point:
    """Levenberg and Marquardt at one broadening, the sizes of the errors being known.

    Args:
        fit: where to start.
        broadening: in Hz.
        exact: whether widths and couplings are fitted.
        most: steps.
        target: the broadened spectrum on the mask.
        deviation: standard deviation of each of its points.
    """
    spreads = [_spread(s.response, fit.response_sd, broadening) for s in fit.states]
    point = evaluate(fit, spreads, broadening, exact)
    # A signal of no compound in the library biases its neighbors: beyond 5 standard deviations less and less. These
    # are the weights of Student's t distribution with one degree of freedom, at a scale of 5 standard deviations.
    weight = 1 / (deviation**2 * (1.0 if exact else fit.correlation))
    weight = weight / (1 + ((target - point.model) / (5 * deviation)) ** 2)
    point = replace(point, cost=point.cost_of(target, weight))
    model = _Descent(target, weight, spreads, fit.amounts_at(exact), broadening, exact)
    schedule = Schedule(
        most, tries=1, patience=1, damping=1e-3, raised=8.0, lowered=5.0, raised_to=0.0, lowered_to=1e-8, hopeless=1e4
    )
    point, _ = minimize(model, point, schedule)
    normal = (point.jacobian * weight) @ point.jacobian.T
    normal = normal / (fit.correlation if exact else 1.0) + np.diag(point.precision)
    found = replace(point.fit, covariance=_inverse(normal))
    if broadening <= RESPONDING:
        found = replace(found, response_sd=_response_sd(found, spreads, exact))
    return replace(point, fit=found)


def _spread(response: Float[np.ndarray, " g"], sd: float, broadening: float) -> Float[np.ndarray, " g"]:
    """Standard deviations of responses: those of a Student's t distribution at what the responses are now."""
    if broadening > RESPONDING:
        return np.full(len(response), 1e-4)
    return sd * np.sqrt((_FREEDOM + (response / sd) ** 2) / (_FREEDOM + 1))


def improve(fit: MixtureFit, broadening: float, *, exact: bool, rounds: int, most: int) -> MixtureFit:
    """Levenberg and Marquardt, with the sizes of the errors learned again before each round."""
    target = fit.mixture.target(broadening)[fit.mixture.mask]
    for _ in range(rounds):
        fit = _with_errors(fit, broadening)
        fit = descend(fit, broadening, exact, most, target, fit.sigma(broadening)).fit
    return fit


def _with_errors(fit: MixtureFit, broadening: float) -> MixtureFit:
    """Sizes of the errors, from the residuals: of points without signal, and of those with."""
    mixture = fit.mixture
    off, near = fit.residual(broadening)[mixture.mask], fit.around(broadening)
    noise = mixture.noise * float(np.sqrt((mixture.axis.decay(broadening) ** 2).mean()))
    quiet = near < np.quantile(near, 0.3)
    floor = max(noise, float(np.median(np.abs(off[quiet]))) / 0.6745) if quiet.any() else noise
    model_error = fit.model_error
    strong = near > 10 * floor
    if strong.sum() > 50:
        # The error by which half of the points lie within 0.67 standard deviations.
        low, high = 1e-5, 1.0
        for _ in range(40):
            middle = np.sqrt(low * high)
            beyond = np.median(off[strong] ** 2 / (floor**2 + (middle * near[strong]) ** 2)) > 0.455
            low, high = (middle, high) if beyond else (low, middle)
        model_error = float(np.sqrt(low * high))
    scaled = off / np.sqrt(floor**2 + (model_error * near) ** 2)
    known = mixture.mask.copy()
    known[mixture.mask] = np.abs(scaled) < 5
    values = np.zeros(mixture.axis.points)
    values[mixture.mask] = scaled
    return replace(fit, floor=floor, model_error=model_error, correlation=variance_factor(values, known))


def _response_sd(fit: MixtureFit, spreads: Sequence[Float[np.ndarray, " _"]], exact: bool) -> float:
    """By how much responses scatter beyond what noise explains, from all compounds that are clearly there."""
    assert fit.covariance is not None
    variance = np.diag(fit.covariance)
    found: list[tuple[float, float]] = []
    for at, c, s, spread in zip(fit.amounts_at(exact), fit.compounds, fit.states, spreads, strict=True):
        g = len(c.groups)
        if g < 2 or s.amount < 5 * np.sqrt(variance[at]):
            continue
        # About their mean: the mean itself is the amount.
        block = slice(at + 1 + g, at + 1 + 2 * g)
        center = np.eye(g) - 1 / g
        known = np.diag(center @ fit.covariance[block, block] @ center)
        prior = np.diag(center @ np.diag(spread**2) @ center)
        data = 1 / np.maximum(known, 1e-30) - 1 / prior
        raw = (center @ s.response) / (known * np.maximum(data, 1e-30))
        some = data > 1 / prior
        found += list(zip(raw[some] / np.sqrt(1 - 1 / g), 1 / data[some] / (1 - 1 / g), strict=True))
    if len(found) < 3:
        return fit.response_sd
    raw, error = np.array(found).T
    # Half of a normal distribution lies within 0.6745: the median leaves out what suppressed water does.
    variance = (float(np.median(np.abs(raw))) / 0.6745) ** 2 - float(np.median(error))
    return float(np.clip(np.sqrt(max(variance, 0.0)), 0.002, 0.15))


def with_line_shape(fit: MixtureFit) -> MixtureFit:
    """The line shape that all lines share, estimated anew as what to convolve the model with."""
    axis, mask = fit.mixture.axis, fit.mixture.mask
    reach = max(2, round(6.0 / axis.step))
    plain = replace(fit, kernel=None)
    signal = plain.signals().sum(axis=0)
    padded = np.pad(signal, reach)
    shifted = np.lib.stride_tricks.sliding_window_view(padded, axis.points)[::-1]  # row k: moved by k - reach
    basis = np.delete((shifted - signal)[:, mask], reach, axis=0)
    off = (fit.mixture.target(0.0) - fit.baseline() - signal)[mask]
    weight = 1 / (fit.sigma(0.0) ** 2 * fit.correlation)
    lag = np.delete(np.abs(np.arange(2 * reach + 1) - reach), reach) * axis.step
    taps = ridge(basis.T, off, weight, (np.exp(lag / 2.0) / 0.05) ** 2)
    return replace(fit, kernel=np.insert(taps, reach, 1 - taps.sum()))


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
