"""Make `tests/data/dgl_attentivefp.safetensors`: weights of DGL-LifeSci's AttentiveFP, and its output for molecules.

    python plugins/molvis-structure/tools/make_dgl_reference.py

Wants `pip install 'molvis-structure[dgl]'`. The weights are DGL-LifeSci's own start from seed 0, the biases of scores
enlarged, else they would hardly matter; the rows are in double precision, on graphs with and without self-loops that
are built and joined one by one, as DeepChem does it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from reference_molecules import MOLECULES
from safetensors.torch import save_file

from molvis_structure.chemistry.graphs import EDGE_FEATURES, NODE_FEATURES, featurise

os.environ.setdefault("DGLBACKEND", "pytorch")
import dgl
from dgllife.model import AttentiveFPPredictor

OUT = Path(__file__).parents[1] / "tests" / "data" / "dgl_attentivefp.safetensors"
WIDTH, DIM, LAYERS, TIMESTEPS = 12, 8, 3, 2


def graph_of(smiles: str, self_loops: bool) -> dgl.DGLGraph:
    """A molecule as a graph of DGL, features in double precision."""
    atoms, bonds, edges = (torch.from_numpy(part) for part in featurise(smiles))
    graph = dgl.graph((edges[0], edges[1]), num_nodes=len(atoms))
    graph.ndata["x"], graph.edata["edge_attr"] = atoms.double(), bonds.double()
    if self_loops:
        graph.add_edges(torch.arange(len(atoms)), torch.arange(len(atoms)))  # DGL fills their features with 0
    return graph


def main() -> None:
    """Write the reference file."""
    torch.manual_seed(0)
    model = AttentiveFPPredictor(NODE_FEATURES, EDGE_FEATURES, LAYERS, TIMESTEPS, WIDTH, DIM).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("project_edge2.1.bias", "project_edge.1.bias", "compute_logits.0.bias")):
                weight.fill_(0.7)
    saved = {f"weights.{name}": tensor.clone() for name, tensor in model.state_dict().items()}
    model.double()
    for name, self_loops in (("rows", False), ("rows_self_loops", True)):
        batch = dgl.batch([graph_of(smiles, self_loops) for smiles in MOLECULES])
        with torch.no_grad():
            saved[name] = model(batch, batch.ndata["x"], batch.edata["edge_attr"]).contiguous()
    OUT.parent.mkdir(exist_ok=True)
    save_file(saved, OUT, {"smiles": "\n".join(MOLECULES), "layers": str(LAYERS), "timesteps": str(TIMESTEPS)})
    sys.stdout.write(f"{OUT}: {len(MOLECULES)} molecules, {OUT.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
