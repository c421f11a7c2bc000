"""`molvis pretrain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molvis_core import output
from molvis_core.completion import names
from molvis_files.arguments import existing
from molvis_retrieval.commands.train import training_bar


def pretrain(
    library: Annotated[list[Path], typer.Argument(help="SMILES, SDF, CSV, TSV or Parquet files of structures.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run; it is resumed if it exists.")],
    encoder: Annotated[
        str,
        typer.Option(
            autocompletion=names("encoder"), help="Encoder: its name, or a TOML file with `use` and arguments."
        ),
    ] = "gldm",
    method: Annotated[
        str, typer.Option(autocompletion=names("pretrainer"), help="A component of kind pretrainer.")
    ] = "masking",
    epochs: Annotated[int, typer.Option(help="Passes over the structures.")] = 10,
    batch: Annotated[int, typer.Option(help="Number of structures in a step.")] = 256,
    limit: Annotated[int, typer.Option(help="Number of structures drawn; 0 takes all.")] = 0,
    seed: Annotated[int, typer.Option(help="Seed of everything drawn.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes that prepare batches.")] = 0,
    resume: Annotated[bool, typer.Option(help="Go on from the folder's checkpoint.")] = True,
) -> None:
    """Pretrain an encoder on structures alone.

    Leaves the weights, config.toml, metrics.csv and a checkpoint in the folder. Run the same command again after an
    interruption: it goes on, and ends as if nothing had happened.
    """
    existing(*library, what="a file of structures")
    output.resumes()
    from molvis_retrieval.training.pretraining import pretrain as run

    with training_bar("structures") as show:
        result = run(
            library, encoder, out, method=method, epochs=epochs, batch=batch, limit=limit, seed=seed, workers=workers,
            resume=resume, progress=show,
        )  # fmt: skip
    if output.as_json(result):
        return
    output.print_table(["metric", "value"], [[name, f"{value:.4f}"] for name, value in result.metrics.items()])
    output.note(f"{result.structures:,} structures, {result.rate:.0f} a second")
    output.note(f"weights: {result.folder / 'encoder.safetensors'}")
