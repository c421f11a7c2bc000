"""All compounds that are there fitted together: amounts, places, widths and responses of multiplets, and the baseline.

Every parameter changes the spectrum at few points only, so that the equations of Gauss and Newton are sparse. The
errors of the model are learned beside its parameters: what it misses of strong signals weighs less, and goes into the
errors.

Reference: K. L. Lange, R. J. A. Little, J. M. G. Taylor, J. Am. Stat. Assoc. 84 (1989) 881,
doi:10.1080/01621459.1989.10478852 (least squares of Student's t by reweighting)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from molvis_nmr.fitting.noise import variance_factor
from molvis_nmr.mixture.compounds import Shared, State, rows_of, turned, wings
from molvis_nmr.mixture.coupled import derive
from molvis_nmr.mixture.model import MixtureFit, around, satellites
from molvis_nmr.mixture.responses import RESPONSE_SD, precision

_WIDTH_SD = 0.25  # of the logarithm of a multiplet's width relative to the shared one
_MOVED_SD = 3.0  # Hz by which multiplets scatter about the sample's offset, by the core of its distribution
_INNER_SD = 2.0  # Hz by which spins of one multiplet scatter beside it
_RESPONSES = (-0.8, 6.0)
_WIDTHS = (-1.0, 1.2)  # logarithm of a multiplet's width relative to the shared one
_NARROWEST = 0.1  # Hz, half of the shared width at half height
_FAR, _FAR_SHARED = 0.3, 0.2  # that a width or a response of a multiplet, and one of all lines, changes in one step
_LEAST = 0.02  # of an amount is left by one step
_HOLDS = 6  # times that parameters beyond their bounds are held there
_GAUSS = (0.0, 0.9)
_STIFFNESS = 1.0
_FIRM = 0.1  # model error that a fit assumes at most: with more nothing would be fitted well, and the error stay large
_NEAR = 12.0  # Hz about a point in which the model's error is its own
_SHRINK = 0.1  # share of the points about it that the median of all stands for
_LOCAL = (0.3, 4.0)
_FAR = 0.1  # ppm about a point in which unknown signals are likely where one is
UNKNOWN = 1.0


@dataclass(frozen=True, eq=False, slots=True)
class Layout:
    """Where parameters are: of each compound its amount, then places, widths and responses of multiplets, and places
    of movers within them; then the shared ones.
    """

    order: tuple[int, ...]
    at: dict[int, int]
    shared: int
    size: int


@dataclass(frozen=True, eq=False, slots=True)
class Equations:
    """Normal equations at a point, with the precision of the priors and of the baseline's roughness."""

    layout: Layout
    normal: Float[np.ndarray, "p p"]
    gradient: Float[np.ndarray, " p"]
    precision: Float[np.ndarray, " p"]
    weight: Float[np.ndarray, " t"]
    stiff: Float[np.ndarray, "b b"]


def layout_of(fit: MixtureFit) -> Layout:
    """The order of the parameters."""
    at: dict[int, int] = {}
    size = 0
    for i in fit.states:
        at[i] = size
        size += 1 + 3 * len(fit.library[i].multiplets) + sum(len(m.movers) for m in fit.library[i].multiplets)
    return Layout(tuple(fit.states), at, size, size + 2 + len(fit.base))


