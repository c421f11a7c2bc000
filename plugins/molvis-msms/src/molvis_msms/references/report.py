"""A library search as one HTML page: each query above its hits, upside down. It loads nothing from elsewhere."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from molvis_core.html import render_page
from molvis_files.drawing import draw_structure, formula_html
from molvis_files.spectrum_drawing import spectrum_style
from molvis_files.writing import write_text
from molvis_msms.references.drawing import mirror_plot
from molvis_msms.references.index import References
from molvis_msms.references.search import Hit, Searched, Settings

_PLOTS = 3


@dataclass(frozen=True, eq=False, slots=True)
class Row:
    """A hit as the page shows it.

    Attributes:
        hit: that was found.
        svg: its drawn structure; empty where none is known.
        plot: the query above its spectrum; empty beyond the first hits of a query.
        gap: precursor of the query less that of the reference in Da; None where one is not known.
        true: it is the compound that the query's file names.
    """

    hit: Hit
    svg: str
    plot: str
    gap: float | None
    true: bool


def write_report(
    path: Path, found: Sequence[Searched], references: References, settings: Settings, *, file: str = ""
) -> None:
    """Write `render_report`, whole or not at all.

    Raises:
        molvis_core.errors.WriteError: the file cannot be written; the old one is kept.
    """
    write_text(path, render_report(found, references, settings, file=file))


def render_report(
    found: Sequence[Searched],
    references: References,
    settings: Settings,
    *,
    file: str = "",
    date: dt.datetime | None = None,
) -> str:
    """What a search found, as one page.

    Args:
        found: what `search` returned.
        references: that were searched.
        settings: of the search.
        file: that the queries are from, for the head.
        date: to print; now, if none is given.
    """
    near = f"within {settings.precursor}" if settings.precursor else "any"
    facts = [
        ("references", f"{len(references):,} spectra of {len(references.rows_of):,} compounds"),
        ("similarity", f"{settings.similarity.kind}, {settings.similarity.tolerance}"),
        ("precursor", near),
        ("queries", f"{len(found):,}, of them {sum(bool(one.hits) for one in found):,} with hits"),
    ]
    template = resources.files("molvis_msms").joinpath("references", "templates", "search.html")
    return render_page(
        template.read_text(encoding="utf-8"),
        title="Library search",
        spectrum_style=spectrum_style(),
        filters={"formula": formula_html},
        facts=[*facts, ("file", file)] if file else facts,
        sections=[(one, [_row(one, hit) for hit in one.hits]) for one in found],
        date=(date or dt.datetime.now().astimezone()).strftime("%Y-%m-%d %H:%M"),
    )


def _row(one: Searched, hit: Hit) -> Row:
    query = one.spectrum
    ions = (query.precursor_mz if query is not None else None, hit.spectrum.precursor_mz)
    drawn = query is not None and hit.rank <= _PLOTS
    return Row(
        hit,
        draw_structure(hit.structure.smiles) if hit.structure else "",
        mirror_plot(query, hit.spectrum, hit.pairs) if query is not None and drawn else "",
        None if ions[0] is None or ions[1] is None else ions[0] - ions[1],
        bool(one.truth and hit.structure and one.truth.inchikey14 == hit.structure.inchikey14),
    )
