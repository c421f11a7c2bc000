"""`molvis library`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from molvis_core import output
from molvis_core.completion import names
from molvis_files.arguments import existing
from molvis_retrieval.commands.options import Address, EngineOption

if TYPE_CHECKING:
    from molvis_core.errors import ReadError
    from molvis_retrieval.bundle import Bundle
    from molvis_retrieval.dataset import Dataset

Vectors = Annotated[
    Literal["float16", "int8"],
    typer.Option(
        help="Numbers of vectors in partitions: int8 takes half the bytes, and cosines are off by up to 0.004."
    ),
]
PartitionSize = Annotated[int, typer.Option(min=1, help="Structures of a partition.")]


def build(
    bundle: Annotated[str, typer.Argument(autocompletion=names("bundle"), help="Folder or name of a bundle.")],
    files: Annotated[list[Path] | None, typer.Argument(help="SMILES, SDF, CSV, TSV or Parquet files.")] = None,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="Folder of the index, or s3://BUCKET/FOLDER; resumed if it exists."),
    ] = Path("index"),
    dataset: Annotated[Path | None, typer.Option(help="Add the compounds of this dataset.")] = None,
    reader: Annotated[
        str | None,
        typer.Option(autocompletion=names("reader"), help="Reader, instead of one chosen by the file's ending."),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Number of structures between two progress messages.")] = 2048,
    device: Annotated[str | None, typer.Option(help="PyTorch device, such as cpu or cuda:0.")] = None,
    partitioned: Annotated[
        bool, typer.Option("--partitioned", help="Write partitions, for millions of structures or an object store.")
    ] = False,
    engine: EngineOption = None,
    processes: Annotated[int | None, typer.Option(min=1, help="Processes that embed; all by default.")] = None,
    address: Address = None,
    vectors: Vectors = "float16",
    partition_size: PartitionSize = 32_768,
) -> None:
    """Embed a library of structures into an index for search.

    Salts, solvates and ions come in as the neutral compound behind them, one row for each; charges that cannot be lost
    stay. Structures that RDKit refuses are counted and passed over. An interrupted build goes on where it was.

    With --partitioned, --engine or an address for --out the library is a folder of partitions, sorted by mass, that
    several processes or machines embed and searches read in parts. Another bundle's vectors are added to one that is
    there: name no files.
    """
    existing(*(files or ()), what="a file of structures")
    existing(dataset, what="a dataset")
    output.resumes()
    from molvis_core.errors import ConfigError
    from molvis_files.stores import is_url
    from molvis_retrieval import load_bundle
    from molvis_retrieval.dataset import Dataset
    from molvis_retrieval.index import build_index, describe_index
    from molvis_retrieval.library import Library
    from molvis_retrieval.partitions import is_partitioned

    if any((partitioned, engine, is_url(out), is_partitioned(out))):
        _build_partitions(
            load_bundle(bundle), files or [], out, Dataset.open(dataset) if dataset else None, reader,
            engine=engine or "processes", processes=processes, address=address, kind=vectors, size=partition_size,
            device=device,
        )  # fmt: skip
        return
    if not files and dataset is None:
        raise ConfigError("nothing to embed: name files of structures, or a dataset with --dataset")
    with output.progress("reading structures") as show:
        library = Library.read(list(files), reader=reader, progress=show) if files else None
    if dataset is not None:
        known = Library.from_dataset(Dataset.open(dataset))
        library = library.merge(known) if library else known
    assert library is not None
    _refused(library.problems)
    with output.progress("embedding structures") as show:
        index = build_index(load_bundle(bundle), library, out, batch_size=batch_size, device=device, progress=show)
    if library.parents.words:
        output.note(library.parents.words)
    _show({**describe_index(index), "parents": asdict(library.parents)})


def _build_partitions(
    bundle: Bundle, files: Sequence[Path], out: Path, dataset: Dataset | None, reader: str | None, **options: Any
) -> None:
    """Build a partitioned library of files and the compounds of a dataset, or add a bundle's vectors to one."""
    from molvis_files.digests import file_sha256
    from molvis_retrieval.index import describe_index
    from molvis_retrieval.library import read_structures, structures_in
    from molvis_retrieval.parents import ParentCounts
    from molvis_retrieval.partition_building import build_partitioned
    from molvis_retrieval.partition_sorting import tables_of

    problems: list[ReadError] = []
    counts = ParentCounts()
    source = {file.name: file_sha256(file) for file in files} | ({dataset.path.name: dataset.digest} if dataset else {})
    with output.progress("building the library") as show:
        tables = None
        if source:
            reading = read_structures(files, problems, reader=reader, progress=lambda n, of: show(n, of, "reading"))
            tables = tables_of(itertools.chain(reading, structures_in(dataset) if dataset else ()), counts)
        index = build_partitioned(bundle, out, tables, source=source or None, counts=counts, progress=show, **options)
    _refused(problems)
    if counts.words:
        output.note(counts.words)
    _show({**describe_index(index), "parents": asdict(counts)})


def _refused(problems: Sequence[ReadError]) -> None:
    for problem in problems[:5]:
        output.note(f"refused: {problem}")
    if problems:
        output.note(f"{len(problems)} structures refused")


def convert(
    path: Annotated[Path, typer.Argument(help="An index of one file of vectors.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="New folder, or s3://BUCKET/FOLDER.")],
    vectors: Vectors = "float16",
    partition_size: PartitionSize = 32_768,
) -> None:
    """Write an index as a partitioned library. Nothing is embedded again; float16 keeps every number as it is."""
    existing(path, what="an index")
    from molvis_retrieval.index import Index, describe_index
    from molvis_retrieval.partition_building import convert_index

    index = Index.open(path)
    with output.progress("converting the index") as show:
        made = convert_index(index, out, size=partition_size, kind=vectors, progress=show)
    _show(describe_index(made))


def cluster(
    path: Annotated[Path, typer.Argument(help="A library of partitions, or its address.")],
    lists: Annotated[int | None, typer.Option(min=1, help="Lists; by default as many as serve so many.")] = None,
    bundle: Annotated[
        str | None, typer.Option("--bundle", "-b", help="Bundle of the vectors, where there are several.")
    ] = None,
    engine: EngineOption = None,
    processes: Annotated[int | None, typer.Option(min=1, help="Processes that work; all by default.")] = None,
    address: Address = None,
) -> None:
    """Prepare a library of partitions for searches without a mass, which then look at a small part of it.

    molvis library build does this by itself from a million structures on.
    """
    existing(path, what="a library")
    from molvis_retrieval import load_bundle
    from molvis_retrieval.index import Index, describe_index
    from molvis_retrieval.partition_building import cluster_library

    digest = load_bundle(bundle).encoders_digest if bundle else None
    with output.progress("clustering") as show:
        done = cluster_library(
            path, digest, lists=lists, engine=engine or "processes", processes=processes, address=address, progress=show
        )
    _show(describe_index(Index.open_partitioned(done.store, digest)))


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
