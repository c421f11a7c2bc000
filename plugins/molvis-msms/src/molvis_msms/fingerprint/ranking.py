"""How well networks rank the true structures of spectra that they have not learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from molvis_msms.fingerprint.bank import Bank
from molvis_msms.fingerprint.bits import unpacked
from molvis_msms.fingerprint.corpus import Corpus
from molvis_msms.fingerprint.network import FingerprintNetwork
from molvis_msms.fingerprint.state import mean_weights
from molvis_msms.ranks import hit_rate, loss


@dataclass(frozen=True, eq=False, slots=True)
class Ranking:
    """Spectra with the fingerprints of their candidates.

    Attributes:
        corpus: the spectra, in places of the networks' vocabulary.
        frequency: of the bits in use.
        candidates: of each compound, bits in use of the truth, first, and of its rivals.
    """

    corpus: Corpus
    frequency: np.ndarray
    candidates: Sequence[Bool[np.ndarray, "m bits"]]

    @classmethod
    def of(cls, corpus: Corpus, chosen: np.ndarray, frequency: np.ndarray) -> Ranking:
        """Unpack the bits in use."""
        candidates = [
            unpacked(np.concatenate([corpus.truth[c : c + 1], corpus.rivals[window]]))[:, chosen]
            for c, window in enumerate(corpus.windows)
        ]
        return cls(corpus, frequency, candidates)

    def figures(self, networks: Sequence[FingerprintNetwork], bank: Bank) -> tuple[float, float]:
        """Share of the truths that come first, ties shared, and mean logarithm of their probability: over compounds."""
        corpus = self.corpus
        logits: list[np.ndarray] = [np.empty(0)] * len(corpus.spectra)
        for compound, spectra in enumerate(corpus.of_compound):
            weights = mean_weights(networks, corpus.bag(spectra))
            for row, spectrum in zip(weights, spectra.tolist(), strict=True):
                usual = bank.mean(float(corpus.precursor[spectrum]), negative=bool(corpus.negative[spectrum]))
                logits[spectrum] = (self.candidates[compound] - self.frequency) @ (row - usual)
        truth = np.zeros(len(logits), dtype=np.int64)
        return hit_rate(logits, truth, corpus.compound, 1), -loss(logits, truth, corpus.compound)
