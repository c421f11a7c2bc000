"""The parts of a training loop: schedule, weight average, a step of descent, checkpoints, and where a run stands.

Parts rather than a framework: a loop over steps is ten lines, and each of those here has its own batches, losses and
validation. What is drawn in a step should depend on the seed and the number of the step alone (`seed_step`), so that a
run that was interrupted at any moment and resumed from its checkpoint ends where an undisturbed run would have ended.

    average, checkpoint = WeightAverage(model, 0.999), Checkpoint(path, settings)
    if checkpoint.exists:
        with checkpoint.reading() as content:
            ...
    for step in range(first, steps):
        seed_step(seed, step)
        set_rate(optimizer, learning_rate * warmup_cosine(step, steps, warmup=0.05 * steps))
        value = descend(loss(model, batch(step)), optimizer, clip=1.0)
        average.update(step)
        if checkpoint.due(seconds=300):
            checkpoint.write({...})
    average.copy_to(model)
"""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import math
import pickle
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from molvis_core.errors import TrainingError
from molvis_core.text import in_cell
from molvis_files.writing import replacing


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """Where a run stands, for progress bars.

    Attributes:
        step, steps: done and in all.
        epoch, epochs: done and in all.
        loss: of the latest step.
        rate: compounds a second since the start.
        message: what is going on where it is not a training step.
    """

    step: int
    steps: int
    epoch: int
    epochs: int
    loss: float = math.nan
    rate: float = 0.0
    message: str = ""


def half_cosine(done: float, total: float = 1.0) -> float:
    """From 1 at the start, where nothing is done, to 0 at the end.

    I. Loshchilov and F. Hutter, SGDR, ICLR 2017, arXiv:1608.03983, eq. 5 without restarts.
    """
    return 0.5 * (1 + math.cos(math.pi * done / total))


def warmup_cosine(step: int, steps: int, warmup: float) -> float:
    """Factor of the learning rate: rises linearly over `warmup` steps, then falls along a half cosine.

    Args:
        step: counted from 0.
        steps: in all.
        warmup: number of steps, not necessarily whole.
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return half_cosine(step - warmup, max(1.0, steps - warmup))


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group of parameters this learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def seed_step(seed: int, step: int) -> None:
    """Make what dropout and augmentation draw in a step a function of the run's seed and the step's number."""
    torch.manual_seed(seed * 1_000_003 + step)


def decay_groups(modules: Iterable[nn.Module], weight_decay: float) -> list[dict[str, Any]]:
    """Trainable parameters in groups for an optimizer: matrices with weight decay, all others without.

    Biases, norms and temperatures have no direction that decay could simplify.
    """
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def descend(
    loss: Tensor,
    optimizer: torch.optim.Optimizer,
    *,
    clip: float = 0.0,
    where: str = "",
    backward: Callable[[Tensor], None] = Tensor.backward,
    adjust: Callable[[], None] | None = None,
) -> float:
    """One step of the optimizer.

    Args:
        loss: a scalar.
        optimizer: of the parameters; `set_rate` gives it the learning rate.
        clip: largest norm of the whole gradient; 0 leaves it as it is.
        where: what the loss is of, for messages, such as `step 3`.
        backward: computes the gradients; that of Lightning Fabric, for instance.
        adjust: called between the gradients and their clipping.

    Returns:
        The loss as a number.

    Raises:
        TrainingError: the loss is not finite. No parameter has changed.
    """
    value = float(loss.detach())
    if not math.isfinite(value):
        place = f" of {where}" if where else ""
        raise TrainingError(f"the loss{place} is {value}. Lower the learning rate.")
    optimizer.zero_grad()
    backward(loss)
    if adjust:
        adjust()
    if clip:
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        torch.nn.utils.clip_grad_norm_(parameters, clip)
    optimizer.step()
    return value


class WeightAverage:
    """An exponential moving average of a module's parameters, which often generalises better than the last ones.

    After step t it keeps min(decay, (1 + t) / (10 + t)) of itself, so that the first steps are soon forgotten. Buffers
    are not averaged.

    Reference: B. T. Polyak and A. B. Juditsky, SIAM J. Control Optim. 30 (1992) 838, doi:10.1137/0330046

    Args:
        module: whose parameters are averaged.
        decay: below 1; 0 switches the average off.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module, self.decay = module, decay
        self.state: dict[str, Tensor] = on_cpu(dict(module.named_parameters())) if decay else {}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the parameters as they are after a step, counted from 0."""
        keep = min(self.decay, (1 + step) / (10 + step))
        for name, value in self.module.named_parameters():
            if name in self.state:
                self.state[name] = self.state[name].to(value.device).lerp_(value, 1 - keep)

    @torch.no_grad()
    def copy_to(self, module: nn.Module) -> None:
        """Give a module of the same kind the averaged parameters; none where the average is off."""
        for name, value in module.named_parameters():
            if name in self.state:
                value.copy_(self.state[name])

    @contextlib.contextmanager
    def applied(self) -> Generator[None]:
        """The module with averaged parameters, for the length of a `with` block."""
        kept = on_cpu(dict(self.module.named_parameters())) if self.state else {}
        self.copy_to(self.module)
        try:
            yield
        finally:
            with torch.no_grad():
                for name, value in self.module.named_parameters():
                    if name in kept:
                        value.copy_(kept[name])


def on_cpu(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A copy of weights on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in state.items()}


class TrainingState:
    """A network in training, as a checkpoint keeps it: weights, optimizer, average, epochs done, and the best so far.

    Args:
        network: that is trained.
        optimizer: of its parameters.
        average: of its weights, where there is one.
        lower: whether the lower of two judgements is the better one.

    Attributes:
        epoch: how many are done.
        best: the best judgement; infinite before the first.
        kept: the weights that were judged best; empty before.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        average: WeightAverage | None = None,
        *,
        lower: bool = False,
    ) -> None:
        self.network, self.optimizer, self.average, self.lower = network, optimizer, average, lower
        self.epoch = 0
        self.best = math.inf if lower else -math.inf
        self.kept: dict[str, Tensor] = {}

    def judged(self, value: float) -> None:
        """Keep the network's weights as they are now, if none before were judged as good."""
        if value < self.best if self.lower else value > self.best:
            self.best, self.kept = value, on_cpu(self.network.state_dict())

    def content(self) -> dict[str, Any]:
        """What `restore` needs, for a checkpoint."""
        content = {
            "network": on_cpu(self.network.state_dict()), "optimizer": self.optimizer.state_dict(), "epoch": self.epoch,
        }  # fmt: skip
        if self.average:
            content["average"] = on_cpu(self.average.state)
        return {**content, "best": self.best, "kept": self.kept} if self.kept else content

    def restore(self, content: Mapping[str, Any]) -> None:
        """Go on from what `content` returned. Within `Checkpoint.reading`, whatever is raised means a damaged file."""
        # Checkpoints of before have the weights under a shorter name.
        self.network.load_state_dict(content["network"] if "network" in content else content["net"])
        self.optimizer.load_state_dict(content["optimizer"])
        if self.average:
            self.average.state = dict(content["average"])
        self.epoch = content["epoch"]
        self.best, self.kept = content.get("best", self.best), dict(content.get("kept", {}))


