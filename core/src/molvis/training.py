"""One plain loop over Lightning Fabric: the same configuration on a CPU, one GPU, several, or several machines.

Everything that is drawn depends on the seed and the number of the step alone, never on how the process came to that
step. So a run killed at any moment and resumed from its last checkpoint ends where an undisturbed run would have ended.
"""

from __future__ import annotations

import csv
import errno
import io
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from molvis import registry
from molvis.bundle import Bundle, save_bundle
from molvis.config import RunConfig, check, fill, write_toml
from molvis.errors import ConfigError, ScoreError, TrainingError, did_you_mean
from molvis.files import replacing
from molvis.records import Structure

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from molvis.dataset import Dataset
    from molvis.library import Library

log = logging.getLogger("molvis")


@dataclass(frozen=True, slots=True)
class Progress:
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


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a run left behind.

    Attributes:
        folder: with `bundle`, `metrics.csv`, `config.toml`, TensorBoard events and the checkpoint.
        best_epoch: the one whose weights the bundle holds.
        metrics: of that epoch on the validation fold.
        stopped: why the run ended: `done` or `early stop`.
    """

    folder: Path
    best_epoch: int
    metrics: dict[str, float]
    stopped: str


@dataclass(frozen=True, eq=False)
class Side:
    """One side of a batch: records to encode, or an index into them."""

    batch: Any
    target: Any

    def to(self, device: torch.device | str) -> Side:
        """The same on another device."""
        return Side(self.batch.to(device), self.target.to(device))


@dataclass(frozen=True, eq=False)
class PairBatch:
    """One step's work.

    Attributes:
        pair: number of the mode pairing.
        query, reference: collated records and structures. References beyond the queries are harder candidates.
        owner: which query a harder candidate belongs to, in their order.
    """

    pair: int
    query: Side
    reference: Side
    owner: Tensor

    def to(self, device: torch.device | str) -> PairBatch:
        """The same on another device."""
        return PairBatch(self.pair, self.query.to(device), self.reference.to(device), self.owner.to(device))


@dataclass(frozen=True)
class _Pairing:
    """The measurements of a mode pairing, by compound."""

    query: str
    reference: str
    compounds: tuple[str, ...]
    query_rows: dict[str, np.ndarray]
    reference_rows: dict[str, np.ndarray]


class _Batches(torch.utils.data.Dataset[PairBatch]):
    """Batches by number of the step: any worker can make any of them, and a resumed run makes the same."""

    def __init__(
        self,
        config: RunConfig,
        dataset: Dataset,
        encoders: Mapping[str, Any],
        pairings: Sequence[_Pairing],
        targets: Sequence[Any],
        pools: Mapping[str, np.ndarray],
        library: Library | None,
        rank: int,
        world: int,
    ) -> None:
        self.config, self.dataset, self.encoders = config, dataset, encoders
        self.pairings, self.targets, self.pools, self.library = pairings, targets, pools, library
        self.rank, self.world = rank, world
        self.plan = _plan(config, [len(p.compounds) for p in pairings], world)
        self._cached: tuple[int, list[np.ndarray]] = (-1, [])
        self._structures: dict[str, Structure] = {}

    def __len__(self) -> int:
        return len(self.plan) * self.config.train.epochs

    def __getitem__(self, step: int) -> PairBatch:
        epoch, within = divmod(step, len(self.plan))
        pair, number = self.plan[within]
        pairing, options = self.pairings[pair], self.config.pairs[pair]
        order = self._order(epoch)[pair]
        size = self.config.train.batch
        start = (number * self.world + self.rank) * size
        # Passes over the compounds follow one another; a batch across the seam drops what it would hold twice.
        chosen = list(dict.fromkeys(pairing.compounds[i] for i in order[start : start + size]))
        rng = np.random.default_rng([self.config.train.seed, step, self.rank])
        queries = [self._measurement(pairing.query, pairing.query_rows, key, rng) for key in chosen]
        structures = [self._structure(pairing.query, pairing.query_rows, key) for key in chosen]
        references: list[Any] = structures
        if pairing.reference != "structure":
            references = [self._measurement(pairing.reference, pairing.reference_rows, key, rng) for key in chosen]
        harder, owner = self._negatives(chosen, options.negatives, rng)
        target = self.targets[pair]
        return PairBatch(
            pair,
            Side(self.encoders[pairing.query].collate(queries), target.collate(structures)),
            Side(self.encoders[pairing.reference].collate(references + harder), target.collate(structures + harder)),
            torch.tensor(owner, dtype=torch.int64),
        )

    def _order(self, epoch: int) -> list[np.ndarray]:
        if self._cached[0] != epoch:
            orders: list[np.ndarray] = []
            for number, pairing in enumerate(self.pairings):
                rng = np.random.default_rng([self.config.train.seed, epoch, number, 1])
                passes = [rng.permutation(len(pairing.compounds)) for _ in range(self.config.train.spectra + 1)]
                # One pass more than asked for fills the last batch of the last rank.
                orders.append(np.concatenate(passes))
            self._cached = (epoch, orders)
        return self._cached[1]

    def _measurement(self, modality: str, rows: dict[str, np.ndarray], key: str, rng: np.random.Generator) -> Any:
        return self.dataset.record(modality, int(rng.choice(rows[key])))

    def _structure(self, modality: str, rows: dict[str, np.ndarray], key: str) -> Structure:
        if key not in self._structures:
            self._structures[key] = self.dataset.structure(modality, int(rows[key][0]))
        return self._structures[key]

    def _negatives(
        self, chosen: Sequence[str], count: int, rng: np.random.Generator
    ) -> tuple[list[Structure], list[int]]:
        if not count or self.library is None:
            return [], []
        rows: list[int] = []
        owner: list[int] = []
        for number, key in enumerate(chosen):
            pool = self.pools.get(key, np.empty(0, dtype=np.int64))
            drawn = rng.choice(pool, min(count, len(pool)), replace=False)
            rows += drawn.tolist()
            owner += [number] * len(drawn)
        return list(self.library.structures(rows)), owner


def _plan(config: RunConfig, compounds: Sequence[int], world: int) -> list[tuple[int, int]]:
    """Which pairing comes at each step of an epoch: alternating, each as often as its size and weight ask."""
    size = config.train.batch * world
    turns: list[tuple[float, int, int]] = []
    for pair, count in enumerate(compounds):
        batches = max(1, round(count * config.train.spectra * config.pairs[pair].weight / size))
        batches = min(batches, max(1, count * (config.train.spectra + 1) // size))
        turns += [((number + 0.5) / batches, pair, number) for number in range(batches)]
    return [(pair, number) for _, pair, number in sorted(turns)]


def _pairings(config: RunConfig, dataset: Dataset, fold: str) -> list[_Pairing]:
    rows: dict[str, dict[str, np.ndarray]] = {}
    for key in config.encoders:
        if key != "structure":
            kept = dataset.rows(key, fold=fold, adducts=config.data.adducts, min_peaks=config.data.min_peaks)
            rows[key] = _by_compound(dataset, key, kept)
    pairings: list[_Pairing] = []
    for number, pair in enumerate(config.pairs):
        if pair.query == "structure":
            raise ConfigError(f"pair {number + 1}: the query is 'structure'; write the measurement as the query")
        query = rows[pair.query]
        reference = query if pair.reference == "structure" else rows[pair.reference]
        compounds = tuple(sorted(query.keys() & reference.keys()))
        if len(compounds) < 2:
            raise TrainingError(
                f"pair {pair.query}:{pair.reference} has {len(compounds)} compounds in fold {fold!r} of "
                f"{dataset.path}; at least 2 are wanted. Check the folds with: molvis data describe {dataset.path}"
            )
        pairings.append(_Pairing(pair.query, pair.reference, compounds, query, reference))
    return pairings


def _by_compound(dataset: Dataset, modality: str, rows: np.ndarray) -> dict[str, np.ndarray]:
    table = dataset.table(modality)
    keys = np.asarray(table.column("inchikey14").take(rows).to_pylist(), dtype=object)
    known = np.array([isinstance(k, str) and bool(k) for k in keys], dtype=bool)
    rows, keys = np.asarray(rows)[known], keys[known].astype(str)
    if not len(rows):
        return {}
    order = np.argsort(keys, kind="stable")
    found, starts = np.unique(keys[order], return_index=True)
    return dict(zip(found.tolist(), np.split(rows[order], starts[1:]), strict=True))


def _pools(library: Library, masses: Mapping[str, float], ppm: float, size: int, seed: int) -> dict[str, np.ndarray]:
    """For each compound the library's rows of equal mass, without the compound itself; at most `size`, drawn once."""
    rng = np.random.default_rng([seed, 2])
    pools: dict[str, np.ndarray] = {}
    for key, mass in sorted(masses.items()):
        rows = np.setdiff1d(library.within_ppm(mass, ppm), library.rows_of(key))
        pools[key] = np.sort(rng.choice(rows, size, replace=False)) if len(rows) > size else rows
    return pools


