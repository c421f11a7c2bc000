"""Measurements on disk: Arrow files, memory-mapped, one row a measurement, keyed by InChIKey.

A dataset is a folder: `dataset.toml` (format, counts, digest) and one Arrow IPC file for each modality. Columns are the
fields of the modality's record, the identity of the compound, where the measurement comes from, and its fold. A folder
is written beside its place and renamed, so that an interrupted import leaves nothing half-written.
"""

from __future__ import annotations

import csv
import dataclasses
import errno
import hashlib
import logging
import re
import shutil
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Int64

from molvis_core import registry
from molvis_core.errors import DatasetError, LeftOutError, ReadError, did_you_mean
from molvis_core.records import Measurement, Structure
from molvis_core.text import in_cells, in_shell
from molvis_files.digests import blocks_of, damage, is_intact, sealed, stored_digests
from molvis_files.documents import load_toml
from molvis_files.locking import sole_writer
from molvis_files.vendors import require_file
from molvis_files.writing import recover, replacing_folder

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger("molvis")

FORMAT = 2
"""Number of the format that this molvis writes. Format 1 had no digests of blocks."""

Progress = Callable[[int, int], None]


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
    """

    path: Path
    imported: dict[str, int]
    skipped: int
    problems: tuple[str, ...] = ()
    reasons: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Description:
    """What is in a dataset; one entry for each modality.

    Attributes:
        path: the dataset.
        modalities: by name, each with its counts: measurements, compounds, folds, adducts, instrument types, ion modes,
            licences, mass range, quantiles of the number of peaks or points.
    """

    path: Path
    modalities: dict[str, dict[str, Any]] = field(default_factory=dict)


_IDENTITY = ("smiles", "inchikey", "inchikey14", "formula", "exact_mass", "structure_charge")
_ORIGIN = ("name", "source", "licence", "contributor", "authors", "fold", "cluster")
_BATCH = 4096


@dataclass(frozen=True)
class Dataset:
    """A dataset on disk, open for reading.

    Attributes:
        path: the folder.
        metadata: of `dataset.toml`.
    """

    path: Path
    metadata: dict[str, Any] = field(repr=False)

    @classmethod
    def open(cls, path: Path | str) -> Dataset:
        """Open a dataset; data are read when asked for.

        Raises:
            DatasetError: there is none, it is damaged, or it is of a newer format.
        """
        path = Path(path)
        recover(path)
        file = path / "dataset.toml"
        try:
            metadata = load_toml(file.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise DatasetError(
                f"{path}: no dataset here. Make one with: molvis data import FILES --out {in_shell(path)}"
            ) from error
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise DatasetError(f"{file}: damaged: {error}. Import the files again.") from error
        found = metadata.get("format")
        if not isinstance(found, int):
            raise DatasetError(f"{file}: damaged: 'format' is {found!r}. Import the files again.")
        if found > FORMAT:
            raise DatasetError(
                f"{file}: made by molvis {metadata.get('molvis', '?')} in format {found}; this molvis reads up to "
                f"{FORMAT}. Upgrade it: pip install --upgrade molvis-core"
            )
        if found < 2:
            log.warning(
                "%s: made by an older molvis, without digests: damage to it goes unnoticed. Give it some: molvis data "
                "verify %s --add",
                path, in_shell(path),
            )  # fmt: skip
        elif not is_intact(metadata):
            raise DatasetError(f"{file}: damaged: its content does not match its checksum. Import the files again.")
        return cls(path, metadata)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities it holds."""
        return tuple(self.metadata["modalities"])

    @property
    def digest(self) -> str:
        """SHA-256 of the data and the folds."""
        return str(self.metadata["digest"])

    @cached_property
    def _tables(self) -> dict[str, pa.Table]:
        return {}

    @cached_property
    def _checked(self) -> set[str]:
        return set()

    def _check(self, file: Path) -> None:
        """Compare a file with its digests, once for each dataset that is opened: workers trust who opened it."""
        if file.name in self._checked or not file.is_file():
            return
        if found := damage(file, stored_digests(self.metadata, file.name) or []):
            more = f", and {len(found) - 1} more" if len(found) > 1 else ""
            raise DatasetError(f"{file}: damaged: {found[0].reason}{more}. Copy it again, or import the files again.")
        self._checked.add(file.name)

    def table(self, modality: str) -> pa.Table:
        """Every row of a modality, memory-mapped; when it is first asked for, its digests are checked.

        Raises:
            DatasetError: the dataset has no such modality, or its file is damaged.
        """
        if modality not in self.metadata["modalities"]:
            raise DatasetError(
                f"{self.path}: no measurements of {modality!r}.{did_you_mean(modality, self.modalities)} "
                f"It holds: {', '.join(self.modalities)}."
            )
        if modality not in self._tables:
            import pyarrow as pa

            file = self.path / f"{modality}.arrow"
            if self.metadata["format"] > 1:
                self._check(file)
            try:
                with pa.memory_map(str(file)) as source:
                    table = pa.ipc.open_file(source).read_all()
                # Arrow believes what a file says of its lengths, and reads beyond its end.
                table.validate(full=True)
            except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
                raise DatasetError(f"{file}: damaged or missing: {error}. Import the files again.") from error
            wanted = self.metadata["modalities"][modality]["measurements"]
            if len(table) != wanted:
                raise DatasetError(f"{file}: damaged: {len(table)} rows, dataset.toml says {wanted}")
            # One chunk for each column: finding row 60,000 among chunks is a search, in one it is an offset.
            self._tables[modality] = table.combine_chunks()
        return self._tables[modality]

    def __getstate__(self) -> dict[str, Any]:
        # Memory maps do not travel to another process; it opens its own.
        return {"path": self.path, "metadata": self.metadata, "_checked": self._checked}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)

    def _row(self, modality: str, row: int, names: Iterable[str]) -> dict[str, Any]:
        table = self.table(modality)
        if not 0 <= row < len(table):
            raise DatasetError(f"{self.path}: {modality} has rows 0 to {len(table) - 1}, asked for {row}")
        return {name: table.column(name)[row] for name in names}

    def record(self, modality: str, row: int) -> Any:
        """The record of one row."""
        record = self._type(modality)
        return _record(record, self._row(modality, row, _fields(record)))

    def structure(self, modality: str, row: int) -> Structure:
        """The compound of one row.

        Raises:
            DatasetError: it is an unknown.
        """
        found = _structure(self._row(modality, row, (*_IDENTITY, "name")))
        if found is None:
            raise DatasetError(f"{self.path}: row {row} of {modality} has no structure")
        return found

    def measurement(self, modality: str, row: int) -> Measurement:
        """Everything of one row."""
        cells = self._row(modality, row, self.table(modality).column_names)
        origin = {name: cells[name].as_py() for name in _ORIGIN}
        return Measurement(_record(self._type(modality), cells), _structure(cells), modality, **origin)

    def rows(
        self, modality: str, *, fold: str | None = None, adducts: Sequence[str] = (), min_peaks: int = 0
    ) -> Int64[np.ndarray, " n"]:
        """Numbers of the rows that fit.

        Args:
            modality: whose rows.
            fold: only those of this fold.
            adducts: only those of one of these.
            min_peaks: only those with as many peaks or points.

        Raises:
            DatasetError: the dataset has no such modality or fold.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        table = self.table(modality)
        keep = np.ones(len(table), dtype=bool)
        if fold is not None:
            folds = self.metadata["modalities"][modality].get("folds", {})
            if fold not in folds:
                raise DatasetError(
                    f"{self.path}: {modality} has no fold {fold!r}.{did_you_mean(fold, folds)} It has: "
                    f"{', '.join(folds) or 'none; make them with: molvis data split'}."
                )
            keep &= _true(pc.equal(table["fold"], fold))
        if adducts and "adduct" in table.column_names:
            keep &= _true(pc.is_in(table["adduct"], pa.array(list(adducts))))
        if min_peaks:
            lists = [n for n in table.column_names if pa.types.is_large_list(table.schema.field(n).type)]
            if lists:
                keep &= _true(pc.greater_equal(pc.list_value_length(table[lists[0]]), min_peaks))
        return np.flatnonzero(keep)

    def _type(self, modality: str) -> type[Any]:
        from molvis_core.records import RECORD_TYPES

        return RECORD_TYPES[self.metadata["modalities"][modality]["record"]]


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
    """Turn files into a dataset.

    Args:
        paths: the files.
        out: the dataset's folder.
        modality: take only readers of this one, where several claim a file's ending.
        reader: name of the reader, instead of choosing one by the file's ending.
        strict: stop at the first bad record instead of counting and skipping it.
        append: add to the dataset that is there.
        progress: called with the records done and 0, as their number is not known before the end.

    Raises:
        ReadError: a file cannot be read at all, or a record cannot and `strict` is set.
        molvis_core.errors.ComponentError: no reader claims a file.
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
    """Write measurements as a dataset, whole or not at all. See `import_files`."""
    import pyarrow as pa

    out = Path(out)
    problems: list[ReadError] = []
    writers: dict[str, _Writer] = {}
    try:
        with sole_writer(out), replacing_folder(out) as fresh:
            done = _write_measurements(measurements, fresh, writers, problems, strict=strict, progress=progress)
            if not writers:
                first = f" The first: {problems[0]}" if problems else ""
                raise DatasetError(f"nothing to write: {done} records read, {len(problems)} refused.{first}")
            counts = {name: writer.close() for name, writer in writers.items()}
            _write_problems(fresh / "problems.csv", problems)
            _write_metadata(fresh, {n: w.record.__name__ for n, w in writers.items()}, sources)
    except (OSError, pa.ArrowException) as error:
        raise _full(out, error) from error
    finally:
        for writer in writers.values():
            writer.abandon()
    return ImportReport(
        out, counts, len(problems), tuple(str(p) for p in problems[:100]), count_reasons(p.reason for p in problems)
    )


