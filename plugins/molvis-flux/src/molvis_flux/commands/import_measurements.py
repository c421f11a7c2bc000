"""`molvis flux import`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molvis_core import output
from molvis_files.arguments import existing
from molvis_flux.commands.reading import Options, Reader

if TYPE_CHECKING:
    from molvis_flux.formats.isotopologues import Layout


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
    table: Annotated[
        list[str] | None,
        typer.Option(
            "--table",
            help="KEY=VALUE of the tables: sheet, delimiter, unit (fraction, percent, area), or a column's heading: "
            "compound, mass, value, sd, sample, formula. May be repeated.",
        ),
    ] = None,
    reader: Reader = None,
    option: Options = None,
) -> None:
    """Join measured tables to a network: proposes which compound is which metabolite, and says what it assumed."""
    existing(network, what="a network")
    from molvis_flux.formats.importing import ErrorModel, import_measurements
    from molvis_flux.formats.isotopologues import read_isotopologues
    from molvis_flux.formats.options import open_study
    from molvis_flux.formats.writers import write_study

    for path in tables:
        existing(path, what="a table")
    layout = _layout(table)
    study = import_measurements(
        open_study(network, reader=reader, options=option),
        [item for path in tables for item in read_isotopologues(path, layout)],
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


def _layout(texts: list[str] | None) -> Layout:
    """How tables are written, of `KEY=VALUE`.

    Raises:
        ReadError: a key that there is not, or a value that cannot be.
    """
    from molvis_core.errors import ReadError, did_you_mean
    from molvis_flux.formats.isotopologues import COLUMNS, UNITS, Layout

    given = _pairs("--table", texts)
    keys = ("sheet", "delimiter", "unit", *COLUMNS)
    for key, value in given.items():
        if key not in keys:
            raise ReadError("--table", f"there is no {key!r}.{did_you_mean(key, keys)} There are {', '.join(keys)}")
        if key == "unit" and value not in UNITS:
            raise ReadError("--table", f"unit is {value!r}; it is {', '.join(UNITS)}")
    columns = {key: value for key, value in given.items() if key in COLUMNS}
    return Layout(given.get("sheet", ""), given.get("delimiter", ""), given.get("unit", ""), columns)


def _pairs(option: str, texts: list[str] | None) -> dict[str, str]:
    """Both sides of `A=B`.

    Raises:
        ReadError: a text without `=`.
    """
    from molvis_core.errors import ReadError

    if bad := [text for text in texts or () if "=" not in text]:
        raise ReadError(option, f"{bad[0]!r} has no `=`; see `molvis flux import --help`")
    return dict(text.split("=", 1) for text in texts or ())
