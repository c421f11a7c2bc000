"""Where a run stands, and how it goes on from there after an interruption."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from molvis_core.text import in_shell
from molvis_files.documents import load_toml, write_toml
from molvis_nn.loop import Checkpoint
from molvis_retrieval.config import RunConfig, fill, old_keys
from molvis_retrieval.training.run import Run
from molvis_retrieval.training.step import Learner

_APART = ("best_weights", "running")


@dataclass
class State:
    """What changes as a run goes on, besides the weights.

    Attributes:
        step: how many steps are done.
        best, best_epoch, best_metrics: of the validation that was best.
        best_weights: of every encoder then.
        since_best: how many validations came after it.
        rows: metrics of each epoch.
        running: losses of the steps of the epoch that is under way.
        threads: that the run began with; a resumed one takes as many, since sums are rounded by them.
    """

    step: int = 0
    best: float = -math.inf
    best_epoch: int = -1
    since_best: int = 0
    best_metrics: dict[str, float] = field(default_factory=dict)
    rows: list[dict[str, float]] = field(default_factory=list)
    best_weights: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    running: list[float] = field(default_factory=list)
    threads: int = 0


_ELSEWHERE: dict[str, Any] = {
    "accelerator": "auto", "devices": "auto", "nodes": 1, "strategy": "auto", "workers": 0, "threads": 0,
    "checkpoint_every": 300.0,
}  # fmt: skip
"""Settings that may differ between a run and its resumption: where it runs, not what it computes."""


def signature(config: RunConfig, world: int = 1) -> str:
    """The settings that decide what a run computes, as text.

    Args:
        config: of the run.
        world: processes that train together. What counts is the batch of all of them: four with 64 compounds take the
            same steps as one with 256.
    """
    train = replace(config.train, batch=config.train.batch * world, **_ELSEWHERE)
    return write_toml(fill(replace(config, train=train)))


def checkpoint_of(folder: Path, config: RunConfig, world: int = 1) -> Checkpoint:
    """The checkpoint in the folder of a run, which `world` processes train together."""

    def outdated(stored: str) -> str:
        found = [f"{section}.{old}, which is now {section}.{new}" for section, old, new in old_keys(load_toml(stored))]
        if not found:
            return ""
        # Averaged weights were kept in another form too: with new names alone a run would end elsewhere.
        return (
            f"this checkpoint was written by an older molvis, whose configuration has {'; '.join(found)}. A run cannot "
            f"be resumed from it. Start it anew with: molvis train {in_shell(folder / 'config.toml')} --out "
            f"{in_shell(folder)} --no-resume"
        )

    other = "another configuration"
    if world > 1:
        other += f", where batch is that of all {world} processes together"
    return Checkpoint(folder / "checkpoint.pt", signature(config, world), other=other, outdated=outdated)


def save(checkpoint: Checkpoint, run: Run, learner: Learner, state: State) -> None:
    """Write where a run stands.

    Raises:
        TrainingError: the disk is full, or the file cannot be written. The last checkpoint is kept.
    """
    checkpoint.write(
        {
            "modules": {name: module.state_dict() for name, module in _modules(run).items()},
            "optimizer": learner.optimizer.state_dict(),
            "average": {key: average.state for key, average in learner.averages.items()},
            "balance": learner.balance.state(),
            "state": {f.name: getattr(state, f.name) for f in fields(State) if f.name not in _APART},
            "best": state.best_weights,
            "running": state.running,
        }
    )


def load(checkpoint: Checkpoint, run: Run, learner: Learner) -> State:
    """Put what was written last into the modules of a run and into what changes them.

    Raises:
        TrainingError: it is of another configuration, or damaged.
    """
    with checkpoint.reading() as content:
        for name, module in _modules(run).items():
            module.load_state_dict(content["modules"][name])
        learner.optimizer.load_state_dict(content["optimizer"])
        for key, average in learner.averages.items():
            average.state = content["average"].get(key, {})
        learner.balance.load(content["balance"])
        return State(**content["state"], best_weights=content["best"], running=content["running"])


def _modules(run: Run) -> Mapping[str, nn.Module]:
    modules = {f"encoder.{key}": encoder for key, encoder in run.encoders.items()}
    return modules | {f"loss.{i}": loss for i, loss in enumerate(run.losses) if isinstance(loss, nn.Module)}
