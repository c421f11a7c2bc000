"""`ir-local`: stretches of the spectrum with weights of their own."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from molvis_core.errors import ConfigError
from molvis_ir.encoders.frame import TraceEncoder, channel_count
from molvis_ir.preparation import grid
from molvis_nn.layers import residual_blocks


class IrLocal(TraceEncoder):
    """Overlapping stretches of the spectrum, each with weights of its own, through a residual network.

    The place of a band shows what vibrates, so that weights need not be shared along the axis as in a convolution: an
    epoch takes a quarter of the time of `ir-resnet` and ranks better.

    Args:
        dim: length of the vectors.
        width: of the residual network.
        blocks: residual blocks.
        stretch: points of a stretch, 4 cm^-1 each.
        stride: points from one stretch to the next.
        local: numbers that a stretch is turned into.
        dropout: in the network.
        augmentation: strength of the changes in training; 0 for none.
        robust: whether baselines are taken away, gaps are known as such, and the wavenumber scale is put right.
    """

    def __init__(
        self,
        dim: int = 512,
        width: int = 1024,
        blocks: int = 3,
        stretch: int = 33,
        stride: int = 11,
        local: int = 64,
        dropout: float = 0.3,
        augmentation: float = 1.0,
        robust: bool = False,
    ) -> None:
        points = len(grid())
        for name, value in (("width", width), ("blocks", blocks), ("stride", stride), ("local", local)):
            if value < 1:
                raise ConfigError(f"ir-local: {name} must be a positive whole number, got {value}")
        if not stride <= stretch <= points:
            raise ConfigError(f"ir-local: stretch must be from stride = {stride} to {points} points, got {stretch}")
        network = _Local(points, channel_count(robust), width, blocks, stretch, stride, local, dropout)
        super().__init__(network, width, dim, dropout, augmentation, "ir-local", robust=robust, deep=False)


class _Local(nn.Module):
    def __init__(
        self, points: int, channels: int, width: int, blocks: int, stretch: int, stride: int, local: int, dropout: float
    ) -> None:
        super().__init__()
        self.stretch, self.stride = stretch, stride
        count, size = (points - stretch) // stride + 1, channels * stretch
        self.weight = nn.Parameter(torch.randn(count, size, local) / size**0.5)
        self.bias = nn.Parameter(torch.zeros(count, local))
        self.gather = nn.Linear(count * local, width)
        self.whole = nn.Linear(points * channels, width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = residual_blocks(width, blocks, dropout)

    def forward(self, x: Float[Tensor, "n c t"]) -> Float[Tensor, "n width"]:
        stretches = x.unfold(2, self.stretch, self.stride).permute(2, 0, 1, 3).flatten(2)
        local = nn.functional.gelu(torch.bmm(stretches, self.weight) + self.bias[:, None])
        joined = self.gather(local.transpose(0, 1).flatten(1)) + self.whole(x.flatten(1))
        return self.blocks(self.dropout(nn.functional.gelu(joined)))
