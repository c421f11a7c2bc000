"""One step of training, and what takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from molvis_core.errors import ConfigError
from molvis_nn.fusion import MeasuredBatch
from molvis_nn.loop import WeightAverage, decay_groups, descend, warmup_cosine
from molvis_nn.processes import join_norms, joined, joining
from molvis_retrieval.config import TrainConfig
from molvis_retrieval.training.batches import PairBatch
from molvis_retrieval.training.run import Run

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True, eq=False)
class Learner:
    """What changes the weights of a run, and the modules as the devices want them.

    Attributes:
        encoders, losses: those of the run; after `on_devices` as Fabric wraps them.
        optimizer: of all weights that change.
        averages: running averages of the weights, by encoder.
        balance: of the gradients of several pairings.
    """

    encoders: Mapping[str, Any]
    losses: Sequence[Any]
    optimizer: torch.optim.Optimizer
    averages: Mapping[str, WeightAverage]
    balance: GradientBalance

    @classmethod
    def of(cls, run: Run) -> Learner:
        """What a run begins with.

        Raises:
            ConfigError: no weight changes.
        """
        settings, trained = run.config.train, run.trained
        learned = [*trained.values(), *(loss for loss in run.losses if isinstance(loss, nn.Module))]
        groups = decay_groups(learned, settings.weight_decay)
        if not groups:
            raise ConfigError("nothing to train: every encoder is frozen")
        make = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
        return cls(
            run.encoders,
            run.losses,
            make(groups, lr=settings.learning_rate, betas=settings.betas),
            {key: WeightAverage(encoder, settings.ema_decay) for key, encoder in trained.items()},
            GradientBalance([p.encoders for p in run.pairings], list(trained), on=settings.balance == "norm"),
        )

    def on_devices(self, fabric: Fabric) -> Learner:
        """The same with its modules and its optimizer where Fabric trains them.

        Raises:
            ConfigError: an encoder normalises by batches in a way that several processes cannot do together.
        """
        if fabric.world_size > 1:
            for key, encoder in self.encoders.items():
                join_norms(encoder, f"encoders.{key}")
        encoders = {key: _ready(fabric, encoder) for key, encoder in self.encoders.items()}
        optimizer = cast("torch.optim.Optimizer", fabric.setup_optimizers(self.optimizer))
        losses = [_ready(fabric, loss) if isinstance(loss, nn.Module) else loss for loss in self.losses]
        return replace(self, encoders=encoders, losses=losses, optimizer=optimizer)


def _ready(fabric: Fabric, module: nn.Module) -> nn.Module:
    if any(p.requires_grad for p in module.parameters()):
        return fabric.setup_module(module)
    return module.to(fabric.device)


def rate_factor(settings: TrainConfig, step: int, steps: int, per_epoch: int) -> float:
    """Factor of the learning rate at a step, by the schedule."""
    warmup = settings.warmup * steps
    if step < warmup or settings.schedule == "cosine":
        return warmup_cosine(step, steps, warmup)
    return settings.decay ** (step // per_epoch) if settings.schedule == "exponential" else 1.0


def step(run: Run, batch: PairBatch, learner: Learner, fabric: Fabric) -> float:
    """Change the weights by one batch, which is on the device.

    The loss is of the batch of all processes that train together, and the same in each.

    Returns:
        The loss.

    Raises:
        TrainingError: the loss is not finite. No weight has changed.
    """
    pair, encoders = run.config.pairs[batch.pair], learner.encoders
    for key in run.pairings[batch.pair].encoders:
        encoders[key].train(key not in run.config.train.freeze)
    measured = batch.query.batch
    with joining():
        query = encoders[pair.query](measured.encode(encoders) if isinstance(measured, MeasuredBatch) else measured)
        reference = encoders[pair.reference](batch.reference.batch)
        # Structures of the queries first, harder ones behind them, as in the batch of one process.
        reference, harder = joined(reference[: len(query)]), reference[len(query) :]
        if len(batch.owner):
            reference = torch.cat([reference, joined(harder)])
        query = joined(query)
    target, weight = run.targets[batch.pair](batch.query.target, batch.reference.target)
    loss = learner.losses[batch.pair](query, reference, target, weight)
    if len(batch.owner) and pair.own_negatives:
        own = torch.zeros_like(weight)
        count = len(query)
        own[batch.owner, torch.arange(count, count + len(batch.owner), device=own.device)] = 1.0
        own[:, :count] = torch.eye(count, device=own.device)
        loss = loss + pair.own_negatives * learner.losses[batch.pair](query, reference, target, weight * own)
    return descend(
        loss,
        learner.optimizer,
        clip=run.config.train.clip,
        where=f"pair {pair.query}:{pair.reference} ({pair.loss['use']!r})",
        backward=fabric.backward,
        adjust=lambda: learner.balance.scale(batch.pair, encoders),
    )


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