def equations(fit: MixtureFit) -> Equations:
    """Gauss's and Newton's at the fit's point."""
    from scipy.sparse import csc_array, hstack

    mixture, layout = fit.mixture, layout_of(fit)
    axis, basis = mixture.axis, mixture.background.basis
    data: list[np.ndarray] = []
    places: list[np.ndarray] = []
    ends = [0]
    stiffness = np.zeros(layout.size)
    pull = np.zeros(layout.size)
    by_width, by_gauss = np.zeros(axis.points), np.zeros(axis.points)
    for i, state in fit.states.items():
        derive(fit.library[i], state, mixture.frequency)
        for part, values in _columns(fit, i, by_width, by_gauss):
            places.append(part)
            data.append(values)
            ends.append(ends[-1] + len(part))
        first = layout.at[i] + 1
        some = slice(first, first + 3 * len(state.moved) + sum(len(k) for k in state.inner))
        stiffness[some], pull[some] = _priors(fit, state)
    own = csc_array(
        (np.concatenate([*data, np.zeros(0)]), np.concatenate([*places, np.zeros(0, dtype=np.int64)]), np.array(ends)),
        shape=(axis.points, layout.shared),
    )
    jacobian = csc_array(hstack([own, csc_array(np.stack([by_width, by_gauss], axis=1)), basis]))
    residual, sigma = fit.residual(), fit.sigma()
    foreign = np.maximum(residual, 0.0) * (fit.unknown if fit.complete else 0.0) / sigma**2
    weight = np.where(mixture.mask, 1 / sigma**2, 0.0) / (1 + (residual / (4 * sigma)) ** 2 + foreign)
    normal = (jacobian.T @ (jacobian * weight[:, None])).toarray()
    stiffness[layout.shared] = 1.0
    stiffness[layout.shared + 1] = 4.0
    pull[layout.shared + 1] = 4.0 * fit.shared.gauss
    gradient = jacobian.T @ (weight * residual) - pull
    rough = slice(layout.shared + 2, layout.size)
    block = normal[rough, rough]
    stiff = _STIFFNESS * float(np.median(np.diag(block))) * mixture.background.roughness
    normal[rough, rough] += stiff + 1e-9 * np.diag(np.diag(block) + 1e-30)
    gradient[rough] -= stiff @ fit.base
    return Equations(layout, normal, gradient, stiffness, weight, stiff)


def _columns(
    fit: MixtureFit, i: int, by_width: Float[np.ndarray, " t"], by_gauss: Float[np.ndarray, " t"]
) -> Iterator[tuple[Int[np.ndarray, " p"], Float[np.ndarray, " p"]]]:
    """A compound's derivatives in the order of its parameters, where they are; those by the shared ones are added."""
    axis, state = fit.mixture.axis, fit.states[i]
    whole = np.zeros(axis.points)
    columns: list[list[tuple[slice, np.ndarray]]] = [[], [], [], []]
    shapes = state.multiplets or fit.library[i].multiplets
    for m, moved, width, response in zip(shapes, state.moved, state.width, state.response, strict=True):
        height = state.amount * (1 + response)
        reach = wings(height * m.area, fit.shared.width, fit.floor)
        part, rows = rows_of(m, axis, fit.shared, float(moved), float(width), reach)
        whole[part] += (1 + response) * rows[0]
        by_width[part] += height * rows[2]
        by_gauss[part] += height * rows[3]
        columns[0].append((part, height * rows[1]))
        columns[1].append((part, height * rows[2]))
        columns[2].append((part, state.amount * rows[0]))
        for turn in m.turns:
            columns[3].append((part, height * turned(m, turn, axis, fit.shared, float(moved), float(width), part)))
    some = np.flatnonzero(whole)
    yield some, whole[some]
    for part, values in (one for c in columns for one in c):
        yield np.arange(part.start, part.stop), values


