"""What this plugin offers. It imports nothing heavy: a target is imported when it is first used."""

from __future__ import annotations

from molvis_core import Component, hookimpl


@hookimpl
def molvis_components() -> list[Component]:
    """One component of each kind."""
    return [
        Component(
            kind="modality",
            name="template",
            target="molvis_template.modality:MODALITY",
            summary="Absorbance along a wavenumber axis.",
        ),
        Component(
            kind="reader",
            name="template-text",
            target="molvis_template.reader:read_text_columns",
            modality="template",
            suffixes=(".txt",),
            summary="Traces as two columns of text.",
        ),
        Component(
            kind="writer",
            name="template-text",
            target="molvis_template.writer:write_text_columns",
            modality="template",
            suffixes=(".txt",),
            summary="A trace as two columns of text.",
        ),
        Component(
            kind="encoder",
            name="template-cnn",
            target="molvis_template.encoder:TraceCNN",
            summary="Convolutions along a trace on a fixed grid.",
        ),
        Component(
            kind="loss",
            name="template-hinge",
            target="molvis_template.loss:Hinge",
            summary="Matches are drawn together, all other pairs pushed beyond a margin.",
        ),
        Component(
            kind="scorer",
            name="template-groups",
            target="molvis_template.scorer:GroupBands",
            summary="Whether the bands of a candidate's functional groups are in the trace.",
        ),
        Component(
            kind="predictor",
            name="template-linear",
            target="molvis_template.predictor:LinearBands",
            summary="Absorbance at a few wavenumbers from the elements of a structure.",
        ),
        Component(
            kind="fitter",
            name="template-band",
            target="molvis_template.fitter:BandFitter",
            summary="Place, width and height of one band.",
        ),
        Component(
            kind="command",
            name="template-show",
            target="molvis_template.command:show",
            summary="The highest point of each trace in a file.",
        ),
    ]