@dataclass
class _State:
    """What changes as a run goes on; a checkpoint is this and the weights."""

    step: int = 0
    best: float = -math.inf
    best_epoch: int = -1
    since_best: int = 0
    best_metrics: dict[str, float] = field(default_factory=dict)
    rows: list[dict[str, float]] = field(default_factory=list)


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
        config: what to train on what; `molvis.read_config` makes it. Relative paths are taken from the working folder.
        folder: of the run; made if it does not exist.
        resume: go on from the folder's checkpoint if there is one of the same configuration.
        progress: called after every step.
        metadata: what the bundle should say of itself besides what the run knows.
        half: store the bundle's weights in 16 bits.

    Raises:
        ConfigError, molvis.errors.ComponentError: the configuration names what does not exist.
        TrainingError: a fold is empty, the loss is not finite, the disk is full, or the checkpoint is of another
            configuration. The last checkpoint is kept.
    """
    from lightning_fabric import Fabric

    from molvis.dataset import Dataset
    from molvis.library import Library

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
    torch.manual_seed(settings.seed)
    say = progress if progress and fabric.is_global_zero else None
    dataset = Dataset.open(config.data.path)
    encoders = {k: registry.build("encoder", s, where=f"encoders.{k}") for k, s in config.encoders.items()}
    losses = [registry.build("loss", p.loss, where="pairs.loss") for p in config.pairs]
    targets = [registry.build("target", p.target, where="pairs.target") for p in config.pairs]
    pairings = _pairings(config, dataset, config.data.train)
    validation = _pairings(config, dataset, config.data.validation)
    library, pools, validation_pools = None, {}, {}
    if config.negatives.path:
        if say:
            say(Progress(0, 0, 0, settings.epochs, message=f"reading {config.negatives.path}"))
        library = Library.read(config.negatives.path)
        options = (config.negatives.ppm, config.negatives.pool, settings.seed)
        if any(pair.negatives for pair in config.pairs):
            pools = _pools(library, _masses(dataset, pairings), *options)
        validation_pools = _pools(library, _masses(dataset, validation), *options)
    _featurise(encoders, dataset, pairings + validation, library, [pools, validation_pools], say, settings.epochs)

    batches = _Batches(
        config, dataset, encoders, pairings, targets, pools, library, fabric.global_rank, fabric.world_size
    )
    steps, per_epoch = len(batches), len(batches.plan)
    trained = {k: e for k, e in encoders.items() if k not in settings.freeze}
    for key in settings.freeze:
        encoders[key].requires_grad_(False)
    parameters = _groups([*trained.values(), *(m for m in losses if isinstance(m, nn.Module))], settings.weight_decay)
    if not parameters:
        raise ConfigError("nothing to train: every encoder is frozen")
    optimizer = (torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam)(
        parameters, lr=settings.learning_rate, betas=settings.betas
    )
    average = _Average(trained, settings.average)
    state = _State()
    running: list[float] = []
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "checkpoint.pt"
    signature = write_toml(fill(replace(config, train=replace(settings, **_ELSEWHERE))))
    best_states: dict[str, dict[str, Tensor]] = {}
    modules = {**{f"encoder.{k}": e for k, e in encoders.items()}}
    modules |= {f"loss.{i}": m for i, m in enumerate(losses) if isinstance(m, nn.Module)}
    if resume and checkpoint.exists():
        state, best_states, running = _resume(checkpoint, signature, modules, optimizer, average)
    if fabric.is_global_zero:
        _write_text(folder / "config.toml", write_toml(fill(config)))

    ready, optimizer = _set_up(fabric, {**trained, **{k: encoders[k] for k in settings.freeze}}, optimizer)
    ready_losses = [_set_up_loss(fabric, loss) for loss in losses]
    board = _Board(folder / "tensorboard", state.step) if fabric.is_global_zero else None
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
                "state": {k: getattr(state, k) for k in _State.__dataclass_fields__},
                "best": best_states,
                "running": running,
            }
            _write_checkpoint(checkpoint, content)
        fabric.barrier()

    def validate(epoch: int) -> bool:
        """Note the epoch's figures; true when it is time to stop."""
        nonlocal best_states
        with average.applied(trained):
            metrics = _validate(
                config, dataset, encoders, targets, losses, validation, validation_pools, library, fabric
            )
        row = {
            "epoch": float(epoch),
            "step": float(state.step),
            "loss": float(np.mean(running or [math.nan])),
            **metrics,
        }
        row["learning_rate"] = float(optimizer.param_groups[0]["lr"])
        state.rows.append(row)
        value = -metrics["val_loss"] if settings.select == "loss" else metrics[f"val_{settings.select}"]
        if value > state.best:
            state.best, state.best_epoch, state.since_best, state.best_metrics = value, epoch, 0, metrics
            with average.applied(trained):
                best_states = {k: _copy(e.state_dict()) for k, e in encoders.items()}
        else:
            state.since_best += 1
        if fabric.is_global_zero:
            _write_metrics(folder / "metrics.csv", state.rows)
            if board:
                board.add(row, state.step)
        log.info("epoch %d: %s", epoch, ", ".join(f"{k} {v:.4g}" for k, v in row.items()))
        return bool(settings.patience) and state.since_best >= settings.patience

    if state.step >= steps or (settings.patience and state.since_best >= settings.patience):
        loader = ()
    iterator: Iterator[PairBatch] = iter(loader)
    for batch in iterator:
        for encoder in ready.values():
            encoder.train()
        for key in settings.freeze:
            ready[key].eval()
        rate = _schedule(config, state.step, steps, per_epoch)
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * rate
        # Dropout and augmentation draw from this: a function of the step, so that a resumed run draws the same.
        torch.manual_seed((settings.seed * 1_000_003 + state.step) * 4099 + fabric.global_rank)
        value = _step(batch.to(fabric.device), config, ready, ready_losses, targets, optimizer, fabric)
        average.update(trained, state.step)
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
            metadata=_metadata(config, dataset, state, metadata or {}),
            half=half,
        )
    fabric.barrier()
    return TrainResult(folder, state.best_epoch, state.best_metrics, stopped)


