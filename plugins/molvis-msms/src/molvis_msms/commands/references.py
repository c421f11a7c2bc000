"""`molvis references`: indexes of reference spectra."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molvis_core import output
from molvis_core.completion import names
from molvis_files.arguments import existing


def build(
    spectra: Annotated[list[Path], typer.Argument(help="Spectra of known compounds: MSP, MGF, MassBank, mzML, ...")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the index.")],
    reader: Annotated[
        str | None,
        typer.Option(autocompletion=names("reader"), help="Reader, instead of one chosen by the file's ending."),
    ] = None,
    fold: Annotated[str | None, typer.Option(help="Only spectra of this fold, where the files name folds.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first record that cannot be read.")] = False,
) -> None:
    """Index files of spectra of known compounds as references.

    The licence, contributor and authors of each record are kept. A record that is left out is counted by its reason,
    and listed in problems.csv; an interrupted build leaves nothing behind.
    """
    existing(*spectra, what="a file of reference spectra")
    from molvis_msms.references.folder import build as make

    with output.progress("building") as show:
        report = make(spectra, out, reader=reader, fold=fold, strict=strict, progress=show)
    if output.as_json(report):
        return
    size = f"{report.size / 1e6:.1f} MB"
    output.print_table(
        ["spectra", "compounds", "peaks", "size"], [(report.spectra, report.compounds, report.peaks, size)]
    )
    if report.left_out:
        shown = list(report.reasons.items())[:10]
        rest = report.left_out - sum(count for _, count in shown)
        rows = [*shown, *([("other reasons", rest)] if rest else [])]
        output.print_table(["left out because", "records"], rows)
        output.note(f"{report.left_out:,} records left out; each with its reason is in {report.path / 'problems.csv'}")


def describe(
    path: Annotated[Path, typer.Argument(help="The index of reference spectra.")],
) -> None:
    """Describe what is in an index of references: spectra, compounds, adducts, instruments, licences.

    Its files are compared with their digests; one that is damaged is an error.
    """
    existing(path, what="an index of reference spectra")
    from molvis_msms.references.folder import describe as count

    found = count(path)
    if output.as_json(found):
        return
    rows: list[tuple[str, object]] = [
        ("spectra", f"{found.spectra:,}"),
        ("compounds", f"{found.compounds:,}"),
        ("peaks", f"{found.peaks:,}"),
        ("size", f"{found.size / 1e6:.1f} MB"),
        ("made of", ", ".join(found.sources)),
    ]
    for name, counts in {**found.counts, "left_out": found.left_out}.items():
        parts = [f"{value}: {count:,}" for value, count in list(counts.items())[:8]]
        more = f", and {len(counts) - 8} more" if len(counts) > 8 else ""
        rows.append((name.replace("_", " "), ", ".join(parts) + more))
    output.print_table(["references", ""], rows)
