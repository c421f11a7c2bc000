"""Manifest of molvis-ccs."""

from __future__ import annotations

from molvis import Component, hookimpl


@hookimpl
def molvis_components() -> list[Component]:
    """The modality, its readers, encoder, predictor and scorer."""
    return [
        Component(
            kind="modality",
            name="ccs",
            target="molvis_ccs.modality:CCS",
            summary="Collision cross sections of ions in a drift gas.",
        ),
    ]
