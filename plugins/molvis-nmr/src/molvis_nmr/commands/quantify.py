"""`molvis nmr quantify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molvis_core import output
from molvis_files.arguments import existing


def quantify(
    spectrum: Annotated[Path, typer.Argument(help="A mixture: a file or a folder.")],
    library: Annotated[
        list[Path],
        typer.Option("--library", "-l", help="Spin systems (FILE#ENTRY,ENTRY) or reference spectra (FILE#PROTONS)."),
    ],
    only: Annotated[list[str] | None, typer.Option(help="Name or identifier of a compound to take from it.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for amounts, picture and report.")] = None,
    window: Annotated[float, typer.Option(help="How far in ppm multiplets may move.")] = 0.03,
    exclude: Annotated[list[str] | None, typer.Option(help="Window in ppm that does not count; else water's.")] = None,
    standard: Annotated[str, typer.Option(help="Compound at 0 ppm: DSS, TSP or none.")] = "DSS",
    concentration: Annotated[float | None, typer.Option(help="Of the standard.")] = None,
    unit: Annotated[str, typer.Option(help="Of that concentration.")] = "mM",
    limit: Annotated[float, typer.Option(help="Standard errors from which a compound is present.")] = 5.0,
    seed: Annotated[int, typer.Option(help="Of the starts that are drawn.")] = 0,
) -> None:
    """Say which compounds of a library are in a mixture, and how much of each, with errors."""
    existing(spectrum, what="a spectrum of a mixture")
    existing(*library, what="spin systems or reference spectra")
    from molvis_nmr.report.page import quantification_summary, write_quantification
    from molvis_nmr.workflows.fit import quantify_file, read_window

    windows = None if exclude is None else [read_window(text) for text in exclude]
    with output.progress("quantifying") as show:
        found = quantify_file(
            spectrum, library, only=only or [], window=window, exclude=windows,
            standard=None if standard.lower() == "none" else standard, concentration=concentration, unit=unit,
            limit=limit, seed=seed, progress=show,
        )  # fmt: skip
    if out is not None:
        settings = {"spectrum": spectrum.name, "library": ", ".join(p.name for p in library)}
        write_quantification(out, found, title=spectrum.stem, settings=settings)
    if output.as_json(quantification_summary(found)):
        return
    rows = [
        [
            m.name,
            f"{m.amount if m.concentration is None else m.concentration:.4g}",
            f"{m.error if m.concentration_error is None else m.concentration_error:.2g}",
            f"{m.significance:.0f}",
            f"{1000 * m.moved:.1f}",
        ]
        for m in found.present
    ]
    output.print_table(["compound", found.unit or "amount", "error", "significance", "moved, ppb"], rows)
    output.note(f"ROI IoU {found.roi_iou:.3f}; {100 * found.unexplained:.1f}% of the signal is not explained")
    if found.problem:
        output.note(found.problem)
    if out is not None:
        output.note(f"the report to look at: {out / 'report.html'}")
