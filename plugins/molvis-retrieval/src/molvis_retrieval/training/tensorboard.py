"""Metrics of each epoch for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


class Board:
    """Events in a folder.

    Args:
        folder: made if it does not exist.
        step: from which the run goes on; later events, of a run that was interrupted, are hidden.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder), purge_step=step)

    def add(self, row: Mapping[str, float], step: int) -> None:
        """Note the metrics of an epoch."""
        for key, value in row.items():
            if key not in ("epoch", "step"):
                self.writer.add_scalar(key, value, step)

    def close(self) -> None:
        """Write what is left."""
        self.writer.close()
