"""A network from the tokens of a spectrum to a fingerprint, as probabilities of its bits and as their weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

_RARE = 1e-3


@dataclass(frozen=True, eq=False, slots=True)
class Bag:
    """Tokens of several spectra end to end.

    Attributes:
        place: of each token in the vocabulary.
        weight: of each token.
        start: of each spectrum in the two above.
        described: the ion and its settings.
    """

    place: Int64[Tensor, " k"]
    weight: Float[Tensor, " k"]
    start: Int64[Tensor, " n"]
    described: Float[Tensor, "n q"]

    @classmethod
    def of(cls, spectra: Sequence[tuple[np.ndarray, np.ndarray]], described: np.ndarray) -> Bag:
        """Places and weights of the tokens of each spectrum, and what describes it."""
        lengths = [len(place) for place, _ in spectra]
        return cls(
            torch.from_numpy(np.concatenate([np.asarray(place, dtype=np.int64) for place, _ in spectra])),
            torch.from_numpy(np.concatenate([np.asarray(weight, dtype=np.float32) for _, weight in spectra])),
            torch.from_numpy(np.cumsum([0, *lengths[:-1]])),
            torch.from_numpy(np.asarray(described, dtype=np.float32)),
        )


@dataclass(frozen=True, eq=False, slots=True)
class Vocabulary:
    """The tokens that a network knows, by ascending key."""

    keys: Int64[np.ndarray, " v"]

    @classmethod
    def of(cls, keys: Sequence[np.ndarray], compound: np.ndarray, min_compounds: int, most: int = 0) -> Vocabulary:
        """Those that are in spectra of so many compounds at least.

        Args:
            keys: of the tokens of each spectrum.
            compound: which compound each spectrum is of.
            min_compounds: so many.
            most: of more tokens, those of most compounds are kept; 0 keeps all.
        """
        number = int(compound.max(initial=0)) + 1
        pairs = [np.unique(mine) * number + c for mine, c in zip(keys, compound, strict=True)]
        found, counts = np.unique(np.unique(np.concatenate(pairs)) // number, return_counts=True)
        known = counts >= min_compounds
        found, counts = found[known], counts[known]
        if most and len(found) > most:
            found = np.sort(found[np.argsort(-counts, kind="stable")[:most]])
        return cls(found)

    def places(
        self, key: Int64[np.ndarray, " k"], weight: Float[np.ndarray, " k"]
    ) -> tuple[Int64[np.ndarray, " q"], Float[np.ndarray, " q"]]:
        """Places and weights of the tokens that are known."""
        if not len(self.keys):
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
        place = np.minimum(np.searchsorted(self.keys, key), len(self.keys) - 1)
        known = self.keys[place] == key
        return place[known], weight[known]


class FingerprintNetwork(nn.Module):
    """Tokens summed, then two layers, then two heads.

    One head gives the logit of each bit. The other gives a weight to each bit; the product of the weights with the
    bits of a candidate is how well the candidate matches.

    Args:
        vocabulary: tokens that are known.
        described: numbers that describe the ion.
        dim: of the sum.
        hidden: of the layer after it.
        frequency: of each bit among training compounds.
        dropout: of the units of both layers.
    """

    def __init__(
        self, vocabulary: int, described: int, dim: int, hidden: int, frequency: np.ndarray, dropout: float
    ) -> None:
        super().__init__()
        bits = len(frequency)
        self.table = nn.EmbeddingBag(max(vocabulary, 1), dim, mode="sum")
        nn.init.normal_(self.table.weight, std=0.05)
        self.described = nn.Linear(described, dim)
        self.norm, self.dropout = nn.LayerNorm(dim), nn.Dropout(dropout)
        self.hidden = nn.Linear(dim, hidden)
        self.bits, self.match = nn.Linear(hidden, bits), nn.Linear(hidden, bits)
        with torch.no_grad():
            likely = torch.as_tensor(frequency, dtype=torch.float32).clamp(_RARE, 1 - _RARE)
            self.bits.bias.copy_(torch.logit(likely))
            self.match.weight.mul_(0.1)
            self.match.bias.zero_()

    def forward(self, bag: Bag) -> tuple[Float[Tensor, "n bits"], Float[Tensor, "n bits"]]:
        """Logits of the bits, and their weights in a match."""
        inner = self.inner(bag)
        return self.bits(inner), self.match(inner)

    def inner(self, bag: Bag) -> Float[Tensor, "n hidden"]:
        """What both heads read."""
        total = self.table(bag.place, bag.start, per_sample_weights=bag.weight) + self.described(bag.described)
        inner = self.dropout(functional.gelu(self.norm(total)))
        return self.dropout(functional.gelu(self.hidden(inner)))

    @torch.inference_mode()
    def weights(self, bag: Bag) -> Float[np.ndarray, "n bits"]:
        """Weights of the bits in a match, without dropout."""
        training = self.training
        self.eval()
        try:
            return self(bag)[1].numpy()
        finally:
            self.train(training)
