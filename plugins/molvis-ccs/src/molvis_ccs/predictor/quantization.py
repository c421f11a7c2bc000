"""Weights as they are saved: in 8 and 16 bits."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def packed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights as they are saved: the basis in 8 bits with a scale for each row, layers in 16 bits."""
    out: dict[str, Tensor] = {}
    for name, value in state.items():
        if name == "basis":
            scale = value.abs().amax(dim=1, keepdim=True).clamp_min(1e-12) / 127
            out[name], out[name + _SCALE] = (value / scale).round().to(torch.int8), scale
        else:
            out[name] = (value.half() if name.startswith("networks.") else value).contiguous()
    return out


def unpacked(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What `packed` packed, as numbers of 32 bits."""
    names = [name for name in state if not name.endswith(_SCALE)]
    return {name: state[name].float() * state.get(name + _SCALE, 1.0) for name in names}


_SCALE = ".rows"
