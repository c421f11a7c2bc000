"""From a raw fid to a phased spectrum with a flat baseline and a reference."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Bool, Complex, Float

from molvis_core.errors import RecordError
from molvis_core.records import Trace

log = logging.getLogger("molvis")

NEAR_ZERO = 0.3
"""In ppm: how far from 0 the signal of DSS or TSP is looked for."""


@dataclass(frozen=True, eq=False, slots=True)
class Fid:
    """A free induction decay in quadrature, such that exp(+2 pi i f t) is a line f Hz above the carrier.

    Attributes:
        points: complex, in any linear unit.
        sweep_width: in Hz, the number of points in a second.
        frequency: of the observed nucleus at 0 ppm, in MHz.
        carrier: where the spectrum's middle is, in ppm.
        delay: by which a digital filter delays the beginning, in points, perhaps with a fraction.
        nucleus: such as `1H`.
        identifier: what the source calls it.

    Raises:
        RecordError: fewer than 16 points, numbers that are not finite, nothing but zeros, or a sweep width, frequency
            or delay that cannot be.
    """

    __no_type_check__: ClassVar[bool] = True
    points: Complex[np.ndarray, " t"]
    sweep_width: float
    frequency: float
    carrier: float
    delay: float = 0.0
    nucleus: str = "1H"
    identifier: str | None = None

    def __post_init__(self) -> None:
        points = np.array(self.points, dtype=np.complex128)
        if points.ndim != 1 or len(points) < 16:
            raise RecordError(f"Fid.points must have one axis of at least 16 points, got shape {points.shape}")
        if not np.isfinite(points).all():
            where = int(np.flatnonzero(~np.isfinite(points))[0])
            raise RecordError(f"Fid.points must be finite, got {points[where]} at {where}")
        if not points.any():
            raise RecordError("every point of the fid is 0: there is no signal in it")
        for name in ("sweep_width", "frequency"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise RecordError(f"Fid.{name} must be positive, got {value}")
        if not (np.isfinite(self.carrier) and 0 <= self.delay < len(points)):
            raise RecordError(f"Fid.carrier is {self.carrier} ppm and Fid.delay {self.delay} points; this cannot be")
        points.flags.writeable = False
        object.__setattr__(self, "points", points)

    def __len__(self) -> int:
        return len(self.points)


@dataclass(frozen=True, eq=False, slots=True)
class Processed:
    """A spectrum and how it was made.

    Attributes:
        trace: the real part along ppm.
        phase: of order 0 and 1 that was taken away, in degrees: at the carrier, and its change over the sweep width.
        shift: by which the reference moved the axis, in ppm.
        imaginary: part, along the same axis.
    """

    trace: Trace
    phase: tuple[float, float]
    shift: float
    imaginary: Float[np.ndarray, " t"] = field(repr=False)


def process(
    fid: Fid,
    *,
    size: int | None = None,
    broadening: float = 0.3,
    gaussian: float = 0.0,
    phase: tuple[float, float] | Literal["auto"] = "auto",
    baseline: bool = True,
    reference: float | Literal["auto"] | None = "auto",
) -> Processed:
    """Filter, apodize, fill with zeros, transform, phase, flatten and reference a fid.

    Args:
        fid: raw.
        size: points of the spectrum; without it the power of two that is at least twice the fid's.
        broadening: full width in Hz by which an exponential broadens lines.
        gaussian: full width in Hz of a Gaussian that does so.
        phase: of order 0 and 1 in degrees to take away, as `Processed.phase` states it; `auto` finds it.
        baseline: subtract a smooth one.
        reference: `auto` puts a sharp signal within 0.3 ppm of 0 (DSS, TSP, TMS) at 0, where there is one; a number is
            the shift in ppm to add; None leaves the axis as it is.

    Raises:
        RecordError: settings that cannot be.
    """
    size = size or 1 << int(np.ceil(np.log2(2 * len(fid))))
    if size < len(fid):
        raise RecordError(f"size must be at least the {len(fid)} points of the fid, got {size}")
    if broadening < 0 or gaussian < 0:
        raise RecordError(f"broadening is {broadening:g} Hz and gaussian {gaussian:g} Hz; neither may be negative")
    spectrum = transform(apodize(fid, broadening, gaussian), size)
    if phase == "auto":
        blurred = transform(apodize(fid, max(broadening, 1.0), gaussian), size)
        angles = autophase(blurred, fid.sweep_width)
    else:
        angles = phase
    spectrum = spectrum * _turn(size, angles)
    x = fid.carrier + _offsets(size) * fid.sweep_width / fid.frequency
    real = np.real(spectrum)
    y = real - find_baseline(real) if baseline else real
    trace = Trace(x, y, frequency=fid.frequency, identifier=fid.identifier)
    shift = 0.0 if reference is None else reference
    if shift == "auto":
        found = find_reference(trace) if fid.nucleus == "1H" else None
        shift = 0.0 if found is None else -found
    if shift:
        trace = replace(trace, x=trace.x + shift)
    return Processed(trace, angles, shift, np.imag(spectrum))


def apodize(fid: Fid, broadening: float = 0.3, gaussian: float = 0.0) -> Fid:
    """A fid times what broadens its lines by these full widths in Hz. Time begins behind the filter's delay."""
    time = np.abs(np.arange(len(fid)) - fid.delay) / fid.sweep_width
    weight = np.exp(-np.pi * broadening * time - (np.pi * gaussian * time) ** 2 / (4 * np.log(2)))
    return replace(fid, points=fid.points * weight)


