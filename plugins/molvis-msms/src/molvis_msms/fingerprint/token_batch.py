"""Tokens of several spectra, as encoders take them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from molvis_core.records import PeakList
from molvis_msms.fingerprint.tokens import DESCRIBED, describe, tokens
from molvis_nn.batches import TensorBatch


@dataclass(frozen=True, eq=False)
class TokenBatch(TensorBatch):
    """Tokens of all spectra end to end.

    Attributes:
        precursor: m/z; 0 where unknown.
        negative: whether the ion is.
        described: the ion and its settings.
        count: tokens of each spectrum.
        key, weight: of each token.
    """

    precursor: Float[Tensor, " n"]
    negative: Bool[Tensor, " n"]
    described: Float[Tensor, "n q"]
    count: Int64[Tensor, " n"]
    key: Int64[Tensor, " k"]
    weight: Float[Tensor, " k"]

    @classmethod
    def of(cls, records: Sequence[PeakList], top_peaks: int, differences: int = 0) -> Self:
        """The tokens of each spectrum's highest peaks, and of differences between the highest of these."""
        cut = [tokens(record, top_peaks, differences) for record in records]
        keys, weights = [t.key for t in cut], [t.weight for t in cut]
        about = np.stack([describe(r) for r in records]) if records else np.empty((0, DESCRIBED), dtype=np.float32)
        return cls(
            torch.tensor([r.precursor_mz or 0.0 for r in records], dtype=torch.float64),
            torch.tensor([r.ionmode == "negative" for r in records], dtype=torch.bool),
            torch.from_numpy(about),
            torch.tensor([len(key) for key in keys], dtype=torch.int64),
            torch.from_numpy(np.concatenate([np.empty(0, dtype=np.int64), *keys])),
            torch.from_numpy(np.concatenate([np.empty(0, dtype=np.float32), *weights])),
        )
