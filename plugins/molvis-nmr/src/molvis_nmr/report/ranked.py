"""A measured spectrum above those that are predicted for the best candidates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from molvis_core.records import Trace
from molvis_nmr.prediction.ranking import Ranked, predicted
from molvis_nmr.report.figures import COLORS, GRID, STYLE
from molvis_nmr.windows import outside

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 4
"""Candidates in a picture."""
_SPAN = 0.25
"""ppm beside the outermost signals."""


def draw_ranked(
    measured: Trace,
    found: Sequence[Ranked],
    exclude: Sequence[tuple[float, float]],
    *,
    width: float = 0.7,
    exchangeable: bool = False,
) -> Figure:
    """The spectrum and, below it, those of the best candidates; each has the same area in what is compared.

    Args:
        measured: with its frequency.
        found: by `molvis_nmr.prediction.ranking.rank`, the best first.
        exclude: windows in ppm that were not compared; they are shaded.
        width: of simulated lines, half at half height, in Hz.
        exchangeable: also the hydrogen on O, N and S.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    assert measured.frequency is not None
    mhz = float(measured.frequency)
    best = [one for one in found if not one.problem][:SHOWN]
    keep = outside(measured.x, exclude)
    rows = [("measured", measured.y - np.median(measured.y))]
    for place, one in enumerate(best, start=1):
        y = predicted(one.smiles, measured.x, mhz, width=width, exchangeable=exchangeable)
        rows.append((f"{place}. probability {one.probability:.3f}: {_short(one.smiles)}", y))
    scaled = [(name, np.where(keep, y, 0.0) / (float(np.abs(y[keep]).sum()) or 1.0)) for name, y in rows]
    low, high = _reach(measured.x, [y for _, y in scaled])
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.0, 1.0 + 1.35 * len(rows)), layout=ConstrainedLayoutEngine(hspace=0.02))
        axes = figure.subplots(len(rows), 1, sharex=True, squeeze=False)[:, 0]
        inside = (measured.x > low) & (measured.x < high)
        for k, (one, (name, y)) in enumerate(zip(axes, scaled, strict=True)):
            one.plot(measured.x[inside], y[inside], color=COLORS[k], linewidth=0.8)
            one.text(0.005, 0.97, name, transform=one.transAxes, va="top", color=COLORS[k])
            for a, b in exclude:
                if a < high and b > low:
                    one.axvspan(max(a, low), min(b, high), color=GRID, linewidth=0)
            one.set_ylim(-0.03 * y.max(), 1.3 * y.max() or 1.0)
            one.set_yticks([])
            one.spines[["left", "right", "top"]].set_visible(False)
        axes[-1].set_xlim(high, low)
        axes[-1].set_xlabel("ppm")
    return figure


def _short(smiles: str) -> str:
    return smiles if len(smiles) <= 90 else f"{smiles[:87]}..."


def _reach(x: Float[np.ndarray, " t"], spectra: Sequence[Float[np.ndarray, " t"]]) -> tuple[float, float]:
    """From where to where in ppm any of them has signal."""
    some = [x[y > 0.02 * y.max()] for y in spectra if y.max() > 0]
    low, high = min(float(s[0]) for s in some), max(float(s[-1]) for s in some)
    return low - _SPAN, high + _SPAN