_ELSEWHERE: dict[str, Any] = {
    "accelerator": "auto", "devices": "auto", "nodes": 1, "strategy": "auto", "workers": 0, "checkpoint_every": 300.0,
}  # fmt: skip
"""Settings that may differ between a run and its resumption: where it runs, not what it computes."""


def _precision(wanted: str, accelerator: str) -> str:
    if wanted != "auto":
        return wanted
    on_gpu = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported() else "32-true"


def _schedule(config: RunConfig, step: int, steps: int, per_epoch: int) -> float:
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


def _groups(modules: Sequence[nn.Module], weight_decay: float) -> list[dict[str, Any]]:
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for module in modules:
        for parameter in module.parameters():
            if parameter.requires_grad:
                # Biases, norms and temperatures have no direction that decay could simplify.
                (decayed if parameter.ndim > 1 else plain).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return [g for g in groups if g["params"]]


def _set_up(
    fabric: Fabric, encoders: Mapping[str, Any], optimizer: torch.optim.Optimizer
) -> tuple[dict[str, Any], torch.optim.Optimizer]:
    ready = {}
    for key, encoder in encoders.items():
        if any(p.requires_grad for p in encoder.parameters()):
            ready[key] = fabric.setup_module(encoder)
        else:
            ready[key] = encoder.to(fabric.device)
    return ready, cast("torch.optim.Optimizer", fabric.setup_optimizers(optimizer))


