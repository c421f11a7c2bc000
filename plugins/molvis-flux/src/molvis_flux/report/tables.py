"""What a fit found as tables: for files, for reports, and for the terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from molvis_core.text import in_cells
from molvis_files.writing import replacing_folder, write_text
from molvis_flux.fit.identifiability import UNSEEN
from molvis_flux.fit.multistart import FluxResult
from molvis_flux.maps.network_map import NetworkMap

Table = tuple[tuple[str, ...], list[list[object]]]


def fluxes(result: FluxResult) -> Table:
    """A row for each value: its estimate, interval and identifiability. What is not identifiable has no estimate."""
    rows: list[list[object]] = []
    for verdict, deviation in zip(result.verdicts, result.sd, strict=True):
        kind, name = verdict.name
        sd = None if verdict.kind == UNSEEN else float(deviation)
        ends = f"{verdict.low_from}, {verdict.high_from}"
        rows.append([kind, name, verdict.value, sd, verdict.low, verdict.high, verdict.kind, ends, verdict.mean])
    level = f"{result.level:.0%}"
    return (
        "kind", "name", "estimate", "sd", f"{level} from", f"{level} to", "identifiability", "ended by",
        "posterior mean",
    ), rows  # fmt: skip


def combinations(result: FluxResult) -> Table:
    """A row for each sum or ratio of net fluxes that is identifiable where the fluxes are not."""
    level = f"{result.level:.0%}"
    rows: list[list[object]] = [[each.text, each.value, each.low, each.high] for each in result.combinations]
    return ("combination", "estimate", f"{level} from", f"{level} to"), rows


def residuals(result: FluxResult) -> Table:
    """A row for each measured number."""
    rows: list[list[object]] = []
    for part in result.residuals:
        for i, (measured, fitted, sd) in enumerate(zip(part.measured, part.fitted, part.sd, strict=True)):
            channel = part.labels[i] if part.labels else ""
            off = float((fitted - measured) / sd)
            rows.append([part.experiment, part.target, part.kind, part.time, channel,
                         float(measured), float(sd), float(fitted), off])  # fmt: skip
    return ("experiment", "target", "kind", "time", "mass", "measured", "sd", "fitted", "residual"), rows


def starts(result: FluxResult) -> Table:
    """A row for each start: where it ended."""
    rows: list[list[object]] = [
        [i + 1, float(ssr), bool(done)]
        for i, (ssr, done) in enumerate(zip(result.starts, result.converged, strict=True))
    ]
    return ("start", "sum of squares", "converged"), rows


def rounded(table: Table, digits: int = 4) -> Table:
    """The same table with numbers as people read them."""

    def cell(value: object) -> object:
        return f"{value:.{digits}g}" if isinstance(value, float) else value

    return table[0], [[cell(value) for value in row] for row in table[1]]


def as_csv(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Text of a table."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(in_cells(columns))
    writer.writerows(in_cells("" if value is None else value for value in row) for row in rows)
    return text.getvalue()


def plain(result: FluxResult) -> dict[str, object]:
    """What a script reads."""
    return {
        "network": result.least_squares.study.network.name,
        "ssr": result.ssr,
        "goodness": result.goodness,
        "accepted": result.goodness.accepted,
        "level": result.level,
        "problem": result.problem,
        "fluxes": result.verdicts,
        "combinations": result.combinations,
        "data": result.residuals,
        "starts": result.starts,
        "converged": result.converged,
    }


def save(result: FluxResult, folder: Path, chart: NetworkMap | None = None) -> None:
    """A folder of tables, figures and an HTML report, whole or not at all. `read_fit` opens it.

    Args:
        result: of a fit.
        folder: to make.
        chart: a map to draw the network on; one of our own layout where none is given.

    Raises:
        OSError: it cannot be written; what was there is kept.
    """
    from molvis_flux.report import figures, saved
    from molvis_flux.report.page import report

    with replacing_folder(folder) as fresh:
        named = {"fluxes": fluxes, "combinations": combinations, "data": residuals, "starts": starts}
        for name, table in ((name, make(result)) for name, make in named.items()):
            write_text(fresh / f"{name}.csv", as_csv(*table))
        if result.samples is not None:
            names = ["/".join(name) for name in result.names]
            write_text(fresh / "posterior.csv", as_csv(names, result.samples.tolist()))
        drawings = figures.figures(result, chart)
        for name, drawing in drawings.items():
            write_text(fresh / f"{name}.svg", drawing)
        write_text(fresh / "report.html", report(result, drawings=drawings))
        saved.write(fresh, result)
