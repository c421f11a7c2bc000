"""`molvis formula`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from molvis_core import output
from molvis_core.completion import names
from molvis_files.arguments import existing, writable

if TYPE_CHECKING:
    from molvis_formula.results import Answer

NOTHING_FOUND = 3
"""Exit status where no spectrum has a formula."""
FEW = 5
"""Spectra up to which several formulas of each are printed."""


def formula(
    spectra: Annotated[list[Path], typer.Argument(help="Spectra: MGF, MSP, mzML, ... Each is an unknown.")],
    *,
    adduct: Annotated[
        str | None, typer.Option(help="Adduct of all ions; else the file's, else the usual ones compete.")
    ] = None,
    ppm: Annotated[float, typer.Option(min=0.1, max=100.0, help="Tolerance of the precursor: three of its sd.")] = 10.0,
    peak_ppm: Annotated[float, typer.Option(min=0.1, max=100.0, help="Tolerance of peaks, 0.8 mDa at least.")] = 10.0,
    elements: Annotated[
        str, typer.Option(help="Elements to try, with limits: CHNOPS, CHNOCl[3]Br[1-2].")
    ] = "CHNOPSFClBrI",
    rules: Annotated[
        Literal["common", "extended", "valence"], typer.Option(help="Which formulas a molecule may have.")
    ] = "common",
    ms1: Annotated[
        Path | None, typer.Option(help="Isotope patterns: MGF, .ms or a list of peaks; else in the file itself.")
    ] = None,
    known: Annotated[
        Path | None, typer.Option("--library", help="Formulas that are likelier than others: one a line, or a CSV.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Number of formulas of each spectrum.")] = 10,
    reader: Annotated[
        str | None,
        typer.Option(autocompletion=names("reader"), help="Reader, instead of one chosen by the file's ending."),
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write a table of all formulas.")] = None,
) -> None:
    """Rank the sum formulas that ions may have.

    All formulas within the tolerance that keep the rules are listed; the precursor's mass, the isotope pattern and
    the sub-formulas that explain peaks give each a probability. What cannot be read is reported, and the rest goes on.

    Exit status 0: at least one spectrum has a formula. 3: none has.
    """
    existing(*spectra, what="a file of spectra")
    existing(ms1, what="a file of MS1 spectra")
    existing(known, what="a list of formulas")
    writable(csv)
    from molvis_core.chemistry.adducts import parse_adduct
    from molvis_formula.elements import parse_elements
    from molvis_formula.ranking import FormulaSettings
    from molvis_formula.results import rank_all, read_known, read_spectra, write_csv
    from molvis_formula.rules import rules_named
    from molvis_formula.survey import read_surveys

    if adduct:
        parse_adduct(adduct)
    parse_elements(elements)
    listed = read_known(known) if known else None
    settings = FormulaSettings(ppm, peak_ppm, elements, rules_named(rules), known=listed)
    queries = [item for path in spectra for item in read_spectra(path, reader)]
    sources = [ms1] if ms1 else [p for p in spectra if p.name.lower().endswith((".mgf", ".mgf.gz"))]
    surveys = [survey for path in sources for survey in read_surveys(path)]
    with output.progress("ranking formulas") as show:
        found = rank_all(queries, surveys=surveys, adduct=adduct, settings=settings, top=top, progress=show)
    if csv:
        write_csv(csv, found)
    _show(found)


def _show(found: Sequence[Answer]) -> None:
    """Print the formulas, and exit with `NOTHING_FOUND` where there are none."""
    if not output.as_json(found):
        rows = [
            (
                one.spectrum, rank, c.formula, c.adduct, f"{c.probability:.3f}", f"{c.ppm:+.2f}",
                None if c.explained is None else f"{c.explained:.0%}", c.peaks,
                None if c.isotopes is None else f"{c.isotopes:.1f}",
            )
            for one in found
            for rank, c in enumerate(one.formulas if len(found) <= FEW else one.formulas[:1], start=1)
        ]  # fmt: skip
        if rows:
            columns = ["spectrum", "rank", "formula", "adduct", "probability", "ppm", "explained", "peaks", "isotopes"]
            output.print_table(columns, rows)
        if len(found) > FEW:
            output.note("the likeliest formula of each is shown; --json and --csv have the others")
    problems = [one for one in found if one.problem]
    for one in problems[:FEW]:
        output.note(f"{one.spectrum}: {one.problem}")
    if len(problems) > FEW:
        output.note(f"{len(problems) - FEW} more without a formula; --json and --csv state why")
    if not any(one.formulas for one in found):
        raise typer.Exit(NOTHING_FOUND)
