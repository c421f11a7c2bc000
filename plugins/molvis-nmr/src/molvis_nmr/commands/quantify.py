"""`molvis nmr quantify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molvis_core import output
from molvis_files.arguments import existing

_LIBRARY = "A library that ships (urine, serum, medium, amino-acids, metabolites), spin systems (FILE#ENTRY,ENTRY) or reference spectra (FILE#PROTONS)."  # noqa: E501 - one help text


def quantify(
    spectra: Annotated[
        list[Path], typer.Argument(help="Mixtures: files or folders, one or many.", metavar="SPECTRA...")
    ],
    library: Annotated[list[str] | None, typer.Option("--library", "-l", help=_LIBRARY)] = None,
    only: Annotated[list[str] | None, typer.Option(help="Name or identifier of a compound to take from it.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for amounts, picture, report; or TABLE.csv, TABLE.mztab.")
    ] = None,
    reports: Annotated[Path | None, typer.Option(help="Folder for a report of each sample beside a table.")] = None,
    window: Annotated[float, typer.Option(help="How far in ppm multiplets may move.")] = 0.03,
    exclude: Annotated[list[str] | None, typer.Option(help="Window in ppm that does not count; else water's.")] = None,
    standard: Annotated[str, typer.Option(help="Compound at 0 ppm: DSS, TSP or none.")] = "DSS",
    concentration: Annotated[float | None, typer.Option(help="Of the standard.")] = None,
    unit: Annotated[str, typer.Option(help="Of that concentration.")] = "mM",
    dilution: Annotated[float, typer.Option(help="From concentrations in the tube to those of the sample.")] = 1.0,
    reference: Annotated[
        str | None, typer.Option(help="AMOUNT:CONCENTRATION of a proton in another spectrum, instead of a standard.")
    ] = None,
    tube: Annotated[bool, typer.Option(help="Look for solvents, urea, EDTA and the like, too.")] = True,
    limit: Annotated[float, typer.Option(help="Standard errors from which a compound is present.")] = 2.0,
    probability: Annotated[float, typer.Option(help="Probability from which it is.")] = 0.65,
) -> None:
    """Say which compounds of a library are in a mixture, and how much of each, with errors."""
    existing(*spectra, what="a spectrum of a mixture")
    from molvis_nmr.mixture.results import WATER
    from molvis_nmr.workflows.amounts import SUFFIXES
    from molvis_nmr.workflows.fit import read_window
    from molvis_nmr.workflows.mixture import DEFAULT, Asked, read_reference

    asked = Asked(
        library=tuple(library or [DEFAULT]), only=tuple(only or []), window=window,
        exclude=(WATER,) if exclude is None else tuple(read_window(text) for text in exclude),
        standard=None if standard.lower() == "none" else standard, concentration=concentration, unit=unit,
        dilution=dilution, reference=None if reference is None else read_reference(reference), tube=tube, limit=limit,
        least_probability=probability,
    )  # fmt: skip
    if len(spectra) > 1 or (out is not None and out.suffix.lower() in SUFFIXES):
        _many(spectra, out, reports, asked)
    else:
        _one(spectra[0], out, asked)


def _many(spectra: list[Path], out: Path | None, reports: Path | None, asked: object) -> None:
    from molvis_core.errors import ConfigError
    from molvis_nmr.workflows.amounts import SUFFIXES
    from molvis_nmr.workflows.mixture import Asked, quantify_files

    assert isinstance(asked, Asked)
    if out is None or out.suffix.lower() not in SUFFIXES:
        raise ConfigError("several spectra go into one table: name it with --out TABLE.csv, or TABLE.mztab for mzTab-M")
    with output.progress("quantifying") as show:
        failed = quantify_files(spectra, out, asked, reports=reports, progress=show)
    for line in failed:
        output.note(line)
    output.note(f"{len(spectra) - len(failed)} of {len(spectra)} samples in {out}")
    if failed:
        raise typer.Exit(1)


def _one(spectrum: Path, out: Path | None, asked: object) -> None:
    from molvis_nmr.report.mixture import quantification_summary, write_quantification
    from molvis_nmr.workflows.mixture import Asked, quantify_file

    assert isinstance(asked, Asked)
    with output.progress("quantifying") as show:
        found = quantify_file(spectrum, asked, progress=show)
    if out is not None:
        settings = {"spectrum": spectrum.name, "library": ", ".join(Path(p).name for p in asked.library)}
        write_quantification(out, found, title=spectrum.stem, settings=settings)
    if output.as_json(quantification_summary(found)):
        return
    rows = [
        [
            m.name,
            f"{m.amount if m.concentration is None else m.concentration:.4g}",
            f"{m.error if m.concentration_error is None else m.concentration_error:.2g}",
            f"{m.significance:.0f}",
            f"{m.probability:.2f}",
            f"{1000 * m.moved:.1f}",
            m.note,
        ]
        for m in found.present
    ]
    columns = ["compound", found.unit or "amount", "error", "significance", "probability", "moved, ppb", "note"]
    output.print_table(columns, rows)
    output.note(f"ROI IoU {found.roi_iou:.3f}; {100 * found.unexplained:.1f}% of the signal is not explained")
    if found.problem:
        output.note(found.problem)
    if out is not None:
        output.note(f"the report to look at: {out / 'report.html'}")
