"""Manifest of molvis-formula: its command."""

from __future__ import annotations

from molvis_core.plugins import Component, hookimpl


@hookimpl
def molvis_components() -> list[Component]:
    """The command that ranks formulas."""
    return [
        Component(
            kind="command",
            name="formula",
            target="molvis_formula.commands.formula:formula",
            summary="Rank the sum formulas that ions may have.",
            cite="10.1186/1471-2105-8-105",
        ),
    ]