def _set_up_loss(fabric: Fabric, loss: Any) -> Any:
    if isinstance(loss, nn.Module) and any(p.requires_grad for p in loss.parameters()):
        return fabric.setup_module(loss)
    return loss.to(fabric.device) if isinstance(loss, nn.Module) else loss


def _step(
    batch: PairBatch,
    config: RunConfig,
    encoders: Mapping[str, Any],
    losses: Sequence[Any],
    targets: Sequence[Any],
    optimizer: torch.optim.Optimizer,
    fabric: Fabric,
) -> float:
    pair = config.pairs[batch.pair]
    query = encoders[pair.query](batch.query.batch)
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
    if config.train.clip:
        parameters = [p for g in optimizer.param_groups for p in g["params"] if p.grad is not None]
        torch.nn.utils.clip_grad_norm_(parameters, config.train.clip)
    optimizer.step()
    return value


def _validate(
    config: RunConfig,
    dataset: Dataset,
    encoders: Mapping[str, Any],
    targets: Sequence[Any],
    losses: Sequence[Any],
    pairings: Sequence[_Pairing],
    pools: Mapping[str, np.ndarray],
    library: Library | None,
    fabric: Fabric,
) -> dict[str, float]:
    """Retrieval on the validation fold: among its compounds, or among those of equal mass where there is a library."""
    for encoder in encoders.values():
        encoder.eval()
    found: dict[str, list[float]] = {"hit1": [], "hit5": [], "hit20": [], "mrr": [], "loss": []}
    with torch.inference_mode():
        for number, pairing in enumerate(pairings):
            for key, value in _validate_pairing(
                config, number, pairing, dataset, encoders, targets[number], losses[number], pools, library, fabric
            ).items():
                found[key].append(value)
    return {f"val_{k}": float(np.mean(v)) for k, v in found.items()}


