"""Comparisons of conditions as tables, and as maps of differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from molvis_files.writing import replacing_folder, write_text
from molvis_flux.fit.comparison import Change
from molvis_flux.fit.estimates import Estimates
from molvis_flux.maps.changes import flows_of_changes
from molvis_flux.maps.escher import read_escher
from molvis_flux.maps.frame import map_page
from molvis_flux.maps.svg import draw
from molvis_flux.report.figures import own_chart
from molvis_flux.report.tables import Table, as_csv, rounded


def table(changes: Sequence[Change], level: float) -> Table:
    """A row for each value."""
    shown = f"{level:.0%}"
    rows: list[list[object]] = [
        [*c.name, c.call, c.before, c.after, c.difference, c.low, c.high, f"{c.low_from}, {c.high_from}", c.fold,
         c.fold_low, c.fold_high, c.p, c.q]
        for c in changes
    ]  # fmt: skip
    return (
        "kind", "name", "call", "before", "after", "difference", f"{shown} from", f"{shown} to", "ended by", "fold",
        f"fold {shown} from", f"fold {shown} to", "p", "q",
    ), rows  # fmt: skip


def shown(changes: Sequence[Change], level: float) -> Table:
    """The same for people: rounded, the surest change first."""
    ordered = sorted(changes, key=lambda c: 2.0 if c.q is None else c.q)
    return rounded(table(ordered, level), 3)


def save(
    folder: Path, name: str, before: Estimates, found: Mapping[str, Sequence[Change]], on: Path | None = None
) -> None:
    """A folder with a table, a map as SVG and a page with it for each condition, whole or not at all.

    Args:
        folder: to make.
        name: of what is compared with.
        before: that fit.
        found: changes of each other condition, by its name.
        on: a map of Escher to draw on; one of our own layout where none is given.

    Raises:
        MapError: the file is no map of Escher.
        OSError: it cannot be written; what was there is kept.
    """
    network = before.study.network
    chart = read_escher(on, network) if on else own_chart(before.study)
    with replacing_folder(folder) as fresh:
        for after, changes in found.items():
            title = f"{after} beside {name}"
            drawing = draw(
                chart, flows_of_changes(network, changes, before.level), colours=("change",), title=f"Map: {title}"
            )
            write_text(fresh / f"{after}.csv", as_csv(*table(changes, before.level)))
            write_text(fresh / f"{after}.svg", drawing)
            subtitle = (
                "Widths are differences of net fluxes; arrows point where the flux goes after, and numbers say how "
                "much more or less goes there."
            )
            page = map_page(drawing, title=title, subtitle=subtitle, notes=chart.notes, colours=("change",))
            write_text(fresh / f"{after}.html", page)
