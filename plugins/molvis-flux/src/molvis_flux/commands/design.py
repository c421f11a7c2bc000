"""`molvis flux design`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molvis_core import output
from molvis_files.arguments import existing
from molvis_flux.commands.reading import Options, Reader


def design(
    network: Annotated[Path, typer.Argument(help="The network, in any format that is read; a file or a folder.")],
    flux: Annotated[
        list[str] | None, typer.Option(help="A flux of interest, such as net/v2; may be repeated. Default: all net.")
    ] = None,
    fragment: Annotated[
        list[str] | None, typer.Option(help="A fragment that could be measured; may be repeated. Default: all.")
    ] = None,
    sd: Annotated[float, typer.Option(help="Standard deviation of a fraction.")] = 0.01,
    criterion: Annotated[str, typer.Option(help="D: information; A: standard deviations.")] = "D",
    experiments: Annotated[int, typer.Option(help="Parallel experiments to choose.")] = 2,
    draws: Annotated[int, typer.Option(help="Fluxes to average over.")] = 32,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
    top: Annotated[int, typer.Option(help="Rows to show of each table.")] = 12,
    reader: Reader = None,
    option: Options = None,
) -> None:
    """Choose the tracers and fragments that determine fluxes best."""
    existing(network, what="a network")
    from molvis_flux.fit.design import design as run
    from molvis_flux.formats.options import open_study

    study = open_study(network, reader=reader, options=option)
    of_interest = [(kind, name) for kind, _, name in (one.partition("/") for one in flux or [])]
    with output.progress("tracers") as advance:
        found = run(study, fluxes=of_interest, fragments=fragment or [], sd=sd, criterion=criterion,
                    experiments=experiments, draws=draws, seed=seed, progress=advance)  # fmt: skip
    if output.as_json(found):
        return
    for title, options in (
        ("one experiment", found.tracers[:top]),
        ("parallel experiments, added one by one", found.experiments),
        (f"fragments, added one by one, under {found.tracers[0].name}", found.fragments[:top]),
    ):
        rows = [[option.name, f"{option.gain:.2f}", f"{option.left:.3f}"] for option in options]
        output.print_table(("choice", "bits a flux", "share of sd left"), rows, title=title)
