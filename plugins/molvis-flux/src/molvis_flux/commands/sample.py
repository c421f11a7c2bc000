"""`molvis flux sample`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molvis_core import output
from molvis_files.arguments import existing
from molvis_flux.commands.reading import Options, Reader


def sample(
    network: Annotated[Path, typer.Argument(help="The network, in any format that is read; a file or a folder.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="CSV of the draws; a column for each flux.")] = None,
    n: Annotated[int, typer.Option("--n", min=1, help="Draws.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    reader: Reader = None,
    option: Options = None,
) -> None:
    """Draw fluxes that a network allows: net fluxes uniformly, exchange fluxes uniformly in their logarithm.

    Prints what each flux may be, by its balances and bounds alone.
    """
    existing(network, what="a network")
    from molvis_flux.formats.options import open_study
    from molvis_flux.sampling.prior import sample as run
    from molvis_flux.sampling.prior import summary, write_fluxes
    from molvis_flux.space.flux_space import flux_space

    study = open_study(network, reader=reader, options=option)
    space = flux_space(study.network)
    values = run(space, n, seed)
    rows = summary(space, values)
    if out is not None:
        write_fluxes(out, space, values)
    if output.as_json(rows):
        return
    columns = ("flux", "min", "max", "5%", "50%", "95%", "free")
    output.print_table(columns, [
        (r.name, *(f"{x:.4g}" for x in (r.low, r.high, r.q05, r.q50, r.q95)), "yes" if r.free else None) for r in rows
    ])  # fmt: skip
    output.note(f"{len(space.parameters)} fluxes, {len(space)} of them free" + (f"; {n} draws in {out}" if out else ""))
