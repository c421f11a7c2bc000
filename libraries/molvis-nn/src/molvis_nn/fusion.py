"""One vector for all that was measured of an unknown: the other encoders' vectors, pooled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor, nn

from molvis_core.errors import ConfigError, RecordError
from molvis_nn.batches import TensorBatch, pad
from molvis_nn.processes import counting

__all__ = ["MeasuredBatch", "SetAttention", "VectorBatch", "Vectors", "collate_measured"]


@dataclass(frozen=True, eq=False)
class Vectors:
    """What other encoders gave for the measurements of one unknown, in any order.

    Attributes:
        vectors: unit vectors.
        modality: whose encoder gave each.

    Raises:
        RecordError: no vector at all, or not a modality for each.
    """

    vectors: Float32[np.ndarray, "k dim"]
    modality: tuple[str, ...]

    def __post_init__(self) -> None:
        if not len(self.vectors) or len(self.vectors) != len(self.modality):
            raise RecordError(
                f"there must be at least one vector, and a modality for each, got {len(self.vectors)} vectors and "
                f"{len(self.modality)} modalities"
            )


@dataclass(frozen=True, eq=False)
class VectorBatch(TensorBatch):
    """Vectors of n unknowns, padded to k each.

    Attributes:
        vectors: of the measurements; anything where the mask is False.
        mask: where there is a measurement; one at least in each row.
        modality: number of the modality in the encoder's `of`.
    """

    vectors: Float[Tensor, "n k dim"]
    mask: Bool[Tensor, "n k"]
    modality: Int64[Tensor, "n k"]


@dataclass(frozen=True, eq=False)
class MeasuredBatch:
    """Measurements of n unknowns before their encoders have seen them, for training encoders and fusion in one step.

    Attributes:
        parts: a batch for each modality that occurs, made by its own encoder.
        place: row times width plus column of each record of the parts, one part after the other; -1 for a record that
            only pads its modality's batch.
        mask, modality: as in `VectorBatch`.
    """

    parts: Mapping[str, Any]
    place: Int64[Tensor, " t"]
    mask: Bool[Tensor, "n k"]
    modality: Int64[Tensor, "n k"]

    def __len__(self) -> int:
        return len(self.mask)

    def to(self, device: torch.device | str) -> Self:
        """The same batch on another device."""
        parts = {key: part.to(device) for key, part in self.parts.items()}
        return type(self)(parts, self.place.to(device), self.mask.to(device), self.modality.to(device))

    def encode(self, encoders: Mapping[str, Any]) -> VectorBatch:
        """Let the modalities' encoders make their vectors; gradients flow back into them.

        Raises:
            ConfigError: the encoders' vectors differ in length.
        """
        found: list[Tensor] = []
        start = 0
        for key, part in self.parts.items():
            with counting(self.place[start : start + len(part)] >= 0):
                found.append(encoders[key](part))
            start += len(part)
        lengths = {key: rows.shape[1] for key, rows in zip(self.parts, found, strict=True)}
        if len(set(lengths.values())) > 1:
            raise ConfigError(f"the encoders that are fused give vectors of different lengths: {lengths}")
        rows, used = torch.cat(found), self.place >= 0
        flat = rows.new_zeros(self.mask.numel(), rows.shape[1])
        flat = flat.index_copy(0, self.place[used], rows[used])
        return VectorBatch(flat.view(*self.mask.shape, -1), self.mask, self.modality)


def collate_measured(
    encoders: Mapping[str, Any],
    of: Sequence[str],
    unknowns: Sequence[Mapping[str, Sequence[Any]]],
    padding: Mapping[str, Any] | None = None,
) -> MeasuredBatch:
    """Batches of all records of several unknowns, and where each belongs.

    Args:
        encoders: by modality; their `collate` is used.
        of: modalities of the encoder, in its order.
        unknowns: for each its records by modality; one record at least.
        padding: a record of each modality whose encoder shall run even where no unknown has any: processes that train
            together wait for each other's gradients of every encoder.
    """
    slots = [[(key, record) for key in of for record in one.get(key, ())] for one in unknowns]
    width = max(len(row) for row in slots)
    mask, modality = np.zeros((len(slots), width), dtype=bool), np.zeros((len(slots), width), dtype=np.int64)
    records: dict[str, list[Any]] = {}
    places: dict[str, list[int]] = {}
    for row, found in enumerate(slots):
        for column, (key, record) in enumerate(found):
            mask[row, column], modality[row, column] = True, of.index(key)
            records.setdefault(key, []).append(record)
            places.setdefault(key, []).append(row * width + column)
    for key, record in (padding or {}).items():
        if key not in records:
            records[key], places[key] = [record], [-1]
    for key, mine in records.items():
        if len(mine) == 1:
            # Normalisation over a batch fails on a batch of one while it trains.
            mine.append(mine[0])
            places[key].append(-1)
    # In one order, whoever comes first: processes that train together wait for each other within the encoders.
    parts = {key: encoders[key].collate(records[key]) for key in of if key in records}
    place = torch.tensor([p for key in parts for p in places[key]], dtype=torch.int64)
    return MeasuredBatch(parts, place, torch.from_numpy(mask), torch.from_numpy(modality))


class SetAttention(nn.Module):
    """One unit vector for any non-empty set of measurements, from the vectors that their own encoders give.

    Each vector, with a learned vector of its modality added, attends to the others and adds what it finds there to
    itself; a gate weighs them into one sum. The order does not matter. Before training every addition is zero and the
    gates are equal: a single measurement keeps the vector of its own encoder, and of several it is the mean over
    modalities of the mean over each one's records, so that twenty MS/MS spectra do not outvote one infrared spectrum.

    Args:
        of: modalities whose encoders' vectors it takes, by their keys in `[encoders]`.
        dim: length of the vectors: that of all encoders.
        heads: of the attention; divides dim.
        width: of the gate's hidden layer.
        dropout: of the attention.

    Reference: attention over sets after Lee et al., ICML 2019, doi:10.48550/arXiv.1810.00825; gated pooling after Ilse,
    Tomczak and Welling, ICML 2018, doi:10.48550/arXiv.1802.04712
    """

    accepts: type[Any] = Vectors

    def __init__(
        self, of: Sequence[str], dim: int = 512, heads: int = 4, width: int = 64, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.of, self.dim = tuple(of), dim
        if not self.of or len(set(self.of)) < len(self.of):
            raise ConfigError(f"set-attention: of must name at least one modality, and none twice, got {list(of)}")
        if dim < 1 or heads < 1 or dim % heads:
            raise ConfigError(f"set-attention: dim must be a multiple of heads, got dim = {dim} and heads = {heads}")
        self.modality = nn.Embedding(len(self.of), dim)
        nn.init.normal_(self.modality.weight, std=dim**-0.5)
        self.attention = nn.MultiheadAttention(dim, heads, dropout=dropout, batch_first=True)
        self.gate = nn.Sequential(nn.Linear(dim, width), nn.GELU(), nn.Linear(width, 1))
        last = self.gate[2]
        assert isinstance(last, nn.Linear)
        for weights in (self.attention.out_proj, last):
            nn.init.zeros_(weights.weight)
            nn.init.zeros_(weights.bias)

    def collate(self, records: Sequence[Vectors]) -> VectorBatch:
        """Pad the vectors of each unknown.

        Raises:
            RecordError: a vector of a modality that `of` does not name, or of another length.
        """
        for number, record in enumerate(records):
            if unknown := set(record.modality) - set(self.of):
                raise RecordError(
                    f"record {number}: no {', '.join(sorted(unknown))} in this fusion; it takes {', '.join(self.of)}"
                )
            if record.vectors.shape[1] != self.dim:
                found = record.vectors.shape[1]
                raise RecordError(f"record {number}: vectors must be of length {self.dim}, got {found}")
        vectors, mask = pad([np.asarray(record.vectors, dtype=np.float32) for record in records])
        modality, _ = pad([np.array([self.of.index(m) for m in r.modality], dtype=np.int64) for r in records])
        return VectorBatch(vectors, mask, modality)

    def forward(self, batch: VectorBatch) -> Float[Tensor, "n dim"]:
        """Unit vectors.

        Raises:
            ConfigError: the encoders' vectors are not of length `dim`.
        """
        if batch.vectors.shape[2] != self.dim:
            raise ConfigError(
                f"set-attention: dim = {self.dim}, but the encoders of {', '.join(self.of)} give vectors of length "
                f"{batch.vectors.shape[2]} (a 'concatenated' encoder leaves out parts without weights in training)"
            )
        tokens = batch.vectors + self.modality(batch.modality)
        found, _ = self.attention(tokens, tokens, tokens, key_padding_mask=~batch.mask, need_weights=False)
        same = (batch.modality[:, :, None] == batch.modality[:, None, :]) & batch.mask[:, None, :]
        gate = self.gate(tokens).squeeze(-1).float() - same.sum(dim=2).clamp_min(1).log()
        share = gate.masked_fill(~batch.mask, -torch.inf).softmax(dim=1)
        found = torch.where(batch.mask[:, :, None], batch.vectors + found, torch.zeros_like(batch.vectors))
        return nn.functional.normalize((share[:, :, None] * found).sum(dim=1), dim=-1)
