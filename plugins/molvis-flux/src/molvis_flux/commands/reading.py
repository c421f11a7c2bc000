"""The options of every command that reads a network of another program."""

from __future__ import annotations

from typing import Annotated

import typer

Reader = Annotated[
    str | None, typer.Option("--from", help="Reader, where several could; the one that recognises the file.")
]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        help="KEY=VALUE of the reader, such as status=status.csv, data.one=mid.txt or tracers.Glc=U-13C; "
        "docs/flux/models.md has those of each format. May be repeated.",
    ),
]
