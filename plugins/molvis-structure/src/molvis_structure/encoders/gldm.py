"""`gldm`: atoms typed by motifs, twelve blocks of FiLM convolution, and a vector that pools the outputs of all of them.

The encoder of C. Wang et al., GLDM: hit molecule generation with constrained graph latent diffusion model, Briefings in
Bioinformatics 25 (2024) bbae142, doi:10.1093/bib/bbae142, which is that of MoLeR (doi:10.48550/arXiv.2103.03864).
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch_geometric.utils import scatter, softmax

from molvis_core.errors import ConfigError
from molvis_core.records import Structure
from molvis_files.kept import Kept
from molvis_structure.chemistry.motifs import ATOMS, FIRST_TYPE, RELATIONS, TypedMolecule, Vocabulary, typed
from molvis_structure.featurising import Featurising

_HEADS = 2
"""Heads of the pooling for each layer."""


@dataclass(frozen=True, eq=False)
class MotifBatch:
    """Molecules typed by motifs as one large graph, its edges in the order of their kinds.

    Attributes:
        atoms: the rows of the table that describe each atom.
        edges: from which atom to which.
        share: 1 / number of the edges of this kind that end where this one does.
        owner: which molecule an atom is in.
        piece: which piece an atom is in, numbered through all molecules.
        sizes: number of edges of each kind.
        count: number of molecules.
    """

    atoms: Int64[Tensor, "a f"]
    edges: Int64[Tensor, "2 b"]
    share: Float[Tensor, " b"]
    owner: Int64[Tensor, " a"]
    piece: Int64[Tensor, " a"]
    sizes: tuple[int, ...]
    count: int

    def __len__(self) -> int:
        return self.count

    def to(self, device: torch.device | str) -> MotifBatch:
        """The same batch on another device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> MotifBatch:
        """What PyTorch's DataLoader calls when it pins."""
        return self._each(lambda tensor: tensor.pin_memory())

    def _each(self, act: Callable[[Tensor], Tensor]) -> MotifBatch:
        tensors = (self.atoms, self.edges, self.share, self.owner, self.piece)
        return MotifBatch(*map(act, tensors), sizes=self.sizes, count=self.count)


def collate(parts: Sequence[TypedMolecule]) -> MotifBatch:
    """Typed molecules as one batch."""
    counts = np.array([len(p.atoms) for p in parts], np.int64)
    starts = np.cumsum(counts) - counts
    pieces = np.cumsum([0, *(int(p.piece.max()) + 1 for p in parts)])
    atoms = np.concatenate(
        [np.empty((0, parts[0].atoms.shape[1] if parts else 1), np.int64), *(p.atoms for p in parts)]
    )
    edges = [p.edges + start for p, start in zip(parts, starts, strict=True)]
    return _in_order(
        atoms,
        np.concatenate([np.empty((2, 0), np.int64), *edges], axis=1),
        np.concatenate([np.empty(0, np.int64), *(p.relation for p in parts)]),
        np.repeat(np.arange(len(parts)), counts),
        np.concatenate([np.empty(0, np.int64), *(p.piece + n for p, n in zip(parts, pieces[:-1], strict=True))]),
        len(parts),
    )


def _in_order(
    atoms: np.ndarray, edges: np.ndarray, relation: np.ndarray, owner: np.ndarray, piece: np.ndarray, count: int
) -> MotifBatch:
    order = np.argsort(relation, kind="stable")
    edges, relation = edges[:, order], relation[order]
    _, group, many = np.unique(edges[1] * RELATIONS + relation, return_inverse=True, return_counts=True)
    tensors = (atoms, edges, (1 / many[group]).astype(np.float32), owner, piece)
    sizes = tuple(np.bincount(relation, minlength=RELATIONS).tolist())
    return MotifBatch(*map(torch.from_numpy, tensors), sizes=sizes, count=count)


class FiLMConvolution(nn.Module):
    """Messages of neighbours, scaled and shifted by the atom that receives them; a mean for each kind of bond, summed.

    M. Brockschmidt, GNN-FiLM, ICML 2020, doi:10.48550/arXiv.1906.12192. PyTorch Geometric's `FiLMConv` gives the same
    numbers from all atoms times all kinds; this one takes each kind's own edges, in half the time.

    Args:
        width: of the features.
        relations: kinds of bonds.
    """

    def __init__(self, width: int, relations: int) -> None:
        super().__init__()
        self.own = nn.Linear(width, width, bias=False)
        self.own_film = nn.Linear(width, 2 * width, bias=False)
        self.said = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(relations))
        self.film = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(relations))

    def forward(self, x: Float[Tensor, "a width"], batch: MotifBatch) -> Float[Tensor, "a width"]:
        """Features after one round."""
        messages: list[Tensor] = []
        parts = zip(*(ends.split(batch.sizes) for ends in batch.edges), self.said, self.film, strict=True)
        for begin, end, said, film in parts:
            shift, scale = film(x.index_select(0, end)).chunk(2, -1)
            messages.append(torch.relu(scale * said(x.index_select(0, begin)) + shift))
        shift, scale = self.own_film(x).chunk(2, -1)
        own = torch.relu(scale * self.own(x) + shift)
        heard = torch.cat(messages).float() * batch.share[:, None]
        return own.float().index_add(0, batch.edges[1], heard)


