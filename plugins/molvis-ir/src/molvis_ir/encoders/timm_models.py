"""`ir-timm`: any convolutional model of timm, made one-dimensional."""

from __future__ import annotations

from molvis_ir.encoders.frame import TraceEncoder, channel_count
from molvis_ir.preparation import grid


class IrTimm(TraceEncoder):
    """Any convolutional model of timm, made one-dimensional.

    Args:
        model: its name in timm, such as `resnet18` or `convnext_atto`; weights start at random.
        dim: length of the vectors.
        dropout: before the last layers.
        augmentation: strength of the changes in training; 0 for none.
        robust: whether baselines are taken away, gaps are known as such, and the wavenumber scale is put right.
    """

    def __init__(
        self,
        model: str = "resnet18",
        dim: int = 512,
        dropout: float = 0.3,
        augmentation: float = 1.0,
        robust: bool = False,
    ) -> None:
        from molvis_ir.encoders.one_dimensional import timm_model

        network, features = timm_model(model, channel_count(robust), len(grid()))
        super().__init__(network, features, dim, dropout, augmentation, "ir-timm", robust=robust)
