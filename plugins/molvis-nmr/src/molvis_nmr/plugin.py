"""Manifest of molvis-nmr."""

from __future__ import annotations

from molvis import Component, hookimpl


@hookimpl
def molvis_components() -> list[Component]:
    """The modality, its readers, fitters and commands."""
    return [
        Component(
            kind="modality",
            name="nmr",
            target="molvis_nmr.modality:NMR",
            summary="1D NMR spectra on a chemical shift axis.",
        ),
    ]
