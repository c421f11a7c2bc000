"""The network of the neural estimator: measurements with their noise in, a posterior over fluxes out."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Mixture:
    """A mixture of normal distributions for each row, with full covariances.

    Axis n runs over rows, m over components, k over coordinates, s over draws.

    Attributes:
        log_weight: of the components.
        mean: of each.
        precision: the Cholesky factor of each component's precision: lower triangular, its diagonal positive.
    """

    def __init__(
        self, log_weight: Float[Tensor, "n m"], mean: Float[Tensor, "n m k"], precision: Float[Tensor, "n m k k"]
    ) -> None:
        self.log_weight, self.mean, self.precision = log_weight, mean, precision

    def log_prob(self, z: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
        """Logarithm of the density, of one point a row."""
        return self.log_prob_of(z[:, None])[:, 0]

    def log_prob_of(self, z: Float[Tensor, "n s k"]) -> Float[Tensor, "n s"]:
        """Logarithm of the density, of several points a row."""
        away = z[:, :, None] - self.mean[:, None]  # n s m k
        white = torch.einsum("nmji,nsmj->nsmi", self.precision, away)
        volume = self.precision.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        constant = 0.5 * z.shape[-1] * math.log(2 * math.pi)
        each = self.log_weight[:, None] + volume[:, None] - 0.5 * white.square().sum(-1) - constant
        return torch.logsumexp(each, dim=-1)

    def sample(self, count: int, generator: torch.Generator) -> Float[Tensor, "n s k"]:
        """Draws."""
        n, _, k = self.mean.shape
        which = torch.multinomial(self.log_weight.exp(), count, replacement=True, generator=generator)
        white = torch.randn(n, count, k, generator=generator)
        rows = torch.arange(n)[:, None]
        factor = self.precision[rows, which]
        away = torch.linalg.solve_triangular(factor.transpose(-1, -2), white[..., None], upper=True)[..., 0]
        return self.mean[rows, which] + away


class SetEncoder(nn.Module):
    """A set of measurements to a posterior: any of them may be missing, and each has its own standard deviation.

    Each measurement has an embedding of its own, made from its values, which of them are there, and its noise; the
    embeddings of those that are there are added up, so that one that is missing leaves no trace.

    Args:
        measurements: how many there are: fragments of all experiments, and measured fluxes.
        channels: the most numbers that one has.
        coordinates: of the posterior.
        width: of the network.
        depth: of its trunk, in residual blocks.
        components: of the mixture.
    """

    def __init__(
        self,
        measurements: int,
        channels: int,
        coordinates: int,
        *,
        width: int = 256,
        depth: int = 3,
        components: int = 8,
    ) -> None:
        super().__init__()
        self.coordinates, self.components = coordinates, components
        token = max(16, min(64, width // 4))
        self.look = nn.Parameter(torch.randn(measurements, 2 * channels + 2, token) / math.sqrt(2 * channels + 2))
        self.add = nn.Parameter(
            torch.randn(measurements, token, width) / math.sqrt(token * max(1.0, 0.5 * measurements))
        )
        self.start = nn.Parameter(torch.zeros(width))
        self.trunk = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)
        k, m = coordinates, components
        self.head = nn.Linear(width, m * (1 + k + k * (k + 1) // 2))
        nn.init.normal_(self.head.weight, std=0.01 / math.sqrt(width))
        with torch.no_grad():  # beginnings apart, or the components would stay the same
            self.head.bias.zero_()
            self.head.bias[m : m + m * k] = 0.5 * torch.randn(m * k)
        self.register_buffer("below", torch.tril(torch.ones(k, k), -1).nonzero().T, persistent=False)

    def forward(
        self, values: Float[Tensor, "n f c"], there: Float[Tensor, "n f c"], noise: Float[Tensor, "n f"]
    ) -> Mixture:
        """The posterior.

        Args:
            values: standardised; 0 where missing.
            there: 1 where a number was measured, else 0.
            noise: standardised logarithm of the standard deviation; 0 where missing.
        """
        ones = torch.ones_like(noise)[..., None]
        tokens = torch.cat([values, there, noise[..., None], ones], dim=-1)
        tokens = nn.functional.gelu(torch.einsum("nfi,fid->nfd", tokens, self.look))
        tokens = tokens * there.amax(-1, keepdim=True)
        h = self.start + tokens.flatten(1) @ self.add.flatten(0, 1)
        for block in self.trunk:
            h = h + block(h)
        out = self.head(self.norm(h))
        n, k, m = len(out), self.coordinates, self.components
        weight, mean, rest = out.split([m, m * k, m * k * (k + 1) // 2], dim=-1)
        rest = rest.view(n, m, -1)
        factor = out.new_zeros(n, m, k, k)
        # Bounded, so that no early step makes a component so narrow that it never recovers.
        factor[:, :, range(k), range(k)] = (8 * torch.tanh(rest[:, :, :k] / 8)).exp()
        i, j = self.get_buffer("below")
        # Relative to the diagonal: correlations are then numbers of the size of 1 however narrow the posterior is.
        factor[:, :, i, j] = rest[:, :, k:] * factor[:, :, i, i]
        return Mixture(weight.log_softmax(-1), mean.view(n, m, k), factor)
