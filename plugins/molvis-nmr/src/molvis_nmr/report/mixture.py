"""Mixtures as one HTML page to look at, with an overlay for each compound, and as a folder of files to go on with."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from molvis_core.output import to_plain
from molvis_core.records import Trace
from molvis_core.text import in_cells
from molvis_files.writing import write_text
from molvis_nmr.formats.writers import write_spectrum
from molvis_nmr.mixture.results import Quantification
from molvis_nmr.report.figures import as_svg, draw_fit, save
from molvis_nmr.report.page import Table, render_sections, with_error

MOST_OVERLAYS = 40
"""Compounds that a report draws one by one, those with the largest amounts."""
_MARGIN = 0.04  # ppm beside a compound's signal


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _overlays(found: Quantification) -> list[tuple[str, str]]:
    """Each compound where its own signal is strongest, beside the spectrum and the whole fit."""
    made: list[tuple[str, str]] = []
    x = found.measured.x
    for m in found.present[:MOST_OVERLAYS]:
        own = found.parts[m.name]
        top = float(x[int(own.argmax())])
        near = (np.abs(x - top) < 0.35) & (own > 0.04 * own.max())
        inside = (x > x[near].min() - _MARGIN) & (x < x[near].max() + _MARGIN)
        frequency = found.measured.frequency
        cut = [Trace(x[inside], y[inside], frequency=frequency) for y in (found.measured.y, found.fitted.y)]
        caption = f"{m.name}: probability {m.probability:.2f}"
        made.append((as_svg(cut[0], cut[1], {m.name: own[inside]}), caption))
    return made


def write_quantification(
    folder: Path | str, found: Quantification, *, title: str = "", settings: Mapping[str, object] | None = None
) -> list[Path]:
    """Everything about a mixture into a folder, which is made: what was written.

    `amounts.json`, `amounts.csv`, `fitted.csv`, `picture.png` and `report.html`.

    Raises:
        OSError: the folder or a file cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    summary = quantification_summary(found)
    names = ("amounts.json", "amounts.csv", "fitted.csv", "picture.png", "report.html")
    paths = [folder / name for name in names]
    write_text(paths[0], json.dumps(to_plain(summary), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    write_text(paths[1], _csv(summary["metabolites"], found.unit))
    write_spectrum(paths[2], found.fitted)
    figure = draw_fit(found.measured, found.fitted, found.parts, title=title, excluded=found.excluded)
    save(figure, paths[3])
    write_text(paths[4], render_quantification(found, title=title, settings=settings))
    return paths


def _csv(rows: Sequence[Mapping[str, Any]], unit: str) -> str:
    import csv
    import io

    text = io.StringIO()
    columns = (
        "name",
        "identifier",
        "present",
        "amount",
        "error",
        "concentration",
        "concentration_error",
        "significance",
        "probability",
        "upper_limit",
        "upper_concentration",
        "unit",
        "note",
    )
    table = csv.writer(text, lineterminator="\n")
    table.writerow(columns)
    for row in rows:
        told = {**row, "unit": unit if row["concentration"] is not None else ""}
        table.writerow(in_cells("" if told[c] is None else told[c] for c in columns))
    return text.getvalue()


def quantification_summary(found: Quantification) -> dict[str, Any]:
    """Amounts with errors and what they rest on, as plain values."""
    return {
        "problem": found.problem,
        "standard": found.standard,
        "unit": found.unit,
        "limit": found.limit,
        "offset_ppm": found.offset,
        "roi_iou": found.roi_iou,
        "unexplained": found.unexplained,
        "width_Hz": found.width,
        "model_error": found.model_error,
        "response_sd": found.response_sd,
        "metabolites": [
            {
                "name": m.name, "identifier": m.identifier, "present": m.present,
                "amount": m.amount, "error": _finite(m.error),
                "significance": m.significance, "probability": m.probability, "snr": m.snr, "tube": m.tube,
                "upper_limit": _finite(m.upper_limit), "upper_concentration": _finite(m.upper_concentration),
                "concentration": m.concentration,
                "concentration_error": _finite(m.concentration_error), "shifts_ppm": dict(m.shifts),
                "moved_ppm": m.moved,
                "response": dict(m.response),
                "note": m.note,
            }
            for m in found.metabolites
        ],
    }  # fmt: skip


def render_quantification(
    found: Quantification,
    *,
    title: str = "",
    settings: Mapping[str, object] | None = None,
    date: dt.datetime | None = None,
) -> str:
    """A mixture as one HTML page that loads nothing. See `render_fit`."""
    unit = found.unit or "amount"
    rows: list[tuple[str, ...]] = []
    for m in found.present:
        value, error = (m.amount, m.error) if m.concentration is None else (m.concentration, m.concentration_error or 0)
        responses = list(m.response.values()) or [1.0]
        rows.append(
            (
                m.name, with_error(value, error), f"{100 * error / value:.1f}%", f"{m.significance:.0f}",
                f"{m.probability:.2f}",
                f"{1000 * m.moved:.1f}", f"{min(responses):.2f} to {max(responses):.2f}", m.note,
            )
        )  # fmt: skip
    absent = [
        (
            m.name,
            f"{m.upper_limit if m.upper_concentration is None else m.upper_concentration:.2g}",
            f"{m.probability:.2f}",
        )
        for m in found.metabolites
        if not m.present
    ]
    tables = [
        Table(
            "Present",
            ("compound", f"concentration, {unit}" if found.unit else "amount", "error", "significance", "probability",
             "moved, ppb",
             "response of multiplets", "note"),
            tuple(rows),
            "Significance is the amount in standard errors. A response is a multiplet's intensity relative to what the "
            "amount lets expect: suppressed water and incomplete relaxation lower it. What was found by one signal may "
            "be another compound that has one in the same place; solvents and additives are looked for in every tube.",
        ),
        Table("Not found", ("compound", f"upper limit (95%), {unit}", "probability"), tuple(absent)),
    ]  # fmt: skip
    figures = {
        "ROI IoU": f"{found.roi_iou:.4f}",
        "not explained": f"{100 * found.unexplained:.1f}% of the signal",
        "half width": f"{found.width:.2f} Hz",
        "standard": found.standard or "none",
    }
    picture = as_svg(found.measured, found.fitted, found.parts, excluded=found.excluded)
    caption = f"{found.measured.frequency:.2f} MHz" if found.measured.frequency else ""
    return render_sections(
        title or "Mixture",
        [(picture, caption), *_overlays(found)],
        [t for t in tables if t.rows],
        figures,
        settings,
        found.problem,
        [],
        date,
    )
