"""Sinusoidal embedding of m/z."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from molvis_core.errors import ConfigError
from molvis_nn.layers import sinusoids, wavelengths


def sinusoidal(
    mz: Float[Tensor, "*shape"], dim: int, shortest: float = 10**-2.5, longest: float = 10**3.3
) -> Float[Tensor, "*shape dim"]:
    """Sines and cosines of m/z over `dim / 2` wavelengths in turn: SE(mz, 2i) = sin(2 pi mz / w_i), then the cosine.

    w_i = shortest (longest / shortest)^(2i / (dim - 2)). Computed in 64 bits: at m/z 1000 the shortest wave has turned
    300,000 times, which 32 bits do not resolve.

    Args:
        mz: any shape, in Da per charge.
        dim: even, at least 4.
        shortest: wavelength, in the same unit.
        longest: wavelength.

    Raises:
        ConfigError: `dim` is odd or too small, or the wavelengths are not in order.

    Reference: G. Voronov et al., Multi-scale Sinusoidal Embeddings Enable Learning on High Resolution Mass Spectrometry
    Data, arXiv:2207.02980 (2023); wavelengths of H. Guo et al., doi:10.1021/acs.analchem.3c00260
    """
    if dim < 4 or dim % 2:
        raise ConfigError(f"sinusoidal embedding: dim must be an even number of at least 4, got {dim}")
    if not 0 < shortest < longest:
        raise ConfigError(
            f"sinusoidal embedding: wavelengths must be 0 < shortest < longest, got {shortest} and {longest}"
        )
    waves = wavelengths(shortest, longest, dim // 2).to(mz.device)
    return sinusoids(mz, waves, interleaved=True).float()
