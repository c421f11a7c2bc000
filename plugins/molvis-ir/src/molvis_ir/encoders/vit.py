"""`ir-vit`: a vision transformer along one axis."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from molvis_core.errors import ConfigError
from molvis_ir.encoders.frame import TraceEncoder, channel_count
from molvis_ir.preparation import grid


class IrViT(TraceEncoder):
    """A vision transformer along one axis: a convolution embeds patches, timm's blocks attend among them.

    After Dosovitskiy et al. 2021 (doi:10.48550/arXiv.2010.11929).

    Args:
        dim: length of the vectors.
        width: of a token.
        depth: transformer blocks.
        heads: of the attention; divides `width`.
        patch: points of a patch.
        stride: points from one patch to the next.
        dropout: in the blocks and before the last layers.
        augmentation: strength of the changes in training; 0 for none.
        robust: whether baselines are taken away, gaps are known as such, and the wavenumber scale is put right.
    """

    def __init__(
        self,
        dim: int = 512,
        width: int = 192,
        depth: int = 6,
        heads: int = 6,
        patch: int = 25,
        stride: int = 16,
        dropout: float = 0.1,
        augmentation: float = 1.0,
        robust: bool = False,
    ) -> None:
        points = len(grid())
        if heads < 1 or width < 1 or width % heads or depth < 1:
            raise ConfigError(
                f"ir-vit: width, heads and depth must be positive and heads divide width, got {width}, {heads} and "
                f"{depth}"
            )
        if not 1 <= stride <= patch <= points:
            raise ConfigError(
                f"ir-vit: patch and stride must be 1 <= stride <= patch <= {points}, got {patch} and {stride}"
            )
        network = _Transformer(points, channel_count(robust), width, depth, heads, patch, stride, dropout)
        super().__init__(network, width, dim, dropout, augmentation, "ir-vit", robust=robust)


class _Transformer(nn.Module):
    def __init__(
        self, points: int, channels: int, width: int, depth: int, heads: int, patch: int, stride: int, dropout: float
    ) -> None:
        from timm.models.vision_transformer import Block

        super().__init__()
        self.patches = nn.Conv1d(channels, width, patch, stride)
        count = (points - patch) // stride + 1
        self.place = nn.Parameter(0.02 * torch.randn(1, count, width))
        self.blocks = nn.Sequential(
            *(Block(width, heads, qkv_bias=True, proj_drop=dropout, attn_drop=dropout) for _ in range(depth))
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Float[Tensor, "n c t"]) -> Float[Tensor, "n width"]:
        tokens = self.patches(x).transpose(1, 2) + self.place
        return self.norm(self.blocks(tokens)).mean(dim=1)
