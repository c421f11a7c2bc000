"""Models for images, made models for spectra.

A spectrum is an image of height 1. So a two-dimensional convolution whose kernel is 1 high is a one-dimensional one,
and a model whose every kernel, stride and padding is brought to height 1 computes along the axis alone. Nothing else in
it has to change: normalisation, activation, squeeze-and-excitation and reshapes work on four axes as before. That makes
one function do for hundreds of architectures, where replacing layers by their one-dimensional namesakes would break in
every `mean((2, 3))`.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from molvis_core.errors import ConfigError, did_you_mean

_HALVED = 32


class OneDimensional(nn.Module):
    """A model for images that takes "n channels t" and gives "n features"."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Float[Tensor, "n channels t"]) -> Float[Tensor, "n features"]:
        """Features of spectra. Models that join maps of several sizes need an axis that can be halved five times."""
        padded = nn.functional.pad(x, (0, -x.shape[-1] % _HALVED))
        out = self.model(padded[:, :, None])
        return out.flatten(1) if out.ndim > 2 else out


def timm_model(name: str, channels: int, points: int) -> tuple[OneDimensional, int]:
    """A convolutional timm model along one axis, and how many features it gives.

    Raises:
        ConfigError: timm has no such model, or it cannot be made one-dimensional.
    """
    import timm

    known = timm.list_models()
    if name not in known:
        raise ConfigError(f"ir-timm: timm has no model {name!r}.{did_you_mean(name, known)} See timm.list_models().")
    try:
        model = timm.create_model(name, pretrained=False, in_chans=channels, num_classes=0)
        network = one_dimensional(model)
        network.eval()
        with torch.inference_mode():
            features = network(torch.zeros(2, channels, points)).shape[1]
    except (RuntimeError, TypeError, ValueError, AssertionError, AttributeError) as error:
        # Transformers and others with a size of image built in fail in as many ways as there are.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(
            f"ir-timm: {name!r} is not made of convolutions alone, or needs images of a fixed size ({reason}); "
            "choose another, such as resnet18, convnext_atto or efficientnet_b0"
        ) from error
    return network.train(), features


def one_dimensional(model: nn.Module) -> OneDimensional:
    """The same architecture along one axis, changed in place, its convolutions initialised anew.

    Every convolution, pooling and blur of k x k becomes one of 1 x k; strides, paddings and dilations likewise.

    Raises:
        ConfigError: it has no two-dimensional convolution, or attends among places.
    """
    if any("attention" in type(m).__name__.lower() for m in model.modules() if _has_parameters(m)):
        raise ConfigError("ir-timm: the model attends among places; ir-vit is the transformer here")
    changed = 0
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            _narrow_convolution(module)
            changed += 1
        elif isinstance(module, (nn.MaxPool2d, nn.AvgPool2d)):
            _narrow(module, "kernel_size", 1)
            _narrow(module, "stride", 1)
            _narrow(module, "padding", 0)
            if isinstance(module, nn.MaxPool2d):
                _narrow(module, "dilation", 1)
        elif "filt" in dict(module.named_buffers(recurse=False)):
            _narrow_blur(module)
    if not changed:
        raise ConfigError("ir-timm: the model has no two-dimensional convolution")
    return OneDimensional(model)


def _has_parameters(module: nn.Module) -> bool:
    # Squeeze-and-excitation and its kin weigh channels, not places, and are called otherwise in timm.
    return any(True for _ in module.parameters())


def _narrow_convolution(module: nn.Conv2d) -> None:
    loose: Any = module
    for name, value in (("kernel_size", 1), ("stride", 1), ("dilation", 1)):
        setattr(loose, name, (value, getattr(module, name)[1]))
    if not isinstance(module.padding, str):
        loose.padding = (0, module.padding[1])
    if hasattr(loose, "_reversed_padding_repeated_twice"):
        sides = loose._reversed_padding_repeated_twice
        loose._reversed_padding_repeated_twice = [*sides[:2], 0, 0]
    weight = torch.empty_like(module.weight[:, :, :1])
    nn.init.kaiming_normal_(weight, nonlinearity="relu")
    module.weight = nn.Parameter(weight)
    # Standardised convolutions hold the size of their kernel, to scale by.
    if isinstance(getattr(loose, "scale", None), float):
        loose.scale *= math.sqrt(module.kernel_size[1])


def _narrow(module: nn.Module, name: str, value: int) -> None:
    given = getattr(module, name)
    setattr(module, name, (value, given[1] if isinstance(given, tuple) else given))


def _narrow_blur(module: Any) -> None:
    # A binomial filter is an outer product: its rows are the one-dimensional filter up to a factor.
    row = module.filt.sum(dim=-2, keepdim=True)
    module.filt = row / row.sum(dim=-1, keepdim=True)
    if isinstance(getattr(module, "padding", None), (list, tuple)):
        module.padding = [*module.padding[:2], 0, 0]
