"""How translation is learned: pairs of spectra of one ion at unlike settings, each compound as often as any other."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from molvis_core.records import PeakList
from molvis_msms.translation.corpus import Ion
from molvis_msms.translation.network import Batch, TranslationNetwork, root_cosine
from molvis_msms.translation.settings import Settings, ion_numbers
from molvis_msms.translation.tokens import Choices, Tokens, tokens
from molvis_msms.translation.vocabulary import Vocabulary
from molvis_nn.loop import Checkpoint, TrainingState, WeightAverage, descend, seed_step, set_rate, warmup_cosine

_BATCH = 24
_WARMUP = 200
_TARGETS = 4
"""Translations of each spectrum in a step."""
_ENTROPY = 0.1
"""Weight of the cross-entropy beside the root cosine."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is drawn and altered in training.

    Attributes:
        epochs: each sees every compound once; the learning rate falls to zero over them.
        stop: after so many of them, where that is earlier.
        top_peaks: of a spectrum that are used.
        elsewhere: share of the targets that may be of another laboratory or instrument.
        formula: share of the spectra whose formula is known.
        peak_dropout: share of a spectrum's peaks that are left out.
        blind: share of the spectra whose energy is not given.
        ppm: error of the precursors, where the formula is not known.
        rate: highest learning rate.
    """

    epochs: int = 50
    stop: int = 10**9
    top_peaks: int = 60
    elsewhere: float = 0.3
    formula: float = 0.5
    peak_dropout: float = 0.1
    blind: float = 0.05
    ppm: float = 2.0
    rate: float = 1.5e-3


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a network learns from.

    Attributes:
        vocabulary: of formulas.
        ions: by compound.
    """

    vocabulary: Vocabulary
    ions: Sequence[Sequence[Ion]]
    _choices: dict[tuple[bool, bytes], Choices] = dataclasses.field(default_factory=dict)

    def choices(self, *, negative: bool, atoms: np.ndarray | None) -> Choices:
        """Formulas that an ion may have, computed once."""
        key = negative, b"" if atoms is None else atoms.tobytes()
        if key not in self._choices:
            self._choices[key] = Choices.of(self.vocabulary, negative=negative, atoms=atoms)
        return self._choices[key]

    def tokens(self, spectrum: PeakList, atoms: np.ndarray | None, top_peaks: int) -> Tokens:
        """Those of a spectrum."""
        choices = self.choices(negative=spectrum.ionmode == "negative", atoms=atoms)
        return tokens(spectrum, self.vocabulary, choices, top_peaks)


@dataclass(frozen=True, eq=False, slots=True)
class Question:
    """A spectrum with what it is translated to.

    Attributes:
        tokens: of the spectrum.
        source: numbers of its ion and settings.
        targets: spectra of the same ion.
        settings: numbers of their settings.
    """

    tokens: Tokens
    source: np.ndarray
    targets: Sequence[PeakList]
    settings: Sequence[np.ndarray]


@dataclass(frozen=True, eq=False)
class _Draw:
    """Draws the questions of an epoch."""

    lesson: Lesson
    recipe: Recipe
    rng: np.random.Generator

    def questions(self, compounds: np.ndarray) -> list[Question]:
        """One of each compound, with or without formulas: those of a batch alike, since the latter have more tokens."""
        known = bool(self.rng.random() < self.recipe.formula)
        return [self.question(self.lesson.ions[i], known=known) for i in compounds.tolist()]

    def question(self, ions: Sequence[Ion], *, known: bool) -> Question:
        """A spectrum of a compound and others of its ion."""
        rng, recipe = self.rng, self.recipe
        ion = ions[int(rng.integers(len(ions)))]
        first = int(rng.integers(len(ion.spectra)))
        spectrum = ion.spectra[first]
        own = np.array(ion.run) == ion.run[first]
        near = np.flatnonzero(own & (np.arange(len(own)) != first))
        any_ = np.flatnonzero(np.arange(len(own)) != first)
        picked = [
            int(rng.choice(any_ if rng.random() < recipe.elsewhere or not len(near) else near)) for _ in range(_TARGETS)
        ]
        atoms = ion.atoms if known else None
        settings = Settings.of(spectrum)
        if rng.random() < recipe.blind:
            settings = dataclasses.replace(settings, energy=None)
        altered = self._altered(spectrum, known=atoms is not None)
        mz = altered.precursor_mz or 0.0
        source = np.concatenate([ion_numbers(altered, formula=atoms is not None), settings.numbers(mz)])
        targets = [ion.spectra[i] for i in dict.fromkeys(picked)]
        return Question(
            self.lesson.tokens(altered, atoms, recipe.top_peaks), source, targets,
            [Settings.of(t).numbers(mz) for t in targets],
        )  # fmt: skip

    def _altered(self, spectrum: PeakList, *, known: bool) -> PeakList:
        """Some peaks left out, heights a little changed, the precursor a little off where its formula is not known."""
        rng, recipe = self.rng, self.recipe
        keep = rng.random(len(spectrum)) >= recipe.peak_dropout * rng.random()
        keep[int(np.argmax(spectrum.intensity))] = True
        height = spectrum.intensity[keep] * np.exp(rng.normal(0, 0.1, int(keep.sum()))).astype(np.float32)
        precursor = spectrum.precursor_mz or 0.0
        if not known:
            precursor *= 1 + rng.normal(0, recipe.ppm * 1e-6)
        return dataclasses.replace(spectrum, mz=spectrum.mz[keep], intensity=height, precursor_mz=precursor)


