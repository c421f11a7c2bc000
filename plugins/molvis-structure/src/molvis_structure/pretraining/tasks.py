"""What an encoder of structures is asked in pretraining: what was hidden, and which fingerprint the molecule has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor, nn

from molvis_core.records import Structure


@runtime_checkable
class Maskable(Protocol):
    """An encoder that can hide atoms of a batch and classify each.

    Attributes:
        classes: the labels that are predicted for a hidden atom, as the number of classes of each.
        joined: length of the vector that `look` returns for an atom.
    """

    @property
    def classes(self) -> tuple[int, ...]: ...  # noqa: D102

    @property
    def joined(self) -> int: ...  # noqa: D102

    def hide(
        self, batch: Any, share: float, generator: torch.Generator
    ) -> tuple[Any, Bool[Tensor, " a"], Int64[Tensor, "a q"]]:
        """The batch with a share of it hidden, which atoms are, and the true labels of all atoms. On the CPU."""
        ...

    def look(self, batch: Any) -> tuple[Float[Tensor, "n dim"], Float[Tensor, "a joined"]]:
        """Unit vectors of molecules, and features of atoms."""
        ...


@dataclass(frozen=True, eq=False)
class Task:
    """One step's work: a batch, what is hidden in it, and the fingerprints, eight bits to a byte."""

    batch: Any
    hidden: Bool[Tensor, " a"]
    truth: Int64[Tensor, "a q"]
    packed: UInt8[np.ndarray, "n bytes"]


class Tasks(torch.utils.data.Dataset[Task]):
    """Batches by number of the step: any worker can make any of them, and a resumed run makes the same."""

    def __init__(
        self, encoder: Any, structures: Sequence[Structure], packed: np.ndarray, size: int, share: float, seed: int
    ) -> None:
        self.encoder, self.structures, self.packed = encoder, structures, packed
        self.size, self.share, self.seed = min(size, len(structures)), share, seed
        self.per_epoch = len(structures) // self.size
        self._cached: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))

    def __getitem__(self, index: int) -> Task:
        epoch, within = divmod(index, self.per_epoch)
        if self._cached[0] != epoch:
            self._cached = epoch, np.random.default_rng([self.seed, epoch]).permutation(len(self.structures))
        return self.task(self._cached[1][within * self.size : (within + 1) * self.size], index)

    def task(self, rows: np.ndarray, draw: int) -> Task:
        """The work on these structures, what is hidden being drawn by a number."""
        batch = self.encoder.collate([self.structures[row] for row in rows])
        hidden, truth = torch.zeros(0, dtype=torch.bool), torch.zeros((0, 0), dtype=torch.int64)
        if isinstance(self.encoder, Maskable):
            seed = int(np.random.default_rng([self.seed, draw, 5]).integers(2**62))
            batch, hidden, truth = self.encoder.hide(batch, self.share, torch.Generator().manual_seed(seed))
        return Task(batch, hidden, truth, self.packed[rows])


class Heads(nn.Module):
    """What the tasks need besides the encoder, and is thrown away afterwards."""

    def __init__(self, encoder: Any, rates: Float[np.ndarray, " bits"]) -> None:
        super().__init__()
        self.bits = nn.Linear(encoder.dim, len(rates))
        # It starts with how common each bit is, so that the first loss is that of knowing nothing of the molecule.
        self.bits.bias.data = torch.from_numpy(np.log(rates / (1 - rates)).astype(np.float32))
        nn.init.normal_(self.bits.weight, std=0.01)
        questions = encoder.classes if isinstance(encoder, Maskable) else ()
        self.answers = nn.ModuleList(nn.Linear(encoder.joined, count) for count in questions)

    def forward(self, encoder: Any, task: Task, device: torch.device) -> dict[str, Tensor]:
        """Losses and the share of correct predictions: `bits`, and `hidden` where something was hidden."""
        batch = task.batch.to(device)
        vectors, atoms = encoder.look(batch) if self.answers else (encoder(batch), None)
        packed = np.unpackbits(task.packed, axis=1, count=self.bits.out_features)
        bits = torch.from_numpy(packed).to(device, torch.float32)
        # Entries of a unit vector are small: at their usual size the head learns at the rate of the rest.
        logits = self.bits(vectors * math.sqrt(vectors.shape[1]))
        cost = nn.functional.binary_cross_entropy_with_logits(logits, bits, reduction="sum")
        found = {"bits": cost / bits.sum().clamp_min(1)}
        if atoms is not None:
            hidden, truth = task.hidden.to(device), task.truth.to(device)[task.hidden.to(device)]
            logits = [answer(atoms[hidden]) for answer in self.answers]
            count = max(1, len(truth))
            costs = [nn.functional.cross_entropy(s, t, reduction="sum") for s, t in zip(logits, truth.T, strict=True)]
            found["hidden"] = torch.stack(costs).sum() / count
            found["motif_right"] = (logits[0].argmax(-1) == truth[:, 0]).sum() / count
        return found


def bit_rates(packed: UInt8[np.ndarray, "n bytes"], bits: int) -> Float[np.ndarray, " bits"]:
    """How often each bit is set; never quite 0 or 1."""
    count = np.zeros(bits)
    for start in range(0, len(packed), 4096):
        count += np.unpackbits(packed[start : start + 4096], axis=1, count=bits).sum(0)
    return (count + 1) / (len(packed) + 2)
