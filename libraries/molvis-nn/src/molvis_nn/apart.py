"""Encoders that learn apart: by a recipe of their own, before anything else is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from molvis_core.progress import StageProgress
from molvis_core.records import RankedQuery

__all__ = ["LearnsApart"]


@runtime_checkable
class LearnsApart(Protocol):
    """An encoder of measurements that learns by itself, together with the encoder of structures on its other side.

    `molvis train` calls `learn` where the configuration pairs two such encoders, and takes no steps of its own with
    them. What was learned is in the state dicts of both.

    Attributes:
        spectra, candidates: measurements of a compound, and structures for each, that it wants to learn from. Those of
            `[windows]` are for scorers.
    """

    spectra: int
    candidates: int

    def learn(
        self,
        reference: Any,
        examples: Sequence[RankedQuery],
        validation: Sequence[RankedQuery],
        *,
        seed: int = 0,
        progress: StageProgress | None = None,
        checkpoint: Path | None = None,
    ) -> Mapping[str, float]:
        """Learn the weights of both encoders; whatever was learned before is forgotten.

        Args:
            reference: the encoder of structures.
            examples: queries of the training fold among structures of their mass.
            validation: queries of other compounds, to decide when to stop; the weights are not fitted to them.
            seed: of everything drawn.
            progress: called with what is done, what there is in all, and what is being done.
            checkpoint: a folder of this call alone. The same call after an interruption goes on from there.

        Returns:
            Figures of how well they rank, by name.

        Raises:
            ConfigError: the other encoder is not the one that this one learns with.
            TrainingError: there is nothing to learn from.
        """
        ...
