"""`molvis nmr process`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molvis_core import output
from molvis_files.arguments import existing


def process(
    fid: Annotated[Path, typer.Argument(help="A fid: a folder, a ZIP file, nmrML, JCAMP-DX, NMRPipe; FILE#ENTRY.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The spectrum: .csv .txt .tsv .jdx .dx.")],
    size: Annotated[int | None, typer.Option(help="Points of the spectrum; else at least twice the fid's.")] = None,
    broadening: Annotated[float, typer.Option(help="Full width of the exponential in Hz.")] = 0.3,
    gaussian: Annotated[float, typer.Option(help="Full width of the Gaussian in Hz.")] = 0.0,
    phase: Annotated[str, typer.Option(help="'auto', or P0,P1 in degrees.")] = "auto",
    baseline: Annotated[bool, typer.Option(help="Subtract a smooth baseline.")] = True,
    reference: Annotated[str, typer.Option(help="'auto' puts DSS, TSP or TMS at 0; 'none'; or ppm to add.")] = "auto",
    frequency: Annotated[float | None, typer.Option(help="In MHz, where the file does not state it.")] = None,
) -> None:
    """Turn a raw fid into a phased spectrum with a flat baseline and a reference."""
    existing(fid, what="a fid")
    from molvis_nmr.formats.writers import write_spectrum
    from molvis_nmr.workflows.convert import process_file

    done = process_file(
        fid, size=size, broadening=broadening, gaussian=gaussian, phase=phase, baseline=baseline, reference=reference,
        frequency=frequency,
    )  # fmt: skip
    write_spectrum(out, done.trace)
    summary = {"out": out, "identifier": done.trace.identifier, "points": len(done.trace)}
    if output.as_json({**summary, "frequency": done.trace.frequency, "phase": done.phase, "shift": done.shift}):
        return
    p0, p1 = done.phase
    output.note(
        f"{out}: {len(done.trace):,} points, phase {p0:.1f} and {p1:.1f} degrees, shifted {done.shift:+.4f} ppm"
    )
