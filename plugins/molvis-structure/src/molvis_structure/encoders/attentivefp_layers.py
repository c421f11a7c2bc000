"""AttentiveFP layer for layer as DGL-LifeSci defines it, and DeepChem after it.

PyTorch Geometric's model of the same name is another function, whatever its weights: there a bond weighs in attention
but its features are in no message, scores of attention have no bias and are taken behind a projection that the messages
share, and one readout serves all timesteps. So that weights trained there can be used here, and the reverse, this is
written out over PyTorch Geometric's softmax and sum, which run on any GPU.

Definition: DGL-LifeSci 0.3.2, dgllife/model/gnn/attentivefp.py and dgllife/model/readout/attentivefp_readout.py, after
Z. Xiong et al., J. Med. Chem. 63 (2020) 8749, doi:10.1021/acs.jmedchem.9b00959.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import elu, leaky_relu, relu
from torch_geometric.utils import scatter, softmax

from molvis_structure.chemistry.graphs import EDGE_FEATURES, NODE_FEATURES


class _Attention(nn.Module):
    """Rows attend to what is theirs, and a gated recurrent unit takes it in."""

    def __init__(self, width: int, dropout: float, score_dropout: float) -> None:
        super().__init__()
        self.score, self.value = nn.Linear(2 * width, 1), nn.Linear(width, width)
        self.gru = nn.GRUCell(width, width)
        self.dropout, self.score_dropout = nn.Dropout(dropout), nn.Dropout(score_dropout)

    def forward(
        self,
        own: Float[Tensor, "k width"],
        query: Float[Tensor, "k width"],
        near: Float[Tensor, "j width"],
        to: Int64[Tensor, " e"],
        source: Int64[Tensor, " e"],
    ) -> Float[Tensor, "k width"]:
        """The rows afterwards.

        Args:
            own: the rows.
            query: the rows as the score sees them.
            near: what there is to attend to.
            to: which row attends,
            source: and to what of `near`.
        """
        pairs = torch.cat([query[to], near[source]], dim=1)
        weights = softmax(leaky_relu(self.score(self.score_dropout(pairs))), to, num_nodes=len(own))
        values = self.value(self.dropout(near))[source]
        return self.gru(elu(scatter(weights * values, to, dim_size=len(own))), own)


class AttentiveFPLayers(nn.Module):
    """Graphs to vectors.

    Args:
        width: of the hidden features.
        dim: length of the vectors.
        layers: of attention among atoms, the first of which sees the bonds.
        timesteps: of attention of the molecule over its atoms, each with weights of its own.
        dropout: in the network.
    """

    def __init__(self, width: int, dim: int, layers: int, timesteps: int, dropout: float) -> None:
        super().__init__()
        self.atoms = nn.Linear(NODE_FEATURES, width)
        self.bonds = nn.Linear(NODE_FEATURES + EDGE_FEATURES, width)
        self.context = _Attention(width, dropout, dropout)
        self.layers = nn.ModuleList(_Attention(width, dropout, dropout) for _ in range(layers - 1))
        self.readout = nn.ModuleList(_Attention(width, dropout, 0.0) for _ in range(timesteps))
        self.dropout, self.out = nn.Dropout(dropout), nn.Linear(width, dim)

    def forward(
        self,
        atoms: Float[Tensor, "a 30"],
        edges: Int64[Tensor, "2 b"],
        bonds: Float[Tensor, "b 11"],
        owner: Int64[Tensor, " a"],
    ) -> Float[Tensor, "n dim"]:
        """One row for each molecule, of any length."""
        source, to = edges
        rows = leaky_relu(self.atoms(atoms))
        near = leaky_relu(self.bonds(torch.cat([atoms[source], bonds], dim=1)))
        rows = relu(self.context(rows, rows, near, to, torch.arange(len(to), device=to.device)))
        for layer in self.layers:
            rows = relu(layer(rows, rows, rows, to, source))
        whole, each = scatter(rows, owner), torch.arange(len(owner), device=owner.device)
        for step in self.readout:
            whole = step(whole, relu(whole), rows, owner, each)
        return self.out(self.dropout(whole))
