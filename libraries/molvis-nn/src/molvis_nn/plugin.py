"""Manifest of molvis-nn: components that combine others, and the target that knows identity alone."""

from __future__ import annotations

from molvis_core.plugins import Component, hookimpl


@hookimpl
def molvis_components() -> list[Component]:
    """Encoders made of encoders, a loss made of losses, and a target."""
    return [
        Component(
            kind="target",
            name="same-compound",
            target="molvis_nn.targets:SameCompound",
            summary="Pairs of equal InChIKey (first block) match; others do not.",
        ),
        Component(
            kind="encoder",
            name="concatenated",
            target="molvis_nn.concatenated:Concatenated",
            summary="Several encoders side by side, their vectors concatenated with given weights.",
            replaces=("joined",),
        ),
        Component(
            kind="loss",
            name="each-part",
            target="molvis_nn.concatenated:EachPart",
            summary="Another loss for each part of concatenated vectors, so that the parts learn as an ensemble.",
        ),
        Component(
            kind="encoder",
            name="neutral-mass",
            target="molvis_nn.concatenated:NeutralMass",
            summary="The neutral mass as a fixed block of sines and cosines; learns nothing.",
        ),
        Component(
            kind="encoder",
            name="placed",
            target="molvis_nn.concatenated:Placed",
            summary="Another encoder's vectors within longer ones: how bundles that were joined share one space.",
        ),
        Component(
            kind="encoder",
            name="set-attention",
            target="molvis_nn.fusion:SetAttention",
            summary="All measurements of an unknown as one vector, by attention over their own encoders' vectors.",
            parts="of",
            replaces=("fused",),
            cite="10.48550/arXiv.1810.00825",
        ),
    ]
