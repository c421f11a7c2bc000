"""`molvis flux simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molvis_core import output
from molvis_files.arguments import existing
from molvis_flux.commands.reading import Options, Reader


def simulate(
    network: Annotated[Path, typer.Argument(help="The network, in any format that is read; a file or a folder.")],
    fluxes: Annotated[
        Path | None, typer.Option("--fluxes", help="CSV with a column for each flux; by default those of the file.")
    ] = None,
    tracer: Annotated[
        list[str] | None,
        typer.Option("--tracer", help="SOURCE=PATTERN:FRACTION, such as Glc=100000:0.7; may be repeated."),
    ] = None,
    fragment: Annotated[
        list[str] | None, typer.Option("--fragment", help="Instead of those measured; may be repeated.")
    ] = None,
    times: Annotated[str, typer.Option("--times", help="Of labelling in time, such as 0,10,60; else stationary.")] = "",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="CSV with a line for each distribution.")] = None,
    reader: Reader = None,
    option: Options = None,
) -> None:
    """Mass isotopomer distributions at given fluxes.

    Fluxes that are left out follow from the others by the balances, where they do.
    """
    existing(network, what="a network")
    existing(fluxes, what="a table of fluxes")
    from molvis_flux.formats.options import open_study
    from molvis_flux.labelling import prediction

    study = open_study(network, reader=reader, options=option)
    study = prediction.with_tracers(study, prediction.parse_tracers(study.network, tracer or ()))
    if fluxes is not None:
        net, exchange = prediction.read_fluxes(fluxes, study.network)
    else:
        net, exchange = prediction.complete_fluxes(study.network, study.fluxes)
    moments = prediction.parse_times(times)
    found = prediction.predict(study, net, exchange, times=moments, fragments=fragment)
    if out is not None:
        prediction.write_predictions(out, found)
    if not output.as_json(found) and out is None:
        output.print_table(("experiment", "fragment", "time", "M+0, M+1, ..."), [
            (p.experiment, p.fragment, p.time, "  ".join(f"{x:.4f}" for x in mid)) for p in found for mid in p.fractions
        ])  # fmt: skip
    output.note(f"{len(found)} distributions of {len(net)} flux vectors" + (f" in {out}" if out else ""))
