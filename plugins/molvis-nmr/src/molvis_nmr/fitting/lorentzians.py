"""The spectrum as a function of what is fitted, and its derivatives: what least squares need.

A spectrum is linear in the intensities of the groups and in its baseline, and nonlinear in shifts, couplings, widths, a
Gaussian width and the phase. Lines are added up as Lorentzians on the points of a few windows around the signals, as
products of matrices: lines that lie closer together than a fraction of their width are merged first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numba import njit

from molvis_core.ties import TIE
from molvis_nmr.spins.derivatives import LineDerivatives
from molvis_nmr.spins.transitions import Lines

_MERGED = 0.03
"""Lines nearer than this share of the narrowest width become one: the error is a ten-thousandth of the line."""
_CUT = 200.0
"""Hz; farther away than this a line adds next to nothing, and its tail is left out."""
_CHUNK = 64
"""Points at a time: what they need stays in the processor's cache."""


@dataclass(frozen=True, eq=False, slots=True)
class Window:
    """A stretch of a spectrum on equidistant points.

    Attributes:
        start: frequency of the first point in Hz.
        step: from point to point in Hz.
        data: the measurement there.
        keep: points that count: those of excluded regions do not.
    """

    start: float
    step: float
    data: Float[np.ndarray, " t"]
    keep: Bool[np.ndarray, " t"]

    def __len__(self) -> int:
        return len(self.data)

    def axis(self, margin: int = 0) -> Float[np.ndarray, " _"]:
        """Frequencies in Hz of the points, and of `margin` more on each side."""
        return self.start + self.step * np.arange(-margin, len(self.data) + margin)


@dataclass(frozen=True, eq=False, slots=True)
class Shape:
    """What all lines share.

    Attributes:
        broadening: Lorentzian width in Hz that is added to that of each line.
        gaussian: standard deviation in Hz of a Gaussian that each line is convolved with.
        phase: of order 0 and 1 in radians: at 0 ppm, and added per 1000 Hz.
        kernel: the instrument's line shape on points `kernel_step` Hz apart, centred; None for none.
        kernel_step: in Hz.
    """

    broadening: float = 0.0
    gaussian: float = 0.0
    phase: tuple[float, float] = (0.0, 0.0)
    kernel: Float[np.ndarray, " m"] | None = None
    kernel_step: float = 1.0

    def taps(self, step: float) -> Float[np.ndarray, " m"] | None:
        """Everything but the Lorentzian as weights of a convolution on points `step` Hz apart: an odd number."""
        taps = None
        if self.kernel is not None:
            half = (len(self.kernel) - 1) // 2
            if abs(step - self.kernel_step) < 1e-9 * step:
                taps = self.kernel
            else:
                reach = half * self.kernel_step
                count = max(int(reach / step), 1)
                at = step * np.arange(-count, count + 1)
                taps = np.interp(at, self.kernel_step * np.arange(-half, half + 1), self.kernel)
                taps = taps * (self.kernel.sum() / taps.sum())
        if self.gaussian > 0:
            count = max(int(np.ceil(4.5 * self.gaussian / step)), 1)
            at = step * np.arange(-count, count + 1)
            # The bell is averaged over each point: one that is narrower than the points keeps its area.
            from scipy.special import erf

            edge = erf((at[:, None] + np.array([-0.5, 0.5]) * step) / (np.sqrt(2) * self.gaussian))
            bell = np.diff(edge, axis=1)[:, 0]
            bell /= bell.sum()
            taps = bell if taps is None else np.convolve(taps, bell)
        return taps


