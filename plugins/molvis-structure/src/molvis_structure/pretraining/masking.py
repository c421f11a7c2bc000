"""`masking`: an encoder learns from structures alone.

Two tasks at once, from one look at a molecule of which some pieces are hidden. The first names what is hidden: the
motif and the element of each such atom, from what its neighbours and theirs are (attribute masking: W. Hu et al.,
Strategies for Pre-training Graph Neural Networks, ICLR 2020, doi:10.48550/arXiv.1905.12265). It teaches the atoms'
features, and nothing to the pooling and the projection; that paper finds pretraining of atoms alone of little use, or
of harm. So the second asks the vector of the whole molecule for its Morgan fingerprint, the hidden parts included:
which substructures there are is what spectra show and what the Tanimoto target compares. Contrast between augmented
copies was left out: it costs two looks, and a molecule that lacks atoms is another one, which retrieval should
distinguish.

Encoders that cannot hide anything learn the second task alone.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from molvis_core import registry
from molvis_core.errors import ConfigError, TrainingError
from molvis_core.interfaces import Featurises, Spec
from molvis_core.progress import Progress
from molvis_core.records import Structure
from molvis_core.registry import fill_spec
from molvis_files.documents import write_toml
from molvis_nn.loop import (
    Checkpoint,
    TrainingProgress,
    decay_groups,
    descend,
    seed_step,
    set_rate,
    warmup_cosine,
    write_metrics,
)
from molvis_nn.pretrained import PretrainResult, save_state
from molvis_structure.chemistry.fingerprints import fingerprints
from molvis_structure.pretraining.tasks import Heads, Task, Tasks, bit_rates

log = logging.getLogger("molvis")

_FEWEST = 10
_MOST_ASIDE = 2000
_WARMUP = 0.05
"""Share of the steps over which the learning rate rises."""


def pretrain(
    structures: Sequence[Structure],
    encoder: Spec,
    folder: Path,
    *,
    epochs: int = 10,
    batch: int = 256,
    seed: int = 0,
    workers: int = 0,
    resume: bool = True,
    progress: Callable[[TrainingProgress], None] | None = None,
    learning_rate: float = 1e-3,
    share: float = 0.2,
    bits: int = 2048,
    checkpoint_every: float = 300.0,
    device: str | None = None,
) -> PretrainResult:
    """Pretrain an encoder by what is hidden and by fingerprints.

    Args:
        structures: what to learn from. One in fifty, 2,000 at most, is kept aside for validation.
        encoder: its spec.
        folder: of the run; made if it does not exist.
        epochs: passes over the structures.
        batch: structures in a step.
        seed: of everything drawn.
        workers: processes that prepare batches.
        resume: go on from the folder's checkpoint if there is one of the same settings.
        progress: called after every step.
        learning_rate: the highest; it rises over a twentieth of the steps and falls along a half cosine.
        share: of the pieces of molecules that are hidden.
        bits: length of the Morgan fingerprint of radius 2.
        checkpoint_every: seconds between checkpoints besides the one after every epoch.
        device: where to compute; a GPU if there is one.

    Raises:
        ConfigError: the encoder does not take structures, or a setting that cannot be.
        molvis_core.errors.StructureError: RDKit refuses a SMILES.
        TrainingError: too few structures, a loss that is not finite, a full disk, or a checkpoint of other settings.
    """
    settings = _Settings(epochs, batch, seed, learning_rate, share, bits)
    if len(structures) < _FEWEST:
        raise TrainingError(f"pretraining needs at least {_FEWEST} structures, got {len(structures)}")
    torch.manual_seed(seed)
    model = _built(encoder)
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    folder.mkdir(parents=True, exist_ok=True)
    tasks, validation = _prepare(structures, model, settings, progress)
    heads = Heads(model, bit_rates(tasks.packed, bits))
    checkpoint = Checkpoint(
        folder / "checkpoint.pt",
        _signature(encoder, settings, structures),
        other="other settings, structures or another encoder",
    )
    run = _Run(settings, tasks, validation, model.to(place), heads.to(place), checkpoint, place)
    if resume and checkpoint.exists:
        run.load()
    rate = run.train(workers, checkpoint_every, progress)
    metrics = {k: v for k, v in run.rows[-1].items() if k not in ("epoch", "step")}
    about = {"method": "masking", "structures": len(structures), "settings": asdict(settings), "metrics": metrics}
    save_state(folder, encoder, model.state_dict(), about)
    return PretrainResult(folder, len(tasks.structures), metrics, rate)


@dataclass(frozen=True, slots=True)
class _Settings:
    """What a checkpoint must share with the run that goes on from it."""

    epochs: int
    batch: int
    seed: int
    learning_rate: float
    share: float
    bits: int

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch", 2), ("bits", 1)):
            if (value := getattr(self, name)) < least:
                raise ConfigError(f"pretraining: {name} must be at least {least}, got {value}")
        if not 0 < self.share < 1:
            raise ConfigError(f"pretraining: share must be between 0 and 1, got {self.share}")


def _prepare(
    structures: Sequence[Structure],
    model: Any,
    settings: _Settings,
    progress: Callable[[TrainingProgress], None] | None,
) -> tuple[Tasks, Tasks]:
    """The tasks to learn from and those kept aside, with the features that they need."""

    def report(message: str) -> Progress:
        def report_step(done: int, total: int) -> None:
            if progress:
                progress(TrainingProgress(done, total, 0, settings.epochs, message=message))

        return report_step

    smiles = [s.smiles for s in structures]
    packed = fingerprints(smiles, ("morgan2",), settings.bits, progress=report("making fingerprints"))
    if isinstance(model, Featurises):
        model.featurise(structures, progress=report("preparing structures"))
    order = np.random.default_rng([settings.seed, 6]).permutation(len(structures))
    aside, rest = np.split(order, [min(_MOST_ASIDE, max(1, len(order) // 50))])

    def tasks(rows: np.ndarray) -> Tasks:
        chosen = [structures[row] for row in rows]
        return Tasks(model, chosen, packed[rows], settings.batch, settings.share, settings.seed)

    return tasks(rest), tasks(aside)


class _Run:
    """A run: what it was given, and what changes as it goes on. A checkpoint is all that changes."""

    def __init__(
        self, settings: _Settings, tasks: Tasks, validation: Tasks, model: nn.Module, heads: Heads,
        checkpoint: Checkpoint, device: torch.device,
    ) -> None:  # fmt: skip
        self.settings, self.tasks, self.validation = settings, tasks, validation
        self.model, self.heads, self.checkpoint, self.device = model, heads, checkpoint, device
        self.steps = settings.epochs * tasks.per_epoch
        self.optimizer = torch.optim.AdamW(decay_groups((model, heads), 0.01), lr=settings.learning_rate)
        self.step = 0
        self.sums: dict[str, float] = {}
        self.rows: list[dict[str, float]] = []

    def train(
        self, workers: int, checkpoint_every: float, progress: Callable[[TrainingProgress], None] | None
    ) -> float:
        """The steps that are left. Returns structures a second."""
        began, first, rate = time.monotonic(), self.step, 0.0
        loader = torch.utils.data.DataLoader(
            self.tasks,
            batch_size=None,
            sampler=range(self.step, self.steps),
            num_workers=workers,
            prefetch_factor=4 if workers else None,
        )
        for task in loader if self.step < self.steps else ():
            loss = self._learn(task)
            rate = (self.step - first) * self.tasks.size / (time.monotonic() - began)
            epoch, within = divmod(self.step, self.tasks.per_epoch)
            if progress:
                progress(TrainingProgress(self.step, self.steps, epoch, self.settings.epochs, loss, rate))
            if within == 0:
                self._close_epoch(epoch)
            if within == 0 or self.checkpoint.due(checkpoint_every):
                self._save()
        return rate

    def _learn(self, task: Task) -> float:
        """One step; its loss."""
        self.model.train()
        set_rate(
            self.optimizer,
            self.settings.learning_rate * warmup_cosine(self.step, self.steps, _WARMUP * self.steps),
        )
        seed_step(self.settings.seed, self.step)
        found = self.heads(self.model, task, self.device)
        loss = found["bits"] + found.get("hidden", 0.0)
        value = descend(loss, self.optimizer, clip=1.0, where=f"pretraining at step {self.step}")
        self.step += 1
        for name, part in {"steps": 1.0, "loss": value, **found}.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(torch.as_tensor(part).detach())
        return value

    def _close_epoch(self, epoch: int) -> None:
        """Note the epoch's means and those of the validation."""
        steps = self.sums.pop("steps")
        means = {name: total / steps for name, total in self.sums.items()}
        self.rows.append({"epoch": float(epoch), "step": float(self.step), **means, **self._validate()})
        self.sums = {}
        write_metrics(self.checkpoint.path.with_name("metrics.csv"), self.rows)
        log.info("epoch %d: %s", epoch, ", ".join(f"{k} {v:.4g}" for k, v in self.rows[-1].items()))

    def _validate(self) -> dict[str, float]:
        self.model.eval()
        tasks, sums = self.validation, dict[str, float]()
        rows = np.arange(len(tasks.structures))
        with torch.inference_mode():
            for start in range(0, len(rows), tasks.size):
                part = rows[start : start + tasks.size]
                for name, value in self.heads(self.model, tasks.task(part, start), self.device).items():
                    sums[name] = sums.get(name, 0.0) + float(value) * len(part)
        return {f"val_{name}": total / len(rows) for name, total in sums.items()}

    def _save(self) -> None:
        self.checkpoint.write({
            "model": self.model.state_dict(), "heads": self.heads.state_dict(),
            "optimizer": self.optimizer.state_dict(), "step": self.step, "sums": self.sums, "rows": self.rows,
        })  # fmt: skip

    def load(self) -> None:
        """Go on from the checkpoint.

        Raises:
            TrainingError: it is of another run, or damaged.
        """
        with self.checkpoint.reading() as content:
            self.model.load_state_dict(content["model"])
            self.heads.load_state_dict(content["heads"])
            self.optimizer.load_state_dict(content["optimizer"])
            self.step, self.sums, self.rows = content["step"], content["sums"], content["rows"]


def _built(spec: Spec) -> Any:
    model = registry.build("encoder", spec, where="encoder")
    if model.accepts is not Structure or not isinstance(model, nn.Module):
        raise ConfigError(
            f"encoder {spec['use']!r} takes {model.accepts.__name__}; only an encoder of structures can be pretrained"
        )
    return model


def _signature(encoder: Spec, settings: _Settings, structures: Sequence[Structure]) -> str:
    digest = hashlib.sha256("\n".join(s.smiles for s in structures).encode()).hexdigest()
    return write_toml({**asdict(settings), "structures": digest, "encoder": fill_spec("encoder", encoder)})
