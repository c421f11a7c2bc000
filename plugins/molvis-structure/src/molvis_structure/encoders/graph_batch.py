"""Featurised molecules as one large graph: the batch of the encoders that attend over atoms and bonds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from molvis_structure.chemistry.graphs import EDGE_FEATURES, NODE_FEATURES


@dataclass(frozen=True, eq=False)
class GraphBatch:
    """Molecules as one large graph.

    Attributes:
        atoms: features of atoms.
        bonds: features of bonds, each bond in both directions.
        edges: from which atom to which.
        owner: which molecule an atom is in.
        count: number of molecules.
    """

    atoms: Float[Tensor, "a 30"]
    bonds: Float[Tensor, "b 11"]
    edges: Int64[Tensor, "2 b"]
    owner: Int64[Tensor, " a"]
    count: int

    def __len__(self) -> int:
        return self.count

    def to(self, device: torch.device | str) -> GraphBatch:
        """The same batch on another device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> GraphBatch:
        """What PyTorch's DataLoader calls when it pins."""
        return self._each(lambda tensor: tensor.pin_memory())

    def with_self_loops(self) -> GraphBatch:
        """The same with an edge from each atom to itself, whose features are 0, behind the others."""
        loops = torch.arange(len(self.atoms), device=self.edges.device).repeat(2, 1)
        bonds = torch.cat([self.bonds, self.bonds.new_zeros(len(self.atoms), EDGE_FEATURES)])
        return replace(self, bonds=bonds, edges=torch.cat([self.edges, loops], dim=1))

    def _each(self, act: Callable[[Tensor], Tensor]) -> GraphBatch:
        return GraphBatch(act(self.atoms), act(self.bonds), act(self.edges), act(self.owner), self.count)


def collate(parts: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> GraphBatch:
    """Featurised molecules as one batch."""
    sizes = np.array([len(p[0]) for p in parts], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]) if len(parts) else sizes
    none = (
        np.empty((0, NODE_FEATURES), np.float32),
        np.empty((0, EDGE_FEATURES), np.float32),
        np.empty((2, 0), np.int64),
    )
    edges = [p[2] + start for p, start in zip(parts, starts, strict=True)]
    return GraphBatch(
        torch.from_numpy(np.concatenate([none[0], *(p[0] for p in parts)])),
        torch.from_numpy(np.concatenate([none[1], *(p[1] for p in parts)])),
        torch.from_numpy(np.concatenate([none[2], *edges], axis=1)),
        torch.from_numpy(np.repeat(np.arange(len(parts)), sizes)),
        len(parts),
    )
