"""`molvis annotate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molvis_core import output
from molvis_files.arguments import existing
from molvis_retrieval.commands.features import Accession, BlankRatio, Blanks, Seconds, SurveyPpm
from molvis_retrieval.commands.options import (
    Address,
    Adducts,
    BundleName,
    Device,
    EngineOption,
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
    engine: EngineOption = None,
    address: Address = None,
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
    from molvis_retrieval.annotating import Annotating, annotate_files, digest
    from molvis_retrieval.commands.identify import (
        NOTHING_SEARCHED,
        open_bundle,
        open_libraries,
        own_standards,
        read_retention,
        reference_folders,
    )

    spectra = reference_folders(references)
    opened = open_bundle(bundle, spectra)
    read = [*spectra, *(p for p in (standards, standard_spectra) if p)]
    asked = Annotating(
        files=tuple(files), blanks=tuple(blank or ()), library={p.name: digest(p) for p in library},
        references={p.name: digest(p) for p in read}, blank_ratio=blank_ratio, ms1_ppm=ms1_ppm, seconds=seconds,
        ppm=ppm, adducts=tuple(a for a in (adducts or "").split(",") if a.strip()), top=top, rerank=rerank, fdr=fdr,
        dataset=dataset, retention=read_retention(standards),
        standards=own_standards(standard_spectra, standard_minutes), standard_minutes=standard_minutes,
        processes=processes, engine=engine or "processes", address=address, device=device,
    )  # fmt: skip
    with sole_writer(out), output.progress("annotating") as show:
        done = annotate_files(
            opened, lambda whole: open_libraries(library, opened, whole, device), asked, out, progress=show
        )
    for line in done.notes:
        output.note(line)
    counts = {"searched": done.searched, "levels": done.levels}
    if not output.as_json({"folder": str(out), "features": done.features, **counts}):
        rows = [(name, str(count)) for name, count in done.levels.items()]
        output.print_table(["level", "features"], rows, title=str(out))
    if not done.searched:
        raise typer.Exit(NOTHING_SEARCHED)
