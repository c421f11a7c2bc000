"""`molvis library`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from molvis_core import output
from molvis_core.completion import names
from molvis_files.arguments import existing


def build(
    bundle: Annotated[str, typer.Argument(autocompletion=names("bundle"), help="Folder or name of a bundle.")],
    files: Annotated[list[Path] | None, typer.Argument(help="SMILES, SDF, CSV, TSV or Parquet files.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the index; it is resumed if it exists.")] = Path(
        "index"
    ),
    dataset: Annotated[Path | None, typer.Option(help="Add the compounds of this dataset.")] = None,
    reader: Annotated[
        str | None,
        typer.Option(autocompletion=names("reader"), help="Reader, instead of one chosen by the file's ending."),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Number of structures between two progress messages.")] = 2048,
    device: Annotated[str | None, typer.Option(help="PyTorch device, such as cpu or cuda:0.")] = None,
) -> None:
    """Embed a library of structures into an index for search.

    Salts, solvates and ions come in as the neutral compound behind them, one row for each; charges that cannot be lost
    stay. Structures that RDKit refuses are counted and passed over. An interrupted build goes on where it was.
    """
    existing(*(files or ()), what="a file of structures")
    existing(dataset, what="a dataset")
    output.resumes()
    from molvis_core.errors import ConfigError
    from molvis_retrieval import load_bundle
    from molvis_retrieval.dataset import Dataset
    from molvis_retrieval.index import build_index, describe_index
    from molvis_retrieval.library import Library

    if not files and dataset is None:
        raise ConfigError("nothing to embed: name files of structures, or a dataset with --dataset")
    with output.progress("reading structures") as show:
        library = Library.read(list(files), reader=reader, progress=show) if files else None
    if dataset is not None:
        known = Library.from_dataset(Dataset.open(dataset))
        library = library.merge(known) if library else known
    assert library is not None
    for problem in library.problems[:5]:
        output.note(f"refused: {problem}")
    if library.problems:
        output.note(f"{len(library.problems)} structures refused")
    with output.progress("embedding structures") as show:
        index = build_index(load_bundle(bundle), library, out, batch_size=batch_size, device=device, progress=show)
    if library.parents.words:
        output.note(library.parents.words)
    _show({**describe_index(index), "parents": asdict(library.parents)})


def describe(
    path: Annotated[Path, typer.Argument(help="The index.")],
) -> None:
    """Say what is in an index: how many structures, by which bundle, from where."""
    existing(path, what="an index")
    from molvis_retrieval.index import Index, describe_index

    _show(describe_index(Index.open(path)))


def verify(
    path: Annotated[Path, typer.Argument(help="The index.")],
    add: Annotated[bool, typer.Option("--add", help="Give digests to an index of an older molvis.")] = False,
) -> None:
    """Check that an index's structures and vectors are what was written, block by block.

    Exit code 1 and the file and block where something is damaged. What a search reads is checked in any case.
    """
    existing(path, what="an index")
    from molvis_retrieval.commands.verify import show
    from molvis_retrieval.verification import verify_index

    show(verify_index(path, add=add))


def _show(found: dict[str, object]) -> None:
    if output.as_json(found):
        return
    rows: list[tuple[str, object]] = []
    for name, value in found.items():
        if isinstance(value, dict):
            rows.append((name, ", ".join(f"{k}: {v:,}" for k, v in list(value.items())[:8])))
        elif isinstance(value, list):
            rows.append((name.replace("_", " "), " to ".join(f"{v:.2f}" for v in value)))
        else:
            rows.append((name.replace("_", " "), f"{value:,}" if isinstance(value, int) else value))
    output.print_table(["index", ""], rows)