class GLDMEncoder(Featurising[TypedMolecule]):
    """Structures to unit vectors by FiLM convolution over atoms and bonds typed by motifs.

    Args:
        dim: length of the vectors.
        width: of the hidden features.
        layers: of convolution.
        motifs: the name of a vocabulary in this package, or the motifs themselves as `motifs.extract` finds them.
        dropout: of the pooled features.
    """

    accepts = Structure

    def __init__(
        self,
        dim: int = 512,
        width: int = 64,
        layers: int = 12,
        motifs: str | Sequence[str] = "common-128",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        for name, value in (("dim", dim), ("width", width), ("layers", layers)):
            if value < 1:
                raise ConfigError(f"gldm: {name} must be a positive whole number, got {value}")
        if width % _HEADS:
            raise ConfigError(f"gldm: width must be even, as the pooling has two halves, got {width}")
        vocabulary = Vocabulary.shipped(motifs) if isinstance(motifs, str) else Vocabulary(tuple(motifs))
        for motif, times in Counter(vocabulary.motifs).items():
            if times > 1:
                raise ConfigError(f"gldm: the motif {motif!r} comes twice in 'motifs'")
        self.dim = dim
        self.types = len(ATOMS) + 1 + len(vocabulary.motifs)
        self.place = {motif: number for number, motif in enumerate(vocabulary.motifs)}
        joined = width * (layers + 1)
        self.table = nn.Embedding(FIRST_TYPE + self.types, width, padding_idx=0)
        self.convolutions = nn.ModuleList(FiLMConvolution(width, RELATIONS) for _ in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers))
        self.gate = nn.Linear(joined, _HEADS * (layers + 1))
        self.norm, self.dropout, self.out = nn.LayerNorm(joined), nn.Dropout(dropout), nn.Linear(joined, dim)
        # Weights learned with other motifs would load and mean nothing: their digest is among them, and checked.
        self.register_buffer("vocabulary", torch.tensor(list(bytes.fromhex(vocabulary.digest)), dtype=torch.uint8))
        self.register_load_state_dict_pre_hook(_check_vocabulary)
        self._kept = Kept(functools.partial(typed, place=self.place), self.most_kept)

    def collate(self, records: Sequence[Structure]) -> MotifBatch:
        """Graphs of structures; each is featurised once.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses a SMILES.
        """
        return collate([self._kept(s.smiles) for s in records])

    def forward(self, batch: MotifBatch) -> Float[Tensor, "n dim"]:
        """Unit vectors."""
        return self.look(batch)[0]

    def look(self, batch: MotifBatch) -> tuple[Float[Tensor, "n dim"], Float[Tensor, "a joined"]]:
        """Unit vectors of the molecules, and the outputs of all layers for each atom."""
        x = self.table(batch.atoms).sum(1)
        outputs = [x]
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = torch.relu(norm(convolution(x, batch)))
            outputs.append(x)
        atoms = torch.cat([o.float() for o in outputs], -1)
        return nn.functional.normalize(
            self.out(self.dropout(self.norm(self._pool(atoms, batch)))).float(), dim=-1
        ), atoms

    def _pool(self, atoms: Float[Tensor, "a joined"], batch: MotifBatch) -> Float[Tensor, "n joined"]:
        """As MoLeR does: of each layer's features half are averaged with learned weights, half are added up."""
        gate = self.gate(atoms).float().unflatten(-1, (_HEADS, -1))
        weight = torch.stack([softmax(gate[:, 0], batch.owner, num_nodes=len(batch)), gate[:, 1].sigmoid()], -1)
        shares = atoms.unflatten(-1, (gate.shape[-1], _HEADS, -1)) * weight[..., None]
        # Sums grow with the molecule: nearly their logarithm, so that they stand beside the means.
        return torch.asinh(scatter(shares.flatten(1), batch.owner, dim_size=len(batch)))

    @property
    def classes(self) -> tuple[int, int]:
        """How many types, and elements with charge, a hidden atom may have."""
        return self.types, len(ATOMS) + 1

    @property
    def joined(self) -> int:
        """Length of the vector that `look` returns for an atom."""
        return self.gate.in_features

    def hide(
        self, batch: MotifBatch, share: float, generator: torch.Generator
    ) -> tuple[MotifBatch, Bool[Tensor, " a"], Int64[Tensor, "a 2"]]:
        """Hide whole pieces of molecules, for `pretraining`.

        A single atom of a ring is no riddle: its neighbours name the motif. So all that describes a piece's atoms is
        taken away, and that its bonds are within a motif. Of each molecule at least one piece stays.

        Args:
            batch: on the CPU.
            share: of the pieces.
            generator: of what is drawn.

        Returns:
            The batch, which atoms are hidden, and type and element of each atom.
        """
        pieces = int(batch.piece.max()) + 1 if len(batch.piece) else 0
        hidden = (torch.rand(pieces, generator=generator) < share)[batch.piece]
        left = torch.zeros(len(batch), dtype=torch.int64).index_add(0, batch.owner, (~hidden).long())
        hidden &= left[batch.owner] > 0
        relation = torch.repeat_interleave(torch.arange(RELATIONS), torch.tensor(batch.sizes))
        stated = hidden[batch.edges[0]] & (relation >= RELATIONS // 2)
        relation = torch.where(stated, relation - RELATIONS // 2, relation)
        atoms = torch.where(hidden[:, None], 0, batch.atoms)
        tensors = (atoms, batch.edges, relation, batch.owner, batch.piece)
        truth = torch.stack([batch.atoms[:, -1] - FIRST_TYPE, batch.atoms[:, 0] - 1], 1)
        return _in_order(*(t.numpy() for t in tensors), count=len(batch)), hidden, truth


def _check_vocabulary(module: nn.Module, state: Mapping[str, Tensor], prefix: str, *rest: Any) -> None:
    stored = state.get(f"{prefix}vocabulary")
    if stored is not None and stored.cpu().tolist() != cast("Tensor", module.vocabulary).tolist():
        rest[-1].append("the weights were learned with other motifs; 'motifs' of gldm must be those of that time")
