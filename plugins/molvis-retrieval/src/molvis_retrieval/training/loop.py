"""One plain loop over Lightning Fabric: the same configuration on a CPU, one GPU, several, or several machines.

Everything that is drawn depends on the seed and the number of the step alone, never on how the process came to that
step. So a run killed at any moment and resumed from its last checkpoint ends where an undisturbed run would have ended.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from molvis_core import registry
from molvis_core.errors import ConfigError, MolvisError
from molvis_files.documents import write_toml
from molvis_files.locking import sole_writer
from molvis_nn.loop import Progress
from molvis_retrieval.bundle import Bundle, save_bundle
from molvis_retrieval.config import RunConfig, check, fill, parts_of
from molvis_retrieval.training.average import WeightAverage, copied
from molvis_retrieval.training.batches import Batches, PairBatch
from molvis_retrieval.training.checkpoint import ELSEWHERE, State, load_checkpoint, write_checkpoint, write_text
from molvis_retrieval.training.collapse import collapses
from molvis_retrieval.training.metadata import bundle_metadata
from molvis_retrieval.training.metrics_log import Board, write_metrics
from molvis_retrieval.training.pairings import candidate_pools, pairing_names, resolve, truths, validation_pairings
from molvis_retrieval.training.run import featurise
from molvis_retrieval.training.step import GradientBalance, parameter_groups, schedule, set_up, set_up_loss, step
from molvis_retrieval.training.validation import temperatures, validate_run

if TYPE_CHECKING:
    from lightning_fabric import Fabric


log = logging.getLogger("molvis")


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
    progress: Callable[[Progress], None] | None = None,
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
        metadata: what the bundle should say of itself besides what the run knows.
        half: store the bundle's weights in 16 bits.

    Raises:
        ConfigError, molvis_core.errors.ComponentError: the configuration names what does not exist.
        molvis_core.errors.BundleError: the weights to start from are missing or damaged.
        TrainingError: a fold is empty, the loss is not finite, the disk is full, or the checkpoint is of another
            configuration. The last checkpoint is kept.
        molvis_core.errors.BusyError: another process trains into the folder.
    """
    from lightning_fabric import Fabric

    check(config)
    folder = Path(folder)
    settings = config.train
    fabric = Fabric(
        accelerator=settings.accelerator,
        devices=settings.devices,
        num_nodes=settings.nodes,
        strategy=settings.strategy,
        precision=cast("Any", _precision(settings.precision, settings.accelerator)),
    )
    fabric.launch()
    with contextlib.ExitStack() as held:
        problem: Exception | None = None
        if fabric.is_global_zero:
            try:
                held.enter_context(sole_writer(folder))
            except MolvisError as error:
                problem = error
        # The others wait for the first: they must hear of it when it gives up.
        if problem := fabric.broadcast(problem):
            raise problem
        say = progress if progress and fabric.is_global_zero else None
        return _train(config, folder, fabric, resume=resume, say=say, metadata=metadata or {}, half=half)


