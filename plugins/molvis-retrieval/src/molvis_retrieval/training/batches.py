"""Batches by number of the step, and which pairing comes when.

What is drawn depends on the seed and the number of the step alone, never on how the process came to that step.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from molvis_core.errors import ConfigError
from molvis_core.interfaces import SeesEveryPositive
from molvis_core.records import Structure
from molvis_nn.fusion import collate_measured
from molvis_retrieval.config import RunConfig
from molvis_retrieval.training.pairings import Pairing
from molvis_retrieval.training.run import Run


@dataclass(frozen=True, eq=False)
class Side:
    """One side of a batch.

    Attributes:
        batch: what the encoder takes.
        target: what the target takes, of the structures of the same compounds.
    """

    batch: Any
    target: Any

    def to(self, device: torch.device | str) -> Side:
        """The same on another device."""
        return Side(self.batch.to(device), self.target.to(device))


@dataclass(frozen=True, eq=False)
class PairBatch:
    """One step's work, or one process's part of it.

    Attributes:
        pair: number of the pairing.
        query, reference: collated records and structures. References beyond the queries are harder candidates. Of
            processes that train together, each has a part of the records, in their order, and the targets of all.
        owner: which query a harder candidate belongs to, in their order; of all processes.
    """

    pair: int
    query: Side
    reference: Side
    owner: Tensor

    def to(self, device: torch.device | str) -> PairBatch:
        """The same on another device."""
        return PairBatch(self.pair, self.query.to(device), self.reference.to(device), self.owner.to(device))


class Batches(torch.utils.data.Dataset[PairBatch]):
    """Batches of a run by number of the step: any worker can make any of them, and a resumed run makes the same.

    Args:
        run: whose pairings they are of.
        rank, world: number of this process among those that train together, and how many there are.

    Attributes:
        plan: for each step of an epoch its pairing, and the number of the batch within the pairing.
    """

    def __init__(self, run: Run, rank: int = 0, world: int = 1) -> None:
        self.run, self.rank, self.world = run, rank, world
        config = run.config
        whole = [isinstance(loss, SeesEveryPositive) and loss.every_positive for loss in run.losses]
        self.plan = plan(config, [len(p.compounds) for p in run.pairings], world, whole)
        _require_parts(run, world)
        self._cached: tuple[int, list[np.ndarray]] = (-1, [])
        self._structures: dict[str, Structure] = {}
        options, share = config.negatives, config.negatives.in_batch
        self._alike = [
            alike([self._structure(p, key) for key in p.compounds], options.by, options.ppm) if share else []
            for p in run.pairings
        ]

    def __len__(self) -> int:
        return len(self.plan) * self.run.config.train.epochs

    def __getitem__(self, index: int) -> PairBatch:
        epoch, within = divmod(index, len(self.plan))
        pair, number = self.plan[within]
        run, config = self.run, self.run.config
        pairing, options, target = run.pairings[pair], config.pairs[pair], run.targets[pair]
        order = self._order(epoch)[pair]
        size = config.train.batch * self.world
        start = number * size
        # Passes over the compounds follow one another; a batch across the seam drops what it would hold twice.
        chosen = list(dict.fromkeys(pairing.compounds[i] for i in order[start : start + size]))
        # Every process draws for all of them, as one process would, and then takes its part.
        rng = np.random.default_rng([config.train.seed, index, 0])
        first, last = (len(chosen) * rank // self.world for rank in (self.rank, self.rank + 1))
        mine = slice(first, last)
        if pairing.fused:
            unknowns = [self._unknown(pairing, key, options.records, rng) for key in chosen][mine]
            measured = [{part: self._records(part, rows) for part, rows in one.items()} for one in unknowns]
            query = collate_measured(run.encoders, pairing.parts, measured, self._one_of_each(pairing))
        else:
            rows = _drawn(pairing.rows[pairing.query], chosen, rng)[mine]
            query = run.encoders[pairing.query].collate(self._records(pairing.query, rows))
        structures = [self._structure(pairing, key) for key in chosen]
        references: list[Any] = structures[mine]
        if pairing.reference != "structure":
            rows = _drawn(pairing.rows[pairing.reference], chosen, rng)[mine]
            references = self._records(pairing.reference, rows)
        harder, owner = self._negatives(chosen, options.negatives, rng)
        own = [one for one, which in zip(harder, owner, strict=True) if first <= which < last]
        return PairBatch(
            pair,
            Side(query, target.collate(structures)),
            Side(run.encoders[pairing.reference].collate(references + own), target.collate(structures + harder)),
            torch.tensor(owner, dtype=torch.int64),
        )

    def _order(self, epoch: int) -> list[np.ndarray]:
        if self._cached[0] != epoch:
            settings, share = self.run.config.train, self.run.config.negatives.in_batch
            orders: list[np.ndarray] = []
            for number, pairing in enumerate(self.run.pairings):
                rng = np.random.default_rng([settings.seed, epoch, number, 1])
                batches = sum(1 for pair, _ in self.plan if pair == number)
                count = len(pairing.compounds)
                # One pass more than asked for fills the last batch of the last rank; a small pairing that comes often
                # needs further ones.
                needed = -(-batches * self.world * settings.batch // count)
                passes = [
                    one_pass(count, self._alike[number], share, rng) for _ in range(max(settings.spectra + 1, needed))
                ]
                orders.append(np.concatenate(passes))
            self._cached = (epoch, orders)
        return self._cached[1]

    def _records(self, modality: str, rows: Iterable[int]) -> list[Any]:
        return [self.run.dataset.record(modality, int(row)) for row in rows]

    def _unknown(self, pairing: Pairing, key: str, most: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Rows of any non-empty subset of the modalities that a compound has, a few of each."""
        parts = pairing.measured(key)
        drawn = int(rng.integers(1, 2 ** len(parts)))
        found: dict[str, np.ndarray] = {}
        for number, part in enumerate(parts):
            if drawn >> number & 1:
                rows = pairing.rows[part][key]
                size = int(rng.integers(1, min(most, len(rows)) + 1))
                found[part] = rng.choice(rows, size, replace=False)
        return found

    def _one_of_each(self, pairing: Pairing) -> dict[str, Any]:
        """A record of each modality, so that every process has gradients of the same encoders to exchange."""
        if self.world == 1:
            return {}
        first = {part: next(iter(pairing.rows[part].values()), None) for part in pairing.parts}
        return {part: self.run.dataset.record(part, int(rows[0])) for part, rows in first.items() if rows is not None}

    def _structure(self, pairing: Pairing, key: str) -> Structure:
        if key not in self._structures:
            self._structures[key] = pairing.structure(self.run.dataset, key)
        return self._structures[key]

    def _negatives(
        self, chosen: Sequence[str], count: int, rng: np.random.Generator
    ) -> tuple[list[Structure], list[int]]:
        library, pools = self.run.library, self.run.pools
        if not count or library is None:
            return [], []
        rows: list[int] = []
        owner: list[int] = []
        for number, key in enumerate(chosen):
            pool = pools.get(key, np.empty(0, dtype=np.int64))
            drawn = rng.choice(pool, min(count, len(pool)), replace=False)
            rows += drawn.tolist()
            owner += [number] * len(drawn)
        return list(library.structures(rows)), owner


