"""Contracts of targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from molvis_core.records import Structure
from molvis_core.testing.checks._contract import contract, require
from molvis_core.testing.checks._models import check_batch


@contract("target-range")
def target_is_a_likeness(target: Any, structures: Sequence[Structure]) -> None:
    """Target and weight between 0 and 1, 1 for the same structure, the same seen from either side."""
    import torch

    left, right = target.collate(list(structures)), target.collate(list(structures)[:-1])
    wanted, weight = target(left, right)
    shape = (len(structures), len(structures) - 1)
    for name, matrix in (("target", wanted), ("weight", weight)):
        require(tuple(matrix.shape) == shape, f"the {name} must have shape {shape}, got {tuple(matrix.shape)}")
        require(bool(torch.isfinite(matrix).all()), f"the {name} is not finite")
        inside = float(matrix.min()) >= 0 and float(matrix.max()) <= 1 + 1e-6
        require(inside, f"the {name} runs from {float(matrix.min())} to {float(matrix.max())}, beyond [0, 1]")
    known = weight.diagonal() > 0
    require(bool((wanted.diagonal()[known] > 0.999).all()), "a structure is not like itself: its target is below 1")
    mirrored, _ = target(right, left)
    require(bool(torch.allclose(mirrored.T, wanted, atol=1e-5)), "target(a, b) and target(b, a) disagree")


@contract("target-batch")
def target_batch_travels(target: Any, structures: Sequence[Structure]) -> None:
    """The batch has a length, pickles, and moves to a device as a new batch."""
    check_batch(target, structures, lambda batch: target(batch, batch)[0].float().numpy())
