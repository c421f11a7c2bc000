"""Measured and simulated records as SVG for a page: the simulation upon the measurement, and the residual below.

The drawings take their colours from the classes `measured`, `simulated` and `residual` of the page that they stand in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from molvis_core.modality import Modality
from molvis_core.records import Distribution, PeakList, Record, Trace
from molvis_core.text import visible
from molvis_files.spectrum_drawing import ticks

__all__ = ["Comparison", "compare"]

_TOP, _GAP, _BOTTOM, _RIGHT = 10.0, 16.0, 34.0, 12.0
_WIDE, _SMALL = (1000.0, 340.0), (320.0, 230.0)
_LETTER = 14.0
_RESIDUAL = 0.22
"""Share of the height that the residual has where it is drawn on a scale of its own."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A record beside its simulation.

    Attributes:
        title: the record's identifier.
        svg: the drawing.
        caption: size of the residual, in words.
        wide: whether the drawing needs the whole width of a page.
    """

    title: str
    svg: str
    caption: str
    wide: bool


def compare(
    measured: Record, simulated: Record | None, *, title: str = "", modality: Modality | None = None
) -> Comparison | None:
    """A drawing of a trace, of peaks or of a distribution, with its simulation and the residual.

    Args:
        measured: the record.
        simulated: on the same axis; None where nothing was simulated, and only the measurement is drawn.
        title: of the drawing; by default the record's identifier.
        modality: names the axis.

    Returns:
        None for a record of another type, an empty one, or one that was simulated on another axis.
    """
    if not isinstance(measured, (Trace, PeakList, Distribution)) or not len(measured):
        return None
    x, y, sd = _numbers(measured)
    model: np.ndarray | None = None
    if isinstance(simulated, (Trace, PeakList, Distribution)):
        at, model, _ = _numbers(simulated)
        if type(simulated) is not type(measured) or at.shape != x.shape or not np.array_equal(at, x):
            return None
    wide = not isinstance(measured, Distribution)
    axis = _axis_name(measured, modality)
    frame = _frame(
        x, y, model, sd, size=_WIDE if wide else _SMALL, same_scale=isinstance(measured, Trace),
        descending=bool(modality and modality.descending), bars=not wide,
    )  # fmt: skip
    parts = [*_axes(frame, x, axis, labels=None if wide else [f"M+{i}" for i in range(len(x))])]
    draw = _lines if isinstance(measured, Trace) else _sticks
    parts += draw(frame, x, y, model, sd)
    heading = title or measured.identifier or ""
    width, height = frame.size
    label = escape(visible(f"measured and simulated: {heading}"), quote=True)
    svg = f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    return Comparison(heading, svg, _caption(y, model, sd), wide)


def _numbers(record: Trace | PeakList | Distribution) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Axis, signal and standard deviations."""
    if isinstance(record, Trace):
        return record.x, record.y, None
    if isinstance(record, PeakList):
        return record.mz, record.intensity.astype(float), None
    return np.arange(len(record), dtype=float), record.fractions, record.sd


def _axis_name(record: Record, modality: Modality | None) -> str:
    if isinstance(record, Distribution):
        return ""
    if modality is None or not modality.axis:
        return "m/z" if isinstance(record, PeakList) else ""
    unit = modality.axis_unit.replace("cm^-1", "cm⁻¹")
    return f"{modality.axis}, {unit}" if unit else modality.axis


