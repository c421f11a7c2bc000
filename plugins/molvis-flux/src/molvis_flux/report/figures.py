"""Figures of a fit as SVG: the network, measured against fitted distributions, intervals, the posterior."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from molvis_flux.fit.estimates import Estimates, estimates
from molvis_flux.fit.identifiability import BOUNDED, FIXED, IDENTIFIABLE, UNSEEN
from molvis_flux.fit.multistart import FluxResult, Residual
from molvis_flux.fit.organs import exchanges, organs_of
from molvis_flux.maps.flows import flows_of
from molvis_flux.maps.layout import own_map
from molvis_flux.maps.network_map import NetworkMap
from molvis_flux.maps.organs import draw_organs
from molvis_flux.maps.svg import draw
from molvis_flux.model.network import Study
from molvis_flux.report.courses import Course, courses, draw_courses, size_of
from molvis_flux.report.dark import for_dark_pages
from molvis_flux.space.coordinates import Name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {IDENTIFIABLE: "#1f6f8b", BOUNDED: "#d08c2e", UNSEEN: "#9a9a9a", FIXED: "#4d4d4d"}
_MOST_FRAGMENTS = 60


def figures(result: FluxResult, chart: NetworkMap | None = None) -> dict[str, str]:
    """Every figure that the fit has something for, by name; the network on its own map, or on one that is given."""
    out = {"network": network(result, chart), "intervals": intervals(result)}
    if len(organs_of(result.least_squares.study.network)) > 1:
        out["organs"] = organs(estimates(result))
    in_time = courses(result)
    if in_time:
        out["courses"] = time_courses(in_time)
    shown = {(course.experiment, course.target) for course in in_time}
    rest = [
        p for p in result.residuals if p.kind == "mid" and (p.time is None or (p.experiment, p.target) not in shown)
    ]
    if rest:
        out["distributions"] = distributions(rest)
    if result.samples is not None:
        out["posterior"] = posterior(result)
    return out


def network(result: FluxResult, chart: NetworkMap | None = None) -> str:
    """The network with its fluxes: widths are net fluxes, colours say how sure they are.

    Arrows follow traced atoms. Broken ones are not identifiable and are drawn at the posterior's mean.

    Args:
        result: of a fit.
        chart: the map to draw on; one of our own layout where none is given.
    """
    return draw(chart or own_chart(result.least_squares.study), flows_of(estimates(result)))


def organs(found: Estimates, names: Sequence[str] = ()) -> str:
    """Organs as boxes beside the blood, with what they exchange through it.

    Raises:
        MapError: the network has no such organs.
    """
    boxes, crossing = exchanges(found, names)
    return draw_organs(boxes, crossing, level=found.level, title=f"Organs of {found.study.network.name}")


def own_chart(study: Study) -> NetworkMap:
    """The map of a study's network by our own layout."""
    return own_map(study.network, dict.fromkeys(source for e in study.experiments for source in e.tracers))


def intervals(result: FluxResult) -> str:
    """Each flux with its interval, on an axis that is linear near 0 and logarithmic beyond."""
    shown = [verdict for verdict in result.verdicts if verdict.kind != FIXED]
    figure = _figure(7.5, 1.0 + 0.19 * max(len(shown), 3))
    axes = figure.add_subplot()
    size = [abs(v.value) for v in shown if v.value] or [1.0]
    axes.set_xscale("symlog", linthresh=max(float(np.median(size)) / 10, 1e-9))
    rows = {verdict.name: i for i, verdict in enumerate(result.verdicts)}
    for y, verdict in enumerate(shown):
        low, high = result.ranges[rows[verdict.name]]
        axes.plot([low, high], [y, y], color="#e3e3e3", lw=5, solid_capstyle="butt", zorder=1)
        axes.plot([verdict.low, verdict.high], [y, y], color=COLOURS[verdict.kind], lw=2.5, zorder=2)
        middle = verdict.value if verdict.value is not None else verdict.mean
        if middle is not None:
            seen = verdict.kind != UNSEEN
            axes.plot([middle], [y], "o", ms=4, zorder=3, color=COLOURS[verdict.kind], mfc=None if seen else "white")
    axes.set_yticks(range(len(shown)), ["/".join(v.name) for v in shown], fontsize=6.5)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlabel("flux")
    axes.tick_params(axis="x", labelsize=7)
    axes.grid(axis="x", lw=0.4, color="#dddddd")
    for kind in (IDENTIFIABLE, BOUNDED, UNSEEN):
        axes.plot([], [], color=COLOURS[kind], lw=2.5, label=kind)
    axes.plot([], [], color="#e3e3e3", lw=5, label="allowed by the constraints")
    axes.legend(fontsize=6.5, frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.4, 1.0))
    figure.tight_layout()
    return _svg(figure)