def count_reasons(reasons: Iterable[str]) -> dict[str, int]:
    """How often each reason comes, the most frequent first; alike are those that differ in numbers or quoted text."""
    alike: dict[str, Counter[str]] = {}
    for reason in reasons:
        alike.setdefault(_VARYING.sub(lambda m: "N" if m["number"] else "...", reason), Counter())[reason] += 1
    found = {next(iter(exact)) if len(exact) == 1 else form: exact.total() for form, exact in alike.items()}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


_VARYING = re.compile(r"""'[^']*'|"[^"]*"|(?P<number>[-+]?\b\d+(?:[.,]\d+)*(?:e[-+]?\d+)?\b)""")


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


def split(
    dataset: Dataset,
    *,
    by: Literal["compound", "cluster"] = "compound",
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15),
    seed: int = 0,
    similarity: float = 0.6,
) -> Dataset:
    """Assign every compound to `train`, `val` or `test`, the same for all modalities, and store it in the dataset.

    Args:
        dataset: to split; earlier folds are replaced.
        by: `compound`, or `cluster` so that no near twin of a test compound is in training.
        fractions: of the compounds; they add up to 1.
        seed: of the draw.
        similarity: for clusters: compounds of this Tanimoto similarity (Morgan, radius 2, 2048 bits) or more are
            joined, and so are those joined to a third.

    Raises:
        DatasetError: the fractions are not three positive numbers that add up to 1, the dataset has changed since it
            was opened, or the disk is full.
        molvis_core.errors.BusyError: another process writes the dataset.
    """
    if len(fractions) != 3 or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise DatasetError(f"fractions {tuple(fractions)}: three positive numbers that add up to 1 are wanted")
    with sole_writer(dataset.path):
        if Dataset.open(dataset.path).metadata != dataset.metadata:
            raise DatasetError(f"{dataset.path}: it has changed since it was opened. Open it again, then split it.")
        folds, clusters = _draw_folds(dataset, by, fractions, seed, similarity)
        _write_folds(dataset, folds, clusters)
    return Dataset.open(dataset.path)


