"""`molvis flux import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molvis_core import output
from molvis_files.arguments import existing


def import_(
    network: Annotated[Path, typer.Argument(help="The network, in any format that is read; a file or a folder.")],
    tables: Annotated[
        list[Path], typer.Argument(help="Tables of isotopologues: IsoCor, El-MAVEN, or any long or wide table.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The study in the TOML of molvis.")],
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="COMPOUND=METABOLITE or COMPOUND=FRAGMENT; nothing behind = leaves it out."),
    ] = None,
    tracer: Annotated[
        list[str] | None, typer.Option("--tracer", help="SOURCE=LABEL, such as Glc=U-13C or Glc=110000.")
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Natural isotopes are still in the data.")] = False,
    floor: Annotated[
        float, typer.Option("--sd", min=0.0, help="Least standard deviation where a table has none.")
    ] = 0.01,
    relative: Annotated[
        float, typer.Option("--relative-sd", min=0.0, help="The same, as a share of the fraction.")
    ] = 0.0,
) -> None:
    """Join measured tables to a network: proposes which compound is which metabolite, and says what it assumed."""
    existing(network, what="a network")
    from molvis_flux.formats import read_study
    from molvis_flux.formats.importing import ErrorModel, import_measurements
    from molvis_flux.formats.isotopologues import read_isotopologues
    from molvis_flux.formats.writers import write_study

    for table in tables:
        existing(table, what="a table")
    study = import_measurements(
        read_study(network),
        [item for table in tables for item in read_isotopologues(table)],
        names=_pairs("--name", name),
        tracers=_pairs("--tracer", tracer),
        raw=raw,
        errors=ErrorModel(floor, relative),
    )
    write_study(out, study)
    rows = [(e.name, d.target, sum(v == v for v in d.values)) for e in study.experiments for d in e.data]
    found = {"out": out, "measurements": len(rows), "notes": study.notes}
    if not output.as_json(found):
        output.print_table(("experiment", "fragment", "masses"), rows)
    for note in study.notes:
        output.note(note)
    output.note(f"{len(rows)} distributions in {out}")


def _pairs(option: str, texts: list[str] | None) -> dict[str, str]:
    """Both sides of `A=B`.

    Raises:
        ReadError: a text without `=`.
    """
    from molvis_core.errors import ReadError

    if bad := [text for text in texts or () if "=" not in text]:
        raise ReadError(option, f"{bad[0]!r} has no `=`; see `molvis flux import --help`")
    return dict(text.split("=", 1) for text in texts or ())
