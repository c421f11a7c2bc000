"""One plain loop over Lightning Fabric: the same configuration on a CPU, one GPU, several, or several machines.

Everything that is drawn depends on the seed and the number of the step alone, never on how the process came to that
step. So a run killed at any moment and resumed from its last checkpoint ends where an undisturbed run would have ended.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from molvis_core import registry
from molvis_core.errors import ConfigError, MolvisError, ScoreError, TrainingError, did_you_mean
from molvis_core.records import Structure
from molvis_core.text import in_cell, in_shell
from molvis_files.documents import write_toml
from molvis_files.locking import sole_writer
from molvis_files.writing import replacing
from molvis_nn.fusion import MeasuredBatch, collate_measured
from molvis_nn.loop import Progress
from molvis_retrieval.bundle import Bundle, save_bundle
from molvis_retrieval.config import PairConfig, RunConfig, check, fill, is_fused, pairs_of, parts_of
from molvis_retrieval.evaluation import metrics
from molvis_retrieval.training.collapse import collapses, spread_metrics

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from molvis_retrieval.dataset import Dataset
    from molvis_retrieval.library import Library

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


_Rows = Mapping[str, Mapping[str, np.ndarray]]
"""Rows of a dataset by modality and compound."""


@dataclass(frozen=True)
class _Pairing:
    """The measurements of a mode pairing.

    Attributes:
        pair: its number among those of the run.
        query, reference: keys of the encoders.
        parts: modalities of the query: several where it is fused.
        compounds: that have what the pairing needs.
        rows: of the modalities.
    """

    pair: int
    query: str
    reference: str
    parts: tuple[str, ...]
    compounds: tuple[str, ...]
    rows: _Rows

    def structure(self, dataset: Dataset, compound: str) -> Structure:
        """Of one of the compounds."""
        part = next(part for part in self.parts if compound in self.rows[part])
        return dataset.structure(part, int(self.rows[part][compound][0]))


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
        whole: Sequence[bool],
    ) -> None:
        self.config, self.dataset, self.encoders = config, dataset, encoders
        self.pairings, self.targets, self.pools, self.library = pairings, targets, pools, library
        self.rank, self.world = rank, world
        self.plan = _plan(config, [len(p.compounds) for p in pairings], world, whole)
        self._cached: tuple[int, list[np.ndarray]] = (-1, [])
        self._structures: dict[str, Structure] = {}
        options, share = config.negatives, config.negatives.in_batch
        self._alike = [
            alike([self._structure(p, key) for key in p.compounds], options.by, options.ppm) if share else []
            for p in pairings
        ]

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
        if is_fused(self.config, pairing.query):
            unknowns = [self._unknown(pairing, key, options.records, rng) for key in chosen]
            query = collate_measured(self.encoders, pairing.parts, unknowns, self._company(pairing))
        else:
            query = self.encoders[pairing.query].collate(
                [self._measurement(pairing.query, pairing.rows, key, rng) for key in chosen]
            )
        structures = [self._structure(pairing, key) for key in chosen]
        references: list[Any] = structures
        if pairing.reference != "structure":
            references = [self._measurement(pairing.reference, pairing.rows, key, rng) for key in chosen]
        harder, owner = self._negatives(chosen, options.negatives, rng)
        target = self.targets[pair]
        return PairBatch(
            pair,
            Side(query, target.collate(structures)),
            Side(self.encoders[pairing.reference].collate(references + harder), target.collate(structures + harder)),
            torch.tensor(owner, dtype=torch.int64),
        )

    def _order(self, epoch: int) -> list[np.ndarray]:
        if self._cached[0] != epoch:
            orders: list[np.ndarray] = []
            for number, pairing in enumerate(self.pairings):
                rng = np.random.default_rng([self.config.train.seed, epoch, number, 1])
                batches = sum(1 for pair, _ in self.plan if pair == number)
                count = len(pairing.compounds)
                # One pass more than asked for fills the last batch of the last rank; a small pairing that comes often
                # needs further ones.
                needed = -(-batches * self.world * self.config.train.batch // count)
                passes = [
                    _pass(count, self._alike[number], self.config.negatives.in_batch, rng)
                    for _ in range(max(self.config.train.spectra + 1, needed))
                ]
                orders.append(np.concatenate(passes))
            self._cached = (epoch, orders)
        return self._cached[1]

    def _measurement(self, modality: str, rows: _Rows, key: str, rng: np.random.Generator) -> Any:
        return self.dataset.record(modality, int(rng.choice(rows[modality][key])))

    def _unknown(self, pairing: _Pairing, key: str, most: int, rng: np.random.Generator) -> dict[str, list[Any]]:
        """Any non-empty subset of the modalities that a compound has, with a few records of each."""
        parts = _having(pairing, key)
        drawn = int(rng.integers(1, 2 ** len(parts)))
        found: dict[str, list[Any]] = {}
        for number, part in enumerate(parts):
            if drawn >> number & 1:
                rows = pairing.rows[part][key]
                size = int(rng.integers(1, min(most, len(rows)) + 1))
                found[part] = [self.dataset.record(part, int(r)) for r in rng.choice(rows, size, replace=False)]
        return found

    def _company(self, pairing: _Pairing) -> dict[str, Any]:
        if self.world == 1:
            return {}
        first = {part: next(iter(pairing.rows[part].values()), None) for part in pairing.parts}
        return {part: self.dataset.record(part, int(rows[0])) for part, rows in first.items() if rows is not None}

    def _structure(self, pairing: _Pairing, key: str) -> Structure:
        if key not in self._structures:
            self._structures[key] = pairing.structure(self.dataset, key)
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


def _plan(config: RunConfig, compounds: Sequence[int], world: int, whole: Sequence[bool] = ()) -> list[tuple[int, int]]:
    """Which pairing comes at each step of an epoch: alternating, each as often as its size and weight ask.

    Together they have as many steps as passes over all their compounds take. `sampling` deals these out: in proportion
    to compounds ** sampling x weight. A pairing that must be seen whole gets a pass over its compounds at least.
    """
    settings = config.train
    size = settings.batch * world
    asked = [n * settings.spectra * p.weight / size for n, p in zip(compounds, config.pairs, strict=True)]
    if len(compounds) > 1:
        shares = [n**settings.sampling * p.weight for n, p in zip(compounds, config.pairs, strict=True)]
        asked = [sum(asked) * share / sum(shares) for share in shares]
    turns: list[tuple[float, int, int]] = []
    for pair, count in enumerate(compounds):
        batches = max(1, round(asked[pair]))
        if len(compounds) == 1:
            batches = min(batches, max(1, count * (settings.spectra + 1) // size))
        if any(whole[pair : pair + 1]):
            batches = max(batches, math.ceil(count / size))
        turns += [((number + 0.5) / batches, pair, number) for number in range(batches)]
    return [(pair, number) for _, pair, number in sorted(turns)]


_TOGETHER = 8
"""Compounds of equal mass or formula that come into a batch together, at most: a batch should not be all isomers."""


def alike(structures: Sequence[Structure], by: str, ppm: float) -> list[np.ndarray]:
    """Groups of two or more structures of one formula, or each within `ppm` of the next in mass; by their places."""
    if by == "formula":
        groups: dict[str, list[int]] = {}
        for place, one in enumerate(structures):
            groups.setdefault(one.formula, []).append(place)
        found = [np.array(group) for group in groups.values()]
    else:
        mass = np.array([one.exact_mass for one in structures])
        order = np.argsort(mass, kind="stable")
        gaps = np.flatnonzero(np.diff(mass[order]) > mass[order][:-1] * ppm * 1e-6)
        found = np.split(order, gaps + 1)
    return [group for group in found if len(group) > 1]


def _pass(count: int, groups: Sequence[np.ndarray], share: float, rng: np.random.Generator) -> np.ndarray:
    """Every compound once, in random order; a share of them side by side with others of their group."""
    if not groups or not share:
        return rng.permutation(count)
    shuffled = [rng.permutation(group) for group in groups]
    pieces = [group[i : i + _TOGETHER] for group in shuffled for i in range(0, len(group), _TOGETHER)]
    together: list[np.ndarray] = []
    taken = 0
    for number in rng.permutation(len(pieces)):
        if len(pieces[number]) > 1 and taken + len(pieces[number]) <= max(2, round(share * count)):
            together.append(pieces[number])
            taken += len(pieces[number])
    alone = np.setdiff1d(np.arange(count), np.concatenate(together) if together else [])
    units = [*together, *alone[:, None]]
    return np.concatenate([units[number] for number in rng.permutation(len(units))])


def _resolve(config: RunConfig, dataset: Dataset) -> tuple[RunConfig, list[_Pairing]]:
    """The run with its pairings written out, and their measurements in the training fold.

    What `[joint]` adds is left out where too few compounds have it, and an encoder that is left with nothing to learn
    from goes too.
    """
    explicit = len(config.pairs)
    rows = _rows(config, dataset, config.data.train, config.pairs)
    kept: list[PairConfig] = []
    pairings: list[_Pairing] = []
    for number, pair in enumerate(pairs_of(config)):
        pairing = _pairing(config, len(kept), pair, rows)
        if number < explicit:
            _require(pairing, 2, dataset, config.data.train)
        elif (found := len(pairing.compounds)) < max(2, config.joint.least):
            log.warning(
                "pairing %s:%s is left out: %d compounds of fold %r have both, [joint] least = %d",
                pair.query, pair.reference, found, config.data.train, config.joint.least,
            )  # fmt: skip
            continue
        kept.append(pair)
        pairings.append(pairing)
    if config.joint.pairings == "none":
        return config, pairings
    if not kept:
        raise TrainingError(f"{dataset.path}: no pairing of [joint] has {config.joint.least} compounds to learn from")
    used = {key for pair in kept for key in (pair.query, pair.reference, *parts_of(config, pair.query))}
    for key in config.encoders.keys() - used:
        log.warning("encoder %r is left out: it takes part in no pairing", key)
    for key in sorted(key for key in used if key in rows and not rows[key]):
        log.warning("encoder %r is fused, but has no measurements: its weights stay as they start", key)
    encoders = {key: spec for key, spec in config.encoders.items() if key in used}
    train = replace(
        config.train,
        freeze=tuple(key for key in config.train.freeze if key in used),
        start={key: folder for key, folder in config.train.start.items() if key in used},
    )
    joint = replace(config.joint, pairings="none")
    return replace(config, pairs=tuple(kept), joint=joint, encoders=encoders, train=train), pairings


def _validation(config: RunConfig, dataset: Dataset, named: int) -> list[_Pairing]:
    """The pairings of a resolved run in the validation fold: those named by hand must be there, others may lack."""
    rows = _rows(config, dataset, config.data.validation, config.pairs[:named])
    found: list[_Pairing] = []
    for number, pair in enumerate(config.pairs):
        pairing = _pairing(config, number, pair, rows)
        if number < named:
            _require(pairing, 2, dataset, config.data.validation)
        if len(pairing.compounds) > 1:
            found.append(pairing)
        else:
            log.warning("pairing %s:%s cannot be validated: too few compounds", pair.query, pair.reference)
    if not found:
        raise TrainingError(f"{dataset.path}: no pairing has 2 compounds in fold {config.data.validation!r}")
    return found


def _rows(
    config: RunConfig, dataset: Dataset, fold: str, named: Sequence[PairConfig]
) -> dict[str, dict[str, np.ndarray]]:
    """Measurements of a fold by modality and compound; those of `named` pairings must be there, others may lack."""
    needed = {key for pair in named for key in (pair.reference, *parts_of(config, pair.query))}
    holding = {m for m, about in dataset.metadata["modalities"].items() if fold in about.get("folds", {})}
    rows: dict[str, dict[str, np.ndarray]] = {}
    for key in config.encoders:
        if key == "structure" or is_fused(config, key):
            continue
        rows[key] = {}
        # A fold that no modality has is a slip of the pen, which the dataset answers best.
        if key in needed or key in holding or not holding:
            kept = dataset.rows(key, fold=fold, adducts=config.data.adducts, min_peaks=config.data.min_peaks)
            rows[key] = _by_compound(dataset, key, kept)
    return rows


def _pairing(config: RunConfig, number: int, pair: PairConfig, rows: _Rows) -> _Pairing:
    if pair.query == "structure":
        raise ConfigError(f"pair {number + 1}: the query is 'structure'; write the measurement as the query")
    parts = parts_of(config, pair.query)
    least = pair.measured if is_fused(config, pair.query) else 1
    compounds = {key for part in parts for key in rows[part]}
    if pair.reference != "structure":
        compounds &= rows[pair.reference].keys()
    enough = (key for key in compounds if sum(key in rows[part] for part in parts) >= least)
    return _Pairing(number, pair.query, pair.reference, parts, tuple(sorted(enough)), rows)


def _require(pairing: _Pairing, least: int, dataset: Dataset, fold: str) -> None:
    if len(pairing.compounds) < least:
        raise TrainingError(
            f"pair {pairing.query}:{pairing.reference} has {len(pairing.compounds)} compounds in fold {fold!r} of "
            f"{dataset.path}; at least {least} are wanted. Check the folds with: molvis data describe "
            f"{in_shell(dataset.path)}"
        )


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


def _pools(
    library: Library, truths: Mapping[str, Structure], by: str, ppm: float, size: int, seed: int
) -> dict[str, np.ndarray]:
    """For each compound the library's rows of equal mass or formula, without itself; at most `size`, drawn once."""
    rng = np.random.default_rng([seed, 2])
    pools: dict[str, np.ndarray] = {}
    for key, truth in sorted(truths.items()):
        rows = np.setdiff1d(library.within_ppm(truth.exact_mass, ppm), library.rows_of(key))
        if by == "formula":
            same = [one.formula == truth.formula for one in library.structures(rows)]
            rows = rows[np.array(same, dtype=bool)]
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
    config, pairings = _resolve(config, dataset)
    settings = config.train
    validation = _validation(config, dataset, named)
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
            pools = _pools(library, _truths(dataset, pairings), config.negatives.by, *options)
        # A search asks by mass, whatever the negatives of the training are.
        validation_pools = _pools(library, _truths(dataset, validation), "mass", *options)
    _featurise(encoders, dataset, pairings + validation, library, [pools, validation_pools], say, settings.epochs)

    batches = _Batches(
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
    names = _names(config.pairs)
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
    used = [{pair.query, pair.reference, *parts_of(config, pair.query)} for pair in config.pairs]
    balance = _Balance(used, list(trained), on=settings.balance == "norm")
    state = _State()
    running: list[float] = []
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "checkpoint.pt"
    signature = write_toml(fill(replace(config, train=replace(settings, **_ELSEWHERE))))
    best_states: dict[str, dict[str, Tensor]] = {}
    modules = {**{f"encoder.{k}": e for k, e in encoders.items()}}
    modules |= {f"loss.{i}": m for i, m in enumerate(losses) if isinstance(m, nn.Module)}
    if resume and checkpoint.exists():
        state, best_states, running = _resume(checkpoint, signature, modules, optimizer, average, balance)
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
                "balance": balance.state(),
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
        row |= _temperatures(names, losses)
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
        rate = _schedule(config, state.step, steps, per_epoch)
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * rate
        # Dropout and augmentation draw from this: a function of the step, so that a resumed run draws the same.
        torch.manual_seed((settings.seed * 1_000_003 + state.step) * 4099 + fabric.global_rank)
        value = _step(batch.to(fabric.device), config, ready, ready_losses, targets, optimizer, fabric, balance)
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
            metadata=_metadata(config, dataset, state, metadata),
            half=half,
        )
    fabric.barrier()
    return TrainResult(folder, state.best_epoch, state.best_metrics, stopped, tuple(collapses(state.best_metrics)))


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
    balance: _Balance,
) -> float:
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
    names: Sequence[str],
) -> dict[str, float]:
    """Retrieval on the validation fold: among its compounds, or among those of equal mass where there is a library.

    Means over the pairings, and where there are several each one's own.
    """
    for encoder in encoders.values():
        encoder.eval()
    found: dict[str, dict[str, float]] = {}
    spreads: dict[str, float] = {}
    with torch.inference_mode():
        for pairing in pairings:
            target, loss = targets[pairing.pair], losses[pairing.pair]
            found[names[pairing.pair]] = _validate_pairing(
                config, pairing, dataset, encoders, target, loss, pools, library, fabric, spreads
            )
    keys = list(next(iter(found.values())))
    means = {f"val_{key}": float(np.mean([one[key] for one in found.values()])) for key in keys}
    if len(names) > 1:
        means |= {f"val_{key}/{name}": one[key] for name, one in found.items() for key in keys}
    return means | spreads


