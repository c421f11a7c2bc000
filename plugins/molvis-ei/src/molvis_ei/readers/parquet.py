"""Tables of electron ionization spectra."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from molvis_core.errors import LeftOutError, ReadError, RecordError, StructureError
from molvis_core.records import Measurement
from molvis_ei.readers.fields import Items, one_form, spectrum_of
from molvis_files.parquet import Kind, parquet_columns, read_batches, whole_number
from molvis_files.spectra import known_structure

_KINDS: dict[str, Kind] = {
    "identifier": "label", "name": "text", "smiles": "text", "ionization_energy": "text", "ms_type": "text",
    "isotope_labelled": "flag", "retention_index": "number", "retention_index_kind": "text", "gc_column": "text",
    "derivative": "text", "derivative_kind": "text", "instrument_type": "text", "mzs": "numbers",
    "intensities": "numbers", "source": "text", "contributor": "text", "licence": "text", "authors": "text",
    "cluster": "number", "fold": "text",
}  # fmt: skip
_DRAWN = "structure contains Si"


def is_ei_table(path: Path) -> bool:
    """Whether a Parquet table has the columns of electron ionization spectra."""
    return {"mzs", "intensities", "smiles", "derivative"} <= parquet_columns(path)


def read_parquet(path: Path) -> Items:
    """Tables of electron ionization spectra: one row a spectrum, peaks as lists, read in batches.

    Columns: `mzs`, `intensities`, `smiles` and `derivative`; `identifier`, `name`, `ionization_energy`, `ms_type`,
    `isotope_labelled`, `retention_index`, `retention_index_kind`, `gc_column`, `derivative_kind`, `instrument_type`,
    `fold`, `cluster`, `source`, `contributor`, `licence` and `authors` where it has them. A structure that is drawn
    with its silyl groups is of no further derivative. Rows of isotope-labelled compounds and of fragments of an
    isolated ion are yielded as a `LeftOutError`.

    Raises:
        ReadError: the file is not Parquet, is damaged, or lacks a column.
    """
    number = 0
    for batch in read_batches(path, _KINDS, need=("mzs", "intensities", "smiles", "derivative")):
        lists = {n: batch.column(n) for n in ("mzs", "intensities")}
        rest = {n: batch.column(n).to_pylist() for n in batch.schema.names if n not in lists}
        for i in range(batch.num_rows):
            number += 1
            row = {n: values[i] for n, values in rest.items()}
            record = row.get("identifier") or number
            if reason := _unfit(row):
                yield LeftOutError(path, reason, line=number, record=record)
            else:
                yield _row(path, row, lists["mzs"][i].values, lists["intensities"][i].values, number)


def _unfit(row: Mapping[str, Any]) -> str:
    """Why a row is left out, or nothing."""
    if row.get("isotope_labelled"):
        return "of a compound with labelled isotopes"
    return "" if (row.get("ms_type") or "MS") == "MS" else "of fragments of an isolated ion (MS2)"


def _row(path: Path, row: Mapping[str, Any], mz: Any, heights: Any, number: int) -> Measurement | ReadError:
    record = row.get("identifier") or number
    if mz is None or heights is None or len(mz) != len(heights):
        return ReadError(path, "no peaks, or as many m/z as intensities are missing", line=number, record=record)
    energy = re.search(r"\d+\.?\d*", row.get("ionization_energy") or "")
    index = row.get("retention_index")
    try:
        known = known_structure(row["smiles"]) if row["smiles"] else None
        spectrum = spectrum_of(
            list(zip(mz.to_pylist(), heights.to_pylist(), strict=True)),
            energy=float(energy.group()) if energy else None,
            retention_index=float(index) if index is not None and np.isfinite(index) and index > 0 else None,
            column=row.get("gc_column") or row.get("retention_index_kind"),
            derivative=_derivative(row),
            instrument_type=row.get("instrument_type"),
            identifier=str(record),
        )
        cluster = whole_number(row, "cluster")
    except (RecordError, StructureError, TypeError) as error:
        return ReadError(path, str(error), line=number, record=record)
    origin: dict[str, Any] = {k: row.get(k) for k in ("fold", "name", "source", "licence", "contributor", "authors")}
    return Measurement(spectrum, known, "ei", cluster=cluster, **origin)


def _derivative(row: Mapping[str, Any]) -> str | None:
    """The derivative of the structure as the table draws it."""
    if row.get("derivative_kind") == _DRAWN:
        return "none"
    return one_form(row.get("derivative") or "") or ("none" if row.get("derivative_kind") == "none" else None)
