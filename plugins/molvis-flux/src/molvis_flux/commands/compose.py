"""`molvis flux compose`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molvis_core import output
from molvis_files.arguments import existing


def compose(
    plan: Annotated[Path, typer.Argument(help="TOML with parts and the pools that join them.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="TOML of the whole.")],
) -> None:
    """Make one network of several: tissues of a body, or strains of a co-culture."""
    existing(plan, what="a plan")
    from molvis_flux.formats import read_study
    from molvis_flux.formats.writers import write_study

    study = read_study(plan)
    write_study(out, study)
    network = study.network
    sizes = {
        "reactions": len(network.reactions),
        "metabolites": len(network.metabolites),
        "fragments": len(network.fragments),
        "experiments": len(study.experiments),
    }
    if output.as_json({"out": out, **sizes}):
        return
    output.print_table(("what", "count"), list(sizes.items()))
    output.note(f"{network.name}: {out}")