_PER_COMPOUND = 4
"""Measurements of a compound that a validation looks at. More would weigh the same and cost the time of an epoch."""


def _validate_pairing(
    config: RunConfig,
    pairing: _Pairing,
    dataset: Dataset,
    encoders: Mapping[str, Any],
    target: Any,
    loss: Any,
    pools: Mapping[str, np.ndarray],
    library: Library | None,
    fabric: Fabric,
    spreads: dict[str, float],
) -> dict[str, float]:
    rng = np.random.default_rng([config.train.seed, pairing.pair, 3])
    structures = [pairing.structure(dataset, key) for key in pairing.compounds]
    references = (
        structures
        if pairing.reference == "structure"
        else [
            dataset.record(pairing.reference, int(pairing.rows[pairing.reference][key][0])) for key in pairing.compounds
        ]
    )
    truth = _embed(encoders[pairing.reference], references, fabric)
    owners: list[int] = []
    queries: list[Any] = []
    for owner, key in enumerate(pairing.compounds):
        if is_fused(config, pairing.query):
            queries.append(
                {p: [dataset.record(p, int(rng.choice(pairing.rows[p][key])))] for p in _having(pairing, key)}
            )
            owners.append(owner)
            continue
        rows = pairing.rows[pairing.query][key]
        for row in rng.choice(rows, min(_PER_COMPOUND, len(rows)), replace=False):
            queries.append(dataset.record(pairing.query, int(row)))
            owners.append(owner)
    query, owner = _embed_queries(config, pairing, encoders, queries, fabric), torch.tensor(owners)
    ranks, tied = np.empty(len(queries)), np.zeros(len(queries), dtype=np.int64)
    if library is not None and pairing.reference == "structure":
        rows = sorted({int(r) for key in pairing.compounds for r in pools[key]})
        place = {row: i for i, row in enumerate(rows)}
        others = _embed(encoders["structure"], library.structures(rows), fabric) if rows else truth[:0]
        for index, key in enumerate(pairing.compounds):
            mine = owner == index
            candidates = torch.cat([truth[index : index + 1], others[[place[int(r)] for r in pools[key]]]])
            placed = _ranks(query[mine] @ candidates.T, torch.zeros(int(mine.sum()), dtype=torch.int64))
            ranks[mine.numpy()], tied[mine.numpy()] = placed
    else:
        ranks, tied = _ranks(query @ truth.T, owner)
    first = [owners.index(i) for i in range(len(structures))]
    for key, vectors in ((pairing.query, query[first]), (pairing.reference, truth)):
        spreads |= spread_metrics(key, encoders[key], vectors.numpy())
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
        **{f"hit{k}": mean(metrics.hits(ranks, k, tied)) for k in metrics.CUTOFFS},
        "mrr": mean(metrics.reciprocal(ranks)),
        "loss": float(np.mean(total)),
    }


