"""How well the pattern of a compound's multiplets fits what is not explained yet, wherever its multiplets may have
moved.

A multiplet is compared by its shape: the evidence for it is by how much the residual's energy within its lines becomes
less, as the logarithm of a ratio. A strong signal that stands in a multiplet's place and has another shape is hardly
evidence, and no signal where one should be is evidence against. Multiplets of a compound have one amount, and move
together with the sample and a little by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numba import njit

from molvis_nmr.mixture.axis import Axis
from molvis_nmr.mixture.compounds import Compound, Shared, rows_of

CORE = 0.004
"""ppm by which multiplets scatter about the compound's offset, and compounds about the sample's."""
_FOOT = 4.0  # Hz beside its lines that belong to a multiplet's shape
_APART = 3.5  # half widths between points that are evidence of their own


@dataclass(frozen=True, eq=False, slots=True)
class Template:
    """Multiplets as the library has them, on the points of the axis.

    Attributes:
        members: multiplets that are compared together, for their lines lie between each other's.
        first: place of its first point on the axis; may lie beyond its ends.
        shape: at amount 1.
        wider, aside: how it changes with the logarithm of its width, and with its place in Hz.
        inside: 1 where it has signal or is beside it, else 0.
        window: by how many points it may move.
        independent: points of its shape that are evidence of their own.
    """

    members: tuple[int, ...]
    first: int
    shape: Float[np.ndarray, " s"]
    wider: Float[np.ndarray, " s"]
    aside: Float[np.ndarray, " s"]
    inside: Float[np.ndarray, " s"]
    window: int
    independent: float


@dataclass(frozen=True, eq=False, slots=True)
class Match:
    """A compound in a residual.

    Attributes:
        evidence: logarithm of the odds that the residual gives it.
        amount: area under one proton's signal.
        moved: of each multiplet, in Hz.
        each: evidence by template.
        seen: share of each template that lies where the spectrum counts.
        common: by how much all moved together, in Hz.
    """

    evidence: float
    amount: float
    moved: Float[np.ndarray, " m"]
    each: Float[np.ndarray, " e"]
    seen: Float[np.ndarray, " e"]
    common: float


def templates_of(compound: Compound, axis: Axis, shared: Shared) -> list[Template]:
    """A compound's multiplets on the points of the axis."""
    order = sorted(range(len(compound.multiplets)), key=lambda k: compound.multiplets[k].reach()[0])
    runs: list[list[int]] = []
    end = -np.inf
    for k in order:
        low, high = compound.multiplets[k].reach()
        if low < end + 2 * _FOOT:
            runs[-1].append(k)
        else:
            runs.append([k])
        end = max(end, high)
    return [_template(compound, run, axis, shared) for run in runs]


def _template(compound: Compound, members: list[int], axis: Axis, shared: Shared) -> Template:
    from scipy.ndimage import maximum_filter1d

    multiplets = [compound.multiplets[k] for k in members]
    margin = 0.0 if multiplets[0].measured else _FOOT + 6 * shared.width
    first = int(np.floor((min(m.reach()[0] for m in multiplets) - margin - axis.start) / axis.step))
    last = int(np.ceil((max(m.reach()[1] for m in multiplets) + margin - axis.start) / axis.step))
    wide = Axis(axis.start + axis.step * first, axis.step, last - first + 1)
    drawn = np.zeros((4, wide.points))
    for m in multiplets:
        part, rows = rows_of(m, wide, shared, 0.0, 0.0, margin + axis.step)
        drawn[:, part] += rows
    shape = drawn[0]
    foot = max(1, round(_FOOT / axis.step))
    inside = np.asarray(maximum_filter1d((shape > 0.04 * shape.max()).astype(float), 2 * foot + 1))
    independent = 2.0 + float(inside.sum()) * axis.step / (_APART * shared.width)
    window = int(np.ceil(max(m.window for m in multiplets) / axis.step))
    return Template(tuple(members), first, shape, drawn[2], drawn[1], inside, window, independent)


