"""`molvis predict`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molvis_core import output
from molvis_core.completion import names
from molvis_core.errors import ConfigError
from molvis_files.arguments import existing, writable

if TYPE_CHECKING:
    from molvis_core.interfaces import PredictsRecords


def predict(
    predictor: Annotated[
        str,
        typer.Argument(
            autocompletion=names("predictor"), help="Name of a predictor (`molvis list predictor` lists them), or ccs."
        ),
    ],
    structures: Annotated[list[str], typer.Argument(metavar="STRUCTURE...", help="Files of structures, or SMILES.")],
    settings: Annotated[list[str] | None, typer.Option("--set", help="Argument of the predictor: KEY=VALUE.")] = None,
    adduct: Annotated[
        str | None, typer.Option(help="Of the ions: [M+H]+; several with commas. As --set adduct=.")
    ] = None,
    energy: Annotated[str | None, typer.Option(help="In eV: 20; several with commas. As --set energy=.")] = None,
    instrument: Annotated[str | None, typer.Option(help="Type, such as LC-ESI-QTOF. As --set instrument=.")] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option("--column", help="One of the values that it predicts, such as [M+H]+; several."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="File for the result: .csv or .json; of spectra .mgf, .msp or .json."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", "--html", help="Draw predicted spectra as an HTML page.")
    ] = None,
    measured: Annotated[
        Path | None, typer.Option(help="Measured spectra, which the page shows below the predicted ones.")
    ] = None,
) -> None:
    """Predict what would be measured of structures, with any installed predictor.

    Of numbers, such as cross sections, it gives mean and standard deviation; of spectra a spectrum for each setting.
    """
    writable(out, report)
    if measured:
        existing(measured, what="a file of measured spectra")
    from molvis_core.interfaces import PredictsRecords
    from molvis_retrieval.predicting import build_predictor, predict_structures, predictor_named, write_predictions

    predictor = predictor_named(predictor)
    options = {"adduct": adduct, "energy": energy, "instrument": instrument}
    named = {key: value for key, value in options.items() if value is not None}
    _check_options(predictor, named)
    given = [*(settings or []), *(f"{key}={value}" for key, value in named.items())]
    made = build_predictor(predictor, given)
    if isinstance(made, PredictsRecords):
        _records(made, structures, columns, out, (report, measured))
        return
    if report:
        raise ConfigError(f"--report: predictor {predictor} gives numbers, and the page is of spectra")
    with output.progress("predicting") as show:
        found = predict_structures(predictor, structures, given, columns=columns or (), progress=show)
    if out:
        write_predictions(out, found)
    if not output.as_json(found):
        rows = [(p.structure, p.column or None, f"{p.mean:.6g}", f"{p.sd:.3g}") for p in found]
        output.print_table(("structure", "of", "mean", "sd"), rows, title=predictor)


def _check_options(predictor: str, named: Collection[str]) -> None:
    """Raise `ConfigError` where the predictor has no argument of an option's name."""
    from molvis_core import registry

    known = registry.parameters("predictor", predictor)
    for key in named:
        if key not in known:
            hint = " Values that it predicts are chosen with --column." if key == "adduct" else ""
            takes = ", ".join(known) or "none"
            raise ConfigError(f"--{key}: predictor {predictor!r} has no argument {key!r}. It takes: {takes}.{hint}")


def _records(
    made: PredictsRecords,
    structures: Sequence[str],
    columns: Sequence[str] | None,
    out: Path | None,
    page: tuple[Path | None, Path | None],
) -> None:
    """Predict records, write, draw and show them."""
    from molvis_retrieval.predicting import predict_records, summary, write_records

    if columns:
        raise ConfigError(f"--column {columns[0]}: this predictor gives {made.predicts} records, which have no columns")
    with output.progress("predicting") as show:
        found = predict_records(made, structures, progress=show)
    if out:
        write_records(out, found)
    report, measured = page
    if report:
        from molvis_retrieval.predicted_page import write_predicted
        from molvis_retrieval.references import read_references

        write_predicted(report, found, read_references(measured) if measured else None)
    rows = [summary(one) for one in found]
    if not output.as_json(rows):
        shown = [key for key, value in rows[0].items() if key != "smiles" and not isinstance(value, list)]
        output.print_table(shown, [tuple(row[key] for key in shown) for row in rows], title=made.predicts)