def _ranks(scores: Tensor, truth: Tensor) -> metrics.Ranks:
    if not torch.isfinite(scores).all():
        raise ScoreError("validation gave scores that are not finite; lower the learning rate")
    return metrics.rank_of_truth(scores.double().numpy(), truth.numpy())


def _having(pairing: _Pairing, key: str) -> list[str]:
    return [part for part in pairing.parts if key in pairing.rows[part]]


def _embed_queries(
    config: RunConfig, pairing: _Pairing, encoders: Mapping[str, Any], queries: Sequence[Any], fabric: Fabric
) -> Tensor:
    if not is_fused(config, pairing.query):
        return _embed(encoders[pairing.query], queries, fabric)
    out: list[Tensor] = []
    for start in range(0, len(queries), 512):
        batch = collate_measured(encoders, pairing.parts, queries[start : start + 512]).to(fabric.device)
        out.append(encoders[pairing.query](batch.encode(encoders)).float().cpu())
    return torch.cat(out)


def _embed(encoder: Any, records: Sequence[Any], fabric: Fabric, size: int = 512) -> Tensor:
    out = [
        encoder(encoder.collate(records[start : start + size]).to(fabric.device)).float().cpu()
        for start in range(0, len(records), size)
    ]
    return torch.cat(out)


def _truths(dataset: Dataset, pairings: Sequence[_Pairing]) -> dict[str, Structure]:
    return {key: p.structure(dataset, key) for p in pairings for key in p.compounds}


