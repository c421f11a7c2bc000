"""Learning of a forward model from spectra of known compounds, in pieces that an interruption does not undo."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from molvis_core.errors import TrainingError
from molvis_core.progress import StageProgress
from molvis_core.records import PeakList, Structure
from molvis_msms.forward.batches import Batch, collate, measure
from molvis_msms.forward.ladder import Strays, Tolerance
from molvis_msms.forward.losses import agreement
from molvis_msms.forward.model import ForwardModel, Shape
from molvis_msms.forward.network import ForwardNetwork
from molvis_msms.forward.pieces import MOST_PARTS, Pieces, pieces
from molvis_msms.forward.settings import Setting
from molvis_msms.forward.strays import find_strays, unexplained
from molvis_nn.loop import (
    Checkpoint,
    TrainingState,
    WeightAverage,
    decay_groups,
    descend,
    on_cpu,
    seed_step,
    set_rate,
    warmup_cosine,
)

log = logging.getLogger("molvis")

_FOR_STRAYS = 6
"""Spectra of a compound that strays are looked for in."""
_STEP = math.log(1.35)
"""Of the logarithm of the energy: spectra that are nearer are alike."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a forward model is trained.

    Attributes:
        networks: how many are trained, each from other initial weights; their probabilities are averaged.
        width: of the layers.
        layers: of the graph network.
        parts: of a molecule that are kept.
        strays: that are looked for, at most.
        dropout: of the layers.
        epochs: passes over the compounds.
        batch: compounds in a step.
        spectra: of a compound in a step, unlike in adduct, energy and instrument as far as there are such.
        learning_rate: of AdamW at its highest; it falls along a half cosine.
        weight_decay: of AdamW.
        cosine: weight of the cosine beside the cross-entropy.
        unknown: share of the spectra whose energy, and whose instrument, is taken away.
        average: decay of the moving average of the weights.
        ppm, absolute: tolerance of m/z, and its least width in Da.
    """

    networks: int = 1
    width: int = 96
    layers: int = 4
    parts: int = MOST_PARTS
    strays: int = 1000
    dropout: float = 0.1
    epochs: int = 12
    batch: int = 8
    spectra: int = 4
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    cosine: float = 1.0
    unknown: float = 0.08
    average: float = 0.995
    ppm: float = 20.0
    absolute: float = 0.005

    @property
    def tolerance(self) -> Tolerance:
        """Of m/z."""
        return Tolerance(self.ppm, self.absolute)


@dataclass(frozen=True, eq=False, slots=True)
class Example:
    """A compound and spectra of it.

    Attributes:
        structure: of the compound.
        spectra: at least one.
    """

    structure: Structure
    spectra: tuple[PeakList, ...]


def by_compound(pairs: Sequence[tuple[Structure, PeakList]]) -> list[Example]:
    """Spectra with their structures as examples, those of one compound together; spectra without peaks are left out."""
    found: dict[str, tuple[Structure, list[PeakList]]] = {}
    for structure, spectrum in pairs:
        if (spectrum.intensity > 0).any():
            found.setdefault(structure.inchikey14, (structure, []))[1].append(spectrum)
    return [Example(structure, tuple(spectra)) for structure, spectra in found.values()]


def learn(
    examples: Sequence[Example],
    validation: Sequence[Example],
    recipe: Recipe,
    *,
    seed: int = 0,
    progress: StageProgress | None = None,
    folder: Path | None = None,
) -> ForwardModel:
    """Train a model; its figures are those of the validation compounds.

    Args:
        examples: compounds to learn from.
        validation: other compounds.
        recipe: how.
        seed: of everything drawn.
        progress: called with what is done, what there is in all, and of what.
        folder: where the state of the training is kept, to go on from.

    Raises:
        TrainingError: there are no compounds, or the folder holds the state of another training.
        molvis_core.errors.StructureError: RDKit refuses a structure.
    """
    if not examples or not validation:
        raise TrainingError(f"{len(examples)} compounds to learn from and {len(validation)} to validate with")
    say = progress or (lambda done, total, what="": None)
    training = _Training(examples, validation, recipe, seed, say)
    signature = f"{asdict(recipe)} seed {seed} compounds {len(examples)} {len(validation)}"
    return training.run(Checkpoint(folder / "forward.pt", signature) if folder else None)


def unlike(spectra: Sequence[PeakList], count: int, rng: np.random.Generator) -> list[PeakList]:
    """Up to `count` spectra, of which no two have the same adduct, instrument and nearly the same energy."""
    first: dict[tuple[object, ...], PeakList] = {}
    for place in rng.permutation(len(spectra)).tolist():
        one = spectra[place]
        energy = one.collision_energy
        step = -1 if energy is None else int(math.log(max(energy, 1.0)) / _STEP)
        first.setdefault((one.adduct, one.ionmode, one.instrument_type, step), one)
    return list(first.values())[:count]


class _Training:
    """Trains the networks of a model, one after the other."""

    def __init__(
        self, examples: Sequence[Example], validation: Sequence[Example], recipe: Recipe, seed: int, say: StageProgress
    ) -> None:
        self.examples, self.validation, self.recipe, self.seed, self.say = examples, validation, recipe, seed, say
        self.known: dict[str, Pieces] = {}

    def pieces_of(self, structure: Structure) -> Pieces:
        """A molecule's pieces, which are kept: every epoch needs them."""
        if structure.smiles not in self.known:
            self.known[structure.smiles] = pieces.__wrapped__(structure.smiles, self.recipe.parts)
        return self.known[structure.smiles]

    def run(self, checkpoint: Checkpoint | None) -> ForwardModel:
        """The trained model."""
        recipe = self.recipe
        done: list[dict[str, Tensor]] = []
        state: dict[str, Any] = {}
        if checkpoint and checkpoint.exists:
            with checkpoint.reading() as content:
                done, state = list(content["done"]), dict(content["state"])
                strays = Strays(*(content[name].numpy() for name in ("mz", "loss", "sign")))
        else:
            strays = self.strays()
        while len(done) < recipe.networks:
            done.append(self.network(len(done), state, strays, checkpoint, done))
            state = {}
            if checkpoint:
                checkpoint.write({"done": done, "state": state} | _tensors(strays))
        shape = Shape(recipe.width, recipe.layers, recipe.parts)
        model = ForwardModel([_loaded(self.new(strays), weights) for weights in done], strays, shape)
        model.figures = self.figures(model, strays)
        return model

    def new(self, strays: Strays) -> ForwardNetwork:
        """A network that has learned nothing."""
        return ForwardNetwork(self.recipe.width, self.recipe.layers, len(strays), self.recipe.dropout)

    def network(
        self,
        number: int,
        state: Mapping[str, Any],
        strays: Strays,
        checkpoint: Checkpoint | None,
        done: Sequence[dict[str, Tensor]],
    ) -> dict[str, Tensor]:
        """Weights of one of the networks.

        Args:
            number: which, counted from 0.
            state: that it goes on from; empty at its start.
            strays: of all networks.
            checkpoint: where the state is kept.
            done: the networks before.
        """
        recipe = self.recipe
        seed_step(self.seed + number, 0)
        network = self.new(strays)
        optimizer = torch.optim.AdamW(decay_groups([network], recipe.weight_decay), lr=recipe.learning_rate)
        average = WeightAverage(network, recipe.average)
        training = TrainingState(network, optimizer, average)
        if state:
            training.restore(state)
        for epoch in range(training.epoch, recipe.epochs):
            self.epoch(training, strays, number)
            with average.applied():
                figures = self.figures(network, strays)
            said = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
            log.info("network %d, epoch %d: %s", number + 1, epoch + 1, said)
            training.epoch = epoch + 1
            if checkpoint:
                checkpoint.write({"done": list(done), "state": training.content()} | _tensors(strays))
        average.copy_to(network)
        # Rounded as they are saved, so that a saved model is the same.
        return {name: value.half().float() for name, value in on_cpu(network.state_dict()).items()}

    def strays(self) -> Strays:
        """Look for strays in what the examples' parts do not explain."""
        rng = np.random.default_rng([self.seed, 17])
        found = []
        for place, one in enumerate(self.examples):
            some = unlike(one.spectra, _FOR_STRAYS, rng)
            found.append(unexplained(self.pieces_of(one.structure), some, self.recipe.tolerance))
            self.say(place + 1, len(self.examples), "breaking molecules")
        return find_strays(found, self.recipe.strays, max(3, len(self.examples) // 500))

    def epoch(self, training: TrainingState, strays: Strays, number: int) -> None:
        """One pass of one of the networks over the compounds."""
        recipe, count = self.recipe, len(self.examples)
        epoch, seed, network, optimizer = training.epoch, self.seed + number, training.network, training.optimizer
        rng = np.random.default_rng([seed, 19, epoch])
        # Molecules with about as many parts come together: less is padded.
        size = [len(self.pieces_of(one.structure).parts.mass) for one in self.examples]
        batches = np.array_split(np.argsort(np.array(size) + rng.uniform(0, 60, count)), max(1, count // recipe.batch))
        steps = len(batches) * recipe.epochs
        network.train()
        for place, which in enumerate(rng.permutation(len(batches)).tolist()):
            step = epoch * len(batches) + place
            set_rate(optimizer, recipe.learning_rate * warmup_cosine(step, steps, 0.03 * steps))
            seed_step(seed, step)
            some = [self.examples[i] for i in batches[which].tolist()]
            chosen = [unlike(one.spectra, recipe.spectra, rng) for one in some]
            settings = [[self.blurred(Setting.of(s), rng) for s in spectra] for spectra in chosen]
            entropy, cosine = self.agreement(network, some, chosen, settings, strays)
            # A compound of many spectra tells more than one of a single one, and not as many times more.
            weight = torch.tensor([len(spectra) ** -0.5 for spectra in chosen for _ in spectra])
            loss = ((entropy - recipe.cosine * cosine) * weight).sum() / weight.sum()
            descend(loss, optimizer, clip=2.0, where=f"step {step}")
            if training.average:
                training.average.update(step)
            self.say(step + 1, steps, f"training network {number + 1}")

    def agreement(
        self,
        network: Callable[[Batch], Tensor],
        some: Sequence[Example],
        spectra: Sequence[Sequence[PeakList]],
        settings: Sequence[Sequence[Setting]],
        strays: Strays,
    ) -> tuple[Tensor, Tensor]:
        """Cross-entropy and cosine of some spectra of some compounds."""
        batch: Batch = collate([self.pieces_of(one.structure) for one in some], settings, strays)
        measured = measure(batch, [s for one in spectra for s in one], self.recipe.tolerance)
        return agreement(network(batch), batch, measured)

    def blurred(self, setting: Setting, rng: np.random.Generator) -> Setting:
        """A setting of which the energy or the instrument is not known, now and then."""
        energy, instrument = rng.random(2) < self.recipe.unknown
        if energy:
            setting = dataclasses.replace(setting, energy=None)
        return dataclasses.replace(setting, instrument=None) if instrument else setting

    def figures(self, network: ForwardNetwork | ForwardModel, strays: Strays) -> dict[str, float]:
        """Means over the validation compounds, of a network or of the average of several."""
        rng = np.random.default_rng([self.seed, 23])
        rows: list[tuple[float, float]] = []
        if isinstance(network, ForwardNetwork):
            network.eval()
        with torch.inference_mode():
            for some in _slices(self.validation, self.recipe.batch):
                chosen = [unlike(one.spectra, self.recipe.spectra, rng) for one in some]
                settings = [[Setting.of(s) for s in spectra] for spectra in chosen]
                entropy, cosine = self.agreement(network, some, chosen, settings, strays)
                ends = np.cumsum([len(spectra) for spectra in chosen])[:-1].tolist()
                pairs = zip(np.split(entropy.numpy(), ends), np.split(cosine.numpy(), ends), strict=True)
                rows += [(float(e.mean()), float(c.mean())) for e, c in pairs]
        entropy, cosine = np.mean(rows, axis=0).tolist()
        return {"val_cross_entropy": entropy, "val_cosine": cosine}


def _tensors(strays: Strays) -> dict[str, Tensor]:
    return {name: torch.from_numpy(getattr(strays, name)) for name in ("mz", "loss", "sign")}


def _loaded(network: ForwardNetwork, weights: Mapping[str, Tensor]) -> ForwardNetwork:
    network.load_state_dict(weights)
    return network


def _slices(every: Sequence[Example], size: int) -> Iterator[Sequence[Example]]:
    for start in range(0, len(every), size):
        yield every[start : start + size]
