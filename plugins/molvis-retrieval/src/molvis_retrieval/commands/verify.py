"""What `molvis data verify` and `molvis library verify` print."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from molvis_core import output

if TYPE_CHECKING:
    from molvis_files.digests import Verification


def show(found: Verification) -> None:
    """A table of the files, and where they are damaged; the exit code is 1 if they are."""
    if not output.as_json({"intact": not found.damaged, **output.to_plain(found)}):
        rows = [(name, count, sum(d.file == name for d in found.damaged)) for name, count in found.blocks.items()]
        if rows:
            output.print_table(["file", "blocks", "damaged"], rows)
        if found.added:
            output.note(f"{found.path}: has digests of what is there now")
        for damage in found.damaged:
            output.note(f"damaged: {found.path / damage.file}: {damage.reason}")
    if found.damaged:
        raise typer.Exit(1)
