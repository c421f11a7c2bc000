r"""A network from the peaks of a spectrum to its intensities at other settings.

The intensities of a translated spectrum are a softmax over tokens. A measured peak of relative intensity $s$ has the
logit $(1 + a) \log s + b + c \cdot e$, a further formula the logit $c \cdot e + d$, in which $c$ is what a transformer
makes of the peaks, the ion and both settings, $e$ the vector of the formula and $d$ its offset. At the start $a$ and
$b$ are 0 and the formulas are far below the peaks: the network begins as a copy of its input and learns the change.

The root cosine of two spectra whose intensities add up to 1 is the sum of $\sqrt{p_i t_i}$ over peaks: the loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from molvis_msms.translation.settings import ION, SETTINGS
from molvis_msms.translation.tokens import PEAK, Tokens
from molvis_msms.translation.vocabulary import COMPOSITION

_FAR = -9.0
"""Offset of formulas that were not measured, before anything is learned."""
_HEADS = 4


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """Spectra and the settings that each is translated to; n spectra, r translations of them.

    Attributes:
        peaks: numbers of the measured peaks.
        height: of the measured peaks.
        fragment, loss: formulas of the measured peaks; the number of formulas where there is none.
        mask: where there is a peak.
        source: numbers of the ion and the settings of each spectrum.
        owner: spectrum that each translation is of.
        target: numbers of the settings of each translation.
        formula: of the further tokens; the number of formulas where there is none.
        place: of the further tokens among the places of the spectrum.
        places: the largest number of places of a spectrum.
    """

    peaks: Float[Tensor, "n p q"]
    height: Float[Tensor, "n p"]
    fragment: Int64[Tensor, "n p"]
    loss: Int64[Tensor, "n p"]
    mask: Bool[Tensor, "n p"]
    source: Float[Tensor, "n s"]
    owner: Int64[Tensor, " r"]
    target: Float[Tensor, "r t"]
    formula: Int64[Tensor, "n k"]
    place: Int64[Tensor, "n k"]
    places: int

    @classmethod
    def of(
        cls,
        spectra: Sequence[Tokens],
        source: Sequence[np.ndarray],
        owner: Sequence[int],
        target: Sequence[np.ndarray],
        none: int,
    ) -> Batch:
        """Pad spectra to one length.

        Args:
            spectra: their tokens.
            source: numbers of ion and settings of each.
            owner: spectrum of each translation.
            target: numbers of the settings of each translation.
            none: what stands for no formula: their number.
        """
        count, most = len(spectra), max(len(one.height) for one in spectra)
        further = max(1, *(len(one.formula) for one in spectra))
        peaks = np.zeros((count, most, PEAK), dtype=np.float32)
        height = np.zeros((count, most), dtype=np.float32)
        mask = np.zeros((count, most), dtype=bool)
        fragment, loss = np.full((count, most), none), np.full((count, most), none)
        formula, place = np.full((count, further), none), np.zeros((count, further), dtype=np.int64)
        for row, one in enumerate(spectra):
            p, k = len(one.height), len(one.formula)
            peaks[row, :p], height[row, :p], mask[row, :p] = one.peaks, one.height, True
            fragment[row, :p] = np.where(one.fragment < 0, none, one.fragment)
            loss[row, :p] = np.where(one.loss < 0, none, one.loss)
            formula[row, :k], place[row, :k] = one.formula, one.place
        arrays = (peaks, height, fragment, loss, mask, np.stack(source))
        return cls(
            *(torch.from_numpy(a) for a in arrays),
            owner=torch.as_tensor(list(owner)),
            target=torch.from_numpy(np.stack(target)),
            formula=torch.from_numpy(formula),
            place=torch.from_numpy(place),
            places=max(len(one.mz) for one in spectra),
        )


class TranslationNetwork(nn.Module):
    """Intensities of a spectrum's places at other settings.

    Args:
        composition: numbers of each formula of the vocabulary.
        dim: width of the transformer.
        table: width of the formulas' vectors.
        layers: of the transformer.
        dropout: of units.
    """

    composition: Tensor

    def __init__(
        self,
        composition: Float[np.ndarray, "v q"],
        dim: int = 128,
        table: int = 64,
        layers: int = 2,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.none = len(composition)
        self.register_buffer("composition", torch.from_numpy(composition), persistent=False)
        self.known_in, self.known_out = (nn.Embedding(self.none + 1, table) for _ in range(2))
        for known in (self.known_in, self.known_out):
            nn.init.normal_(known.weight, std=0.02)
        self.made_in, self.made_out = (
            nn.Sequential(nn.Linear(COMPOSITION, table), nn.GELU(), nn.Linear(table, table)) for _ in range(2)
        )
        self.offset = nn.Embedding(self.none + 1, 1)
        nn.init.constant_(self.offset.weight, _FAR)
        self.read = nn.Linear(2 * table, dim)
        self.peak = nn.Linear(PEAK, dim)
        self.source = nn.Linear(ION + SETTINGS, dim)
        layer = nn.TransformerEncoderLayer(
            dim, _HEADS, 2 * dim, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(dim)
        self.aim = nn.Sequential(
            nn.Linear(dim + ION + 2 * SETTINGS, 2 * dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * dim, dim),
            nn.GELU(), nn.Dropout(dropout),
        )  # fmt: skip
        self.ask = nn.Linear(dim, table)
        self.change_peak, self.change_aim = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.change = nn.Linear(dim, 2)
        nn.init.zeros_(self.change.weight)
        nn.init.zeros_(self.change.bias)

    def vectors(self, known: nn.Embedding, made: nn.Module) -> Float[Tensor, "v d"]:
        """Of every formula, from what it is made of and what was learned of it; zeros for none."""
        return torch.cat([known.weight[:-1] + made(self.composition), torch.zeros_like(known.weight[:1])])

    def forward(self, batch: Batch) -> Float[Tensor, "r g"]:
        """Logarithm of the share of the intensity at each place, for each translation; -inf where there is no place."""
        read, out = self.vectors(self.known_in, self.made_in), self.vectors(self.known_out, self.made_out)
        formulas = torch.cat([functional.embedding(batch.fragment, read), functional.embedding(batch.loss, read)], -1)
        rows = self.peak(batch.peaks) + self.read(formulas)
        head = self.source(batch.source)[:, None]
        mask = torch.cat([torch.ones_like(batch.mask[:, :1]), batch.mask], dim=1)
        inner = self.norm(self.encoder(torch.cat([head, rows], dim=1), src_key_padding_mask=~mask))
        aim = self.aim(torch.cat([inner[:, 0][batch.owner], batch.source[batch.owner], batch.target], dim=1))
        score = self.ask(aim) @ out.T
        peaks = self._peaks(batch, inner[:, 1:], aim, score)
        return self._shares(batch, peaks, score)

    def _peaks(self, batch: Batch, inner: Tensor, aim: Tensor, score: Tensor) -> Float[Tensor, "r p"]:
        """Logits of the measured peaks."""
        joint = functional.gelu(self.change_peak(inner)[batch.owner] + self.change_aim(aim)[:, None])
        slope, shift = self.change(joint).unbind(-1)
        known = score.gather(1, batch.fragment[batch.owner]) + score.gather(1, batch.loss[batch.owner])
        height = torch.log(batch.height.clamp_min(1e-6))[batch.owner]
        return ((1 + slope) * height + shift + known).masked_fill(~batch.mask[batch.owner], -torch.inf)

    def _shares(self, batch: Batch, peaks: Tensor, score: Tensor) -> Float[Tensor, "r g"]:
        """Softmax over all tokens, summed over those of each place."""
        formula, place = batch.formula[batch.owner], batch.place[batch.owner]
        further = score.gather(1, formula) + self.offset(batch.formula)[..., 0][batch.owner]
        further = further.masked_fill(formula == self.none, -torch.inf)
        share = torch.softmax(torch.cat([peaks, further], dim=1), dim=1)
        total = torch.zeros(len(share), batch.places)
        total[:, : peaks.shape[1]] = share[:, : peaks.shape[1]]
        return torch.log(total.scatter_add(1, place, share[:, peaks.shape[1] :]).clamp_min(1e-12))


def root_cosine(
    logs: Float[Tensor, "r g"], place: Int64[Tensor, "r t"], share: Float[Tensor, "r t"]
) -> tuple[Float[Tensor, " r"], Float[Tensor, " r"]]:
    """Root cosine of translations and targets, and the cross-entropy of the targets' intensities.

    Args:
        logs: logarithms of the shares of places.
        place: of each peak of the target; -1 where there is none.
        share: of the target's intensity in each peak.
    """
    found = torch.where(place >= 0, share, 0.0)
    at = logs.gather(1, place.clamp_min(0))
    cosine = (torch.exp(0.5 * at) * found.sqrt()).sum(dim=1)
    return cosine, -(found * at).sum(dim=1)