@njit(cache=True, fastmath=True)
def _profile(
    data: np.ndarray, weight: np.ndarray, shape: np.ndarray, wider: np.ndarray, aside: np.ndarray, inside: np.ndarray,
    first: int, reach: int,
) -> np.ndarray:  # fmt: skip
    points = len(data)
    made = np.zeros((10, 2 * reach + 1))
    for k in range(2 * reach + 1):
        at = first + k - reach
        b = q = e = n = s = r = total = 0.0
        bw = qw = xw = ba = qa = xa = 0.0
        for t in range(len(shape)):
            p = at + t
            if 0 <= p < points and inside[t] > 0:
                w = weight[p]
                if w > 0:
                    h, d = shape[t], data[p]
                    b += w * h * d
                    q += w * h * h
                    e += w * d * d
                    n += 1
                    s += w * h
                    r += w * d
                    total += w
                    v, u = wider[t], aside[t]
                    bw += w * v * d
                    qw += w * v * v
                    xw += w * v * h
                    ba += w * u * d
                    qa += w * u * u
                    xa += w * u * h
        if total > 0:
            # A level beneath the multiplet is no signal.
            made[0, k] = b - s * r / total
            made[1, k] = q - s * s / total
            made[2, k] = max(e - r * r / total, 0.0)
            made[3, k] = n
            made[4, k], made[5, k], made[6, k] = bw, qw, xw
            made[7, k], made[8, k], made[9, k] = ba, qa, xa
    return made


