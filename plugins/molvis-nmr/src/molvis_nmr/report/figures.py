"""A fitted spectrum as a picture: measured, fitted, the residual, and each multiplet enlarged."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float

from molvis_core.errors import RecordError
from molvis_core.records import Trace
from molvis_files.writing import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Told apart by people who see colors differently too: Okabe and Ito's, then darker and lighter relatives.
COLORS = (
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#8c6bb1", "#7f7f00", "#b2182b", "#4d9221",
    "#35618f", "#c49a6c", "#1b7837", "#f4a582", "#762a83", "#80cdc1",
)  # fmt: skip
_POINTS = 500
_LONGEST = 18
_WIDE, _LETTER = 11.0, 0.09
"""Inches: of a picture, and of a letter of the names in it."""
_ABOVE = 0.24  # share of a panel's height, left above its signals for names and the bar
_INK, _SOFT, GRID = "#1f2933", "#7b8794", "#e4e7eb"
# What stands for the page's own ink in an SVG that is shown on light and on dark paper.
_PAGE_INK = "#010203"
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 9.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "molvis",
    "path.simplify_threshold": 0.3,
}


def multiplets(
    fitted: Trace, *, gap: float = 20.0, margin: float = 8.0, threshold: float = 4e-3, most: int = 12
) -> list[tuple[float, float]]:
    """Where a fitted spectrum has signal: windows in ppm, ascending.

    Args:
        fitted: a simulated spectrum with its frequency.
        gap: signals nearer than this in Hz share a window.
        margin: added on both sides, in Hz.
        threshold: signal counts above this share of the highest point.
        most: the strongest windows are kept.

    Raises:
        RecordError: the spectrum has no frequency.
    """
    if fitted.frequency is None:
        raise RecordError("the fitted spectrum has no frequency; give Trace.frequency in MHz")
    height = np.abs(fitted.y)
    inside = np.flatnonzero(height > threshold * (height.max() or 1.0))
    if not len(inside):
        return []
    runs = np.split(inside, np.flatnonzero(np.diff(fitted.x[inside]) * fitted.frequency > gap) + 1)
    strongest = sorted(runs, key=lambda run: -height[run].sum())[:most]
    reach = margin / fitted.frequency
    return sorted((float(fitted.x[run[0]]) - reach, float(fitted.x[run[-1]]) + reach) for run in strongest)


def draw_fit(
    measured: Trace,
    fitted: Trace,
    parts: Mapping[str, Float[np.ndarray, " t"]] | None = None,
    *,
    title: str = "",
    windows: Sequence[tuple[float, float]] | None = None,
    excluded: Sequence[tuple[float, float]] = (),
    ink: str = _INK,
) -> Figure:
    """The whole spectrum above, its multiplets below; under each the residual on the same scale.

    Args:
        measured: the spectrum.
        fitted: the model, baseline included, on the same axis.
        parts: what each spin, or each metabolite, gives to it; each gets a color.
        title: above the picture.
        windows: in ppm, to draw from near; those of `multiplets` without.
        excluded: windows in ppm that the fit did not see; they are shaded.
        ink: of text and axes.

    Raises:
        RecordError: the spectra or the parts have different axes.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    parts = dict(parts or {})
    lengths = {"fitted": len(fitted), **{name: len(part) for name, part in parts.items()}}
    if wrong := [name for name, length in lengths.items() if length != len(measured)]:
        raise RecordError(
            f"{wrong[0]} has {lengths[wrong[0]]} points and the measured spectrum {len(measured)}; simulate on its axis"
        )
    colors = {name: COLORS[i % len(COLORS)] for i, name in enumerate(parts)}
    windows = list(multiplets(fitted) if windows is None else windows)[::-1]
    # As few empty places as can be, and among those the most columns.
    columns = min((4, 3, 2), key=lambda n: -len(windows) % n) if len(windows) > 1 else 1
    rows = math.ceil(len(windows) / columns)
    with mpl.rc_context(STYLE):
        layout = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.05, hspace=0.03)
        figure = Figure(figsize=(_WIDE, 3.3 + 2.5 * rows), layout=layout)
        grid = figure.add_gridspec(1 + rows, columns, height_ratios=[1.25] + [1.0] * rows)
        top = figure.add_subplot(grid[0, :])
        whole = (float(measured.x[0]), float(measured.x[-1]))
        if windows:
            span = windows[0][1] - windows[-1][0]
            whole = (windows[-1][0] - 0.04 * span - 0.05, windows[0][1] + 0.04 * span + 0.05)
            whole = (max(whole[0], float(measured.x[0])), min(whole[1], float(measured.x[-1])))
        picture = _Picture(measured, fitted, parts, colors, excluded, ink)
        _panel(top, replace(picture, parts={}), whole)
        if title:
            lines = textwrap.wrap(title, 46) if len(title) > 46 else [title]
            shown = "\n".join([*lines[:1], lines[1] + ("…" if len(lines) > 2 else "")] if len(lines) > 1 else lines)
            top.set_title(
                shown, loc="left", fontsize=12 if len(lines) == 1 else 9.5, fontweight="bold", color=ink, pad=8
            )
        top.set_xlabel("chemical shift, ppm", color=ink)
        for i, window in enumerate(windows):
            axes = figure.add_subplot(grid[1 + i // columns, i % columns])
            _panel(axes, picture, window)
            _scale_bar(axes, window, measured.frequency, ink)
            names = _visible(measured, parts, window)
            _names(axes, names, colors, _WIDE / columns - 0.3)
        _legend(top, ink, excluded, whole)
    return figure


@dataclass(frozen=True, eq=False, slots=True)
class _Picture:
    """What the panels of a picture show, and how.

    Attributes:
        measured, fitted: the two spectra.
        parts: what each spin or metabolite gives; none in the panel of the whole spectrum.
        colors: of the parts.
        excluded: windows in ppm that the fit did not see.
        ink: of text and axes.
    """

    measured: Trace
    fitted: Trace
    parts: Mapping[str, Float[np.ndarray, " t"]]
    colors: Mapping[str, str]
    excluded: Sequence[tuple[float, float]]
    ink: str


def _panel(axes: Axes, picture: _Picture, window: tuple[float, float]) -> None:
    """Draw a window in ppm of the measured and the fitted spectrum, with the parts and the residual."""
    measured, fitted, parts = picture.measured, picture.fitted, picture.parts
    inside = (measured.x >= window[0]) & (measured.x <= window[1])
    if not inside.any():
        inside = np.ones(len(measured), dtype=bool)
    kept = _shaded(axes, picture, window, inside)
    x, y, model = measured.x[inside], measured.y[inside], fitted.y[inside]
    residual = np.where(kept[inside], y - model, np.nan)
    most = _POINTS if parts else 2 * _POINTS
    # Neither water nor another signal that is not the model's sets the scale.
    own = kept[inside] & _where_signal(model - np.median(model))
    own = own if own.any() else np.ones(len(model), dtype=bool)
    low = float(np.median(model[own]) if not parts else min(model[own].min(), 0.0))
    low = min(low, float(np.median(model)))
    top = float(max(y[own].max(), model[own].max()))
    height = top - low or 1.0
    deepest = float(np.nanmax(np.abs(residual[own]), initial=0.0)) / height
    below = low - (0.1 + min(max(deepest, 0.12), 0.6)) * height
    # A residual higher than its lane is another signal's, which the measured line shows.
    residual = np.where(own | (np.abs(residual) < 0.6 * height), residual, np.nan)
    if parts:
        _fill_parts(axes, picture, inside, most, 2e-3 * height)
    axes.plot(*_thin(x, most, y), color=picture.ink, lw=1.5 if parts else 1.0, alpha=0.8)
    axes.plot(*_thin(x, most, model), color="#e8203a", lw=0.9)
    axes.axhline(below, color=_SOFT, lw=0.5, alpha=0.6)
    axes.plot(*_thin(x, most, below + residual), color=_SOFT, lw=0.8)
    axes.set_xlim(window[1], window[0])
    bottom = below - (0.04 + min(max(deepest, 0.12), 0.6)) * height
    axes.set_ylim(bottom, top + (_ABOVE * (top - bottom) if parts else 0.08 * height))
    _style_axes(axes, picture.ink, 5 if parts else 12)


def _where_signal(model: Float[np.ndarray, " t"], threshold: float = 4e-3) -> Bool[np.ndarray, " t"]:
    """Points where a model has signal."""
    height = np.abs(model)
    return np.asarray(height > threshold * height.max(initial=0.0))


def _shaded(
    axes: Axes, picture: _Picture, window: tuple[float, float], inside: Bool[np.ndarray, " t"]
) -> Bool[np.ndarray, " t"]:
    """The points inside that the fit saw, all where it saw none; the windows that it did not see are shaded."""
    x, kept = picture.measured.x, inside.copy()
    for low, high in picture.excluded:
        kept &= (x < low) | (x > high)
        left, right = max(low, window[0]), min(high, window[1])
        if left < right:
            axes.axvspan(left, right, color=_SOFT, alpha=0.15, lw=0)
    return kept if kept.any() else inside


def _fill_parts(axes: Axes, picture: _Picture, inside: Bool[np.ndarray, " t"], most: int, least: float) -> None:
    """Fill the parts that are higher than `least` in their colors, each upon what is no part: the baseline."""
    x, model = picture.measured.x[inside], picture.fitted.y[inside]
    base = model - np.sum([part[inside] for part in picture.parts.values()], axis=0)
    for name, part in picture.parts.items():
        if np.abs(part[inside]).max() > least:
            at, level, height_at = _thin(x, most, base, base + part[inside])
            axes.fill_between(at, level, height_at, color=picture.colors[name], alpha=0.35, lw=0)
            axes.plot(at, height_at, color=picture.colors[name], lw=0.9)


def _style_axes(axes: Axes, ink: str, ticks: int) -> None:
    """Leave a panel its axis in ppm alone, with at most so many ticks."""
    from matplotlib.ticker import MaxNLocator

    axes.set_yticks([])
    axes.patch.set_alpha(0.0)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_SOFT)
    axes.tick_params(axis="x", colors=ink, length=3, width=0.7, labelsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))


