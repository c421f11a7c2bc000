"""`molvis serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molvis_core import output
from molvis_core.completion import names
from molvis_core.errors import ConfigError
from molvis_files.arguments import existing


def serve(
    bundle: Annotated[
        str | None, typer.Option("--bundle", "-b", autocompletion=names("bundle"), help="Folder or name of a bundle.")
    ] = None,
    library: Annotated[
        list[str] | None, typer.Option("--library", "-l", help="Index or file of structures; several, by priority.")
    ] = None,
    references: Annotated[
        list[str] | None, typer.Option(help="Folder of reference spectra beside the bundle's own; several.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1 by default.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 8000 by default, 0 for a free one.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that work; 2 by default.")] = None,
    state: Annotated[Path | None, typer.Option(help="Folder of jobs; ./molvis-serve by default.")] = None,
) -> None:
    """Serve identification, fits and predictions over HTTP, with a page for a browser.

    Operations come from the plugins that are installed. Every option, and more, may be given by an environment
    variable: MOLVIS_SERVE_LIBRARY, MOLVIS_SERVE_API_KEYS, MOLVIS_SERVE_MAX_UPLOAD and others, see docs/serve.md.

    Stopped by Ctrl-C or SIGTERM, it lets work end for some seconds. Jobs that are not done then, or that were killed
    with the service, are taken up by the next start in the same state folder.
    """
    from molvis_serve.settings import Settings

    settings = Settings.read(
        bundle=bundle, library=tuple(library) if library else None, host=host, port=port, workers=workers,
        references=tuple(references) if references else None, state=state,
    )  # fmt: skip
    if not settings.library:
        raise ConfigError("name a library of candidates: molvis serve --library structures.csv")
    existing(*(name for name in settings.library if "://" not in name), what="a file of structures or an index")
    from molvis_serve.server import run

    def tell(url: str) -> None:
        if not output.as_json({"url": url, "state": str(settings.state.resolve()), "library": list(settings.library)}):
            output.note(f"listening on {url}; its jobs are in {settings.state}")

    run(settings, tell)