def _caption(y: np.ndarray, model: np.ndarray | None, sd: np.ndarray | None) -> str:
    if model is None:
        return "Nothing was simulated for it."
    residual = y - model
    size, whole = float(np.sqrt(np.mean(residual**2))), float(np.sqrt(np.mean(y**2)))
    words = f"Root mean square of the residual: {size:.3g}"
    if whole > 0:
        words += f", {size / whole:.2%} of the measurement's"
    if sd is not None and (sd > 0).all():
        words += f"; largest: {np.abs(residual / sd).max():.2g} standard deviations"
    return words + "."


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where numbers are on a drawing.

    Attributes:
        size: width and height.
        left: of the axes.
        base: of the signal's panel: its lower end.
        zero: height of a residual of 0.
        x, y, residual: from numbers to places.
        bounds: of the signal.
        reach: of the residual's axis, where it is not that of the signal; else None.
    """

    size: tuple[float, float]
    left: float
    base: float
    zero: float
    x: Callable[[np.ndarray], np.ndarray]
    y: Callable[[np.ndarray], np.ndarray]
    residual: Callable[[np.ndarray], np.ndarray]
    bounds: tuple[float, float]
    reach: float | None


def _frame(
    x: Float[np.ndarray, " t"],
    y: Float[np.ndarray, " t"],
    model: Float[np.ndarray, " t"] | None,
    sd: Float[np.ndarray, " t"] | None,
    *,
    size: tuple[float, float],
    same_scale: bool,
    descending: bool,
    bars: bool,
) -> _Frame:
    width, height = size
    spread = np.zeros_like(y) if sd is None else sd
    low, high = min(0.0, float((y - spread).min())), max(0.0, float((y + spread).max()))
    residual = np.zeros(1)
    if model is not None:
        low, high, residual = min(low, float(model.min())), max(high, float(model.max())), y - model
    high = high if high > low else low + 1.0
    room = height - _TOP - _BOTTOM - _GAP
    largest = float(np.abs(residual).max())
    if same_scale:
        above, below = max(float(residual.max()), 0.0), max(-float(residual.min()), 0.0)
        factor = room / (high - low + above + below)
        base, reach = _TOP + factor * (high - low), None
        zero, magnified = base + _GAP + factor * above, factor
    else:
        base, reach = _TOP + (1 - _RESIDUAL) * room, largest or None
        factor = (base - _TOP) / (high - low)
        zero, magnified = base + _GAP + _RESIDUAL * room / 2, _RESIDUAL * room / 2 / (largest or 1.0)
    left = 58.0 if size == _WIDE else 44.0
    margin = 0.5 if bars else 0.02 * (float(x[-1] - x[0]) or 1.0) if not same_scale else 0.0
    first, last = float(x[0]) - margin, float(x[-1]) + margin
    last = last if last > first else first + 1.0
    across = (width - _RIGHT - left) / (last - first)

    def place(values: np.ndarray) -> np.ndarray:
        return left + across * ((last - values) if descending else (values - first))

    return _Frame(
        size, left, base, zero, place, lambda v: base - factor * (v - low), lambda v: zero - magnified * v,
        (low, high), reach,
    )  # fmt: skip


def _axes(frame: _Frame, x: np.ndarray, name: str, *, labels: Sequence[str] | None) -> list[str]:
    width, height = frame.size
    right, bottom = width - _RIGHT, height - _BOTTOM
    parts = [
        f'<line class="axis" x1="{frame.left:g}" x2="{right:g}" y1="{level:.1f}" y2="{level:.1f}"/>'
        for level in (float(frame.y(np.zeros(1))[0]), frame.zero)
    ]
    for value in (0.0, *frame.bounds):
        at = float(frame.y(np.array([value]))[0])
        if value and abs(at - float(frame.y(np.zeros(1))[0])) < _LETTER:
            continue  # the two labels would lie upon each other
        parts.append(f'<text x="{frame.left - 6:g}" y="{at + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    if frame.reach is not None:
        for value in (frame.reach, -frame.reach):
            at = float(frame.residual(np.array([value]))[0])
            parts.append(f'<text x="{frame.left - 6:g}" y="{at + 4:.1f}" text-anchor="end">{value:.2g}</text>')
    if labels is None:
        marks = [(tick, f"{tick:g}") for tick in ticks(float(x[0]), float(x[-1]))]
    else:
        step = -(-len(labels) // 7)
        marks = [(float(x[i]), labels[i]) for i in range(0, len(labels), step)]
    for tick, text in marks:
        at = float(frame.x(np.array([tick]))[0])
        parts.append(f'<line class="axis" x1="{at:.1f}" x2="{at:.1f}" y1="{bottom:g}" y2="{bottom + 4:g}"/>')
        parts.append(f'<text x="{at:.1f}" y="{bottom + 17:g}" text-anchor="middle">{text}</text>')
    if name:
        parts.append(f'<text x="{right:g}" y="{height - 3:g}" text-anchor="end">{escape(visible(name))}</text>')
    return parts


def _lines(frame: _Frame, x: np.ndarray, y: np.ndarray, model: np.ndarray | None, sd: np.ndarray | None) -> list[str]:
    del sd
    parts = [_line("measured", *_thinned(frame, frame.x(x), frame.y(y)))]
    if model is not None:
        parts.append(_line("simulated", *_thinned(frame, frame.x(x), frame.y(model))))
        parts.append(_line("residual", *_thinned(frame, frame.x(x), frame.residual(y - model))))
    return parts


def _thinned(frame: _Frame, across: np.ndarray, up: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest point of each half unit of width, so that no peak is lost."""
    bins = 2 * int(frame.size[0])
    if len(across) <= 2 * bins:
        return across, up
    edges = np.linspace(0, len(across), bins + 1).astype(int)
    kept = {
        int(start + at) for start, end in pairwise(edges) for at in (up[start:end].argmin(), up[start:end].argmax())
    }
    chosen = np.array(sorted(kept))
    return across[chosen], up[chosen]


def _line(name: str, across: np.ndarray, up: np.ndarray) -> str:
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across, up, strict=True))
    return f'<polyline class="{name}" points="{points}"/>'


def _sticks(frame: _Frame, x: np.ndarray, y: np.ndarray, model: np.ndarray | None, sd: np.ndarray | None) -> list[str]:
    """Bars of what was measured with standard deviations, marks of what was simulated, and bars of the residual."""
    at, zero = frame.x(x), float(frame.y(np.zeros(1))[0])
    apart = float(np.abs(np.diff(at)).min()) if len(at) > 1 else frame.size[0] / 4
    wide = min(max(0.6 * apart, 2.0), 34.0) if frame.size == _SMALL else 2.0
    parts = [_bar("measured", a, wide, zero, b) for a, b in zip(at, frame.y(y), strict=True)]
    if sd is not None:
        ends = zip(at, frame.y(y - sd), frame.y(y + sd), strict=True)
        parts += [f'<line class="deviation" x1="{a:.1f}" x2="{a:.1f}" y1="{b:.1f}" y2="{c:.1f}"/>' for a, b, c in ends]
    if model is not None:
        reach = max(0.65 * wide, 4.0)
        parts += [
            f'<line class="simulated" x1="{a - reach:.1f}" x2="{a + reach:.1f}" y1="{b:.1f}" y2="{b:.1f}"/>'
            for a, b in zip(at, frame.y(model), strict=True)
        ]
        parts += [_bar("residual", a, wide, frame.zero, b) for a, b in zip(at, frame.residual(y - model), strict=True)]
    return parts


def _bar(name: str, at: float, wide: float, zero: float, end: float) -> str:
    top, tall = min(zero, end), abs(zero - end)
    return f'<rect class="{name}" x="{at - wide / 2:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{tall:.1f}"/>'
