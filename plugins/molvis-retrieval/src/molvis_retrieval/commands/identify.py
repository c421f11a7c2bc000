"""`molvis identify` and `molvis calibrate`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molvis_core import output
from molvis_core.completion import names
from molvis_core.errors import ConfigError
from molvis_files.arguments import existing, folder_of, writable
from molvis_retrieval.commands.found import show_found
from molvis_retrieval.commands.options import (
    Adducts,
    BundleName,
    Calibrants,
    Candidates,
    Device,
    Doubt,
    Libraries,
    Library,
    Measured,
    Ppm,
    Processes,
    Reader,
    Reference,
    References,
    StandardMinutes,
    Standards,
    StandardSpectra,
    check_standards,
)

if TYPE_CHECKING:
    from molvis_core.records import Structure
    from molvis_lcms.retention import Retention
    from molvis_retrieval.bundle import Bundle, Calibration
    from molvis_retrieval.index import Index
    from molvis_retrieval.references import OwnStandards
    from molvis_retrieval.results import Identification


def identify(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]...", help="Spectra: MGF, MSP, mzML, JCAMP-DX, ... Each is an unknown."),
    ] = None,
    *,
    library: Libraries,
    msms: Annotated[list[Path] | None, typer.Option(help="File of MS/MS spectra of one unknown; several.")] = None,
    ir: Annotated[list[Path] | None, typer.Option(help="Infrared spectrum of the same unknown.")] = None,
    ccs: Annotated[
        list[str] | None,
        typer.Option(help="Its collision cross section in A^2: 145.2 or [M+H]+=145.2; several."),
    ] = None,
    measured: Measured = None,
    bundle: BundleName = "massbank",
    candidates: Candidates = "auto",
    ppm: Ppm = 10.0,
    mass: Annotated[float | None, typer.Option(help="Neutral mass in Da, where no ion determines it.")] = None,
    formula: Annotated[str | None, typer.Option(help="Molecular formula of the candidates.")] = None,
    adduct: Annotated[str | None, typer.Option(help="Adduct of ions that name none, such as [M+H]+.")] = None,
    adducts: Adducts = None,
    top: Annotated[int, typer.Option(help="Number of candidates listed for each query.")] = 20,
    consensus: Annotated[bool, typer.Option("--consensus", help="Measurements of one name are one unknown.")] = False,
    rerank: Annotated[bool, typer.Option(help="Use the bundle's scorers, such as explained peaks.")] = True,
    classes: Annotated[
        bool, typer.Option("--classes", help="Also give classes that each unknown probably belongs to.")
    ] = False,
    doubt: Doubt = 0.05,
    reader: Reader = None,
    modality: Annotated[
        str | None, typer.Option(help="Modality of FILE, where readers of several claim its ending.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write a table of all candidates.")] = None,
    json_file: Annotated[Path | None, typer.Option(help="Write JSON; --json prints it.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a report as an HTML page.")] = None,
    reference: Reference = None,
    references: References = None,
    calibrants: Calibrants = None,
    standards: Standards = None,
    standard_spectra: StandardSpectra = None,
    standard_minutes: StandardMinutes = 0.2,
    processes: Processes = None,
    full: Annotated[bool, typer.Option("--full", help="Print all candidates, however many queries there are.")] = False,
    device: Device = None,
) -> None:
    """Rank candidate structures for unknowns.

    FILE holds many unknowns, one a spectrum. Of one unknown that was measured in several ways, name the measurements:
    --msms a.mgf --ir b.jdx --ccs 145.2. Their evidence adds up; where one contradicts the rest, the answer says so.

    What cannot be read or searched is reported, and the rest goes on. The probability of a candidate is that it is the
    truth, given that the truth is among the candidates; "among" is how probable that is.

    Exit status 0: at least one query was searched. 3: none was, for want of spectra, of their masses or of candidates.
    """
    _check_paths(files or (), [*(msms or ()), *(ir or ())], library, reference, (csv, html, json_file))
    check_standards(standards, standard_spectra)
    from molvis_retrieval.candidates import looks_everywhere
    from molvis_retrieval.identification import identify as search
    from molvis_retrieval.retention import with_retention

    parts, ccs = _measurements(msms or (), ir or (), measured or (), ccs or ())
    _one_or_many(bool(files), bool(parts or ccs))
    opened = open_bundle(bundle, reference_folders(references), calibrants)
    queries, problems = _read_all(files, modality, reader) if files else _read_one(parts, ccs, adduct)
    everywhere = looks_everywhere(queries, candidates=candidates, ppm=ppm, known=bool(mass or formula))
    index = open_libraries(library, opened, everywhere, device)
    with output.progress("identifying") as show:
        ranked = search(
            opened, queries, index, candidates=candidates, ppm=ppm, mass=mass, formula=formula, adduct=adduct,
            adducts=_listed(adducts), top=top, rerank=rerank, consensus=consensus, classes=classes, doubt=doubt,
            device=device, processes=processes, progress=show,
        )  # fmt: skip
    found = [*with_retention(ranked, read_retention(standards)), *problems]
    _write_tables(found, csv, json_file)
    if html:
        words = _scope_words(candidates, ppm, mass, formula)
        settings = _report_settings(words, files, parts, ccs) | _corrected(opened)
        _write_report(html, found, opened, index, settings, reference, standard_spectra, standard_minutes)
    _show(found, full)


NOTHING_SEARCHED = 3
"""Exit status of an identification that could not search a single query."""


def _check_paths(
    files: Sequence[Path],
    parts: Sequence[Path],
    library: Sequence[Path],
    reference: Path | None,
    written: Sequence[Path | None],
) -> None:
    """Raise an error for what is not there, cannot be written, or was taken for the value of --json."""
    if output.settings.json and any(str(f) == "-" or f.suffix == ".json" for f in files):
        raise ConfigError("--json takes no value: it prints JSON; --json-file FILE writes it")
    existing(*files, *parts, what="a file of spectra")
    existing(*library, what="a file of structures or an index")
    existing(reference, what="a file of spectra of known structures")
    writable(*written)


def _one_or_many(many: bool, one: bool) -> None:
    """Raise an error unless either files of many unknowns are named, or measurements of one."""
    if many == one:
        raise ConfigError(
            "name either files of many unknowns (molvis identify a.mgf), or the measurements of one unknown "
            "(molvis identify --msms a.mgf --ir b.jdx --ccs 145.2)"
        )


def open_bundle(name: str, references: Sequence[Path], calibrants: Path | None = None) -> Bundle:
    """The bundle, with the user's reference spectra beside its own, and corrected by what the user knows."""
    from molvis_retrieval import load_bundle

    opened = load_bundle(name)
    for folder in references:
        opened = opened.with_references(folder)
    if calibrants:
        existing(calibrants, what="a table of cross sections of known structures")
        opened = opened.with_calibrants(calibrants)
        output.note(f"calibrants: {opened.channels.calibrated}")
    return opened


