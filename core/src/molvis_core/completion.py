"""Names of components, for commands whose arguments a shell completes."""

from __future__ import annotations

from collections.abc import Callable


def names(kind: str) -> Callable[[str], list[tuple[str, str]]]:
    """Completes names of components of a kind."""

    def complete(incomplete: str) -> list[tuple[str, str]]:
        from molvis_core.registry import components

        return [(c.name, c.summary) for c in components(kind) if c.name.startswith(incomplete)]

    return complete
