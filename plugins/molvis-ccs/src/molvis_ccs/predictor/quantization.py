"""Weights as they are saved: in 8 and 16 bits, and without zeros."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from molvis_ccs.predictor.regression import MOST_COUNTED


def packed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights as they are saved.

    The basis has 8 bits with a scale for each row, layers and numbers of structures 16, and of counts those that
    are not 0 are kept.
    """
    out: dict[str, Tensor] = {}
    for name, value in state.items():
        if name == "basis":
            scale = value.abs().amax(dim=1, keepdim=True).clamp_min(1e-12) / 127
            out[name], out[name + _SCALE] = (value / scale).round().to(torch.int8), scale
        elif name == _COUNTS:
            counts = torch.expm1(value).round().clamp(0, MOST_COUNTED)
            rows, columns = counts.nonzero(as_tuple=True)
            out[name] = counts[rows, columns].to(torch.uint8)
            out[name + _COLUMNS] = columns.to(torch.int16)
            out[name + _FILLED] = torch.bincount(rows, minlength=len(counts)).to(torch.int16)
            out[name + _WIDTH] = torch.tensor(counts.shape[1])
        else:
            out[name] = (value.half() if name.startswith(("networks.", "regression.numbers")) else value).contiguous()
    return out


def unpacked(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What `packed` packed, as numbers of 32 bits."""
    names = [name for name in state if not name.endswith((_SCALE, _COLUMNS, _FILLED, _WIDTH))]
    return {name: _unpacked(name, state) for name in names}


def _unpacked(name: str, state: Mapping[str, Tensor]) -> Tensor:
    value = state[name].float()
    if name != _COUNTS:
        return value * state.get(name + _SCALE, 1.0)
    filled = state[name + _FILLED].long()
    out = torch.zeros(len(filled), int(state[name + _WIDTH]))
    rows = torch.repeat_interleave(torch.arange(len(filled)), filled)
    out[rows, state[name + _COLUMNS].long()] = torch.log1p(value)
    return out


_SCALE, _COLUMNS, _FILLED, _WIDTH = ".rows", ".columns", ".filled", ".width"
_COUNTS = "regression.counts"