def _priors(fit: MixtureFit, state: State) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Precisions of a compound's parameters but its amount, and by how much their priors pull.

    They are Student's t of three degrees of freedom, whose tails leave room for what pH moves.
    """
    off = [state.moved - fit.offset, state.width, state.response, np.concatenate([*state.inner, np.zeros(0)])]
    scale = [fit.offset_sd, 0.0, RESPONSE_SD, _INNER_SD]
    spread = [
        s**2 * (3 + (x / s) ** 2) / 4 if s else np.full(len(x), _WIDTH_SD**2) for x, s in zip(off, scale, strict=True)
    ]
    weights = 1 / np.concatenate(spread)
    n = len(state.moved)
    # A single multiplet has no other to disagree with: its response would only stand for its amount.
    weights[2 * n : 3 * n] = precision(state.response, state.excess) if n > 1 else 1e8
    return weights, weights * np.concatenate(off)


def _moved(fit: MixtureFit, layout: Layout, step: Float[np.ndarray, " p"]) -> MixtureFit:
    """After a step within `_bounds`; rounding does not lead beyond them."""
    states: dict[int, State] = {}
    for i, s in fit.states.items():
        multiplets = fit.library[i].multiplets
        n, first = len(multiplets), layout.at[i] + 1
        window = np.array([m.window for m in multiplets])
        ends = first + 3 * n + np.cumsum([0, *(len(k) for k in s.inner)])
        moved = s.moved + step[first : first + n]
        states[i] = State(
            max(float(s.amount + step[first - 1]), _LEAST * s.amount),
            np.clip(moved, fit.offset - window, fit.offset + window),
            np.clip(s.width + step[first + n : first + 2 * n], *_WIDTHS),
            np.clip(s.response + step[first + 2 * n : first + 3 * n], *_RESPONSES),
            tuple(
                np.clip(k + step[a:b], -m.window, m.window)
                for k, a, b, m in zip(s.inner, ends, ends[1:], multiplets, strict=False)
            ),
            s.multiplets,
            s.at,
            s.derived,
            s.excess,
        )
    width = fit.shared.width * float(np.exp(step[layout.shared]))
    gauss = float(np.clip(fit.shared.gauss + step[layout.shared + 1], *_GAUSS))
    new = replace(
        fit, states=states, shared=Shared(float(np.clip(width, _NARROWEST, fit.widest)), gauss),
        base=fit.base + step[layout.shared + 2 :], signals={},
    )  # fmt: skip
    new.refresh()
    return new


def improve(fit: MixtureFit, steps: int, reach: float = 1.0) -> MixtureFit:
    """Some steps of Gauss and Newton, shortened where they do not pay."""
    damping = 1e-3
    fit.refresh()  # how far feet are drawn depends on the noise, which may have been learned since
    for _ in range(steps):
        at = equations(replace(fit, model_error=min(fit.model_error, _FIRM)))
        before = _objective(fit, at)
        matrix = at.normal + np.diag(at.precision)
        diagonal = np.diag(matrix).copy()
        bounds = _bounds(fit, at.layout, reach)
        better, cost = None, before
        for _ in range(5):
            step = _solve_within(matrix + damping * np.diag(diagonal), at.gradient, *bounds)
            trial = _moved(fit, at.layout, step)
            cost = _objective(trial, at)
            if cost < before:
                better = trial
                damping = max(damping / 5, 1e-6)
                break
            damping *= 15
        if better is None:
            break
        fit = better
        if before - cost < 1e-6 * before:
            break
    return fit


def _objective(fit: MixtureFit, at: Equations) -> float:
    """What a step has to make less: squared residuals and distances from the priors, by the weights of its start."""
    off = fit.residual()
    return float((at.weight * off**2).sum() + fit.base @ at.stiff @ fit.base) + _prior(fit, at)


def _bounds(fit: MixtureFit, layout: Layout, reach: float) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"]]:
    """How far each parameter may go down and up in one step."""
    low, high = np.full(layout.size, -np.inf), np.full(layout.size, np.inf)

    def within(some: slice | int, value: Any, least: Any, most: Any, far: float) -> None:
        low[some], high[some] = np.maximum(least - value, -far), np.minimum(most - value, far)

    for i, s in fit.states.items():
        n, first, multiplets = len(s.moved), layout.at[i] + 1, fit.library[i].multiplets
        window = np.array([m.window for m in multiplets])
        low[first - 1] = (_LEAST - 1) * s.amount
        within(slice(first, first + n), s.moved, fit.offset - window, fit.offset + window, reach)
        within(slice(first + n, first + 2 * n), s.width, *_WIDTHS, _FAR)
        within(slice(first + 2 * n, first + 3 * n), s.response, *_RESPONSES, _FAR)
        at = first + 3 * n
        for own, m in zip(s.inner, multiplets, strict=False):
            within(slice(at, at + len(own)), own, -m.window, m.window, reach)
            at += len(own)
    within(layout.shared, np.log(fit.shared.width), *np.log([_NARROWEST, fit.widest]), _FAR_SHARED)
    within(layout.shared + 1, fit.shared.gauss, *_GAUSS, _FAR_SHARED)
    return np.minimum(low, high), high  # where a bound has moved since, it counts and not how far one step goes


def _prior(fit: MixtureFit, at: Equations) -> float:
    """Squared distances from the priors, whose precisions are those of the step's start."""
    total = 4.0 * fit.shared.gauss**2
    for i, s in fit.states.items():
        first = at.layout.at[i] + 1
        off = np.concatenate([s.moved - fit.offset, s.width, s.response, *s.inner])
        total += float((at.precision[first : first + len(off)] * off**2).sum())
    return total