def _thin(x: Float[np.ndarray, " t"], most: int, *signals: Float[np.ndarray, " t"]) -> list[np.ndarray]:
    """Axis and signals with the last signal's lowest and highest point of each of `most` stretches: no peak is lost."""
    if len(x) <= 2 * most:
        return [x, *signals]
    guide = np.nan_to_num(signals[-1])
    size = len(x) // most
    blocks = guide[: len(x) // size * size].reshape(-1, size)
    start = size * np.arange(len(blocks))
    rest = np.arange(size * len(blocks), len(x))
    kept = np.unique(np.concatenate([[0], start + blocks.argmin(1), start + blocks.argmax(1), rest, [len(x) - 1]]))
    return [x[kept], *(signal[kept] for signal in signals)]


def _visible(
    measured: Trace, parts: Mapping[str, Float[np.ndarray, " t"]], window: tuple[float, float], least: float = 0.05
) -> list[str]:
    """Names of the parts with a share of the window's signal, from left to right."""
    inside = (measured.x >= window[0]) & (measured.x <= window[1])
    area = {name: float(np.abs(part[inside]).sum()) for name, part in parts.items()}
    total = sum(area.values()) or 1.0
    found = [name for name in area if area[name] > least * total]
    middle = {name: float(np.average(measured.x[inside], weights=np.abs(parts[name][inside]))) for name in found}
    return sorted(found, key=lambda name: -middle[name])


def _names(axes: Axes, names: Sequence[str], colors: Mapping[str, str], room: float) -> None:
    """The parts of a panel, one beside the other above it, in their colors; only as many as `room` in inches has."""
    from matplotlib.offsetbox import AnchoredOffsetbox, HPacker, TextArea

    short = {n: n if len(n) <= _LONGEST else n[: _LONGEST - 1].rstrip(" -_") + "…" for n in names}
    shown: list[str] = []
    for name in names:
        room -= _LETTER * (len(short[name]) + 1.2)
        if room < 0 and shown:
            shown.append("…")
            break
        shown.append(name)
    texts: list[Any] = [
        TextArea(short.get(n, n), textprops={"color": colors.get(n, _SOFT), "fontweight": "bold", "size": 9})
        for n in shown
    ]
    packed = HPacker(children=texts, align="baseline", pad=0, sep=7)
    axes.add_artist(AnchoredOffsetbox("upper left", child=packed, pad=0, borderpad=0.1, frameon=False))


def _scale_bar(axes: Axes, window: tuple[float, float], frequency: float | None, ink: str) -> None:
    if frequency is None:
        return
    width = (window[1] - window[0]) * frequency
    length = next((hz for hz in (50, 20, 10, 5, 2) if hz < 0.35 * width), 1)
    right = window[0] + 0.02 * (window[1] - window[0])
    low, high = axes.get_ylim()
    at = high - 0.75 * _ABOVE / (1 + _ABOVE) * (high - low)
    axes.plot([right, right + length / frequency], [at, at], color=ink, lw=1.3, solid_capstyle="butt")
    axes.text(right + length / frequency / 2, at, f"{length} Hz", ha="center", va="bottom", fontsize=7, color=ink)


def _legend(axes: Axes, ink: str, excluded: Sequence[tuple[float, float]], whole: tuple[float, float]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Line2D([], [], color=ink, lw=1.5, alpha=0.8, label="measured"),
        Line2D([], [], color="#e8203a", lw=1.2, label="fitted"),
        Line2D([], [], color=_SOFT, lw=1.2, label="residual"),
    ]
    if any(low < whole[1] and high > whole[0] for low, high in excluded):
        handles.append(Patch(color=_SOFT, alpha=0.15, label="not fitted"))
    axes.legend(
        handles=handles, loc="lower right", bbox_to_anchor=(1.0, 1.0), frameon=False, ncols=4, labelcolor=ink,
        handlelength=1.6, columnspacing=1.4, borderaxespad=0.2,
    )  # fmt: skip


def save(figure: Figure, path: Path | str, *, dpi: float = 160.0) -> None:
    """Write a picture, whole or not at all. The ending is its format: .png, .svg, .pdf. PNG has `dpi` points per inch.

    Raises:
        OSError: the file cannot be written; the old one is kept.
    """
    import matplotlib as mpl

    path = Path(path)
    with replacing(path) as fresh, mpl.rc_context(STYLE):
        figure.savefig(fresh, format=path.suffix.lstrip(".") or "png", dpi=dpi, facecolor="white")


def as_svg(
    measured: Trace,
    fitted: Trace,
    parts: Mapping[str, Float[np.ndarray, " t"]] | None = None,
    **settings: Any,
) -> str:
    """`draw_fit` as SVG text for a page, in the ink of whatever paper the page has."""
    import matplotlib as mpl

    figure = draw_fit(measured, fitted, parts, ink=_PAGE_INK, **settings)
    text = io.StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :].replace(_PAGE_INK, "currentColor")
