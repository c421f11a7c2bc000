"""Manifest of molvis-models."""

from __future__ import annotations

from molvis_core import Component, hookimpl


@hookimpl
def molvis_components() -> list[Component]:
    """Presets, the shipped bundle, translation and reference spectra, and the demo's data."""
    return [
        Component(
            kind="preset",
            name="default",
            target="molvis_models:DEFAULT",
            summary="Our best recipe for MS/MS against structures, on two CPU cores or a GPU.",
        ),
        Component(
            kind="preset",
            name="ir",
            target="molvis_models:IR",
            summary="Our best recipe for infrared spectra against structures.",
        ),
        Component(
            kind="preset",
            name="ei",
            target="molvis_models:EI",
            summary="Electron ionization spectra against structures, with retention indices; preliminary.",
        ),
        Component(
            kind="preset",
            name="joint",
            target="molvis_models:JOINT",
            summary="Infrared and MS/MS spectra against structures and each other, cross sections by likelihood.",
        ),
        Component(
            kind="preset",
            name="nmr-shifts",
            target="molvis_models:NMR_SHIFTS",
            summary="Lists of NMR shifts against structures, predicted and matched.",
        ),
        Component(
            kind="preset",
            name="pnnl-2024",
            target="molvis_models:PNNL_2024",
            summary="The settings of the Molecular Vision report (PNNL, 2024), kept to compare with.",
        ),
        Component(
            kind="bundle",
            name="massbank",
            target="molvis_models:MASSBANK",
            summary="MS/MS to structure, trained on the openly licensed part of MassBank 2025.05.1.",
        ),
        Component(
            kind="translation",
            name="massbank",
            target="molvis_models:TRANSLATION",
            summary="MS/MS between energies and instruments, trained on open spectra of MassBank 2025.05.1.",
        ),
        Component(
            kind="references",
            name="massbank",
            target="molvis_models:REFERENCES",
            summary="58,063 spectra of 4,851 compounds: the openly licensed part of MassBank 2025.05.1.",
        ),
        *_examples(),
    ]


def _examples() -> list[Component]:
    """What the demo reads."""
    return [
        Component(
            kind="example",
            name="demo-spectra",
            target="molvis_models:DEMO_SPECTRA",
            summary="Spectra of ten well-known compounds that the shipped bundle has not seen.",
        ),
        Component(
            kind="example",
            name="demo-library",
            target="molvis_models:DEMO_LIBRARY",
            summary="60,734 structures to search: those of open MassBank records, and isomers made from them.",
        ),
        Component(
            kind="example",
            name="demo-absent",
            target="molvis_models:DEMO_ABSENT",
            summary="A spectrum whose compound is not in the demo's library.",
        ),
        Component(
            kind="example",
            name="massbank-structures",
            target="molvis_models:MASSBANK_STRUCTURES",
            summary="5,396 structures: the compounds of the openly licensed part of MassBank.",
        ),
    ]
