"""`molvis flux map`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molvis_core import output
from molvis_core.errors import ConfigError
from molvis_files.arguments import existing, writable
from molvis_flux.commands.reading import Options, Reader

if TYPE_CHECKING:
    from molvis_flux.maps.network_map import NetworkMap


def map_(
    source: Annotated[Path, typer.Argument(help="Folder of a fit (molvis flux fit --out), or a network.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File: .html (zoom and hover), .svg, or .json (for Escher).")
    ] = Path("map.html"),
    on: Annotated[Path | None, typer.Option(help="Map of Escher (JSON) to draw on; else it is laid out.")] = None,
    name: Annotated[
        list[str] | None, typer.Option(help="OURS=THEIRS: what a reaction is called on the map. May be repeated.")
    ] = None,
    organs: Annotated[
        str | None, typer.Option(help="Organs and what they exchange: names with commas between, or auto.")
    ] = None,
    colour: Annotated[str, typer.Option(help="verdict or certainty.")] = "verdict",
    reader: Reader = None,
    option: Options = None,
) -> None:
    """Draw a network with the fluxes of a fit.

    Widths are net fluxes; colours are verdicts, or how sure fluxes are. Without a fit, the fluxes that the file states
    are drawn, if there are any.
    """
    existing(source, what="the folder of a fit, or a network")
    existing(on, what="a map of Escher")
    writable(out)
    names = _checked(out, colour, on, name or [])
    if organs is not None:
        _organs(source, out, organs)
        return
    from molvis_files.writing import write_text
    from molvis_flux.formats.options import open_study
    from molvis_flux.maps import escher, escher_writer, svg
    from molvis_flux.maps.flows import flows_of, flows_without_fit
    from molvis_flux.maps.frame import map_page
    from molvis_flux.report.figures import own_chart
    from molvis_flux.report.saved import is_fit, read_fit

    found = read_fit(source) if is_fit(source) else None
    study = found.study if found else open_study(source, reader=reader, options=option, strict=False)
    chart = escher.read_escher(on, study.network, names) if on else own_chart(study)
    if out.suffix == ".json":
        text = json.dumps(escher_writer.escher_json(chart, study.network)) + "\n"
    else:
        flows = flows_of(found) if found else flows_without_fit(study.network, study.fluxes)
        colours = ("verdict", "certainty") if found else ("verdict",)
        text = svg.draw(chart, flows, colours=colours, shown=colour if found else "")
        if out.suffix == ".html":
            title = f"Fluxes of {study.network.name or 'a network'}"
            text = map_page(text, title=title, notes=chart.notes, colours=colours)
    write_text(out, text)
    drawn = [track.reaction for track in chart.tracks if track.reaction]
    if output.as_json({"drawn": drawn, "missing": chart.missing, "foreign": chart.foreign, "notes": chart.notes}):
        return
    for note in (*chart.notes, *_unmatched(chart)):
        output.note(note)
    output.note(f"{len(drawn)} of {len(study.network.reactions)} reactions drawn: {out}")


def _organs(source: Path, out: Path, asked: str) -> None:
    """The picture of organs, of a fit."""
    from molvis_files.writing import write_text
    from molvis_flux.fit.organs import exchanges
    from molvis_flux.maps.frame import map_page
    from molvis_flux.maps.organs import draw_organs
    from molvis_flux.report.saved import read_fit

    if out.suffix == ".json":
        raise ConfigError("--organs makes no map for Escher; let --out end in .html or .svg")
    found = read_fit(source)
    boxes, crossing = exchanges(found, () if asked == "auto" else tuple(filter(None, asked.split(","))))
    title = f"Organs of {found.study.network.name or 'a network'}"
    drawing = draw_organs(boxes, crossing, level=found.level, title=title)
    write_text(out, drawing if out.suffix == ".svg" else map_page(drawing, title=title, colours=("verdict",)))
    if not output.as_json({"organs": boxes, "exchanges": crossing}):
        rows = [[one.organ or "outside", one.pool, one.value, one.low, one.high] for one in crossing]
        shown = [[f"{x:.3g}" if isinstance(x, float) else x for x in row] for row in rows]
        output.print_table(("organ", "pool", "net", f"{found.level:.0%} from", f"{found.level:.0%} to"), shown)
        output.note(f"organs: {', '.join(boxes)}; {out}")


def _unmatched(chart: NetworkMap) -> Iterator[str]:
    if chart.missing:
        yield f"not on the map: {', '.join(chart.missing)}"
    if chart.foreign:
        yield f"on the map, and not in the network: {', '.join(chart.foreign)}. --name OURS=THEIRS joins them"


def _checked(out: Path, colour: str, on: Path | None, names: list[str]) -> dict[str, str]:
    """The names, where the options can be meant together."""
    if out.suffix not in (".html", ".svg", ".json"):
        raise ConfigError(f"--out ends in {out.suffix or 'nothing'!r}; it is .html, .svg or .json")
    if colour not in ("verdict", "certainty"):
        raise ConfigError(f"--colour must be verdict or certainty, got {colour!r}")
    if names and on is None:
        raise ConfigError("--name names reactions of a map; say which with --on")
    return dict(_pair(text) for text in names)


def _pair(text: str) -> tuple[str, str]:
    ours, equals, theirs = text.partition("=")
    if not equals or not ours or not theirs:
        raise ConfigError(f"--name takes OURS=THEIRS, got {text!r}")
    return ours, theirs
