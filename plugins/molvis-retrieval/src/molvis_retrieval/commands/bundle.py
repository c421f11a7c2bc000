"""`molvis bundle`."""

from __future__ import annotations

from pathlib import Path
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


def join(
    bundles: Annotated[
        list[str], typer.Argument(autocompletion=names("bundle"), help="Folders or names of bundles; two or more.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the joined bundle.")],
    name: Annotated[str, typer.Option(help="What to call it; the names joined by + if left out.")] = "",
) -> None:
    """Join bundles, so that what was measured in all their ways counts in one ranking.

    Nothing is trained. Each bundle's evidence has the weight that it had, until `molvis calibrate` fits the weights to
    compounds that were measured in several ways. A library has to be built for the joined bundle.
    """
    from molvis_core.errors import BundleError
    from molvis_retrieval.bundle import load_bundle
    from molvis_retrieval.joining import join_bundles

    if out.exists():
        raise BundleError(f"{out} exists. Choose another folder, or delete it first.")
    made = join_bundles([load_bundle(one) for one in bundles], out, name=name)
    facts = {
        "path": str(made.bundle.path), "name": made.bundle.name, "digest": made.bundle.digest,
        "modalities": list(made.bundle.channels.modalities), "spaces": made.spaces, "notes": list(made.notes),
    }  # fmt: skip
    if output.as_json(facts):
        return
    shown = {"path": facts["path"], "modalities": ", ".join(made.bundle.channels.modalities), "spaces": made.spaces}
    output.print_table(["bundle", made.bundle.name], [(k, str(v)) for k, v in shown.items()])
    for note in made.notes:
        output.note(note)
    output.note(f"next: molvis library build {out} STRUCTURES --out INDEX; molvis calibrate {out} DATA --library INDEX")
