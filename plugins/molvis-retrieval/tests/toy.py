"""A toy plugin for tests of training and bundles: tiny encoders of peaks and structures, and a plain loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from molvis_core.plugins import Component, Plugin
from molvis_core.records import PeakList, Structure, Trace, Value
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


COMPONENTS = (
    Component("encoder", "toy-peaks", "toy:Peaks", "Peaks."),
    Component("encoder", "toy-letters", "toy:Letters", "Letters."),
    Component("encoder", "toy-waves", "toy:Waves", "Traces."),
    Component("encoder", "toy-numbers", "toy:Numbers", "Values."),
    Component("loss", "toy-whole", "toy:Whole", "Softmax that wants to see every positive."),
    Component("loss", "toy-softmax", "toy:Softmax", "Softmax.", cite="10.0000/toy"),
    Component("loss", "toy-plain", "toy:Plain", "Softmax of a fixed temperature."),
    Component("loss", "toy-broken", "toy:Broken", "NaN."),
)
PLUGIN = Plugin("toy", "molvis-toy", "1.0", "toy", COMPONENTS)
