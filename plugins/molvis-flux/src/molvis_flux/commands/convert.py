"""`molvis flux convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molvis_core import output
from molvis_files.arguments import existing
from molvis_flux.commands.reading import Options, Reader


def convert(
    network: Annotated[Path, typer.Argument(help="The network, in any format that is read; a file or a folder.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="What to write: .toml, .fml (FluxML), .xml or .sbml (SBML).")
    ],
    reader: Reader = None,
    option: Options = None,
) -> None:
    """Write a network in another format, and say what that format has otherwise or not at all."""
    existing(network, what="a network")
    from molvis_flux.formats.converting import convert as run

    study, notes = run(network, out, reader=reader, options=option)
    model = study.network
    sizes = {
        "reactions": len(model.reactions),
        "metabolites": len(model.metabolites),
        "fragments": len(model.fragments),
        "experiments": len(study.experiments),
    }
    if not output.as_json({"out": out, **sizes, "read": study.notes, "written": notes}):
        output.print_table(("what", "count"), list(sizes.items()))
    for note in (*study.notes, *notes):
        output.note(note)
    output.note(f"{model.name}: {out}")