_PER_COMPOUND = 4
"""Measurements of a compound that a validation looks at. More would weigh the same and cost the time of an epoch."""


def _validate_pairing(
    config: RunConfig,
    number: int,
    pairing: _Pairing,
    dataset: Dataset,
    encoders: Mapping[str, Any],
    target: Any,
    loss: Any,
    pools: Mapping[str, np.ndarray],
    library: Library | None,
    fabric: Fabric,
) -> dict[str, float]:
    rng = np.random.default_rng([config.train.seed, number, 3])
    structures = [dataset.structure(pairing.query, int(pairing.query_rows[k][0])) for k in pairing.compounds]
    references = (
        structures
        if pairing.reference == "structure"
        else [dataset.record(pairing.reference, int(pairing.reference_rows[k][0])) for k in pairing.compounds]
    )
    truth = _embed(encoders[pairing.reference], references, fabric)
    owners: list[int] = []
    queries: list[Any] = []
    for owner, key in enumerate(pairing.compounds):
        rows = pairing.query_rows[key]
        for row in rng.choice(rows, min(_PER_COMPOUND, len(rows)), replace=False):
            queries.append(dataset.record(pairing.query, int(row)))
            owners.append(owner)
    query, owner = _embed(encoders[pairing.query], queries, fabric), torch.tensor(owners)
    ranks = np.empty(len(queries))
    if library is not None and pairing.reference == "structure":
        rows = sorted({int(r) for key in pairing.compounds for r in pools[key]})
        place = {row: i for i, row in enumerate(rows)}
        others = _embed(encoders["structure"], library.structures(rows), fabric) if rows else truth[:0]
        for index, key in enumerate(pairing.compounds):
            mine = owner == index
            candidates = torch.cat([truth[index : index + 1], others[[place[int(r)] for r in pools[key]]]])
            ranks[mine.numpy()] = _ranks(query[mine] @ candidates.T, torch.zeros(int(mine.sum()), dtype=torch.int64))
    else:
        ranks = _ranks(query @ truth.T, owner)
    first = [owners.index(i) for i in range(len(structures))]
    size = config.train.batch
    total: list[float] = []
    for start in range(0, len(structures), size):
        part = slice(start, start + size)
        keys = target.collate(structures[part])
        values, weight = target(keys, keys)
        move = fabric.device
        total.append(float(loss(query[first[part]].to(move), truth[part].to(move), values.to(move), weight.to(move))))
    per_compound = 1.0 / np.bincount(owners)[owners]

    def mean(values: np.ndarray) -> float:
        return float((values * per_compound).sum() / len(structures))

    return {
        "hit1": mean(ranks <= 1),
        "hit5": mean(ranks <= 5),
        "hit20": mean(ranks <= 20),
        "mrr": mean(1 / ranks),
        "loss": float(np.mean(total)),
    }


