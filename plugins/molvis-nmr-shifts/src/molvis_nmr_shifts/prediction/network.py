"""The network from a molecule's graph to the shifts of its atoms."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from molvis_core.errors import ConfigError
from molvis_nmr_shifts.prediction.graphs import ATOM_KINDS, BOND_KINDS, SOLVENTS, GraphBatch

USUAL = {"13C": (95.0, 50.0), "1H": (4.2, 2.5)}
"""Mean and spread of each nucleus' shifts in ppm: what the network's numbers are scaled by."""
LEAST = {"13C": 0.1, "1H": 0.01}
"""The smallest scale of an error, in ppm."""


class ShiftNetwork(nn.Module):
    """Messages along bonds, then two numbers and their scales for each atom.

    A layer adds the neighbors' vectors, each with its bond's, to an atom's own (GINE: W. Hu et al., Strategies for
    pre-training graph neural networks, ICLR 2020, arXiv:1905.12265, eq. 4.1); the last reads all layers together, and
    the mean over the molecule.

    Args:
        width: of the atoms' vectors.
        layers: how many bonds away an atom sees.
        dropout: in each layer.
    """

    def __init__(self, width: int = 128, layers: int = 5, dropout: float = 0.05) -> None:
        super().__init__()
        self.check(width, layers, dropout)
        from torch_geometric.nn import GINEConv

        self.atoms = nn.ModuleList(nn.Embedding(kinds, width) for kinds in ATOM_KINDS)
        self.solvent = nn.Embedding(len(SOLVENTS), width)
        self.bonds = nn.ModuleList(
            nn.ModuleList(nn.Embedding(kinds, width) for kinds in BOND_KINDS) for _ in range(layers)
        )
        self.layers = nn.ModuleList(
            GINEConv(  # ty: ignore[abstract-class-instantiation] - the library's own base class says so
                nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, width))
            )
            for _ in range(layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers))
        self.read = nn.Sequential(
            nn.Linear((layers + 2) * width, 2 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * width, 5)
        )
        nn.init.zeros_(self.solvent.weight)

    @staticmethod
    def check(width: int, layers: int, dropout: float) -> None:
        """Refuse settings that make no network.

        Raises:
            ConfigError: a number out of range.
        """
        if width < 2 or layers < 1 or not 0 <= dropout < 1:
            raise ConfigError(
                "shift network: width must be at least 2, layers at least 1 and dropout from 0 to below 1, got "
                f"{width}, {layers} and {dropout}"
            )

    def forward(self, batch: GraphBatch) -> tuple[Float[Tensor, "a 3"], Float[Tensor, "a 2"]]:
        """For each atom, in ppm.

        Returns:
            Of each atom the 13C shift, and the lower and the higher shift of its hydrogens; and the scales of the
            errors of 13C and of 1H shifts, those of a Laplace distribution.
        """
        x = self.solvent(batch.solvents)[batch.owner]
        for column, embed in enumerate(self.atoms):
            x = x + embed(batch.atoms[:, column])
        seen = [x]
        for layer, norm, embeds in zip(self.layers, self.norms, self.bonds, strict=True):
            bond = torch.zeros(len(batch.bonds), x.shape[1], dtype=x.dtype, device=x.device)
            for column, embed in enumerate(embeds):  # ty: ignore[invalid-argument-type]
                bond = bond + embed(batch.bonds[:, column])
            x = x + layer(norm(x), batch.edges, bond)
            seen.append(x)
        count = torch.bincount(batch.owner, minlength=len(batch)).clamp(min=1).to(x.dtype)
        mean = torch.zeros(len(batch), x.shape[1], dtype=x.dtype, device=x.device).index_add(0, batch.owner, x)
        seen.append((mean / count[:, None])[batch.owner])
        carbon, proton, apart, wide_c, wide_h = self.read(torch.cat(seen, dim=1)).unbind(1)
        (mean_c, sd_c), (mean_h, sd_h) = USUAL["13C"], USUAL["1H"]
        half = nn.functional.softplus(apart - 2) * 0.5
        middle = mean_h + sd_h * proton
        shifts = torch.stack([mean_c + sd_c * carbon, middle - half, middle + half], dim=1)
        scales = torch.stack(
            [LEAST["13C"] + nn.functional.softplus(wide_c) * 2, LEAST["1H"] + nn.functional.softplus(wide_h) * 0.2],
            dim=1,
        )
        return shifts, scales
