"""One plain loop over Lightning Fabric: the same configuration on a CPU, one GPU, several, or several machines.

Everything that is drawn depends on the seed and the number of the step alone, never on how the process came to that
step. So a run killed at any moment and resumed from its last checkpoint ends where an undisturbed run would have ended.

`prepare` makes a `Run` of a configuration; `Batches`, `step` and `validate` take it; what is here puts them in order.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from molvis_core.errors import ConfigError, MolvisError
from molvis_core.interfaces import HasTemperature, declares
from molvis_files.documents import write_toml
from molvis_files.locking import sole_writer
from molvis_nn.loop import TrainingProgress, on_cpu, set_rate, write_metrics, write_safely
from molvis_nn.threads import OtherLoad, computing
from molvis_retrieval.bundle import Bundle, load_bundle, save_bundle
from molvis_retrieval.config import RunConfig, TrainConfig, check, fill
from molvis_retrieval.training.apart import learn_apart, learns_apart, takes_steps, validated
from molvis_retrieval.training.batches import Batches, PairBatch
from molvis_retrieval.training.checkpoint import State, checkpoint_of, load, save
from molvis_retrieval.training.collapse import collapses
from molvis_retrieval.training.metadata import bundle_metadata
from molvis_retrieval.training.run import Report, Run, prepare
from molvis_retrieval.training.scorers import learn_scorers
from molvis_retrieval.training.step import Learner, rate_factor, step
from molvis_retrieval.training.tensorboard import Board
from molvis_retrieval.training.validation import validate

if TYPE_CHECKING:
    from lightning_fabric import Fabric

log = logging.getLogger("molvis")
_WAIT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a run left behind.

    Attributes:
        folder: with `bundle`, `metrics.csv`, `config.toml`, TensorBoard events and the checkpoint.
        best_epoch: the one whose weights the bundle holds.
        metrics: of that epoch on the validation fold.
        stopped: why the run ended: `done` or `early stop`.
        warnings: of the bundle that it left, such as an encoder that has collapsed.
    """

    folder: Path
    best_epoch: int
    metrics: dict[str, float]
    stopped: str
    warnings: tuple[str, ...] = ()


def train(
    config: RunConfig,
    folder: Path | str,
    *,
    resume: bool = True,
    progress: Report | None = None,
    metadata: Mapping[str, Any] | None = None,
    half: bool = False,
) -> TrainResult:
    """Train the encoders of a configuration and leave a bundle of the best epoch.

    Args:
        config: what to train on what; `molvis_retrieval.read_config` makes it. Relative paths are taken from the
            working folder.
        folder: of the run; made if it does not exist.
        resume: go on from the folder's checkpoint if there is one of the same configuration.
        progress: called after every step.
        metadata: what the bundle records about itself besides what the run knows.
        half: store the bundle's weights in 16 bits.

    Raises:
        ConfigError, molvis_core.errors.ComponentError: the configuration names what does not exist.
        molvis_core.errors.BundleError: the weights to start from are missing or damaged.
        TrainingError: a fold is empty, the loss is not finite, the disk is full, or the checkpoint is of another
            configuration. The last checkpoint is kept.
        molvis_core.errors.BusyError: another process trains into the folder.
    """
    check(config)
    folder = Path(folder)
    fabric = _fabric(config.train)
    fabric.launch()
    with contextlib.ExitStack() as held:
        problem: Exception | None = None
        if fabric.is_global_zero:
            try:
                held.enter_context(sole_writer(folder))
            except MolvisError as error:
                problem = error
        # The others wait for the first process: they must know when it gives up.
        if problem := fabric.broadcast(problem):
            raise problem
        report = progress if progress and fabric.is_global_zero else None
        load = OtherLoad()
        run = prepare(config, progress=report)
        ending = _Ending(run, folder, fabric, resume=resume, report=report, metadata=metadata or {}, half=half)
        figures: dict[str, float] = {}
        if learns_apart(run):
            with computing(config.train.threads, load):
                figures = _apart(ending)
                if not takes_steps(run):
                    return ending.reached(_standing(ending, figures), "done")
        training = _Training(run, folder, fabric, resume=resume, report=report, figures=figures)
        state = training.state
        state.threads = held.enter_context(computing(config.train.threads or state.threads, load))
        stopped = training.steps_to_end()
        return ending.reached(state, stopped)


