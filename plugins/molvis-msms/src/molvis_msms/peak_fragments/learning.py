"""Learning of the network's weights from ranked queries, in pieces that an interruption does not undo."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from torch import nn

from molvis_core.errors import TrainingError
from molvis_core.progress import StageProgress
from molvis_core.records import RankedQuery
from molvis_core.ties import first_largest
from molvis_files.writing import replacing
from molvis_fragmentation.ions import polarity
from molvis_msms.peak_fragments.batches import Disturbance, collate
from molvis_msms.peak_fragments.cases import NOISE, Cases, case, informative_peaks, join
from molvis_msms.peak_fragments.ensemble import Ensemble, Weights
from molvis_msms.peak_fragments.network import PeakFragmentNetwork
from molvis_msms.ranks import hit_rate, loss, mean_over_compounds
from molvis_nn.loop import (
    Checkpoint,
    TrainingState,
    WeightAverage,
    decay_groups,
    descend,
    seed_step,
    set_rate,
    warmup_cosine,
)

log = logging.getLogger("molvis")

_PIECE = 200
"""Queries that are made into arrays and written at a time."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How networks are trained.

    Attributes:
        networks: how many, each from other initial weights; their logits are averaged.
        width: of the layers.
        dropout: of tokens.
        epochs: passes over the queries.
        batch: queries in a step.
        learning_rate: of AdamW at its highest; it falls along a half cosine.
        weight_decay: of AdamW.
        ema_decay: of the running average of the weights that is judged and kept.
        ppm: tolerance of m/z.
    """

    networks: int = 3
    width: int = 128
    dropout: float = 0.15
    epochs: int = 4
    batch: int = 16
    learning_rate: float = 2e-3
    weight_decay: float = 0.03
    ema_decay: float = 0.998
    ppm: float = 10.0


@dataclass(frozen=True, slots=True)
class Fitted:
    """What was learned.

    Attributes:
        networks: weights of each.
        temperature: that their mean logit is divided by.
        figures: of the validation queries.
    """

    networks: tuple[Weights, ...]
    temperature: float
    figures: dict[str, float]


def learn(
    examples: Sequence[RankedQuery],
    validation: Sequence[RankedQuery],
    recipe: Recipe,
    *,
    seed: int,
    progress: StageProgress | None = None,
    folder: Path | None = None,
) -> Fitted:
    """Train the networks of a recipe, keep of each the epoch that the validation queries are likeliest under.

    Args:
        examples: queries to learn from.
        validation: queries of other compounds.
        recipe: how.
        seed: of everything drawn.
        progress: called with what is done, what there is in all, and of what.
        folder: where the arrays of the queries and the state of the training are kept, to go on from.

    Raises:
        TrainingError: there are no queries, or the folder holds the state of another training.
    """
    if not examples or not validation:
        raise TrainingError(f"{len(examples)} queries to learn from and {len(validation)} to validate with")
    say = progress or (lambda done, total, what="": None)
    cases = make_cases(examples, recipe.ppm, seed=seed, say=say, folder=folder, name="training")
    held_out = make_cases(validation, recipe.ppm, seed=None, say=say, folder=folder, name="validation")
    owners = np.unique([one.compound for one in validation], return_inverse=True)[1]
    training = _Training(cases, held_out, owners, recipe, seed, say)
    signature = f"{asdict(recipe)} seed {seed} queries {len(examples)} {len(validation)}"
    checkpoint = Checkpoint(folder / "training.pt", signature) if folder else None
    networks = training.run(checkpoint)
    ensemble = Ensemble(networks, recipe.width)
    logits = [ensemble(held_out, query) for query in range(len(held_out))]
    temperature = _temperature(logits, held_out.truth, owners)
    return Fitted(networks, temperature, _figures(logits, held_out.truth, owners, temperature))


def make_cases(
    queries: Sequence[RankedQuery],
    ppm: float,
    *,
    seed: int | None,
    say: StageProgress,
    folder: Path | None = None,
    name: str = "",
) -> Cases:
    """Queries as arrays, piece by piece; a piece that a folder holds already is read.

    Args:
        queries: to prepare.
        ppm: tolerance of m/z.
        seed: of the foreign peaks that are kept beside each spectrum's own; None for none.
        say: called with the queries done and in all.
        folder: where the pieces are kept.
        name: of the pieces.
    """
    pieces: list[Cases] = []
    donors = {sign: [i for i, q in enumerate(queries) if polarity(q.record) == sign] for sign in (1, -1)}
    for number, start in enumerate(range(0, len(queries), _PIECE)):
        file = folder / f"{name}-{number:05d}.safetensors" if folder else None
        piece = _read(file) if file and file.is_file() else None
        if piece is None:
            made: list[Cases] = []
            for place in range(start, min(start + _PIECE, len(queries))):
                one = queries[place]
                noise = None if seed is None else _noise(queries, place, donors[polarity(one.record)], seed)
                made.append(case(one.record, one.candidates, one.truth, ppm=ppm, noise=noise))
                say(place + 1, len(queries), f"breaking candidates of the {name} queries")
            piece = join(made)
            if file:
                with replacing(file) as fresh:
                    save_file({f.name: getattr(piece, f.name) for f in fields(Cases)}, fresh)
        pieces.append(piece)
    return join(pieces)


def _read(file: Path) -> Cases | None:
    """A piece; None where the file is damaged, so that it is made anew."""
    try:
        return Cases(**load_file(file))
    except (SafetensorError, TypeError):
        return None


def _noise(
    queries: Sequence[RankedQuery], place: int, donors: Sequence[int], seed: int
) -> tuple[Float[np.ndarray, " q"], Float[np.ndarray, " q"]]:
    """Peaks of a spectrum of another compound and the same polarity, with heights of their own."""
    rng = np.random.default_rng([seed, 11, place])
    other = queries[donors[int(rng.integers(len(donors)))]]
    mz = np.empty(0) if other.compound == queries[place].compound else informative_peaks(other.record)[0]
    limit = queries[place].record.precursor_mz or np.inf
    chosen = np.sort(rng.permutation(mz[mz < limit - 0.5])[:NOISE])
    return chosen, 10 ** rng.uniform(-2.5, -0.3, len(chosen))


@dataclass(frozen=True, eq=False)
class _Training:
    """Trains one network after the other.

    Attributes:
        cases, held_out: to learn from, and to validate with.
        owners: compound of each query that is validated with.
        recipe: how.
        seed: of everything drawn.
        say: called with the steps done and in all.
    """

    cases: Cases
    held_out: Cases
    owners: np.ndarray
    recipe: Recipe
    seed: int
    say: StageProgress

    def run(self, checkpoint: Checkpoint | None) -> tuple[Weights, ...]:
        """Weights of all networks."""
        done: list[Weights] = []
        state: dict[str, object] = {}
        if checkpoint and checkpoint.exists:
            with checkpoint.reading() as content:
                done, state = list(content["done"]), dict(content["state"])
        while len(done) < self.recipe.networks:
            done.append(self._network(len(done), state, checkpoint, done))
            state = {}
            if checkpoint:
                checkpoint.write({"done": done, "state": state})
        return tuple(done)

    def _network(self, number: int, state: dict, checkpoint: Checkpoint | None, done: Sequence[Weights]) -> Weights:
        """Train one network from its last epoch on; returns the weights of its best."""
        recipe = self.recipe
        seed_step(self.seed, number)
        net = PeakFragmentNetwork(recipe.width, recipe.dropout)
        optimizer = torch.optim.AdamW(decay_groups([net], recipe.weight_decay), lr=recipe.learning_rate)
        average = WeightAverage(net, recipe.ema_decay)
        training = TrainingState(net, optimizer, average, lower=True)
        if state:
            training.restore(state)
        for epoch in range(training.epoch, recipe.epochs):
            self._epoch(net, optimizer, average, number, epoch)
            with average.applied():
                cost = self._validate(net)
                log.info("network %d, epoch %d: validation loss %.4f", number + 1, epoch + 1, cost)
                training.judged(cost)
            training.epoch = epoch + 1
            if checkpoint:
                checkpoint.write({"done": list(done), "state": training.content()})
        return training.kept

    def _epoch(
        self, net: nn.Module, optimizer: torch.optim.Optimizer, average: WeightAverage, number: int, epoch: int
    ) -> None:
        recipe, count = self.recipe, len(self.cases)
        rng = np.random.default_rng([self.seed, 13, number, epoch])
        # Queries with about as many peaks and candidates come together: less is padded.
        size = np.diff(self.cases.peak_end, prepend=0) + 2 * self.cases.candidates + rng.uniform(0, 8, count)
        batches = [some.tolist() for some in np.array_split(np.argsort(size), max(1, count // recipe.batch))]
        steps = len(batches) * recipe.epochs
        net.train()
        for place, which in enumerate(rng.permutation(len(batches)).tolist()):
            step = epoch * len(batches) + place
            set_rate(optimizer, recipe.learning_rate * warmup_cosine(step, steps, 0.03 * steps))
            seed_step(self.seed + 7919 * number, step)
            batch = collate(self.cases, batches[which], rng, Disturbance())
            cost = nn.functional.cross_entropy(net(batch), batch.truth)
            descend(cost, optimizer, clip=2.0, where=f"step {step} of network {number + 1}")
            average.update(step)
            self.say(number * steps + step + 1, recipe.networks * steps, "training networks")

    def _validate(self, net: nn.Module) -> float:
        """Mean over compounds of minus the logarithm of the truth's probability."""
        net.eval()
        count = len(self.held_out)
        losses = np.zeros(count)
        with torch.inference_mode():
            for start in range(0, count, self.recipe.batch):
                some = range(start, min(start + self.recipe.batch, count))
                batch = collate(self.held_out, some)
                losses[some.start : some.stop] = nn.functional.cross_entropy(
                    net(batch), batch.truth, reduction="none"
                ).numpy()
        return mean_over_compounds(losses, self.owners)


def _temperature(logits: Sequence[np.ndarray], truth: np.ndarray, owners: np.ndarray) -> float:
    """The temperature under which the truths are likeliest, of 81 from 1/4 to 4."""
    tried = 2.0 ** np.linspace(-2, 2, 81)
    losses = np.array([loss([one / t for one in logits], truth, owners) for t in tried.tolist()])
    return float(tried[first_largest(-losses, 1e-9)])


def _figures(
    logits: Sequence[np.ndarray], truth: np.ndarray, owners: np.ndarray, temperature: float
) -> dict[str, float]:
    """Hit rates, a place among those that tie being as likely as any other, and the loss, as means over compounds."""
    hits = {f"val_hit{k}": hit_rate(logits, truth, owners, k) for k in (1, 5, 20)}
    cost = loss([one / temperature for one in logits], truth, owners)
    return {**hits, "val_loss": cost, "temperature": temperature}
