"""`molvis flux fit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molvis_core import output
from molvis_files.arguments import existing
from molvis_flux.commands.reading import Options, Reader
from molvis_flux.fit.defaults import LEVEL, STARTS


def fit(
    network: Annotated[Path, typer.Argument(help="Network with experiments: TOML, FluxML, mfapy, FreeFlux or INCA.")],
    starts: Annotated[int, typer.Option(help="Points to start from.")] = STARTS,
    intervals: Annotated[str, typer.Option(help="profile, covariance, monte-carlo, posterior or none.")] = "profile",
    level: Annotated[float, typer.Option(help="Probability of the intervals.")] = LEVEL,
    samples: Annotated[
        int, typer.Option(help="Draws from the posterior; 0: only where some flux is not identifiable.")
    ] = 0,
    parsimonious: Annotated[
        bool, typer.Option(help="Also the fluxes of least total flux that the data allow.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the starts and the draws.")] = 0,
    map_: Annotated[
        Path | None, typer.Option("--map", help="Map of Escher (JSON) to draw the network on, in the folder of --out.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for tables, figures and a report.")] = None,
    reader: Reader = None,
    option: Options = None,
) -> None:
    """Fluxes of a network from its labelling data, with intervals and identifiability."""
    existing(network, what="a network")
    existing(map_, what="a map of Escher")
    from molvis_flux.fit.multistart import fit as run
    from molvis_flux.fit.parsimonious import parsimonious as least
    from molvis_flux.formats.options import open_study
    from molvis_flux.maps.escher import read_escher
    from molvis_flux.report import tables

    study = open_study(network, reader=reader, options=option)
    chart = read_escher(map_, study.network) if map_ else None
    with output.progress("fitting") as advance:
        found = run(study, starts=starts, seed=seed, level=level, intervals=intervals, samples=samples or None,
                    progress=advance)  # fmt: skip
    lean = least(found, level=level) if parsimonious else None
    if out:
        tables.save(found, out, chart)
    if output.as_json(tables.plain(found) | ({"parsimonious": lean} if lean else {})):
        return
    output.print_table(*tables.rounded(tables.fluxes(found)))
    if found.combinations:
        output.print_table(*tables.rounded(tables.combinations(found)), title="determined though their parts are not")
    if lean:
        rows = [[*name, f"{x:.4g}"] for name, x in zip(lean.names, lean.values, strict=True)]
        output.print_table(("kind", "name", "flux"), rows, title=f"least total flux, {lean.total:.4g}")
    output.note(found.goodness.summary)
    if found.problem:
        output.note(f"warning: {found.problem}")
    if out:
        output.note(f"report: {out / 'report.html'}")
