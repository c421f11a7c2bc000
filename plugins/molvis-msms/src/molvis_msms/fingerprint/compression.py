"""Several networks' match as the dot product of two short vectors, one of the spectrum and one of the structure.

The match that networks give a structure is a sum of products: of what the last layer of each holds for the spectrum,
and of the structure's bits through the matrix behind that layer. Side by side these are long vectors. Structures vary
mostly in fewer directions, so that shorter vectors say nearly all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32

from molvis_msms.fingerprint.network import FingerprintNetwork
from molvis_nn.vectors import upright

_BLOCK = 4096


@dataclass(frozen=True, eq=False, slots=True)
class Compressed:
    """Two linear maps.

    Attributes:
        spectra: from what the networks' last layers hold, side by side, to a vector.
        structures: from bits, less their frequency, to a vector.
        kept: share of the structures' variance that the vectors hold.
    """

    spectra: Float32[np.ndarray, "dim inner"]
    structures: Float32[np.ndarray, "bits dim"]
    kept: float


def compressed(
    networks: Sequence[FingerprintNetwork],
    bits: Bool[np.ndarray, "m bits"],
    frequency: Float[np.ndarray, " bits"],
    dim: int,
) -> Compressed:
    """The maps to vectors of a length, along the directions in which structures vary most.

    Args:
        networks: their match is the mean over them.
        bits: of structures, as many as tell how structures vary.
        frequency: of each bit.
        dim: length of the vectors; beyond the number of directions that there are, they end in zeros.
    """
    with torch.no_grad():
        matrix = np.concatenate([n.match.weight.numpy() for n in networks], axis=1) / len(networks) ** 0.5
    inner = matrix.shape[1]
    square = np.zeros((inner, inner))
    for start in range(0, len(bits), _BLOCK):
        block = (bits[start : start + _BLOCK] - frequency.astype(np.float32)) @ matrix
        square += block.T @ block
    values, directions = np.linalg.eigh(square)
    count = min(dim, inner)
    chosen = upright(directions[:, ::-1][:, :count])
    spectra, structures = np.zeros((dim, inner)), np.zeros((len(frequency), dim))
    spectra[:count] = chosen.T / len(networks) ** 0.5
    structures[:, :count] = matrix @ chosen
    kept = float(values[::-1][:count].sum() / max(values.sum(), 1e-12))
    return Compressed(spectra.astype(np.float32), structures.astype(np.float32), kept)
