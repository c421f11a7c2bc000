"""Spectra and structures as SVG whose colours the page chooses."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from jaxtyping import Float

from molvis_core import registry
from molvis_core.modality import Modality
from molvis_core.records import EiSpectrum, PeakList, Trace
from molvis_core.text import visible
from molvis_retrieval.references import Match, Spectrum, match

_WIDTH, _HEIGHT = 860, 270


_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 18, 34, 40


_MOST_LABELS = 14


_MIRROR = 180


_PRECURSOR = 118


@dataclass(frozen=True, slots=True)
class Picture:
    """A record as an SVG, and what is known of its peaks.

    Attributes:
        svg: the drawing.
        caption: what it shows.
        explained: share of the intensity that the best candidate's substructures explain, of all but the precursor;
            None where nothing can explain this record.
        peaks: m/z, relative intensity in percent, formula, error in ppm and substructure of each explained peak.
        mirrored: how its peaks pair with those of the reference spectrum below it, where there is one.
    """

    svg: str
    caption: str
    explained: float | None = None
    peaks: tuple[tuple[float, float, str, float, str], ...] = ()
    mirrored: Match | None = None


def draw_record(
    record: Any,
    explained: Sequence[Any] | None = None,
    *,
    modality: str = "",
    reference: Spectrum | None = None,
    label: str = "reference spectrum of candidate 1",
) -> Picture | None:
    """A spectrum or a trace as an SVG whose colours the page chooses; None for records that are not drawn.

    Args:
        record: a `PeakList`, an `EiSpectrum` or a `Trace`.
        explained: for peaks: objects with `peak`, `formula`, `ppm` and `smiles`, such as a scorer's `explain` returns.
        modality: of a trace: it decides what the axis shows, and in which direction.
        reference: of peaks: drawn below them, upside down, with the pairs in one colour.
        label: what the reference is.
    """
    if isinstance(record, PeakList | EiSpectrum) and len(record):
        below = None if reference is None else as_peaks(reference)
        return _draw_peaks(as_peaks(record), explained, below, label, caption=_caption(record))
    if isinstance(record, Trace) and len(record):
        return _draw_trace(record, modality)
    return None


def as_peaks(record: Spectrum) -> PeakList:
    """The peaks of a spectrum, of whichever kind."""
    return record if isinstance(record, PeakList) else PeakList(record.mz, record.intensity)


def _draw_peaks(
    record: PeakList, explained: Sequence[Any] | None, reference: PeakList | None, label: str, *, caption: str
) -> Picture:
    height = _relative(record)
    known = {int(e.peak): e for e in explained or ()}
    low, high = _range(record, reference)
    x = _scale(low, high, _LEFT, _WIDTH - _RIGHT)
    y = _scale(0.0, 1.0, _HEIGHT - _BOTTOM, _TOP)
    parts = _axes(x, y, low, high, "m/z", "relative intensity")
    parts += _precursor(record, x, y)
    parts += _peaks(record, height, known, x, y)
    parts += _labels(record, height, known, x, y)
    share = None if explained is None else _explained_share(record, height, known)
    listed = tuple(
        (float(record.mz[i]), 100 * float(height[i]), str(e.formula), float(e.ppm), str(e.smiles))
        for i, e in sorted(known.items())
    )
    mirrored = None
    if reference is not None:
        mirrored = match(record, reference)
        parts += _mirror(reference, mirrored, x, label)
    bottom = 0 if reference is None else _MIRROR
    return Picture(_svg(parts, "mass spectrum", bottom), caption, share, listed, mirrored)


def _relative(record: PeakList) -> Float[np.ndarray, " n"]:
    """Intensities as shares of the highest."""
    height = np.asarray(record.intensity, dtype=np.float64)
    return height / (height.max() or 1.0)


def _range(record: PeakList, reference: PeakList | None) -> tuple[float, float]:
    """From which m/z to which the axis runs, so that all peaks and the precursor lie between."""
    shown = [record] if reference is None else [record, reference]
    end = max(float(s.mz[-1]) for s in shown)
    return max(0.0, min(float(s.mz[0]) for s in shown) * 0.9), max(end, record.precursor_mz or 0.0) * 1.04


def _precursor(record: PeakList, x: Callable[[float], float], y: Callable[[float], float]) -> list[str]:
    """The precursor as a named line, where it is known."""
    if record.precursor_mz is None:
        return []
    at = x(record.precursor_mz)
    return [
        f'<line class="precursor" x1="{at:.1f}" x2="{at:.1f}" y1="{y(0):.1f}" y2="{_TOP - 6}"/>',
        (
            f'<text class="precursor" x="{max(at, _LEFT + _PRECURSOR):.1f}" y="{_TOP - 12}" text-anchor="end">'
            f"precursor {record.precursor_mz:.4f}</text>"
        ),
    ]


def _peaks(
    record: PeakList,
    height: Float[np.ndarray, " n"],
    known: Mapping[int, Any],
    x: Callable[[float], float],
    y: Callable[[float], float],
) -> list[str]:
    """The peaks as lines that show their numbers under the pointer."""
    parts: list[str] = []
    for i in sorted(range(len(record)), key=lambda i: (i in known, height[i])):  # explained peaks on top
        at, what = x(float(record.mz[i])), known.get(i)
        words = f"m/z {record.mz[i]:.4f}, {100 * height[i]:.1f}%"
        if what is not None:
            words += f": {what.formula}, {what.ppm:+.1f} ppm, {what.smiles}"
        parts.append(
            f'<line class="{"explained" if what else "peak"}" x1="{at:.1f}" x2="{at:.1f}" y1="{y(0):.1f}" '
            f'y2="{y(height[i]):.1f}"><title>{escape(visible(words))}</title></line>'
        )
    return parts


def _explained_share(record: PeakList, height: Float[np.ndarray, " n"], known: Mapping[int, Any]) -> float | None:
    """The share of the intensity below the precursor that is explained; None where there is none."""
    limit = (record.precursor_mz or np.inf) - 0.5
    inside = np.flatnonzero(record.mz < limit)
    total = float(height[inside].sum())
    return float(sum(height[i] for i in inside if i in known)) / total if total else None


def _caption(record: Spectrum) -> str:
    """Ion or derivative, energy, instrument and number of peaks, as far as they are known."""
    energy = record.collision_energy if isinstance(record, PeakList) else record.energy
    known = [
        record.adduct if isinstance(record, PeakList) else record.derivative,
        f"{energy:g} eV" if energy is not None else None,
        record.instrument_type,
        f"{len(record)} peaks",
    ]
    if isinstance(record, EiSpectrum) and record.retention_index is not None:
        known.append(f"retention index {record.retention_index:g}" + (f" on {record.column}" if record.column else ""))
    return " · ".join(escape(visible(t)) for t in known if t)


def _mirror(reference: PeakList, mirrored: Match, x: Callable[[float], float], label: str) -> list[str]:
    """Peaks of a reference spectrum, hanging below the axis and its numbers."""
    height = _relative(reference)
    top, paired = _HEIGHT, set(mirrored.pairs[:, 1].tolist())
    parts = [f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{top}" y2="{top}"/>']
    for i in sorted(range(len(reference)), key=lambda i: (i in paired, height[i])):
        at = x(float(reference.mz[i]))
        words = f"reference: m/z {reference.mz[i]:.4f}, {100 * height[i]:.1f}%"
        parts.append(
            f'<line class="{"paired" if i in paired else "peak"}" x1="{at:.1f}" x2="{at:.1f}" y1="{top}" '
            f'y2="{top + height[i] * (_MIRROR - 24):.1f}"><title>{words}</title></line>'
        )
    parts.append(f'<text x="{_LEFT}" y="{top + _MIRROR - 4}">{escape(visible(label))}</text>')
    return parts


def _labels(
    record: PeakList,
    height: Float[np.ndarray, " n"],
    known: Mapping[int, Any],
    x: Callable[[float], float],
    y: Callable[[float], float],
) -> list[str]:
    """The highest peaks by formula, or by m/z where nothing explains them, as far as labels do not overlap."""
    parts: list[str] = []
    taken: list[_Box] = []
    if record.precursor_mz is not None:
        at = max(x(record.precursor_mz), _LEFT + _PRECURSOR)
        taken += [(at - _PRECURSOR, 0, at, _TOP - 8), (x(record.precursor_mz) - 1, 0, x(record.precursor_mz) + 1, y(0))]
    for i in sorted(range(len(record)), key=lambda i: -height[i])[: 4 * _MOST_LABELS]:
        if len(parts) == _MOST_LABELS or height[i] < 0.01:
            break
        formula = str(known[i].formula) if i in known else None
        width = 6.6 * len(f"{record.mz[i]:.4f}") if formula is None else _formula_width(formula)
        at = min(max(x(float(record.mz[i])), _LEFT + width / 2), _WIDTH - _RIGHT - width / 2)
        across = [j for j in range(len(record)) if j != i and abs(x(float(record.mz[j])) - at) < width / 2 + 1]
        highest = min((y(float(height[j])) for j in across), default=math.inf)
        room = _room(at, y(float(height[i])), width, formula is not None, taken, highest)
        if room is None:
            continue
        top, box = room
        taken.append(box)
        kind, text = ("peak", f"{record.mz[i]:.4f}") if formula is None else ("explained", _subscript(formula))
        parts.append(f'<text class="{kind}" x="{at:.1f}" y="{top:.1f}" text-anchor="middle">{text}</text>')
    return parts


_Box = tuple[float, float, float, float]


def _formula_width(formula: str) -> float:
    """In pixels, as browsers set 11 px; counts in formulas are smaller."""
    return sum(5.2 if c.isdigit() else 8.8 for c in formula)


def _room(
    at: float, peak: float, width: float, formula: bool, taken: Sequence[_Box], highest: float
) -> tuple[float, _Box] | None:
    """The line that a label stands on and its box, clear of other labels and of the highest peak beside; or None."""
    # Where the place above the peak is taken, the one above that may do. Counts hang below the line, charges stand
    # above it.
    gap, over, under = (8, 13, 5) if formula else (5, 10, 2)
    for lift in (0, 15):
        top = peak - gap - lift
        box = (at - width / 2 - 1, top - over, at + width / 2 + 1, top + under)
        if not any(_overlap(box, other) for other in taken) and highest > box[3]:
            return top, box
    return None


def _overlap(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _draw_trace(record: Trace, name: str) -> Picture:
    known = {c.name for c in registry.components("modality")}
    modality: Modality = registry.load("modality", name) if name in known else Modality(name or "trace", Trace)
    low, high = float(record.x[0]), float(record.x[-1])
    bottom, top = min(0.0, float(record.y.min())), float(record.y.max())
    ends = (_WIDTH - _RIGHT, _LEFT) if modality.descending else (_LEFT, _WIDTH - _RIGHT)
    x = _scale(low, high if high > low else low + 1, *ends)
    y = _scale(bottom, top if top > bottom else bottom + 1, _HEIGHT - _BOTTOM, _TOP)
    # More points than pixels only make the file larger.
    step = max(1, len(record) // (2 * _WIDTH))
    points = " ".join(
        f"{x(float(a)):.1f},{y(float(b)):.1f}" for a, b in zip(record.x[::step], record.y[::step], strict=True)
    )
    unit = modality.axis_unit.replace("cm^-1", "cm⁻¹")
    across = f"{modality.axis}, {unit}" if unit else modality.axis
    parts = [*_axes(x, y, low, high, across, ""), f'<polyline class="trace" points="{points}"/>']
    words = [modality.signal or modality.name, f"{low:g} to {high:g} {unit}".strip(), f"{len(record)} points"]
    return Picture(_svg(parts, f"{modality.name} spectrum"), " · ".join(escape(visible(w)) for w in words))


def _axes(
    x: Callable[[float], float], y: Callable[[float], float], low: float, high: float, across: str, up: str
) -> list[str]:
    base = _HEIGHT - _BOTTOM
    parts = [f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{base}" y2="{base}"/>']
    for tick in _ticks(low, high):
        at = x(tick)
        parts.append(f'<line class="axis" x1="{at:.1f}" x2="{at:.1f}" y1="{base}" y2="{base + 4}"/>')
        parts.append(f'<text x="{at:.1f}" y="{base + 17}" text-anchor="middle">{tick:g}</text>')
    if up:
        for share in (0.0, 0.5, 1.0):
            at = y(share)
            parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
            parts.append(f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{share:.0%}</text>')
    if across:
        parts.append(
            f'<text class="axis-name" x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 6}" text-anchor="end">{across}</text>'
        )
    return parts


def _ticks(low: float, high: float, most: int = 9) -> list[float]:
    """Round numbers between two bounds."""
    span = max(high - low, 1e-9)
    raw = span / most
    size = 10.0 ** np.floor(np.log10(raw))
    step = next(s * size for s in (1, 2, 2.5, 5, 10) if s * size >= raw)
    return [float(t) for t in np.arange(np.ceil(low / step) * step, high, step)]


def _scale(low: float, high: float, first: float, last: float) -> Callable[[float], float]:
    return lambda value: first + (value - low) / (high - low) * (last - first)


def _svg(parts: Sequence[str], label: str, more: int = 0) -> str:
    size = f"0 0 {_WIDTH} {_HEIGHT + more}"
    return f'<svg class="spectrum" viewBox="{size}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _subscript(formula: str) -> str:
    """A formula as SVG text: counts below the line, the charge above it."""
    out: list[str] = []
    shift = 0
    for part in re.findall(r"\d+|[+-]+|[^\d+-]+", formula):
        level = 3 if part.isdigit() else -4 if part[0] in "+-" else 0
        move = f' dy="{level - shift}"' if level != shift else ""
        size = ' font-size="8.5"' if level else ""
        out.append(f"<tspan{move}{size}>{escape(part)}</tspan>")
        shift = level
    return "".join(out)
