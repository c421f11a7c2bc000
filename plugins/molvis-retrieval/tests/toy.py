"""A toy plugin for tests of training and bundles: tiny encoders of peaks and structures, and a plain loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from molvis_core.chemistry.structures import structure
from molvis_core.errors import ConfigError
from molvis_core.plugins import Component, Plugin
from molvis_core.progress import StageProgress
from molvis_core.records import Measurement, PeakList, RankedQuery, Structure, Trace, Value
from molvis_nn.batches import TensorBatch


@dataclass(frozen=True, eq=False)
class Features(TensorBatch):
    values: Tensor


class _Dense(nn.Module):
    def __init__(self, width: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.dim = dim
        self.layers = nn.Sequential(nn.Linear(width, 32), nn.ReLU(), nn.Dropout(dropout), nn.Linear(32, dim))

    def forward(self, batch: Features) -> Tensor:
        return nn.functional.normalize(self.layers(batch.values), dim=-1)


class Peaks(_Dense):
    accepts = PeakList

    def __init__(self, dim: int = 8, dropout: float = 0.1) -> None:
        super().__init__(64, dim, dropout)

    def collate(self, records: Sequence[PeakList]) -> Features:
        rows = torch.zeros(len(records), 64)
        for row, record in zip(rows, records, strict=True):
            for mz, height in zip(record.mz, record.intensity, strict=True):
                row[int(mz) % 64] += float(height)
        return Features(rows)


class Letters(_Dense):
    accepts = Structure

    def __init__(self, dim: int = 8, dropout: float = 0.1) -> None:
        super().__init__(64, dim, dropout)

    def collate(self, records: Sequence[Structure]) -> Features:
        rows = torch.zeros(len(records), 64)
        for row, record in zip(rows, records, strict=True):
            for letter in record.smiles:
                row[ord(letter) % 64] += 1
        return Features(rows)


class Waves(_Dense):
    accepts = Trace

    def __init__(self, dim: int = 8, dropout: float = 0.1) -> None:
        super().__init__(64, dim, dropout)

    def collate(self, records: Sequence[Trace]) -> Features:
        return Features(torch.from_numpy(np.stack([record.y for record in records])).float())


class Numbers(_Dense):
    accepts = Value

    def __init__(self, dim: int = 8, dropout: float = 0.0) -> None:
        super().__init__(2, dim, dropout)

    def collate(self, records: Sequence[Value]) -> Features:
        return Features(torch.tensor([[record.value / 100, 1.0] for record in records]))


class Softmax(nn.Module):
    def __init__(self, temperature: float = 0.1) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1 / temperature))

    @property
    def temperature(self) -> float:
        return 1 / self.scale.item()

    def forward(self, query: Tensor, reference: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        scores = (query @ reference.T * self.scale).masked_fill(weight == 0, -1e9)
        return -(scores.log_softmax(1) * (target > 0.5)).sum(1).mean()


class Broken(Softmax):
    def forward(self, query: Tensor, reference: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        return super().forward(query, reference, target, weight) * torch.nan


class Whole(Softmax):
    every_positive = True


class Plain:
    """The same with a fixed temperature: there is nothing to learn."""

    def __call__(self, query: Tensor, reference: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        scores = (query @ reference.T * 10).masked_fill(weight == 0, -1e9)
        return -(scores.log_softmax(1) * (target > 0.5)).sum(1).mean()


class Places(nn.Module):
    """What the oxygens of the training compounds were where a spectrum has its only peak: it counts them."""

    accepts = PeakList

    def __init__(self, dim: int = 16, spectra: int = 4, candidates: int = 8) -> None:
        super().__init__()
        self.dim, self.spectra, self.candidates = dim, spectra, candidates
        self.register_buffer("seen", torch.zeros(dim, dim))

    def collate(self, records: Sequence[PeakList]) -> Features:
        return Features(torch.tensor([[int(record.mz[0]) % 20] for record in records]))

    def forward(self, batch: Features) -> Tensor:
        return nn.functional.normalize(self.get_buffer("seen")[batch.values[:, 0]] + 1e-3, dim=-1)

    def learn(
        self,
        reference: nn.Module,
        examples: Sequence[RankedQuery],
        validation: Sequence[RankedQuery],
        *,
        seed: int = 0,
        progress: StageProgress | None = None,
        checkpoint: Path | None = None,
    ) -> dict[str, float]:
        if not isinstance(reference, Oxygens):
            raise ConfigError(f"toy-places learns with toy-oxygens, not with {type(reference).__name__}")
        assert checkpoint is not None
        (checkpoint / "begun").touch()
        if progress:
            progress(0, len(examples), "places of oxygens")
        seen = self.get_buffer("seen")
        seen.zero_()
        for one in examples:
            seen[int(one.record.mz[0]) % 20, one.candidates[one.truth].smiles.find("O")] += 1
        return {"examples": len(examples)}


class Oxygens(nn.Module):
    accepts = Structure

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.dim = dim

    def collate(self, records: Sequence[Structure]) -> Features:
        return Features(torch.tensor([record.smiles.find("O") for record in records]))

    def forward(self, batch: Features) -> Tensor:
        return nn.functional.one_hot(batch.values, self.dim).float()


class Oxygen:
    """Where the oxygen stands in the chain, as its only peak says: learns how much that is worth."""

    accepts = PeakList
    features = ("nearness",)

    def __init__(self, passes: int = 5) -> None:
        self.passes, self.weight = passes, 0.0

    def __call__(self, query: PeakList, candidates: Sequence[Structure]) -> np.ndarray:
        off = [abs(c.smiles.find("O") - (query.mz[0] - 20)) for c in candidates]
        return -self.weight * np.array(off, dtype=float).reshape(-1, 1)

    def learn(
        self,
        examples: Sequence[RankedQuery],
        validation: Sequence[RankedQuery],
        *,
        seed: int = 0,
        progress: StageProgress | None = None,
        checkpoint: Path | None = None,
    ) -> dict[str, float]:
        kept = checkpoint / "passes.safetensors" if checkpoint else None
        done, self.weight = 0, 0.0
        if kept and kept.is_file():
            state = load_file(kept)
            done, self.weight = int(state["done"]), float(state["weight"])
        for number in range(done, self.passes):
            rng = np.random.default_rng([seed, number])
            for i in rng.permutation(len(examples)):
                one = examples[i]
                unit = -np.array([abs(c.smiles.find("O") - (one.record.mz[0] - 20)) for c in one.candidates], float)
                share = np.exp(self.weight * unit - (self.weight * unit).max())
                self.weight += 0.1 * float(unit[one.truth] - (share / share.sum()) @ unit)
            if kept:
                save_file(self._state(number + 1), kept)
            if progress:
                progress(number + 1, self.passes, "learning")
        best = [int(self(one.record, one.candidates)[:, 0].argmax() == one.truth) for one in validation]
        return {"val_hit1": float(np.mean(best))}

    def _state(self, done: int) -> dict[str, Tensor]:
        return {"done": torch.tensor(done), "weight": torch.tensor(self.weight, dtype=torch.float64)}

    def save(self, folder: Path) -> None:
        save_file(self._state(self.passes), folder / "weight.safetensors")

    def load(self, folder: Path) -> None:
        self.weight = float(load_file(folder / "weight.safetensors")["weight"])


def read_structures(path: Path) -> Iterator[Measurement]:
    """A SMILES and a name on each line."""
    for line in path.read_text(encoding="utf-8").splitlines():
        smiles, _, name = line.partition(" ")
        found = structure(smiles, name=name or None)
        yield Measurement(found, found, "structure", name=name or None)


COMPONENTS = (
    Component(
        "reader",
        "toy-structures",
        "toy:read_structures",
        "A SMILES and a name on each line.",
        modality="structure",
        suffixes=(".structures",),
    ),
    Component("encoder", "toy-peaks", "toy:Peaks", "Peaks."),
    Component("encoder", "toy-letters", "toy:Letters", "Letters."),
    Component("encoder", "toy-places", "toy:Places", "Places of peaks; learns apart."),
    Component("encoder", "toy-oxygens", "toy:Oxygens", "Places of oxygens."),
    Component("encoder", "toy-waves", "toy:Waves", "Traces."),
    Component("encoder", "toy-numbers", "toy:Numbers", "Values."),
    Component("scorer", "toy-oxygen", "toy:Oxygen", "A scorer that learns.", modality="msms"),
    Component("loss", "toy-whole", "toy:Whole", "Softmax that wants to see every positive."),
    Component("loss", "toy-softmax", "toy:Softmax", "Softmax.", cite="10.0000/toy"),
    Component("loss", "toy-plain", "toy:Plain", "Softmax of a fixed temperature."),
    Component("loss", "toy-broken", "toy:Broken", "NaN."),
)
PLUGIN = Plugin("toy", "molvis-toy", "1.0", "toy", COMPONENTS)

CONFIG = """
name = "tiny"
[data]
path = "dataset"
[encoders.msms]
use = "toy-peaks"
[encoders.structure]
use = "toy-letters"
[[pairs]]
query = "msms"
reference = "structure"
loss = "toy-softmax"
"""
"""The smallest configuration of these toys. Tests of training add `TRAIN`, and what else they are about."""
TRAIN = """
[train]
batch = 8
accelerator = "cpu"
devices = 1
"""
