"""A running average of the weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class WeightAverage:
    """A running average of the weights, which often generalises better than the last ones."""

    def __init__(self, encoders: Mapping[str, nn.Module], decay: float) -> None:
        self.decay = decay
        self.state: dict[str, dict[str, Tensor]] = (
            {k: copied(dict(e.named_parameters())) for k, e in encoders.items()} if decay else {}
        )

    @torch.no_grad()
    def update(self, encoders: Mapping[str, nn.Module], step: int) -> None:
        """Take in the weights of the encoders that a step changed."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for key in self.state.keys() & encoders.keys():
            kept = self.state[key]
            for name, value in encoders[key].named_parameters():
                kept[name] = kept[name].to(value.device).lerp_(value, 1 - decay)

    def applied(self, encoders: Mapping[str, nn.Module]) -> _Applied:
        """The encoders with averaged weights, for the length of a `with` block."""
        return _Applied(self.state, encoders)


class _Applied:
    def __init__(self, state: Mapping[str, Mapping[str, Tensor]], encoders: Mapping[str, nn.Module]) -> None:
        self.state, self.encoders = state, encoders
        self.kept: dict[str, dict[str, Tensor]] = {}

    def __enter__(self) -> None:
        with torch.no_grad():
            for key, averaged in self.state.items():
                self.kept[key] = copied(dict(self.encoders[key].named_parameters()))
                for name, value in self.encoders[key].named_parameters():
                    value.copy_(averaged[name])

    def __exit__(self, *exc: object) -> None:
        with torch.no_grad():
            for key, kept in self.kept.items():
                for name, value in self.encoders[key].named_parameters():
                    value.copy_(kept[name])


def copied(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by name, on the CPU and independent of those given."""
    return {k: v.detach().cpu().clone() for k, v in state.items()}
