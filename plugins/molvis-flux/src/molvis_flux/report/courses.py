"""Labelling in time: what was measured, the curves of the fit through it, and what is left between them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from molvis_flux.fit.multistart import FluxResult, Residual
from molvis_flux.fit.problem import FluxProblem, Measured

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST = 48
_POINTS = 60
_SHADES = ("#333f4d", "#1f6f8b", "#c9821f", "#6f9a3c", "#b3432b", "#7a5aa6", "#3aa39a", "#a0527a", "#8a7400", "#9aa0a8")


@dataclass(frozen=True, eq=False, slots=True)
class Course:
    """A fragment of one experiment in time. Axis t runs over the curve's times, s over the data's, c over masses.

    Attributes:
        experiment, target: what was measured.
        channels: mass isotopomers: 0 is M+0.
        times, curve: of the fit.
        at: times of the data.
        measured, sd: NaN where a mass was not measured; data in arbitrary units are divided by their scale.
        residuals: fitted less measured, over the standard deviation.
    """

    experiment: str
    target: str
    channels: tuple[int, ...]
    times: Float[np.ndarray, " t"]
    curve: Float[np.ndarray, "t c"]
    at: Float[np.ndarray, " s"]
    measured: Float[np.ndarray, "s c"]
    sd: Float[np.ndarray, "s c"]
    residuals: Float[np.ndarray, "s c"]


def courses(result: FluxResult) -> tuple[Course, ...]:
    """Every fragment that was measured at two times or more; curves are simulated at the fit."""
    problem = result.least_squares
    groups: dict[tuple[str, str], list[tuple[Measured, Residual]]] = defaultdict(list)
    for part, residual in zip(problem.parts, result.residuals, strict=True):
        if part.datum.kind == "mid" and part.datum.time is not None:
            groups[part.experiment, part.datum.target].append((part, residual))
    groups = {name: some for name, some in groups.items() if len({part.datum.time for part, _ in some}) > 1}
    if not groups:
        return ()
    times = _times(np.array([part.datum.time for some in groups.values() for part, _ in some], float))
    values = problem.map.values(result.y[:1])
    simulated = _simulated(problem, values, times)
    return tuple(_course(problem, name, some, times, simulated, values[0]) for name, some in sorted(groups.items()))


def _times(at: Float[np.ndarray, " s"]) -> Float[np.ndarray, " t"]:
    """From 0 on, close to each other at first, where labelling changes most."""
    last, first = float(at.max()), float(at[at > 0].min(initial=at.max()))
    if last <= 0:
        return np.unique(at)
    return np.unique(
        np.concatenate([[0.0], at, np.linspace(0, last, _POINTS), np.geomspace(first / 20, last, _POINTS)])
    )


def _simulated(
    problem: FluxProblem, values: Float[np.ndarray, "1 v"], times: Float[np.ndarray, " t"]
) -> Float[np.ndarray, "t d"]:
    assert problem.labelling is not None
    dense = replace(problem.labelling, plan=None, times=tuple(times.tolist()))
    return dense.simulate(values)[0].reshape(len(times), -1)


def _course(
    problem: FluxProblem, name: tuple[str, str], some: list[tuple[Measured, Residual]],
    times: Float[np.ndarray, " t"], simulated: Float[np.ndarray, "t d"], values: Float[np.ndarray, " v"],
) -> Course:  # fmt: skip
    channels = tuple(sorted({channel for part, _ in some for channel in part.channels}))
    curve = np.full((len(times), len(channels)), np.nan)
    some = sorted(some, key=lambda each: each[0].datum.time or 0.0)
    measured, sd, residuals = (np.full((len(some), len(channels)), np.nan) for _ in range(3))
    for i, (part, residual) in enumerate(some):
        for j, channel in enumerate(part.channels):
            column, row = channels.index(channel), part.rows.start + j
            if np.isnan(curve[0, column]):
                curve[:, column] = _row(problem, row, part.datum.time or 0.0, simulated, values)
            measured[i, column] = residual.measured[j] / residual.scale
            sd[i, column] = residual.sd[j] / residual.scale
            residuals[i, column] = (residual.fitted[j] - residual.measured[j]) / residual.sd[j]
    at = np.array([part.datum.time for part, _ in some], float)
    return Course(*name, channels, times, curve, at, measured, sd, residuals)


def _row(
    problem: FluxProblem, row: int, time: float, simulated: Float[np.ndarray, "t d"], values: Float[np.ndarray, " v"]
) -> Float[np.ndarray, " t"]:
    """One measured number at all times: the problem has the columns of the simulation that it is made of."""
    assert problem.labelling is not None
    assert problem.labelling.timed is not None
    block = problem.labelling.timed.size
    offset = 0 if problem.labelling.plan is None else problem.labelling.plan.size
    offset += problem.labelling.times.index(time) * block
    weight = problem.weights[row] * np.where(problem.mixes[row] >= 0, values[problem.mixes[row]], 1.0)
    used = weight != 0
    return simulated[:, problem.columns[row][used] - offset] @ weight[used]


def draw_courses(found: tuple[Course, ...], figure: Figure) -> None:
    """Curves with data above, residuals below, for each fragment, into an empty figure of `size_of(found)`."""
    found = found[:_MOST]
    columns, rows = _grid(found)
    width, height = figure.get_size_inches()
    grid = figure.add_gridspec(
        rows, columns, hspace=0.42, wspace=0.28, left=0.55 / width, right=1 - 0.1 / width, top=1 - 0.75 / height,
        bottom=0.3 / height,
    )  # fmt: skip
    for i, course in enumerate(found):
        inner = grid[i // columns, i % columns].subgridspec(2, 1, height_ratios=(3, 1), hspace=0.08)
        above, below = figure.add_subplot(inner[0]), figure.add_subplot(inner[1])
        _draw(course, above, below)
        if i % columns == 0:
            above.set_ylabel("fraction", fontsize=6)
            below.set_ylabel("residual", fontsize=6)
    handles = list(_handles(found))
    figure.legend(
        handles=handles,
        fontsize=6.5,
        frameon=False,
        ncols=min(len(handles), 2 + 2 * columns),
        loc="upper center",
        bbox_to_anchor=(0.5, 1.0),
        columnspacing=1.2,
        handlelength=1.5,
    )


def size_of(found: tuple[Course, ...]) -> tuple[float, float]:
    """Width and height of the figure, in inches."""
    columns, rows = _grid(found[:_MOST])
    return 2.6 * columns + 0.8, 2.4 * rows + 0.8


def _grid(found: tuple[Course, ...]) -> tuple[int, int]:
    columns = min(4, max(len(found), 1))
    return columns, -(-len(found) // columns)


def _handles(found: tuple[Course, ...]) -> Iterator[object]:
    from matplotlib.lines import Line2D

    for channel in sorted({channel for course in found for channel in course.channels}):
        yield Line2D([], [], color=_shade(channel), marker="o", ms=3, lw=1.3, label=f"M+{channel}")


def _shade(channel: int) -> str:
    return _SHADES[channel % len(_SHADES)]


def _draw(course: Course, above: Axes, below: Axes) -> None:
    for j, channel in enumerate(course.channels):
        colour = _shade(channel)
        above.plot(course.times, course.curve[:, j], color=colour, lw=1.3)
        above.errorbar(course.at, course.measured[:, j], course.sd[:, j], fmt="o", ms=2.6, lw=0.8, color=colour)
        below.plot(course.at, course.residuals[:, j], "o", ms=2.4, color=colour)
    for level in (-2, 0, 2):
        below.axhline(level, lw=0.5, color="#9a9a9a", ls="-" if level == 0 else (0, (3, 2)))
    reach = float(np.nanmax(np.abs(course.residuals)))
    below.set_ylim(-max(3.0, 1.15 * reach), max(3.0, 1.15 * reach))
    for axes in (above, below):
        axes.set_xlim(-0.03 * course.times[-1], 1.03 * course.times[-1])
        axes.tick_params(labelsize=5.5, length=2)
    above.set_xticklabels([])
    above.set_title(f"{course.experiment}: {course.target}", fontsize=6.5, pad=3)