@dataclass(frozen=True, eq=False)
class _Ending:
    """What comes after the encoders: the scorers learn, and the bundle is written."""

    run: Run
    folder: Path
    fabric: Fabric
    resume: bool
    report: Report | None
    metadata: Mapping[str, Any]
    half: bool

    def reached(self, state: State, stopped: str) -> TrainResult:
        """Let the scorers learn that can, and write the bundle of the best epoch."""
        run = self.run
        metrics = dict(state.best_metrics)
        if self.fabric.is_global_zero:
            learned = learn_scorers(run, self.folder, resume=self.resume, report=self.report)
            metrics |= learned.metrics
            about = bundle_metadata(run, state, {"metrics": _rounded(metrics), **self.metadata})
            save_bundle(
                self.folder / "bundle", learned.config, state.best_weights, scorers=learned.scorers, metadata=about,
                half=self.half,
            )  # fmt: skip
        self.fabric.barrier()
        found = tuple(collapses(state.best_metrics))
        return TrainResult(self.folder, state.best_epoch, metrics, stopped, found)


def _apart(ending: _Ending) -> dict[str, float]:
    """Let encoders learn apart, in the first process alone; the others take over what it kept."""
    run, fabric, figures = ending.run, ending.fabric, dict[str, float]()
    if fabric.is_global_zero:
        ending.folder.mkdir(parents=True, exist_ok=True)
        write_safely(ending.folder / "config.toml", write_toml(fill(run.config)).encode())
        figures = learn_apart(run, ending.folder, resume=ending.resume, report=ending.report)
    fabric.barrier()
    return figures if fabric.is_global_zero else learn_apart(run, ending.folder)


def _standing(ending: _Ending, figures: Mapping[str, float]) -> State:
    """Where a run stands that takes no steps."""
    return validated(ending.run, ending.folder, figures) if ending.fabric.is_global_zero else State()


class _Training:
    """A run under way: its steps, validations and checkpoints in their order."""

    def __init__(
        self, run: Run, folder: Path, fabric: Fabric, *, resume: bool, report: Report | None,
        figures: Mapping[str, float],
    ) -> None:  # fmt: skip
        self.run, self.folder, self.fabric, self.report, self.resume = run, folder, fabric, report, resume
        self.figures = figures
        self.settings = run.config.train
        self.batches = Batches(run, fabric.global_rank, fabric.world_size)
        learner = Learner.of(run)
        folder.mkdir(parents=True, exist_ok=True)
        self.checkpoint = checkpoint_of(folder, run.config, fabric.world_size)
        self.state = load(self.checkpoint, run, learner) if resume and self.checkpoint.exists else State()
        if fabric.is_global_zero:
            write_safely(folder / "config.toml", write_toml(fill(run.config)).encode())
        self.learner = learner.on_devices(fabric)
        self.board = Board(folder / "tensorboard", self.state.step) if fabric.is_global_zero else None

    def steps_to_end(self) -> str:
        """Take the steps that are left; returns why the run ended."""
        try:
            return self._steps()
        finally:
            if self.board:
                self.board.close()

    def _steps(self) -> str:
        state, settings = self.state, self.settings
        steps, per_epoch = len(self.batches), len(self.batches.plan)
        if state.step >= steps or self._is_out_of_patience():
            return "done"
        began, seen = time.monotonic(), 0
        for batch in self._loader(range(state.step, steps)):
            value = self._step(batch, steps, per_epoch)
            seen += len(batch.query.batch) * self.fabric.world_size
            epoch, within = divmod(state.step, per_epoch)
            self._report(steps, epoch, value, rate=seen / (time.monotonic() - began))
            if within == 0:
                if epoch % settings.validate_every == 0 or epoch == settings.epochs:
                    self._report(steps, epoch, value, message="validating")
                    self._validate(epoch)
                    stop = self._is_out_of_patience()
                else:
                    stop = False
                if stop or state.step == steps:
                    self._save()
                    return "early stop" if stop else "done"
            if self.fabric.broadcast(self.checkpoint.due(settings.checkpoint_every)):
                self._save()
        return "done"

    def _is_out_of_patience(self) -> bool:
        return bool(self.settings.patience) and self.state.since_best >= self.settings.patience

    def _loader(self, steps: range) -> torch.utils.data.DataLoader[PairBatch]:
        return torch.utils.data.DataLoader(
            self.batches,
            batch_size=None,
            sampler=steps,
            num_workers=self.settings.workers,
            pin_memory=self.fabric.device.type == "cuda",
            prefetch_factor=4 if self.settings.workers else None,
        )

    def _step(self, batch: PairBatch, steps: int, per_epoch: int) -> float:
        state, settings, learner = self.state, self.settings, self.learner
        set_rate(learner.optimizer, settings.learning_rate * rate_factor(settings, state.step, steps, per_epoch))
        # Dropout and augmentation draw from this: a function of the step, so that a resumed run draws the same.
        torch.manual_seed((settings.seed * 1_000_003 + state.step) * 4099 + self.fabric.global_rank)
        value = step(self.run, batch.to(self.fabric.device), learner, self.fabric)
        if settings.ema_decay:
            for key in self.run.pairings[batch.pair].encoders & learner.averages.keys():
                learner.averages[key].update(state.step)
        if state.step % per_epoch == 0:
            state.running = []
        state.running.append(value)
        state.step += 1
        return value

    def _validate(self, epoch: int) -> None:
        """Note the epoch's figures, and the weights if they are the best."""
        run, state, settings = self.run, self.state, self.settings
        with contextlib.ExitStack() as averaged:
            for average in self.learner.averages.values():
                averaged.enter_context(average.applied())
            metrics = validate(run, self.fabric.device, world=self.fabric.world_size)
            value = -metrics["val_loss"] if settings.select == "loss" else metrics[f"val_{settings.select}"]
            if value > state.best:
                state.best, state.best_epoch, state.since_best, state.best_metrics = value, epoch, 0, metrics
                state.best_weights = {key: on_cpu(encoder.state_dict()) for key, encoder in run.encoders.items()}
            else:
                state.since_best += 1
        row = self._row(epoch, metrics)
        state.rows.append(row)
        if self.fabric.is_global_zero:
            write_metrics(self.folder / "metrics.csv", state.rows)
            if self.board:
                self.board.add(row, state.step)
        for text in collapses(metrics):
            log.warning("epoch %d: %s", epoch, text)
        log.info("epoch %d: %s", epoch, ", ".join(f"{k} {v:.4g}" for k, v in row.items()))

    def _row(self, epoch: int, metrics: Mapping[str, float]) -> dict[str, float]:
        """Figures of an epoch: of all pairings, and where there are several of each."""
        running, names = self.state.running, self.run.names
        row = {
            "epoch": float(epoch),
            "step": float(self.state.step),
            "loss": float(np.mean(running or [math.nan])),
            **self.figures,
            **metrics,
            "learning_rate": float(self.learner.optimizer.param_groups[0]["lr"]),
        }
        if len(names) > 1:
            pairs = [pair for pair, _ in self.batches.plan[: len(running)]]
            for number, name in enumerate(names):
                mine = [value for value, pair in zip(running, pairs, strict=True) if pair == number]
                row[f"loss/{name}"] = float(np.mean(mine or [math.nan]))
        return row | _temperatures(names, self.run.losses)

    def _save(self) -> None:
        if self.fabric.is_global_zero:
            save(self.checkpoint, self.run, self.learner, self.state)
        self.fabric.barrier()

    def _report(self, steps: int, epoch: int, loss: float, *, rate: float = 0.0, message: str = "") -> None:
        if self.report:
            self.report(TrainingProgress(self.state.step, steps, epoch, self.settings.epochs, loss, rate, message))


