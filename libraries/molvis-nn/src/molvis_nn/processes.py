"""Processes that train together, each with a part of a batch, and what has to be of the whole batch nevertheless.

Losses over the pairs of a batch, and statistics of a batch, are of all processes' records: within `joining`, `joined`
puts the rows of all processes one after the other, in their order, and gradients find the way back. So N processes take
the same steps as one whose batch is as large as theirs together.

Every process computes the same loss of the whole batch. Gradients are those of the sum of these equal losses, N times
too large, and the mean over processes that `DistributedDataParallel` takes of them is the gradient of the one loss.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from contextvars import ContextVar
from typing import Any

import torch
import torch.distributed
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from molvis_core.errors import ConfigError

__all__ = ["JointBatchNorm", "counted", "counting", "join_norms", "joined", "joining"]

dist: Any = torch.distributed
"""A PyTorch that was built without it has the module, and nothing in it but `is_available`."""

_JOINING: ContextVar[bool] = ContextVar("joining", default=False)
_COUNTED: ContextVar[Tensor | None] = ContextVar("counted", default=None)


@contextlib.contextmanager
def joining() -> Generator[None]:
    """A step that all processes take: `joined` waits for them within this block, and for nobody outside of it."""
    token = _JOINING.set(_several())
    try:
        yield
    finally:
        _JOINING.reset(token)


def _several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


@contextlib.contextmanager
def counting(mask: Tensor) -> Generator[None]:
    """Records of a batch that are there to be counted; the others only pad it, so that every process has some."""
    token = _COUNTED.set(mask)
    try:
        yield
    finally:
        _COUNTED.reset(token)


def counted(rows: Tensor) -> Float[Tensor, " n"]:
    """1 for each row that counts in statistics of the batch of all processes, 0 for one that pads it."""
    mask = _COUNTED.get()
    if mask is None or len(mask) != len(rows):
        return torch.ones(len(rows), device=rows.device)
    return mask.float()


def joined(rows: Tensor) -> Tensor:
    """The rows of all processes, in their order; the same rows where one process trains alone.

    Args:
        rows: of this process; the first axis may differ in length, all else must agree.
    """
    if not _JOINING.get():
        return rows
    if rows.dtype == torch.bool:  # which some backends do not send
        return joined(rows.byte()).bool()
    count = torch.tensor([len(rows)], device=rows.device)
    counts = [torch.empty_like(count) for _ in range(dist.get_world_size())]
    dist.all_gather(counts, count)
    return _Joined.apply(rows, [int(one) for one in counts])


class _Joined(torch.autograd.Function):
    """All processes' rows; each gets back what all of them have of gradients for its own."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, counts: list[int]) -> Tensor:
        ctx.counts = counts
        padded = rows.new_zeros(max(counts), *rows.shape[1:])
        padded[: len(rows)] = rows
        found = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(found, padded)
        return torch.cat([part[:count] for part, count in zip(found, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        rank = dist.get_rank()
        start = sum(ctx.counts[:rank])
        return total[start : start + ctx.counts[rank]], None


class _Summed(torch.autograd.Function):
    """The sum over all processes."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:  # noqa: ARG004 - PyTorch gives it
        total = value.contiguous().clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ARG004 - PyTorch gives it
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        return total


class JointBatchNorm(nn.BatchNorm1d):
    """Batch normalisation, of any number of axes, whose means and variances are over the batches of all processes.

    PyTorch's `SyncBatchNorm` does the same on GPUs, and refuses tensors on a CPU.
    """

    @classmethod
    def of(cls, norm: _BatchNorm) -> JointBatchNorm:
        """One with the parameters and running statistics of another, not copies of them."""
        made = cls(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        made._parameters, made._buffers, made.training = norm._parameters, norm._buffers, norm.training
        return made

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 - PyTorch's name
        if input.ndim < 2:
            raise ValueError(f"at least 2 axes are needed, got {input.ndim}")

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - PyTorch's name
        """Normalised values."""
        if not (self.training and _JOINING.get()):
            return super().forward(input)
        axes = [axis for axis in range(input.ndim) if axis != 1]
        shape = (1, -1, *(1 for _ in axes[1:]))
        values = input.float()
        weight = counted(values).view(-1, *(1 for _ in axes))
        found = _Summed.apply(weight.sum() * (values[0].numel() // values.shape[1]))
        count = found.clamp_min(1)
        mean = _Summed.apply((weight * values).sum(axes)) / count
        centred = values - mean.view(shape)
        variance = _Summed.apply((weight * centred.square()).sum(axes)) / count
        if found > 0:
            self._note(mean.detach(), variance.detach() * count / (count - 1).clamp_min(1))
        out = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            out = out * self.weight.view(shape) + self.bias.view(shape)
        return out.to(input.dtype)

    def _note(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance.to(self.running_var.dtype), share)


_PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def join_norms(module: nn.Module, where: str) -> None:
    """Have every batch normalisation within a module be of the batches of all processes.

    Args:
        module: which is changed; its parameters stay the same objects.
        where: what it is, for messages.

    Raises:
        ConfigError: it has a kind of batch normalisation whose statistics cannot be joined.
    """
    for name, part in list(module.named_modules()):
        for key, child in list(part.named_children()):
            if type(child) in _PLAIN:
                setattr(part, key, JointBatchNorm.of(child))
            elif isinstance(child, _BatchNorm) and not isinstance(child, JointBatchNorm | nn.SyncBatchNorm):
                place = ".".join(filter(None, (name, key)))
                raise ConfigError(
                    f"{where}: {place} is a {type(child).__name__}, which normalises by the batch of one process. "
                    "Train it in one process, or choose an encoder with BatchNorm of PyTorch, or none"
                )
