"""Encoders whose vectors are concatenated or placed in longer ones, a loss for each part, and the neutral mass."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from molvis_core import registry
from molvis_core.chemistry.adducts import neutral_mass
from molvis_core.errors import ConfigError
from molvis_core.interfaces import Featurises
from molvis_core.progress import Progress
from molvis_core.records import PeakList, Structure
from molvis_nn.batches import TensorBatch
from molvis_nn.layers import sinusoids, wavelengths

__all__ = ["Concatenated", "EachPart", "MassBatch", "NeutralMass", "PartsBatch", "Placed"]


@dataclass(frozen=True, eq=False)
class PartsBatch:
    """One batch for each part, over the same records."""

    parts: tuple[Any, ...]

    def __len__(self) -> int:
        return len(self.parts[0])

    def to(self, device: torch.device | str) -> Self:
        """The same batch on another device."""
        return type(self)(tuple(part.to(device) for part in self.parts))

    def pin_memory(self) -> Self:
        """What PyTorch's DataLoader calls when it pins."""
        return type(self)(tuple(part.pin_memory() if hasattr(part, "pin_memory") else part for part in self.parts))


class Concatenated(nn.Module):
    """Several encoders side by side: their unit vectors, weighted and concatenated.

    The dot product of two concatenated vectors is the weighted mean of the parts' cosines, so each part must have a
    counterpart of the same length and place on the other side. In training, parts with no weight to train are left out:
    a fixed part that distinguishes compounds, such as the mass or one that has learned before, would leave the others
    nothing to learn.

    Args:
        of: specs of encoders that accept one record type.
        weights: share of each part in the dot product; adds up to 1 after normalisation. Equal if empty.
    """

    def __init__(self, of: Sequence[Mapping[str, Any]], weights: Sequence[float] = ()) -> None:
        super().__init__()
        if not of:
            raise ConfigError("concatenated: 'of' is empty; name at least one encoder")
        if weights and (len(weights) != len(of) or min(weights) <= 0):
            raise ConfigError(f"concatenated: {len(of)} encoders need as many positive weights, found {list(weights)}")
        self.parts = nn.ModuleList([registry.build("encoder", spec, where="concatenated.of") for spec in of])
        kinds = {part.accepts for part in self.encoders}
        if len(kinds) > 1:
            names = ", ".join(k.__name__ for k in kinds)
            raise ConfigError(f"concatenated: its parts accept different records: {names}")
        self.accepts: type[Any] = kinds.pop()
        self.dim = sum(part.dim for part in self.encoders)
        shares = list(weights) or [1.0] * len(of)
        self.scales = [math.sqrt(w / sum(shares)) for w in shares]

    @property
    def encoders(self) -> list[Any]:
        """The parts, typed loosely: a ModuleList forgets what it holds."""
        return list(self.parts)

    def collate(self, records: Sequence[Any]) -> PartsBatch:
        """Every part collates the same records."""
        return PartsBatch(tuple(part.collate(records) for part in self.encoders))

    def featurise(self, records: Sequence[Any], *, progress: Progress | None = None) -> None:
        """Let the parts that can do so prepare features ahead of training."""
        for part in self.encoders:
            if isinstance(part, Featurises):
                part.featurise(records, progress=progress)

    def forward(self, batch: PartsBatch) -> Float[Tensor, "n dim"]:
        """Unit vectors."""
        chosen = list(zip(self.encoders, self.scales, batch.parts, strict=True))
        if self.training:
            chosen = [c for c in chosen if any(p.requires_grad for p in c[0].parameters())] or chosen
        vectors = torch.cat([scale * part(b) for part, scale, b in chosen], dim=-1)
        return nn.functional.normalize(vectors, dim=-1) if len(chosen) < len(self.parts) else vectors


class Placed(nn.Module):
    """Another encoder's vectors within longer ones that are zero elsewhere.

    Against concatenated vectors, whose part at this place has the factor f, the dot product is f times the cosine with
    that part, and says nothing of the others: so encoders that were trained apart share one space.

    Args:
        of: spec of the encoder.
        before, after: how many zeros there are on either side.
    """

    def __init__(self, of: Mapping[str, Any], before: int = 0, after: int = 0) -> None:
        super().__init__()
        if min(before, after) < 0:
            raise ConfigError(f"placed: before and after must be 0 or more, got {before} and {after}")
        self.encoder: Any = registry.build("encoder", of, where="placed.of")
        self.accepts: type[Any] = self.encoder.accepts
        self.before, self.after = before, after
        self.dim = before + int(self.encoder.dim) + after

    def collate(self, records: Sequence[Any]) -> Any:
        """As the encoder has it."""
        return self.encoder.collate(records)

    def featurise(self, records: Sequence[Any], *, progress: Progress | None = None) -> None:
        """Let the encoder prepare features ahead, where it can."""
        if isinstance(self.encoder, Featurises):
            self.encoder.featurise(records, progress=progress)

    def forward(self, batch: Any) -> Float[Tensor, "n dim"]:
        """Unit vectors."""
        return nn.functional.pad(self.encoder(batch), (self.before, self.after))


