"""What fingerprint networks have learned, as tensors that a file keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from molvis_core.records import PeakList
from molvis_msms.fingerprint.bank import Bank
from molvis_msms.fingerprint.bits import LENGTH
from molvis_msms.fingerprint.corpus import Corpus
from molvis_msms.fingerprint.network import Bag, FingerprintNetwork, Vocabulary
from molvis_msms.fingerprint.tokens import describe, tokens

_BLOCK = 512

Build = Callable[[int, np.ndarray], FingerprintNetwork]
"""Makes a network of a scorer's settings for so many tokens and bits of these frequencies."""


@dataclass(frozen=True, eq=False, slots=True)
class Learned:
    """Networks with what they need to be used.

    Attributes:
        vocabulary: tokens that the networks know.
        chosen: bits that they give weights to, ascending.
        frequency: of these bits among training compounds.
        networks: trained alike with different seeds.
        bank: what they give to spectra that they have not seen, a mean over them.
    """

    vocabulary: Vocabulary
    chosen: Int64[np.ndarray, " bits"]
    frequency: Float[np.ndarray, " bits"]
    networks: Sequence[FingerprintNetwork]
    bank: Bank

    def weights(self, spectrum: PeakList, top_peaks: int) -> Float[np.ndarray, " bits"]:
        """Weight that a spectrum gives to each bit, less the mean of other spectra near in m/z."""
        cut = tokens(spectrum, top_peaks)
        bag = Bag.of([self.vocabulary.places(cut.key, cut.weight)], describe(spectrum)[None])
        usual = self.bank.mean(spectrum.precursor_mz or 0.0, negative=spectrum.ionmode == "negative")
        return mean_weights(self.networks, bag)[0] - usual

    def tensors(self) -> dict[str, Tensor]:
        """Everything by name; weights as 16-bit numbers."""
        out = {
            "vocabulary": torch.from_numpy(self.vocabulary.keys),
            "chosen": torch.from_numpy(self.chosen),
            "frequency": torch.from_numpy(self.frequency),
            "bank.weights": torch.from_numpy(self.bank.weights),
            "bank.precursor": torch.from_numpy(self.bank.precursor),
            "bank.negative": torch.from_numpy(self.bank.negative),
        }
        for number, network in enumerate(self.networks):
            out |= {f"network{number}.{name}": value.half() for name, value in network.state_dict().items()}
        return out

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], count: int, build: Build) -> Learned:
        """The inverse of `tensors`.

        Args:
            tensors: by name.
            count: of networks.
            build: a network to put the weights into.

        Raises:
            KeyError, RuntimeError, ValueError: a tensor is missing or has another shape or range.
        """
        keys, chosen, frequency = (tensors[name].numpy() for name in ("vocabulary", "chosen", "frequency"))
        bank = Bank(*(tensors[f"bank.{name}"].numpy() for name in ("weights", "precursor", "negative")))
        if keys.ndim != 1 or (np.diff(keys) <= 0).any():
            raise ValueError("its vocabulary is not ascending")
        if chosen.ndim != 1 or chosen.shape != frequency.shape or ((chosen < 0) | (chosen >= LENGTH)).any():
            raise ValueError("its bits are not those of a fingerprint")
        if bank.weights.shape != (len(bank.precursor), len(chosen)) or bank.precursor.shape != bank.negative.shape:
            raise ValueError("its bank is of other bits")
        networks = [build(len(keys), frequency) for _ in range(count)]
        for number, network in enumerate(networks):
            head = f"network{number}."
            mine = {name.removeprefix(head): v.float() for name, v in tensors.items() if name.startswith(head)}
            network.load_state_dict(mine)
            network.eval().requires_grad_(False)
        if any(name.startswith(f"network{count}.") for name in tensors):
            raise ValueError(f"it has more than {count} networks")
        return cls(Vocabulary(keys), chosen, frequency, networks, bank)


def mean_weights(networks: Sequence[FingerprintNetwork], bag: Bag) -> Float[np.ndarray, "n bits"]:
    """Weights of the bits, a mean over networks."""
    return np.mean([network.weights(bag).astype(np.float64) for network in networks], axis=0)


def rounded(network: FingerprintNetwork) -> FingerprintNetwork:
    """The network with its weights as a file will keep them."""
    with torch.no_grad():
        for value in network.parameters():
            value.copy_(value.half().float())
    return network.eval().requires_grad_(False)


def bank_of(corpus: Corpus, spectra: np.ndarray, networks: Sequence[FingerprintNetwork], bits: int) -> Bank:
    """The bank of these spectra of a corpus."""
    blocks = [mean_weights(networks, corpus.bag(block)) for block in _blocks(spectra)]
    weights = np.concatenate(blocks) if blocks else np.empty((0, bits))
    return Bank(weights.astype(np.float16), corpus.precursor[spectra], corpus.negative[spectra])


def _blocks(spectra: np.ndarray) -> list[np.ndarray]:
    return [spectra[i : i + _BLOCK] for i in range(0, len(spectra), _BLOCK)]
