"""What a run is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from molvis_nn.loop import Progress
from molvis_retrieval.training.pairings import Pairing, truths

if TYPE_CHECKING:
    from molvis_retrieval.dataset import Dataset
    from molvis_retrieval.library import Library


def featurise(
    encoders: Mapping[str, Any],
    dataset: Dataset,
    pairings: Sequence[Pairing],
    library: Library | None,
    pools: Sequence[Mapping[str, np.ndarray]],
    say: Callable[[Progress], None] | None,
    epochs: int,
) -> None:
    """Let a structure encoder prepare its features once, by all processors, instead of in every worker and epoch."""
    encoder = encoders.get("structure")
    if not hasattr(encoder, "featurise"):
        return
    structures = list(truths(dataset, pairings).values())
    if library is not None:
        rows = sorted({int(r) for pool in pools for drawn in pool.values() for r in drawn})
        structures += library.structures(rows)

    def progress(done: int, total: int) -> None:
        if say:
            say(Progress(done, total, 0, epochs, message="preparing structures"))

    cast("Any", encoder).featurise(structures, progress=progress)
