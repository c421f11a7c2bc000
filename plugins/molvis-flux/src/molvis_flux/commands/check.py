"""`molvis flux check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molvis_core import output
from molvis_files.arguments import existing
from molvis_flux.commands.reading import Options, Reader


def check(
    network: Annotated[Path, typer.Argument(help="The network, in any format that is read; a file or a folder.")],
    reader: Reader = None,
    option: Options = None,
) -> None:
    """Look for faults in a network and its data.

    Atom maps that do not balance, metabolites that are never made or used, tracers and MIDs that cannot be, and bounds
    and constraints that leave no flux, each with its place and what to change. Ends with 1 where there is an error.
    """
    existing(network, what="a network")
    from molvis_flux.formats.options import open_study
    from molvis_flux.space.consistency import check as run

    study = open_study(network, reader=reader, options=option, strict=False)
    found = run(study)
    if not output.as_json(found):
        model = study.network
        sizes = (
            f"{len(model.reactions)} reactions, {len(model.metabolites)} metabolites, {len(model.fragments)} fragments"
        )
        output.note(f"{model.name}: {sizes}, {len(study.experiments)} experiments")
        for note in study.notes:
            output.note(note)
        if found:
            output.print_table(
                ("severity", "where", "fault"), [[f.severity, f.where or None, f.message] for f in found]
            )
        else:
            output.note("no faults")
    if any(finding.severity == "error" for finding in found):
        raise typer.Exit(1)
