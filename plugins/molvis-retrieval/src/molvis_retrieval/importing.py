"""Files of measurements to a dataset, written whole or not at all."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from molvis_core import registry
from molvis_core.errors import DatasetError, LeftOutError, ReadError
from molvis_core.plugins import Component
from molvis_core.progress import Progress
from molvis_core.records import Measurement
from molvis_files.locking import sole_writer
from molvis_files.reasons import count_reasons, write_problems
from molvis_files.vendors import require_file
from molvis_files.writing import recover, replacing_folder
from molvis_retrieval.dataset import IDENTITY, ORIGIN, Dataset, field_names, schema_of, write_error, write_metadata
from molvis_retrieval.parents import ParentCounts, ParentsOfMeasurements

_BATCH = 4096


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did.

    Attributes:
        path: the dataset.
        imported: measurements written, by modality.
        skipped: records left out, those that cannot be read and those that a reader passes over by rule.
        problems: why, the first hundred; all are in the dataset's `problems.csv`.
        reasons: how many were left out for each reason, the most frequent first. Reasons that differ in a number or in
            what they quote are one, with `N` and `...` in their place.
        parents: what was neutralised and stripped of the structures, see `molvis_retrieval.parents`.
    """

    path: Path
    imported: dict[str, int]
    skipped: int
    problems: tuple[str, ...] = ()
    reasons: dict[str, int] = field(default_factory=dict)
    parents: ParentCounts = field(default_factory=ParentCounts)


def import_files(
    paths: Sequence[Path | str],
    out: Path | str,
    *,
    modality: str | None = None,
    reader: str | None = None,
    strict: bool = False,
    append: bool = False,
    progress: Progress | None = None,
) -> ImportReport:
    """Turn files into a dataset. Salts, solvates and ions come in as the neutral compounds behind them.

    Args:
        paths: the files.
        out: the dataset's folder.
        modality: take only readers of this one, where several claim a file's ending.
        reader: name of the reader, instead of choosing one by the file's ending.
        strict: stop at the first bad record instead of counting and skipping it.
        append: add to the dataset that is there.
        progress: called with the records done and 0, as their number is not known before the end.

    Raises:
        ReadError: a file cannot be read at all, or holds no measurements but a network, say; or a record cannot be
            read and `strict` is set.
        molvis_core.errors.ComponentError: no reader claims a file, or several do.
        DatasetError: the folder exists and `append` is not set, or the disk is full. Nothing half-written is left.
        molvis_core.errors.BusyError: another process writes the folder.
    """
    out = Path(out)
    if not paths:
        raise DatasetError("no files to import; name at least one")
    for path in paths:
        require_file(Path(path))
    readers = [_reader(Path(p), reader, modality) for p in paths]

    def measurements() -> Iterator[Measurement | ReadError]:
        if append and out.exists():
            old = Dataset.open(out)
            for kind in old.modalities:
                for row in range(len(old.table(kind))):
                    yield old.measurement(kind, row)
        for path, read in zip(paths, readers, strict=True):
            yield from read(Path(path))

    with sole_writer(out):
        recover(out)
        if out.exists() and not append:
            raise DatasetError(f"{out} exists. Choose another folder, add to it with --append, or delete it first.")
        return write(measurements(), out, strict=strict, sources=[Path(p).name for p in paths], progress=progress)


def write(
    measurements: Iterable[Measurement | ReadError],
    out: Path | str,
    *,
    strict: bool = False,
    sources: Sequence[str] = (),
    progress: Progress | None = None,
) -> ImportReport:
    """Write measurements as a dataset, whole or not at all, with parents for structures. See `import_files`."""
    import pyarrow as pa

    out = Path(out)
    problems: list[ReadError] = []
    writers: dict[str, _Writer] = {}
    as_parents = ParentsOfMeasurements()
    drawn = (item if isinstance(item, ReadError) else as_parents(item) for item in measurements)
    try:
        with sole_writer(out), replacing_folder(out) as fresh:
            done = _write_measurements(drawn, fresh, writers, problems, strict=strict, progress=progress)
            if not writers:
                first = f" The first: {problems[0]}" if problems else ""
                raise DatasetError(f"nothing to write: {done} records read, {len(problems)} refused.{first}")
            counts = {name: writer.close() for name, writer in writers.items()}
            write_problems(fresh / "problems.csv", problems)
            write_metadata(fresh, {n: w.record.__name__ for n, w in writers.items()}, sources)
    except (OSError, pa.ArrowException) as error:
        raise write_error(out, error) from error
    finally:
        for writer in writers.values():
            writer.abandon()
    reasons = count_reasons(p.reason for p in problems)
    shown = tuple(str(p) for p in problems[:100])
    return ImportReport(out, counts, len(problems), shown, reasons, as_parents.counts)