def _rounded(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in metrics.items()}


def _temperatures(names: Sequence[str], losses: Sequence[Any]) -> dict[str, float]:
    """The temperature of every pairing's loss, where it has one."""
    found: dict[str, float] = {}
    for name, loss in zip(names, losses, strict=True):
        if declares(loss, HasTemperature) and loss.temperature is not None:
            with torch.no_grad():
                value: Any = loss.temperature
                found[f"temperature/{name}"] = float(value() if callable(value) else value)
    return found


def _fabric(settings: TrainConfig) -> Fabric:
    """Where a run computes: under torchrun in as many processes as that has started.

    Raises:
        ConfigError: the configuration has another number of them.
    """
    from lightning_fabric import Fabric
    from lightning_fabric.strategies import DDPStrategy

    devices, nodes, strategy = settings.devices, settings.nodes, settings.strategy
    if "TORCHELASTIC_RUN_ID" in os.environ:
        world, here = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
        if devices == "auto":
            devices, nodes = here, world // here
        elif not str(devices).isdecimal() or int(devices) * nodes != world:
            raise ConfigError(
                f"torchrun has started {world} processes, {here} of them here, but [train] has devices = {devices!r} "
                f"and nodes = {nodes}. Leave both out, or start as many"
            )
        strategy = "ddp" if strategy == "auto" and world > 1 else strategy
    return Fabric(
        accelerator=settings.accelerator,
        devices=devices,
        num_nodes=nodes,
        # What the first process does alone may take longer than the half hour that others wait by default.
        strategy=DDPStrategy(timeout=_WAIT) if strategy == "ddp" else strategy,
        precision=cast("Any", _precision(settings.precision, settings.accelerator)),
    )


def _precision(wanted: str, accelerator: str) -> str:
    if wanted != "auto":
        return wanted
    on_gpu = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported() else "32-true"


def load_trained(folder: Path | str) -> Bundle:
    """Open the bundle that a run left.

    Raises:
        molvis_core.errors.BundleError: the run has not ended.
    """
    return load_bundle(Path(folder) / "bundle")
