"""`molvis data`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from molvis_core import output
from molvis_core.completion import names
from molvis_files.arguments import existing, writable


def import_(
    files: Annotated[list[Path], typer.Argument(help="Files of measurements.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the dataset.")],
    modality: Annotated[
        str | None, typer.Option(autocompletion=names("modality"), help="Take only readers of this modality.")
    ] = None,
    reader: Annotated[
        str | None,
        typer.Option(autocompletion=names("reader"), help="Reader, instead of one chosen by the file's ending."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first bad record.")] = False,
    append: Annotated[bool, typer.Option("--append", help="Add to the dataset that is there.")] = False,
) -> None:
    """Turn files of measurements into a dataset.

    Structures that are salts, solvates or ions come in as the neutral compound behind them, and an adduct such as [M]+
    of a betaine's cation as that of the betaine. A record that is left out is counted by its reason, and listed with
    file, line and reason in problems.csv; with --strict the first one that cannot be read stops the import. An
    interrupted import leaves nothing behind.
    """
    existing(*files, what="a file of measurements")
    from molvis_retrieval.importing import import_files

    with output.progress("importing") as show:
        report = import_files(files, out, modality=modality, reader=reader, strict=strict, append=append, progress=show)
    if output.as_json(report):
        return
    output.print_table(["modality", "measurements"], list(report.imported.items()))
    if report.parents.words:
        output.note(report.parents.words)
    if report.skipped:
        shown = list(report.reasons.items())[:10]
        rest = report.skipped - sum(count for _, count in shown)
        rows = [*shown, *([("other reasons", rest)] if rest else [])]
        output.print_table(["left out because", "records"], rows)
        output.note(f"left out, the first: {report.problems[0]}")
        output.note(f"{report.skipped:,} records left out; each with its reason is in {report.path / 'problems.csv'}")


def describe(
    path: Annotated[Path, typer.Argument(help="The dataset.")],
) -> None:
    """Describe what is in a dataset: compounds, folds, adducts, instruments, licences."""
    existing(path, what="a dataset")
    from molvis_retrieval.dataset import Dataset
    from molvis_retrieval.dataset import describe as count

    found = count(Dataset.open(path))
    if output.as_json(found):
        return
    for modality, summary in found.modalities.items():
        rows: list[tuple[str, object]] = []
        for name, value in summary.items():
            if isinstance(value, dict):
                parts = [f"{k}: {v:,}" for k, v in list(value.items())[:8]]
                more = f", and {len(value) - 8} more" if len(value) > 8 else ""
                rows.append((name.replace("_", " "), ", ".join(parts) + more))
            elif isinstance(value, list):
                rows.append((name.replace("_", " "), " to ".join(f"{v:.2f}" for v in value)))
            else:
                rows.append((name, f"{value:,}" if isinstance(value, int) else value))
        output.print_table([modality, ""], rows)


def verify(
    path: Annotated[Path, typer.Argument(help="The dataset.")],
    add: Annotated[bool, typer.Option("--add", help="Give digests to a dataset of an older molvis.")] = False,
) -> None:
    """Check that a dataset's files are what was written, block by block.

    Exit code 1 and the file and block where something is damaged. What is read is checked in any case.
    """
    existing(path, what="a dataset")
    from molvis_retrieval.commands.verify import show
    from molvis_retrieval.verification import verify_dataset

    show(verify_dataset(path, add=add))


def export(
    path: Annotated[Path, typer.Argument(help="A dataset, or a file to convert.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write; its ending chooses the writer.")],
    modality: Annotated[
        str | None,
        typer.Option(autocompletion=names("modality"), help="Which one, of a dataset with several."),
    ] = None,
    fold: Annotated[str | None, typer.Option(help="Only this fold: train, val or test.")] = None,
    reader: Annotated[
        str | None,
        typer.Option(autocompletion=names("reader"), help="Reader of the file, instead of one chosen by its ending."),
    ] = None,
    writer: Annotated[
        str | None,
        typer.Option(autocompletion=names("writer"), help="Writer, instead of one chosen by the file's ending."),
    ] = None,
) -> None:
    """Write the measurements of a dataset to a file, in any format that an installed writer knows.

    Of a file in place of a dataset everything is written: networks with labelling data and spin systems, which no
    dataset holds, are converted from one format into another.
    """
    existing(path, what="a dataset or a file of measurements")
    writable(out)
    from molvis_retrieval.dataset import Dataset
    from molvis_retrieval.exporting import export_file

    source = Dataset.open(path) if path.is_dir() and not reader else path
    with output.progress("exporting") as show:
        report = export_file(source, out, modality=modality, fold=fold, reader=reader, writer=writer, progress=show)
    if not output.as_json(report):
        some = "measurement" if report.measurements == 1 else "measurements"
        output.note(f"wrote {report.measurements:,} {some} of {report.modality} to {out} ({report.writer})")


def split(
    path: Annotated[Path, typer.Argument(help="The dataset.")],
    by: Annotated[Literal["compound", "cluster"], typer.Option(help="What stays together in one fold.")] = "compound",
    fractions: Annotated[tuple[float, float, float], typer.Option(help="Shares of train, val and test.")] = (
        0.7,
        0.15,
        0.15,
    ),
    seed: Annotated[int, typer.Option(help="Random seed of the split.")] = 0,
    similarity: Annotated[float, typer.Option(help="Least Tanimoto similarity within a cluster.")] = 0.6,
) -> None:
    """Assign each compound to train, val or test, the same for all modalities.

    By cluster, no near twin of a test compound is in training.
    """
    existing(path, what="a dataset")
    from molvis_retrieval.dataset import Dataset
    from molvis_retrieval.splitting import split as assign

    before = Dataset.open(path)
    if held := sorted({f for entry in before.metadata["modalities"].values() for f in entry.get("folds", {}) if f}):
        output.note(
            f"{path} had folds ({', '.join(held)}), of its files or of an earlier split: they are dealt anew, so that "
            "what was held out may come into training"
        )
    done = assign(before, by=by, fractions=fractions, seed=seed, similarity=similarity)
    if output.as_json({m: entry["folds"] for m, entry in done.metadata["modalities"].items()}):
        return
    rows = [(m, f, n) for m, entry in done.metadata["modalities"].items() for f, n in entry["folds"].items()]
    output.print_table(["modality", "fold", "measurements"], rows)
