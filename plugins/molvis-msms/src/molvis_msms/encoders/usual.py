"""The mean vector of spectra of about one mass, which an encoder takes off."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from molvis_nn.processes import counted, joined

_CELLS, _LOW, _HIGH = 96, 40.0, 1600.0
_REACH = 0.06
"""Standard deviation of the logarithm of the mass within which compounds are near."""
_APART = 0.02
"""Da. Compounds nearer in mass may be isomers, or one compound."""
_DECAY = 0.995


class UsualVector(nn.Module):
    """Takes off the mean vector of other compounds near in mass and of the same ion mode.

    While training, that is a mean over the batch, of all processes that train together; later, a running mean of what
    was seen in training, in cells of the logarithm of the mass. What a structure scores with any spectrum of a mass
    then adds nothing to its score.

    Args:
        dim: length of the vectors.
    """

    total: Tensor
    count: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(2, _CELLS, dim))
        self.register_buffer("count", torch.zeros(2, _CELLS))

    def forward(
        self, vectors: Float[Tensor, "n d"], mass: Float[Tensor, " n"], negative: Bool[Tensor, " n"]
    ) -> Float[Tensor, "n d"]:
        """What is left of each vector.

        Args:
            vectors: of spectra.
            mass: of their compounds in Da, 0 where it is not known.
            negative: whether their ions are.
        """
        place = mass.clamp(_LOW, _HIGH).log().float()
        if not self.training:
            return vectors - self._seen(place, negative).to(vectors.dtype)
        others, their_mass, their_sign = joined(vectors), joined(mass), joined(negative)
        there, counts = their_mass.clamp(_LOW, _HIGH).log().float(), joined(counted(vectors)) > 0
        self._see(others.detach().float()[counts], there[counts], their_sign[counts])
        other = ((mass[:, None] - their_mass[None, :]).abs() > _APART) & (negative[:, None] == their_sign[None, :])
        weight = (_near(place[:, None] - there[None, :]) * (other & counts)).to(vectors.dtype)
        return vectors - weight @ others / weight.sum(1, keepdim=True).clamp_min(1e-3)

    def take(self, vectors: Float[Tensor, "n d"], mass: Float[Tensor, " n"], negative: Bool[Tensor, " n"]) -> None:
        """Take off the mean of these spectra from now on, whatever was seen before.

        Args:
            vectors: of spectra.
            mass: of their compounds in Da, 0 where it is not known.
            negative: whether their ions are.
        """
        share = self._share(mass.clamp(_LOW, _HIGH).log().float(), negative)
        self.total.copy_(torch.einsum("snc,nd->scd", share, vectors))
        self.count.copy_(share.sum(1))

    def _see(self, vectors: Tensor, place: Tensor, negative: Tensor) -> None:
        if not len(vectors):
            return
        share = self._share(place, negative)
        self.total.lerp_(torch.einsum("snc,nd->scd", share, vectors), 1 - _DECAY)
        self.count.lerp_(share.sum(1), 1 - _DECAY)

    @staticmethod
    def _share(place: Tensor, negative: Tensor) -> Tensor:
        """How much each spectrum counts in each cell of each ion mode."""
        grid = torch.linspace(math.log(_LOW), math.log(_HIGH), _CELLS, device=place.device)
        near = _near(place[:, None] - grid) / max(1, len(place))
        return torch.stack([near * (~negative)[:, None], near * negative[:, None]])

    def _seen(self, place: Tensor, negative: Tensor) -> Tensor:
        mean = self.total.float() / self.count.float().clamp_min(1e-6)[..., None]
        span = (math.log(_HIGH) - math.log(_LOW)) / (_CELLS - 1)
        at = ((place - math.log(_LOW)) / span).clamp(0, _CELLS - 1 - 1e-4)
        low = at.floor().long()
        share = (at - low)[:, None]
        sign = negative.long()
        return mean[sign, low] * (1 - share) + mean[sign, low + 1] * share


def _near(distance: Tensor) -> Tensor:
    return torch.exp(-0.5 * (distance / _REACH) ** 2)
