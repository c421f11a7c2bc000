"""`molvis translation`: translations of spectra between settings of instruments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molvis_core import output
from molvis_core.completion import names
from molvis_files.arguments import existing


def train(
    spectra: Annotated[list[Path], typer.Argument(help="Spectra of known compounds at several settings.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the translation.")],
    reader: Annotated[
        str | None,
        typer.Option(autocompletion=names("reader"), help="Reader, instead of one chosen by the file's ending."),
    ] = None,
    fold: Annotated[str | None, typer.Option(help="Only spectra of this fold, where the files name folds.")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Each sees every compound once.")] = 60,
    stop: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many epochs; the learning rate falls over all of them.")
    ] = None,
    min_compounds: Annotated[
        int, typer.Option(min=1, help="Fragments and losses of fewer compounds are left out.")
    ] = 6,
    seed: Annotated[int, typer.Option(help="Of everything drawn.")] = 0,
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint of an interrupted training.")] = True,
) -> None:
    """Train a translation on spectra of known compounds.

    Used are compounds with two spectra of one ion, with structure, adduct and collision energy. The same command goes
    on after an interruption.
    """
    existing(*spectra, what="a file of spectra")
    from molvis_msms.translation.training import train as run

    with output.progress("training") as show:
        report = run(
            spectra, out, reader=reader, fold=fold, epochs=epochs, stop=stop, min_compounds=min_compounds, seed=seed,
            resume=resume, progress=show,
        )  # fmt: skip
    if output.as_json(report):
        return
    output.print_table(
        ["compounds", "spectra", "formulas", "root cosine of the last epoch"],
        [(report.compounds, report.spectra, report.formulas, f"{report.root_cosine:.3f}")],
    )
    if report.unreadable:
        output.note(f"{report.unreadable} records could not be read")
