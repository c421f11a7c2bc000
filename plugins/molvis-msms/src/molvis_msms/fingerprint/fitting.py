"""Networks from spectra to fingerprints, learned from windows: what the scorer and the encoder of that kind share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64

from molvis_core.errors import ConfigError, TrainingError
from molvis_core.progress import StageProgress
from molvis_core.records import RankedQuery
from molvis_msms.fingerprint.bank import Bank
from molvis_msms.fingerprint.corpus import Corpus, corpus_of, frequencies
from molvis_msms.fingerprint.learning import Lesson, Recipe, learn
from molvis_msms.fingerprint.network import FingerprintNetwork, Vocabulary
from molvis_msms.fingerprint.ranking import Ranking
from molvis_msms.fingerprint.state import bank_of, rounded
from molvis_msms.fingerprint.tokens import DESCRIBED
from molvis_nn.loop import Checkpoint

_BANK_SHARE = 20
"""One compound of so many is left for the bank."""
_OF_BANK = 3
"""Spectra of a compound in the bank."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Of the networks and of how they learn.

    Attributes:
        name: of the component, for messages.
        dim: of the sum of a spectrum's tokens.
        hidden: width of the layer after it.
        networks: trained with different seeds.
        epochs: of training.
        min_compounds: tokens in spectra of fewer training compounds are left out.
        top_peaks: so many of the highest peaks are used.
        dropout: in the networks.
        most_tokens: of more tokens, those of most compounds are kept; 0 keeps all.

    Raises:
        ConfigError: on construction, if one is out of range.
    """

    name: str
    dim: int
    hidden: int
    networks: int
    epochs: int
    min_compounds: int
    top_peaks: int
    dropout: float
    most_tokens: int = 0

    def __post_init__(self) -> None:
        for name in ("dim", "hidden", "networks", "epochs", "min_compounds", "top_peaks"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{self.name}: {name} must be a positive whole number, got {getattr(self, name)}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"{self.name}: dropout must be from 0 to below 1, got {self.dropout}")

    def network(self, vocabulary: int, frequency: np.ndarray) -> FingerprintNetwork:
        """A network with fresh weights for so many tokens, and bits of these frequencies."""
        return FingerprintNetwork(vocabulary, DESCRIBED, self.dim, self.hidden, frequency, self.dropout)


@dataclass(frozen=True, eq=False)
class Fitted:
    """Networks that have learned.

    Attributes:
        networks: with weights as a file will keep them.
        vocabulary: tokens that they know.
        chosen: bits that they give weights to, ascending.
        frequency: of these bits among training compounds.
        corpus: what was learned from.
        of_bank: spectra of it that nothing was learned from.
        ranking: the validation queries.
    """

    networks: Sequence[FingerprintNetwork]
    vocabulary: Vocabulary
    chosen: Int64[np.ndarray, " bits"]
    frequency: Float[np.ndarray, " bits"]
    corpus: Corpus
    of_bank: np.ndarray
    ranking: Ranking

    def bank(self) -> Bank:
        """What the networks give to the spectra that nothing was learned from."""
        return bank_of(self.corpus, self.of_bank, self.networks, len(self.chosen))


def fit(
    settings: Settings,
    examples: Sequence[RankedQuery],
    validation: Sequence[RankedQuery],
    *,
    seed: int,
    progress: StageProgress | None = None,
    checkpoint: Path | None = None,
) -> Fitted:
    """Train the networks on spectra among candidates of equal mass, and leave some spectra aside for a bank.

    Args:
        settings: of the networks.
        examples: to learn from.
        validation: to choose the epoch by.
        seed: of everything drawn.
        progress: called with the epochs done, all of them, and what is being done.
        checkpoint: a folder to go on from.

    Raises:
        TrainingError: there are no examples, none of their fingerprints differ, or a checkpoint is of another run.
    """
    total = settings.networks * settings.epochs
    show = progress or (lambda done, total, what: None)
    show(0, total, "fingerprints of candidates")
    lesson, vocabulary, of_bank = _lesson(settings, examples, seed)
    frequency = lesson.frequency.numpy()
    held_out = corpus_of(validation, settings.top_peaks).in_places(vocabulary)
    ranking = Ranking.of(held_out, lesson.chosen, frequency)

    def judge(network: FingerprintNetwork) -> float:
        bank = bank_of(lesson.corpus, of_bank, [network], len(lesson.chosen))
        return ranking.figures([network], bank)[1]

    def shown(before: int) -> Callable[[int], None]:
        return lambda done: show(before + done, total, "networks from spectra to fingerprints")

    networks: list[FingerprintNetwork] = []
    for number in range(settings.networks):
        mine = seed * 1009 + number
        torch.manual_seed(mine)
        network = settings.network(len(vocabulary.keys), frequency)
        learn(
            network,
            lesson,
            Recipe(epochs=settings.epochs),
            seed=mine,
            judge=judge,
            checkpoint=_checkpoint(settings, checkpoint, number, seed, len(examples)),
            progress=shown(number * settings.epochs),
        )
        networks.append(rounded(network))
    return Fitted(networks, vocabulary, lesson.chosen, frequency, lesson.corpus, of_bank, ranking)


def _lesson(
    settings: Settings, examples: Sequence[RankedQuery], seed: int
) -> tuple[Lesson, Vocabulary, Int64[np.ndarray, " s"]]:
    """What the networks learn, the tokens that they will know, and the spectra of the bank."""
    raw = corpus_of(examples, settings.top_peaks, settings.name)
    order = np.random.default_rng([seed, 3]).permutation(len(raw.mass))
    banked, taught = np.split(order, [len(order) // _BANK_SHARE])
    mine = np.flatnonzero(np.isin(raw.compound, taught))
    keys = [raw.spectra[i][0] for i in mine.tolist()]
    vocabulary = Vocabulary.of(keys, raw.compound[mine], settings.min_compounds, settings.most_tokens)
    chosen, frequency = frequencies(raw.truth[taught])
    if not len(chosen):
        raise TrainingError(f"{settings.name}: the fingerprints of the compounds to learn from do not differ")
    of_bank = [raw.of_compound[c][:_OF_BANK] for c in banked.tolist()]
    lesson = Lesson.of(raw.in_places(vocabulary), np.sort(taught), chosen, frequency)
    return lesson, vocabulary, np.concatenate([np.empty(0, dtype=np.int64), *of_bank])


def _checkpoint(settings: Settings, folder: Path | None, number: int, seed: int, examples: int) -> Checkpoint | None:
    if folder is None:
        return None
    kept = (settings.dim, settings.hidden, settings.epochs, settings.min_compounds, settings.top_peaks)
    signature = f"settings {(*kept, settings.dropout)}\nseed {seed}\nexamples {examples}"
    if settings.most_tokens:
        signature += f"\ntokens {settings.most_tokens}"
    return Checkpoint(folder / f"network{number}.pt", signature)
