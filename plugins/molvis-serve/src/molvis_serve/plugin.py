"""What this plugin offers."""

from __future__ import annotations

from molvis_core import Component, hookimpl


@hookimpl
def molvis_components() -> list[Component]:
    """The command that serves, and drawings of structures."""
    return [
        Component(
            kind="command",
            name="serve",
            target="molvis_serve.command:serve",
            summary="Serve identification, fits and predictions over HTTP.",
        ),
        Component(
            kind="route",
            name="depict",
            target="molvis_serve.depiction:ROUTE",
            summary="Draw a structure.",
        ),
    ]