def _names(pairs: Sequence[PairConfig]) -> list[str]:
    """What metrics call each pairing; a second one of the same modalities gets a number."""
    names: list[str] = []
    for pair in pairs:
        name = f"{pair.query}:{pair.reference}"
        same = sum(n.split("#")[0] == name for n in names)
        names.append(f"{name}#{same + 1}" if same else name)
    return names


def _temperatures(names: Sequence[str], losses: Sequence[Any]) -> dict[str, float]:
    """The temperature of every pairing's loss, where it has one."""
    found: dict[str, float] = {}
    for name, loss in zip(names, losses, strict=True):
        value = getattr(loss, "temperature", None)
        with torch.no_grad():
            value = value() if callable(value) else value
        if value is not None:
            found[f"temperature/{name}"] = float(value)
    return found


class _Balance:
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
    structures = list(_truths(dataset, pairings).values())
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
        """Take in the weights of the encoders that a step changed."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for key in self.state.keys() & encoders.keys():
            kept = self.state[key]
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
    balance: _Balance,
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
        balance.load(content["balance"])
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
    writer.writerows({k: in_cell(v) for k, v in row.items()} for row in rows)
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
        **({"warnings": told} if (told := collapses(state.best_metrics)) else {}),
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
        molvis_core.errors.BundleError: the run has not ended.
    """
    from molvis_retrieval.bundle import load_bundle

    return load_bundle(Path(folder) / "bundle")


def find_config(
    name: str, *, data: str = "", negatives: str = "", epochs: int = 0, seed: int | None = None
) -> RunConfig:
    """A configuration from a file or a preset's name, with a few settings replaced.

    Raises:
        ConfigError: there is neither a file nor a preset of this name, or it is not right.
    """
    from molvis_retrieval.config import parse_config, read_config

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