def _drawn(rows: Mapping[str, np.ndarray], chosen: Sequence[str], rng: np.random.Generator) -> list[int]:
    """One row of each compound."""
    return [int(rng.choice(rows[key])) for key in chosen]


def _require_parts(run: Run, world: int) -> None:
    """Raise `ConfigError` where a batch could leave one of several processes without a compound."""
    least, name = min((len(p.compounds), f"{p.query}:{p.reference}") for p in run.pairings)
    if world > 1 and (run.config.train.batch < 2 or least < world):
        raise ConfigError(
            f"{world} processes train together, and each needs a compound of every batch: [train] batch is "
            f"{run.config.train.batch} and must be at least 2, {name} has {least} compounds and must have at least "
            f"{world}. Start fewer processes"
        )


def plan(config: RunConfig, compounds: Sequence[int], world: int, whole: Sequence[bool] = ()) -> list[tuple[int, int]]:
    """Which pairing comes at each step of an epoch: they alternate, each as often as its size and weight demand.

    Together they have as many steps as passes over all their compounds take. These are shared out in proportion to
    compounds ** sampling x weight.

    Args:
        config: with its pairings written out.
        compounds: how many each pairing has.
        world: number of processes that train together.
        whole: for each pairing whether an epoch must hold all its compounds.

    Returns:
        For each step the number of the pairing, and that of the batch within the pairing.
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


def one_pass(count: int, groups: Sequence[np.ndarray], share: float, rng: np.random.Generator) -> np.ndarray:
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
