"""`molvis features`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molvis_core import output
from molvis_files.arguments import existing

if TYPE_CHECKING:
    from molvis_lcms.records import FeatureTable

Blanks = Annotated[
    list[Path] | None, typer.Option("--blank", help="Run without sample; what it has too is left out; several.")
]
BlankRatio = Annotated[float, typer.Option(help="A feature stays whose area is so many times that in the blanks.")]
SurveyPpm = Annotated[float, typer.Option(help="Tolerance of m/z in survey scans, in ppm, half width.")]
Seconds = Annotated[float, typer.Option(help="Tolerance of times between runs, in s, once they are aligned.")]

Accession = Annotated[
    str | None, typer.Option("--dataset", help="Accession of the public data set that the runs are of, for USIs.")
]


def features(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Runs of LC-MS/MS as mzML, .gz or not.")],
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for features.mgf, features_quant.csv and features.json.")
    ],
    blank: Blanks = None,
    blank_ratio: BlankRatio = 3.0,
    targets: Annotated[
        Path | None,
        typer.Option(help="CSV of ions to look for (name, mz or formula, adduct, rt_min), instead of MS/MS."),
    ] = None,
    ms1_ppm: SurveyPpm = 10.0,
    seconds: Seconds = 6.0,
    dataset: Accession = None,
) -> None:
    """Find the features of LC-MS/MS runs: ions with their MS/MS, isotopes, areas and adducts.

    MS/MS of one ion is merged over repeats and energies. Several runs are aligned, and every feature gets an area in
    each. The folder holds the list for feature-based molecular networking (MGF and table of areas), and JSON with all
    that is known; molvis annotate takes either.

    What is wrong with a run is counted and printed in a line each; the rest goes on.
    """
    existing(*runs, *(blank or ()), what="a run")
    existing(targets, what="a table of ions")
    from molvis_files.locking import sole_writer
    from molvis_lcms.formats.documents import to_json
    from molvis_lcms.formats.targets import read_targets
    from molvis_lcms.usi import check_dataset, with_usis
    from molvis_retrieval.annotating import find, write_lists

    if dataset:
        check_dataset(dataset)
    wanted = read_targets(targets) if targets else []
    with sole_writer(out):
        with output.progress("finding features") as show:
            table = find(runs, blank or (), wanted, ms1_ppm, seconds, blank_ratio, show)
        table = with_usis(table, dataset) if dataset else table
        write_lists(out, table)
    for line in table.notes:
        output.note(line)
    if not output.as_json(to_json(table)):
        _show(out, table)


def _show(folder: Path, table: FeatureTable) -> None:
    """Print how many features there are of which kind."""
    some = table.features
    rows = [
        ("features", len(some)),
        ("with MS/MS", sum(f.merged is not None for f in some)),
        ("with a chromatographic peak", sum(f.start is not None for f in some)),
        ("whose charge is known", sum(f.charge is not None for f in some)),
        ("with a partner that reveals the adduct", sum(bool(f.adducts and f.adducts[0].reasons) for f in some)),
        ("molecules with several ions", len({f.group for f in some if f.group is not None})),
    ]
    if len(table.files) > 1 and some:
        rows.append((f"with an area in all {len(table.files)} files", int((table.areas() > 0).all(axis=1).sum())))
    output.print_table(["what", "number"], [(what, str(count)) for what, count in rows], title=str(folder))
