"""What this plugin offers."""

from __future__ import annotations

from molvis_core import Component, hookimpl


@hookimpl
def molvis_components() -> list[Component]:
    """Seven losses of one signature."""
    return [
        Component(
            kind="loss",
            name="bce",
            target="molvis_losses.binary_cross_entropy:BinaryCrossEntropy",
            summary="Binary cross entropy of a distance against match or Tanimoto, positives and negatives balanced.",
        ),
        Component(
            kind="loss",
            name="contrastive",
            target="molvis_losses.contrastive:Contrastive",
            summary="Matches nearer than one margin, the others farther than another; Tanimoto-aware.",
            cite="10.1109/CVPR.2006.100",
        ),
        Component(
            kind="loss",
            name="infonce",
            target="molvis_losses.infonce:InfoNCE",
            summary="Each query picks its reference among all of the batch, with a temperature; both ways.",
            cite="10.48550/arXiv.1807.03748",
        ),
        Component(
            kind="loss",
            name="tanimoto-infonce",
            target="molvis_losses.tanimoto_infonce:TanimotoInfoNCE",
            summary="InfoNCE that knows how alike the structures are: equation 3 of the 2024 report, or corrected.",
        ),
        Component(
            kind="loss",
            name="clerms",
            target="molvis_losses.clerms:Clerms",
            summary="InfoNCE plus the weighted squared error of the cosine against Tanimoto.",
            cite="10.1021/acs.analchem.3c00260",
        ),
        Component(
            kind="loss",
            name="siglip",
            target="molvis_losses.siglip:SigLIP",
            summary="Every pair judged alone by a sigmoid with learned temperature and bias.",
            cite="10.1109/ICCV51070.2023.01100",
        ),
        Component(
            kind="loss",
            name="soft-target",
            target="molvis_losses.soft_target:SoftTarget",
            summary="Cross entropy of the batch's scores against a sharpened Tanimoto distribution.",
        ),
    ]
