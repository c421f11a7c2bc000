"""`molvis config`: configurations of training runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molvis_core import output
from molvis_core.completion import names
from molvis_files.documents import write_toml
from molvis_files.writing import write_text


def fill(
    config: Annotated[
        str, typer.Argument(autocompletion=names("preset"), help="A TOML file, or the name of a preset.")
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write to this file, not to standard output.")] = None,
) -> None:
    """Write out a configuration with every default.

    The filled file means the same run, and goes on meaning it when a default changes.
    """
    from molvis_retrieval import config as configs

    filled = configs.fill(configs.read_config(configs.config_path(config)))
    text = write_toml(filled)
    if out is not None:
        write_text(out, text)
        output.note(f"wrote {out}")
    if not output.as_json(filled) and out is None:
        print(text, end="")


def presets(
    name: Annotated[
        str, typer.Argument(autocompletion=names("preset"), help="Print this one; without a name, all are listed.")
    ] = "",
) -> None:
    """List the presets that plugins ship, or print one to start from."""
    from molvis_core import registry
    from molvis_retrieval import config as configs

    if name and output.as_json(configs.fill(configs.read_config(configs.config_path(name)))):
        return
    if name:
        print(configs.config_path(name).read_text(encoding="utf-8"), end="")
    else:
        if output.as_json(registry.components("preset")):
            return
        rows = [(c.name, c.summary, c.distribution) for c in registry.components("preset")]
        output.print_table(("preset", "what", "from"), rows)
