"""A network from substructures to heights at unit masses, counted up from 0 and down from the molecular ion.

After J. N. Wei et al., Rapid prediction of electron-ionization mass spectrometry using neural networks, ACS Central
Science 5 (2019) 700, doi:10.1021/acscentsci.9b00085: fragments are predicted forward, neutral losses backward, and a
gate mixes the two at each mass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from molvis_ei.derivatives import Form
from molvis_ei.features import BITS, substructures
from molvis_ei.preparation import MASSES
from molvis_nn.batches import TensorBatch
from molvis_nn.layers import residual_blocks

_ABOVE = 5
"""How far above the molecular ion its isotopes reach, in Da."""


@dataclass(frozen=True, eq=False)
class FormBatch(TensorBatch):
    """Structures as they are measured.

    Attributes:
        mass: nominal mass of each.
        places: of the substructures of all, one structure after another.
        counts: log(1 + count) of each.
        start: where the substructures of each structure begin.
    """

    mass: Int64[Tensor, " n"]
    places: Int64[Tensor, " k"]
    counts: Float[Tensor, " k"]
    start: Int64[Tensor, " n"]


def collate(forms: Sequence[Form]) -> FormBatch:
    """Masses and substructures of molecules.

    Raises:
        molvis_core.errors.StructureError: RDKit refuses one of them.
    """
    found = [substructures(form.smiles) for form in forms]
    places = np.concatenate([np.empty(0, dtype=np.int64), *(p for p, _ in found)])
    counts = np.concatenate([np.empty(0), *(c for _, c in found)]).astype(np.float32)
    start = np.cumsum([0, *(len(p) for p, _ in found)])[: len(forms)]
    masses = np.array([form.mass for form in forms], dtype=np.int64).reshape(-1)
    return FormBatch(*(torch.from_numpy(one) for one in (masses, places, counts, start)))


class ForwardNetwork(nn.Module):
    """Substructures to weighed heights, rows of length 1.

    Args:
        width: of the layers.
        blocks: residual blocks.
        dropout: in the network.
    """

    def __init__(self, width: int, blocks: int, dropout: float) -> None:
        super().__init__()
        self.enter, self.dropout = nn.EmbeddingBag(BITS, width, mode="sum"), nn.Dropout(dropout)
        nn.init.normal_(self.enter.weight, std=0.1)
        self.blocks = residual_blocks(width, blocks, dropout)
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, 3 * MASSES)

    def forward(self, batch: FormBatch) -> Float[Tensor, "n mass"]:
        """What would be measured, as `molvis_ei.preparation.weighed` makes it."""
        hidden = self.dropout(torch.relu(self.enter(batch.places, batch.start, batch.counts)))
        up, down, gate = self.out(self.norm(self.blocks(hidden))).chunk(3, dim=1)
        lost = batch.mass[:, None] + _ABOVE - torch.arange(MASSES, device=batch.mass.device)
        inside = (lost >= 0) & (lost < MASSES)
        turned = torch.gather(down, 1, lost.clamp(0, MASSES - 1))
        share = torch.sigmoid(gate)
        mixed = share * up + (1 - share) * torch.where(inside, turned, torch.full_like(turned, -4.0))
        # Nothing is heavier than the molecular ion and its isotopes.
        heights = nn.functional.softplus(mixed - 2.0) * (lost >= 0)
        return nn.functional.normalize(heights, dim=1)