def _train(
    config: RunConfig,
    folder: Path,
    fabric: Fabric,
    *,
    resume: bool,
    say: Callable[[Progress], None] | None,
    metadata: Mapping[str, Any],
    half: bool,
) -> TrainResult:
    from molvis_retrieval.dataset import Dataset
    from molvis_retrieval.library import Library

    settings = config.train
    torch.manual_seed(settings.seed)
    dataset = Dataset.open(config.data.path)
    named = len(config.pairs)
    config, pairings = resolve(config, dataset)
    settings = config.train
    validation = validation_pairings(config, dataset, named)
    encoders = {k: registry.build("encoder", s, where=f"encoders.{k}") for k, s in config.encoders.items()}
    for key, start in settings.start.items():
        from molvis_nn.pretrained import load_state

        encoders[key].load_state_dict(load_state(start, config.encoders[key]))
    losses = [registry.build("loss", p.loss, where="pairs.loss") for p in config.pairs]
    targets = [registry.build("target", p.target, where="pairs.target") for p in config.pairs]
    library, pools, validation_pools = None, {}, {}
    if config.negatives.path:
        if say:
            say(Progress(0, 0, 0, settings.epochs, message=f"reading {config.negatives.path}"))
        library = Library.read(config.negatives.path)
        options = (config.negatives.ppm, config.negatives.pool, settings.seed)
        if any(pair.negatives for pair in config.pairs):
            pools = candidate_pools(library, truths(dataset, pairings), config.negatives.by, *options)
        # A search asks by mass, whatever the negatives of the training are.
        validation_pools = candidate_pools(library, truths(dataset, validation), "mass", *options)
    featurise(encoders, dataset, pairings + validation, library, [pools, validation_pools], say, settings.epochs)

    batches = Batches(
        config,
        dataset,
        encoders,
        pairings,
        targets,
        pools,
        library,
        fabric.global_rank,
        fabric.world_size,
        [bool(getattr(loss, "every_positive", False)) for loss in losses],
    )
    names = pairing_names(config.pairs)
    steps, per_epoch = len(batches), len(batches.plan)
    trained = {k: e for k, e in encoders.items() if k not in settings.freeze}
    for key in settings.freeze:
        encoders[key].requires_grad_(False)
    parameters = parameter_groups(
        [*trained.values(), *(m for m in losses if isinstance(m, nn.Module))], settings.weight_decay
    )
    if not parameters:
        raise ConfigError("nothing to train: every encoder is frozen")
    optimizer = (torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam)(
        parameters, lr=settings.learning_rate, betas=settings.betas
    )
    average = WeightAverage(trained, settings.average)
    used = [{pair.query, pair.reference, *parts_of(config, pair.query)} for pair in config.pairs]
    balance = GradientBalance(used, list(trained), on=settings.balance == "norm")
    state = State()
    running: list[float] = []
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "checkpoint.pt"
    signature = write_toml(fill(replace(config, train=replace(settings, **ELSEWHERE))))
    best_states: dict[str, dict[str, Tensor]] = {}
    modules = {**{f"encoder.{k}": e for k, e in encoders.items()}}
    modules |= {f"loss.{i}": m for i, m in enumerate(losses) if isinstance(m, nn.Module)}
    if resume and checkpoint.exists():
        state, best_states, running = load_checkpoint(checkpoint, signature, modules, optimizer, average, balance)
    if fabric.is_global_zero:
        write_text(folder / "config.toml", write_toml(fill(config)))

    ready, optimizer = set_up(fabric, {**trained, **{k: encoders[k] for k in settings.freeze}}, optimizer)
    ready_losses = [set_up_loss(fabric, loss) for loss in losses]
    board = Board(folder / "tensorboard", state.step) if fabric.is_global_zero else None
    loader = torch.utils.data.DataLoader(
        batches,
        batch_size=None,
        sampler=range(state.step, steps),  # pyright: ignore[reportArgumentType] - a range is a sampler of known order
        num_workers=settings.workers,
        pin_memory=fabric.device.type == "cuda",
        prefetch_factor=4 if settings.workers else None,
    )
    saved = began = time.monotonic()
    seen, stopped = 0, "done"

    def save() -> None:
        if fabric.is_global_zero:
            content = {
                "signature": signature,
                "modules": {k: m.state_dict() for k, m in modules.items()},
                "optimizer": optimizer.state_dict(),
                "average": average.state,
                "balance": balance.state(),
                "state": {k: getattr(state, k) for k in State.__dataclass_fields__},
                "best": best_states,
                "running": running,
            }
            write_checkpoint(checkpoint, content)
        fabric.barrier()

    def validate(epoch: int) -> bool:
        """Note the epoch's figures; true when it is time to stop."""
        nonlocal best_states
        with average.applied(trained):
            metrics = validate_run(
                config, dataset, encoders, targets, losses, validation, validation_pools, library, fabric, names
            )
        row = {
            "epoch": float(epoch),
            "step": float(state.step),
            "loss": float(np.mean(running or [math.nan])),
            **metrics,
        }
        row["learning_rate"] = float(optimizer.param_groups[0]["lr"])
        if len(names) > 1:
            steps_of = [batches.plan[i][0] for i in range(len(running))]
            for number, name in enumerate(names):
                mine = [v for v, pair in zip(running, steps_of, strict=True) if pair == number]
                row[f"loss/{name}"] = float(np.mean(mine or [math.nan]))
        row |= temperatures(names, losses)
        state.rows.append(row)
        value = -metrics["val_loss"] if settings.select == "loss" else metrics[f"val_{settings.select}"]
        if value > state.best:
            state.best, state.best_epoch, state.since_best, state.best_metrics = value, epoch, 0, metrics
            with average.applied(trained):
                best_states = {k: copied(e.state_dict()) for k, e in encoders.items()}
        else:
            state.since_best += 1
        if fabric.is_global_zero:
            write_metrics(folder / "metrics.csv", state.rows)
            if board:
                board.add(row, state.step)
        for text in collapses(metrics):
            log.warning("epoch %d: %s", epoch, text)
        log.info("epoch %d: %s", epoch, ", ".join(f"{k} {v:.4g}" for k, v in row.items()))
        return bool(settings.patience) and state.since_best >= settings.patience

    if state.step >= steps or (settings.patience and state.since_best >= settings.patience):
        loader = ()
    iterator: Iterator[PairBatch] = iter(loader)
    for batch in iterator:
        for key in used[batch.pair]:
            ready[key].train(key not in settings.freeze)
        rate = schedule(config, state.step, steps, per_epoch)
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * rate
        # Dropout and augmentation draw from this: a function of the step, so that a resumed run draws the same.
        torch.manual_seed((settings.seed * 1_000_003 + state.step) * 4099 + fabric.global_rank)
        value = step(batch.to(fabric.device), config, ready, ready_losses, targets, optimizer, fabric, balance)
        average.update({k: e for k, e in trained.items() if k in used[batch.pair]}, state.step)
        state.step += 1
        seen += len(batch.query.batch) * fabric.world_size
        if (state.step - 1) % per_epoch == 0:
            running = []
        running.append(value)
        epoch, within = divmod(state.step, per_epoch)
        if say:
            say(Progress(state.step, steps, epoch, settings.epochs, value, seen / (time.monotonic() - began)))
        if within == 0:
            stop = False
            if epoch % settings.validate_every == 0 or epoch == settings.epochs:
                if say:
                    say(Progress(state.step, steps, epoch, settings.epochs, value, message="validating"))
                stop = validate(epoch)
            save()
            saved = time.monotonic()
            if stop:
                stopped = "early stop"
                break
        elif fabric.broadcast(time.monotonic() - saved > settings.checkpoint_every):
            save()
            saved = time.monotonic()
    if board:
        board.close()
    if fabric.is_global_zero:
        save_bundle(
            folder / "bundle",
            config,
            best_states,
            metadata=bundle_metadata(config, dataset, state, metadata),
            half=half,
        )
    fabric.barrier()
    return TrainResult(folder, state.best_epoch, state.best_metrics, stopped, tuple(collapses(state.best_metrics)))


def _precision(wanted: str, accelerator: str) -> str:
    if wanted != "auto":
        return wanted
    on_gpu = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported() else "32-true"


def load_trained(folder: Path | str) -> Bundle:
    """The bundle that a run left.

    Raises:
        molvis_core.errors.BundleError: the run has not ended.
    """
    from molvis_retrieval.bundle import load_bundle

    return load_bundle(Path(folder) / "bundle")
