"""The measured spectrum of a mixture: its axis, its reference compound, the part that is fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from molvis_core.errors import RecordError
from molvis_core.records import Trace
from molvis_nmr.mixture.axis import Axis
from molvis_nmr.mixture.compounds import Compound

_NEAR_ZERO = 0.1  # ppm about 0 in which a standard is looked for
_WIDEST = 8.0  # Hz at half height: more is grease or a bound standard
_FINEST = 0.4  # Hz between points: finer spectra are averaged, for lines are wider
_CLEAR = 50.0  # standard deviations of the noise that lines stand out by whose widths are compared
_NARROW = 0.2  # share of them that are narrower than what counts as the width of lines
_FEWEST = 8


def uniform(spectrum: Trace) -> Trace:
    """The spectrum on an even axis.

    Raises:
        RecordError: it is no spectrum, or one that cannot be quantified.
    """
    if not isinstance(spectrum, Trace):
        raise RecordError(f"a spectrum must be a Trace, got a {type(spectrum).__name__}")
    if spectrum.frequency is None:
        raise RecordError("the spectrum has no frequency; give Trace.frequency in MHz")
    if len(spectrum) < 256:
        raise RecordError(f"the spectrum must have at least 256 points, got {len(spectrum)}")
    if not spectrum.y.any() or np.ptp(spectrum.y) == 0:
        raise RecordError("the spectrum is the same everywhere; there is nothing to quantify")
    step = np.diff(spectrum.x)
    if np.ptp(step) < 1e-3 * step.mean():
        return spectrum
    x = np.arange(spectrum.x[0], spectrum.x[-1], float(np.median(step)))
    return replace(spectrum, x=x, y=np.interp(x, spectrum.x, spectrum.y))


def standards_at(measured: Trace, noise: float) -> list[float]:
    """Where a standard's singlet may be, in ppm, the nearest to 0 first: narrow peaks that stand out of the noise.

    Siloxanes and silicone grease have such singlets too, near 0.1 ppm, with the same satellites of 29Si: neither
    height nor shape tells a standard from them.
    """
    from scipy.signal import find_peaks

    assert measured.frequency is not None
    near = np.flatnonzero(np.abs(measured.x) < _NEAR_ZERO)
    if len(near) < 5:
        return []
    y = measured.y[near] - np.median(measured.y[near])
    step = float(measured.x[1] - measured.x[0])
    widest = 2 * _WIDEST / (step * measured.frequency)
    least = max(20 * noise, 0.03 * float(y.max()))
    tops, _ = find_peaks(
        y,
        height=least,
        prominence=0.5 * least,
        width=(None, widest),
    )
    found = []
    for top in near[tops].tolist():
        a, b, c = measured.y[top - 1 : top + 2]
        bend = a - 2 * b + c
        found.append(float(measured.x[top] + (0.5 * (a - c) / bend if bend else 0.0) * step))
    return sorted(found, key=abs)


def working_axis(
    measured: Trace, compounds: Sequence[Compound], exclude: Sequence[tuple[float, float]]
) -> tuple[Axis, Float[np.ndarray, " t"], Bool[np.ndarray, " t"]]:
    """The part of the spectrum that the library speaks of, averaged to what lines need, and where it is fitted."""
    assert measured.frequency is not None
    frequency = measured.frequency
    low = min(m.reach()[0] - m.window for c in compounds for m in c.multiplets) / frequency - 0.25
    high = max(m.reach()[1] + m.window for c in compounds for m in c.multiplets) / frequency + 0.25
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
    axis = Axis(float(hertz[0]), average * step, int(points))
    ppm = hertz / frequency
    mask = np.ones(points, dtype=bool)
    for a, b in exclude:
        if not a < b:
            raise RecordError(f"a window of exclude must go from low to high ppm, got ({a}, {b})")
        mask &= (ppm < a) | (ppm > b)
    return axis, y, mask


def width_of_lines(axis: Axis, y: Float[np.ndarray, " t"], mask: Bool[np.ndarray, " t"], noise: float) -> float | None:
    """Half width at half height, in Hz, of the narrower lines: those that overlap look wider; None where few stand out.

    A low share, as lines are narrower than all others where noise or half a multiplet cuts them off.
    """
    from scipy.signal import find_peaks, peak_widths

    y = np.where(mask, y, 0.0)
    tops, _ = find_peaks(y, prominence=_CLEAR * noise)
    if len(tops) < _FEWEST:
        return None
    # At half of its height, not of what a line rises above its neighbours, where a shoulder looks narrow.
    ends = np.zeros(len(tops), dtype=np.intp), np.full(len(tops), len(y) - 1, dtype=np.intp)
    found = peak_widths(y, tops, rel_height=0.5, prominence_data=(y[tops], *ends))[0] * axis.step / 2
    return float(np.quantile(found, _NARROW))
