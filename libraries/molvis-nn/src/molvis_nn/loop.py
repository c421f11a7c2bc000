"""What runs of training tell of themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands, for progress bars.

    Attributes:
        step, steps: done and in all.
        epoch, epochs: done and in all.
        loss: of the latest step.
        rate: compounds a second since the start.
        message: what is going on where it is not a training step.
    """

    step: int
    steps: int
    epoch: int
    epochs: int
    loss: float = math.nan
    rate: float = 0.0
    message: str = ""