def time_courses(found: tuple[Course, ...]) -> str:
    """Labelling in time: curves of the fit with the data above, residuals below."""
    figure = _figure(*size_of(found))
    draw_courses(found, figure)
    return _svg(figure)


def distributions(parts: Sequence[Residual]) -> str:
    """Measured bars with their standard deviations and fitted points, those that fit worst first."""
    parts = sorted(parts, key=lambda p: -p.ssr / len(p.measured))[:_MOST_FRAGMENTS]
    columns = min(6, len(parts))
    figure = _figure(max(1.75 * columns + 0.4, 3.0), 1.5 * -(-len(parts) // columns) + 0.5)
    for i, part in enumerate(parts):
        axes = figure.add_subplot(-(-len(parts) // columns), columns, i + 1)
        bars = axes.bar(part.channels, part.measured, yerr=part.sd, color="#c9d7dd", width=0.75,
                        error_kw={"lw": 0.8, "ecolor": "#555555"})  # fmt: skip
        points = axes.plot(part.channels, part.fitted, "o", ms=3.2, color="#b3432b")
        time = "" if part.time is None else f" at {part.time:g}"
        axes.set_title(f"{part.target}{time}", fontsize=6.5, pad=2)
        axes.set_xticks(part.channels, [label.removeprefix("M+") for label in part.labels])
        axes.tick_params(labelsize=5.5, length=2)
        if not i:
            figure.legend(
                [bars[0], points[0]], ["measured", "fitted"], fontsize=6.5, frameon=False, ncols=2, loc="upper right"
            )
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.3 / figure.get_figheight()))
    return _svg(figure)


def posterior(result: FluxResult, names: Sequence[Name] = (), *, most: int = 12) -> str:
    """Histograms of some fluxes' draws; of those that are least sure where none are named."""
    assert result.samples is not None
    judged = sorted((v for v in result.verdicts if v.kind != FIXED), key=lambda v: -v.left)
    chosen = list(names) or [verdict.name for verdict in judged[:most]]
    columns = min(4, max(len(chosen), 1))
    figure = _figure(2.2 * columns, 1.7 * -(-len(chosen) // columns) + 0.2)
    for i, name in enumerate(chosen):
        row = result.names.index(name)
        verdict = result.verdicts[row]
        axes: Axes = figure.add_subplot(-(-len(chosen) // columns), columns, i + 1)
        axes.hist(result.samples[:, row], bins=30, color=COLOURS[verdict.kind], alpha=0.75)
        if verdict.value is not None:
            axes.axvline(verdict.value, color="#b3432b", lw=1.2)
        axes.set_title(f"{'/'.join(name)}: {verdict.kind}", fontsize=6.5, pad=2)
        axes.set_yticks([])
        axes.tick_params(labelsize=5.5, length=2)
    figure.tight_layout()
    return _svg(figure)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(min(width, 40.0), min(height, 60.0)))


def _svg(figure: Figure) -> str:
    import matplotlib as mpl

    text = io.StringIO()
    # Without a date and with a salt the same fit gives the same figure.
    with mpl.rc_context({"svg.hashsalt": "molvis", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return for_dark_pages(text.getvalue())
