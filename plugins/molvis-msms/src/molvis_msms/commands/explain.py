"""`molvis explain`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molvis_core import output
from molvis_core.completion import names
from molvis_core.errors import ConfigError
from molvis_files.arguments import existing, writable

if TYPE_CHECKING:
    from molvis_msms.explanation.annotations import Explained
    from molvis_msms.explanation.peaks import Explanation, Substructure

NOTHING_EXPLAINED = 3
"""Exit status where no spectrum could be explained."""
FEW = 5
"""Spectra up to which every peak is printed."""


def explain(
    spectra: Annotated[
        list[Path] | None, typer.Argument(metavar="[SPECTRA]...", help="Spectra: MGF, MSP, MassBank, mzML, ...")
    ] = None,
    *,
    structure: Annotated[
        list[str] | None,
        typer.Option(help="SMILES to explain by; several: the first against the others. Else those that files name."),
    ] = None,
    ppm: Annotated[float, typer.Option(min=0.1, max=100.0, help="Tolerance of peaks, 0.8 mDa at least.")] = 15.0,
    top: Annotated[int, typer.Option(min=1, help="Number of substructures of a peak.")] = 3,
    reader: Annotated[
        str | None,
        typer.Option(autocompletion=names("reader"), help="Reader, instead of one chosen by the file's ending."),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write .json or .mzSpecLib.txt; of a collection, .parquet."),
    ] = None,
    report: Annotated[Path | None, typer.Option("--report", "--html", help="Write a page with the spectra.")] = None,
    collection: Annotated[
        Path | None, typer.Option(help="Explain all spectra of a table or a file of known compounds, into --output.")
    ] = None,
    fold: Annotated[str | None, typer.Option(help="Of a collection: only this fold.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Of a collection: at most so many spectra.")] = None,
) -> None:
    """Say of each peak which substructures of a molecule it can be.

    Each is a connected set of atoms whose ion fits within the tolerance, with its path from the precursor, the classes
    that it holds, and a probability; what is left is the probability that the peak is none of them.

    With --collection the peaks of all spectra become rows of a Parquet table, with a card beside it (.md). The same
    command goes on where it was interrupted.

    Exit status 0: at least one spectrum was explained. 3: none was.
    """
    existing(*(spectra or ()), what="a file of spectra")
    existing(collection, what="a collection of spectra")
    writable(write, report)
    if collection:
        _collect(collection, write, spectra or report or structure, fold, limit, ppm, top)
        return
    if not spectra:
        raise ConfigError("name files of spectra (molvis explain a.mgf), or a --collection and its --output")
    if fold or limit:
        raise ConfigError("--fold and --limit belong to a --collection")
    from molvis_msms.explanation.reading import explain_all, read_files, read_structures

    chosen = read_structures(structure or ())
    items = read_files(spectra, reader)
    with output.progress("explaining") as show:
        found, problems = explain_all(items, chosen, ppm=ppm, most=top, progress=show)
    if write:
        from molvis_msms.explanation.annotations import write as write_annotations

        write_annotations(write, found)
    if report:
        from molvis_msms.explanation.report import write_report

        write_report(report, found, file=", ".join(path.name for path in spectra))
    _show(found, problems)


def _collect(
    collection: Path,
    write: Path | None,
    others: object,
    fold: str | None,
    limit: int | None,
    ppm: float,
    top: int,
) -> None:
    """Explain a collection, and print what is in the table."""
    if write is None:
        raise ConfigError("--collection needs --output, the Parquet table that is written")
    if others:
        raise ConfigError("--collection takes no other spectra, no --structure and no --report")
    from molvis_msms.explanation.collection import Choice, explain_collection

    output.resumes()
    with output.progress("explaining") as show:
        found = explain_collection(collection, write, Choice(fold, limit, ppm, top), progress=show)
    if output.as_json(found):
        return
    share = "-" if found.explained_intensity is None else f"{found.explained_intensity:.1%}"
    output.print_table(
        ["spectra", "compounds", "peaks", "explained", "intensity explained", "rows"],
        [(found.spectra, found.compounds, found.peaks, found.explained_peaks, share, found.rows)],
    )
    for reason, count in found.left_out.items():
        output.note(f"left out: {count:,}: {reason}")
    output.note(f"{found.path} and its card {found.path.with_suffix('.md')}")


def _show(found: Sequence[Explained], problems: Sequence[str]) -> None:
    """Print the peaks, or a line for each of many spectra, and exit with `NOTHING_EXPLAINED` where there is none."""
    from molvis_msms.explanation.annotations import to_json

    if not output.as_json(to_json(found)):
        for one in found if len(found) <= FEW else ():
            output.print_table(
                ["m/z", "intensity", "probability", "ion", "ppm", "substructure", "path", "classes"],
                [row for peak in range(len(one.found.spectrum)) for row in _rows(one.found, peak)],
                title=f"{one.name}: {one.found.structure.smiles}",
            )
            output.note(_summary(one.found))
            if one.rivals:
                _show_separating(one)
        if len(found) > FEW:
            output.print_table(
                ["spectrum", "structure", "peaks", "explained", "intensity explained"],
                [
                    (
                        one.name, one.found.structure.smiles, len(one.found.spectrum), len(one.found.best),
                        None if one.found.explained is None else f"{one.found.explained:.1%}",
                    )
                    for one in found
                ],
            )  # fmt: skip
            output.note("--json, --output and --report have every peak")
    for line in problems[:FEW]:
        output.note(f"not explained: {line}")
    if len(problems) > FEW:
        output.note(f"not explained: {len(problems) - FEW} more")
    if not found:
        raise typer.Exit(NOTHING_EXPLAINED)


def _rows(found: Explanation, peak: int) -> list[tuple[object, ...]]:
    """The first substructure of a peak, and others that are nearly as probable."""
    some = found.peaks[peak]
    mz = f"{found.spectrum.mz[peak]:.4f}"
    height = f"{found.spectrum.intensity[peak] / found.spectrum.intensity.max():.1%}"
    if not some or found.unexplained[peak] >= 0.5:
        return [(mz, height, f"{found.unexplained[peak]:.2f}", "unexplained", None, None, None, None)]
    shown = [one for one in some if one is some[0] or one.probability >= some[0].probability / 2]
    return [
        (
            mz if one is some[0] else "", height if one is some[0] else "", f"{one.probability:.2f}", _ion(one),
            f"{one.ppm:+.1f}", one.smiles, " > ".join(_step(s.loss, s.formula) for s in one.path),
            ", ".join(dict.fromkeys(c.name for c in one.classes)) or None,
        )
        for one in shown
    ]  # fmt: skip


def _ion(one: Substructure) -> str:
    return f"{one.formula} ({one.isotope})" if one.isotope else one.formula


def _step(loss: str, formula: str) -> str:
    return f"-{loss} {formula}" if loss else formula


def _summary(found: Explanation) -> str:
    share = "" if found.explained is None else f"{found.explained:.0%} of the intensity below the precursor explained; "
    return f"{share}mass errors {found.offset:+.1f} ± {found.width:.1f} ppm"


def _show_separating(one: Explained) -> None:
    """Print which peaks speak for the first structure against the second."""
    from molvis_msms.explanation.annotations import separating

    rival = one.rivals[0]
    rows = [
        (f"{p['mz']:.4f}", f"{p['evidence']:+.2f}", f"{p['first']:.2f}", f"{p['second']:.2f}")
        for p in separating(one.found, rival)
    ]
    output.print_table(
        ["m/z", "evidence", "explained by first", "by second"],
        rows,
        title=f"for {one.found.structure.smiles} (+) against {rival.structure.smiles} (-)",
    )
