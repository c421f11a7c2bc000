"""Manifest of molvis-ir."""

from __future__ import annotations

from molvis_core import Component, hookimpl


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
        _encoder("ir-regression", "regression:IrRegression", "Spectra and structures, each predicted from the other."),
        _encoder(
            "ir-regression-structure",
            "regression:IrRegressionStructure",
            "Structures, by the spectra that are predicted for them; learns with ir-regression.",
        ),
        _encoder(
            "ir-local", "local:IrLocal", "Stretches of the spectrum with weights of their own, then a residual network."
        ),
        _encoder(
            "ir-bands", "bands:IrBands", "The spectrum itself, centred and weighed: structures have to predict it."
        ),
        _encoder(
            "ir-resnet", "resnet:IrResNet", "Residual network of one-dimensional convolutions.", "10.1109/CVPR.2016.90"
        ),
        _encoder("ir-xception", "xception:IrXception", "Depthwise separable convolutions.", "10.1109/CVPR.2017.195"),
        _encoder(
            "ir-vit", "vit:IrViT", "Transformer over patches that a convolution embeds.", "10.48550/arXiv.2010.11929"
        ),
        _encoder("ir-timm", "timm_models:IrTimm", "Any convolutional model of timm, made one-dimensional."),
        _reader(
            "jcamp",
            "jcamp",
            "read_jcamp",
            "JCAMP-DX files.",
            *(".jdx", ".dx", ".jcamp", ".jcm", ".txt"),
            cite="10.1366/0003702884428734",
            recognises="is_jcamp",
        ),
        _reader(
            "xy-text",
            "xy",
            "read_xy",
            "Two columns of text.",
            ".csv",
            ".tsv",
            ".txt",
            ".xy",
            ".dat",
            recognises="is_xy",
        ),
        _reader("spc", "spc", "read_spc", "Galactic SPC files, by spc-io.", ".spc"),
        _reader("opus", "opus", "read_opus", "Bruker OPUS files, by brukeropus.", *(f".{i}" for i in range(10))),
        _reader(
            "ir-parquet", "parquet", "read_parquet", "Tables of infrared spectra.", ".parquet", recognises="is_ir_table"
        ),
        Component(
            kind="writer",
            name="jcamp",
            target="molvis_ir.writers:write_jcamp",
            summary="JCAMP-DX files.",
            modality="ir",
            suffixes=(".jdx", ".dx", ".jcamp"),
            cite="10.1366/0003702884428734",
        ),
        Component(
            kind="predictor",
            name="ir",
            target="molvis_ir.predictor:IrPredictor",
            summary="Infrared spectra of structures, by a bundle that was trained with the preset ir.",
        ),
        Component(
            kind="command-group",
            name="ir",
            target="molvis_ir.commands:__doc__",
            summary="Infrared spectra: bands, corrections, reference spectra.",
        ),
        _command("peaks", "List the bands of spectra, and which groups absorb there."),
        _command("search", "Search reference spectra for those that are like a spectrum."),
        _command("groups", "Say which functional groups a spectrum shows, with probabilities."),
        _command("correct", "Correct spectra for how they were measured."),
    ]


def _command(name: str, summary: str) -> Component:
    return Component("command", f"ir-{name}", f"molvis_ir.commands:{name}", summary)


def _encoder(name: str, target: str, summary: str, cite: str = "") -> Component:
    return Component("encoder", name, f"molvis_ir.encoders.{target}", summary, cite=cite)


def _reader(
    name: str, module: str, function: str, summary: str, *suffixes: str, cite: str = "", recognises: str = ""
) -> Component:
    return Component(
        kind="reader",
        name=name,
        target=f"molvis_ir.readers.{module}:{function}",
        summary=summary,
        modality="ir",
        suffixes=suffixes,
        cite=cite,
        recognises=f"molvis_ir.readers.{module}:{recognises}" if recognises else "",
    )