def collate(questions: Sequence[Question], none: int) -> tuple[Batch, Tensor, Tensor]:
    """A batch, and places and shares of the targets' peaks."""
    owner = [i for i, q in enumerate(questions) for _ in q.targets]
    settings = [s for q in questions for s in q.settings]
    batch = Batch.of([q.tokens for q in questions], [q.source for q in questions], owner, settings, none)
    found = [q.tokens.targets(t) for q in questions for t in q.targets]
    most = max(len(place) for place, _ in found)
    place, share = np.full((len(found), most), -1), np.zeros((len(found), most), dtype=np.float32)
    for row, (where, height) in enumerate(found):
        place[row, : len(where)], share[row, : len(where)] = where, height
    return batch, torch.from_numpy(place), torch.from_numpy(share)


def learn(
    network: TranslationNetwork,
    lesson: Lesson,
    recipe: Recipe,
    *,
    seed: int = 0,
    checkpoint: Checkpoint | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> float:
    """Train a network; what is left is the moving average of its weights.

    Args:
        network: with fresh weights.
        lesson: what it learns from.
        recipe: how.
        seed: of everything drawn.
        checkpoint: to go on from, and to write every minute.
        progress: called with the number of epochs done and the mean root cosine of the last.

    Returns:
        The mean root cosine of the last epoch; NaN where the checkpoint was of a finished run.

    Raises:
        molvis_core.errors.TrainingError: the loss is not finite, or the checkpoint is of another run.
    """
    tables = [p for name, p in network.named_parameters() if name.startswith("known")]
    names = {id(p) for p in tables}
    others = [p for p in network.parameters() if id(p) not in names]
    optimizer = torch.optim.AdamW(
        [{"params": others, "weight_decay": 1e-2}, {"params": tables, "weight_decay": 1e-2}], lr=recipe.rate
    )
    average, value = WeightAverage(network, 0.998), float("nan")
    training = TrainingState(network, optimizer, average)
    if checkpoint and checkpoint.exists:
        with checkpoint.reading() as content:
            training.restore(content)
    last = min(recipe.epochs, recipe.stop)
    for epoch in range(training.epoch, last):
        value = _epoch(network, optimizer, average, lesson, recipe, seed, epoch)
        training.epoch = epoch + 1
        if checkpoint and (checkpoint.due(60) or epoch + 1 == last):
            checkpoint.write(training.content())
        if progress:
            progress(epoch + 1, value)
    average.copy_to(network)
    network.eval()
    return value


def _epoch(
    network: TranslationNetwork,
    optimizer: torch.optim.Optimizer,
    average: WeightAverage,
    lesson: Lesson,
    recipe: Recipe,
    seed: int,
    epoch: int,
) -> float:
    rng = np.random.default_rng([seed, epoch])
    draw = _Draw(lesson, recipe, rng)
    order = rng.permutation(len(lesson.ions))
    batches = np.array_split(order, max(1, round(len(order) / _BATCH)))
    steps = recipe.epochs * len(batches)
    network.train()
    seen: list[float] = []
    for number, compounds in enumerate(batches):
        step = epoch * len(batches) + number
        seed_step(seed, step)
        set_rate(optimizer, recipe.rate * warmup_cosine(step, steps, min(_WARMUP, steps / 5)))
        batch, place, share = collate(draw.questions(compounds), network.none)
        cosine, entropy = root_cosine(network(batch), place, share)
        # Each compound counts once, however many of its spectra were drawn.
        weight = 1.0 / torch.bincount(batch.owner)[batch.owner]
        loss = (weight * (1 - cosine + _ENTROPY * entropy)).sum() / weight.sum()
        descend(loss, optimizer, clip=1.0, where=f"epoch {epoch + 1}, batch {number + 1}")
        average.update(step)
        seen.append(float((weight * cosine.detach()).sum() / weight.sum()))
    return float(np.mean(seen))
