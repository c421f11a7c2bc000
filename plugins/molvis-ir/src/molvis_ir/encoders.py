"""Encoders of infrared spectra: one frame, several networks.

All take a spectrum on the reference design's grid as two channels, absorbance and its square root, and change it in
training as another instrument might have. They differ in the network between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from molvis_core.collate import TensorBatch
from molvis_core.errors import ConfigError
from molvis_core.records import Trace
from molvis_ir.preparation import HIGH, LOW, STEP, augment, channels, grid, prepare

CHANNELS = 2


@dataclass(frozen=True, eq=False)
class TraceBatch(TensorBatch):
    """Spectra on a grid.

    Attributes:
        values: absorbance, each row of Euclidean norm 1.
    """

    values: Float[Tensor, "n t"]


class TraceEncoder(nn.Module):
    """What the encoders share: the grid, the augmentation, and the way to a unit vector.

    A network maps "n 2 t" to "n features"; the encoders below hand theirs in. Two layers come behind those that end in
    feature maps, a single one behind a network that mixes its features itself.
    """

    accepts = Trace

    def __init__(
        self,
        network: nn.Module,
        features: int,
        dim: int,
        dropout: float,
        augmentation: float,
        where: str,
        *,
        deep: bool = True,
    ) -> None:
        super().__init__()
        if dim < 1 or augmentation < 0 or not 0 <= dropout < 1:
            raise ConfigError(
                f"{where}: dim = {dim}, dropout = {dropout}, augmentation = {augmentation}; a positive whole number, "
                "a share from 0 to below 1 and a number from 0 on are wanted"
            )
        self.dim, self.augmentation = dim, augmentation
        self.network = network
        before = [nn.Dropout(dropout), nn.Linear(features, dim), nn.GELU(), nn.LayerNorm(dim), nn.Dropout(dropout)]
        self.head = nn.Sequential(
            nn.LayerNorm(features), *(before if deep else []), nn.Linear(dim if deep else features, dim)
        )

    def collate(self, records: Sequence[Trace]) -> TraceBatch:
        """Spectra on the grid.

        Raises:
            molvis_core.errors.RecordError: a spectrum that is zero on the grid, or covers too little of it.
        """
        return TraceBatch(torch.from_numpy(prepare(records, LOW, HIGH, STEP)))

    def forward(self, batch: TraceBatch) -> Float[Tensor, "n dim"]:
        """Unit vectors."""
        spectra = batch.values
        if self.training:
            spectra = augment(spectra, self.augmentation)
            spectra = nn.functional.normalize(spectra, dim=1)
        out = self.head(self.network(channels(spectra)))
        return nn.functional.normalize(out.float(), dim=-1)


class IrLocal(TraceEncoder):
    """Overlapping stretches of the spectrum, each with weights of its own, through a residual network.

    A band's place says what vibrates, so that weights need not be shared along the axis as a convolution shares them:
    an epoch takes a quarter of the time of `ir-resnet` and ranks better.

    Args:
        dim: length of the vectors.
        width: of the residual network.
        blocks: residual blocks.
        stretch: points of a stretch, 4 cm^-1 each.
        stride: points from one stretch to the next.
        local: numbers that a stretch is turned into.
        dropout: in the network.
        augmentation: strength of the changes in training; 0 for none.
    """

    def __init__(
        self,
        dim: int = 512,
        width: int = 1024,
        blocks: int = 3,
        stretch: int = 33,
        stride: int = 11,
        local: int = 64,
        dropout: float = 0.3,
        augmentation: float = 1.0,
    ) -> None:
        points = len(grid())
        for name, value in (("width", width), ("blocks", blocks), ("stride", stride), ("local", local)):
            if value < 1:
                raise ConfigError(f"ir-local: {name} = {value}; a positive whole number is wanted")
        if not stride <= stretch <= points:
            raise ConfigError(f"ir-local: stretch = {stretch}; from stride = {stride} to {points} points are wanted")
        network = _Local(points, width, blocks, stretch, stride, local, dropout)
        super().__init__(network, width, dim, dropout, augmentation, "ir-local", deep=False)


class _Local(nn.Module):
    def __init__(
        self, points: int, width: int, blocks: int, stretch: int, stride: int, local: int, dropout: float
    ) -> None:
        super().__init__()
        self.stretch, self.stride = stretch, stride
        count, size = (points - stretch) // stride + 1, CHANNELS * stretch
        self.weight = nn.Parameter(torch.randn(count, size, local) / size**0.5)
        self.bias = nn.Parameter(torch.zeros(count, local))
        self.gather = nn.Linear(count * local, width)
        self.whole = nn.Linear(points * CHANNELS, width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(_Residual(width, dropout) for _ in range(blocks)))

    def forward(self, x: Float[Tensor, "n 2 t"]) -> Float[Tensor, "n width"]:
        stretches = x.unfold(2, self.stretch, self.stride).permute(2, 0, 1, 3).flatten(2)
        local = nn.functional.gelu(torch.bmm(stretches, self.weight) + self.bias[:, None])
        joined = self.gather(local.transpose(0, 1).flatten(1)) + self.whole(x.flatten(1))
        return self.blocks(self.dropout(nn.functional.gelu(joined)))


class _Residual(nn.Module):
    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(dropout)
        self.widen, self.narrow = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.dropout(nn.functional.gelu(self.widen(self.norm(x))))
        return x + self.dropout(self.narrow(inner))


class IrBands(nn.Module):
    """The spectrum itself as the vector: centred, and every point weighed.

    It leaves the work to the structure encoder, which has to predict the spectrum. What that gets wrong differs from
    what encoders of spectra get wrong, so that it is worth most joined with one of them. An average spectrum and a
    spread are gathered in training.

    Args:
        power: of the spread that points are divided by: 0 weighs them as measured, 1 gives all the same spread.
        augmentation: strength of the changes in training; 0 for none.
    """

    accepts = Trace

    def __init__(self, power: float = 0.5, augmentation: float = 1.0) -> None:
        super().__init__()
        if not 0 <= power <= 1 or augmentation < 0:
            raise ConfigError(
                f"ir-bands: power = {power}, augmentation = {augmentation}; a share from 0 to 1 and a number from 0 on "
                "are wanted"
            )
        self.dim = CHANNELS * len(grid())
        self.power, self.augmentation = power, augmentation
        self.gathered = nn.BatchNorm1d(self.dim, momentum=0.05, affine=False)
        self.gain = nn.Parameter(torch.zeros(self.dim))

    def collate(self, records: Sequence[Trace]) -> TraceBatch:
        """Spectra on the grid.

        Raises:
            molvis_core.errors.RecordError: a spectrum that is zero on the grid, or covers too little of it.
        """
        return TraceBatch(torch.from_numpy(prepare(records, LOW, HIGH, STEP)))

    def forward(self, batch: TraceBatch) -> Float[Tensor, "n dim"]:
        """Unit vectors."""
        spectra = batch.values
        if self.training:
            spectra = nn.functional.normalize(augment(spectra, self.augmentation), dim=1)
        points = channels(spectra).flatten(1)
        if self.training:
            self.gathered(points)
        mean, variance = self.gathered.running_mean, self.gathered.running_var
        assert mean is not None
        assert variance is not None
        out = (points - mean) / (variance + _FLOOR) ** (self.power / 2) * self.gain.exp()
        return nn.functional.normalize(out.float(), dim=-1)


_FLOOR = 1e-3  # of the variance, so that points where nothing ever absorbs are not blown up


class IrResNet(TraceEncoder):
    """A residual network of one-dimensional convolutions, after He et al. 2016 (doi:10.1109/CVPR.2016.90).

    The last feature map is pooled to a few places along the axis rather than to one: where a band lies matters.

    Args:
        dim: length of the vectors.
        width: channels of the first stage; each further stage has twice as many and half the points.
        layers: blocks of each stage.
        places: that the last feature map is pooled to.
        dropout: before the last layers.
        augmentation: strength of the changes in training; 0 for none.
    """

    def __init__(
        self,
        dim: int = 512,
        width: int = 64,
        layers: Sequence[int] = (2, 2, 2),
        places: int = 13,
        dropout: float = 0.3,
        augmentation: float = 1.0,
    ) -> None:
        _check_stages("ir-resnet", width, layers, places)
        stages: list[nn.Module] = [
            nn.Conv1d(CHANNELS, width, 9, 2, 4, bias=False), nn.BatchNorm1d(width), nn.ReLU(), nn.MaxPool1d(3, 2, 1)
        ]  # fmt: skip
        size = width
        for stage, count in enumerate(layers):
            for block in range(count):
                wider = width << stage
                stages.append(_ResidualConvolution(size, wider, 2 if stage and not block else 1))
                size = wider
        network = nn.Sequential(*stages, nn.AdaptiveAvgPool1d(places), nn.Flatten())
        super().__init__(network, size * places, dim, dropout, augmentation, "ir-resnet")


class _ResidualConvolution(nn.Module):
    def __init__(self, size: int, wider: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(size, wider, 5, stride, 2, bias=False), nn.BatchNorm1d(wider), nn.ReLU(),
            nn.Conv1d(wider, wider, 5, 1, 2, bias=False), nn.BatchNorm1d(wider),
        )  # fmt: skip
        self.shortcut = _shortcut(size, wider, stride)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


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
    ) -> None:
        _check_stages("ir-xception", width, [stages], places)
        if middle < 0 or kernel < 1 or kernel % 2 == 0:
            raise ConfigError(f"ir-xception: middle = {middle}, kernel = {kernel}; 0 or more, and an odd number wanted")
        parts: list[nn.Module] = [nn.Conv1d(CHANNELS, width, kernel, 2, kernel // 2, bias=False), nn.BatchNorm1d(width)]
        size = width
        for stage in range(stages):
            wider = width << stage
            parts.append(_Separable(size, wider, kernel, stride=2, count=2))
            size = wider
        parts += [_Separable(size, size, kernel, stride=1, count=3) for _ in range(middle)]
        network = nn.Sequential(*parts, nn.ReLU(), nn.AdaptiveAvgPool1d(places), nn.Flatten())
        super().__init__(network, size * places, dim, dropout, augmentation, "ir-xception")


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
        self.body, self.shortcut = nn.Sequential(*parts), _shortcut(size, wider, stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + self.shortcut(x)


def _shortcut(size: int, wider: int, stride: int) -> nn.Module:
    if size == wider and stride == 1:
        return nn.Identity()
    return nn.Sequential(nn.Conv1d(size, wider, 1, stride, bias=False), nn.BatchNorm1d(wider))


def _check_stages(where: str, width: int, layers: Sequence[int], places: int) -> None:
    if width < 1 or places < 1 or not layers or min(layers) < 1:
        raise ConfigError(
            f"{where}: width = {width}, stages of {list(layers)} blocks, places = {places}; positive numbers are wanted"
        )


class IrViT(TraceEncoder):
    """A vision transformer along one axis: a convolution embeds patches, timm's blocks attend among them.

    After Dosovitskiy et al. 2021 (doi:10.48550/arXiv.2010.11929).

    Args:
        dim: length of the vectors.
        width: of a token.
        depth: transformer blocks.
        heads: of the attention; divides `width`.
        patch: points of a patch.
        stride: points from one patch to the next.
        dropout: in the blocks and before the last layers.
        augmentation: strength of the changes in training; 0 for none.
    """

    def __init__(
        self,
        dim: int = 512,
        width: int = 192,
        depth: int = 6,
        heads: int = 6,
        patch: int = 25,
        stride: int = 16,
        dropout: float = 0.1,
        augmentation: float = 1.0,
    ) -> None:
        points = len(grid())
        if heads < 1 or width < 1 or width % heads or depth < 1:
            raise ConfigError(
                f"ir-vit: width = {width}, heads = {heads}, depth = {depth}; positive numbers, and a width that the "
                "heads divide, are wanted"
            )
        if not 1 <= stride <= patch <= points:
            raise ConfigError(f"ir-vit: patch = {patch}, stride = {stride}; 1 <= stride <= patch <= {points} is wanted")
        network = _Transformer(points, width, depth, heads, patch, stride, dropout)
        super().__init__(network, width, dim, dropout, augmentation, "ir-vit")


class _Transformer(nn.Module):
    def __init__(
        self, points: int, width: int, depth: int, heads: int, patch: int, stride: int, dropout: float
    ) -> None:
        from timm.models.vision_transformer import Block

        super().__init__()
        self.patches = nn.Conv1d(CHANNELS, width, patch, stride)
        count = (points - patch) // stride + 1
        self.place = nn.Parameter(0.02 * torch.randn(1, count, width))
        self.blocks = nn.Sequential(
            *(Block(width, heads, qkv_bias=True, proj_drop=dropout, attn_drop=dropout) for _ in range(depth))
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Float[Tensor, "n 2 t"]) -> Float[Tensor, "n width"]:
        tokens = self.patches(x).transpose(1, 2) + self.place
        return self.norm(self.blocks(tokens)).mean(dim=1)


class IrTimm(TraceEncoder):
    """Any convolutional model of timm, made one-dimensional.

    Args:
        model: its name in timm, such as `resnet18` or `convnext_atto`; weights start at random.
        dim: length of the vectors.
        dropout: before the last layers.
        augmentation: strength of the changes in training; 0 for none.
    """

    def __init__(
        self, model: str = "resnet18", dim: int = 512, dropout: float = 0.3, augmentation: float = 1.0
    ) -> None:
        from molvis_ir.one_dimensional import timm_model

        network, features = timm_model(model, CHANNELS, len(grid()))
        super().__init__(network, features, dim, dropout, augmentation, "ir-timm")
