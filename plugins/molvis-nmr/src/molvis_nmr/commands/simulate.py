"""`molvis nmr simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molvis_core import output
from molvis_files.arguments import existing


def simulate(
    system: Annotated[str | None, typer.Option(help="GISSMO XML, JSON or TOML; FILE#ENTRY picks one of many.")] = None,
    smiles: Annotated[str | None, typer.Option(help="A structure: 1H shifts and couplings by rule.")] = None,
    shifts: Annotated[
        Path | None, typer.Option(help="A list of shifts, each one line: 13C with 1H decoupled, for --nucleus 13C.")
    ] = None,
    field: Annotated[float, typer.Option(help="1H frequency of the spectrometer in MHz.")] = 600.0,
    nucleus: Annotated[str, typer.Option(help="Whose spectrum, such as 1H or 19F.")] = "1H",
    window: Annotated[tuple[float, float] | None, typer.Option(help="From and to in ppm; else all lines.")] = None,
    points: Annotated[int | None, typer.Option(help="Of the spectrum; else four to the narrowest line.")] = None,
    width: Annotated[float | None, typer.Option(help="Half width at half height of all lines, in Hz.")] = None,
    broadening: Annotated[float, typer.Option(help="Hz added to every width.")] = 0.0,
    gaussian: Annotated[float, typer.Option(help="Standard deviation of a Gaussian, in Hz.")] = 0.0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The spectrum: .csv .txt .jdx; all: .json; a picture: .png .svg.")
    ] = None,
) -> None:
    """Simulate the spectrum of a spin system or of a structure, with full strong coupling, at any field."""
    existing(system, what="a spin system")
    existing(shifts, what="a list of shifts")
    from molvis_nmr.workflows.simulate import simulate_file

    done = simulate_file(
        system, smiles=smiles, shifts=shifts, frequency=field, nucleus=nucleus, window=window, points=points,
        width=width, broadening=broadening, gaussian=gaussian, out=out,
    )  # fmt: skip
    if output.as_json(done.as_dict()):
        return
    spins = done.system
    rows = [
        [
            name,
            int(count),
            f"{shift:.4f}",
            done.seen(k),
            ", ".join(f"{other} {j:.2f}" for other, j in done.couplings(k)),
        ]
        for k, (name, count, shift) in enumerate(zip(spins.names, spins.multiplicity, spins.shifts, strict=True))
        if spins.nuclei[k] == nucleus
    ]
    output.print_table(["group", "spins", "shift, ppm", "lines", "couplings, Hz"], rows, title=spins.name)
    if done.approximate is not None:
        output.note(str(done.approximate))
    if out is not None:
        output.note(f"{out}: {len(done.trace):,} points at {done.trace.frequency:.2f} MHz")