class Checkpoint:
    """What a run goes on from after an interruption: a file with tensors and plain values, and no code.

    Args:
        path: of the file.
        signature: the settings as text. A checkpoint of another signature belongs to another run.
        other: whose checkpoint one of another signature is, for messages.
        outdated: why a checkpoint of another signature is that of an older version, and what to do about it; empty
            where it is not.
    """

    def __init__(
        self, path: Path, signature: str, *, other: str = "other settings", outdated: Callable[[str], str] | None = None
    ) -> None:
        self.path, self.signature, self.other, self.outdated = path, signature, other, outdated
        self._saved = time.monotonic()
        self._took = 0.0

    @property
    def exists(self) -> bool:
        """Whether one was written."""
        return self.path.exists()

    def due(self, seconds: float) -> bool:
        """Whether the latest one, or the start, is longer ago than this.

        And longer than fifty times what writing it took, so that on a slow disk a run does not wait for it all the
        time. 0 seconds ask for one always.
        """
        return time.monotonic() - self._saved > (max(seconds, 50 * self._took) if seconds else 0)

    def write(self, content: Mapping[str, Any]) -> None:
        """Write tensors and plain values, whole or not at all.

        Raises:
            TrainingError: the disk is full, or the file cannot be written. The last checkpoint is kept.
        """
        began = time.monotonic()
        buffer = io.BytesIO()
        torch.save({"signature": self.signature, **content}, buffer)
        write_safely(self.path, buffer.getbuffer())
        self._saved = time.monotonic()
        self._took = self._saved - began

    @contextlib.contextmanager
    def reading(self) -> Generator[dict[str, Any]]:
        """What was written last, on the CPU, for a `with` block that puts it in its places.

        Raises:
            TrainingError: it is of another run, or damaged: whatever is raised while it is read or used means that.
        """
        try:
            content = torch.load(self.path, weights_only=True, map_location="cpu")
            if content["signature"] != self.signature:
                if self.outdated and (why := self.outdated(content["signature"])):
                    raise TrainingError(f"{self.path}: {why}")
                raise TrainingError(
                    f"{self.path}: this checkpoint is of {self.other} "
                    f"({first_difference(content['signature'], self.signature)}). "
                    "Train into another folder, or start anew with --no-resume."
                )
            yield content
        except TrainingError:
            raise
        except Exception as error:  # a damaged file fails in many ways inside torch and zipfile
            # Of a file that holds something else PyTorch advises to run the code in it.
            why = "it holds something else" if isinstance(error, pickle.UnpicklingError) else str(error)
            raise TrainingError(
                f"{self.path}: the checkpoint is damaged: {why}. Start anew with --no-resume."
            ) from error


def first_difference(old: str, new: str) -> str:
    """The first line in which two texts of settings differ."""
    for before, after in zip(old.splitlines(), new.splitlines(), strict=False):
        if before != after:
            return f"it has {before!r}, this run {after!r}"
    return "it has other entries"


def write_metrics(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """A table of an epoch's figures in each row, as CSV.

    Raises:
        TrainingError: it cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(dict.fromkeys(key for row in rows for key in row)))
    writer.writeheader()
    writer.writerows({key: in_cell(value) for key, value in row.items()} for row in rows)
    write_safely(path, text.getvalue().encode())


def write_safely(path: Path, data: bytes | memoryview) -> None:
    """Write a file of a run, whole or not at all.

    Raises:
        TrainingError: the disk is full, or the file cannot be written.
    """
    try:
        with replacing(path) as fresh:
            fresh.write_bytes(data)
    except OSError as error:
        why = "the disk is full; free some space" if error.errno == errno.ENOSPC else str(error)
        raise TrainingError(
            f"{path}: cannot be written: {why}. The last checkpoint is kept: run the same command again to go on "
            "from it."
        ) from error
