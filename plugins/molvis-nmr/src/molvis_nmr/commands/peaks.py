"""`molvis nmr peaks`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molvis_core import output
from molvis_files.arguments import existing, writable

if TYPE_CHECKING:
    from molvis_nmr.workflows.peaks import Beside, Picked


def peaks(
    spectrum: Annotated[Path, typer.Argument(help="A spectrum or a folder of one; FILE#ENTRY for one of many.")],
    shifts: Annotated[
        Path | None, typer.Option(help="A list of shifts to hold against it, such as what was predicted.")
    ] = None,
    nucleus: Annotated[str, typer.Option(help="That was observed.")] = "13C",
    solvent: Annotated[str | None, typer.Option(help="Whose lines are left out, such as CDCl3.")] = None,
    threshold: Annotated[float, typer.Option(help="Height of a line over the standard deviation of the noise.")] = 8.0,
    apart: Annotated[float, typer.Option(help="Hz that two lines are apart at least.")] = 3.0,
    raw: Annotated[bool, typer.Option("--raw", help="Process the fid, even where there is a spectrum.")] = False,
    frequency: Annotated[float | None, typer.Option(help="In MHz, where the file does not state it.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The list as .csv or .txt, for identify.")] = None,
) -> None:
    """Pick the lines of a spectrum in which each signal is one line, such as that of 13C with 1H decoupled.

    The list is what `molvis identify --measured nmr-shifts=LIST` takes.
    """
    existing(spectrum, what="a spectrum")
    existing(shifts, what="a list of shifts")
    writable(out)
    from molvis_nmr.formats.opening import read_spectrum
    from molvis_nmr.workflows.peaks import compare, mean_difference, pick, read_list, write_list

    found = pick(
        read_spectrum(spectrum, raw=raw, frequency=frequency), nucleus=nucleus, solvent=solvent, threshold=threshold,
        apart=apart,
    )  # fmt: skip
    beside = compare(read_list(shifts, nucleus), found.record) if shifts else []
    if out:
        write_list(out, found.record)
    values = found.record.shifts.tolist()
    facts = {
        "nucleus": nucleus, "solvent": solvent, "noise": found.noise, "shifts": values,
        "heights": [] if found.record.intensity is None else found.record.intensity.tolist(),
        "left_out": list(found.left_out),
        "compared": [
            {"listed": b.listed, "atoms": b.atoms, "measured": b.measured, "difference": b.difference} for b in beside
        ],
        "mean_difference": mean_difference(beside),
    }  # fmt: skip
    if output.as_json(facts):
        return
    _show(spectrum, found, beside)
    if out:
        output.note(f"{out}: {len(values)} lines")


def _show(spectrum: Path, found: Picked, beside: Sequence[Beside]) -> None:
    """A table of the lines, or of what was held against them."""
    from molvis_nmr.workflows.peaks import mean_difference

    record = found.record
    if beside:
        rows = [[*(_ppm(v) for v in (b.listed, b.measured, b.difference)), b.atoms] for b in beside]
        output.print_table(["listed, ppm", "measured, ppm", "difference, ppm", "atoms"], rows, title=str(spectrum))
        if (mean := mean_difference(beside)) is not None:
            output.note(f"mean absolute difference of those that have a line: {mean:.2f} ppm")
    else:
        heights = [None] * len(record) if record.intensity is None else record.intensity.tolist()
        rows = [[_ppm(s), h] for s, h in zip(record.shifts.tolist(), heights, strict=True)]
        output.print_table(["shift, ppm", "height / noise"], rows, title=str(spectrum))
    if found.left_out:
        output.note(f"left out as the solvent's: {', '.join(f'{s:.2f}' for s in found.left_out)} ppm")


def _ppm(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"
