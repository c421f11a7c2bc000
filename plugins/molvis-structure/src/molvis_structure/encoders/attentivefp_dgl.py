"""`attentivefp-dgl`: DGL-LifeSci's own AttentiveFP, the reference that ours is held against, and weights to and fro.

It runs on the CPU alone and needs `pip install 'molvis-structure[dgl]'`; to use weights that were trained with it,
`from_dgl` and `attentivefp` with `form = "dgl-lifesci"` are enough.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from molvis_core.errors import ConfigError
from molvis_structure.chemistry.graphs import EDGE_FEATURES, NODE_FEATURES
from molvis_structure.encoders.attentivefp import AttentiveFPEncoder

# Modules of AttentiveFPLayers beside those of DGL-LifeSci's AttentiveFPPredictor.
_MODULES = (
    ("atoms", "gnn.init_context.project_node.0"),
    ("bonds", "gnn.init_context.project_edge1.0"),
    ("context.score", "gnn.init_context.project_edge2.1"),
    ("context.value", "gnn.init_context.attentive_gru.edge_transform.1"),
    ("context.gru", "gnn.init_context.attentive_gru.gru"),
    ("layers.#.score", "gnn.gnn_layers.#.project_edge.1"),
    ("layers.#.value", "gnn.gnn_layers.#.attentive_gru.project_node.1"),
    ("layers.#.gru", "gnn.gnn_layers.#.attentive_gru.gru"),
    ("readout.#.score", "readout.readouts.#.compute_logits.0"),
    ("readout.#.value", "readout.readouts.#.project_nodes.1"),
    ("readout.#.gru", "readout.readouts.#.gru"),
    ("out", "predict.1"),
)


def from_dgl(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of DGL-LifeSci's `AttentiveFPPredictor` as those of the network of `attentivefp`, form `dgl-lifesci`.

    They are for `encoder.network.load_state_dict`. DeepChem's `AttentiveFPModel` has such a predictor in `model.model`.

    Raises:
        ConfigError: a weight that such a predictor does not have.
    """
    return _renamed(state, [(theirs, ours) for ours, theirs in _MODULES], "DGL-LifeSci's AttentiveFPPredictor")


def to_dgl(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The way back: weights of the network of `attentivefp`, form `dgl-lifesci`, as DGL-LifeSci names them.

    Raises:
        ConfigError: a weight that such a network does not have, one of the form `torch-geometric` for instance.
    """
    return _renamed(state, _MODULES, "the network of attentivefp with form = 'dgl-lifesci'")


def _renamed(state: Mapping[str, Tensor], modules: Sequence[tuple[str, str]], whose: str) -> dict[str, Tensor]:
    known = [(re.compile(re.escape(old).replace(r"\#", r"(\d+)") + r"\.(\w+)"), new) for old, new in modules]
    renamed: dict[str, Tensor] = {}
    for key, tensor in state.items():
        found = [(match.groups(), new) for pattern, new in known if (match := pattern.fullmatch(key))]
        if not found:
            raise ConfigError(f"{key!r} is no weight of {whose}, which has: {', '.join(old for old, _ in modules)}")
        (numbers, new) = found[0]
        renamed[f"{new.replace('#', numbers[0])}.{numbers[-1]}"] = tensor
    return renamed


def _dgl() -> tuple[Any, Any]:
    os.environ.setdefault("DGLBACKEND", "pytorch")  # else the first import writes a file into the user's home
    try:
        import dgl
        from dgllife.model import AttentiveFPPredictor
    except ImportError as error:
        raise ConfigError(
            f"attentivefp-dgl needs DGL 1.1 and DGL-LifeSci on Python 3.11, and they cannot be imported ({error}): "
            "pip install 'molvis-structure[dgl]'. The same function without them: attentivefp, form = 'dgl-lifesci'"
        ) from error
    return dgl, AttentiveFPPredictor


class _Predictor(nn.Module):
    """DGL-LifeSci's model, called as ours is."""

    def __init__(self, **sizes: Any) -> None:
        super().__init__()
        _, predictor = _dgl()
        self.model = predictor(node_feat_size=NODE_FEATURES, edge_feat_size=EDGE_FEATURES, **sizes)

    def forward(
        self,
        atoms: Float[Tensor, "a 30"],
        edges: Int64[Tensor, "2 b"],
        bonds: Float[Tensor, "b 11"],
        owner: Int64[Tensor, " a"],
    ) -> Float[Tensor, "n dim"]:
        """One row for each molecule, of any length."""
        if atoms.device.type != "cpu":
            raise ConfigError(
                f"attentivefp-dgl runs on the CPU, not on {atoms.device}. The same function on any device: "
                "attentivefp, form = 'dgl-lifesci', with its weights through from_dgl"
            )
        dgl, _ = _dgl()
        graph = dgl.graph((edges[0], edges[1]), num_nodes=len(atoms))
        counts = torch.bincount(owner)
        graph.set_batch_num_nodes(counts)
        graph.set_batch_num_edges(torch.bincount(owner[edges[0]], minlength=len(counts)))
        return self.model(graph, atoms, bonds)


def attentivefp_dgl(
    dim: int = 512,
    width: int = 200,
    layers: int = 2,
    timesteps: int = 2,
    dropout: float = 0.0,
    self_loops: bool = False,
) -> AttentiveFPEncoder:
    """`attentivefp` with DGL-LifeSci's model inside.

    Args:
        dim: length of the vectors.
        width: of the hidden features.
        layers: of attention among atoms.
        timesteps: of attention of the molecule over its atoms.
        dropout: in the network.
        self_loops: atoms are their own neighbours too, as in DeepChem's `AttentiveFPModel`.

    Raises:
        ConfigError: DGL or DGL-LifeSci is not installed, or a size is not positive.
    """
    encoder = AttentiveFPEncoder(dim, width, layers, timesteps, dropout, "dgl-lifesci", self_loops)
    encoder.network = _Predictor(
        num_layers=layers, num_timesteps=timesteps, graph_feat_size=width, n_tasks=dim, dropout=dropout
    )
    return encoder
