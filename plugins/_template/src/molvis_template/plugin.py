"""What this plugin offers. Imports nothing heavy: targets are imported when they are first used."""

from __future__ import annotations

from molvis_core import Component, hookimpl


@hookimpl
def molvis_components() -> list[Component]:
    """One modality and one encoder for it."""
    return [
        Component(
            kind="modality",
            name="template",
            target="molvis_template.modality:MODALITY",
            summary="Absorbance along a wavenumber axis.",
        ),
        Component(
            kind="encoder",
            name="template-cnn",
            target="molvis_template.encoders:TraceCNN",
            summary="Convolutions along a trace on a fixed grid.",
        ),
    ]
