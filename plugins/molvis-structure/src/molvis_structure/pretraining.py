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

import csv
import errno
import io
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor, nn

from molvis_core import registry
from molvis_core.errors import ConfigError, TrainingError
from molvis_core.interfaces import Spec
from molvis_core.records import Structure
from molvis_core.registry import fill_spec
from molvis_files.documents import write_toml
from molvis_files.writing import replacing
from molvis_nn.loop import Progress
from molvis_nn.pretrained import PretrainResult, save_state
from molvis_structure.chemistry.fingerprints import fingerprints

log = logging.getLogger("molvis")

_FEWEST = 10
_MOST_ASIDE = 2000


@runtime_checkable
class Maskable(Protocol):
    """An encoder that can hide atoms of a batch and classify each.

    Attributes:
        classes: what a hidden atom is asked for, as the number of answers to each question.
        joined: length of the vector that `look` returns for an atom.
    """

    @property
    def classes(self) -> tuple[int, ...]: ...  # noqa: D102

    @property
    def joined(self) -> int: ...  # noqa: D102

    def hide(
        self, batch: Any, share: float, generator: torch.Generator
    ) -> tuple[Any, Bool[Tensor, " a"], Int64[Tensor, "a q"]]:
        """The batch with a share of it hidden, which atoms are, and the right answers for all atoms. On the CPU."""
        ...

    def look(self, batch: Any) -> tuple[Float[Tensor, "n dim"], Float[Tensor, "a joined"]]:
        """Unit vectors of molecules, and features of atoms."""
        ...


@dataclass(frozen=True, eq=False)
class _Task:
    """One step's work: a batch, what is hidden in it, and the fingerprints, eight bits to a byte."""

    batch: Any
    hidden: Bool[Tensor, " a"]
    truth: Int64[Tensor, "a q"]
    packed: UInt8[np.ndarray, "n bytes"]


class _Tasks(torch.utils.data.Dataset[_Task]):
    """Batches by number of the step: any worker can make any of them, and a resumed run makes the same."""

    def __init__(
        self, encoder: Any, structures: Sequence[Structure], packed: np.ndarray, size: int, share: float, seed: int
    ) -> None:
        self.encoder, self.structures, self.packed = encoder, structures, packed
        self.size, self.share, self.seed = min(size, len(structures)), share, seed
        self.per_epoch = len(structures) // self.size
        self._cached: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))

    def __getitem__(self, step: int) -> _Task:
        epoch, within = divmod(step, self.per_epoch)
        if self._cached[0] != epoch:
            self._cached = epoch, np.random.default_rng([self.seed, epoch]).permutation(len(self.structures))
        return self.task(self._cached[1][within * self.size : (within + 1) * self.size], step)

    def task(self, rows: np.ndarray, draw: int) -> _Task:
        """The work on these structures, what is hidden being drawn by a number."""
        batch = self.encoder.collate([self.structures[row] for row in rows])
        hidden, truth = torch.zeros(0, dtype=torch.bool), torch.zeros((0, 0), dtype=torch.int64)
        if isinstance(self.encoder, Maskable):
            seed = int(np.random.default_rng([self.seed, draw, 5]).integers(2**62))
            batch, hidden, truth = self.encoder.hide(batch, self.share, torch.Generator().manual_seed(seed))
        return _Task(batch, hidden, truth, self.packed[rows])