def learn_errors(fit: MixtureFit) -> float:
    """The floor and the model's error from the residuals, in place: of points without signal, and of those with.

    Returns:
        By how much neighbouring residuals make the variance of a mean larger.
    """
    mixture = fit.mixture
    off, near = fit.residual(), around(fit.total(), mixture.axis, fit.shared)
    inside = mixture.mask
    quiet = inside & (near < max(float(np.quantile(near[inside], 0.3)), 0.3 * mixture.noise))
    if quiet.sum() > 50:
        fit.floor = max(mixture.noise, float(np.median(np.abs(off[quiet]))) / 0.6745)
    strong = inside & (near > 10 * fit.floor)
    if strong.sum() > 50:
        low, high = 0.003, 0.5
        for _ in range(30):
            middle = np.sqrt(low * high)
            beyond = np.median(off[strong] ** 2 / (fit.floor**2 + (middle * near[strong]) ** 2)) > 0.455
            low, high = (middle, high) if beyond else (low, middle)
        fit.model_error = float(np.sqrt(low * high))
        _learn_where(fit, off, near, strong)
    scaled = off / fit.sigma()
    return variance_factor(np.where(inside, scaled, 0.0), inside & (np.abs(scaled) < 5))


def _learn_where(
    fit: MixtureFit, off: Float[np.ndarray, " t"], near: Float[np.ndarray, " t"], strong: Bool[np.ndarray, " t"]
) -> None:
    """How much larger or smaller the model's error is near each point, and how strong unknown signals are, in place."""
    from scipy.ndimage import gaussian_filter1d

    axis = fit.mixture.axis

    def smooth(y: np.ndarray, hertz: float) -> np.ndarray:
        return np.asarray(gaussian_filter1d(y, hertz / axis.step, truncate=3.0))

    # Of a stretch with hardly a signal the median holds; tall lines beside it do not count as its own.
    share = np.where(strong, 1 / (near**2 + 1e-30), 0.0)
    limited = np.minimum(off**2, (5.0 * fit.model_error * near) ** 2 + 25 * fit.floor**2)
    extra = np.maximum(limited - fit.floor**2, 0.0)
    count = smooth(strong.astype(float), _NEAR)
    ratio = (smooth(extra * share, _NEAR) + _SHRINK * fit.model_error**2) / (count + _SHRINK)
    fit.local = np.clip(np.sqrt(ratio) / fit.model_error, *_LOCAL)
    scale = np.sqrt(fit.floor**2 + (fit.model_error * near) ** 2 + satellites(fit.total(), axis) ** 2)
    # What stands beside a compound's own lines may be its own misfit, unless it is the stronger.
    over = np.where(fit.mixture.mask, np.maximum(off - 3 * scale - near, 0.0), 0.0)
    fit.unknown = UNKNOWN * smooth(over, _FAR * fit.mixture.frequency)


def covariance(fit: MixtureFit, correlation: float) -> tuple[Equations, Float[np.ndarray, "p p"]]:
    """Of all parameters, residuals being correlated."""
    at = equations(fit)
    matrix = at.normal / correlation + np.diag(at.precision)
    scale = 1 / np.sqrt(np.maximum(np.diag(matrix), 1e-300))
    return at, np.linalg.pinv(matrix * scale * scale[:, None], hermitian=True) * scale * scale[:, None]


def _solve_within(
    matrix: Float[np.ndarray, "k k"], right: Float[np.ndarray, " k"], low: Float[np.ndarray, " k"],
    high: Float[np.ndarray, " k"],
) -> Float[np.ndarray, " k"]:  # fmt: skip
    """The step of those that stay within their bounds, beside others that are held there as long as they press.

    Cut off afterwards, a width of all lines that is as large as it may be would leave every line narrower by as much as
    it could not grow.
    """
    step = _solve(matrix, right)
    held = np.zeros(len(right), dtype=bool)
    for _ in range(_HOLDS):
        out = (step < low) | (step > high)
        force = right - matrix @ step
        back = held & ~out & (((step <= low) & (force > 0)) | ((step >= high) & (force < 0)))
        if not out.any() and not back.any():
            break
        held = (held | out) & ~back
        step = np.clip(step, low, high)
        free = ~held
        step[free] = _solve(matrix[np.ix_(free, free)], right[free] - matrix[np.ix_(free, held)] @ step[held])
    return np.clip(step, low, high)


def _solve(matrix: Float[np.ndarray, "k k"], right: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    scale = 1 / np.sqrt(np.maximum(np.diag(matrix), 1e-300))
    scaled = matrix * scale * scale[:, None] + 1e-12 * np.eye(len(matrix))
    try:
        return scale * np.linalg.solve(scaled, scale * right)
    except np.linalg.LinAlgError:
        return scale * np.linalg.lstsq(scaled, scale * right, rcond=1e-12)[0]
