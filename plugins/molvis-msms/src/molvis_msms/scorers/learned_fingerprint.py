"""`learned-fingerprint`: how well the fingerprint of a candidate agrees with the one that a spectrum suggests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from molvis_core.errors import BundleError, ConfigError, TrainingError
from molvis_core.records import PeakList, RankedQuery, Structure
from molvis_msms.fingerprint.bits import fingerprints
from molvis_msms.fingerprint.corpus import corpus_of, frequencies
from molvis_msms.fingerprint.learning import Lesson, Recipe, learn
from molvis_msms.fingerprint.network import FingerprintNetwork, Vocabulary
from molvis_msms.fingerprint.ranking import Ranking
from molvis_msms.fingerprint.state import Learned, bank_of, rounded
from molvis_msms.fingerprint.tokens import DESCRIBED
from molvis_nn.loop import Checkpoint

_FILE = "networks.safetensors"
_BANK_SHARE = 20
"""One compound of so many is left for the bank."""
_OF_BANK = 3
"""Spectra of a compound in the bank."""


class LearnedFingerprint:
    """Match of a candidate's fingerprint with what networks read from the peaks.

    The match is the sum over the fingerprint's bits of the weight that the spectrum gives to each, less the mean weight
    that spectra of other compounds near in m/z give: what would count for a candidate with any spectrum does not count.

    In the manner of K. Duehrkop et al., PNAS 112 (2015) 12580, doi:10.1073/pnas.1509788112 (fingerprints from spectra),
    with a listwise loss over structures of equal mass.

    Args:
        dim: of the sum of a spectrum's tokens.
        hidden: width of the layer after it.
        networks: trained with different seeds; their mean is used.
        epochs: of training.
        min_compounds: tokens in spectra of fewer training compounds are left out.
        top_peaks: so many of the highest peaks are used.
        dropout: in the networks.
    """

    accepts = PeakList
    features: tuple[str, ...] = ("match",)

    def __init__(
        self,
        dim: int = 128,
        hidden: int = 384,
        networks: int = 2,
        epochs: int = 24,
        min_compounds: int = 3,
        top_peaks: int = 60,
        dropout: float = 0.35,
    ) -> None:
        settings = {
            "dim": dim,
            "hidden": hidden,
            "networks": networks,
            "epochs": epochs,
            "min_compounds": min_compounds,
            "top_peaks": top_peaks,
        }
        for name, value in settings.items():
            if value < 1:
                raise ConfigError(f"learned-fingerprint: {name} must be a positive whole number, got {value}")
        if not 0 <= dropout < 1:
            raise ConfigError(f"learned-fingerprint: dropout must be from 0 to below 1, got {dropout}")
        self.dim, self.hidden, self.networks, self.epochs = dim, hidden, networks, epochs
        self.min_compounds, self.top_peaks, self.dropout = min_compounds, top_peaks, dropout
        self._learned: Learned | None = None

    def __call__(self, query: PeakList, candidates: Sequence[Structure]) -> Float[np.ndarray, "m f"]:
        """The match of each candidate; 0 before anything was learned.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses a candidate.
        """
        if self._learned is None or not candidates:
            return np.zeros((len(candidates), 1))
        bits = fingerprints(candidates)[:, self._learned.chosen]
        return ((bits - self._learned.frequency) @ self._learned.weights(query, self.top_peaks))[:, None]

    def learn(
        self,
        examples: Sequence[RankedQuery],
        validation: Sequence[RankedQuery],
        *,
        seed: int = 0,
        progress: Callable[[int, int, str], None] | None = None,
        checkpoint: Path | None = None,
    ) -> Mapping[str, float]:
        """Train the networks on spectra among candidates of equal mass, and keep a bank of spectra aside.

        Returns:
            `val_hit1`, the share of the validation compounds whose true structure comes first, and `val_loglik`, the
            mean logarithm of its probability.

        Raises:
            TrainingError: there are no examples, none of their fingerprints differ, or a checkpoint is of another run.
        """
        total = self.networks * self.epochs
        show = progress or (lambda done, total, what: None)
        show(0, total, "fingerprints of candidates")
        lesson, vocabulary, of_bank = self._lesson(examples, seed)
        bits = len(lesson.chosen)
        frequency = lesson.frequency.numpy()
        held_out = corpus_of(validation, self.top_peaks).in_places(vocabulary)
        ranking = Ranking.of(held_out, lesson.chosen, frequency)

        def judge(network: FingerprintNetwork) -> float:
            return ranking.figures([network], bank_of(lesson.corpus, of_bank, [network], bits))[1]

        networks: list[FingerprintNetwork] = []
        for number in range(self.networks):
            mine = seed * 1009 + number
            torch.manual_seed(mine)
            network = self._network(len(vocabulary.keys), frequency)
            learn(
                network,
                lesson,
                Recipe(epochs=self.epochs),
                seed=mine,
                judge=judge,
                checkpoint=self._checkpoint(checkpoint, number, seed, len(examples)),
                progress=lambda done, before=number * self.epochs: show(
                    before + done, total, "networks from spectra to fingerprints"
                ),
            )
            networks.append(rounded(network))
        bank = bank_of(lesson.corpus, of_bank, networks, bits)
        self._learned = Learned(vocabulary, lesson.chosen, frequency, networks, bank)
        hit, likelihood = ranking.figures(networks, bank)
        return {"val_hit1": hit, "val_loglik": likelihood}

    def _lesson(self, examples: Sequence[RankedQuery], seed: int) -> tuple[Lesson, Vocabulary, np.ndarray]:
        """What the networks learn, the tokens that they will know, and the spectra of the bank."""
        raw = corpus_of(examples, self.top_peaks)
        order = np.random.default_rng([seed, 3]).permutation(len(raw.mass))
        banked, taught = np.split(order, [len(order) // _BANK_SHARE])
        mine = np.flatnonzero(np.isin(raw.compound, taught))
        vocabulary = Vocabulary.of([raw.spectra[i][0] for i in mine.tolist()], raw.compound[mine], self.min_compounds)
        chosen, frequency = frequencies(raw.truth[taught])
        if not len(chosen):
            raise TrainingError("learned-fingerprint: the fingerprints of the compounds to learn from do not differ")
        of_bank = [raw.of_compound[c][:_OF_BANK] for c in banked.tolist()]
        lesson = Lesson.of(raw.in_places(vocabulary), np.sort(taught), chosen, frequency)
        return lesson, vocabulary, np.concatenate([np.empty(0, dtype=np.int64), *of_bank])

    def _network(self, vocabulary: int, frequency: np.ndarray) -> FingerprintNetwork:
        return FingerprintNetwork(vocabulary, DESCRIBED, self.dim, self.hidden, frequency, self.dropout)

    def _checkpoint(self, folder: Path | None, number: int, seed: int, examples: int) -> Checkpoint | None:
        if folder is None:
            return None
        settings = (self.dim, self.hidden, self.epochs, self.min_compounds, self.top_peaks, self.dropout)
        signature = f"settings {settings}\nseed {seed}\nexamples {examples}"
        return Checkpoint(folder / f"network{number}.pt", signature)

    def save(self, folder: Path) -> None:
        """Write what was learned into one file, weights as 16-bit numbers.

        Raises:
            TrainingError: nothing was learned.
        """
        if self._learned is None:
            raise TrainingError("learned-fingerprint: there is nothing to save before it has learned")
        save_file(self._learned.tensors(), folder / _FILE)

    def load(self, folder: Path) -> None:
        """Take over what `save` wrote.

        Raises:
            BundleError: the file is missing or damaged, or it is of a scorer with other settings.
        """
        file = folder / _FILE
        try:
            self._learned = Learned.restored(load_file(file), self.networks, self._network)
        except (OSError, SafetensorError, KeyError, RuntimeError, ValueError) as error:
            why = str(error).strip().splitlines()[-1].strip() if str(error).strip() else type(error).__name__
            raise BundleError(f"{file}: damaged, or of a learned-fingerprint with other settings: {why}") from error
