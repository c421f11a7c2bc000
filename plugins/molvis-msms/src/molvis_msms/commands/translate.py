"""`molvis translate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molvis_core import output
from molvis_core.completion import names
from molvis_files.arguments import existing, writable

if TYPE_CHECKING:
    from molvis_msms.translation.run import Translated

NOTHING_TRANSLATED = 3
"""Exit status where no spectrum was translated."""
FEW = 12
"""Translations up to which each has a line."""


def translate(
    spectra: Annotated[list[Path], typer.Argument(help="Spectra: MGF, MSP, mzML, ...")],
    energy: Annotated[
        list[str] | None, typer.Option("--energy", "-e", help="Collision energy: 40, 40eV or 30NCE; several.")
    ] = None,
    instrument: Annotated[
        str | None, typer.Option(help="QTOF, Orbitrap or ion trap; that of the spectrum by default.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the spectra: .mgf, .msp or .json.")] = None,
    structure: Annotated[str | None, typer.Option(help="SMILES of the compound of all spectra.")] = None,
    formula: Annotated[str | None, typer.Option(help="Formula of the compound of all spectra.")] = None,
    translation: Annotated[
        str, typer.Option(help="Folder that molvis translation train made, or the name of a shipped one.")
    ] = "massbank",
    reader: Annotated[
        str | None,
        typer.Option(autocompletion=names("reader"), help="Reader, instead of one chosen by the file's ending."),
    ] = None,
    json_file: Annotated[Path | None, typer.Option(help="Write JSON; --json prints it.")] = None,
    report: Annotated[Path | None, typer.Option("--report", "--html", help="Write a page of mirror plots.")] = None,
) -> None:
    """Translate spectra to other energies or instruments.

    What a compound's spectrum would look like there: measured peaks become higher, lower or vanish, and fragments and
    losses that are common appear. A formula, given or named by the file, keeps out peaks that are no part of it. Where
    the files hold a spectrum of the same ion at these settings, the agreement with it is shown.

    Exit status 0: at least one spectrum was translated. 3: none was.
    """
    existing(*spectra, what="a file of spectra")
    writable(out, json_file, report)
    from molvis_core.errors import ConfigError
    from molvis_msms.references.search import read_spectra
    from molvis_msms.translation.run import find_translation, write_json, write_spectra
    from molvis_msms.translation.run import translate as run
    from molvis_msms.translation.translator import Translator

    if structure is not None:
        from molvis_core.chemistry.structures import structure as read

        if formula is not None:
            raise ConfigError("--structure and --formula: give one of them; a structure has a formula")
        formula = read(structure).formula
    translator = Translator.open(find_translation(translation))
    queries = [item for path in spectra for item in read_spectra(path, reader)]
    with output.progress("translating") as show:
        found = run(translator, queries, energy or (), instrument, formula=formula, progress=show)
    if out:
        write_spectra(out, found)
    if json_file:
        write_json(json_file, found)
    if report:
        from molvis_msms.translation.report import write_report

        write_report(report, found, translator, file=", ".join(path.name for path in spectra))
    _show(found, out)


def _show(found: Sequence[Translated], out: Path | None) -> None:
    """Print what was translated, and exit with `NOTHING_TRANSLATED` where nothing was."""
    from molvis_msms.translation.run import to_json

    if not output.as_json(to_json(found)):
        rows = [
            (
                one.query, _settings(one, source=True), _settings(one, source=False), len(one.result.record),
                None if one.agreement is None else f"{one.agreement:.3f}",
                None if one.copied is None else f"{one.copied:.3f}",
            )
            for one in found
            if one.result
        ]  # fmt: skip
        if rows:
            columns = ["spectrum", "from", "to", "peaks", "like measured", "copy like measured"]
            output.print_table(columns, rows[:FEW])
        if len(rows) > FEW:
            output.note(f"{len(rows) - FEW} more translations are not shown; --out, --json and --report have all")
        for one in [one for one in found if one.problem][:FEW]:
            output.note(f"not translated: {one.query}: {one.problem}")
        if rows and not out:
            output.note("nothing was written: --out FILE writes the spectra")
    if not any(one.result for one in found):
        raise typer.Exit(NOTHING_TRANSLATED)


def _settings(one: Translated, *, source: bool) -> str:
    from molvis_msms.translation.settings import Settings

    settings = Settings.of(one.source.record) if source and one.source else one.target
    if settings is None:
        return ""
    return f"{'?' if settings.energy is None else f'{settings.energy:.4g}'} eV, {settings.instrument}"
