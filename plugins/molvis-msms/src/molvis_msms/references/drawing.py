"""A query above a reference, upside down: the mirror plot, as SVG whose colours the page chooses."""

from __future__ import annotations

from html import escape

import numpy as np
from jaxtyping import Float, Int64

from molvis_core.records import PeakList
from molvis_core.text import visible
from molvis_files.spectrum_drawing import ticks

_WIDTH, _HALF = 860, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 18, 22, 46
_AXIS = _TOP + _HALF
_LABELS = 6
_LABEL_WIDTH = 56


def mirror_plot(
    query: PeakList,
    reference: PeakList,
    pairs: Int64[np.ndarray, "k 2"],
    sides: tuple[str, str] = ("query", "reference"),
) -> str:
    """Two spectra on one m/z axis, each relative to its highest peak; matching peaks have a class of their own.

    Args:
        query: drawn upwards.
        reference: drawn downwards.
        pairs: places of the peaks that match, in the query and in the reference.
        sides: what the two are called.
    """
    shown = [s for s in (query, reference) if len(s)]
    low = min((float(s.mz[0]) for s in shown), default=0.0)
    high = max((float(s.mz[-1]) for s in shown), default=1.0)
    margin = max(0.04 * (high - low), 2.0)
    low, high = max(0.0, low - margin), high + margin
    parts = _axes(low, high)
    for spectrum, side, name in ((query, 0, sides[0]), (reference, 1, sides[1])):
        height = np.asarray(spectrum.intensity, dtype=np.float64)
        height = height / (height.max(initial=0.0) or 1.0)
        at = _LEFT + (spectrum.mz - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)
        matched = set(pairs[:, side].tolist())
        parts += _peaks(spectrum, at, height, matched, side, name)
        parts += _labels(spectrum, at, height, side)
    # Where no peak has its label: at the right the precursor's often is, since it is the highest.
    for name, y in ((sides[0], _TOP - 8), (sides[1], _AXIS + _HALF + 42)):
        parts.append(f'<text class="side" x="0" y="{y}">{name}</text>')
    size = f"0 0 {_WIDTH} {_TOP + 2 * _HALF + _BOTTOM}"
    return f'<svg class="mirror" viewBox="{size}" role="img" aria-label="mirror plot">{"".join(parts)}</svg>'


def _axes(low: float, high: float) -> list[str]:
    right, bottom = _WIDTH - _RIGHT, _AXIS + _HALF
    parts = [f'<line class="axis" x1="{_LEFT}" x2="{right}" y1="{_AXIS}" y2="{_AXIS}"/>']
    for share, y in ((1.0, _TOP), (0.5, _TOP + _HALF / 2), (0.5, _AXIS + _HALF / 2), (1.0, bottom)):
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{share:.0%}</text>')
    for tick in ticks(low, high):
        x = _LEFT + (tick - low) / (high - low) * (right - _LEFT)
        parts.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 4}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 27}" text-anchor="middle">{tick:g}</text>')
    return [*parts, f'<text class="axis-name" x="{right}" y="{bottom + 42}" text-anchor="end">m/z</text>']


def _peaks(
    spectrum: PeakList,
    at: Float[np.ndarray, " p"],
    height: Float[np.ndarray, " p"],
    matched: set[int],
    side: int,
    name: str,
) -> list[str]:
    """Peaks as lines, those that match on top of the others."""
    parts = []
    for i in sorted(range(len(spectrum)), key=lambda i: (i in matched, height[i])):
        tip = _AXIS + (1 if side else -1) * height[i] * _HALF
        words = escape(visible(f"{name}: m/z {spectrum.mz[i]:.4f}, {height[i]:.1%}"))
        kind = "paired" if i in matched else "peak"
        parts.append(
            f'<line class="{kind}" x1="{at[i]:.1f}" x2="{at[i]:.1f}" y1="{_AXIS}" y2="{tip:.1f}">'
            f"<title>{words}</title></line>"
        )
    return parts


def _labels(spectrum: PeakList, at: Float[np.ndarray, " p"], height: Float[np.ndarray, " p"], side: int) -> list[str]:
    """m/z of the highest peaks, where labels and higher peaks leave room."""
    parts: list[str] = []
    taken: list[float] = []
    for i in np.argsort(-height, kind="stable")[: 4 * _LABELS]:
        x = min(max(float(at[i]), _LEFT + _LABEL_WIDTH / 2), _WIDTH - _RIGHT - _LABEL_WIDTH / 2)
        crowded = (np.abs(at - x) < _LABEL_WIDTH / 2) & (height > height[i])
        if crowded.any() or any(abs(x - other) < _LABEL_WIDTH for other in taken):
            continue
        y = _AXIS + height[i] * _HALF + 12 if side else _AXIS - height[i] * _HALF - 4
        taken.append(x)
        parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{spectrum.mz[i]:.4f}</text>')
        if len(parts) == _LABELS:
            break
    return parts
