"""What core itself offers: the modality of structures."""

from __future__ import annotations

from molvis_core.plugins import Component, hookimpl


@hookimpl
def molvis_components() -> list[Component]:
    """Core's own component."""
    return [
        Component(
            kind="modality",
            name="structure",
            target="molvis_core.modality:STRUCTURE",
            summary="A molecule: SMILES, InChIKey, formula and mass.",
        ),
    ]
