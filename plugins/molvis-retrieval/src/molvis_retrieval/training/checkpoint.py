"""Checkpoints."""

from __future__ import annotations

import errno
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from molvis_core.errors import TrainingError
from molvis_files.writing import replacing
from molvis_retrieval.training.average import WeightAverage
from molvis_retrieval.training.step import GradientBalance


@dataclass
class State:
    """What changes as a run goes on; a checkpoint is this and the weights."""

    step: int = 0
    best: float = -math.inf
    best_epoch: int = -1
    since_best: int = 0
    best_metrics: dict[str, float] = field(default_factory=dict)
    rows: list[dict[str, float]] = field(default_factory=list)


ELSEWHERE: dict[str, Any] = {
    "accelerator": "auto", "devices": "auto", "nodes": 1, "strategy": "auto", "workers": 0, "checkpoint_every": 300.0,
}  # fmt: skip
"""Settings that may differ between a run and its resumption: where it runs, not what it computes."""


def write_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all."""
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    try:
        with replacing(path) as fresh:
            fresh.write_bytes(buffer.getbuffer())
    except OSError as error:
        raise disk_error(path, error) from error


def load_checkpoint(
    path: Path,
    signature: str,
    modules: Mapping[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    average: WeightAverage,
    balance: GradientBalance,
) -> tuple[State, dict[str, dict[str, Tensor]], list[float]]:
    """Load a checkpoint into the modules and the optimizer of a run."""
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
        if content["signature"] != signature:
            raise TrainingError(
                f"{path}: this checkpoint is of another configuration "
                f"({_first_difference(content['signature'], signature)}). "
                "Train into another folder, or start anew with --no-resume."
            )
        for name, module in modules.items():
            module.load_state_dict(content["modules"][name])
        optimizer.load_state_dict(content["optimizer"])
        average.state = content["average"]
        balance.load(content["balance"])
        return State(**content["state"]), content["best"], content["running"]
    except TrainingError:
        raise
    except Exception as error:  # a damaged file fails in many ways inside torch and zipfile
        raise TrainingError(f"{path}: the checkpoint is damaged: {error}. Start anew with --no-resume.") from error


def _first_difference(old: str, new: str) -> str:
    for before, after in zip(old.splitlines(), new.splitlines(), strict=False):
        if before != after:
            return f"it says {before!r}, now {after!r}"
    return "it has other entries"


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    try:
        with replacing(path) as fresh:
            fresh.write_text(text, encoding="utf-8")
    except OSError as error:
        raise disk_error(path, error) from error


def disk_error(path: Path, error: OSError) -> TrainingError:
    """Why a file of the run cannot be written, and how to go on."""
    why = "the disk is full; free some space" if error.errno == errno.ENOSPC else str(error)
    return TrainingError(
        f"{path}: cannot be written: {why}. The last checkpoint is kept: run the same command again to go on from it."
    )
