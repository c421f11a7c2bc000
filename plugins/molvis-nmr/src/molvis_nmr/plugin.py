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
        Component(
            kind="fitter",
            name="nmr-spin-system",
            target="molvis_nmr.fitting:NmrSpinSystem",
            summary="Spin systems from spectra: shifts, couplings, widths and intensities with errors, by least squares.",
            cite="10.1002/mrc.4689",
        ),
    ]
