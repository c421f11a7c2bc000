"""`molvis annotate`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molvis_core import output
from molvis_core.errors import ConfigError
from molvis_files.arguments import existing
from molvis_retrieval.commands.features import Accession, BlankRatio, Blanks, Seconds, SurveyPpm, find, write_lists
from molvis_retrieval.commands.options import (
    Adducts,
    BundleName,
    Device,
    FalseDiscoveries,
    Libraries,
    Ppm,
    Processes,
    References,
    StandardMinutes,
    Standards,
    StandardSpectra,
    check_standards,
)

if TYPE_CHECKING:
    from molvis_lcms.records import FeatureTable
    from molvis_retrieval.bundle import Bundle


def annotate(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="Runs (mzML), or a feature list: .json, .mgf with CSV, .ms, .mat, .txt."
        ),
    ],
    *,
    library: Libraries,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the results; the same again goes on in it.")],
    bundle: BundleName = "massbank",
    blank: Blanks = None,
    blank_ratio: BlankRatio = 3.0,
    ms1_ppm: SurveyPpm = 10.0,
    seconds: Seconds = 6.0,
    ppm: Ppm = 10.0,
    adducts: Adducts = None,
    top: Annotated[int, typer.Option(help="Number of candidates kept for each feature.")] = 10,
    rerank: Annotated[bool, typer.Option(help="Use the bundle's scorers, such as explained peaks.")] = True,
    fdr: FalseDiscoveries = None,
    references: References = None,
    standards: Standards = None,
    standard_spectra: StandardSpectra = None,
    standard_minutes: StandardMinutes = 0.2,
    dataset: Accession = None,
    processes: Processes = None,
    device: Device = None,
) -> None:
    """Annotate LC-MS/MS runs: find their features, and rank candidate structures for each.

    Which ion a feature is follows from what elutes beside it, and every hypothesis is ranked together. The folder holds
    annotations.csv, annotations.json, annotations.mztab, report.html, annotated spectra as annotations.mgf and
    annotations.mzSpecLib.txt, and the features as features.mgf, features_quant.csv and features.json. A feature list of
    another program keeps its ids.

    Interrupted or killed, the same command goes on where it was, with the same result.

    Exit status 0: at least one feature was searched. 3: none was.
    """
    existing(*files, *(blank or ()), what="a run or a feature list")
    existing(*library, what="a file of structures or an index")
    check_standards(standards, standard_spectra)
    output.resumes()
    from molvis_files.locking import sole_writer
    from molvis_retrieval.annotation import annotate as search
    from molvis_retrieval.annotation import begin
    from molvis_retrieval.commands.identify import (
        NOTHING_SEARCHED,
        open_bundle,
        open_libraries,
        own_standards,
        read_retention,
        reference_folders,
    )

    tried = [a for a in (adducts or "").split(",") if a.strip()]
    options = {"ppm": ppm, "adducts": tried, "top": top, "rerank": rerank}
    spectra = reference_folders(references)
    opened = open_bundle(bundle, spectra)
    finding = {"blank_ratio": blank_ratio, "ms1_ppm": ms1_ppm, "seconds": seconds, "standard_minutes": standard_minutes}
    read = [*spectra, *(p for p in (standards, standard_spectra) if p)]
    settings = _settings(files, blank or (), library, read, opened.path, dataset, finding | options)
    known = {"retention": read_retention(standards), "standards": own_standards(standard_spectra, standard_minutes)}
    with sole_writer(out):
        begin(out, settings)
        table = _features(out, files, blank or (), ms1_ppm, seconds, blank_ratio, dataset)
        index = open_libraries(library, opened, len(table) > 250, device)
        with output.progress("annotating") as show:
            more = options | {"device": device}
            search(opened, index, table, out, options=more, **known, processes=processes, progress=show)
        _write(out, table, settings, files, opened, fdr, processes)
    for line in table.notes:
        output.note(line)
    counts = _counts(_judged(out, table, fdr)())
    if not output.as_json({"folder": str(out), "features": len(table), **counts}):
        rows = [(name, str(count)) for name, count in counts["levels"].items()]
        output.print_table(["level", "features"], rows, title=str(out))
    if not counts["searched"]:
        raise typer.Exit(NOTHING_SEARCHED)


def _judged(out: Path, table: FeatureTable, fdr: float | None) -> Callable[[], Iterator[Any]]:
    """What was found, with q-values and without what is above a false-discovery rate, as often as it is asked for."""
    from molvis_retrieval.annotation import annotated
    from molvis_retrieval.false_discoveries import believed, rates_of

    rates = rates_of(annotated(out, table))
    return lambda: believed(annotated(out, table), rates, fdr)


def _settings(
    files: Sequence[Path],
    blanks: Sequence[Path],
    library: Sequence[Path],
    references: Sequence[Path],
    bundle: Path,
    dataset: str | None,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """What the result follows from: digests of all that is read, and the options."""
    import molvis_retrieval
    from molvis_files.digests import file_sha256, files_sha256
    from molvis_lcms.usi import check_dataset

    def digest(path: Path) -> str:
        if path.is_file():
            return file_sha256(path)
        return files_sha256(sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith(".")))

    return {
        "format": 2,
        "version": molvis_retrieval.__version__,
        "files": {p.name: digest(p) for p in files},
        "blanks": {p.name: digest(p) for p in blanks},
        "library": {p.name: digest(p) for p in library},
        "references": {p.name: digest(p) for p in references},
        "bundle": {bundle.name: digest(bundle)},
        "dataset": dataset and check_dataset(dataset),
        **options,
    }


def _features(
    out: Path,
    files: Sequence[Path],
    blanks: Sequence[Path],
    ppm: float,
    seconds: float,
    blank_ratio: float,
    dataset: str | None,
) -> FeatureTable:
    """The features, as they are kept in the folder: found or read now, or by the command that was interrupted."""
    from molvis_lcms.formats.documents import read_json_features
    from molvis_lcms.formats.reading import is_run, read_features
    from molvis_lcms.usi import with_usis

    kept = out / "features.json"
    if not kept.is_file():
        runs = [f for f in files if is_run(f)]
        quantities = [f for f in files if f.suffix.lower() == ".csv"]
        lists = [f for f in files if f not in runs and f not in quantities]
        if bool(runs) == bool(lists) or len(lists) > 1 or (quantities and not lists):
            raise ConfigError("name either runs (.mzML), or one feature list, for an MGF file with its table of areas")
        if lists and dataset:
            raise ConfigError("--dataset is of runs (.mzML); scans of a feature list are kept where it has USIs")
        if lists:
            table = read_features(lists[0], quantities)
        else:
            with output.progress("finding features") as show:
                table = find(runs, blanks, (), ppm, seconds, blank_ratio, show)
            table = with_usis(table, dataset) if dataset else table
        write_lists(out, table)
    # As it will be read by whoever goes on: numbers are rounded there.
    return read_json_features(kept)


def _write(
    out: Path,
    table: FeatureTable,
    settings: Mapping[str, Any],
    files: Sequence[Path],
    bundle: Bundle,
    fdr: float | None,
    processes: int | None,
) -> None:
    """The tables, the page and annotated spectra, from what is kept of each chunk and is worked out of it."""
    import molvis_retrieval
    from molvis_lcms.mztab_writing import write_mztab
    from molvis_retrieval.annotation import annotated
    from molvis_retrieval.annotation_tables import annotation_of, write_annotation_csv, write_annotation_json
    from molvis_retrieval.run_details import detailed, work_out
    from molvis_retrieval.run_neighbours import neighbours_of
    from molvis_retrieval.run_page import RunFacts, write_run_page
    from molvis_retrieval.run_spectra import write_annotated_library, write_annotated_mgf

    found = _judged(out, table, fdr)
    with output.progress("explaining") as show:
        work_out(bundle, annotated(out, table), len(table), out, processes=processes, progress=show)
    write_annotation_csv(out / "annotations.csv", found())
    write_annotation_json(out / "annotations.json", found(), settings)
    write_mztab(
        out / "annotations.mztab",
        table,
        [annotation_of(f, one) for f, one in found()],
        version=molvis_retrieval.__version__,
        locations={f.name: f for f in files},
    )
    write_annotated_mgf(out / "annotations.mgf", detailed(out, found()))
    write_annotated_library(out / "annotations.mzSpecLib.txt", detailed(out, found()))
    facts = {"library": ", ".join(settings["library"]), "bundle": ", ".join(settings["bundle"])}
    facts |= {"candidates within": f"{settings['ppm']:g} ppm", "molvis": settings["version"]}
    facts |= {} if fdr is None else {"false-discovery rate": f"{fdr:g} at most"}
    run = RunFacts(table.files, table.notes, facts)
    write_run_page(out / "report.html", detailed(out, found()), run, neighbours_of(table))


def _counts(found: Any) -> dict[str, Any]:
    levels: dict[str, int] = {}
    searched = 0
    for _, one in found:
        level = one["level"] if one else "5"
        levels[level] = levels.get(level, 0) + 1
        searched += one is not None and not one["problem"]
    return {"searched": searched, "levels": dict(sorted(levels.items()))}
