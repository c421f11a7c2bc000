"""Mixtures: which of a library's compounds are in a sample, and how much of each.

The spectrum is a sum of the library's compounds with amounts that are not negative, on a smooth baseline, all with one
line shape. Every multiplet may move within its window and respond a little more or less than it should (relaxation,
suppression of water); how much more or less is estimated from all of them together, and so is how well the model
follows strong signals. Both go into the errors.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import ClassVar, TypeAlias, cast

import numpy as np
from jaxtyping import Bool, Complex, Float, Int
from numpy.fft import irfft, rfft

from molvis_core.errors import RecordError, did_you_mean
from molvis_core.records import Trace
from molvis_nmr.fitting.agreement import region, roi_iou
from molvis_nmr.spins.hamiltonian import components
from molvis_nmr.spins.system import SpinSystem
from molvis_nmr.spins.transitions import Lines, lines, lines_and_derivatives, one_thread

log = logging.getLogger("molvis")
Progress = Callable[[int, int], None]

WATER = (4.67, 4.92)
"""Window in ppm around water that is not fitted unless the caller says otherwise."""
STANDARDS = {"DSS": "trimethylsilyl of DSS", "TSP": "trimethylsilyl of TSP"}
"""Reference compounds that are looked for at 0 ppm; nine equivalent protons each."""

_SILICON = (0.0468, 6.6)  # share of 29Si, and its coupling to methyl protons in Hz
_FINEST = 0.25  # Hz between points: finer spectra are averaged, for lines are wider
# Half widths at half height in Hz that lines are broadened by, stage by stage: multiplets that move as they are, then
# exact spin systems.
_RIGID, _EXACT = (8.0, 4.0), (4.0, 1.0, 0.3)
_EXPLORING = 0.3  # Hz; the stage after which other starts are tried
_RESPONDING = 0.5  # Hz; a multiplet in the wrong place must not hide by responding less
_ALL_PAIRS_STATES = 200  # larger systems keep couplings of 0 at 0: each costs a derivative
_EXACT_STATES = 2048  # larger systems keep their couplings and move their multiplets as they are
_J_SD, _J_MOST = 1.5, 8.0  # Hz
_WIDTH_SD = 0.35  # of the logarithm of a multiplet's width relative to the shared one
_RESPONSE = (-0.98, 0.5)
_FREEDOM = 3.0  # of Student's t that responses follow: suppressed water takes a multiplet near it along


@dataclass(frozen=True, eq=False, slots=True)
class Reference:
    """A measured spectrum of one compound, as an entry of a library.

    Attributes:
        trace: the spectrum, with its frequency, measured in the same field as the mixture.
        name: of the compound.
        protons: that its signals add up to; without it amounts count multiples of what the reference shows, and are
            no concentrations.
        excluded: windows in ppm without signals of the compound, such as water and DSS.
        identifier: of the source.
    """

    trace: Trace
    name: str
    protons: float | None = None
    excluded: tuple[tuple[float, float], ...] = ((-0.2, 0.2), WATER)
    identifier: str = ""


Entry: TypeAlias = SpinSystem | Reference | Trace


@dataclass(frozen=True, eq=False, slots=True)
class Metabolite:
    """A compound of the library, and what of it is in the mixture.

    Attributes:
        name, identifier: of the library.
        amount: area under one proton's signal, in the spectrum's units times Hz; 0 or more.
        error: its standard error.
        present: the amount is more than `limit` standard errors.
        concentration: relative to the standard, in its unit; None without one.
        concentration_error: its standard error.
        shifts: in ppm, by multiplet, where the spectrum has them.
        moved: the largest way in ppm that a multiplet went from where the library has it.
        response: of each multiplet, relative to what the amount and the number of its spins let expect.
        system: the refined spin system; None where the entry is a spectrum.
    """

    name: str
    identifier: str
    amount: float
    error: float
    present: bool
    concentration: float | None = None
    concentration_error: float | None = None
    shifts: Mapping[str, float] = field(default_factory=dict)
    moved: float = 0.0
    response: Mapping[str, float] = field(default_factory=dict)
    system: SpinSystem | None = field(default=None, repr=False)

    @property
    def significance(self) -> float:
        """Amount in standard errors."""
        return self.amount / self.error if self.error > 0 else 0.0

    def interval(self, level: float = 0.9) -> tuple[float, float]:
        """Bounds of the amount that should hold the truth with probability `level`.

        Raises:
            ValueError: `level` is not between 0 and 1.
        """
        from statistics import NormalDist

        if not 0 < level < 1:
            raise ValueError(f"level is {level}; a number between 0 and 1 is wanted")
        reach = NormalDist().inv_cdf((1 + level) / 2) * self.error
        return max(0.0, self.amount - reach), self.amount + reach


@dataclass(frozen=True, eq=False, slots=True)
class Quantification:
    """A mixture taken apart.

    Attributes:
        metabolites: every compound of the library, those present first, by amount.
        measured: the spectrum, referenced to the standard where one was found.
        fitted: the model on the same axis, baseline included.
        parts: what each compound present gives to it, the standard too.
        baseline: on the same axis.
        covariance: of the amounts of the compounds present, in their order.
        excluded: windows in ppm that were not fitted.
        roi_iou: intersection over union within 25 Hz of the lines of the compounds present.
        width: shared half width at half height in Hz.
        model_error: how well the model follows strong signals, relative.
        response_sd: by which the responses of multiplets scatter.
        standard: name of the reference compound, empty without one.
        standard_amount: of one of its protons, with standard error.
        unit: of the concentrations.
        unexplained: share of the signal within the fitted windows that no compound explains.
        limit: significance from which a compound counts as present.
        problem: empty; else why the numbers are not to be trusted.
    """

    __no_type_check__: ClassVar[bool] = True
    metabolites: tuple[Metabolite, ...]
    measured: Trace = field(repr=False)
    fitted: Trace = field(repr=False)
    parts: Mapping[str, Float[np.ndarray, " t"]] = field(repr=False)
    baseline: Float[np.ndarray, " t"] = field(repr=False)
    covariance: Float[np.ndarray, "m m"] = field(repr=False)
    excluded: tuple[tuple[float, float], ...]
    roi_iou: float
    width: float
    model_error: float
    response_sd: float
    standard: str
    standard_amount: tuple[float, float] | None
    unit: str
    unexplained: float
    limit: float
    problem: str = ""

    @property
    def present(self) -> tuple[Metabolite, ...]:
        """The compounds that are there."""
        return tuple(m for m in self.metabolites if m.present)


class _Axis:
    """A uniform axis in Hz, and the way to it from lines: cubic splines on a grid, broadening as decay in time."""

    def __init__(self, start: float, step: float, points: int, average: int) -> None:
        from scipy.fft import next_fast_len

        self.start, self.step, self.points, self.average = start, step, points, average
        self.hertz = start + step * np.arange(points)
        self.size = int(cast("int", next_fast_len(points + round(60 / step), real=True)))
        self.time = np.arange(self.size // 2 + 1) / (self.size * step)  # seconds
        self.turn = -2j * np.pi * self.time
        # Points were averaged over `average` of the spectrum's own: the model is, too.
        self.sampling = np.sinc(self.time * step) / np.sinc(self.time * step / average) if average > 1 else 1.0
        self._spline = np.sinc(self.time * step) ** 4

    def decay(self, width: float | np.ndarray) -> np.ndarray:
        """Transfer of a Lorentzian of unit area and half width at half height `width` in Hz."""
        return np.exp(-2 * np.pi * np.asarray(width)[..., None] * self.time)

    def spread(
        self,
        position: Float[np.ndarray, " l"],
        weight: Float[np.ndarray, "c l"],
        slope: Float[np.ndarray, "c l"] | None,
    ) -> Complex[np.ndarray, "c k"]:
        """Transform of lines, and of how they change when each moves at the rate `slope` (weight included)."""
        at = (position - self.start) / self.step
        cell = np.floor(at).astype(np.int64)
        u = at - cell
        v = 1 - u
        values = (v**3 / 6, 2 / 3 - u**2 * (2 - u) / 2, 2 / 3 - v**2 * (2 - v) / 2, u**3 / 6)
        slopes = (-(v**2) / 2, u * (3 * u / 2 - 2), v * (2 - 3 * v / 2), u**2 / 2)
        grid = np.zeros((len(weight), self.size))
        for offset, value, rate in zip((-1, 0, 1, 2), values, slopes, strict=True):
            index = (cell + offset) % self.size
            for c in range(len(weight)):
                height = weight[c] * value if slope is None else weight[c] * value + slope[c] * (rate / self.step)
                grid[c] += np.bincount(index, height, minlength=self.size)
        # An area spread over one step is a height.
        return rfft(grid, axis=1) / (self._spline * self.step)

    def back(self, transform: Complex[np.ndarray, "c k"]) -> Float[np.ndarray, "c t"]:
        """Spectra from transforms."""
        return irfft(transform * self.sampling, n=self.size, axis=-1)[..., : self.points]


@dataclass(eq=False, slots=True)
class _State:
    """What is estimated of one compound."""

    amount: float
    shift: Float[np.ndarray, " g"]
    response: Float[np.ndarray, " g"]  # relative: 0 is as expected
    width: Float[np.ndarray, " g"]  # logarithm, relative to the shared one
    coupling: Float[np.ndarray, " p"]

    def copy(self) -> _State:
        return _State(self.amount, self.shift.copy(), self.response.copy(), self.width.copy(), self.coupling.copy())


@dataclass(eq=False, slots=True)
class _Rendered:
    """Transforms of a compound of amount 1: its multiplets, and how their sum changes."""

    value: Complex[np.ndarray, "g k"]
    by_shift: Complex[np.ndarray, "d k"]
    by_width: Complex[np.ndarray, "d k"]
    by_coupling: Complex[np.ndarray, "p k"]


class _Compound:
    """An entry of the library on the axis of a mixture."""

    def __init__(
        self, name: str, identifier: str, groups: tuple[str, ...], shifts: Float[np.ndarray, " g"], window: np.ndarray
    ) -> None:
        self.name, self.identifier, self.groups = name, identifier, groups
        self.shifts, self.window = shifts, window
        self.couplings = np.zeros(0)
        self.concentrates = True
        self.standard = False

    def start(self) -> _State:
        """Where the library has it, none of it there."""
        g = len(self.groups)
        return _State(0.0, self.shifts.copy(), np.zeros(g), np.zeros(g), self.couplings.copy())

    def render(self, axis: _Axis, frequency: float, state: _State, width: float, derivatives: bool) -> _Rendered:
        """Transforms on an axis."""
        raise NotImplementedError

    def refined(self, state: _State, width: float) -> SpinSystem | None:  # noqa: ARG002 - of those that have one
        """The spin system that the state stands for."""
        return None


class _Rigid(_Compound):
    """Multiplets that move as they are: each a set of lines, or a stretch of a measured spectrum."""

    def __init__(
        self,
        name: str,
        identifier: str,
        groups: tuple[str, ...],
        shifts: Float[np.ndarray, " g"],
        window: Float[np.ndarray, " g"],
        shapes: Sequence[Lines | tuple[np.ndarray, np.ndarray]],
    ) -> None:
        super().__init__(name, identifier, groups, shifts, window)
        self._shapes = shapes
        self._made: tuple[_Axis, np.ndarray] | None = None

    def _transforms(self, axis: _Axis) -> Complex[np.ndarray, "g k"]:
        if self._made is None or self._made[0] is not axis:
            rows = [
                _of_lines(axis, shape)[0] if isinstance(shape, Lines) else _of_stretch(axis, *shape)
                for shape in self._shapes
            ]
            self._made = (axis, np.stack(rows))
        return self._made[1]

    def render(self, axis: _Axis, frequency: float, state: _State, width: float, derivatives: bool) -> _Rendered:
        moved = (state.shift - self.shifts) * frequency
        value = self._transforms(axis) * np.exp(axis.turn * moved[:, None])
        none = value[:0]
        own = np.array([isinstance(shape, Lines) for shape in self._shapes])
        widths = np.where(own, width * np.exp(state.width), 0.0)
        value = value * axis.decay(widths)
        if not derivatives:
            return _Rendered(value, none, none, none)
        scaled = (1 + state.response)[:, None] * value
        by_width = scaled * (-2 * np.pi * axis.time * widths[:, None])
        return _Rendered(value, scaled * (axis.turn * frequency), by_width, none)


class _Spins(_Compound):
    """A spin system, simulated anew for every value of its shifts and couplings."""

    def __init__(self, system: SpinSystem, window: Float[np.ndarray, " g"]) -> None:
        super().__init__(system.name, system.identifier, system.names, system.shifts.copy(), window)
        self.system = system
        # Libraries leave small couplings out, and now and then one that is not small.
        linked = system.couplings != 0
        if np.prod(system.multiplicity + 1.0) <= _ALL_PAIRS_STATES:
            for members in components(linked):
                linked[np.ix_(members, members)] = True
        self.pairs = np.argwhere(np.triu(linked, 1))
        self.couplings = system.couplings[self.pairs[:, 0], self.pairs[:, 1]]

    def other(self, state: _State, random: np.random.Generator, frequency: float) -> _State:
        """Another start: two neighbors that are coupled change places, or shifts and couplings are drawn."""
        new = state.copy()
        new.response = np.zeros_like(state.response)
        new.width = np.zeros_like(state.width)
        near = [
            (a, b)
            for (a, b), j in zip(self.pairs, self.couplings, strict=True)
            if j and abs(state.shift[a] - state.shift[b]) < 0.1
        ]
        if near and random.random() < 0.4:
            a, b = near[random.integers(len(near))]
            new.shift[[a, b]] = new.shift[[b, a]]
        if random.random() < 0.3:
            new.shift = self.shifts.copy()
        new.shift = new.shift + random.normal(0, 3.0 / frequency, len(new.shift))
        new.shift = np.clip(new.shift, self.shifts - self.window, self.shifts + self.window)
        # Two protons on one saturated carbon have about -14 Hz, whatever a library's fit came out with.
        drawn = np.where(new.coupling < -8, random.normal(-14, 1.0, len(new.coupling)), new.coupling)
        drawn = drawn + random.normal(0, 1.0, len(drawn)) * (np.abs(self.couplings) > 2)
        new.coupling = np.clip(drawn, self.couplings - _J_MOST, self.couplings + _J_MOST)
        return new

    def refined(self, state: _State, width: float) -> SpinSystem:
        couplings = np.zeros_like(self.system.couplings)
        couplings[self.pairs[:, 0], self.pairs[:, 1]] = state.coupling
        return replace(
            self.system,
            shifts=state.shift,
            couplings=couplings + couplings.T,
            widths=width * np.exp(state.width),
            intensities=1 + state.response,
        )

    def render(self, axis: _Axis, frequency: float, state: _State, width: float, derivatives: bool) -> _Rendered:
        system = self.refined(state, width)
        decay = axis.decay(system.widths)
        if not derivatives:
            value = _of_lines(axis, lines(system, frequency, threshold=1e-5)) * decay
            return _Rendered(value, value[:0], value[:0], value[:0])
        found = lines_and_derivatives(system, frequency, threshold=1e-5, pairs=[(a, b) for a, b in self.pairs.tolist()])
        value = _of_lines(axis, found.lines) * decay
        height = found.lines.weight @ system.intensities
        moving = axis.spread(*_inside(axis, found.lines.position, found.signal.T, (found.position * height[:, None]).T))
        g = len(system)
        # A line that several spins share is broadened by the width of the spin that moves it: exact where widths agree.
        mean = axis.decay(system.widths[found.pairs].mean(axis=1))
        by_width = (1 + state.response)[:, None] * value * (-2 * np.pi * axis.time * system.widths[:, None])
        return _Rendered(value, moving[:g] * decay, by_width, moving[g:] * mean)


def _inside(
    axis: _Axis,
    position: Float[np.ndarray, " l"],
    weight: Float[np.ndarray, "c l"],
    slope: Float[np.ndarray, "c l"] | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    kept = (position > axis.start + 3 * axis.step) & (position < axis.hertz[-1] - 3 * axis.step)
    return position[kept], weight[:, kept], None if slope is None else slope[:, kept]


def _of_lines(axis: _Axis, found: Lines) -> Complex[np.ndarray, "g k"]:
    return axis.spread(*_inside(axis, found.position, found.weight.T, None))


def _of_stretch(axis: _Axis, hertz: Float[np.ndarray, " s"], y: Float[np.ndarray, " s"]) -> Complex[np.ndarray, " k"]:
    # Averaged over a step by way of its integral, so that a coarser axis keeps the area.
    total = np.concatenate([[0.0], np.cumsum(y[1:] + y[:-1]) / 2 * np.diff(hertz).mean()])
    edges = axis.start + axis.step * (np.arange(axis.size + 1) - 0.5)
    area = np.diff(np.interp(edges, hertz, total))
    return rfft(area / axis.step) / axis.sampling


class _Fit:
    """A mixture on an axis, and what is known of its noise so far."""

    def __init__(
        self,
        axis: _Axis,
        y: Float[np.ndarray, " t"],
        frequency: float,
        compounds: Sequence[_Compound],
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

    def transfer(self, broadening: float, axis: _Axis | None = None) -> Complex[np.ndarray, " k"]:
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
                sd = np.concatenate([sd, np.full(g, _WIDTH_SD), np.full(len(r.by_coupling), _J_SD)])
                off = np.concatenate([off, s.width, (s.coupling - c.couplings)[: len(r.by_coupling)]])
            precision += [np.zeros(1), 1 / sd**2]
            pull += [np.zeros(1), off / sd**2]
        rest = np.concatenate([by_shared[None], self.splines.T])[:, self.mask]
        tiny = 1e-12 * (rest[1:] ** 2).sum(axis=1) / self.noise**2
        precision += [np.array([4.0]), tiny]
        pull += [np.array([4.0 * np.log(self.width / 0.6)]), np.zeros(len(tiny))]
        return model[self.mask], np.concatenate([*blocks, rest]), np.concatenate(precision), np.concatenate(pull)

    def moved(self, step: Float[np.ndarray, " k"], exact: bool, reach: float) -> tuple[list[_State], float, np.ndarray]:
        """States after a step; no multiplet leaves its window or goes further than `reach` Hz at once."""
        states: list[_State] = []
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
                if isinstance(c, _Spins):
                    p = len(c.couplings)
                    coupling = s.coupling + np.clip(step[at : at + p], -0.5, 0.5)
                    new.coupling = np.clip(coupling, c.couplings - _J_MOST, c.couplings + _J_MOST)
                    at += p
            states.append(new)
        width = self.width * float(np.exp(np.clip(step[at], -0.3, 0.3)))
        return states, float(np.clip(width, 0.05, 10.0)), self.base + step[at + 1 :]

    def amounts_at(self, exact: bool) -> Int[np.ndarray, " c"]:
        """Where the amounts are among the parameters."""
        sizes = [
            1 + (3 if exact else 2) * len(c.groups) + (len(c.couplings) if exact and isinstance(c, _Spins) else 0)
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
        self.correlation = _correlation(values, known)

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
            if broadening > _RESPONDING
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
        if broadening <= _RESPONDING:
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
            if not isinstance(compound, _Spins):
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
        compound: _Spins,
        state: _State,
        stretch: slice,
        y: Float[np.ndarray, " s"],
        broadening: float,
        random: np.random.Generator,
        starts: int,
    ) -> _State:
        axis = _Axis(float(self.axis.hertz[stretch.start]), self.axis.step, len(y), self.axis.average)
        place = state.shift * self.frequency
        seen = (place > axis.start) & (place < axis.hertz[-1])
        there = copy(compound)
        there.shifts = np.where(seen, compound.shifts, state.shift)
        there.window = np.where(seen, compound.window, 1e-4)
        alone = _Fit(axis, y, self.frequency, [there], np.inf, self.noise, self.mask[stretch])
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


def _correlation(values: Float[np.ndarray, " t"], mask: Bool[np.ndarray, " t"]) -> float:
    """By how much neighbors that agree make the variance of a mean larger than that of as many independent points."""
    variance = float((values[mask] ** 2).mean()) if mask.any() else 0.0
    total = 1.0
    for lag in range(1, min(200, len(values) // 4)):
        both = mask[lag:] & mask[:-lag]
        if variance <= 0 or not both.any():
            break
        rho = float((values[lag:][both] * values[:-lag][both]).mean()) / variance
        if rho < 0.05:
            break
        total += 2 * rho
    return total


def quantify(
    spectrum: Trace,
    library: Sequence[Entry],
    *,
    window: float = 0.03,
    windows: Mapping[str, float] | None = None,
    exclude: Sequence[tuple[float, float]] = (WATER,),
    standard: str | None = "DSS",
    concentration: float | None = None,
    unit: str = "mM",
    limit: float = 5.0,
    knots: float = 0.4,
    line_shape: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> Quantification:
    """Which compounds of a library are in a mixture, and how much of each.

    First whatever the spectrum has no room for is left out; the rest is fitted with multiplets that move as they are,
    while broadening is taken back step by step; those that stand out are simulated exactly, with their shifts,
    couplings and widths, and those that still do not stand out are left out.

    Args:
        spectrum: with its frequency; ppm, real.
        library: spin systems, and spectra of single compounds.
        window: how far in ppm a multiplet may be from where the library has it.
        windows: the same for single compounds (`citrate`) or multiplets (`citrate/H2a`), which pH moves further.
        exclude: windows in ppm that are not fitted; water's without.
        standard: compound at 0 ppm, one of `STANDARDS`; None if there is none.
        concentration: of the standard.
        unit: of that concentration.
        limit: significance from which a compound counts as present.
        knots: of the baseline, in ppm.
        line_shape: fit a line shape that all lines share.
        seed: of the starts that are drawn where a compound explains its signals badly.
        progress: called with stages done and in all.

    Raises:
        RecordError: a spectrum without frequency or signal, an empty library, an entry that is none, an unknown
            standard, or settings that cannot be.
    """
    for name, value in (("window", window), ("knots", knots), ("limit", limit)):
        if not 0 < value < np.inf:
            raise RecordError(f"{name} is {value}; a positive number is wanted")
    if standard is not None and standard not in STANDARDS:
        known = ", ".join(STANDARDS)
        raise RecordError(f"no standard named {standard!r}.{did_you_mean(standard, STANDARDS)} Known: {known}, or None")
    if concentration is not None and (standard is None or not 0 < concentration < np.inf):
        raise RecordError(f"concentration is {concentration}; a positive one, and its standard, are wanted")
    if not library:
        raise RecordError("the library is empty; give at least one spin system or reference spectrum")
    measured = _uniform(spectrum)
    assert measured.frequency is not None
    frequency = measured.frequency
    noise = _noise(measured.y)
    offset = _standard_at(measured, noise) if standard else None
    if offset:
        measured = replace(measured, x=measured.x - offset)
    stages = len(_RIGID) + len(_EXACT) + 3
    with one_thread():
        tell = progress or (lambda done, total: None)
        compounds = _compounds(library, measured, window, windows or {})
        everything = list(compounds)
        if standard and offset is not None:
            compounds = [*compounds, *_standard(standard)]
        axis, y, mask = _axis(measured, compounds, exclude)
        scale = float(np.abs(y[mask]).max()) if mask.any() else 0.0
        if scale == 0:
            raise RecordError("the spectrum is zero wherever the library has signals; is it the right one?")
        y, sd = y / scale, max(noise / scale, 1e-7)
        compounds, mask = _possible(axis, y, sd, mask, compounds, frequency)
        fit = _Fit(axis, y, frequency, compounds, knots, sd, mask)
        tell(1, stages)
        for stage, broadening in enumerate(_RIGID):
            fit.improve(broadening, exact=False, rounds=2, most=6)
            _drop(fit, False, min(1.0 + stage, limit))
            tell(2 + stage, stages)
        _make_exact(fit, library)
        for stage, broadening in enumerate(_EXACT):
            fit.improve(broadening, exact=True, rounds=2 if stage else 1, most=4)
            _drop(fit, True, min(2.0 + stage, limit), silent=broadening <= _RESPONDING)
            if broadening == _EXPLORING:
                fit.explore(broadening, seed)
                fit.improve(broadening, exact=True, rounds=1, most=4)
            tell(2 + len(_RIGID) + stage, stages)
        for _ in range(3):
            if line_shape:
                fit.shape()
            fit.improve(0.0, exact=True, rounds=1, most=6)
        tell(stages - 1, stages)
        if _drop(fit, True, limit, silent=True):
            fit.improve(0.0, exact=True, rounds=2, most=6)
        found = _result(fit, everything, measured, scale, exclude, standard or "" if offset is not None else "",
                        concentration, unit, limit)  # fmt: skip
    tell(stages, stages)
    return found


def _uniform(spectrum: Trace) -> Trace:
    if not isinstance(spectrum, Trace):
        raise RecordError(f"a {type(spectrum).__name__} is no spectrum; a Trace is wanted")
    if spectrum.frequency is None:
        raise RecordError("the spectrum has no frequency; give Trace.frequency in MHz")
    if len(spectrum) < 256:
        raise RecordError(f"the spectrum has {len(spectrum)} points; 256 at least are wanted")
    if not spectrum.y.any() or np.ptp(spectrum.y) == 0:
        raise RecordError("the spectrum is the same everywhere; there is nothing to quantify")
    step = np.diff(spectrum.x)
    if np.ptp(step) < 1e-3 * step.mean():
        return spectrum
    x = np.arange(spectrum.x[0], spectrum.x[-1], float(np.median(step)))
    return replace(spectrum, x=x, y=np.interp(x, spectrum.x, spectrum.y))


def _noise(y: Float[np.ndarray, " t"]) -> float:
    """Standard deviation of the noise, from the quietest quarter of short stretches, each with its own slope."""
    size = 64
    blocks = y[: len(y) // size * size].reshape(-1, size)
    ramp = np.stack([np.ones(size), np.linspace(-1, 1, size)])
    basis = np.linalg.qr(ramp.T)[0]
    spread = np.sqrt(((blocks - blocks @ basis @ basis.T) ** 2).sum(axis=1) / (size - 2))
    spread = np.sort(spread[spread > 0])  # somebody may have zeroed the water
    if not len(spread):
        return 0.0
    # The median of the lowest quarter is the 12.5% quantile: 0.897 times the middle of such estimates.
    return float(np.median(spread[: max(1, len(spread) // 4)]) / 0.897)


def _standard_at(measured: Trace, noise: float) -> float | None:
    """Where the standard's singlet is, in ppm; None where it is not."""
    near = np.flatnonzero(np.abs(measured.x) < 0.1)
    if len(near) < 5:
        return None
    top = near[int(measured.y[near].argmax())]
    if measured.y[top] - np.median(measured.y[near]) < 20 * noise or top in (near[0], near[-1]):
        return None
    a, b, c = measured.y[top - 1 : top + 2]
    bend = a - 2 * b + c
    return float(measured.x[top] + (0.5 * (a - c) / bend if bend else 0.0) * (measured.x[1] - measured.x[0]))


