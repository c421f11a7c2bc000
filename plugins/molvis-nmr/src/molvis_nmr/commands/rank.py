"""`molvis nmr rank`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molvis_core import output
from molvis_files.arguments import existing, writable


def rank(
    spectrum: Annotated[Path, typer.Argument(help="1H, of one compound: a file or a folder; FILE#ENTRY for one.")],
    candidates: Annotated[
        Path | None,
        typer.Option(help="A SMILES a line, or a table with a column smiles; its probability, if any, counts too."),
    ] = None,
    query: Annotated[str | None, typer.Option(help="Whose candidates, where the table is of several unknowns.")] = None,
    smiles: Annotated[list[str] | None, typer.Option(help="A candidate; may be repeated.")] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Window in ppm that does not count; else water's and below 0.3.")
    ] = None,
    width: Annotated[float, typer.Option(help="Of simulated lines, half at half height, in Hz.")] = 0.7,
    exchangeable: Annotated[bool, typer.Option(help="Also the hydrogen on O, N and S.")] = False,
    frequency: Annotated[float | None, typer.Option(help="In MHz, where the file does not state it.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The table as .csv.")] = None,
    picture: Annotated[
        Path | None, typer.Option(help="The spectrum above those of the best candidates: .png .svg .pdf.")
    ] = None,
) -> None:
    """Rank candidate structures by how well their simulated 1H spectra agree with a measured one."""
    existing(spectrum, what="a spectrum")
    existing(candidates, what="a file of candidates")
    writable(out, picture)
    from molvis_nmr.workflows.rank import rank_file

    with output.progress("simulating candidates") as show:
        done = rank_file(
            spectrum, candidates, query=query, smiles=smiles or (), exclude=exclude, width=width,
            exchangeable=exchangeable, frequency=frequency, out=out, picture=picture, progress=show,
        )  # fmt: skip
    if output.as_json(done.as_dict()):
        return
    number = "{:.2f}".format
    table = [
        [
            place, one.smiles, f"{one.probability:.3f}", *([f"{one.prior:.3f}"] if done.informed else []),
            *(["", "", ""] if one.problem else [number(one.moved), number(one.splittings), number(one.overlap)]),
            one.problem,
        ]
        for place, one in enumerate(done.found, start=1)
    ]  # fmt: skip
    before = ["before"] if done.informed else []
    output.print_table(["rank", "candidate", "probability", *before, "moved, ppm", "splittings", "overlap", ""], table)
    output.note("Probabilities are among these candidates: none of them need be right.")
    for path in (out, picture):
        if path:
            output.note(str(path))