class _Heads(nn.Module):
    """What the tasks need besides the encoder, and is thrown away afterwards."""

    def __init__(self, encoder: Any, rates: Float[np.ndarray, " bits"]) -> None:
        super().__init__()
        self.bits = nn.Linear(encoder.dim, len(rates))
        # It starts with how common each bit is, so that the first loss is that of knowing nothing of the molecule.
        self.bits.bias.data = torch.from_numpy(np.log(rates / (1 - rates)).astype(np.float32))
        nn.init.normal_(self.bits.weight, std=0.01)
        questions = encoder.classes if isinstance(encoder, Maskable) else ()
        self.answers = nn.ModuleList(nn.Linear(encoder.joined, count) for count in questions)

    def forward(self, encoder: Any, task: _Task, device: torch.device) -> dict[str, Tensor]:
        """Losses and the share of right answers: `bits`, and `hidden` where something was."""
        batch = task.batch.to(device)
        vectors, atoms = encoder.look(batch) if self.answers else (encoder(batch), None)
        packed = np.unpackbits(task.packed, axis=1, count=self.bits.out_features)
        bits = torch.from_numpy(packed).to(device, torch.float32)
        # Entries of a unit vector are small: at their usual size the head learns at the rate of the rest.
        logits = self.bits(vectors * math.sqrt(vectors.shape[1]))
        cost = nn.functional.binary_cross_entropy_with_logits(logits, bits, reduction="sum")
        found = {"bits": cost / bits.sum().clamp_min(1)}
        if atoms is not None:
            hidden, truth = task.hidden.to(device), task.truth.to(device)[task.hidden.to(device)]
            said = [answer(atoms[hidden]) for answer in self.answers]
            count = max(1, len(truth))
            costs = [nn.functional.cross_entropy(s, t, reduction="sum") for s, t in zip(said, truth.T, strict=True)]
            found["hidden"] = torch.stack(costs).sum() / count
            found["motif_right"] = (said[0].argmax(-1) == truth[:, 0]).sum() / count
        return found


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
    progress: Callable[[Progress], None] | None = None,
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
    settings = {
        "epochs": epochs,
        "batch": batch,
        "seed": seed,
        "learning_rate": learning_rate,
        "share": share,
        "bits": bits,
    }
    for name, least in (("epochs", 1), ("batch", 2), ("bits", 1)):
        if settings[name] < least:
            raise ConfigError(f"pretraining: {name} must be at least {least}, got {settings[name]}")
    if not 0 < share < 1:
        raise ConfigError(f"pretraining: share must be between 0 and 1, got {share}")
    if len(structures) < _FEWEST:
        raise TrainingError(f"pretraining needs at least {_FEWEST} structures, got {len(structures)}")
    torch.manual_seed(seed)
    model = _built(encoder)
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    folder.mkdir(parents=True, exist_ok=True)

    def say(message: str) -> Callable[[int, int], None]:
        return lambda done, total: progress(Progress(done, total, 0, epochs, message=message)) if progress else None

    packed = fingerprints([s.smiles for s in structures], ("morgan2",), bits, progress=say("making fingerprints"))
    if hasattr(model, "featurise"):
        cast("Any", model).featurise(structures, progress=say("preparing structures"))
    order = np.random.default_rng([seed, 6]).permutation(len(structures))
    aside, rest = np.split(order, [min(_MOST_ASIDE, max(1, len(order) // 50))])
    tasks = _Tasks(model, [structures[row] for row in rest], packed[rest], batch, share, seed)
    validation = _Tasks(model, [structures[row] for row in aside], packed[aside], batch, share, seed)
    heads = _Heads(model, _rates(packed[rest], bits))
    run = _Run(
        folder / "checkpoint.pt",
        _signature(encoder, settings, structures),
        model.to(place),
        heads.to(place),
        learning_rate,
    )
    if resume and run.path.exists():
        run.load()
    steps = epochs * tasks.per_epoch
    began = saved = time.monotonic()
    first = run.step
    loader = torch.utils.data.DataLoader(
        tasks,
        batch_size=None,
        sampler=range(run.step, steps),  # pyright: ignore[reportArgumentType] - a range is a sampler of known order
        num_workers=workers,
        prefetch_factor=4 if workers else None,
    )
    rate = 0.0
    for task in loader if run.step < steps else ():
        found = run.learn(task, _schedule(run.step, steps), seed, place)
        rate = (run.step - first) * tasks.size / (time.monotonic() - began)
        epoch, within = divmod(run.step, tasks.per_epoch)
        if progress:
            progress(Progress(run.step, steps, epoch, epochs, found, rate))
        if within == 0:
            run.close_epoch(epoch, _validate(model, heads, validation, place))
            _write(folder / "metrics.csv", _csv(run.rows).encode())
            log.info("epoch %d: %s", epoch, ", ".join(f"{k} {v:.4g}" for k, v in run.rows[-1].items()))
        if within == 0 or time.monotonic() - saved > checkpoint_every:
            run.save()
            saved = time.monotonic()
    metrics = {k: v for k, v in run.rows[-1].items() if k not in ("epoch", "step")}
    about = {"method": "masking", "structures": len(structures), "settings": settings, "metrics": metrics}
    save_state(folder, encoder, model.state_dict(), about)
    return PretrainResult(folder, len(rest), metrics, rate)


class _Run:
    """What changes as a run goes on; a checkpoint is all of it."""

    def __init__(self, path: Path, signature: str, model: nn.Module, heads: _Heads, learning_rate: float) -> None:
        self.path, self.signature, self.model, self.heads = path, signature, model, heads
        self.learning_rate = learning_rate
        self.parameters = [p for m in (model, heads) for p in m.parameters()]
        # Biases, norms and the like have no direction that decay could simplify.
        groups = [
            {"params": [p for p in self.parameters if (p.ndim > 1) == matrix], "weight_decay": 0.01 * matrix}
            for matrix in (True, False)
        ]
        self.optimizer = torch.optim.AdamW([g for g in groups if g["params"]], lr=learning_rate)
        self.step = 0
        self.sums: dict[str, float] = {}
        self.rows: list[dict[str, float]] = []

    def learn(self, task: _Task, factor: float, seed: int, device: torch.device) -> float:
        """One step; its loss."""
        self.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * factor
        # Dropout draws from this: a function of the step, so that a resumed run draws the same.
        torch.manual_seed(seed * 1_000_003 + self.step)
        found = self.heads(self.model, task, device)
        loss = found["bits"] + found.get("hidden", 0.0)
        if not math.isfinite(value := float(loss.detach())):
            raise TrainingError(f"the loss of pretraining is {value} at step {self.step}. Lower the learning rate.")
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.step += 1
        for name, part in {"steps": 1.0, "loss": value, **found}.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(torch.as_tensor(part).detach())
        return value

    def close_epoch(self, epoch: int, validation: Mapping[str, float]) -> None:
        """Note the epoch's means and those of the validation."""
        steps = self.sums.pop("steps")
        means = {name: total / steps for name, total in self.sums.items()}
        self.rows.append({"epoch": float(epoch), "step": float(self.step), **means, **validation})
        self.sums = {}

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        buffer = io.BytesIO()
        content = {
            "signature": self.signature, "model": self.model.state_dict(), "heads": self.heads.state_dict(),
            "optimizer": self.optimizer.state_dict(), "step": self.step, "sums": self.sums, "rows": self.rows,
        }  # fmt: skip
        torch.save(content, buffer)
        _write(self.path, buffer.getvalue())

    def load(self) -> None:
        """Go on from the checkpoint."""
        try:
            content = torch.load(self.path, weights_only=True, map_location="cpu")
            if content["signature"] != self.signature:
                raise TrainingError(
                    f"{self.path}: this checkpoint is of other settings, structures or another encoder "
                    f"({_first_difference(content['signature'], self.signature)}). "
                    "Pretrain into another folder, or start anew with --no-resume."
                )
            self.model.load_state_dict(content["model"])
            self.heads.load_state_dict(content["heads"])
            self.optimizer.load_state_dict(content["optimizer"])
            self.step, self.sums, self.rows = content["step"], content["sums"], content["rows"]
        except TrainingError:
            raise
        except Exception as error:  # a damaged file fails in many ways inside torch and zipfile
            raise TrainingError(
                f"{self.path}: the checkpoint is damaged: {error}. Start anew with --no-resume."
            ) from error


def _built(spec: Spec) -> Any:
    model = registry.build("encoder", spec, where="encoder")
    if model.accepts is not Structure or not isinstance(model, nn.Module):
        raise ConfigError(
            f"encoder {spec['use']!r} takes {model.accepts.__name__}; only an encoder of structures can be pretrained"
        )
    return model


def _signature(encoder: Spec, settings: Mapping[str, Any], structures: Sequence[Structure]) -> str:
    import hashlib

    digest = hashlib.sha256("\n".join(s.smiles for s in structures).encode()).hexdigest()
    return write_toml({**settings, "structures": digest, "encoder": fill_spec("encoder", encoder)})


def _rates(packed: UInt8[np.ndarray, "n bytes"], bits: int) -> Float[np.ndarray, " bits"]:
    """How often each bit is set; never quite 0 or 1."""
    count = np.zeros(bits)
    for start in range(0, len(packed), 4096):
        count += np.unpackbits(packed[start : start + 4096], axis=1, count=bits).sum(0)
    return (count + 1) / (len(packed) + 2)


def _schedule(step: int, steps: int) -> float:
    warm = 0.05 * steps
    if step < warm:
        return (step + 1) / (warm + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1.0, steps - warm)))


def _validate(model: nn.Module, heads: _Heads, tasks: _Tasks, device: torch.device) -> dict[str, float]:
    model.eval()
    sums: dict[str, float] = {}
    rows = np.arange(len(tasks.structures))
    with torch.inference_mode():
        for start in range(0, len(rows), tasks.size):
            part = rows[start : start + tasks.size]
            for name, value in heads(model, tasks.task(part, start), device).items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(part)
    return {f"val_{name}": total / len(rows) for name, total in sums.items()}


def _csv(rows: Sequence[Mapping[str, float]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _write(path: Path, data: bytes) -> None:
    try:
        with replacing(path) as fresh:
            fresh.write_bytes(data)
    except OSError as error:
        why = "the disk is full; free some space" if error.errno == errno.ENOSPC else str(error)
        raise TrainingError(f"{path}: cannot be written: {why}. The last checkpoint is kept: go on from it.") from error


def _first_difference(old: str, new: str) -> str:
    for before, after in zip(old.splitlines(), new.splitlines(), strict=False):
        if before != after:
            return f"it has {before!r}, this run {after!r}"
    return "it has other entries"