def _standard(name: str) -> list[_Compound]:
    share, coupling = _SILICON
    methyl = Lines(
        np.array([0.0, -coupling / 2, coupling / 2]),
        9 * np.array([[1 - share], [share / 2], [share / 2]]),
        np.ones((3, 1)),
    )
    singlet = _Rigid(name, "", ("Si(CH3)3",), np.zeros(1), np.array([0.01]), [methyl])
    singlet.standard = True
    return [singlet]


def _compounds(
    library: Sequence[Entry],
    measured: Trace,
    window: float,
    windows: Mapping[str, float],
) -> list[_Compound]:
    assert measured.frequency is not None
    made: list[_Compound] = []
    names: set[str] = set()
    keys: set[str] = set()
    for number, entry in enumerate(library, start=1):
        if isinstance(entry, Trace):
            entry = Reference(entry, entry.identifier or f"spectrum {number}", identifier=entry.identifier or "")
        if not isinstance(entry, (SpinSystem, Reference)):
            raise RecordError(
                f"entry {number} of the library is a {type(entry).__name__}; a SpinSystem, Reference or Trace is wanted"
            )
        name = base = entry.name or entry.identifier or f"compound {number}"
        if name in names:
            name = f"{base} ({entry.identifier or number})"
        names.add(name)
        if isinstance(entry, SpinSystem):
            groups, shifts, shapes = _multiplets_of_system(entry, measured.frequency)
        else:
            groups, shifts, shapes = _multiplets_of_spectrum(entry, measured.frequency)
        keys |= {name, *(f"{name}/{group}" for group in groups)}
        reach = np.array([windows.get(f"{name}/{group}", windows.get(name, window)) for group in groups])
        compound = _Rigid(name, entry.identifier, groups, shifts, reach, shapes)
        compound.concentrates = isinstance(entry, SpinSystem) or entry.protons is not None
        made.append(compound)
    for key, value in windows.items():
        if key not in keys:
            raise RecordError(f"windows has {key!r}, which the library has not.{did_you_mean(key, keys)}")
        if not 0 < value < np.inf:
            raise RecordError(f"windows[{key!r}] is {value}; a positive number of ppm is wanted")
    return made