def _ranks(scores: Tensor, truth: Tensor) -> np.ndarray:
    if not torch.isfinite(scores).all():
        raise ScoreError("validation gave scores that are not finite; lower the learning rate")
    own = scores.gather(1, truth[:, None])
    return (1 + (scores > own).sum(1) + ((scores == own).sum(1) - 1) / 2).double().numpy()


def _embed(encoder: Any, records: Sequence[Any], fabric: Fabric, size: int = 512) -> Tensor:
    out = [
        encoder(encoder.collate(records[start : start + size]).to(fabric.device)).float().cpu()
        for start in range(0, len(records), size)
    ]
    return torch.cat(out)


def _masses(dataset: Dataset, pairings: Sequence[_Pairing]) -> dict[str, float]:
    return {
        key: dataset.structure(p.query, int(p.query_rows[key][0])).exact_mass for p in pairings for key in p.compounds
    }


def _featurise(
    encoders: Mapping[str, Any],
    dataset: Dataset,
    pairings: Sequence[_Pairing],
    library: Library | None,
    pools: Sequence[Mapping[str, np.ndarray]],
    say: Callable[[Progress], None] | None,
    epochs: int,
) -> None:
    """Let a structure encoder prepare its features once, by all processors, instead of in every worker and epoch."""
    encoder = encoders.get("structure")
    if not hasattr(encoder, "featurise"):
        return
    structures = [dataset.structure(p.query, int(p.query_rows[k][0])) for p in pairings for k in p.compounds]
    if library is not None:
        rows = sorted({int(r) for pool in pools for drawn in pool.values() for r in drawn})
        structures += library.structures(rows)

    def progress(done: int, total: int) -> None:
        if say:
            say(Progress(done, total, 0, epochs, message="preparing structures"))

    cast("Any", encoder).featurise(structures, progress=progress)


