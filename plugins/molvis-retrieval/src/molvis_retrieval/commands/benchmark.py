"""`molvis benchmark`: from files of spectra to a bundle and its figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from molvis_core import output
from molvis_core.completion import names
from molvis_files.arguments import existing

if TYPE_CHECKING:
    from molvis_retrieval.bundle import Bundle
    from molvis_retrieval.dataset import Dataset

_FOLDS = ("train", "val", "test")


def benchmark(
    spectra: Annotated[list[Path], typer.Argument(help="Spectra of known compounds: MGF, MSP, SDF, TSV, ...")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of dataset, run and figures; it is resumed.")],
    config: Annotated[
        str, typer.Option(autocompletion=names("preset"), help="A TOML file, or the name of a preset.")
    ] = "default",
    library: Annotated[
        Path | None, typer.Option("--library", "-l", help="Candidates; the structures of the spectra by default.")
    ] = None,
    candidate_lists: Annotated[
        Path | None,
        typer.Option(help="Instead: a list of candidates for each compound, JSON as MassSpecGym's, or CSV."),
    ] = None,
    reader: Annotated[
        str | None,
        typer.Option(autocompletion=names("reader"), help="Reader, instead of one chosen by the file's ending."),
    ] = None,
    by: Annotated[
        Literal["compound", "cluster"], typer.Option(help="What stays together where the files name no folds.")
    ] = "cluster",
    fold: Annotated[str, typer.Option(help="Fold that is evaluated.")] = "test",
    min_peaks: Annotated[int, typer.Option(help="Leave out queries with fewer peaks.")] = 1,
    mces: Annotated[
        bool, typer.Option("--mces", help="With lists: how far the first candidate is from the truth; takes long.")
    ] = False,
) -> None:
    """From files of spectra to a bundle and its figures: import, split, train, evaluate.

    Folds that the files name are kept; else compounds are split, near twins together. Leaves dataset, run and
    figures.json in the folder, and massspecgym.csv where there are lists of candidates. Run the same command again
    after an interruption: what is done is not done again.
    """
    existing(*spectra, what="a file of spectra")
    existing(library, what="a file of structures or an index")
    existing(candidate_lists, what="a file of candidate lists")
    from molvis_core.errors import ConfigError
    from molvis_retrieval.config import config_path, find_config, read_config
    from molvis_retrieval.evaluation.mces import require_mces

    if library is not None and candidate_lists is not None:
        raise ConfigError("--library and --candidate-lists: give one of them; both say what the candidates are")
    if mces and candidate_lists is None:
        raise ConfigError("--mces is measured among lists of candidates: give --candidate-lists FILE, or leave it out")
    if mces:
        require_mces()  # before hours of training
    read_config(config_path(config))  # before PyTorch is imported
    output.resumes()
    from molvis_retrieval import load_bundle
    from molvis_retrieval.commands.train import training_bar
    from molvis_retrieval.training.loop import train

    dataset = _dataset(spectra, out / "dataset", reader, by)
    with training_bar() as show:
        result = train(find_config(config, data=str(dataset.path)), out / "run", progress=show)
    bundle = load_bundle(result.folder / "bundle")
    options = {"fold": fold, "min_peaks": min_peaks}
    if candidate_lists is not None:
        _among_lists(bundle, dataset, candidate_lists, out, {**options, "distances": mces})
    else:
        _among_library(bundle, dataset, library or _structures(dataset, out / "structures.smi"), out, options)
    output.note(f"bundle: {bundle.path}; figures: {out / 'figures.json'}")


def _dataset(spectra: Sequence[Path], path: Path, reader: str | None, by: Literal["compound", "cluster"]) -> Dataset:
    """The dataset of the files, with folds: made once."""
    from molvis_retrieval.dataset import Dataset
    from molvis_retrieval.importing import import_files
    from molvis_retrieval.splitting import split

    if not path.exists():
        with output.progress("importing") as show:
            report = import_files(spectra, path, modality="msms", reader=reader, progress=show)
        output.note(f"imported {sum(report.imported.values()):,} spectra, left out {report.skipped:,}")
        for reason, count in list(report.reasons.items())[:5]:
            output.note(f"left out: {reason} ({count:,})")
    dataset = Dataset.open(path)
    folds = dataset.metadata["modalities"]["msms"].get("folds", {})
    return dataset if set(_FOLDS) <= set(folds) else split(dataset, by=by)


def _structures(dataset: Dataset, path: Path) -> Path:
    """The structures of a dataset as a library."""
    from molvis_files.writing import write_text

    if not path.exists():
        write_text(path, "".join(f"{one}\n" for one in sorted({*dataset.table("msms")["smiles"].to_pylist()} - {None})))
    return path


def _among_lists(bundle: Bundle, dataset: Dataset, path: Path, out: Path, options: dict[str, Any]) -> None:
    from molvis_retrieval.commands.evaluate_lists import show_lists
    from molvis_retrieval.evaluation.candidate_lists import CandidateLists
    from molvis_retrieval.evaluation.lists import evaluate_lists, write_table

    with output.progress("evaluating") as show:
        found = evaluate_lists(bundle, dataset, CandidateLists.read(path), progress=show, **options)
    write_table(out / "massspecgym.csv", [found])
    _write(out, found)
    if not output.as_json([found]):
        show_lists([found])


def _among_library(bundle: Bundle, dataset: Dataset, path: Path, out: Path, options: dict[str, Any]) -> None:
    from molvis_retrieval.commands.evaluate import show_tables
    from molvis_retrieval.commands.identify import open_library
    from molvis_retrieval.evaluation.ranking import evaluate

    index = open_library(path, bundle)
    with output.progress("evaluating") as show:
        found = evaluate(bundle, dataset, index, scopes=("mass",), progress=show, **options)
    _write(out, found)
    if not output.as_json([found]):
        show_tables([found])


def _write(out: Path, found: object) -> None:
    from molvis_files.writing import write_text

    write_text(out / "figures.json", json.dumps(output.to_plain(found), indent=1) + "\n")
