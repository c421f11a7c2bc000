"""`molvis nmr convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molvis_core import output
from molvis_files.arguments import existing


def convert(
    source: Annotated[Path, typer.Argument(help="A spectrum, a folder of one, or a spin system; FILE#ENTRY for one.")],
    out: Annotated[Path, typer.Argument(help=".csv .txt .tsv .jdx .dx for spectra, .json .toml .xml for systems.")],
    raw: Annotated[bool, typer.Option("--raw", help="Process the fid, even where there is a spectrum.")] = False,
    frequency: Annotated[float | None, typer.Option(help="In MHz, where the file does not state it.")] = None,
    resample: Annotated[bool, typer.Option("--resample", help="Points of text onto an even axis.")] = False,
) -> None:
    """Write a spectrum or a spin system in another format, which the ending of OUT names."""
    existing(source, what="a spectrum or a spin system")
    from molvis_nmr.workflows.convert import convert as run

    done = run(source, out, raw=raw, frequency=frequency, resample=resample)
    if output.as_json(done):
        return
    parts = "points" if done.kind == "spectrum" else "groups of spins"
    at = "" if done.frequency is None else f" at {done.frequency:.4f} MHz"
    output.note(f"{done.out}: {done.kind} {done.identifier}, {done.size:,} {parts}{at}")