class _Average:
    """A running average of the weights, which often generalises better than the last ones."""

    def __init__(self, encoders: Mapping[str, nn.Module], decay: float) -> None:
        self.decay = decay
        self.state: dict[str, dict[str, Tensor]] = (
            {k: _copy(dict(e.named_parameters())) for k, e in encoders.items()} if decay else {}
        )

    @torch.no_grad()
    def update(self, encoders: Mapping[str, nn.Module], step: int) -> None:
        """Take in the weights after a step."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for key, kept in self.state.items():
            for name, value in encoders[key].named_parameters():
                kept[name] = kept[name].to(value.device).lerp_(value, 1 - decay)

    def applied(self, encoders: Mapping[str, nn.Module]) -> _Applied:
        """The encoders with averaged weights, for the length of a `with` block."""
        return _Applied(self.state, encoders)


class _Applied:
    def __init__(self, state: Mapping[str, Mapping[str, Tensor]], encoders: Mapping[str, nn.Module]) -> None:
        self.state, self.encoders = state, encoders
        self.kept: dict[str, dict[str, Tensor]] = {}

    def __enter__(self) -> None:
        with torch.no_grad():
            for key, averaged in self.state.items():
                self.kept[key] = _copy(dict(self.encoders[key].named_parameters()))
                for name, value in self.encoders[key].named_parameters():
                    value.copy_(averaged[name])

    def __exit__(self, *exc: object) -> None:
        with torch.no_grad():
            for key, kept in self.kept.items():
                for name, value in self.encoders[key].named_parameters():
                    value.copy_(kept[name])


class _Board:
    """TensorBoard, where it is installed."""

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder), purge_step=step)

    def add(self, row: Mapping[str, float], step: int) -> None:
        for key, value in row.items():
            if key not in ("epoch", "step"):
                self.writer.add_scalar(key, value, step)

    def close(self) -> None:
        self.writer.close()


def _copy(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k: v.detach().cpu().clone() for k, v in state.items()}


def _write_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    try:
        with replacing(path) as fresh:
            fresh.write_bytes(buffer.getbuffer())
    except OSError as error:
        raise _disk(path, error) from error


def _resume(
    path: Path,
    signature: str,
    modules: Mapping[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    average: _Average,
) -> tuple[_State, dict[str, dict[str, Tensor]], list[float]]:
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
        if content["signature"] != signature:
            raise TrainingError(
                f"{path}: this checkpoint is of another configuration "
                f"({_first_difference(content['signature'], signature)}). "
                "Train into another folder, or start anew with --no-resume."
            )
        for name, module in modules.items():
            module.load_state_dict(content["modules"][name])
        optimizer.load_state_dict(content["optimizer"])
        average.state = content["average"]
        return _State(**content["state"]), content["best"], content["running"]
    except TrainingError:
        raise
    except Exception as error:  # a damaged file fails in many ways inside torch and zipfile
        raise TrainingError(f"{path}: the checkpoint is damaged: {error}. Start anew with --no-resume.") from error


def _first_difference(old: str, new: str) -> str:
    for before, after in zip(old.splitlines(), new.splitlines(), strict=False):
        if before != after:
            return f"it says {before!r}, now {after!r}"
    return "it has other entries"


def _write_metrics(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(dict.fromkeys(k for row in rows for k in row)))
    writer.writeheader()
    writer.writerows(rows)
    _write_text(path, text.getvalue())


def _write_text(path: Path, text: str) -> None:
    try:
        with replacing(path) as fresh:
            fresh.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _disk(path, error) from error


def _disk(path: Path, error: OSError) -> TrainingError:
    why = "the disk is full; free some space" if error.errno == errno.ENOSPC else str(error)
    return TrainingError(
        f"{path}: cannot be written: {why}. The last checkpoint is kept: run the same command again to go on from it."
    )


def _metadata(config: RunConfig, dataset: Dataset, state: _State, given: Mapping[str, Any]) -> dict[str, Any]:
    cites = {
        cite
        for kind, specs in (
            ("encoder", config.encoders.values()),
            ("loss", [p.loss for p in config.pairs]),
            ("target", [p.target for p in config.pairs]),
            ("scorer", config.scorers.values()),
        )
        for spec in specs
        for cite in citations(kind, spec)
    }
    return {
        "name": config.name or "molvis",
        "data_digest": dataset.digest,
        "best_epoch": state.best_epoch,
        "metrics": {k: round(v, 6) for k, v in state.best_metrics.items()},
        "citations": sorted(cites),
        **given,
    }


def citations(kind: str, spec: Mapping[str, Any]) -> set[str]:
    """DOIs of the work behind a component, and behind those that it is made of."""
    found = {registry.component(kind, spec["use"]).cite}
    for value in spec.values():
        for part in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(part, Mapping) and "use" in part:
                found |= citations(kind, part)
    return found - {""}


def load_trained(folder: Path | str) -> Bundle:
    """The bundle that a run left.

    Raises:
        molvis.errors.BundleError: the run has not ended.
    """
    from molvis.bundle import load_bundle

    return load_bundle(Path(folder) / "bundle")


def find_config(
    name: str, *, data: str = "", negatives: str = "", epochs: int = 0, seed: int | None = None
) -> RunConfig:
    """A configuration from a file or a preset's name, with a few settings replaced.

    Raises:
        ConfigError: there is neither a file nor a preset of this name, or it is not right.
    """
    from molvis.config import parse_config, read_config

    if Path(name).is_file():
        config = read_config(name)
    else:
        presets = {c.name for c in registry.components("preset")}
        if name not in presets:
            raise ConfigError(
                f"{name}: no such file, and no preset of this name.{did_you_mean(name, presets)} "
                f"Presets: {', '.join(sorted(presets)) or 'none'}."
            )
        path = Path(registry.load("preset", name))
        config = parse_config(path.read_text(encoding="utf-8"), path=path)
    settings = replace(
        config.train,
        epochs=epochs or config.train.epochs,
        seed=config.train.seed if seed is None else seed,
    )
    return replace(
        config,
        data=replace(config.data, path=data or config.data.path),
        negatives=replace(config.negatives, path=negatives or config.negatives.path),
        train=settings,
    )