def transform(fid: Fid, size: int) -> Complex[np.ndarray, " s"]:
    """The spectrum, its frequencies ascending, with the filter's delay taken out as a phase.

    What a digital filter puts before time zero belongs to the signal: cutting it off would bend the baseline.
    """
    points = fid.points.copy()
    if fid.delay == 0:
        points[0] *= 0.5  # else the sum over t >= 0 adds half of it everywhere, as an offset
    spectrum = np.fft.fftshift(np.fft.fft(points, size))
    return spectrum * np.exp(2j * np.pi * _offsets(size) * fid.delay) / np.sqrt(size)


def _offsets(size: int) -> Float[np.ndarray, " s"]:
    """From the carrier, in sweep widths."""
    return np.arange(size) / size - 0.5


def _turn(size: int, phase: tuple[float, float]) -> Complex[np.ndarray, " s"]:
    return np.exp(-1j * np.deg2rad(phase[0] + phase[1] * _offsets(size)))


# Phase


def autophase(spectrum: Complex[np.ndarray, " s"], sweep_width: float, *, avoid: float = 0.025) -> tuple[float, float]:
    """Phase of order 0 and 1 in degrees that lines of a spectrum share: at the carrier, and over the sweep width.

    Lines in pure absorption fall off with the square of the distance, in dispersion only with the distance: the right
    phase leaves the least outside the lines, whose sum of fourth roots of squares around every strong signal is
    minimized; then what lies below the baseline. A change over the sweep width is held small, as a delay that is known
    has been taken out before.

    Args:
        spectrum: frequencies ascending, the carrier in the middle.
        sweep_width: in Hz.
        avoid: what part of the sweep width around the carrier is left out, as solvent that is suppressed there has a
            phase of its own.
    """
    import scipy.ndimage
    import scipy.optimize as so

    nd: Any = scipy.ndimage  # whose stubs know one of the two things that label gives

    size = len(spectrum)
    step = max(1, size // 32768)
    # Fewer points: lines here need not be resolved, only their feet.
    smooth = spectrum[: size // step * step].reshape(-1, step).mean(axis=1)
    offsets = _offsets(len(smooth))
    magnitude = np.abs(smooth)
    noise = float(np.median(magnitude))
    # A header may state any sweep width, even one whose inverse is infinite: nothing is wider than the spectrum.
    per_hz = min(len(smooth) / sweep_width, float(len(smooth)))
    for allowed in (np.abs(offsets) > avoid, np.full(len(smooth), True)):
        strong = (magnitude > 20 * noise) & allowed & (np.abs(offsets) < 0.45)
        labels, count = nd.label(nd.binary_dilation(strong, iterations=min(len(smooth), max(1, round(15 * per_hz)))))
        if count:
            break
    else:
        return float(np.rad2deg(np.angle(smooth.sum()))), 0.0
    weight = np.zeros(len(smooth))
    feet = min(len(smooth), round(150 * per_hz))
    for (where,) in nd.find_objects(labels):
        wide = slice(max(0, where.start - feet), where.stop + feet)
        weight[wide] = np.maximum(weight[wide], magnitude[where].max() ** -0.7)
    near = weight > 0
    lines, o, weight = smooth[near] * weight[near], offsets[near], weight[near]
    floor = (noise * weight) ** 2

    def cost(phase: tuple[float, float]) -> float:
        real = (lines * np.exp(-1j * np.deg2rad(phase[0] + phase[1] * o))).real
        return float(np.sqrt(np.sqrt(real**2 + floor)).sum() * (1 + 0.1 * (phase[1] / 100) ** 2))

    first = min(((p0, p1) for p1 in range(-90, 91, 30) for p0 in range(0, 180, 12)), key=cost)
    corners = [first, (first[0] + 5, first[1]), (first[0], first[1] + 10)]
    found = so.minimize(cost, first, method="Nelder-Mead", options={"xatol": 0.02, "initial_simplex": corners})
    p0, p1 = (float(value) for value in found.x)
    upright = (lines * np.exp(-1j * np.deg2rad(p0 + p1 * o))).real.sum() >= 0
    return _less_negative(smooth, (p0 if upright else p0 + 180, p1), np.abs(offsets) > avoid)


def _less_negative(
    spectrum: Complex[np.ndarray, " s"], phase: tuple[float, float], counts: Bool[np.ndarray, " s"]
) -> tuple[float, float]:
    """A phase made better: nothing may lie deeper below the baseline than noise does."""
    import scipy.optimize as so

    step = max(1, len(spectrum) // 16384)
    spectrum = spectrum[: len(spectrum) // step * step].reshape(-1, step).mean(axis=1)
    offsets = _offsets(len(spectrum))
    counts = counts[: len(spectrum) * step : step] & (np.abs(offsets) < 0.45)

    def cost(angles: tuple[float, float]) -> float:
        y = np.real(spectrum * np.exp(-1j * np.deg2rad(angles[0] + angles[1] * offsets)))
        y = (y - find_baseline(y, bins=512))[counts]
        size = np.abs(y)
        below = np.minimum(y + 4.4 * float(np.median(size)), 0.0)  # three standard deviations of noise
        return float(np.abs(below).sum() / size.sum()) * (1 + 0.05 * (angles[1] / 100) ** 2)

    corners = [phase, (phase[0] + 3, phase[1]), (phase[0], phase[1] + 10)]
    settings = {"xatol": 0.1, "fatol": 1e-6, "maxiter": 40, "initial_simplex": corners}
    p0, p1 = (float(value) for value in so.minimize(cost, phase, method="Nelder-Mead", options=settings).x)
    return p0 % 360, p1


# Baseline


def find_baseline(y: Float[np.ndarray, " t"], *, bins: int = 2048, scale: float = 0.03) -> Float[np.ndarray, " t"]:
    """A smooth curve through what is no signal.

    Args:
        y: a phased spectrum, evenly spaced.
        bins: into which it is cut; the median of those without signal counts.
        scale: in lengths of the spectrum, below which the curve does not bend.
    """
    import scipy.linalg as sl

    bins = min(bins, len(y) // 8)
    if bins < 16:
        return np.zeros(len(y))
    width = len(y) // bins
    cut = y[: bins * width].reshape(bins, width)
    middle = np.median(cut, axis=1)
    quiet = _quiet(cut)
    weight = quiet.astype(np.float64)
    # Second differences times (scale in bins)^4: the Whittaker-Henderson smoother, doi:10.1021/ac034173t
    stiff = (scale * bins / (2 * np.pi)) ** 4 * 16
    band = stiff * np.array([[1.0], [-4.0], [6.0]]) * np.ones(bins)
    band[2, [0, -1]], band[2, [1, -2]], band[1, [1, -1]] = stiff, 5 * stiff, -2 * stiff
    curve = middle
    spread = 1.4826 * float(np.median(np.abs(np.diff(middle[quiet])))) + 1e-12 * float(np.abs(y).max() + 1e-300)
    for _ in range(20):
        system = band.copy()
        system[2] += weight + 1e-9
        curve = sl.solveh_banded(system, weight * middle)
        kept = quiet & (middle - curve < 3 * spread) & (curve - middle < 6 * spread)
        if kept.sum() < 8 or np.array_equal(kept, weight > 0):
            break
        weight = kept.astype(np.float64)
    centers = (np.arange(bins) + 0.5) * width - 0.5
    return np.interp(np.arange(len(y)), centers, curve)


def _quiet(cut: Float[np.ndarray, "b w"]) -> Bool[np.ndarray, " b"]:
    """Bins without signal, nor beside one."""
    import scipy.ndimage as nd

    ptp = np.ptp(cut, axis=1)
    level = float(np.quantile(ptp, 0.2))
    loud = ptp > 2.5 * level
    quiet = np.logical_not(nd.binary_dilation(loud, iterations=2))
    return quiet if quiet.sum() >= 16 else ptp <= level


# Reference


def find_reference(trace: Trace, *, within: float = NEAR_ZERO) -> float | None:
    """Where the sharp signal of DSS, TSP or TMS is, in ppm; None where no signal stands out near 0.

    Args:
        trace: a phased spectrum along ppm.
        within: of 0, in ppm, it is looked for.
    """
    near = np.flatnonzero(np.abs(trace.x) < within)
    if len(near) < 32 or near[0] == 0 or near[-1] == len(trace) - 1:
        return None
    y = trace.y[near]
    top = int(y.argmax())
    noise = 1.4826 * float(np.median(np.abs(np.diff(trace.y)))) / np.sqrt(2)
    height = float(y[top] - np.median(y))
    if height < 20 * noise or not 0 < top < len(y) - 1:
        return None
    half = y > np.median(y) + 0.5 * height
    hertz = float(np.diff(trace.x[near[:2]])[0]) * (trace.frequency or 1.0)
    if half.sum() * hertz > 8.0:
        return None  # broad, or several: no reference compound
    left, mid, right = y[top - 1 : top + 2]
    bend = left - 2 * mid + right
    vertex = 0.0 if bend == 0 else 0.5 * float((left - right) / bend)
    return float(trace.x[near[top]] + vertex * np.diff(trace.x[near[:2]])[0])
