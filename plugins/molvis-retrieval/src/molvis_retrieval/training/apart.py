"""Encoders that learn apart: each gets its windows before anything else, and the run takes no steps with them.

They may be parts of encoders whose other parts are trained in steps afterwards.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from molvis_core.errors import BundleError, ConfigError, TrainingError
from molvis_core.interfaces import Concatenation, declares
from molvis_core.progress import StageProgress
from molvis_files.writing import replacing
from molvis_nn.apart import LearnsApart
from molvis_nn.loop import TrainingProgress, on_cpu, write_metrics, write_safely
from molvis_retrieval.training.checkpoint import State
from molvis_retrieval.training.run import Report, Run
from molvis_retrieval.training.validation import validate

Sides = tuple[LearnsApart, Any]
"""An encoder that learns apart, and the one on its other side."""


def learns_apart(run: Run) -> bool:
    """Whether encoders of a run, or parts of them, learn apart.

    Raises:
        ConfigError: some do, and the run has more than one pairing with structures.
    """
    if not any(True for encoder in run.encoders.values() for _ in _sides(encoder, encoder)):
        return False
    others = [f"{p.query}:{p.reference}" for p in run.pairings if p.fused or p.reference != "structure"]
    if others or len(run.pairings) > 1:
        raise ConfigError(
            "encoders that learn apart are trained in a run of one pairing with structures; this run has "
            f"{', '.join(others) or 'several pairings'}. Train them in a run of their own, or use an encoder that "
            "learns in steps, such as peak-sum"
        )
    return True


def takes_steps(run: Run) -> bool:
    """Whether anything of a run's encoders is trained in steps."""
    return any(p.requires_grad for encoder in run.trained.values() for p in encoder.parameters())


def _sides(query: Any, reference: Any) -> Iterator[Sides]:
    """The encoders that learn apart, among them those that are parts of others."""
    if isinstance(query, LearnsApart):
        yield query, reference
    elif declares(query, Concatenation) and declares(reference, Concatenation):
        for mine, other in zip(query.parts, reference.parts, strict=True):
            yield from _sides(mine, other)


def learn_apart(run: Run, folder: Path, *, resume: bool = True, report: Report | None = None) -> dict[str, float]:
    """Let the encoders of a run learn that learn apart; their weights change no more after that.

    Args:
        run: its library, or else its dataset, is where candidates come from.
        folder: of the run. What an encoder needs to go on after an interruption, and what it learned, is kept in
            `encoders/`.
        resume: take what is there; else it is thrown away first.
        report: called as they learn.

    Returns:
        Figures of how well they rank, by name.

    Raises:
        ConfigError: an encoder does not learn with the one on its other side.
        TrainingError: there is nothing to learn from, or the disk is full.
    """
    pairing = run.pairings[0]
    mine = folder / "encoders"
    if not resume:
        shutil.rmtree(mine, ignore_errors=True)
    figures: dict[str, float] = {}
    for number, (query, reference) in enumerate(_sides(run.encoders[pairing.query], run.encoders[pairing.reference])):
        kept = mine / f"{number}.safetensors"
        if not kept.is_file():
            _learn(run, query, reference, kept, _shown(run, pairing.query, report))
        figures |= _restore(kept, query, reference)
        for module in _named(query, reference).values():
            module.requires_grad_(False)
    return figures


def validated(run: Run, folder: Path, figures: Mapping[str, float]) -> State:
    """Where a run stands that takes no steps: its encoders as they are, and how they rank.

    Args:
        run: whose encoders have learned.
        folder: of the run; the metrics are written there.
        figures: that stand beside them.
    """
    metrics = validate(run)
    value = -metrics["val_loss"] if run.config.train.select == "loss" else metrics[f"val_{run.config.train.select}"]
    epochs = run.config.train.epochs
    row = {"epoch": float(epochs), "step": 0.0, **figures, **metrics}
    write_metrics(folder / "metrics.csv", [row])
    weights = {key: on_cpu(encoder.state_dict()) for key, encoder in run.encoders.items()}
    return State(best=value, best_epoch=epochs, best_metrics=metrics, rows=[row], best_weights=weights)


def _learn(run: Run, query: LearnsApart, reference: Any, kept: Path, progress: StageProgress | None) -> None:
    """Learn, and keep what was learned in one file, written whole or not at all."""
    from safetensors.torch import save_file

    pairing = run.pairings[0]
    windows = run.windows(spectra=query.spectra, candidates=query.candidates)
    examples, validation = windows.training(pairing.query), windows.validation(pairing.query)
    if not examples or not validation:
        raise TrainingError(
            f"encoder {pairing.query!r} learns from measurements among structures of their mass, and there are "
            f"{len(examples)} of them to learn from and {len(validation)} to validate with. Name a library of "
            "structures with --negatives"
        )
    checkpoint = kept.with_suffix("")
    checkpoint.mkdir(parents=True, exist_ok=True)
    seed = run.config.train.seed
    figures = query.learn(reference, examples, validation, seed=seed, progress=progress, checkpoint=checkpoint)
    tensors = {
        f"{side}.{name}": value.contiguous()
        for side, encoder in _named(query, reference).items()
        for name, value in on_cpu(encoder.state_dict()).items()
    }
    write_safely(kept.with_suffix(".json"), json.dumps(dict(figures)).encode())
    try:
        with replacing(kept) as fresh:
            save_file(tensors, fresh)
    except OSError as error:
        raise TrainingError(
            f"{kept}: cannot be written: {error}. Run the same command again: it goes on from the checkpoint."
        ) from error
    shutil.rmtree(checkpoint, ignore_errors=True)


def _restore(kept: Path, query: LearnsApart, reference: Any) -> dict[str, float]:
    """Give both encoders what was kept; returns their figures."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(kept)
        for side, encoder in _named(query, reference).items():
            head = f"{side}."
            encoder.load_state_dict({n.removeprefix(head): v for n, v in tensors.items() if n.startswith(head)})
        return {name: float(value) for name, value in json.loads(kept.with_suffix(".json").read_bytes()).items()}
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise BundleError(f"{kept}: damaged: {error}. Train anew with --no-resume") from error


def _named(query: Any, reference: Any) -> dict[str, nn.Module]:
    return {"query": query, "reference": reference}


def _shown(run: Run, key: str, report: Report | None) -> StageProgress | None:
    if report is None:
        return None
    epochs = run.config.train.epochs
    return lambda done, total, what="": report(TrainingProgress(done, total, 0, epochs, message=f"{key}: {what}"))
