"""Reference spectra on disk: a folder with one table, a row a spectrum, and a TOML file that says what is in it.

The table is Parquet, which keeps a library small: peaks and metadata, with the licence and the authors of each record.
What makes a search fast, an index of peaks, is made from it in memory (`molvis_msms.references.index`).
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from molvis_core import registry
from molvis_core.errors import IndexFileError, LeftOutError, ReadError, WriteError
from molvis_core.records import Measurement, PeakList
from molvis_files.digests import blocks_of, damage, stored_digests
from molvis_files.folders import FolderFormat
from molvis_files.locking import sole_writer
from molvis_files.reasons import count_reasons, write_problems
from molvis_files.vendors import require_file
from molvis_files.writing import recover, replacing_folder

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger("molvis")
Progress = Callable[[int, int], None]
Read = Callable[[Path], Iterator[Measurement | ReadError]]

TABLE = "spectra.parquet"
FOLDER = FolderFormat(
    noun="index of reference spectra",
    file="references.toml",
    version=1,
    error=IndexFileError,
    make="Make one with: molvis references build SPECTRA --out {path}",
    mend="Copy it again, or build it again: molvis references build SPECTRA --out {path}",
    distribution="molvis-msms",
)
_BATCH = 4096
_SPECTRUM = ("precursor_mz", "adduct", "charge", "ionmode", "collision_energy", "instrument_type", "identifier")
_IDENTITY = ("smiles", "inchikey", "formula", "exact_mass")
_ORIGIN = ("name", "source", "licence", "contributor", "authors")
_NUMBERS = {
    "precursor_mz": "f8",
    "collision_energy": "f8",
    "exact_mass": "f8",
    "charge": "i2",
    "structure_charge": "i2",
}
COLUMNS = ("mz", "intensity", *_SPECTRUM, *_IDENTITY, "structure_charge", *_ORIGIN)


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did.

    Attributes:
        path: the folder.
        spectra, compounds, peaks: how many it holds.
        left_out: records that are not in it.
        reasons: how many of them for each reason, the most frequent first.
        problems: the first hundred of them; all are in the folder's `problems.csv`.
        size: of the folder in bytes.
    """

    path: Path
    spectra: int
    compounds: int
    peaks: int
    left_out: int
    reasons: dict[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    size: int = 0


def build(
    paths: Sequence[Path | str],
    out: Path | str,
    *,
    reader: str | None = None,
    fold: str | None = None,
    strict: bool = False,
    progress: Progress | None = None,
) -> BuildReport:
    """Turn files of spectra of known compounds into an index of references.

    Left out are records without peaks, those that name no compound by structure or name, and those whose ion and peaks
    are in the index already for the same compound.

    Args:
        paths: of the files, in any format that a reader of MS/MS spectra takes.
        out: the folder; it must not exist.
        reader: name of the reader, instead of choosing one by a file's ending.
        fold: take only spectra of this fold, where the files name folds.
        strict: raise the error of the first record that cannot be read, instead of counting it.
        progress: called with the records done and 0, as their number is not known before the end.

    Raises:
        ReadError: a file cannot be read at all, or a record cannot and `strict` is set.
        molvis_core.errors.ComponentError: no reader claims a file.
        IndexFileError: the folder exists, or no record is left to write. Nothing half-written is left.
        WriteError: the folder cannot be written.
        molvis_core.errors.BusyError: another process writes it.
    """
    out = Path(out)
    if not paths:
        raise IndexFileError("no files of reference spectra; name at least one")
    for path in paths:
        require_file(Path(path))
    readers = [registry.load("reader", reader or registry.for_suffix("reader", p, modality="msms").name) for p in paths]
    items = (_named(item, Path(path)) for path, read in zip(paths, readers, strict=True) for item in read(Path(path)))
    if fold is not None:
        items = (item for item in items if isinstance(item, ReadError) or item.fold == fold)
    with sole_writer(out):
        recover(out)
        if out.exists():
            raise IndexFileError(f"{out} exists. Choose another folder, or delete it first.")
        return write(items, out, strict=strict, sources=[Path(p).name for p in paths], progress=progress)


def write(
    items: Iterable[Measurement | ReadError],
    out: Path | str,
    *,
    strict: bool = False,
    sources: Sequence[str] = (),
    progress: Progress | None = None,
) -> BuildReport:
    """Write spectra of known compounds as an index of references, whole or not at all. See `build`."""
    import pyarrow as pa

    out = Path(out)
    problems: list[ReadError] = []
    try:
        with sole_writer(out), replacing_folder(out) as fresh:
            with _Table(fresh / TABLE) as table:
                for number, item in enumerate(items, start=1):
                    if progress and number % 500 == 0:
                        progress(number, 0)
                    fault = item if isinstance(item, ReadError) else table.add(item)
                    if fault is None:
                        continue
                    if strict and not isinstance(fault, LeftOutError):
                        raise fault
                    problems.append(fault)
            counts = {"spectra": table.rows, "compounds": len(table.compounds), "peaks": table.peaks}
            if not table.rows:
                first = f" The first: {problems[0]}" if problems else ""
                raise IndexFileError(
                    f"{out}: no reference spectrum to write; {len(problems)} records were left out.{first}"
                )
            reasons = count_reasons(p.reason for p in problems)
            write_problems(fresh / "problems.csv", problems)
            left = [{"reason": reason, "records": count} for reason, count in reasons.items()]
            content = {**counts, "sources": list(sources), "left_out": left, "blocks": blocks_of(fresh, [TABLE])}
            (fresh / FOLDER.file).write_text(FOLDER.text(content), encoding="utf-8")
    except (OSError, pa.ArrowException) as error:
        raise WriteError(f"{out}: cannot be written: {error}. Nothing half-written is left.") from error
    size = sum(file.stat().st_size for file in out.iterdir())
    return BuildReport(
        out, **counts, left_out=len(problems), reasons=reasons, problems=tuple(map(str, problems[:100])), size=size
    )


def _named(item: Measurement | ReadError, path: Path) -> Measurement | ReadError:
    """A spectrum that knows which file it is from."""
    if isinstance(item, ReadError) or item.origin.source_file:
        return item
    return replace(item, origin=replace(item.origin, source_file=path.name))


def _schema() -> pa.Schema:
    import pyarrow as pa

    kinds = {"f8": pa.float64(), "i2": pa.int16()}
    columns = [("mz", pa.list_(pa.float64())), ("intensity", pa.list_(pa.float32()))]
    return pa.schema([*columns, *((n, kinds[_NUMBERS[n]] if n in _NUMBERS else pa.string()) for n in COLUMNS[2:])])


class _Table:
    """The table that is being written, in batches."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        self.schema = _schema()
        text: Any = [n for n in COLUMNS[2:] if n not in _NUMBERS]
        # Bytes of one place together: the low ones of numbers with few digits are nearly all equal.
        split = {"mz.list.element": "BYTE_STREAM_SPLIT", "intensity.list.element": "BYTE_STREAM_SPLIT"}
        self.writer = pq.ParquetWriter(
            path, self.schema, compression="zstd", compression_level=9, use_dictionary=text, column_encoding=split
        )
        self.columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
        self.rows = self.peaks = 0
        self.compounds: set[str] = set()
        self.seen: set[bytes] = set()

    def __enter__(self) -> _Table:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._flush()
        self.writer.close()

    def add(self, item: Measurement) -> ReadError | None:
        """Take in a spectrum; returns why it is left out, if it is."""
        spectrum, known = cast("PeakList", item.record), item.structure
        where = Path(item.origin.source_file or "spectrum")
        record = spectrum.identifier or item.name
        keep = spectrum.intensity > 0
        if not keep.any():
            return LeftOutError(where, "no peaks above zero", record=record)
        compound = known.inchikey14 if known else item.name
        if not compound:
            return LeftOutError(where, "names no compound, by structure or by name", record=record)
        mz, intensity = spectrum.mz[keep], spectrum.intensity[keep]
        ion = repr((compound, spectrum.adduct, spectrum.precursor_mz, spectrum.ionmode)).encode()
        digest = hashlib.sha256(ion + mz.tobytes() + intensity.tobytes()).digest()[:16]
        if digest in self.seen:
            return LeftOutError(where, "the same peaks of the same ion are there already", record=record)
        self.seen.add(digest)
        self.compounds.add(compound)
        values = {"mz": mz, "intensity": intensity, "structure_charge": known.charge if known else None}
        values |= {name: getattr(spectrum, name) for name in _SPECTRUM}
        values |= {name: getattr(known, name, None) for name in _IDENTITY}
        values |= {name: getattr(item, name) for name in _ORIGIN}
        for name, column in self.columns.items():
            column.append(values[name])
        self.rows, self.peaks = self.rows + 1, self.peaks + len(mz)
        if self.rows % _BATCH == 0:
            self._flush()
        return None

    def _flush(self) -> None:
        import pyarrow as pa

        self.writer.write_table(pa.table([pa.array(self.columns[f.name], f.type) for f in self.schema], self.schema))
        self.columns = {name: [] for name in COLUMNS}


def read_metadata(path: Path | str) -> dict[str, Any]:
    """What the folder's TOML file says, once the table is known to be what was written.

    Raises:
        IndexFileError: there is no such folder, or it is damaged.
    """
    path = Path(path)
    metadata = FOLDER.read(path)
    digests = stored_digests(metadata, TABLE)
    if digests is None or any(not isinstance(metadata.get(n), int) for n in ("spectra", "compounds", "peaks")):
        raise FOLDER.damaged(path, "it lacks digests or counts")
    if found := damage(path / TABLE, digests):
        raise IndexFileError(f"{path / TABLE}: damaged: {found[0].reason}. {FOLDER.mend.replace('{path}', str(path))}")
    return metadata


def read_table(path: Path | str) -> pa.Table:
    """The table of an index, whole.

    Raises:
        IndexFileError: it is damaged, or holds something else than reference spectra.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(path)
    rows = read_metadata(path)["spectra"]
    try:
        table = pq.read_table(path / TABLE, schema=_schema()).combine_chunks()
        table.validate(full=True)
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise IndexFileError(f"{path / TABLE}: damaged: {error}. Build it again.") from error
    if len(table) != rows:
        raise IndexFileError(f"{path / TABLE}: damaged: it has {len(table)} rows, but {FOLDER.file} records {rows}")
    return table


@dataclass(frozen=True, slots=True)
class Description:
    """What is in an index.

    Attributes:
        path: the folder.
        spectra, compounds, peaks: how many.
        size: of the folder in bytes.
        sources: names of the files that it was made of.
        left_out: records that were left out, by reason.
        counts: how many spectra for each polarity, adduct, instrument type, licence and contributor.
    """

    path: Path
    spectra: int
    compounds: int
    peaks: int
    size: int
    sources: tuple[str, ...]
    left_out: dict[str, int]
    counts: dict[str, dict[str, int]]


def describe(path: Path | str) -> Description:
    """Count what is in an index.

    Raises:
        IndexFileError: there is none, or it is damaged.
    """
    path = Path(path)
    table, metadata = read_table(path), FOLDER.read(path)
    counts = {
        name: dict(Counter(v or "not stated" for v in table[name].to_pylist()).most_common())
        for name in ("ionmode", "adduct", "instrument_type", "licence", "contributor")
    }
    return Description(
        path, metadata["spectra"], metadata["compounds"], metadata["peaks"],
        sum(file.stat().st_size for file in path.iterdir()), tuple(metadata.get("sources", ())),
        {entry["reason"]: entry["records"] for entry in metadata.get("left_out", ())}, counts,
    )  # fmt: skip


def lists_of(table: pa.Table, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Values of a column of lists end to end, and where each list begins and the last ends."""
    import pyarrow as pa

    column = table[name]
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    whole = whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole
    offsets = whole.offsets.to_numpy().astype(np.int64)
    values = whole.values.to_numpy(zero_copy_only=False)
    return values[offsets[0] : offsets[-1]], offsets - offsets[0]
