"""How a fingerprint network learns to prefer the true structure to others of its mass.

Structures that were measured look different from those of a library, and a network that is asked which of them is the
truth learns that first, from the mass alone. So what is compared is never what one spectrum gives a candidate, but how
much more than the spectrum of another compound of nearly that mass gives it, under the same settings: whatever depends
on the structure alone cancels. When the network is used, the mean over a bank of other spectra takes the place of that
spectrum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from molvis_msms.fingerprint.bits import unpacked
from molvis_msms.fingerprint.corpus import Corpus
from molvis_msms.fingerprint.network import Bag, FingerprintNetwork
from molvis_nn.loop import Checkpoint, TrainingState, descend, seed_step, warmup_cosine

_BATCH = 192
_STEPS = 8
"""Of an epoch at least, with smaller batches where there are few spectra."""
_DRAWS = 3
"""Spectra of each compound in an epoch."""
_RATE, _TABLE_RATE = 1e-3, 2e-3
_WARMUP = 100
_NEAR = 25
"""How many compounds up and down in mass the spectrum to compare with, and further negatives, are drawn from."""
_APART = 0.02
"""Da. Compounds nearer in mass may be isomers, whose spectra are alike for good reason."""
_BITS, _RANKING = 0.1, 3.0
"""Weights of the two losses: of each bit's cross-entropy, and of the truth's among its rivals."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is drawn, and left out at random, in training.

    Attributes:
        epochs: each sees every compound three times.
        rivals: structures of a compound's mass in each step.
        measured: compounds near in mass among the rivals.
        token_dropout: share of a spectrum's tokens that are left out.
        mixed: share of spectra that are mixed with another one of the same compound, ion mode and adduct.
        heights: range of the factors on each token's weight.
    """

    epochs: int = 24
    rivals: int = 12
    measured: int = 8
    token_dropout: float = 0.5
    mixed: float = 0.3
    heights: tuple[float, float] = (0.6, 1.4)


@dataclass(frozen=True, eq=False)
class Lesson:
    """A corpus as a training loop uses it.

    Attributes:
        corpus: what is learned from.
        taught: which compounds; the others are left for the bank.
        chosen: the bits in use.
        frequency: of these bits.
        truth: bits of each compound.
        rivals: bits of each rival.
        by_mass: taught compounds, ascending.
        rank: of every compound's mass among them.
    """

    corpus: Corpus
    taught: np.ndarray
    chosen: np.ndarray
    frequency: Float[Tensor, " bits"]
    truth: Bool[Tensor, "c bits"]
    rivals: Bool[Tensor, "r bits"]
    by_mass: np.ndarray
    rank: np.ndarray

    @classmethod
    def of(cls, corpus: Corpus, taught: np.ndarray, chosen: np.ndarray, frequency: np.ndarray) -> Lesson:
        """Unpack the bits in use."""
        by_mass = taught[np.argsort(corpus.mass[taught], kind="stable")]
        return cls(
            corpus,
            taught,
            chosen,
            torch.from_numpy(frequency.astype(np.float32)),
            torch.from_numpy(_bits(corpus.truth, chosen)),
            torch.from_numpy(_bits(corpus.rivals, chosen)),
            by_mass,
            np.searchsorted(corpus.mass[by_mass], corpus.mass),
        )


def _bits(packed: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Some bits of many fingerprints, unpacked in blocks."""
    blocks = [unpacked(packed[i : i + 4096])[:, chosen] for i in range(0, len(packed), 4096)]
    return np.concatenate(blocks) if blocks else np.empty((0, len(chosen)), dtype=bool)


@dataclass(frozen=True, eq=False)
class _Draw:
    """Draws what a step learns from.

    Attributes:
        lesson: the corpus.
        recipe: how much of everything.
        rng: of one epoch.
    """

    lesson: Lesson
    recipe: Recipe
    rng: np.random.Generator

    def epoch(self) -> np.ndarray:
        """Spectra of an epoch: some of each compound, shuffled."""
        of = self.lesson.corpus.of_compound
        drawn = np.array([self.rng.choice(of[c]) for c in self.lesson.taught for _ in range(_DRAWS)])
        return self.rng.permutation(drawn)

    def altered(self, spectrum: int) -> tuple[np.ndarray, np.ndarray]:
        """Tokens of a spectrum, some left out and all of them a little higher or lower."""
        corpus, recipe, rng = self.lesson.corpus, self.recipe, self.rng
        place, weight = corpus.spectra[spectrum]
        if rng.random() < recipe.mixed:
            other = int(rng.choice(corpus.of_compound[corpus.compound[spectrum]]))
            if np.array_equal(corpus.described[other][:-6], corpus.described[spectrum][:-6]):
                share = rng.random()
                scale = np.hypot(share, 1 - share)
                place = np.concatenate([place, corpus.spectra[other][0]])
                weight = np.concatenate([weight * (share / scale), corpus.spectra[other][1] * ((1 - share) / scale)])
        keep = rng.random(len(place)) > recipe.token_dropout
        factor = rng.uniform(*recipe.heights, int(keep.sum())) / np.sqrt(1 - recipe.token_dropout)
        return place[keep], weight[keep] * factor

    def stranger(self, spectrum: int) -> int:
        """A spectrum of another compound that is near in mass, of the same ion mode; itself where there is none."""
        corpus, lesson = self.lesson.corpus, self.lesson
        own = int(corpus.compound[spectrum])
        for _ in range(20):
            other = int(self.neighbours(own, 1)[0])
            same = corpus.of_compound[other][corpus.negative[corpus.of_compound[other]] == corpus.negative[spectrum]]
            if len(same) and abs(lesson.corpus.mass[other] - lesson.corpus.mass[own]) > _APART:
                return int(self.rng.choice(same))
        return spectrum

    def neighbours(self, compound: int, count: int) -> np.ndarray:
        """Compounds near in mass, itself among them now and then."""
        lesson = self.lesson
        steps = self.rng.integers(-_NEAR, _NEAR + 1, size=count)
        return lesson.by_mass[np.clip(lesson.rank[compound] + steps, 0, len(lesson.by_mass) - 1)]

    def candidates(self, compounds: np.ndarray) -> tuple[Bool[Tensor, "n m bits"], Bool[Tensor, "n m"]]:
        """Fingerprints of each compound, first, and of its rivals; and which of them count."""
        recipe, lesson = self.recipe, self.lesson
        own = np.full((len(compounds), recipe.rivals), -1)
        for row, compound in enumerate(compounds):
            drawn = self.rng.permutation(lesson.corpus.windows[compound])[: recipe.rivals]
            own[row, : len(drawn)] = drawn
        near = np.stack([self.neighbours(int(c), recipe.measured) for c in compounds])
        count = np.concatenate([np.ones((len(own), 1), bool), own >= 0, near != compounds[:, None]], axis=1)
        rows = torch.from_numpy(own.clip(0)) if len(lesson.rivals) else None
        absent = torch.zeros((*own.shape, len(lesson.chosen)), dtype=torch.bool)
        parts = [
            lesson.truth[torch.from_numpy(compounds)][:, None],
            absent if rows is None else lesson.rivals[rows],
            lesson.truth[torch.from_numpy(near)],
        ]
        return torch.cat(parts, dim=1), torch.from_numpy(count)