def _draw_folds(
    dataset: Dataset, by: str, fractions: tuple[float, float, float], seed: int, similarity: float
) -> tuple[dict[str, str], dict[str, int]]:
    smiles: dict[str, str] = {}
    for modality in dataset.modalities:
        table = dataset.table(modality).select(["inchikey14", "smiles"])
        smiles |= {k: s for k, s in zip(*(c.to_pylist() for c in table.columns), strict=True) if k}
    keys = sorted(smiles)
    clusters = dict(zip(keys, _clusters([smiles[k] for k in keys], similarity), strict=True)) if by == "cluster" else {}
    groups: dict[Any, list[str]] = {}
    for key in keys:
        groups.setdefault(clusters.get(key, key), []).append(key)
    folds: dict[str, str] = {}
    filled = dict.fromkeys(("train", "val", "test"), 0)
    wanted = dict(zip(filled, fractions, strict=True))
    for name in np.random.default_rng(seed).permutation(np.array(sorted(groups, key=str), dtype=object)):
        # Each group goes where most is missing, so that a large cluster does not spoil the proportions.
        fold = max(filled, key=lambda f: wanted[f] * len(keys) - filled[f])
        filled[fold] += len(groups[name])
        folds |= dict.fromkeys(groups[name], fold)
    return folds, clusters


