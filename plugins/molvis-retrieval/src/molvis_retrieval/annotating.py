"""From files to a folder of annotations: what `molvis annotate` and the service's route `annotate` call.

The folder goes on where it was interrupted, see `molvis_retrieval.annotation`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import molvis_retrieval
from molvis_core.errors import ConfigError
from molvis_core.progress import StageProgress
from molvis_files.digests import KEY, file_sha256, files_sha256
from molvis_files.parallel import Engine
from molvis_lcms.finding import Settings
from molvis_lcms.formats.documents import read_json_features, write_json_features
from molvis_lcms.formats.fbmn import write_mgf_features, write_quantities
from molvis_lcms.formats.reading import is_run, read_features
from molvis_lcms.mztab_writing import write_mztab
from molvis_lcms.records import FeatureTable
from molvis_lcms.usi import check_dataset, with_usis
from molvis_lcms.workflow import Comparison, features_of_runs
from molvis_retrieval.annotation import annotate, annotated, begin
from molvis_retrieval.annotation_tables import annotation_of, write_annotation_csv, write_annotation_json
from molvis_retrieval.false_discoveries import believed, rates_of
from molvis_retrieval.partitions import Partitions, is_partitioned
from molvis_retrieval.run_details import detailed, work_out
from molvis_retrieval.run_neighbours import neighbours_of
from molvis_retrieval.run_page import RunFacts, write_run_page
from molvis_retrieval.run_spectra import write_annotated_library, write_annotated_mgf

if TYPE_CHECKING:
    from molvis_lcms.retention import Retention
    from molvis_retrieval.bundle import Bundle
    from molvis_retrieval.index import Index
    from molvis_retrieval.references import OwnStandards

__all__ = ["Annotated", "Annotating", "annotate_files", "digest", "find", "write_lists"]


@dataclass(frozen=True, slots=True)
class Annotating:
    """What to annotate, and how.

    Attributes:
        files: runs, or a feature list with its table of areas.
        blanks: runs without sample.
        library, references: what the results follow from, by name: digests.
        blank_ratio, ms1_ppm, seconds: of finding features.
        ppm, adducts, top, rerank: of identifying them, see `molvis_retrieval.identification.identify`.
        fdr: only what is below this false-discovery rate; None for all.
        dataset: accession of the public data set that the runs are of.
        retention: times of the column, as evidence.
        standards: what the user measured of known compounds.
        standard_minutes: tolerance of their times.
        processes: how many work side by side; None for all processors.
        engine: where features are identified: `local`, `processes` or `ray`.
        address: of a Ray cluster.
        device: where networks run.
        located: whether the mzTab names the folders of the files.
    """

    files: tuple[Path, ...]
    blanks: tuple[Path, ...] = ()
    library: Mapping[str, str] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)
    blank_ratio: float = 3.0
    ms1_ppm: float = 10.0
    seconds: float = 6.0
    ppm: float = 10.0
    adducts: tuple[str, ...] = ()
    top: int = 10
    rerank: bool = True
    fdr: float | None = None
    dataset: str | None = None
    retention: Retention | None = None
    standards: OwnStandards | None = None
    standard_minutes: float = 0.2
    processes: int | None = None
    engine: Engine = "processes"
    address: str | None = None
    device: str | None = None
    located: bool = True

    @property
    def options(self) -> dict[str, Any]:
        """Those of identifying that the results follow from."""
        return {"ppm": self.ppm, "adducts": list(self.adducts), "top": self.top, "rerank": self.rerank}


@dataclass(frozen=True, slots=True)
class Annotated:
    """What was found.

    Attributes:
        features: how many there are.
        searched: how many of them were searched for.
        levels: features of each confidence level.
        notes: what was wrong with the files.
    """

    features: int
    searched: int
    levels: Mapping[str, int]
    notes: tuple[str, ...]


def annotate_files(
    bundle: Bundle,
    open_index: Callable[[bool], Index],
    asked: Annotating,
    out: Path,
    *,
    progress: StageProgress | None = None,
) -> Annotated:
    """Find features, rank candidates for each, and write all files of the results.

    Args:
        bundle: whose encoders and weights.
        open_index: the candidates; it is told whether so many are asked for that all are embedded first.
        asked: what to annotate.
        out: folder of the results; one of the same results that were interrupted goes on.
        progress: called with what is done, what is in all, and what is being done.

    Raises:
        ConfigError: the folder holds other things, or the files are neither runs nor one feature list.
        molvis_core.errors.MolvisError: a file cannot be read or written.
    """
    settings = _settings(asked, bundle.path)
    begin(out, settings)
    table = _features(asked, out, progress)
    annotate(
        bundle, open_index(len(table) > 250), table, out, options=asked.options | {"device": asked.device},
        retention=asked.retention, standards=asked.standards, processes=asked.processes,
        engine=asked.engine, address=asked.address, progress=_named(progress, "annotating"),
    )  # fmt: skip
    _write(asked, out, table, settings, bundle, progress)
    searched, levels = _counts(_judged(out, table, asked.fdr)())
    return Annotated(len(table), searched, levels, tuple(table.notes))


def digest(path: Path) -> str:
    """Of a file, or of all files in a folder."""
    if path.is_file():
        return file_sha256(path)
    if is_partitioned(path):  # its file has the digests of all others
        return str(Partitions.open(path).metadata[KEY])
    return files_sha256(sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith(".")))


def _named(progress: StageProgress | None, what: str) -> Any:
    return (lambda done, total: progress(done, total, what)) if progress else None


def _settings(asked: Annotating, bundle: Path) -> dict[str, Any]:
    """What the result follows from: digests of all that is read, and the options."""
    finding = {"blank_ratio": asked.blank_ratio, "ms1_ppm": asked.ms1_ppm, "seconds": asked.seconds}
    return {
        "format": 2,
        "version": molvis_retrieval.__version__,
        "files": {p.name: digest(p) for p in asked.files},
        "blanks": {p.name: digest(p) for p in asked.blanks},
        "library": dict(asked.library),
        "references": dict(asked.references),
        "bundle": {bundle.name: digest(bundle)},
        "dataset": asked.dataset and check_dataset(asked.dataset),
        **finding,
        "standard_minutes": asked.standard_minutes,
        **asked.options,
    }


def _features(asked: Annotating, out: Path, progress: StageProgress | None) -> FeatureTable:
    """The features, as they are kept in the folder: found or read now, or by the command that was interrupted."""
    kept = out / "features.json"
    if not kept.is_file():
        runs = [f for f in asked.files if is_run(f)]
        quantities = [f for f in asked.files if f.suffix.lower() == ".csv"]
        lists = [f for f in asked.files if f not in runs and f not in quantities]
        if bool(runs) == bool(lists) or len(lists) > 1 or (quantities and not lists):
            raise ConfigError("name either runs (.mzML), or one feature list, for an MGF file with its table of areas")
        if lists and asked.dataset:
            raise ConfigError("--dataset is of runs (.mzML); scans of a feature list are kept where it has USIs")
        if lists:
            table = read_features(lists[0], quantities)
        else:
            table = find(runs, asked.blanks, (), asked.ms1_ppm, asked.seconds, asked.blank_ratio, progress)
            table = with_usis(table, asked.dataset) if asked.dataset else table
        write_lists(out, table)
    # As it will be read by whoever goes on: numbers are rounded there.
    return read_json_features(kept)


def find(
    runs: Sequence[Path],
    blanks: Sequence[Path],
    targets: Sequence[Any],
    ppm: float,
    seconds: float,
    blank_ratio: float,
    progress: StageProgress | None,
) -> FeatureTable:
    """Features of runs with the tolerances of the command line."""
    return features_of_runs(
        runs,
        blanks=blanks,
        targets=targets,
        settings=Settings(ppm=ppm),
        comparison=Comparison(seconds=seconds, blank_ratio=blank_ratio),
        progress=progress,
    )


def write_lists(folder: Path, table: FeatureTable) -> None:
    """The list as MGF, table of areas, and JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    write_mgf_features(folder / "features.mgf", table)
    write_quantities(folder / "features_quant.csv", table)
    write_json_features(folder / "features.json", table)


