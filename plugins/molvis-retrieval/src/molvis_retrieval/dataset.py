"""Measurements on disk: Arrow files, memory-mapped, one row a measurement, keyed by InChIKey.

A dataset is a folder: `dataset.toml` (format, counts, digest) and one Arrow IPC file for each modality. Columns are the
fields of the modality's record, the identity of the compound, where the measurement comes from, and its fold. A folder
is written beside its place and renamed, so that an interrupted import leaves nothing half-written.
"""

from __future__ import annotations

import dataclasses
import errno
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int64

from molvis_core.errors import DatasetError, did_you_mean
from molvis_core.records import Measurement, Structure
from molvis_core.text import in_shell
from molvis_files.digests import blocks_of, damage, files_sha256, stored_digests
from molvis_files.folders import FolderFormat

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger("molvis")


FOLDER = FolderFormat(
    noun="dataset",
    file="dataset.toml",
    version=2,
    error=DatasetError,
    make="Make one with: molvis data import FILES --out {path}",
    mend="Import the files again.",
    sealed_from=2,
)
"""The folder. Version 1 had no digests of blocks."""


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


IDENTITY = ("smiles", "inchikey", "inchikey14", "formula", "exact_mass", "structure_charge")
ORIGIN = ("name", "source", "licence", "contributor", "authors", "fold", "cluster")


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
        """Open a dataset; data are read when first used.

        Raises:
            DatasetError: there is none, it is damaged, or it is of a newer format.
        """
        path = Path(path)
        metadata = FOLDER.read(path)
        if metadata["format"] < 2:
            log.warning(
                "%s: made by an older molvis, without digests: damage to it goes unnoticed. Give it some: molvis data "
                "verify %s --add",
                path, in_shell(path),
            )  # fmt: skip
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
        """Every row of a modality, memory-mapped; its digests are checked when it is first read.

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
                # Arrow trusts the lengths that a file states, and reads beyond its end.
                table.validate(full=True)
            except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
                raise DatasetError(f"{file}: damaged or missing: {error}. Import the files again.") from error
            wanted = self.metadata["modalities"][modality]["measurements"]
            if len(table) != wanted:
                raise DatasetError(f"{file}: damaged: it has {len(table)} rows, but dataset.toml records {wanted}")
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
            raise DatasetError(f"{self.path}: {modality} has rows 0 to {len(table) - 1}, got {row}")
        return {name: table.column(name)[row] for name in names}

    def record(self, modality: str, row: int) -> Any:
        """The record of one row."""
        record, known = self._type(modality), self.table(modality).column_names
        return _record(record, self._row(modality, row, [n for n in field_names(record) if n in known]))

    def structure(self, modality: str, row: int) -> Structure:
        """The compound of one row.

        Raises:
            DatasetError: it is an unknown.
        """
        found = _structure(self._row(modality, row, (*IDENTITY, "name")))
        if found is None:
            raise DatasetError(f"{self.path}: row {row} of {modality} has no structure")
        return found

    def measurement(self, modality: str, row: int) -> Measurement:
        """Everything of one row."""
        cells = self._row(modality, row, self.table(modality).column_names)
        origin = {name: cells[name].as_py() for name in ORIGIN}
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


def field_names(record: type[Any]) -> tuple[str, ...]:
    """Names of the fields of a record type."""
    return tuple(f.name for f in dataclasses.fields(record))


def schema_of(record: type[Any]) -> pa.Schema:
    """Columns of a table of measurements.

    Raises:
        DatasetError: a field of the record is neither an array, a number nor text.
    """
    import pyarrow as pa

    simple = {"float": pa.float64(), "int": pa.int64(), "str": pa.large_string()}
    columns: dict[str, pa.DataType] = {}
    for f in dataclasses.fields(record):
        if "ndarray" in str(f.type):
            # Heights need no more than seven digits; positions do.
            columns[f.name] = pa.large_list(pa.float32() if f.name == "intensity" else pa.float64())
        elif str(f.type) == "tuple[str, ...]":
            columns[f.name] = pa.list_(pa.large_string())
        else:
            found = next((kind for name, kind in simple.items() if name in str(f.type)), None)
            if found is None:
                raise DatasetError(
                    f"{record.__name__}.{f.name} is {f.type}; a dataset holds records of arrays, numbers and text alone"
                )
            columns[f.name] = found
    for name in IDENTITY:
        columns.setdefault(
            name, {"exact_mass": pa.float64(), "structure_charge": pa.int64()}.get(name, pa.large_string())
        )
    for name in ORIGIN:
        columns.setdefault(name, pa.int64() if name == "cluster" else pa.large_string())
    return pa.schema(list(columns.items()))


def _record(record: type[Any], cells: Mapping[str, Any]) -> Any:
    values: dict[str, Any] = {}
    for name in field_names(record):
        if name not in cells:
            continue  # of a dataset that an older molvis wrote
        cell = cells[name]
        if getattr(cell, "values", None) is None:
            values[name] = cell.as_py()
        elif str(cell.values.type) == "large_string":
            values[name] = tuple(cell.as_py())
        else:
            values[name] = cell.values.to_numpy(zero_copy_only=False)
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


def write_metadata(folder: Path, records: Mapping[str, str], sources: Sequence[str]) -> None:
    """Write `dataset.toml`, with the digests of what is in the folder."""
    import pyarrow as pa

    modalities: dict[str, dict[str, Any]] = {}
    for name, record in sorted(records.items()):
        file = folder / f"{name}.arrow"
        with pa.memory_map(str(file)) as source:
            table = pa.ipc.open_file(source).read_all().select(["fold", "inchikey14"])
        folds = Counter(f for f in table["fold"].to_pylist() if f)
        compounds = len({k for k in table["inchikey14"].to_pylist() if k})
        entry = {"record": record, "measurements": len(table), "compounds": compounds, "folds": dict(folds)}
        modalities[name] = entry
    content = {
        "digest": files_sha256(folder / f"{name}.arrow" for name in sorted(records)),
        "sources": list(sources),
        "modalities": modalities,
        "blocks": blocks_of(folder, sorted(file.name for file in folder.iterdir())),
    }
    (folder / FOLDER.file).write_text(FOLDER.text(content), encoding="utf-8")


def write_error(path: Path, error: Exception) -> DatasetError:
    """Why a dataset cannot be written."""
    full = isinstance(error, OSError) and error.errno == errno.ENOSPC
    why = "the disk is full; free some space" if full else str(error)
    return DatasetError(f"{path}: cannot be written: {why}. Nothing half-written is left; what was there before stays.")
