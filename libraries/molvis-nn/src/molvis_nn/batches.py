"""Helpers for `Encoder.collate`: to call, not to inherit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

__all__ = ["TensorBatch", "pad"]


@dataclass(frozen=True, eq=False)
class TensorBatch:
    """Base for batches that are dataclasses of tensors whose first axis runs over records."""

    def __len__(self) -> int:
        return int(getattr(self, fields(self)[0].name).shape[0])

    def to(self, device: torch.device | str) -> Self:
        """The same batch on another device. Copies from pinned memory overlap with computation."""
        moved: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            moved[field.name] = value.to(device, non_blocking=True) if isinstance(value, Tensor) else value
        return type(self)(**moved)

    def pin_memory(self) -> Self:
        """What PyTorch's DataLoader calls when it pins."""
        return type(self)(
            **{f.name: v.pin_memory() if isinstance(v := getattr(self, f.name), Tensor) else v for f in fields(self)}
        )


def pad(arrays: Sequence[np.ndarray], *, at_least: int = 1) -> tuple[Tensor, Tensor]:
    """Stack arrays of different lengths with an explicit mask.

    Args:
        arrays: each of shape "p ..." with the same trailing shape and dtype.
        at_least: width of the result even if every array is shorter.

    Returns:
        Values of shape "n p ..." padded with zeros, and a Boolean mask "n p" that is True where there is data.
    """
    width = max(at_least, max((len(a) for a in arrays), default=0))
    first = np.asarray(arrays[0]) if arrays else np.zeros(0, dtype=np.float32)
    values = np.zeros((len(arrays), width, *first.shape[1:]), dtype=first.dtype)
    mask = np.zeros((len(arrays), width), dtype=bool)
    for row, array in enumerate(arrays):
        values[row, : len(array)] = array
        mask[row, : len(array)] = True
    return torch.from_numpy(values), torch.from_numpy(mask)
