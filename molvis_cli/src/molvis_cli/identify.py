"""`molvis identify` and `molvis calibrate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from molvis_cli import output

if TYPE_CHECKING:
    from molvis.identification import Identification


def identify(
    file: Annotated[Path, typer.Argument(help="Spectra: MGF, MSP, MassBank, mzML or JSON.")],
    library: Annotated[Path, typer.Option("--library", "-l", help="Index made by molvis library build.")],
    bundle: Annotated[str, typer.Option("--bundle", "-b", help="Folder or name of a bundle.")] = "massbank",
    candidates: Annotated[
        Literal["mass", "formula", "all"], typer.Option(help="Which candidates: of the mass, of the formula, or all.")
    ] = "mass",
    ppm: Annotated[float, typer.Option(help="Half width of the mass window.")] = 10.0,
    formula: Annotated[str | None, typer.Option(help="Molecular formula, for --candidates formula.")] = None,
    adduct: Annotated[str | None, typer.Option(help="For spectra that name none, such as [M+H]+.")] = None,
    top: Annotated[int, typer.Option(help="Candidates for each query.")] = 20,
    consensus: Annotated[bool, typer.Option("--consensus", help="Spectra of one name are one unknown.")] = False,
    rerank: Annotated[bool, typer.Option(help="Use the bundle's scorers, such as explained peaks.")] = True,
    reader: Annotated[str | None, typer.Option(help="The reader, instead of one by the file's ending.")] = None,
    modality: Annotated[str, typer.Option(help="Of the queries.")] = "msms",
    csv: Annotated[Path | None, typer.Option(help="Write a table of all candidates.")] = None,
    json: Annotated[str | None, typer.Option(help="Write JSON to a file, or to standard output with '-'.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a report to look at.")] = None,
    device: Annotated[str | None, typer.Option(help="Such as cpu or cuda:0.")] = None,
) -> None:
    """Rank candidate structures for unknown spectra.

    A spectrum that cannot be read or searched is reported, and the rest goes on. The probability of a candidate is that
    it is the truth, given that the truth is in the library.
    """
    from molvis import load_bundle
    from molvis.errors import ConfigError
    from molvis.identification import identify as search
    from molvis.identification import to_json, write_csv, write_json
    from molvis.library import Index
    from molvis.reading import read_queries

    outputs = [p for p in (csv, html, None if json in (None, "-") else Path(json)) if p is not None]
    if missing := [p for p in outputs if not p.parent.is_dir()]:
        raise ConfigError(f"{missing[0]}: there is no folder {missing[0].parent}; make it first")
    opened, index = load_bundle(bundle), Index.open(library)
    queries, problems = read_queries(file, modality=modality, reader=reader)
    with output.progress("identifying") as show:
        found = search(
            opened, queries, index, candidates=candidates, ppm=ppm, formula=formula, adduct=adduct, top=top,
            rerank=rerank, consensus=consensus, modality=modality, device=device, progress=show,
        )  # fmt: skip
    found = [*found, *problems]
    if csv:
        write_csv(csv, found)
    if html:
        from molvis.report import write_report

        scope = {"mass": f"within {ppm:g} ppm", "formula": "of the formula", "all": "whole library"}[candidates]
        write_report(html, found, bundle=opened, index=index, settings={"candidates": scope, "file": file.name})
    if json and json != "-":
        write_json(json, found)
    if json == "-":
        output.print_json(to_json(found))
    else:
        show_table(found)


def show_table(found: Sequence[Identification], most: int = 3) -> None:
    """The best candidates of each query, and the problems."""
    rows: list[tuple[object, ...]] = []
    for one in found:
        for c in one.candidates[:most]:
            mark = "*" if one.truth and c.structure.inchikey14 == one.truth.inchikey14 else ""
            head = (
                (one.query, f"{one.mass:.4f}" if one.mass else None, one.n_candidates) if c.rank == 1 else ("", "", "")
            )
            label = (c.structure.name or c.structure.smiles)[:48]
            rows.append((*head, f"{c.rank}{mark}", label, c.structure.formula, f"{c.probability:.3f}"))
    if rows:
        columns = ["query", "mass", "candidates", "rank", "structure", "formula", "probability"]
        output.print_table(columns, rows)
    for one in found:
        if one.problem:
            output.note(f"not identified: {one.query}: {one.problem}")


def calibrate(
    bundle: Annotated[str, typer.Argument(help="Folder or name of a bundle.")],
    data: Annotated[Path, typer.Argument(help="Dataset with compounds that the bundle was not trained on.")],
    library: Annotated[Path, typer.Option("--library", "-l", help="Index made by molvis library build.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder of a calibrated copy; without it the bundle itself is changed."),
    ] = None,
    modality: Annotated[str, typer.Option(help="Of the measurements.")] = "msms",
    fold: Annotated[str, typer.Option(help="Of the dataset.")] = "val",
    ppm: Annotated[float, typer.Option(help="Half width of the mass window.")] = 10.0,
    per_compound: Annotated[int, typer.Option(help="Spectra of a compound that are used.")] = 4,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Fit the weights of the evidence, so that probabilities mean what they say."""
    import shutil

    from molvis import load_bundle
    from molvis.bundle import write_calibration
    from molvis.dataset import Dataset
    from molvis.errors import BundleError
    from molvis.evaluation import MAIN_ADDUCTS
    from molvis.identification import calibrate as fit
    from molvis.library import Index

    opened, dataset, index = load_bundle(bundle), Dataset.open(data), Index.open(library)
    if out and out.exists():
        raise BundleError(f"{out} exists. Choose another folder, or delete it first.")
    rows = dataset.rows(modality, fold=fold, adducts=MAIN_ADDUCTS, min_peaks=2)
    with output.progress("calibrating") as show:
        found = fit(
            opened, [dataset.measurement(modality, int(r)) for r in rows], index, ppm=ppm, per_compound=per_compound,
            modality=modality, progress=show, fitted_on=f"fold {fold} of {data.name}",
        )  # fmt: skip
    if out:
        shutil.copytree(opened.path, out)
        opened = load_bundle(out)
    write_calibration(opened, found)
    if as_json:
        output.print_json(found)
    else:
        output.print_table(["evidence", "weight"], [(k, f"{v:.3f}") for k, v in found.weights.items()])
