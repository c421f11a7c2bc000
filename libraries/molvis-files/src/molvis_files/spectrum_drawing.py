"""Spectra of peaks as SVG whose colours the page chooses, and the rules by which a peak shows what is known of it.

Nothing here runs in the browser: a peak that is pointed at or has the focus is told to the rest of its figure by the
style sheet (`:has`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources

import numpy as np
from jaxtyping import Float, Int64

from molvis_core.records import PeakList
from molvis_core.text import visible

WIDTH, HEIGHT = 860, 270
LEFT, RIGHT, TOP, BOTTOM = 46, 18, 34, 40
_MOST_LABELS = 14
_MIRROR = 180
_PRECURSOR = 118


@dataclass(frozen=True, slots=True)
class PeakLabel:
    """What is known of a peak.

    Attributes:
        formula: written above it; empty for none.
        words: shown where it is pointed at, behind m/z and height.
    """

    formula: str
    words: str


def spectrum_style() -> str:
    """Rules of spectra, of what is shown beside them, and of the classes that `highlight_rules` switches."""
    return resources.files("molvis_files").joinpath("templates", "spectrum.css").read_text(encoding="utf-8")


def draw_spectrum(
    record: PeakList,
    labels: Mapping[int, PeakLabel],
    *,
    below: PeakList | None = None,
    pairs: Int64[np.ndarray, "k 2"] | None = None,
    below_name: str = "reference spectrum of candidate 1",
    below_labels: Mapping[int, PeakLabel] | None = None,
) -> str:
    """A spectrum as SVG; the peaks that something is known of can have the focus, and have the class `p` and number.

    Args:
        record: with one peak at least.
        labels: of peaks, by number.
        below: a spectrum that hangs below, upside down.
        pairs: places of the peaks that belong together, in the spectrum and in that below.
        below_name: what is written under that.
        below_labels: of peaks of that below, by number; in their class the number goes on after those of the spectrum.
    """
    height = relative(record)
    low, high = _range(record, below)
    x = scale(low, high, LEFT, WIDTH - RIGHT)
    y = scale(0.0, 1.0, HEIGHT - BOTTOM, TOP)
    parts = axes(x, y, low, high, "m/z", "relative intensity")
    drawn = _Drawn(record, height, labels, x, y)
    parts += _precursor(drawn)
    parts += _peaks(drawn)
    parts += _labels(drawn)
    if below is not None:
        paired = {int(j) for _, j in pairs} if pairs is not None else set()
        parts += _mirror(below, paired, x, below_name, below_labels or {}, len(record))
    return svg(parts, "mass spectrum", 0 if below is None else _MIRROR)


def highlight_rules(figure: str, peaks: Sequence[int]) -> str:
    """Rules of one figure: what belongs to a peak (`.h` and `.i` with its number) shows while `.p` is pointed at.

    Args:
        figure: its `id`.
        peaks: numbers.
    """
    rules: list[str] = []
    for n in peaks:
        on = f"#{figure}:has(.p{n}:is(:hover, :focus))"
        rules += [
            f"{on} .h{n} {{ opacity: 1; }}",
            f"{on} .i{n} {{ display: block; }}",
            f"{on} tr.p{n} {{ background: var(--accent-soft); }}",
        ]
    if peaks:
        rules.append(f"#{figure}:has(.known:is(:hover, :focus)) .what > p {{ display: none; }}")
    return "\n".join(rules)


def relative(record: PeakList) -> Float[np.ndarray, " n"]:
    """Intensities as shares of the highest."""
    height = np.asarray(record.intensity, dtype=np.float64)
    return height / (height.max() or 1.0)


def _range(record: PeakList, reference: PeakList | None) -> tuple[float, float]:
    """From which m/z to which the axis runs, so that all peaks and the precursor lie between."""
    shown = [record] if reference is None else [record, reference]
    end = max(float(s.mz[-1]) for s in shown)
    return max(0.0, min(float(s.mz[0]) for s in shown) * 0.9), max(end, record.precursor_mz or 0.0) * 1.04


@dataclass(frozen=True, eq=False, slots=True)
class _Drawn:
    """A spectrum and where it is drawn.

    Attributes:
        record: the spectrum.
        height: of its peaks, as shares of the highest.
        labels: of peaks, by number.
        x, y: from m/z and from shares to places.
    """

    record: PeakList
    height: Float[np.ndarray, " n"]
    labels: Mapping[int, PeakLabel]
    x: Callable[[float], float]
    y: Callable[[float], float]


def _precursor(drawn: _Drawn) -> list[str]:
    """The precursor as a named line, where it is known."""
    mz = drawn.record.precursor_mz
    if mz is None:
        return []
    at = drawn.x(mz)
    return [
        f'<line class="precursor" x1="{at:.1f}" x2="{at:.1f}" y1="{drawn.y(0):.1f}" y2="{TOP - 6}"/>',
        (
            f'<text class="precursor" x="{max(at, LEFT + _PRECURSOR):.1f}" y="{TOP - 12}" text-anchor="end">'
            f"precursor {mz:.4f}</text>"
        ),
    ]


def _peaks(drawn: _Drawn) -> list[str]:
    """The peaks as lines that show their numbers under the pointer."""
    record, height, labels, x, y = drawn.record, drawn.height, drawn.labels, drawn.x, drawn.y
    parts: list[str] = []
    for i in sorted(range(len(record)), key=lambda i: (i in labels, height[i])):  # explained peaks on top
        at, known = x(float(record.mz[i])), labels.get(i)
        words = f"m/z {record.mz[i]:.4f}, {100 * height[i]:.1f}%" + (f": {known.words}" if known else "")
        ends = f'x1="{at:.1f}" x2="{at:.1f}" y1="{y(0):.1f}" y2="{y(height[i]):.1f}"'
        said = escape(visible(words))
        line = f'<line class="{"explained" if known else "peak"}" {ends}><title>{said}</title></line>'
        parts.append(_known(line, i, said, at, y(0), y(max(height[i], 0.12))) if known else line)
    return parts


def _mirror(
    reference: PeakList,
    paired: set[int],
    x: Callable[[float], float],
    name: str,
    labels: Mapping[int, PeakLabel],
    first: int,
) -> list[str]:
    """Peaks of another spectrum, hanging below the axis and its numbers; those that are known are counted from one."""
    height = relative(reference)
    top, deep = HEIGHT, _MIRROR - 24
    parts = [f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{top}" y2="{top}"/>']
    for i in sorted(range(len(reference)), key=lambda i: (i in paired, height[i])):
        at, known = x(float(reference.mz[i])), labels.get(i)
        words = f"m/z {reference.mz[i]:.4f}, {100 * height[i]:.1f}%"
        words = f"{words}: {known.words}" if known else f"reference: {words}"
        said = escape(visible(words))
        line = (
            f'<line class="{"paired" if i in paired else "peak"}" x1="{at:.1f}" x2="{at:.1f}" y1="{top}" '
            f'y2="{top + height[i] * deep:.1f}"><title>{said}</title></line>'
        )
        parts.append(_known(line, first + i, said, at, top, top + max(height[i], 0.12) * deep) if known else line)
    parts.append(f'<text x="{LEFT}" y="{top + _MIRROR - 4}">{escape(visible(name))}</text>')
    return parts


def _known(line: str, number: int, said: str, at: float, base: float, tip: float) -> str:
    """A peak that can have the focus, within a line that is not seen, wide and high enough for a finger."""
    reach = f'<line class="reach" x1="{at:.1f}" x2="{at:.1f}" y1="{base:.1f}" y2="{tip:.1f}"/>'
    return f'<g class="known p{number}" tabindex="0" role="img" aria-label="{said}">{reach}{line}</g>'


def _labels(drawn: _Drawn) -> list[str]:
    """The highest peaks by formula, or by m/z where nothing explains them, as far as labels do not overlap."""
    record, height, labels, x, y = drawn.record, drawn.height, drawn.labels, drawn.x, drawn.y
    parts: list[str] = []
    taken: list[_Box] = []
    if record.precursor_mz is not None:
        at = max(x(record.precursor_mz), LEFT + _PRECURSOR)
        taken += [(at - _PRECURSOR, 0, at, TOP - 8), (x(record.precursor_mz) - 1, 0, x(record.precursor_mz) + 1, y(0))]
    for i in sorted(range(len(record)), key=lambda i: -height[i])[: 4 * _MOST_LABELS]:
        if len(parts) == _MOST_LABELS or height[i] < 0.01:
            break
        formula = labels[i].formula if i in labels else None
        width = 6.6 * len(f"{record.mz[i]:.4f}") if formula is None else _formula_width(formula)
        at = min(max(x(float(record.mz[i])), LEFT + width / 2), WIDTH - RIGHT - width / 2)
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


def axes(
    x: Callable[[float], float], y: Callable[[float], float], low: float, high: float, across: str, up: str
) -> list[str]:
    """Axes, ticks and their numbers."""
    base = HEIGHT - BOTTOM
    parts = [f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}"/>']
    for tick in ticks(low, high):
        at = x(tick)
        parts.append(f'<line class="axis" x1="{at:.1f}" x2="{at:.1f}" y1="{base}" y2="{base + 4}"/>')
        parts.append(f'<text x="{at:.1f}" y="{base + 17}" text-anchor="middle">{tick:g}</text>')
    if up:
        for share in (0.0, 0.5, 1.0):
            at = y(share)
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
            parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{share:.0%}</text>')
    if across:
        parts.append(f'<text class="axis-name" x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{across}</text>')
    return parts


def ticks(low: float, high: float, most: int = 9) -> list[float]:
    """Round numbers between two bounds, about so many."""
    span = high - low
    if not span > 0:
        return [low]
    size = 10.0 ** np.floor(np.log10(span / most))
    step = next(s * size for s in (1, 2, 2.5, 5, 10) if s * size >= span / most)
    first, last = np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9)
    return [float(np.round(k * step, 12)) for k in np.arange(first, last + 1)]


def scale(low: float, high: float, first: float, last: float) -> Callable[[float], float]:
    """From values to places on the drawing."""
    return lambda value: first + (value - low) / (high - low) * (last - first)


def svg(parts: Sequence[str], label: str, more: int = 0) -> str:
    """The parts as one drawing, so much higher than usual."""
    size = f"0 0 {WIDTH} {HEIGHT + more}"
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