def _merged(
    lines: Lines, widths: Float[np.ndarray, " l"], columns: Float[np.ndarray, "l c"]
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"], Float[np.ndarray, "m c"]]:
    """Lines of one group that are nearly at one place as one, with its columns added up: positions, widths, columns."""
    strength = np.maximum(np.abs(lines.weight).sum(axis=1), 1e-300)
    # Of groups that share a line alike, as those of a symmetric molecule do, the first leads.
    leading = (lines.share >= (1 - TIE) * lines.share.max(axis=1, keepdims=True, initial=0.0)).argmax(axis=1)
    bins = np.floor(lines.position / (_MERGED * widths.min())).astype(np.int64)
    order = np.lexsort((bins, leading))
    first = np.flatnonzero(np.append(True, (np.diff(bins[order]) != 0) | (np.diff(leading[order]) != 0)))
    strength = strength[order]
    total = np.add.reduceat(strength, first)
    position = np.add.reduceat(strength * lines.position[order], first) / total
    width = np.add.reduceat(strength * widths[order], first) / total
    return position, width, np.add.reduceat(columns[order], first, axis=0)


@njit(cache=True, fastmath=True)
def _lines_on(axis: Any, position: Any, width: Any, cosine: Any, sine: Any, out: Any) -> None:  # pragma: no cover
    """Lorentzians of unit weight, turned by a phase, at each point."""
    for i in range(len(axis)):
        for k in range(len(position)):
            x = axis[i] - position[k]
            z = 1 / (x * x + width[k] * width[k])
            out[i, k] = (cosine[i] * width[k] + sine[i] * x) * z


@njit(cache=True, fastmath=True)
def _slopes_on(axis: Any, position: Any, width: Any, cosine: Any, sine: Any, out: Any) -> None:  # pragma: no cover
    """The same with their derivatives by position and by width, and the lines turned by a right angle."""
    for i in range(len(axis)):
        for k in range(len(position)):
            x = axis[i] - position[k]
            z = 1 / (x * x + width[k] * width[k])
            even, odd = width[k] * z, x * z
            one, two = 2 * even * odd, odd * odd - even * even
            out[0, i, k] = cosine[i] * even + sine[i] * odd
            out[1, i, k] = cosine[i] * one + sine[i] * two
            out[2, i, k] = cosine[i] * two - sine[i] * one
            out[3, i, k] = cosine[i] * odd - sine[i] * even


def basis(
    windows: Sequence[Window], lines: Lines, widths: Float[np.ndarray, " g"], shape: Shape
) -> list[Float[np.ndarray, "t g"]]:
    """The spectrum of each group at intensity 1, on each window."""
    return [columns for columns, _ in _columns(windows, lines, widths, shape, None, None)]


def jacobian(
    windows: Sequence[Window],
    derived: LineDerivatives,
    widths: Float[np.ndarray, " g"],
    shape: Shape,
    r: Float[np.ndarray, " g"],
) -> list[tuple[Float[np.ndarray, "t g"], Float[np.ndarray, "t k"]]]:
    """The spectrum of each group at intensity 1, and the derivatives of the whole at intensities `r`.

    The k columns are: shifts (per ppm) and couplings (per Hz) in the order of `derived`; widths of the groups (per
    Hz); the Gaussian's standard deviation (per Hz); phase of order 0 (per radian) and of order 1 (per radian in 1000
    Hz).
    """
    return _columns(windows, derived.lines, widths, shape, derived, r)


def _columns(
    windows: Sequence[Window],
    lines: Lines,
    widths: Float[np.ndarray, " g"],
    shape: Shape,
    derived: LineDerivatives | None,
    r: Float[np.ndarray, " g"] | None,
) -> list[tuple[Float[np.ndarray, "t g"], Float[np.ndarray, "t k"]]]:
    groups = lines.weight.shape[1]
    wide = lines.share @ widths + shape.broadening
    columns, count, q = lines.weight, 0, 0
    if derived is not None and r is not None:
        signal = lines.weight @ r
        moved = signal[:, None] * derived.position
        columns = np.hstack([lines.weight, derived.signal, moved, signal[:, None] * lines.share, signal[:, None]])
        q = derived.signal.shape[1]
        count = q + groups + 3
    position, width, columns = _merged(lines, wide, columns)
    reach = max(_CUT, 60 * float(width.max()))
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for window in windows:
        taps = shape.taps(window.step)
        margin = 0 if taps is None else (len(taps) - 1) // 2
        axis = window.axis(margin)
        near = (position > axis[0] - reach) & (position < axis[-1] + reach)
        some = columns[near]
        narrow = some[:, groups:].astype(np.float32) if derived is not None else None
        strength = some[:, :groups].astype(np.float32)
        angle = shape.phase[0] + shape.phase[1] * axis / 1000
        turned = np.cos(angle), np.sin(angle)
        values = np.empty((len(axis), groups + count))
        for first in range(0, len(axis), _CHUNK):
            at = slice(first, min(first + _CHUNK, len(axis)))
            turn = turned[0][at], turned[1][at]
            size = at.stop - first, int(near.sum())
            if narrow is None:
                even = np.empty(size)
                _lines_on(axis[at], position[near], width[near], *turn, even)
                values[at, :groups] = even @ some
            else:
                # Single precision is enough for the direction of a step, and twice as fast.
                parts = np.empty((4, *size), dtype=np.float32)
                _slopes_on(axis[at], position[near], width[near], *turn, parts)
                values[at, :groups] = parts[0] @ strength
                values[at, groups:] = 0
                values[at, groups : groups + q] = parts[0] @ narrow[:, :q] + parts[1] @ narrow[:, q : 2 * q]
                values[at, groups + q : -3] = parts[2] @ narrow[:, 2 * q : -1]
                values[at, -2] = parts[3] @ narrow[:, -1]
        if narrow is not None:
            values[:, -1] = values[:, -2] * axis / 1000
        if taps is not None:
            from scipy.signal import fftconvolve

            values = fftconvolve(values, taps[:, None], mode="valid", axes=0)
        if derived is not None and r is not None and shape.gaussian > 0:
            # The Gaussian solves the heat equation: the change with its width is a second derivative.
            whole = values[:, :groups] @ r
            bend = np.gradient(np.gradient(whole, window.step), window.step)
            values[:, -3] = shape.gaussian * bend
        found.append((values[:, :groups], values[:, groups:]))
    return found
