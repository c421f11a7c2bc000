"""Explains a collection of spectra of known compounds: a table of peaks and substructures, a row each, as Parquet.

The table is made in pieces of spectra, so that an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molvis_core.errors import ConfigError, LeftOutError, MolvisError, ReadError
from molvis_core.progress import Progress
from molvis_core.records import Measurement, PeakList
from molvis_core.text import in_shell
from molvis_files.locking import sole_writer
from molvis_files.substructures import LocatesClasses, locating_classifiers, occurrences
from molvis_files.writing import replacing, write_text
from molvis_msms.explanation.annotations import peak_annotation
from molvis_msms.explanation.matching import PPM
from molvis_msms.explanation.peaks import explain
from molvis_msms.references.search import read_records

if TYPE_CHECKING:
    import pyarrow as pa

PIECE = 250
"""Spectra of a piece."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which spectra of a collection are explained, and how.

    Attributes:
        fold: only those of this fold, where the collection names folds.
        limit: at most so many.
        ppm: tolerance of m/z.
        most: substructures of each peak.
    """

    fold: str | None = None
    limit: int | None = None
    ppm: float = PPM
    most: int = 3


@dataclass(frozen=True, slots=True)
class Summary:
    """What is in a table of explanations.

    Attributes:
        path: of the table.
        rows: a substructure of a peak each, and one for each peak that has none.
        spectra, compounds, peaks: that it holds.
        explained_peaks: peaks that are more probably explained than not.
        explained_intensity: mean over spectra of the expected share of the intensity below the precursor.
        licences, contributors: spectra of each.
        left_out: spectra without a structure, or that cannot be read, by reason.
        seconds: that this run took; pieces of earlier runs are not in it.
    """

    path: Path
    rows: int
    spectra: int
    compounds: int
    peaks: int
    explained_peaks: int
    explained_intensity: float | None
    licences: dict[str, int]
    contributors: dict[str, int]
    left_out: dict[str, int]
    seconds: float = field(repr=False, default=0.0)


def explain_collection(
    source: Path, output: Path, choice: Choice | None = None, *, progress: Progress | None = None
) -> Summary:
    """Write the table of a collection, and its card beside it (`.md`).

    Args:
        source: a file of spectra that name their structures, such as a table of MassBank; or a dataset.
        output: the table, `.parquet`. Pieces are kept in a folder beside it until all are made.
        choice: of spectra, and how they are explained.
        progress: called with the spectra done and in all.

    Raises:
        ConfigError: the name of the table has another ending, or pieces of another choice lie beside it.
        ReadError: the collection cannot be read, or none of its spectra names a structure.
    """
    choice = choice or Choice()
    if output.suffix != ".parquet":
        raise ConfigError(f"{output}: the table is Parquet; give it a name that ends in .parquet")
    began = time.monotonic()
    good, left_out = _spectra(source, choice)
    if not good:
        of_fold = f" and is of the fold {choice.fold}" if choice.fold else ""
        raise ReadError(source, f"no spectrum in it names its structure{of_fold}")
    folder = output.with_name(f"{output.name}.pieces")
    locating = locating_classifiers()
    with sole_writer(output):
        _prepare(folder, source, choice, len(good))
        pieces: list[Path] = []
        for number, start in enumerate(range(0, len(good), PIECE)):
            piece = folder / f"{number:06d}.parquet"
            some = good[start : start + PIECE]
            if not piece.is_file():
                rows = [row for one in some for row in _rows(one, choice, locating, left_out)]
                _write_table(piece, rows)
            pieces.append(piece)
            if progress:
                progress(min(start + PIECE, len(good)), len(good))
        _join(pieces, output)
        summary = summarise(output, left_out, time.monotonic() - began)
        write_text(output.with_suffix(".md"), card(summary, source, choice))
        for piece in [*pieces, folder / "run.json"]:
            piece.unlink(missing_ok=True)
        folder.rmdir()
    return summary


def _spectra(source: Path, choice: Choice) -> tuple[list[Measurement], Counter[str]]:
    """The spectra with a structure, and how many are left out by reason."""
    good: list[Measurement] = []
    left_out: Counter[str] = Counter()
    for item in _read(source):
        if isinstance(item, ReadError):
            left_out[item.reason if isinstance(item, LeftOutError) else "cannot be read"] += 1
        elif choice.fold is not None and item.fold != choice.fold:
            continue
        elif item.structure is None or not isinstance(item.record, PeakList):
            left_out["no structure is known"] += 1
        elif "." in item.structure.smiles:
            left_out["a structure of several parts"] += 1
        else:
            good.append(item)
        if choice.limit is not None and len(good) == choice.limit:
            break
    return good, left_out


def _read(source: Path) -> list[Measurement | ReadError]:
    if source.is_dir():
        raise ReadError(
            source, f"it is a folder. Export a dataset first: molvis data export {in_shell(source)} spectra.msp"
        )
    return read_records(source)


def _prepare(folder: Path, source: Path, choice: Choice, count: int) -> None:
    """The folder of pieces, made by the same choice of the same collection."""
    about = {"source": str(source.resolve()), "spectra": count, **dataclasses.asdict(choice)}
    run = folder / "run.json"
    if run.is_file() and json.loads(run.read_text(encoding="utf-8")) != about:
        raise ConfigError(
            f"{folder} holds pieces of another collection or choice. Delete it to start anew, or name another --output."
        )
    folder.mkdir(exist_ok=True)
    if not run.is_file():
        write_text(run, json.dumps(about))


def _rows(
    one: Measurement, choice: Choice, locating: Sequence[LocatesClasses], left_out: Counter[str]
) -> Iterator[dict[str, Any]]:
    """The rows of a spectrum."""
    structure, spectrum = one.structure, one.record
    assert structure is not None
    try:
        found = explain(spectrum, structure, ppm=choice.ppm, most=choice.most, classes=occurrences(structure, locating))
    except MolvisError:
        left_out["RDKit refuses the structure"] += 1
        return
    of_spectrum = {
        "spectrum": spectrum.identifier or one.name, "inchikey": structure.inchikey, "smiles": structure.smiles,
        "adduct": spectrum.adduct, "precursor_mz": spectrum.precursor_mz,
        "collision_energy": spectrum.collision_energy, "instrument_type": spectrum.instrument_type,
        "explained_intensity": found.explained, "fold": one.fold, "source": one.source, "licence": one.licence,
        "contributor": one.contributor, "authors": one.authors,
    }  # fmt: skip
    for peak, some in enumerate(found.peaks):
        of_peak = of_spectrum | {
            "peak": peak, "mz": float(spectrum.mz[peak]), "intensity": float(spectrum.intensity[peak]),
            "unexplained": float(found.unexplained[peak]), "mzpaf": peak_annotation(found, peak),
        }  # fmt: skip
        if not some:
            yield of_peak
        for rank, sub in enumerate(some, start=1):
            yield of_peak | {
                "rank": rank, "formula": sub.formula, "substructure": sub.smiles, "atoms": list(sub.atoms),
                "hydrogens": sub.hydrogens, "isotope": sub.isotope or None, "ppm": sub.ppm,
                "probability": sub.probability, "formula_probability": sub.formula_probability,
                "equivalents": sub.equivalents,
                "path": [f"{step.loss}>{step.formula}" if step.loss else step.formula for step in sub.path],
                "path_peaks": [-1 if step.peak is None else step.peak for step in sub.path],
                "classes": sorted({c.name for c in sub.classes}),
            }  # fmt: skip


def _schema() -> pa.Schema:
    import pyarrow as pa

    text, number, count = pa.string(), pa.float64(), pa.int32()
    names = pa.dictionary(pa.int32(), pa.string())
    return pa.schema(
        {
            "spectrum": text, "inchikey": names, "smiles": names, "adduct": names, "precursor_mz": number,
            "collision_energy": pa.float32(), "instrument_type": names, "explained_intensity": pa.float32(),
            "peak": count, "mz": number, "intensity": pa.float32(), "unexplained": pa.float32(), "mzpaf": text,
            "rank": count, "formula": text, "substructure": text, "atoms": pa.list_(pa.int16()), "hydrogens": count,
            "isotope": names, "ppm": pa.float32(), "probability": pa.float32(), "formula_probability": pa.float32(),
            "equivalents": count, "path": pa.list_(text), "path_peaks": pa.list_(pa.int16()),
            "classes": pa.list_(text), "fold": names, "source": names, "licence": names, "contributor": names,
            "authors": names,
        }
    )  # fmt: skip


def _write_table(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema()
    table = pa.table({f.name: pa.array([row.get(f.name) for row in rows], f.type) for f in schema}, schema=schema)
    with replacing(path) as fresh:
        pq.write_table(table, fresh, compression="zstd")


def _join(pieces: Sequence[Path], output: Path) -> None:
    import pyarrow.parquet as pq

    with replacing(output) as fresh, pq.ParquetWriter(fresh, _schema(), compression="zstd") as writer:
        for piece in pieces:
            writer.write_table(pq.read_table(piece))


def summarise(path: Path, left_out: Counter[str], seconds: float = 0.0) -> Summary:
    """Counts and measures of a table."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    columns = ["spectrum", "inchikey", "rank", "unexplained", "explained_intensity", "licence", "contributor", "peak"]
    table = pq.read_table(path, columns=columns)
    peaks = table.filter(pc.fill_null(pc.equal(table["rank"], 1), fill_value=True))
    first = peaks.filter(pc.equal(peaks["peak"], 0))
    mean = pc.mean(first["explained_intensity"]).as_py()

    def counts(name: str) -> dict[str, int]:
        found = Counter("not stated" if v is None else v for v in first[name].to_pylist())
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    return Summary(
        path=path,
        rows=table.num_rows,
        spectra=first.num_rows,
        compounds=len({key[:14] for key in first["inchikey"].to_pylist()}),
        peaks=peaks.num_rows,
        explained_peaks=int(pc.sum(pc.less(peaks["unexplained"], 0.5)).as_py() or 0),
        explained_intensity=mean,
        licences=counts("licence"),
        contributors=counts("contributor"),
        left_out=dict(left_out),
        seconds=seconds,
    )


