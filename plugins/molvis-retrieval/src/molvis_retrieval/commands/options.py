"""Options of this package's commands: those that several share, and those that need more than a line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from molvis_core.completion import names
from molvis_files.arguments import existing

Library = Annotated[
    Path, typer.Option("--library", "-l", help="Structures (SMILES, SDF, CSV, Parquet), or an index made of some.")
]
Libraries = Annotated[
    list[Path],
    typer.Option("--library", "-l", help="Structures (SMILES, SDF, CSV, Parquet) or an index; several, by priority."),
]
Ppm = Annotated[float, typer.Option(help="Half width of the mass window in ppm.")]
Device = Annotated[str | None, typer.Option(help="PyTorch device, such as cpu or cuda:0.")]
Processes = Annotated[
    int | None, typer.Option(min=1, help="Processes that rank many unknowns side by side; all processors by default.")
]
EngineOption = Annotated[
    Literal["local", "processes", "ray"] | None,
    typer.Option("--engine", help="Where work is done: here, in processes, or in those of Ray; processes by default."),
]
Address = Annotated[
    str | None, typer.Option(help="Ray cluster for --engine ray, such as auto; without it Ray is started here.")
]
BundleName = Annotated[
    str, typer.Option("--bundle", "-b", autocompletion=names("bundle"), help="Name of a shipped bundle, or a folder.")
]
Candidates = Annotated[
    Literal["auto", "mass", "formula", "all"],
    typer.Option(
        help="Which candidates: of the mass, of the formula, or all of the library; auto takes what is known. "
        "Among all, embeddings rank alone, since scorers are calibrated among candidates of one mass."
    ),
]
Measured = Annotated[
    list[str] | None,
    typer.Option(
        "--measured", "--with", help="Any measurement of it: MODALITY=FILE, such as ir=a.jdx; ccs=145.2; several."
    ),
]
Doubt = Annotated[
    float, typer.Option(help="How probable it is beforehand that one of its measurements is another compound's.")
]
Adducts = Annotated[
    str | None,
    typer.Option(help="Adducts to try for ions that name none: [M+H]+,[M+Na]+ or positive; else the likely ones."),
]
Reader = Annotated[
    str | None, typer.Option(autocompletion=names("reader"), help="Reader, instead of one chosen by the file's ending.")
]
Reference = Annotated[
    Path | None,
    typer.Option(help="Spectra of known structures: the report holds that of the first candidate beside."),
]
References = Annotated[
    list[Path] | None,
    typer.Option(
        autocompletion=names("references"),
        help="Spectra of known compounds as evidence: an index that molvis references build made, or massbank. "
        "Several; for a bundle with a scorer that uses some.",
    ),
]
Calibrants = Annotated[
    Path | None,
    typer.Option(
        help="Table of cross sections that your own laboratory measured of known structures (smiles, adduct, DTCCSN2, "
        "TWCCS or TIMSCCS): its offset from others is corrected for."
    ),
]
Standards = Annotated[
    Path | None,
    typer.Option(help="Table of standards (name, smiles, rt_min): retention times become evidence, learned from them."),
]
FalseDiscoveries = Annotated[
    float | None, typer.Option(help="Leave out candidates above this false-discovery rate, such as 0.1.")
]
StandardSpectra = Annotated[
    Path | None,
    typer.Option(
        help="Spectra of your own standards (MGF, MSP) with structure, adduct and retention time: what agrees with "
        "one in m/z, MS/MS and time is at level 1."
    ),
]
StandardMinutes = Annotated[float, typer.Option(help="Minutes that times of a compound and its standard may differ.")]


def check_standards(times: Path | None, spectra: Path | None) -> None:
    """Raise an error where the files of `--standards` and `--standard-spectra` are not there."""
    existing(times, what="a table of standards: name, smiles, rt_min")
    existing(spectra, what="a file of spectra of your standards")
