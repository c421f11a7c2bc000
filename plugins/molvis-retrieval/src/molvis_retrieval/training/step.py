"""One step of training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from molvis_core.errors import TrainingError
from molvis_nn.fusion import MeasuredBatch
from molvis_retrieval.config import RunConfig
from molvis_retrieval.training.batches import PairBatch

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def schedule(config: RunConfig, step: int, steps: int, per_epoch: int) -> float:
    """Factor of the learning rate at a step."""
    settings = config.train
    warm = settings.warmup * steps
    if step < warm:
        return (step + 1) / (warm + 1)
    if settings.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1.0, steps - warm)))
    if settings.schedule == "exponential":
        return settings.decay ** (step // per_epoch)
    return 1.0


def parameter_groups(modules: Sequence[nn.Module], weight_decay: float) -> list[dict[str, Any]]:
    """What the optimizer changes, with weight decay where that has a meaning."""
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for module in modules:
        for parameter in module.parameters():
            if parameter.requires_grad:
                # Biases, norms and temperatures have no direction that decay could simplify.
                (decayed if parameter.ndim > 1 else plain).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return [g for g in groups if g["params"]]


def set_up(
    fabric: Fabric, encoders: Mapping[str, Any], optimizer: torch.optim.Optimizer
) -> tuple[dict[str, Any], torch.optim.Optimizer]:
    """Encoders and optimizer on their devices."""
    ready = {}
    for key, encoder in encoders.items():
        if any(p.requires_grad for p in encoder.parameters()):
            ready[key] = fabric.setup_module(encoder)
        else:
            ready[key] = encoder.to(fabric.device)
    return ready, cast("torch.optim.Optimizer", fabric.setup_optimizers(optimizer))


def set_up_loss(fabric: Fabric, loss: Any) -> Any:
    """A loss on its device."""
    if isinstance(loss, nn.Module) and any(p.requires_grad for p in loss.parameters()):
        return fabric.setup_module(loss)
    return loss.to(fabric.device) if isinstance(loss, nn.Module) else loss


def step(
    batch: PairBatch,
    config: RunConfig,
    encoders: Mapping[str, Any],
    losses: Sequence[Any],
    targets: Sequence[Any],
    optimizer: torch.optim.Optimizer,
    fabric: Fabric,
    balance: GradientBalance,
) -> float:
    """Take a step; returns the loss."""
    pair = config.pairs[batch.pair]
    measured = batch.query.batch
    query = encoders[pair.query](measured.encode(encoders) if isinstance(measured, MeasuredBatch) else measured)
    reference = encoders[pair.reference](batch.reference.batch)
    target, weight = targets[batch.pair](batch.query.target, batch.reference.target)
    loss = losses[batch.pair](query, reference, target, weight)
    if len(batch.owner) and pair.own_negatives:
        own = torch.zeros_like(weight)
        count = len(query)
        own[batch.owner, torch.arange(count, count + len(batch.owner), device=own.device)] = 1.0
        own[:, :count] = torch.eye(count, device=own.device)
        loss = loss + pair.own_negatives * losses[batch.pair](query, reference, target, weight * own)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise TrainingError(
            f"the loss {pair.loss['use']!r} of pair {pair.query}:{pair.reference} is {value}. Lower the learning rate, "
            "or use a loss that stays finite; the last checkpoint is kept."
        )
    optimizer.zero_grad()
    fabric.backward(loss)
    balance.scale(batch.pair, encoders)
    if config.train.clip:
        parameters = [p for g in optimizer.param_groups for p in g["params"] if p.grad is not None]
        torch.nn.utils.clip_grad_norm_(parameters, config.train.clip)
    optimizer.step()
    return value


class GradientBalance:
    """Factors that make the pairings' gradients at a shared encoder equally long on the running average.

    Batches alternate, so the pairings' gradients are never there together: each is measured in its own steps.

    Reference: GradNorm without its rates of training (alpha = 0), Chen et al., ICML 2018,
    doi:10.48550/arXiv.1711.02257
    """

    DECAY, LIMIT = 0.95, 10.0

    def __init__(self, used: Sequence[Set[str]], trained: Sequence[str], *, on: bool) -> None:
        self.used = used
        self.shared = [key for key in trained if sum(key in keys for keys in used) > 1]
        self.mean = torch.zeros(len(used) if on else 0, len(self.shared), dtype=torch.float64)
        self.seen = torch.zeros_like(self.mean)

    def scale(self, pair: int, encoders: Mapping[str, Any]) -> None:
        """Scale the gradients that a step of a pairing left."""
        if not len(self.mean):
            return
        for place, key in enumerate(self.shared):
            gradients = [p.grad for p in encoders[key].parameters() if p.grad is not None]
            if key not in self.used[pair] or not gradients:
                continue
            norm = float(torch.stack([gradient.norm() for gradient in gradients]).norm())
            if not norm > 0:
                continue
            self.mean[pair, place] += (1 - self.DECAY) * (norm - self.mean[pair, place])
            self.seen[pair, place] += 1
            known = self.seen[:, place] > 0
            norms = self.mean[known, place] / (1 - self.DECAY ** self.seen[known, place])
            own = self.mean[pair, place] / (1 - self.DECAY ** self.seen[pair, place])
            factor = float((norms.mean() / own).clamp(1 / self.LIMIT, self.LIMIT))
            for gradient in gradients:
                gradient.mul_(factor)

    def state(self) -> list[Tensor]:
        """What a checkpoint keeps."""
        return [self.mean.clone(), self.seen.clone()]

    def load(self, state: Sequence[Tensor]) -> None:
        """Go on from a checkpoint."""
        self.mean, self.seen = state
