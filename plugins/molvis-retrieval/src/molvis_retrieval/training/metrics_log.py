"""Metrics of each epoch, as a table and for TensorBoard."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from molvis_core.text import in_cell
from molvis_retrieval.training.checkpoint import write_text


class Board:
    """TensorBoard, where it is installed."""

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


def write_metrics(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write the metrics of all epochs as a table."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(dict.fromkeys(k for row in rows for k in row)))
    writer.writeheader()
    writer.writerows({k: in_cell(v) for k, v in row.items()} for row in rows)
    write_text(path, text.getvalue())
