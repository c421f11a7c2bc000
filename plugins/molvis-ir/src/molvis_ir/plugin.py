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
        _encoder(
            "ir-local", "IrLocal", "Stretches of the spectrum with weights of their own, then a residual network."
        ),
        _encoder("ir-resnet", "IrResNet", "Residual network of one-dimensional convolutions.", "10.1109/CVPR.2016.90"),
        _encoder("ir-xception", "IrXception", "Depthwise separable convolutions.", "10.1109/CVPR.2017.195"),
        _encoder("ir-vit", "IrViT", "Transformer over patches that a convolution embeds.", "10.48550/arXiv.2010.11929"),
        _encoder("ir-timm", "IrTimm", "Any convolutional model of timm, made one-dimensional."),
    ]


def _encoder(name: str, target: str, summary: str, cite: str = "") -> Component:
    return Component("encoder", name, f"molvis_ir.encoders:{target}", summary, cite=cite)