def _multiplets_of_system(
    system: SpinSystem, frequency: float
) -> tuple[tuple[str, ...], Float[np.ndarray, " g"], list[Lines]]:
    found = lines(system, frequency, threshold=1e-5)
    shapes: list[Lines] = []
    observed = [i for i, nucleus in enumerate(system.nuclei) if nucleus == "1H"]
    for i in observed:
        some = np.abs(found.weight[:, i]) > 1e-5
        shapes.append(Lines(found.position[some], found.weight[some][:, [i]], np.ones((int(some.sum()), 1))))
    return tuple(system.names[i] for i in observed), system.shifts[observed], shapes


def _multiplets_of_spectrum(
    entry: Reference, frequency: float
) -> tuple[tuple[str, ...], Float[np.ndarray, " g"], list[tuple[np.ndarray, np.ndarray]]]:
    """Stretches with signal, free of baseline and noise; each may move by itself."""
    trace = _uniform(entry.trace)
    assert trace.frequency is not None
    if abs(trace.frequency / frequency - 1) > 0.01:
        raise RecordError(
            f"the reference spectrum {entry.name!r} was measured at {trace.frequency:g} MHz and the mixture at "
            f"{frequency:g} MHz; multiplets look different there: give a spin system, or a spectrum of the same field"
        )
    if entry.protons is not None and not 0 < entry.protons < np.inf:
        raise RecordError(
            f"the reference spectrum {entry.name!r} has {entry.protons} protons; a positive number is wanted"
        )
    from scipy.ndimage import minimum_filter1d, uniform_filter1d

    noise = _noise(trace.y)
    step = float(trace.x[1] - trace.x[0]) * trace.frequency
    y = trace.y - np.median(trace.y)
    kept = np.ones(len(y), dtype=bool)
    for low, high in entry.excluded:
        kept &= (trace.x < low) | (trace.x > high)
    smooth = np.asarray(uniform_filter1d(y, max(1, round(1.0 / step))))
    inside = np.flatnonzero(kept & (smooth > max(5 * noise, 2e-3 * float(y[kept].max(initial=0.0)))))
    if not len(inside):
        raise RecordError(f"the reference spectrum {entry.name!r} shows no signal outside {list(entry.excluded)}")
    runs = np.split(inside, np.flatnonzero(np.diff(inside) * step > 25) + 1)
    margin = round(12 / step)
    pieces: list[tuple[float, np.ndarray, np.ndarray]] = []
    for run in runs:
        if len(run) * step < 0.5:
            continue
        part = slice(max(0, run[0] - margin), min(len(y), run[-1] + margin + 1))
        hertz, height = trace.x[part] * frequency, y[part]
        ends = minimum_filter1d(height, 3)
        ramp = np.interp(
            np.arange(len(height)), [0, len(height) - 1], [ends[: margin // 2 + 1].mean(), ends[-margin // 2 :].mean()]
        )
        height = height - ramp
        pieces.append((float(np.average(hertz, weights=np.maximum(height, 0)) / frequency), hertz, height))
    area = sum(float(height.sum()) * step for _, _, height in pieces)
    unit = area / entry.protons if entry.protons is not None else 1.0
    shapes = [(hertz, height / unit) for _, hertz, height in pieces]
    centers = np.array([center for center, _, _ in pieces])
    return tuple(f"{center:.2f} ppm" for center in centers), centers, shapes


def _axis(
    measured: Trace, compounds: Sequence[_Compound], exclude: Sequence[tuple[float, float]]
) -> tuple[_Axis, Float[np.ndarray, " t"], Bool[np.ndarray, " t"]]:
    """The part of the spectrum that the library speaks of, averaged to what lines need, and where it is fitted."""
    assert measured.frequency is not None
    frequency = measured.frequency
    low = min(float((c.shifts - c.window).min()) for c in compounds) - 0.25
    high = max(float((c.shifts + c.window).max()) for c in compounds) + 0.25
    first, last = np.searchsorted(measured.x, [low, high])
    step = float(measured.x[-1] - measured.x[0]) / (len(measured) - 1) * frequency
    average = max(1, int(_FINEST / step))
    points = (last - first) // average
    if points < 64:
        raise RecordError(
            f"the spectrum reaches from {measured.x[0]:.2f} to {measured.x[-1]:.2f} ppm, the library's signals from "
            f"{low + 0.25:.2f} to {high - 0.25:.2f} ppm"
        )
    part = slice(first, first + points * average)
    hertz = (measured.x[part] * frequency).reshape(points, average).mean(axis=1)
    y = measured.y[part].reshape(points, average).mean(axis=1)
    axis = _Axis(float(hertz[0]), average * step, int(points), average)
    ppm = hertz / frequency
    mask = np.ones(points, dtype=bool)
    for a, b in exclude:
        if not a < b:
            raise RecordError(f"exclude holds ({a}, {b}); a window in ppm from low to high is wanted")
        mask &= (ppm < a) | (ppm > b)
    # Broadened, water that is left in would reach everywhere.
    return axis, np.interp(hertz, hertz[mask], y[mask]) if mask.any() else y, mask


def _possible(
    axis: _Axis,
    y: Float[np.ndarray, " t"],
    noise: float,
    mask: Bool[np.ndarray, " t"],
    compounds: Sequence[_Compound],
    frequency: float,
) -> tuple[list[_Compound], Bool[np.ndarray, " t"]]:
    """Compounds that the spectrum has room for: each multiplet bounds the amount by the lowest of what it would hide.

    With them the points to fit: where they may have signal, and where nothing is. What only others can have is no
    baseline.
    """
    from scipy.ndimage import minimum_filter1d, uniform_filter1d

    broadening = 2.0
    decay = axis.decay(broadening)
    signal = irfft(rfft(y, axis.size) * decay, n=axis.size)[: axis.points]
    wide = max(3, round(100 / axis.step))
    floor = np.asarray(uniform_filter1d(minimum_filter1d(signal, wide), wide))
    sd = noise * float(np.sqrt((decay**2).mean()))
    room = np.where(mask, np.maximum(signal - floor, 0) + 3 * sd, np.inf)
    kept: list[_Compound] = []
    speaking = np.zeros(axis.points, dtype=bool)
    for compound in compounds:
        shapes = axis.back(compound.render(axis, frequency, compound.start(), 0.6, False).value * decay)
        bound, height = np.inf, 0.0
        bounds: list[float] = []
        for shape, window in zip(shapes, compound.window, strict=True):
            height = max(height, float(shape.max()))
            at = np.flatnonzero(shape > 0.3 * shape.max())
            if not len(at) or shape.max() <= 0 or not mask[at].all():
                continue
            reach = int(np.ceil(window * frequency / axis.step))
            places = np.clip(at[None, :] + np.arange(-reach, reach + 1)[:, None], 0, axis.points - 1)
            bounds.append(float((room[places] / shape[at]).min(axis=1).max()))
        # One multiplet in four may be missing, as protons that exchange are.
        bounds.sort()
        bound = bounds[len(bounds) // 4] if bounds else 0.0
        if compound.standard or bound * height > 6 * sd:
            kept.append(compound)
            for shape, window in zip(shapes, compound.window, strict=True):
                reach = window * frequency + 12
                some = np.flatnonzero(shape > 0.02 * shape.max())
                for run in np.split(some, np.flatnonzero(np.diff(some) * axis.step > reach) + 1) if len(some) else ():
                    margin = round(reach / axis.step)
                    speaking[max(0, run[0] - margin) : run[-1] + margin + 1] = True
    quiet = signal - floor < 10 * sd
    return kept, mask & (speaking | quiet)


def _drop(fit: _Fit, exact: bool, limit: float, *, silent: bool = False) -> bool:
    """Leave out what does not stand out, the least significant first: what is left then takes its place.

    Where `silent`, what is hardly there by its responses is left out as well.
    """
    amounts, covariance = fit.amounts(exact)
    amounts, covariance = amounts.copy(), covariance.copy()
    left = np.ones(len(amounts), dtype=bool)
    while True:
        variance = np.diag(covariance)
        significance = np.where(left, amounts / np.sqrt(np.maximum(variance, 1e-300)), np.inf)
        for i, (compound, state) in enumerate(zip(fit.compounds, fit.states, strict=True)):
            if compound.standard:
                significance[i] = np.inf
            elif silent and left[i] and _silent(compound, state):
                significance[i] = 0.0
        worst = int(significance.argmin()) if len(significance) else 0
        if not len(significance) or significance[worst] >= limit:
            break
        left[worst] = False
        if variance[worst] > 0:
            column = covariance[:, worst] / variance[worst]
            amounts = amounts - column * amounts[worst]
            covariance = covariance - np.outer(column, covariance[worst])
    if left.all():
        return False
    fit.keep(np.flatnonzero(left).tolist())
    for state, amount in zip(fit.states, amounts[left], strict=True):
        state.amount = max(float(amount), 0.0)
    return True


def _silent(compound: _Compound, state: _State) -> bool:
    """More than a third of the multiplets hardly respond, or were pulled to the end of their window by something else.

    Suppressed water takes a multiplet or two along; a compound that is there shows the others.
    """
    pulled = np.abs(state.shift - compound.shifts) > 0.97 * compound.window
    return float(((state.response < -0.5) | pulled).mean()) > 1 / 3


def _make_exact(fit: _Fit, library: Sequence[Entry]) -> None:
    """Spin systems in place of rigid multiplets, where they are small enough."""
    systems = {e.name or e.identifier: e for e in library if isinstance(e, SpinSystem)}
    for i, (compound, state) in enumerate(zip(fit.compounds, fit.states, strict=True)):
        system = systems.get(compound.name)
        if system is None or 2.0**system.n_spins > _EXACT_STATES or set(system.nuclei) != {"1H"}:
            continue
        fit.compounds[i] = exact = _Spins(system, compound.window)
        fit.states[i] = replace(state, coupling=exact.couplings.copy())


def _result(
    fit: _Fit,
    everything: Sequence[_Compound],
    measured: Trace,
    scale: float,
    exclude: Sequence[tuple[float, float]],
    standard: str,
    concentration: float | None,
    unit: str,
    limit: float,
) -> Quantification:
    assert measured.frequency is not None
    frequency = measured.frequency
    amounts, covariance = fit.amounts(True)
    amounts, covariance = amounts * scale, covariance * scale**2
    place = {c.name: i for i, c in enumerate(fit.compounds)}
    at = next((i for i, c in enumerate(fit.compounds) if c.standard), None)
    reference = (float(amounts[at]), float(np.sqrt(covariance[at, at]))) if at is not None else None
    if reference is not None and reference[0] <= 0:
        reference = None
    step = float(measured.x[-1] - measured.x[0]) / (len(measured) - 1) * frequency
    native = _Axis(float(measured.x[0]) * frequency, step, len(measured), 1)
    transfer = fit.transfer(0.0, native)
    parts: dict[str, np.ndarray] = {}
    for c, s in zip(fit.compounds, fit.states, strict=True):
        value = (1 + s.response) @ c.render(native, frequency, s, fit.width, False).value
        parts[c.name] = scale * s.amount * native.back((value * transfer)[None])[0]
    baseline = scale * np.interp(native.hertz, fit.axis.hertz, fit.baseline())
    total = np.sum(list(parts.values()), axis=0) if parts else np.zeros(len(measured))
    found: list[Metabolite] = []
    missing = [c for c in everything if c.name not in place]
    errors = dict(zip((c.name for c in missing), _undetected(fit, missing) * scale, strict=True))
    factor = None if reference is None else (concentration or 1.0) / reference[0]
    for compound in everything:
        i = place.get(compound.name)
        if i is None:
            error = float(errors[compound.name])
            known = factor is not None and compound.concentrates
            found.append(
                Metabolite(
                    compound.name,
                    compound.identifier,
                    0.0,
                    error,
                    False,
                    concentration=0.0 if known else None,
                    concentration_error=error * factor if known and factor is not None else None,
                )
            )
            continue
        c, s = fit.compounds[i], fit.states[i]
        value, error = float(amounts[i]), float(np.sqrt(covariance[i, i]))
        absolute = spread = None
        if factor is not None and reference is not None and at is not None and compound.concentrates:
            absolute = value * factor
            ratio = value / reference[0]
            variance = covariance[i, i] - 2 * ratio * covariance[i, at] + ratio**2 * covariance[at, at]
            spread = float(np.sqrt(max(variance, 0.0))) * factor
        found.append(
            Metabolite(
                c.name,
                c.identifier,
                value,
                error,
                value > limit * error,
                absolute,
                spread,
                shifts=dict(zip(c.groups, s.shift.tolist(), strict=True)),
                moved=float(np.abs(s.shift - c.shifts).max()),
                response=dict(zip(c.groups, (1 + s.response).tolist(), strict=True)),
                system=c.refined(s, fit.width),
            )
        )
    found.sort(key=lambda m: (not m.present, -m.amount, m.error))
    order = [place[m.name] for m in found if m.present]
    mask, unexplained = _told(fit, native, measured, exclude)
    problem = "" if order else "no compound of the library stands out of the spectrum"
    return Quantification(
        metabolites=tuple(found),
        measured=measured,
        fitted=replace(measured, y=total + baseline),
        parts=parts,
        baseline=baseline,
        covariance=covariance[np.ix_(order, order)],
        excluded=tuple((float(a), float(b)) for a, b in exclude),
        roi_iou=roi_iou(total, measured.y, mask, baseline),
        width=fit.width,
        model_error=fit.model_error,
        response_sd=fit.response_sd,
        standard=standard if reference else "",
        standard_amount=reference,
        unit=(unit if concentration is not None else f"per {standard}") if reference else "",
        unexplained=unexplained,
        limit=limit,
        problem=problem,
    )


def _undetected(fit: _Fit, compounds: Sequence[_Compound]) -> Float[np.ndarray, " c"]:
    """Standard errors of amounts of compounds that are not there, all else being known."""
    weight = 1 / (fit.sigma(0.0) ** 2 * fit.correlation)
    errors = np.zeros(len(compounds))
    for i, c in enumerate(compounds):
        column = fit.axis.back(c.render(fit.axis, fit.frequency, c.start(), fit.width, False).value).sum(axis=0)
        errors[i] = 1 / np.sqrt(max(float(weight @ column[fit.mask] ** 2), 1e-300))
    return errors


def _told(
    fit: _Fit, native: _Axis, measured: Trace, exclude: Sequence[tuple[float, float]]
) -> tuple[Bool[np.ndarray, " t"], float]:
    """Points within 25 Hz of a line of what is present; share of the fitted signal that nothing explains."""
    position: list[np.ndarray] = []
    strength: list[np.ndarray] = []
    for c, s in zip(fit.compounds, fit.states, strict=True):
        system = c.refined(s, fit.width)
        if system is not None:
            found = lines(system, fit.frequency, threshold=1e-5)
            position.append(found.position)
            strength.append(s.amount * (found.weight @ system.intensities))
        else:
            shapes = native.back(c.render(native, fit.frequency, s, fit.width, False).value).sum(axis=0)
            some = shapes > 0.05 * shapes.max()
            position.append(native.hertz[some])
            strength.append(s.amount * shapes[some] / shapes[some].max())
    mask = (
        region(native.hertz, np.concatenate(position), np.concatenate(strength)) if position else native.hertz < -np.inf
    )
    for a, b in exclude:
        mask &= (measured.x < a) | (measured.x > b)
    signals = fit.signals().sum(axis=0)
    off = (fit.target(0.0) - fit.baseline() - signals)[fit.mask]
    beyond = off > 5 * fit.sigma(0.0)
    total = float(np.maximum((fit.target(0.0) - fit.baseline())[fit.mask], 0).sum())
    return mask, float(off[beyond].sum() / total) if total > 0 else 0.0
