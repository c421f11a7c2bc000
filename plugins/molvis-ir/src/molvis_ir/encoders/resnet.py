"""`ir-resnet`: a residual network of one-dimensional convolutions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from molvis_ir.encoders.frame import TraceEncoder, channel_count
from molvis_ir.encoders.stages import check_stages, shortcut


class IrResNet(TraceEncoder):
    """A residual network of one-dimensional convolutions, after He et al. 2016 (doi:10.1109/CVPR.2016.90).

    The last feature map is pooled to a few places along the axis rather than to one: where a band lies matters.

    Args:
        dim: length of the vectors.
        width: channels of the first stage; each further stage has twice as many and half the points.
        layers: blocks of each stage.
        places: that the last feature map is pooled to.
        dropout: before the last layers.
        augmentation: strength of the changes in training; 0 for none.
        robust: whether baselines are taken away, gaps are known as such, and the wavenumber scale is put right.
    """

    def __init__(
        self,
        dim: int = 512,
        width: int = 64,
        layers: Sequence[int] = (2, 2, 2),
        places: int = 13,
        dropout: float = 0.3,
        augmentation: float = 1.0,
        robust: bool = False,
    ) -> None:
        check_stages("ir-resnet", width, layers, places)
        stages: list[nn.Module] = [
            nn.Conv1d(channel_count(robust), width, 9, 2, 4, bias=False), nn.BatchNorm1d(width), nn.ReLU(),
            nn.MaxPool1d(3, 2, 1),
        ]  # fmt: skip
        size = width
        for stage, count in enumerate(layers):
            for block in range(count):
                wider = width << stage
                stages.append(_ResidualConvolution(size, wider, 2 if stage and not block else 1))
                size = wider
        network = nn.Sequential(*stages, nn.AdaptiveAvgPool1d(places), nn.Flatten())
        super().__init__(network, size * places, dim, dropout, augmentation, "ir-resnet", robust=robust)


class _ResidualConvolution(nn.Module):
    def __init__(self, size: int, wider: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(size, wider, 5, stride, 2, bias=False), nn.BatchNorm1d(wider), nn.ReLU(),
            nn.Conv1d(wider, wider, 5, 1, 2, bias=False), nn.BatchNorm1d(wider),
        )  # fmt: skip
        self.shortcut = shortcut(size, wider, stride)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))