@njit(cache=True, fastmath=True)
def _at_offsets(
    profile: np.ndarray, reach: int, amounts: np.ndarray, commons: np.ndarray, window: int, scale: float,
    independent: float, size: float, white: float,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Evidence by amount and common offset, and where the multiplet is then.

    What is wrong about a shape is wrong at all of its points together. Noise is not: where nothing but noise is seen,
    a share `white` of the points is evidence of its own.
    """
    best = np.full((len(amounts), len(commons)), -1e9)
    place = np.zeros((len(amounts), len(commons)), dtype=np.int64)
    gain = np.zeros(profile.shape[1])
    for i in range(len(amounts)):
        a = amounts[i]
        for k in range(profile.shape[1]):
            n = profile[3, k]
            if n < 4:
                gain[k] = 0.0
                continue
            e = profile[2, k]
            after = e - 2 * a * profile[0, k] + a * a * profile[1, k]
            # Its width and its place between points are not known exactly: standard deviations of 0.3 and 0.3 Hz.
            if a > 0:
                loose = 1 / (0.09 * a * a)
                after -= (profile[4, k] - a * profile[6, k]) ** 2 / (profile[5, k] + loose)
                after -= (profile[7, k] - a * profile[9, k]) ** 2 / (profile[8, k] + loose)
            after = max(after, 0.0)
            share = min(n / size, 1.0)
            calm = max(e / n, 1.0)
            count = independent * share + max(white * n - independent * share, 0.0) / (calm * calm)
            gain[k] = 0.5 * count * (np.log(1 + e / n) - np.log(1 + after / n))
        for j in range(len(commons)):
            for k in range(max(0, commons[j] + reach - window), min(2 * reach + 1, commons[j] + reach + window + 1)):
                x = (k - reach - commons[j]) / scale
                value = gain[k] - 2 * np.log(1 + x * x / 3)
                if value > best[i, j]:
                    best[i, j], place[i, j] = value, k - reach
    return best, place


@dataclass(frozen=True, eq=False, slots=True)
class Landscape:
    """A compound's evidence by its amount, wherever its multiplets may be.

    Attributes:
        templates: of its multiplets.
        profiles: of each, how well it fits at every place.
        commons: offsets in points that all multiplets may have together.
        scale: by how many points multiplets scatter.
    """

    templates: list[Template]
    profiles: list[Float[np.ndarray, "10 _"]]
    commons: Int[np.ndarray, " o"]
    scale: float

    def span(self) -> tuple[float, float] | None:
        """An amount that nobody would see, and one that is more than there can be; None where nothing counts."""
        power = sum(float(p[1].max()) for p in self.profiles)
        if power <= 0:
            return None
        most = 0.0
        for p in self.profiles:
            some = p[1] > 0.1 * max(float(p[1].max()), 1e-300)
            if some.any():
                most = max(most, float((p[0][some] / p[1][some]).max()))
        return 0.3 / float(np.sqrt(power)), 2 * most + 30.0 / float(np.sqrt(power))

    def tables(
        self, amounts: Float[np.ndarray, " a"], white: float = 0.0
    ) -> list[tuple[Float[np.ndarray, "a o"], Int[np.ndarray, "a o"]]]:
        """Of each multiplet, its evidence by amount and common offset, and in which point it is then.

        Args:
            amounts: that are asked for.
            white: share of points whose noise is their own.
        """
        return [
            _at_offsets(
                p, (p.shape[1] - 1) // 2, amounts, self.commons, t.window, self.scale, t.independent,
                float(t.inside.sum()), white,
            )
            for t, p in zip(self.templates, self.profiles, strict=True)
        ]  # fmt: skip

    def evidence(
        self, amounts: Float[np.ndarray, " a"], prior: Float[np.ndarray, " o"], white: float
    ) -> Float[np.ndarray, " a"]:
        """Logarithm of the odds that the data give each amount, at the offset that is best for it.

        Args:
            amounts: that are asked for.
            prior: logarithm of the odds of each offset.
            white: share of points whose noise is their own.
        """
        total = np.tile(prior, (len(amounts), 1))
        for best, _ in self.tables(amounts, white):
            total += best
        return np.asarray(total.max(axis=1))


def landscape(
    templates: list[Template],
    axis: Axis,
    frequency: float,
    data: Float[np.ndarray, " t"],
    weight: Float[np.ndarray, " t"],
    commons: Int[np.ndarray, " o"],
) -> Landscape:
    """A compound in data, see `match`."""
    farthest = int(np.abs(commons).max())
    profiles = [
        _profile(data, weight, t.shape, t.wider, t.aside, t.inside, t.first, farthest + t.window) for t in templates
    ]
    return Landscape(templates, profiles, commons, CORE * frequency / axis.step)


def match(
    templates: list[Template],
    axis: Axis,
    frequency: float,
    data: Float[np.ndarray, " t"],
    weight: Float[np.ndarray, " t"],
    commons: Int[np.ndarray, " o"],
    prior: Float[np.ndarray, " o"],
) -> Match:
    """A compound where the residual has most evidence of it.

    Args:
        templates: of its multiplets.
        axis: of the spectrum.
        frequency: of the spectrometer in MHz.
        data: the residual.
        weight: 1 over the variance of each point; 0 where it does not count.
        commons: offsets in points that all multiplets may have together.
        prior: logarithm of the odds of each.
    """
    looked = landscape(templates, axis, frequency, data, weight, commons)
    proposed: list[float] = []
    seen = np.zeros(len(templates))
    for i, (t, p) in enumerate(zip(templates, looked.profiles, strict=True)):
        some = (p[0] > 0) & (p[1] > 0) & (p[2] > 0)
        seen[i] = p[3].max() / max(t.inside.sum(), 1.0)
        if some.any():
            alike = np.where(some, p[0] ** 2 / np.maximum(p[1] * p[2], 1e-30), 0.0)
            k = int(alike.argmax())
            proposed.append(float(p[0][k] / p[1][k]))
            k = int(np.where(some, p[0] ** 2 / np.maximum(p[1], 1e-30), 0.0).argmax())
            proposed.append(float(p[0][k] / p[1][k]))
    none = np.zeros(len(templates))
    nothing = Match(-1e9, 0.0, np.zeros(sum(len(t.members) for t in templates)), none, seen, 0.0)
    if not proposed:
        return nothing
    amounts = np.unique(np.array(proposed) * 0.97)
    if len(amounts) > 7:
        amounts = np.quantile(amounts, np.linspace(0, 1, 7))
    tables = looked.tables(amounts)
    total = np.sum([best for best, _ in tables], axis=0) + prior
    i, j = np.unravel_index(int(total.argmax()), total.shape)
    moved = np.zeros(sum(len(t.members) for t in templates))
    for t, (_, place) in zip(templates, tables, strict=True):
        moved[list(t.members)] = place[i, j] * axis.step
    each = np.array([best[i, j] for best, _ in tables])
    return Match(float(total[i, j]), float(amounts[i]), moved, each, seen, float(commons[j]) * axis.step)