def _corrected(bundle: Bundle) -> dict[str, str]:
    """What the report's head says of calibrants."""
    told = bundle.channels.calibrated
    return {"calibrants": told} if told else {}


def _measurements(
    msms: Sequence[Path], ir: Sequence[Path], measured: Sequence[str], ccs: Sequence[str]
) -> tuple[dict[str, list[Path]], list[str]]:
    """The files of one unknown by modality, from the options that name some; and cross sections that are numbers."""
    from molvis_retrieval.queries import modality_files

    files, values = modality_files(measured)
    parts = {"msms": [*msms], "ir": [*ir]}
    for name, paths in files.items():
        parts[name] = [*parts.get(name, []), *paths]
    parts = {name: paths for name, paths in parts.items() if paths}
    existing(*(path for paths in parts.values() for path in paths), what="a file of spectra")
    return parts, [*ccs, *values]


def _read_all(
    files: Sequence[Path], modality: str | None, reader: str | None
) -> tuple[list[Any], list[Identification]]:
    """Queries from files of many unknowns, and what could not be read."""
    from molvis_retrieval.queries import read_queries

    queries: list[Any] = []
    problems: list[Identification] = []
    for file in files:
        good, bad = read_queries(file, modality=modality, reader=reader)
        queries += good
        problems += bad
    return queries, problems


def _read_one(
    parts: Mapping[str, Sequence[Path]], ccs: Sequence[str], adduct: str | None
) -> tuple[list[Any], list[Identification]]:
    """One query of all that was measured of an unknown, and what could not be read."""
    from molvis_retrieval.queries import read_unknown

    measured, problems = read_unknown(parts, cross_sections=ccs, adduct=adduct)
    return [measured] if measured else [], problems