def _write_folds(dataset: Dataset, folds: Mapping[str, str], clusters: Mapping[str, int]) -> None:
    import pyarrow as pa

    try:
        with replacing_folder(dataset.path) as fresh:
            for modality in dataset.modalities:
                table = dataset.table(modality)
                found = table["inchikey14"].to_pylist()
                table = _replaced(table, "fold", pa.array([folds.get(k) for k in found], pa.large_string()))
                if clusters:
                    table = _replaced(table, "cluster", pa.array([clusters.get(k) for k in found], pa.int64()))
                file = str(fresh / f"{modality}.arrow")
                with pa.OSFile(file, "wb") as sink, pa.ipc.new_file(sink, table.schema) as out:
                    out.write_table(table)
            if (problems := dataset.path / "problems.csv").exists():
                shutil.copy(problems, fresh)
            records = {m: dataset.metadata["modalities"][m]["record"] for m in dataset.modalities}
            _write_metadata(fresh, records, dataset.metadata.get("sources", []))
    except (OSError, pa.ArrowException) as error:
        raise _full(dataset.path, error) from error


def describe(dataset: Dataset) -> Description:
    """Count what is in a dataset."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found: dict[str, dict[str, Any]] = {}
    for modality in dataset.modalities:
        table = dataset.table(modality)
        summary: dict[str, Any] = {
            "record": dataset.metadata["modalities"][modality]["record"],
            "measurements": len(table),
            "compounds": len([k for k in table["inchikey14"].unique().to_pylist() if k]),
            "unknowns": table["inchikey14"].null_count,
        }
        for name in ("fold", "adduct", "instrument_type", "ionmode", "licence"):
            if name in table.column_names:
                counts = Counter(v for v in table[name].to_pylist() if v is not None)
                summary[name] = dict(counts.most_common())
        if table["fold"].null_count < len(table):
            pairs = zip(table["fold"].to_pylist(), table["inchikey14"].to_pylist(), strict=True)
            summary["fold_compounds"] = dict(Counter(f for f, _ in set(pairs) if f))
        masses = table["exact_mass"].drop_null()
        if len(masses):
            summary["mass_range"] = [pc.min(masses).as_py(), pc.max(masses).as_py()]
        for name in table.column_names:
            if pa.types.is_large_list(table.schema.field(name).type):
                lengths = pc.list_value_length(table[name]).to_numpy()
                summary["points"] = {f"{q}%": int(np.percentile(lengths, q)) for q in (0, 25, 50, 75, 100)}
                break
        found[modality] = summary
    return Description(dataset.path, found)


class _Writer:
    """One modality's Arrow file, written in batches."""

    def __init__(self, path: Path, record: type[Any]) -> None:
        import pyarrow as pa

        self.path, self.record, self.schema = path, record, _schema(record)
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
            else (None,) * len(_IDENTITY)
        )
        for name, value in zip(_IDENTITY, identity, strict=True):
            if name not in _fields(self.record):
                self.columns[name].append(value)
        for name in _ORIGIN:
            if name not in _fields(self.record):
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


def _fields(record: type[Any]) -> tuple[str, ...]:
    return tuple(f.name for f in dataclasses.fields(record))