class EachPart(nn.Module):
    """A loss for each part of concatenated vectors, each part judged as if it stood alone, and their mean.

    Judged together, parts lean on each other: what one has learned the others need not. Judged apart, they learn as an
    ensemble does, whose mistakes differ.

    Args:
        sizes: lengths of the parts, in the order of `concatenated`; parts without weights are left out in training.
        of: spec of the loss; every part gets one of its own, with a temperature of its own.
    """

    def __init__(self, sizes: Sequence[int], of: Mapping[str, Any]) -> None:
        super().__init__()
        if not sizes or min(sizes) < 1:
            raise ConfigError(f"each-part: sizes must be the length of each part, all positive, got {list(sizes)}")
        self.sizes = list(sizes)
        built = [registry.build("loss", of, where="each-part.of") for _ in sizes]
        self.losses = nn.ModuleList(cast("list[nn.Module]", built))

    def forward(
        self,
        query: Float[Tensor, "n dim"],
        reference: Float[Tensor, "m dim"],
        target: Float[Tensor, "n m"],
        weight: Float[Tensor, "n m"],
    ) -> Float[Tensor, ""]:
        """The mean over the parts.

        Fixed parts, which evaluation appends and training leaves out, may follow behind and do not count.

        Raises:
            ConfigError: the vectors are shorter than the sizes require.
        """
        if query.shape[1] < sum(self.sizes) or reference.shape[1] != query.shape[1]:
            raise ConfigError(
                f"each-part: sizes = {self.sizes}, {sum(self.sizes)} in all, but the vectors have {query.shape[1]} and "
                f"{reference.shape[1]}; give the dim of each part that learns"
            )
        start = 0
        total = query.new_zeros(())
        for size, loss in zip(self.sizes, self.losses, strict=True):
            part = slice(start, start + size)
            start += size
            ends = (nn.functional.normalize(side[:, part], dim=-1) for side in (query, reference))
            total = total + loss(*ends, target, weight)
        return total / len(self.sizes)


@dataclass(frozen=True, eq=False)
class MassBatch(TensorBatch):
    """Neutral masses in Da; NaN where unknown."""

    mass: Float[Tensor, " n"]


class NeutralMass(nn.Module):
    """The neutral mass as a fixed block of sines and cosines: it has no weights and learns nothing.

    The dot product of two such vectors is a kernel in the difference of the masses: 1 where they agree, falling by an
    equal step for each factor of ten in the difference. Concatenated with a learned encoder on both sides, it lets a
    search of a whole library use the mass softly, without a window. `shortest` bounds how finely: differences well
    below it do not count, so that it should stay above the instrument's error.

    Args:
        of: `ion` for peak lists (from precursor m/z and adduct), `structure` for structures.
        dim: length of the vector, even.
        shortest, longest: wavelengths in Da.
    """

    def __init__(
        self, of: Literal["ion", "structure"], dim: int = 32, shortest: float = 0.2, longest: float = 2000.0
    ) -> None:
        super().__init__()
        if of not in ("ion", "structure"):
            raise ConfigError(f"neutral-mass: of must be 'ion' or 'structure', got {of!r}")
        if dim < 4 or dim % 2:
            raise ConfigError(f"neutral-mass: dim must be an even number of at least 4, got {dim}")
        if not 0 < shortest < longest:
            raise ConfigError(f"neutral-mass: 0 < shortest < longest must hold, got {shortest} and {longest}")
        self.accepts: type[Any] = PeakList if of == "ion" else Structure
        self.dim = dim
        self.register_buffer("wavelength", wavelengths(shortest, longest, dim // 2), persistent=False)

    def collate(self, records: Sequence[Any]) -> MassBatch:
        """Masses of structures, or of the molecules behind the ions.

        A peak list without precursor or adduct has none: its vector is constant, and prefers no mass over another.
        """
        return MassBatch(torch.tensor([_mass(r) for r in records], dtype=torch.float64))

    def forward(self, batch: MassBatch) -> Float[Tensor, "n dim"]:
        """Unit vectors."""
        known = torch.isfinite(batch.mass)
        waves = sinusoids(batch.mass.nan_to_num(), self.get_buffer("wavelength"))
        block = waves.float() / math.sqrt(self.dim // 2)
        flat = block.new_full((self.dim,), self.dim**-0.5)
        return torch.where(known[:, None], block, flat)


def _mass(record: PeakList | Structure) -> float:
    if isinstance(record, Structure):
        return record.exact_mass
    if record.precursor_mz is None or record.adduct is None:
        return math.nan
    return neutral_mass(record.precursor_mz, record.adduct)