def _scope_words(candidates: str, ppm: float, mass: float | None, formula: str | None) -> str:
    """Which candidates were ranked, as the report's head has it."""
    return {
        "auto": f"within {ppm:g} ppm" if mass or not formula else f"of {formula}",
        "mass": f"within {ppm:g} ppm", "formula": "of the formula", "all": "whole library",
    }[candidates]  # fmt: skip


def _report_settings(
    scope: str,
    files: Sequence[Path] | None,
    parts: Mapping[str, Sequence[Path]],
    ccs: Sequence[str] | None,
) -> dict[str, str]:
    """What the report's head lists beside bundle and library."""
    files = files or [path for paths in parts.values() for path in paths]
    settings = {"candidates": scope, "file": ", ".join(p.name for p in files)}
    return settings | ({"ccs": ", ".join(ccs)} if ccs else {})


def _write_report(
    path: Path,
    found: Sequence[Identification],
    bundle: Bundle,
    index: Index,
    settings: Mapping[str, str],
    reference: Path | None,
    own: Path | None,
    minutes: float,
) -> None:
    """Write the report, with the spectra of known structures beside where a file of them is given."""
    from molvis_retrieval.references import read_references
    from molvis_retrieval.report import write_report

    known, answers = read_references(reference) if reference else None, list[bool]()

    def beside(structure: Structure, like: Any) -> Any:
        answer = known(structure, like) if known else None
        answers.append(answer is not None)
        return answer

    write_report(
        path, found, bundle=bundle, index=index, settings=settings, reference=beside if known else None,
        standards=own_standards(own, minutes),
    )  # fmt: skip
    if known and not any(answers):
        output.note(f"{reference}: has no spectrum of the best candidates: the report shows none beside the unknowns'")


def _listed(adducts: str | None) -> list[str]:
    """The adducts of an option, separated by commas."""
    return [name for name in (adducts or "").split(",") if name.strip()]


def _write_tables(found: Sequence[Identification], csv: Path | None, json_file: Path | None) -> None:
    """Write the table and the JSON file, where they were asked for."""
    from molvis_retrieval.results import write_csv, write_json

    if csv:
        write_csv(csv, found)
    if json_file:
        write_json(json_file, found)


def _show(found: Sequence[Identification], full: bool) -> None:
    """Print what was found, and exit with `NOTHING_SEARCHED` where no query was searched."""
    from molvis_retrieval.results import to_json

    if not output.as_json(to_json(found)):
        show_found(found, full=full)
    if all(one.problem for one in found):
        raise typer.Exit(NOTHING_SEARCHED)


def reference_folders(names: Sequence[Path] | None) -> list[Path]:
    """The folders of reference spectra that paths or names of what ships mean."""
    make = "Make one with: molvis references build SPECTRA --out FOLDER"
    return [folder_of("references", name, make=make) for name in names or ()]


def read_retention(standards: Path | None) -> Retention | None:
    """Times of a column, learned from a table of standards; None where there is none."""
    if standards is None:
        return None
    from molvis_lcms.retention import Retention, read_standards

    known = Retention.of(read_standards(standards))
    output.note(f"retention: {len(known.standards)} standards, each predicted from the others to {known.error:.2f} min")
    return known


def own_standards(spectra: Path | None, minutes: float) -> OwnStandards | None:
    """What the user measured of known compounds; None where that is not given."""
    from molvis_retrieval.references import read_own_standards

    return read_own_standards(spectra, minutes) if spectra else None


def open_library(path: Path, bundle: Bundle, whole: bool = True, device: str | None = None) -> Index:
    """What `--library` names, with a bar while structures are read and embedded."""
    from molvis_retrieval.candidates import open_candidates

    with output.progress("opening the library") as show:
        return open_candidates(path, bundle, whole=whole, device=device, progress=show)


def open_libraries(paths: Sequence[Path], bundle: Bundle, whole: bool = True, device: str | None = None) -> Index:
    """What `--library` names once or several times: one index, in which what is named first has priority."""
    from molvis_retrieval.index import join_indexes

    return join_indexes([open_library(path, bundle, whole, device) for path in paths])


