"""`molvis train`."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molvis_core import output
from molvis_core.completion import names
from molvis_files.arguments import existing

if TYPE_CHECKING:
    from molvis_nn.loop import TrainingProgress


def train(
    config: Annotated[
        str,
        typer.Argument(autocompletion=names("preset"), help="A TOML file, or the name of a preset such as 'default'."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run; it is resumed if it exists.")],
    data: Annotated[str, typer.Option(help="Dataset, instead of the configuration's.")] = "",
    negatives: Annotated[str, typer.Option(help="Library of harder candidates, instead of the configuration's.")] = "",
    epochs: Annotated[int, typer.Option(help="Epochs, instead of the configuration's.")] = 0,
    seed: Annotated[int, typer.Option(help="Seed, instead of the configuration's.")] = -1,
    resume: Annotated[bool, typer.Option(help="Go on from the folder's checkpoint.")] = True,
    half: Annotated[bool, typer.Option("--half", help="Store the bundle's weights in 16 bits.")] = False,
) -> None:
    """Train a bundle from a configuration.

    Leaves the bundle of the best epoch, metrics.csv, TensorBoard events and a checkpoint in the folder. Run the same
    command again after an interruption: it goes on, and ends as if nothing had happened.
    """
    from molvis_retrieval.config import config_path, read_config

    existing(data or None, what="a dataset")
    existing(negatives or None, what="a library of structures")
    read_config(config_path(config))  # before PyTorch is imported
    output.resumes()
    from molvis_retrieval.config import find_config
    from molvis_retrieval.training.loop import train as run

    wanted = find_config(config, data=data, negatives=negatives, epochs=epochs, seed=None if seed < 0 else seed)
    with training_bar() as show:
        result = run(wanted, out, resume=resume, progress=show, half=half)
    if os.environ.get("RANK", "0") != "0":  # under torchrun one process speaks for all
        return
    if output.as_json(result):
        return
    output.print_table(
        ["metric", "value"], [[name, f"{value:.4f}"] for name, value in result.metrics.items()],
        title=f"best epoch {result.best_epoch} ({result.stopped})",
    )  # fmt: skip
    for text in result.warnings:
        output.note(f"warning: {text}")
    output.note(f"bundle: {result.folder / 'bundle'}")


def _lines(what: str) -> Callable[[TrainingProgress], None]:
    last, said = None, time.monotonic()

    def line(state: TrainingProgress) -> None:
        nonlocal last, said
        mark, now = state.message or state.epoch, time.monotonic()
        fresh = mark != last and bool(state.message or state.step)
        if not fresh and now - said < output.LOG_EVERY:
            return
        last, said = mark, now
        if state.message:
            output.note(state.message + (f": {state.step:,} of {state.steps:,}" if state.steps and not fresh else ""))
        else:
            step = "" if fresh else f" step {state.step:,}/{state.steps:,}"
            output.note(f"epoch {state.epoch}/{state.epochs}{step} loss {state.loss:.4f} {state.rate:.0f} {what}/s")

    return line


@contextlib.contextmanager
def training_bar(what: str = "compounds") -> Generator[Callable[[TrainingProgress], None]]:
    """Loss, speed and time left; without a terminal a line for each epoch and every half minute, for logs."""
    if output.settings.quiet:
        yield lambda state: None
        return
    if not sys.stderr.isatty():
        yield _lines(what)
        return
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[figures]}"), TimeElapsedColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Bar(*columns, console=output.console(stderr=True)) as bar:
        task = bar.add_task("training", total=None, figures="")

        def show(state: TrainingProgress) -> None:
            figures = f"loss {state.loss:.3f}  {state.rate:.0f} {what}/s" if state.rate else ""
            words = state.message or f"epoch {state.epoch}/{state.epochs}"
            bar.update(task, description=words, completed=state.step, total=state.steps or None, figures=figures)

        yield show
