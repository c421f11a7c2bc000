"""Scorers that learn: each gets its windows once the encoders are trained, and the bundle keeps what it learned."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from molvis_core import registry
from molvis_core.errors import TrainingError
from molvis_core.interfaces import Learns
from molvis_core.progress import StageProgress
from molvis_core.records import RECORD_TYPES, RankedQuery
from molvis_files.writing import replacing_folder
from molvis_nn.loop import TrainingProgress, write_safely
from molvis_retrieval.config import RunConfig
from molvis_retrieval.training.run import Report, Run
from molvis_retrieval.training.windows import Windows

log = logging.getLogger("molvis")


@dataclass(frozen=True, slots=True)
class Learned:
    """What became of the scorers of a configuration.

    Attributes:
        config: without those that had nothing to learn from.
        scorers: those that have learned, by their keys.
        metrics: figures of theirs, as `val_hit1/fragments`.
    """

    config: RunConfig
    scorers: Mapping[str, Learns]
    metrics: Mapping[str, float]


def learn_scorers(run: Run, folder: Path, *, resume: bool = True, report: Report | None = None) -> Learned:
    """Let the scorers of a run learn that can.

    Args:
        run: its library, or else its dataset, is where candidates come from.
        folder: of the run. What a scorer needs to go on after an interruption, and what it learned in the end, is kept
            in `scorers/KEY/`.
        resume: take what is there; else it is thrown away first.
        report: called as the scorers learn.

    Raises:
        TrainingError: a scorer cannot learn, or the disk is full.
    """
    config = run.config
    scorers: dict[str, Learns] = {}
    metrics: dict[str, float] = {}
    dropped: set[str] = set()
    if not resume:
        shutil.rmtree(folder / "scorers", ignore_errors=True)
    windows: Windows | None = None
    for key, spec in config.scorers.items():
        scorer: Any = registry.build("scorer", spec, where=f"scorers.{key}")
        if not isinstance(scorer, Learns):
            continue
        mine = folder / "scorers" / key
        if not (mine / "learned").is_dir():
            windows = windows or run.windows()
            examples, validation = _queries(run, windows, scorer, registry.component("scorer", spec["use"]).modality)
            if not examples or not validation:
                log.warning(
                    "scorer %r is left out: it learns from measurements among structures of their mass, and there are "
                    "%d of them to learn from and %d to validate with. Name a library of structures with --negatives",
                    key, len(examples), len(validation),
                )  # fmt: skip
                dropped.add(key)
                continue
            _learn(scorer, examples, validation, mine, run.config.train.seed, _shown(run, key, report))
        scorer.load(mine / "learned")
        figures = json.loads((mine / "figures.json").read_text(encoding="utf-8"))
        scorers[key] = scorer
        metrics |= {f"{name}/{key}": float(value) for name, value in figures.items()}
    kept = {key: spec for key, spec in config.scorers.items() if key not in dropped}
    return Learned(replace(config, scorers=kept), scorers, metrics)


def _queries(run: Run, windows: Windows, scorer: Any, modality: str) -> tuple[list[RankedQuery], list[RankedQuery]]:
    """Training and validation queries of every modality that a scorer takes."""
    described = run.dataset.metadata["modalities"]
    taken = [
        name
        for name in run.dataset.modalities
        if modality in ("", name) and issubclass(RECORD_TYPES[described[name]["record"]], scorer.accepts)
    ]
    return [q for m in taken for q in windows.training(m)], [q for m in taken for q in windows.validation(m)]


def _shown(run: Run, key: str, report: Report | None) -> StageProgress | None:
    if report is None:
        return None
    epochs = run.config.train.epochs
    return lambda done, total, what="": report(TrainingProgress(done, total, epochs, epochs, message=f"{key}: {what}"))


def _learn(
    scorer: Learns,
    examples: list[RankedQuery],
    validation: list[RankedQuery],
    folder: Path,
    seed: int,
    progress: StageProgress | None,
) -> None:
    """Learn, and keep what was learned; `learned` is written last, so that where it is all is there."""
    checkpoint = folder / "checkpoint"
    checkpoint.mkdir(parents=True, exist_ok=True)
    figures = scorer.learn(examples, validation, seed=seed, progress=progress, checkpoint=checkpoint)
    write_safely(folder / "figures.json", json.dumps(dict(figures)).encode())
    try:
        with replacing_folder(folder / "learned") as fresh:
            scorer.save(fresh)
    except OSError as error:
        raise TrainingError(
            f"{folder / 'learned'}: cannot be written: {error}. Run the same command again: it goes on from the "
            "checkpoint."
        ) from error
    shutil.rmtree(checkpoint, ignore_errors=True)
