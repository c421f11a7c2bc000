"""`molvis predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molvis_core import output
from molvis_core.completion import names
from molvis_files.arguments import writable


def predict(
    predictor: Annotated[
        str,
        typer.Argument(
            autocompletion=names("predictor"), help="Name of a predictor; `molvis list predictor` lists them."
        ),
    ],
    structures: Annotated[list[str], typer.Argument(metavar="STRUCTURE...", help="Files of structures, or SMILES.")],
    settings: Annotated[list[str] | None, typer.Option("--set", help="Argument of the predictor: KEY=VALUE.")] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option("--column", help="One of the values that it predicts, such as [M+H]+; several."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File for the result: .csv or .json.")] = None,
) -> None:
    """Predict what would be measured of structures, with any installed predictor: mean and standard deviation."""
    writable(out)
    from molvis_retrieval.predicting import predict_structures, write_predictions

    with output.progress("predicting") as show:
        found = predict_structures(predictor, structures, settings or [], columns=columns or (), progress=show)
    if out:
        write_predictions(out, found)
    if not output.as_json(found):
        rows = [(p.structure, p.column or None, f"{p.mean:.6g}", f"{p.sd:.3g}") for p in found]
        output.print_table(("structure", "of", "mean", "sd"), rows, title=predictor)