def _write_measurements(
    measurements: Iterable[Measurement | ReadError],
    folder: Path,
    writers: dict[str, _Writer],
    problems: list[ReadError],
    *,
    strict: bool,
    progress: Progress | None,
) -> int:
    done = 0
    for item in measurements:
        done += 1
        if progress and done % 200 == 0:
            progress(done, 0)
        if isinstance(item, ReadError):
            if strict and not isinstance(item, LeftOutError):
                raise item
            problems.append(item)
            continue
        if item.modality not in writers:
            writers[item.modality] = _Writer(folder / f"{item.modality}.arrow", type(item.record))
        writers[item.modality].add(item)
    if progress:
        progress(done, done)
    return done


class _Writer:
    """One modality's Arrow file, written in batches."""

    def __init__(self, path: Path, record: type[Any]) -> None:
        import pyarrow as pa

        self.path, self.record, self.schema = path, record, schema_of(record)
        self.sink = pa.OSFile(str(path), "wb")
        self.writer = pa.ipc.new_file(self.sink, self.schema)
        self.columns: dict[str, list[Any]] = {name: [] for name in self.schema.names}
        self.count, self.open = 0, True

    def add(self, item: Measurement) -> None:
        if type(item.record) is not self.record:
            raise DatasetError(
                f"modality {item.modality!r} holds {self.record.__name__}s; a reader yielded a "
                f"{type(item.record).__name__}"
            )
        for f in dataclasses.fields(self.record):
            self.columns[f.name].append(getattr(item.record, f.name))
        known = item.structure
        identity = (
            (known.smiles, known.inchikey, known.inchikey14, known.formula, known.exact_mass, known.charge)
            if known
            else (None,) * len(IDENTITY)
        )
        for name, value in zip(IDENTITY, identity, strict=True):
            if name not in field_names(self.record):
                self.columns[name].append(value)
        for name in ORIGIN:
            if name not in field_names(self.record):
                self.columns[name].append(getattr(item, name))
        self.count += 1
        if self.count % _BATCH == 0:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        arrays = [pa.array(self.columns[f.name], type=f.type) for f in self.schema]
        self.writer.write_batch(pa.record_batch(arrays, schema=self.schema))
        self.columns = {name: [] for name in self.schema.names}

    def close(self) -> int:
        if self.count % _BATCH:
            self._flush()
        self.writer.close()
        self.sink.close()
        self.open = False
        return self.count

    def abandon(self) -> None:
        if self.open:
            self.open = False
            self.sink.close()


def _reader(path: Path, name: str | None, modality: str | None) -> Callable[[Path], Iterator[Measurement | ReadError]]:
    measured = registry.measured_modalities()
    claiming = registry.claiming("reader", path)
    if name is None and modality is None and claiming and not {c.modality for c in claiming} & measured:
        likely = [c for c in claiming if registry.recognises(c, path) is not False]
        raise ReadError(path, " ".join(_not_measured(c) for c in likely or claiming))
    if name is None:
        # Tables of measurements and of structures share endings; an import needs measurements.
        name = registry.for_suffix("reader", path, modality=modality or measured).name
    found = registry.component("reader", name)
    if found.modality in registry.fixed_modalities():
        raise ReadError(path, _not_measured(found))
    return registry.load("reader", name)


def _not_measured(reader: Component) -> str:
    """Why a dataset does not take what a reader reads, and which commands do."""
    why = f"the reader {reader.name!r} ({reader.summary.rstrip('.')}) gives {reader.modality}, which is not measured;"
    if reader.modality == "structure":
        return f"{why} molvis library build takes files of structures."
    own = {c.name.partition("-")[0] for c in registry.components("command") if c.distribution == reader.distribution}
    helps = " and ".join(f"molvis {name} --help" for name in sorted(own))
    return f"{why} {helps or f'the documentation of {reader.distribution}'} lists the commands that take it."
