"""Manifest of molvis-flux."""

from __future__ import annotations

from molvis import Component, hookimpl


@hookimpl
def molvis_components() -> list[Component]:
    """The modality, its fitters and commands."""
    return [
        Component(
            kind="modality",
            name="mid",
            target="molvis_flux.modality:MID",
            summary="Mass isotopomer distributions of fragments.",
        ),
    ]
