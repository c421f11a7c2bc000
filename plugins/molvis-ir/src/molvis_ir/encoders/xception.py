"""`ir-xception`: depthwise separable convolutions."""

from __future__ import annotations

from torch import Tensor, nn

from molvis_core.errors import ConfigError
from molvis_ir.encoders.frame import TraceEncoder, channel_count
from molvis_ir.encoders.stages import check_stages, shortcut


class IrXception(TraceEncoder):
    """Depthwise separable convolutions with residual connections, after Chollet 2017 (doi:10.1109/CVPR.2017.195).

    Args:
        dim: length of the vectors.
        width: channels of the first stage; each further stage has twice as many and half the points.
        stages: that halve the points.
        middle: blocks after them that keep the size.
        kernel: points of a depthwise convolution.
        places: that the last feature map is pooled to.
        dropout: before the last layers.
        augmentation: strength of the changes in training; 0 for none.
        robust: whether baselines are taken away, gaps are known as such, and the wavenumber scale is put right.
    """

    def __init__(
        self,
        dim: int = 512,
        width: int = 64,
        stages: int = 3,
        middle: int = 2,
        kernel: int = 9,
        places: int = 13,
        dropout: float = 0.3,
        augmentation: float = 1.0,
        robust: bool = False,
    ) -> None:
        check_stages("ir-xception", width, [stages], places)
        if middle < 0 or kernel < 1 or kernel % 2 == 0:
            raise ConfigError(f"ir-xception: middle must be at least 0 and kernel odd, got {middle} and {kernel}")
        parts: list[nn.Module] = [
            nn.Conv1d(channel_count(robust), width, kernel, 2, kernel // 2, bias=False),
            nn.BatchNorm1d(width),
        ]
        size = width
        for stage in range(stages):
            wider = width << stage
            parts.append(_Separable(size, wider, kernel, stride=2, count=2))
            size = wider
        parts += [_Separable(size, size, kernel, stride=1, count=3) for _ in range(middle)]
        network = nn.Sequential(*parts, nn.ReLU(), nn.AdaptiveAvgPool1d(places), nn.Flatten())
        super().__init__(network, size * places, dim, dropout, augmentation, "ir-xception", robust=robust)


class _Separable(nn.Module):
    def __init__(self, size: int, wider: int, kernel: int, *, stride: int, count: int) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for number in range(count):
            inside = size if number == 0 else wider
            parts += [
                nn.ReLU(),
                nn.Conv1d(inside, inside, kernel, 1, kernel // 2, groups=inside, bias=False),
                nn.Conv1d(inside, wider, 1, bias=False),
                nn.BatchNorm1d(wider),
            ]
        if stride > 1:
            parts.append(nn.MaxPool1d(3, stride, 1))
        self.body, self.shortcut = nn.Sequential(*parts), shortcut(size, wider, stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + self.shortcut(x)
