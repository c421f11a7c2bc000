"""Encoders of structures pretrained on a library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from molvis_core import registry
from molvis_core.errors import ConfigError
from molvis_core.interfaces import Spec
from molvis_files.locking import sole_writer
from molvis_nn.loop import TrainingProgress
from molvis_nn.pretrained import Pretrainer, PretrainResult, find_spec
from molvis_retrieval.library import Library


def pretrain(
    library: Path | str | Sequence[Path | str],
    encoder: Spec | str,
    folder: Path | str,
    *,
    method: str = "masking",
    epochs: int = 10,
    batch: int = 256,
    limit: int = 0,
    seed: int = 0,
    workers: int = 0,
    resume: bool = True,
    progress: Callable[[TrainingProgress], None] | None = None,
) -> PretrainResult:
    """Pretrain an encoder of structures on a library, without any measurement.

    Args:
        library: files of structures, as `molvis library build` takes them.
        encoder: the name of an encoder, its spec with `use` and arguments, or a TOML file that holds one.
        folder: of the run; made if it does not exist.
        method: a component of kind `pretrainer`.
        epochs: passes over the structures.
        batch: structures in a step.
        limit: draw so many structures; 0 takes all.
        seed: of everything drawn.
        workers: processes that prepare batches.
        resume: go on from the folder's checkpoint if there is one of the same settings.
        progress: called after every step.

    Raises:
        ConfigError, molvis_core.errors.ComponentError: no such encoder or method, or an argument that it does not take.
        molvis_core.errors.ReadError: the library cannot be read.
        molvis_core.errors.TrainingError: too few structures, a loss that is not finite, a full disk, or a checkpoint of
            other settings.
        molvis_core.errors.BusyError: another process pretrains into the folder.
    """
    for name, value, least in (
        ("epochs", epochs, 1),
        ("batch", batch, 2),
        ("limit", limit, 0),
        ("workers", workers, 0),
    ):
        if value < least:
            raise ConfigError(f"pretrain: {name} must be {least} or more, got {value}")
    spec = find_spec(encoder)
    name, arguments = registry.spec_name(spec, where="encoder")
    registry.check_arguments("encoder", name, arguments)
    run: Pretrainer = registry.load("pretrainer", method)

    def reading(done: int, _: int) -> None:
        if progress:
            progress(TrainingProgress(done, 0, 0, epochs, message="reading structures"))

    with sole_writer(folder):
        found = Library.read(library, progress=reading)
        rows = np.arange(len(found))
        if limit and limit < len(rows):
            rows = np.sort(np.random.default_rng([seed, 4]).choice(rows, limit, replace=False))
        return run(
            found.structures(rows), spec, Path(folder),
            epochs=epochs, batch=batch, seed=seed, workers=workers, resume=resume, progress=progress,
        )  # fmt: skip
