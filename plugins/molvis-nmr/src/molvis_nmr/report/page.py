"""Fits and quantifications as one HTML page to look at, and as a folder of files to go on with.

A page holds everything it shows, follows the reader's light or dark setting, and runs no script.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from molvis_core.errors import RecordError
from molvis_core.html import render_page
from molvis_core.output import to_plain
from molvis_core.records import Trace
from molvis_files.writing import write_text
from molvis_nmr.fitting.noise import noise_level
from molvis_nmr.formats.spin_systems import write_system
from molvis_nmr.formats.writers import write_spectrum
from molvis_nmr.report.figures import as_svg, draw_fit, multiplets, save
from molvis_nmr.spins.hamiltonian import RATIOS
from molvis_nmr.spins.simulation import render
from molvis_nmr.spins.transitions import lines

if TYPE_CHECKING:
    from molvis_nmr.fitting.spin_system import SpinSystemFit
    from molvis_nmr.spins.system import SpinSystem


AGREEMENT = (
    "IoU is intersection over union where the model has signal; ROI IoU is that within 25 Hz of the lines of the "
    "start, a region that the fit cannot choose."
)


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a report.

    Attributes:
        title: above it.
        columns: headings.
        rows: cells.
        note: below it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def parts(found: SpinSystemFit, spectrum: int = 0) -> dict[str, Float[np.ndarray, " t"]]:
    """What each group of spins gives to a fitted spectrum, on its axis and in its unit.

    Raises:
        RecordError: there is no such spectrum.
    """
    if not 0 <= spectrum < len(found.simulated):
        raise RecordError(f"there is no spectrum {spectrum}; the fit has {len(found.simulated)}, counted from 0")
    system, whole = found.systems[spectrum], found.simulated[spectrum]
    nucleus = _nucleus(found)
    assert whole.frequency is not None
    transitions = lines(system, whole.frequency * 100 / RATIOS[nucleus], nucleus=nucleus)
    shape = found.line_shape[spectrum]
    kernel = None if shape is None else np.stack(shape, axis=1)
    made: dict[str, np.ndarray] = {}
    for k, name in enumerate(system.names):
        if system.nuclei[k] == nucleus:
            one = np.where(np.arange(len(system)) == k, system.intensities, 0.0)
            made[name] = render(
                transitions, system.widths, one, whole.x * whole.frequency, gaussian=found.gaussian[spectrum],
                kernel=kernel,
            )  # fmt: skip
    total = np.sum(list(made.values()), axis=0)
    scale = float(total @ whole.y) / float(total @ total)
    return {name: scale * part for name, part in made.items()}


def _nucleus(found: SpinSystemFit) -> str:
    """The one whose shifts were fitted."""
    names = {name.removeprefix("shift/").split("@")[0] for name in found.fit.names if name.startswith("shift/")}
    seen = [n for g, n in zip(found.system.names, found.system.nuclei, strict=True) if g in names]
    return seen[0] if seen else "1H"


def measured(found: SpinSystemFit, spectrum: int = 0) -> Trace:
    """The spectrum that was fitted."""
    simulated = found.simulated[spectrum]
    return replace(simulated, y=simulated.y + found.baseline[spectrum] + found.residual[spectrum].y)


def fitted(found: SpinSystemFit, spectrum: int = 0) -> Trace:
    """The model with its baseline, which goes on straight between what was fitted."""
    simulated, base = found.simulated[spectrum], found.baseline[spectrum]
    known = np.flatnonzero(base)
    if len(known):
        base = np.interp(np.arange(len(base)), known, base[known])
    return replace(simulated, y=simulated.y + base)


def windows(found: SpinSystemFit, spectrum: int = 0) -> list[tuple[float, float]]:
    """What to draw from near: multiplets of the model, without its baseline, that stand out of the noise."""
    simulated, data = found.simulated[spectrum], measured(found, spectrum)
    least = 2 * noise_level(np.asarray(data.y))
    shown: list[tuple[float, float]] = []
    for low, high in multiplets(simulated):
        inside = (simulated.x >= low) & (simulated.x <= high)
        if simulated.y[inside].max(initial=0.0) > least:
            shown.append((low, high))
    return shown or multiplets(simulated)


def write_fit(
    folder: Path | str,
    found: SpinSystemFit,
    *,
    title: str = "",
    excluded: Sequence[tuple[float, float]] = (),
    settings: Mapping[str, object] | None = None,
) -> list[Path]:
    """Everything about a fit into a folder, which is made: what was written.

    `fit.json` (parameters, errors, figures, flags), `system.json`, `system.toml`, `system.xml` (GISSMO), of each
    spectrum `simulated.csv` and `picture.png`, and `report.html`. Of several spectra, names of these end in `-1`, ...

    Raises:
        OSError: the folder or a file cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "fit.json"
    write_text(path, json.dumps(to_plain(fit_summary(found)), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    written = [path]
    errors = {
        name.removesuffix("@1"): float(error)
        for name, error in zip(found.fit.names, np.sqrt(np.diag(found.fit.covariance)), strict=True)
        if name.startswith(("shift/", "coupling/", "width/", "intensity/")) and "@" not in name.removesuffix("@1")
    }
    for suffix in ("json", "toml", "xml"):
        written.append(folder / f"system.{suffix}")
        write_system(written[-1], found.system, errors=errors)
    several = len(found.simulated) > 1
    for s in range(len(found.simulated)):
        mark = f"-{s + 1}" if several else ""
        written += [folder / f"simulated{mark}.csv", folder / f"picture{mark}.png"]
        write_spectrum(written[-2], found.simulated[s])
        heading = title + (f", spectrum {s + 1}" if several else "")
        figure = draw_fit(
            measured(found, s), fitted(found, s), parts(found, s), title=heading, windows=windows(found, s),
            excluded=excluded,
        )  # fmt: skip
        save(figure, written[-1])
    written.append(folder / "report.html")
    write_text(written[-1], render_fit(found, title=title, excluded=excluded, settings=settings))
    return written


def fit_summary(found: SpinSystemFit) -> dict[str, Any]:
    """Parameters with errors, figures and flags, as plain values."""
    fit = found.fit
    errors = np.sqrt(np.diag(fit.covariance))
    bounds = fit.interval(0.9)
    return {
        "name": found.system.name,
        "identifier": found.system.identifier,
        "problem": found.problem,
        "doubt": found.doubt,
        "excluded": [
            {"kind": one.kind, "low_ppm": one.low, "high_ppm": one.high, "among_lines": one.among}
            for one in found.excluded
        ],
        "advice": found.advice,
        "approximate": found.approximate,
        "alternatives": [
            {
                "r_factor": one.r_factor, "worse": one.worse,
                "shifts_ppm": dict(zip(one.system.names, one.system.shifts, strict=True)),
                "couplings_Hz": _couplings(one.system),
            }
            for one in found.alternatives
        ],
        "metrics": found.metrics,
        "each": found.each,
        "parametric": found.parametric,
        "flags": found.flags,
        "starts": found.starts,
        "gaussian_Hz": found.gaussian,
        "line_shape": found.line_shape,
        "parameters": [
            {"name": n, "unit": u, "value": v, "error": e, "interval90": b, "flag": found.flags.get(n, "")}
            for n, u, v, e, b in zip(fit.names, fit.units, fit.values, errors, bounds, strict=True)
        ],
    }  # fmt: skip


def _couplings(system: SpinSystem) -> dict[str, float]:
    """Those that are not 0, by the names of both groups."""
    rows, columns = np.nonzero(np.triu(system.couplings))
    return {
        f"{system.names[k]}-{system.names[m]}": float(system.couplings[k, m])
        for k, m in zip(rows.tolist(), columns.tolist(), strict=True)
    }


def solutions_table(found: SpinSystemFit) -> tuple[tuple[str, ...], list[list[str]]]:
    """Other solutions beside the best: columns and rows, with what differs by more than 0.3 Hz or 0.002 ppm."""
    best, rows = found.system, list[list[str]]()
    for number, one in enumerate(found.alternatives, start=2):
        own, theirs = _couplings(best), _couplings(one.system)
        apart = [
            f"J {pair} {theirs.get(pair, 0.0):.2f} (not {own.get(pair, 0.0):.2f})"
            for pair in {**own, **theirs}
            if abs(theirs.get(pair, 0.0) - own.get(pair, 0.0)) > 0.3
        ]
        apart += [
            f"{name} at {there:.4f} (not {here:.4f})"
            for name, here, there in zip(best.names, best.shifts, one.system.shifts, strict=True)
            if abs(here - there) > 0.002
        ]
        rows.append([str(number), f"{100 * one.r_factor:.2f}%", f"{one.worse:.1f}", ", ".join(apart) or "signs"])
    return ("solution", "R factor", "-2 log L above the first", "what differs"), rows


def render_fit(
    found: SpinSystemFit,
    *,
    title: str = "",
    excluded: Sequence[tuple[float, float]] = (),
    settings: Mapping[str, object] | None = None,
    date: dt.datetime | None = None,
) -> str:
    """A fit as one HTML page that loads nothing.

    Args:
        found: the fit.
        title: of the page.
        excluded: windows in ppm that were not fitted.
        settings: shown in the head, name by name.
        date: to print; now, if none is given.
    """
    titles = {
        "shift/": ("Chemical shifts", "group"),
        "coupling/": ("Couplings", "groups"),
        "width/": ("Widths, half at half height", "group"),
        "intensity/": ("Intensities, relative to their mean", "group"),
        "": ("Line shape and phase", "parameter"),
    }
    fit = found.fit
    rows: dict[str, list[tuple[str, ...]]] = {kind: [] for kind in titles}
    for name, unit, value, error in zip(
        fit.names, fit.units, fit.values, np.sqrt(np.diag(fit.covariance)), strict=True
    ):
        kind = next(kind for kind in titles if name.startswith(kind))
        shown = with_error(float(value), float(error)) + (f" {unit}" if unit else "")
        rows[kind].append((name.removeprefix(kind), shown, found.flags.get(name, "")))
    tables = [
        _without_empty(Table(heading, (what, "value", "remark"), tuple(rows[kind])))
        for kind, (heading, what) in titles.items()
        if rows[kind]
    ]
    figures = {
        "IoU": f"{found.metrics['iou']:.4f}",
        "ROI IoU": f"{found.metrics['roi_iou']:.4f}",
        "R factor": f"{100 * found.metrics['r_factor']:.2f}%",
        "without noise": f"{100 * found.metrics['unexplained']:.2f}%",
    }
    if found.parametric is not None:
        figures["without line shape"] = f"IoU {found.parametric['iou']:.4f}"
    pictures = [
        (
            as_svg(measured(found, s), fitted(found, s), parts(found, s), windows=windows(found, s), excluded=excluded),
            f"{t.frequency:.2f} MHz" + (f", {t.identifier}" if t.identifier else "") if t.frequency else "",
        )
        for s, t in enumerate(found.simulated)
    ]
    columns, others = solutions_table(found)
    if others:
        tables.append(Table("Other solutions as good or nearly so", columns, tuple(map(tuple, others))))
    note = f"Errors are standard deviations. {AGREEMENT}"
    tables += _left_out(found)
    note = f"{note} {found.approximate} {found.advice}".strip()
    heading = title or found.system.name or "Spin system"
    return render_sections(heading, pictures, tables, figures, settings, found.problem or found.doubt, [note], date)


def _left_out(found: SpinSystemFit) -> list[Table]:
    """A table of the windows that a fit left out by itself, if it did."""
    rows = tuple((one.kind, f"{one.low:.3f} to {one.high:.3f} ppm") for one in found.excluded)
    return [Table("Left out", ("what", "where"), rows)] if rows else []


def with_error(value: float, error: float) -> str:
    """`7.671 ± 0.012`: the error with two digits, the value with as many places."""
    if not 0 < error < np.inf:
        return f"{value:.6g}"
    places = max(0, 1 - int(np.floor(np.log10(error))))
    return f"{value:.{places}f} ± {error:.{places}f}"


def _without_empty(table: Table) -> Table:
    kept = [i for i in range(len(table.columns)) if any(row[i] for row in table.rows)]
    return replace(
        table,
        columns=tuple(table.columns[i] for i in kept),
        rows=tuple(tuple(row[i] for i in kept) for row in table.rows),
    )


def render_sections(
    title: str,
    pictures: Sequence[tuple[str, str]],
    tables: Sequence[Table],
    figures: Mapping[str, str],
    settings: Mapping[str, object] | None,
    problem: str,
    notes: Sequence[str],
    date: dt.datetime | None,
) -> str:
    """Pictures, tables and figures as one HTML page that loads nothing."""
    template = resources.files("molvis_nmr").joinpath("report", "templates", "report.html").read_text(encoding="utf-8")
    return render_page(
        template,
        title=title,
        pictures=pictures,
        tables=tables,
        figures=figures,
        settings={name: str(value) for name, value in (settings or {}).items()},
        problem=problem,
        notes=notes,
        date=(date or dt.datetime.now().astimezone()).strftime("%Y-%m-%d %H:%M"),
    )