def card(found: Summary, source: Path, choice: Choice) -> str:
    """The card of a table, as Markdown: what it holds, how it was made, whose it is, and how good it is."""
    share = found.explained_peaks / max(found.peaks, 1)
    intensity = "-" if found.explained_intensity is None else f"{found.explained_intensity:.1%}"
    about = (
        f"`{found.path.name}`: each row is a substructure that a peak of a measured spectrum can be, made by "
        f"`molvis explain --collection {source.name}`."
    )
    terms = (
        "Each row carries the licence, contributor and authors of its spectrum; the rows are under the terms of their "
        "spectra."
    )
    quality = (
        "Substructures, paths and probabilities are inferred, not observed: a formula is far surer than which atoms "
        "of the molecule make it up. The model of the probabilities learned from training compounds of open MassBank: "
        "on these it is better than on new compounds. On those, one spectrum of each of 323 of its test fold, it was "
        "measured as below; `benchmarks/explanation.py` measures it, and the documentation has more, on the page about "
        "explanations."
    )
    rows = [
        "# Explained peaks", "", about, "", "| | |", "| --- | --- |",
        f"| spectra | {found.spectra:,} |", f"| compounds | {found.compounds:,} |", f"| peaks | {found.peaks:,} |",
        f"| rows | {found.rows:,} |",
        f"| peaks more probably explained than not | {found.explained_peaks:,} ({share:.1%}) |",
        f"| expected intensity below the precursor that is explained, mean over spectra | {intensity} |",
        f"| tolerance | {choice.ppm:g} ppm, 0.8 mDa at least |",
        f"| substructures a peak | {choice.most} at most |", f"| fold | {choice.fold or 'all'} |", "",
        "## Licences", "", terms, "", "| licence | spectra |", "| --- | --- |",
        *(f"| {name} | {count:,} |" for name, count in found.licences.items()), "",
        "| contributor | spectra |", "| --- | --- |",
        *(f"| {name} | {count:,} |" for name, count in found.contributors.items()), "",
        "## Left out", "", *([f"- {why}: {count:,}" for why, count in found.left_out.items()] or ["nothing"]), "",
        "## How good it is", "", quality, "", "| on new compounds | |", "| --- | --- |",
        *(f"| {what} | {figure} |" for what, figure in MEASURED.items()), "",
    ]  # fmt: skip
    return "\n".join(rows)


MEASURED = {
    "annotated peaks below the precursor that have a substructure": "76.5% (73.0 to 80.3)",
    "formula as annotated, of the peaks that have one": "96.2% (93.8 to 97.8)",
    "right structure above a wrong one of equal mass, by evidence (area under the curve)": ".901 (.863 to .934)",
    "calibration error of the most probable formula; of *unexplained*": "3.9% (2.6 to 5.3); 3.0% (2.1 to 4.0)",
    "own peaks explained: of the spectrum; of another compound's near in mass": "73.3%; 14.0% (9.3 to 19.1)",
    "ions that a curator drew: skeleton right, first; among three; by chance": "75.8%; 83.3%; 69.2%",
}
"""Of the model that ships, with 95% intervals over compounds."""
