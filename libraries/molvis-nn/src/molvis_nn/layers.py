"""Layers that several encoders share. Names of their parameters never change: bundles store weights under them."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from molvis_core.errors import ConfigError


class Residual(nn.Module):
    """A residual block with normalisation first: x + W2 gelu(W1 norm(x)), with dropout after either layer.

    K. He et al., Identity Mappings in Deep Residual Networks, ECCV 2016, doi:10.1007/978-3-319-46493-0_38, with dense
    layers and layer normalisation.

    Args:
        width: of the input and of the inner layer.
        dropout: share of the numbers that are set to 0 in training.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(dropout)
        self.widen, self.narrow = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "*n width"]) -> Float[Tensor, "*n width"]:
        """The input plus what the block adds to it."""
        inner = self.dropout(nn.functional.gelu(self.widen(self.norm(x))))
        return x + self.dropout(self.narrow(inner))


def residual_blocks(width: int, blocks: int, dropout: float) -> nn.Sequential:
    """Residual blocks one after another."""
    return nn.Sequential(*(Residual(width, dropout) for _ in range(blocks)))


def wavelengths(first: float, last: float, count: int) -> Float64[Tensor, " w"]:
    """A geometric series from `first` to `last`, in 64 bits; either may be the longer one.

    Raises:
        ConfigError: an end that is not positive, or fewer than two wavelengths.
    """
    if not (first > 0 and last > 0) or count < 2:
        raise ConfigError(f"wavelengths: the ends must be positive and count at least 2, got {first}, {last}, {count}")
    # In plain numbers: arithmetic on the meta device, where an encoder's size is tried, imports torch's compiler.
    return torch.tensor([first * (last / first) ** (k / (count - 1)) for k in range(count)], dtype=torch.float64)


def sinusoids(
    values: Float[Tensor, "*n"], wavelength: Float[Tensor, " w"], *, interleaved: bool = False
) -> Float64[Tensor, "*n v"]:
    """Sines and cosines of 2 pi value / wavelength for every wavelength.

    Computed in 64 bits: at m/z 1000 a wave of 0.003 has turned 300,000 times, which 32 bits do not resolve.

    Args:
        values: in the unit of the wavelengths.
        wavelength: see `wavelengths`.
        interleaved: sine and cosine of each wavelength in turn, as in the encodings of A. Vaswani et al., NeurIPS 2017,
            arXiv:1706.03762; else all sines, then all cosines.
    """
    angle = 2 * math.pi * values.double()[..., None] / wavelength
    if interleaved:
        return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)