def _schema(record: type[Any]) -> pa.Schema:
    import pyarrow as pa

    simple = {"float": pa.float64(), "int": pa.int64(), "str": pa.large_string()}
    columns: dict[str, pa.DataType] = {}
    for f in dataclasses.fields(record):
        if "ndarray" in str(f.type):
            # Heights need no more than seven digits; positions do.
            columns[f.name] = pa.large_list(pa.float32() if f.name == "intensity" else pa.float64())
        else:
            columns[f.name] = next(kind for name, kind in simple.items() if name in str(f.type))
    for name in _IDENTITY:
        columns.setdefault(
            name, {"exact_mass": pa.float64(), "structure_charge": pa.int64()}.get(name, pa.large_string())
        )
    for name in _ORIGIN:
        columns.setdefault(name, pa.int64() if name == "cluster" else pa.large_string())
    return pa.schema(list(columns.items()))


def _record(record: type[Any], cells: Mapping[str, Any]) -> Any:
    values: dict[str, Any] = {}
    for name in _fields(record):
        cell = cells[name]
        if hasattr(cell, "values"):
            values[name] = None if cell.values is None else cell.values.to_numpy(zero_copy_only=False)
        else:
            values[name] = cell.as_py()
    return record(**values)


def _structure(cells: Mapping[str, Any]) -> Structure | None:
    if cells["inchikey"].as_py() is None:
        return None
    return Structure(
        smiles=cells["smiles"].as_py(),
        inchikey=cells["inchikey"].as_py(),
        formula=cells["formula"].as_py(),
        exact_mass=cells["exact_mass"].as_py(),
        charge=cells["structure_charge"].as_py() or 0,
        name=cells["name"].as_py(),
    )


def _true(mask: Any) -> np.ndarray:
    import pyarrow.compute as pc

    return pc.fill_null(mask, False).to_numpy()


def _replaced(table: pa.Table, name: str, values: Any) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)


def _reader(path: Path, name: str | None, modality: str | None) -> Callable[[Path], Iterator[Measurement | ReadError]]:
    if name is None:
        # Tables of measurements and of structures share endings; an import wants measurements.
        name = registry.for_suffix("reader", path, modality=modality or registry.measured_modalities()).name
    return registry.load("reader", name)


def _write_problems(path: Path, problems: Sequence[ReadError]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("file", "line", "record", "reason"))
        rows.writerows(in_cells((p.path, p.line, p.record, p.reason)) for p in problems)


def _write_metadata(folder: Path, records: Mapping[str, str], sources: Sequence[str]) -> None:
    import pyarrow as pa

    import molvis_core

    modalities: dict[str, dict[str, Any]] = {}
    digest = hashlib.sha256()
    for name, record in sorted(records.items()):
        file = folder / f"{name}.arrow"
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
        with pa.memory_map(str(file)) as source:
            table = pa.ipc.open_file(source).read_all().select(["fold", "inchikey14"])
        folds = Counter(f for f in table["fold"].to_pylist() if f)
        compounds = len({k for k in table["inchikey14"].to_pylist() if k})
        entry = {"record": record, "measurements": len(table), "compounds": compounds, "folds": dict(folds)}
        modalities[name] = entry
    content = {
        "format": FORMAT,
        "molvis": molvis_core.__version__,
        "digest": digest.hexdigest(),
        "sources": list(sources),
        "modalities": modalities,
        "blocks": blocks_of(folder, sorted(file.name for file in folder.iterdir())),
    }
    (folder / "dataset.toml").write_text(sealed(content), encoding="utf-8")


def _full(path: Path, error: Exception) -> DatasetError:
    full = isinstance(error, OSError) and error.errno == errno.ENOSPC
    why = "the disk is full; free some space" if full else str(error)
    return DatasetError(f"{path}: cannot be written: {why}. Nothing half-written is left; what was there before stays.")


def _clusters(smiles: Sequence[str], similarity: float) -> list[int]:
    """Single-linkage clusters: numbers, the same for compounds joined by a chain of similar pairs."""
    from rdkit import DataStructs
    from rdkit.Chem import rdFingerprintGenerator

    from molvis_core.chemistry.structures import parse_smiles

    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    bits = [generator.GetFingerprint(parse_smiles(s)) for s in smiles]
    parent = list(range(len(bits)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i in range(1, len(bits)):
        alike = np.asarray(DataStructs.BulkTanimotoSimilarity(bits[i], bits[:i])) >= similarity
        for j in np.flatnonzero(alike):
            parent[root(i)] = root(int(j))
    return [root(i) for i in range(len(bits))]
