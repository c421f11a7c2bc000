"""What the networks of stages share: the shortcut around a block, and the check of their sizes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from molvis_core.errors import ConfigError


def shortcut(size: int, wider: int, stride: int) -> nn.Module:
    """The way around a block: the identity where nothing changes size, else a convolution of one point."""
    if size == wider and stride == 1:
        return nn.Identity()
    return nn.Sequential(nn.Conv1d(size, wider, 1, stride, bias=False), nn.BatchNorm1d(wider))


def check_stages(where: str, width: int, layers: Sequence[int], places: int) -> None:
    """Raise `ConfigError` where a size is not positive."""
    if width < 1 or places < 1 or not layers or min(layers) < 1:
        raise ConfigError(
            f"{where}: width = {width}, stages of {list(layers)} blocks, places = {places}; all must be positive"
        )