def _judged(out: Path, table: FeatureTable, fdr: float | None) -> Callable[[], Iterator[Any]]:
    """What was found, with q-values and without what is above a false-discovery rate, as often as it is asked for."""
    rates = rates_of(annotated(out, table))
    return lambda: believed(annotated(out, table), rates, fdr)


def _write(
    asked: Annotating,
    out: Path,
    table: FeatureTable,
    settings: Mapping[str, Any],
    bundle: Bundle,
    progress: StageProgress | None,
) -> None:
    """The tables, the page and annotated spectra, from what is kept of each chunk and is worked out of it."""
    found = _judged(out, table, asked.fdr)
    show = _named(progress, "explaining")
    work_out(bundle, annotated(out, table), len(table), out, processes=asked.processes, progress=show)
    write_annotation_csv(out / "annotations.csv", found())
    write_annotation_json(out / "annotations.json", found(), settings)
    write_mztab(
        out / "annotations.mztab",
        table,
        [annotation_of(f, one) for f, one in found()],
        version=molvis_retrieval.__version__,
        locations={f.name: f for f in asked.files} if asked.located else {},
    )
    write_annotated_mgf(out / "annotations.mgf", detailed(out, found()))
    write_annotated_library(out / "annotations.mzSpecLib.txt", detailed(out, found()))
    facts = {"library": ", ".join(settings["library"]), "bundle": ", ".join(settings["bundle"])}
    facts |= {"candidates within": f"{settings['ppm']:g} ppm", "molvis": settings["version"]}
    facts |= {} if asked.fdr is None else {"false-discovery rate": f"{asked.fdr:g} at most"}
    run = RunFacts(table.files, table.notes, facts)
    write_run_page(out / "report.html", detailed(out, found()), run, neighbours_of(table))


def _counts(found: Iterator[Any]) -> tuple[int, dict[str, int]]:
    """How many were searched, and how many have each confidence level."""
    levels: Counter[str] = Counter()
    searched = 0
    for _, one in found:
        levels[one["level"] if one else "5"] += 1
        searched += one is not None and not one["problem"]
    return searched, dict(sorted(levels.items()))