def _loss(network: FingerprintNetwork, draw: _Draw, spectra: np.ndarray) -> Tensor:
    """Cross-entropy of the bits, and of the truth among its rivals, each by its lead over a stranger's spectrum."""
    lesson = draw.lesson
    compounds = lesson.corpus.compound[spectra]
    described = lesson.corpus.described[spectra]
    logits, match = network(Bag.of([draw.altered(i) for i in spectra], described))
    strangers = [draw.altered(draw.stranger(i)) for i in spectra]
    # The stranger's peaks under this spectrum's settings, so that no score can rest on the settings.
    _, other = network(Bag.of(strangers, described))
    candidates, count = draw.candidates(compounds)
    values = candidates.float()
    bits = functional.binary_cross_entropy_with_logits(logits, values[:, 0]) * len(lesson.chosen)
    score = torch.einsum("nb,nmb->nm", match - other, values - lesson.frequency)
    ranking = -torch.log_softmax(score.masked_fill(~count, -1e4), dim=1)[:, 0]
    return _BITS * bits + _RANKING * ranking.mean()


def learn(
    network: FingerprintNetwork,
    lesson: Lesson,
    recipe: Recipe,
    *,
    seed: int,
    judge: Callable[[FingerprintNetwork], float],
    checkpoint: Checkpoint | None = None,
    progress: Callable[[int], None] | None = None,
) -> float:
    """Train a network, and leave it with the weights of the epoch that was judged best.

    Args:
        network: with fresh weights.
        lesson: what it learns from.
        recipe: how.
        seed: of everything drawn.
        judge: how good a network is; larger is better. It is asked after every fourth epoch and after the last.
        checkpoint: to go on from, and to write every minute.
        progress: called with the number of epochs done.

    Returns:
        The best judgement.

    Raises:
        molvis_core.errors.TrainingError: the loss is not finite, or the checkpoint is of another run.
    """
    others = [p for name, p in network.named_parameters() if name != "table.weight"]
    groups = [
        {"params": others, "weight_decay": 1e-3, "base": _RATE},
        {"params": [network.table.weight], "weight_decay": 0.0, "base": _TABLE_RATE},
    ]
    optimizer = torch.optim.AdamW(groups, lr=_RATE, foreach=True)
    training = TrainingState(network, optimizer)
    if checkpoint and checkpoint.exists:
        with checkpoint.reading() as content:
            training.restore(content)
    for epoch in range(training.epoch, recipe.epochs):
        _epoch(network, optimizer, lesson, recipe, seed, epoch)
        if (epoch + 1) % 4 == 0 or epoch + 1 == recipe.epochs:
            training.judged(judge(network))
        training.epoch = epoch + 1
        if checkpoint and (checkpoint.due(60) or epoch + 1 == recipe.epochs):
            checkpoint.write(training.content())
        if progress:
            progress(epoch + 1)
    network.load_state_dict(training.kept)
    network.eval()
    return float(training.best)


def _epoch(
    network: FingerprintNetwork,
    optimizer: torch.optim.Optimizer,
    lesson: Lesson,
    recipe: Recipe,
    seed: int,
    epoch: int,
) -> None:
    draw = _Draw(lesson, recipe, np.random.default_rng([seed, epoch]))
    order = draw.epoch()
    batches: Sequence[np.ndarray] = np.array_split(order, max(_STEPS, round(len(order) / _BATCH)))
    steps = recipe.epochs * len(batches)
    network.train()
    for number, spectra in enumerate(batches):
        step = epoch * len(batches) + number
        seed_step(seed, step)
        factor = warmup_cosine(step, steps, min(_WARMUP, steps / 5))
        for group in optimizer.param_groups:
            group["lr"] = group["base"] * factor
        descend(_loss(network, draw, spectra), optimizer, where=f"epoch {epoch + 1}, batch {number + 1}")
