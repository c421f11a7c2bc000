"""A command parses, calls the library, and prints. Heavy imports stand inside: `molvis --help` stays fast."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molvis_core import output
from molvis_files.arguments import existing


def show(path: Annotated[Path, typer.Argument(help="A file of the reader.")]) -> None:
    """Print the highest point of each trace."""
    existing(path)
    from molvis_core.records import Measurement
    from molvis_template.reader import read_text_columns

    found = [item for item in read_text_columns(path) if isinstance(item, Measurement)]
    rows = [(m.name, float(m.record.x[m.record.y.argmax()]), float(m.record.y.max())) for m in found]
    if not output.as_json([{"name": name, "x": x, "y": y} for name, x, y in rows]):
        output.print_table(("name", "wavenumber", "absorbance"), rows)
