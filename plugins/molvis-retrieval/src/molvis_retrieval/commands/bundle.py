"""`molvis bundle`."""

from __future__ import annotations

from typing import Annotated

import typer

from molvis_core import output
from molvis_core.completion import names


def verify(
    bundle: Annotated[str, typer.Argument(autocompletion=names("bundle"), help="Folder or name of a bundle.")],
    accept: Annotated[
        bool, typer.Option("--accept", help="Take bundle.toml as it is now, after an edit by hand.")
    ] = False,
) -> None:
    """Check that a bundle's settings, calibration and weights are what was written.

    Every opening of a bundle checks this as well. Exit code 1 and the file's name where something is damaged.
    """
    from molvis_retrieval.bundle import verify_bundle

    found = verify_bundle(bundle, accept=accept)
    facts = {"path": str(found.path), "digest": found.digest, "encoders_digest": found.encoders_digest, "intact": True}
    if not output.as_json(facts):
        output.print_table(["bundle", found.name], [(k.replace("_", " "), v) for k, v in facts.items()])
