"""`attentivefp`: attention over atoms and bonds, then over the molecule.

Z. Xiong et al., Pushing the Boundaries of Molecular Representation for Drug Discovery with the Graph Attention
Mechanism, J. Med. Chem. 63 (2020) 8749, doi:10.1021/acs.jmedchem.9b00959, on PyTorch Geometric, so that it runs on any
GPU. There are two forms of it, PyTorch Geometric's and DGL-LifeSci's; `attentivefp_layers` describes how they differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn
from torch_geometric.nn.models import AttentiveFP

from molvis_core.errors import ConfigError, did_you_mean
from molvis_core.records import Structure
from molvis_files.kept import Kept
from molvis_structure.chemistry.graphs import EDGE_FEATURES, NODE_FEATURES, featurise
from molvis_structure.encoders.attentivefp_layers import AttentiveFPLayers
from molvis_structure.encoders.graph_batch import GraphBatch, collate
from molvis_structure.featurising import Featurising

Form = Literal["torch-geometric", "dgl-lifesci"]


class AttentiveFPEncoder(Featurising[tuple[np.ndarray, np.ndarray, np.ndarray]]):
    """Structures to unit vectors by graph attention.

    Args:
        dim: length of the vectors.
        width: of the hidden features.
        layers: of attention among atoms.
        timesteps: of attention of the molecule over its atoms.
        dropout: in the network.
        form: whose definition: `torch-geometric`, or `dgl-lifesci`, which DeepChem and the report use.
        self_loops: atoms are their own neighbours too, as in DeepChem's `AttentiveFPModel`.
    """

    accepts = Structure
    most_kept = 100_000

    def __init__(
        self,
        dim: int = 512,
        width: int = 200,
        layers: int = 2,
        timesteps: int = 2,
        dropout: float = 0.0,
        form: Form = "torch-geometric",
        self_loops: bool = False,
    ) -> None:
        super().__init__()
        for name, value in (("dim", dim), ("width", width), ("layers", layers), ("timesteps", timesteps)):
            if value < 1:
                raise ConfigError(f"attentivefp: {name} must be a positive whole number, got {value}")
        if form not in get_args(Form):
            known = get_args(Form)
            raise ConfigError(f"attentivefp: form = {form!r}.{did_you_mean(form, known)} There are: {', '.join(known)}")
        self.dim, self.self_loops = dim, self_loops
        self.network: nn.Module
        if form == "dgl-lifesci":
            self.network = AttentiveFPLayers(width, dim, layers, timesteps, dropout)
        else:
            self.network = AttentiveFP(
                in_channels=NODE_FEATURES,
                hidden_channels=width,
                out_channels=dim,
                edge_dim=EDGE_FEATURES,
                num_layers=layers,
                num_timesteps=timesteps,
                dropout=dropout,
            )
        self._kept = Kept(featurise, self.most_kept)

    def collate(self, records: Sequence[Structure]) -> GraphBatch:
        """Graphs of structures; each is featurised once.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses a SMILES.
        """
        batch = collate([self._kept(r.smiles) for r in records])
        return batch.with_self_loops() if self.self_loops else batch

    def forward(self, batch: GraphBatch) -> Float[Tensor, "n dim"]:
        """Unit vectors."""
        out = self.network(batch.atoms, batch.edges, batch.bonds, batch.owner)
        return nn.functional.normalize(out.float(), dim=-1)