def calibrate(
    bundle: Annotated[str, typer.Argument(autocompletion=names("bundle"), help="Folder or name of a bundle.")],
    data: Annotated[Path, typer.Argument(help="Dataset with compounds that the bundle was not trained on.")],
    library: Library,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder of a calibrated copy; without it the bundle itself is changed."),
    ] = None,
    modality: Annotated[
        list[str] | None,
        typer.Option(help="Of the measurements; several; by default all that bundle and dataset share."),
    ] = None,
    fold: Annotated[str, typer.Option(help="Fold of the dataset that is used.")] = "val",
    ppm: Ppm = 10.0,
    per_compound: Annotated[int, typer.Option(help="Number of cases used of each compound.")] = 4,
) -> None:
    """Fit the weights of the evidence, so that probabilities agree with how often candidates are right.

    Fitted are the weights, with the truth among the candidates, and how probable it is that the truth is among them,
    with the truth taken out of every other query and with false measurements. Where compounds were measured in several
    ways, also how probable it is that each measurement is of the unknown, with measurements exchanged on purpose.
    """
    existing(data, what="a dataset")
    existing(library, what="a file of structures or an index")
    import shutil

    from molvis_core.errors import BundleError
    from molvis_files.locking import sole_writer
    from molvis_files.writing import replacing_folder
    from molvis_retrieval import load_bundle
    from molvis_retrieval.bundle import write_calibration
    from molvis_retrieval.calibration.pieces import calibrate_pieces
    from molvis_retrieval.calibration.presence import calibrate_presence
    from molvis_retrieval.calibration.weights import calibrate as fit
    from molvis_retrieval.dataset import Dataset
    from molvis_retrieval.evaluation.ranking import MAIN_ADDUCTS, usable_modalities

    opened, dataset = load_bundle(bundle), Dataset.open(data)
    if out and out.exists():
        raise BundleError(f"{out} exists. Choose another folder, or delete it first.")
    index = open_library(library, opened)
    names = modality or usable_modalities(opened, dataset)
    measurements = [
        dataset.measurement(name, int(row))
        for name in names
        for row in dataset.rows(name, fold=fold, adducts=MAIN_ADDUCTS, min_peaks=2)
    ]
    options: dict[str, Any] = {
        "ppm": ppm, "per_compound": per_compound, "fitted_on": f"fold {fold} of {data.name} ({', '.join(names)})",
    }  # fmt: skip
    with sole_writer(out or opened.path):
        with output.progress("calibrating the ranking") as show:
            found = fit(opened, measurements, index, progress=show, **options)
        if len(names) > 1:
            found = _with_fitted(
                opened.with_calibration(found), "pieces", "whether a measurement is of the unknown", calibrate_pieces,
                measurements, index, **options,
            )  # fmt: skip
        found = _with_fitted(
            opened.with_calibration(found), "presence", "whether the truth is among the candidates",
            calibrate_presence, measurements, index, **options,
        )  # fmt: skip
        if out:
            with replacing_folder(out) as fresh:
                shutil.copytree(opened.path, fresh, dirs_exist_ok=True)
                write_calibration(load_bundle(fresh), found)
        else:
            write_calibration(opened, found)
    if not output.as_json(found):
        output.print_table(["evidence", "weight"], [(k, f"{v:.3f}") for k, v in found.weights.items()])
        output.note(
            "weight: what one unit adds to the score; NAME.alone: of an embedding without scorers beside it. n "
            f"measurements of one modality count as n^{found.repeats:.2f} (0: they repeat each other; 1: each is "
            "evidence of its own)"
        )
        if found.presence.usable:
            output.note("fitted too: how probable it is that the truth is among the candidates")
        if found.pieces.usable:
            output.note("fitted too: how probable it is that each kind of measurement is of the unknown")


def _with_fitted(
    bundle: Bundle, part: str, what: str, fit: Callable[..., Any], *given: Any, **options: Any
) -> Calibration:
    """The calibration of a bundle with a part of it fitted anew; as it is where there is too little to fit it to."""
    from dataclasses import replace

    from molvis_core.errors import DatasetError

    try:
        with output.progress(f"calibrating {what}") as show:
            return replace(bundle.calibration, **{part: fit(bundle, *given, progress=show, **options)})
    except DatasetError as error:
        output.note(f"not calibrated: {error}")
        return bundle.calibration
