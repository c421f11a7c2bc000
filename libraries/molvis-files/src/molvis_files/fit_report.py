"""The page of `molvis fit --report`, for any fitter: parameters, measured against simulated records, and settings."""

from __future__ import annotations

import datetime as dt
import inspect
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from molvis_core import registry
from molvis_core.errors import WriteError
from molvis_core.fitting import Fit, Fixed, Normal, Prior, Section, Uniform
from molvis_core.html import render_page
from molvis_core.interfaces import HoldsRecords
from molvis_core.modality import Modality
from molvis_core.records import Measurement, Record, Value
from molvis_files.comparison import Comparison, compare
from molvis_files.fitting import fit_summary
from molvis_files.writing import write_text

__all__ = ["check_report_path", "provenance", "render_fit", "write_report"]

_LONGEST = 200


def check_report_path(path: Path | None) -> None:
    """A report is a file of HTML.

    Raises:
        WriteError: the path has another ending.
    """
    if path is not None and path.suffix.lower() not in (".html", ".htm"):
        raise WriteError(f"{path}: a report is written as .html, got {path.suffix or 'no ending'!r}")


def write_report(path: Path, found: Fit, measurements: Sequence[Measurement], prior: Prior, **more: Any) -> None:
    """The page of a fit as a file. Arguments are those of `render_fit`.

    Raises:
        WriteError: the path does not end in .html, or the file cannot be written.
    """
    check_report_path(path)
    write_text(path, render_fit(found, measurements, prior, **more))


def render_fit(
    found: Fit,
    measurements: Sequence[Measurement],
    prior: Prior,
    *,
    title: str,
    level: float = 0.9,
    sections: Sequence[Section] = (),
    settings: Mapping[str, object] | None = None,
    date: dt.datetime | None = None,
) -> str:
    """A fit as one HTML page that loads nothing.

    Args:
        found: the fit.
        measurements: that were fitted, in the order of `found.simulated`.
        prior: that the fit started from.
        title: of the page, such as the fitter's name.
        level: probability of the intervals.
        sections: of the fitter's own report, in place of the plain pictures of measured and simulated records.
        settings: shown at the end, by name; those that are empty are left out.
        date: to print; now, if none is given.

    Raises:
        ConfigError: `level` is not between 0 and 1.
    """
    pairs = list(_pairs(found, measurements))
    drawn, values, rest = ([], [], []) if sections else _comparisons(pairs)
    template = resources.files("molvis_files").joinpath("templates", "fit.html").read_text(encoding="utf-8")
    return render_page(
        template,
        title=title,
        problem=found.problem,
        date=(date or dt.datetime.now().astimezone()).strftime("%Y-%m-%d %H:%M"),
        facts=[
            ("parameters estimated", str(len(found.names))),
            ("records fitted", str(len(pairs))),
            ("intervals", f"{level:.0%}, " + ("from the covariance" if found.samples is None else "from draws")),
        ],
        sections=sections,
        wide=[one for one in drawn if one.wide],
        small=[one for one in drawn if not one.wide],
        values=values,
        rest=rest,
        level=f"{level:.0%}",
        parameters=list(_parameters(found, prior, level)),
        settings={name: _short(value) for name, value in (settings or {}).items() if str(value)},
    )


def provenance(fitter: str, settings: Sequence[str] = ()) -> dict[str, str]:
    """Arguments of a fitter and versions of what computes, by name, for the settings of a report.

    Args:
        fitter: its name.
        settings: arguments that were given, as `molvis_files.measurements.parse_settings` reads them; the others have
            their defaults.

    Raises:
        molvis_core.errors.ComponentError: no such fitter.
    """
    offered = registry.component("fitter", fitter)
    given = dict(text.split("=", 1) for text in settings)
    found = {
        name: str(given.get(name, parameter.default))
        for name, parameter in registry.parameters("fitter", fitter).items()
        if name in given or parameter.default not in (inspect.Parameter.empty, None)
    }
    found |= {"Python": platform.python_version()}
    found |= {name: metadata.version(name) for name in ("molvis-core", "numpy")}
    return found | ({offered.distribution: offered.version} if offered.distribution else {})


def _pairs(found: Fit, measurements: Sequence[Measurement]) -> Iterator[tuple[Record, Record | None, str]]:
    """Records of the core, what was simulated in their place, and the names of their modalities."""
    complete = len(found.simulated) == len(measurements)
    for i, measurement in enumerate(measurements):
        simulated: Any = found.simulated[i] if complete else None
        # A fit that failed returns the measurement itself.
        simulated = None if simulated is measurement.record else simulated
        if not isinstance(measurement.record, HoldsRecords):
            yield measurement.record, simulated, measurement.modality
            continue
        inside = measurement.record.as_records()
        made = simulated.as_records() if isinstance(simulated, HoldsRecords) else ()
        for k, record in enumerate(inside):
            yield record, made[k] if len(made) == len(inside) else None, ""


def _comparisons(
    pairs: Iterable[tuple[Record, Record | None, str]],
) -> tuple[list[Comparison], list[tuple[str, ...]], list[str]]:
    """Drawings; a row for each single value; and the names of records that have no picture."""
    known = {c.name for c in registry.components("modality")}
    drawn: list[Comparison] = []
    rows: list[tuple[str, ...]] = []
    rest: list[str] = []
    for number, (record, simulated, name) in enumerate(pairs, 1):
        title = getattr(record, "identifier", None) or f"record {number}"
        if isinstance(record, Value):
            rows.append((title, *_cells(record, simulated if isinstance(simulated, Value) else None)))
            continue
        modality: Modality | None = registry.load("modality", name) if name in known else None
        one = compare(record, simulated, title=title, modality=modality)
        if one is None:
            rest.append(title)
        else:
            drawn.append(one)
    return drawn, rows, rest


def _cells(measured: Value, simulated: Value | None) -> tuple[str, str, str, str]:
    sd = "" if measured.sd is None else f"{measured.sd:.2g}"
    if simulated is None:
        return f"{measured.value:.6g}", sd, "", ""
    return f"{measured.value:.6g}", sd, f"{simulated.value:.6g}", f"{measured.value - simulated.value:.2g}"


def _parameters(found: Fit, prior: Prior, level: float) -> Iterator[tuple[str, ...]]:
    """A row for each parameter in the order of the prior: name, value, sd, interval, unit, prior."""
    estimated = {p.name: p for p in fit_summary(found, level).parameters}
    for name in dict.fromkeys((*prior, *estimated)):
        belief = _belief(prior.get(name))
        if name in estimated:
            p = estimated[name]
            yield name, f"{p.value:.6g}", f"{p.sd:.2g}", f"{p.low:.6g} to {p.high:.6g}", p.unit, belief
        elif isinstance(known := prior.get(name), Fixed):
            yield name, f"{known.value:.6g}", "", "", "", belief


def _belief(belief: Normal | Uniform | Fixed | None) -> str:
    if isinstance(belief, Normal):
        return f"{belief.mean:.6g} ± {belief.sd:.2g}"
    if isinstance(belief, Uniform):
        return f"{belief.low:.6g} to {belief.high:.6g}"
    return "" if belief is None else "fixed"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
