"""`molvis search`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from molvis_core import output
from molvis_core.completion import names
from molvis_files.arguments import existing, folder_of, writable

if TYPE_CHECKING:
    from molvis_msms.references.search import Find, Searched, Settings

NOTHING_SEARCHED = 3
"""Exit status of a search in which no query could be searched."""
FEW = 10
"""Queries up to which several hits of each are shown."""


def search(
    spectra: Annotated[list[Path], typer.Argument(help="Spectra: MGF, MSP, mzML, ... Each is a query.")],
    references: Annotated[
        str,
        typer.Option(
            "--references",
            "-r",
            autocompletion=names("references"),
            help="Index that molvis references build made, or massbank.",
        ),
    ],
    similarity: Annotated[
        Literal["cosine", "entropy", "hybrid", "neutral-loss", "peaks-and-losses"],
        typer.Option(help="Measure by which spectra are compared; hybrid is the modified cosine."),
    ] = "cosine",
    precursor_tolerance: Annotated[
        str | None,
        typer.Option(help="Tolerance of precursors: 10ppm, 0.01Da or none; 10ppm for cosine and entropy, else none."),
    ] = None,
    tolerance: Annotated[str, typer.Option(help="Tolerance of peaks: 0.01Da or 10ppm.")] = "0.01Da",
    power: Annotated[float, typer.Option(help="Power that intensities are raised to in cosines.")] = 0.5,
    matching: Annotated[
        Literal["greedy", "optimal"], typer.Option(help="How peaks are paired that could be paired in several ways.")
    ] = "greedy",
    top: Annotated[int, typer.Option(min=1, help="Number of hits for each query.")] = 10,
    min_score: Annotated[float, typer.Option(help="Least similarity of a hit.")] = 0.0,
    min_peaks: Annotated[int, typer.Option(min=1, help="Least number of matching peaks of a hit.")] = 1,
    translate: Annotated[
        bool,
        typer.Option(
            "--translate",
            help="Experimental: also compare each query as it would look at the settings of each reference.",
        ),
    ] = False,
    translation: Annotated[
        str, typer.Option(help="With --translate: folder of a translation, or the name of a shipped one.")
    ] = "massbank",
    reader: Annotated[
        str | None,
        typer.Option(autocompletion=names("reader"), help="Reader, instead of one chosen by the file's ending."),
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write a table of all hits.")] = None,
    json_file: Annotated[Path | None, typer.Option(help="Write JSON; --json prints it.")] = None,
    report: Annotated[Path | None, typer.Option("--report", "--html", help="Write a page of mirror plots.")] = None,
) -> None:
    """Search reference spectra for those that are like a query.

    The search is exact: every reference of the query's polarity is compared, as far as the tolerance of the precursor
    lets it. What cannot be read or searched is reported, and the rest goes on. With --translate the greater of two
    similarities counts: that of the query as it was measured, and that of its translation to the reference's settings.

    Exit status 0: at least one query was searched. 3: none was.
    """
    existing(*spectra, what="a file of spectra")
    folder = folder_of("references", references, make="Make one with: molvis references build SPECTRA --out FOLDER")
    writable(csv, json_file, report)
    from molvis_msms.references.index import References
    from molvis_msms.references.search import Settings, find, read_spectra
    from molvis_msms.references.search import search as run
    from molvis_msms.references.similarity import Tolerance
    from molvis_msms.references.similarity import similarity as named

    usual = "10ppm" if similarity in ("cosine", "entropy") else "none"
    wanted = precursor_tolerance or usual
    precursor = None if wanted.strip().lower() == "none" else Tolerance.parse(wanted)
    settings = Settings(named(similarity, tolerance, power, matching), precursor, top, min_score, min_peaks)
    queries = [item for path in spectra for item in read_spectra(path, reader)]
    index = References.open(folder)
    finding = _translating(translation) if translate else find
    with output.progress("searching") as show:
        found = run(index, queries, settings, finding=finding, progress=show)
    _write(found, csv, json_file)
    if report:
        from molvis_msms.references.report import write_report

        write_report(report, found, index, settings, file=", ".join(path.name for path in spectra))
    _show(found, settings)


def _translating(name: str) -> Find:
    """A search that translates queries, by the translation of this name or folder."""
    from molvis_msms.translation.run import find_translation
    from molvis_msms.translation.search import translating
    from molvis_msms.translation.translator import Translator

    return translating(Translator.open(find_translation(name)))


def _write(found: Sequence[Searched], csv: Path | None, json_file: Path | None) -> None:
    """Write the table and the JSON file, where they were asked for."""
    from molvis_msms.references.search import write_csv, write_json

    if csv:
        write_csv(csv, found)
    if json_file:
        write_json(json_file, found)


def _show(found: Sequence[Searched], settings: Settings) -> None:
    """Print what was found, and exit with `NOTHING_SEARCHED` where no query was searched."""
    from molvis_msms.references.search import to_json

    if not output.as_json(to_json(found)):
        most = 3 if len(found) <= FEW else 1
        columns = ["query", "rank", "score", "peaks", "adduct", "formula", "InChIKey", "compound", "reference"]
        rows = [
            (
                one.query, hit.rank, f"{hit.score:.3f}", hit.matched, hit.spectrum.adduct,
                hit.structure.formula if hit.structure else None,
                hit.structure.inchikey14 if hit.structure else None, hit.name, hit.spectrum.identifier,
            )
            for one in found
            for hit in one.hits[:most]
        ]  # fmt: skip
        if rows:
            output.print_table(columns, rows)
        for line in _remarks(found, settings):
            output.note(line)
    if all(one.problem for one in found):
        raise typer.Exit(NOTHING_SEARCHED)


def _remarks(found: Sequence[Searched], settings: Settings) -> list[str]:
    """How many queries have no hit, which were not searched, and where the rest is."""
    without = sum(not one.hits and not one.problem for one in found)
    near = f" within {settings.precursor} of the precursor" if settings.precursor else ""
    lines = [f"{without} of {len(found)} queries are like no reference{near}"] if without else []
    problems = [one for one in found if one.problem]
    lines += [f"not searched: {one.query}: {one.problem}" for one in problems[:FEW]]
    if len(problems) > FEW:
        lines.append(f"not searched: {len(problems) - FEW} more; --csv and --json list them with reasons")
    if len(found) > FEW:
        lines.append("one line a query; --csv and --json list all hits, --report draws them")
    return lines
