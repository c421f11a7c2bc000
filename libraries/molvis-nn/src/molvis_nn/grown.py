"""Modules whose buffers take the shape of what is loaded: how many examples there were is not known before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["Grown"]


class Grown(nn.Module):
    """A module whose buffers have no fixed shape."""

    def __init__(self) -> None:
        super().__init__()
        self.register_load_state_dict_pre_hook(_resize)

    def hold(self, **values: np.ndarray | float) -> None:
        """Take arrays over as buffers."""
        for name, value in values.items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(value)).clone())

    def array(self, name: str) -> np.ndarray:
        """A buffer as an array."""
        return self.get_buffer(name).cpu().numpy()


def _resize(module: nn.Module, state: Mapping[str, Any], prefix: str, *_: object) -> None:
    """Give buffers the sizes that a state has, before it is loaded."""
    for name, mine in module.named_buffers(recurse=False):
        given = state.get(prefix + name)
        if isinstance(given, Tensor) and given.ndim == mine.ndim:
            module.register_buffer(name, torch.empty(given.shape, dtype=mine.dtype, device=mine.device))
