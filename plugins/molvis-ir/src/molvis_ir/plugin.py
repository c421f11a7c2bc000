"""Manifest of molvis-ir."""

from __future__ import annotations

from molvis import Component, hookimpl


@hookimpl
def molvis_components() -> list[Component]:
    """The modality, its readers and its encoders."""
    return [
        Component(
            kind="modality",
            name="ir",
            target="molvis_ir.modality:IR",
            summary="Infrared spectra: absorbance along the wavenumber.",
        ),
    ]
