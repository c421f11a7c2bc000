"""Tables of infrared spectra."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from molvis_core.errors import ReadError
from molvis_core.records import Measurement
from molvis_files.parquet import Kind, parquet_columns, read_batches
from molvis_ir.readers.spectrum import Items, measurement


def read_parquet(path: Path) -> Items:
    """Tables of infrared spectra, as molvis's benchmark data: one row a spectrum, y in whole numbers, read in batches.

    Columns: `first_x`, `last_x`, `n_points`, `x_units`, `y_units`, `y` as a list and `y_scale` that it is multiplied
    by; `spectrum_id`, `name`, `smiles`, `inchikey`, `fold`, `origin`, `owner` and `licence` where it has them.
    Reflectance and refractive indices are refused row by row, absorption indices become absorbance.

    Raises:
        ReadError: the file is not Parquet, is damaged, or lacks a column.
    """
    number = 0
    for batch in read_batches(path, _KINDS, need=sorted(_WANTED), size=500):
        values = batch.column("y")
        rest = [name for name in batch.schema.names if name != "y"]
        for i, row in enumerate(batch.select(rest).to_pylist()):
            number += 1
            yield _row(path, row, values[i].values, number)


_WANTED = {"first_x", "last_x", "n_points", "y", "y_scale", "x_units", "y_units"}
_KINDS: dict[str, Kind] = {
    "first_x": "number", "last_x": "number", "n_points": "number", "y": "numbers", "y_scale": "number",
    "x_units": "text", "y_units": "text", "spectrum_id": "label", "name": "text", "smiles": "text", "inchikey": "text",
    "fold": "text", "origin": "text", "owner": "text", "licence": "text",
}  # fmt: skip


def is_ir_table(path: Path) -> bool:
    """Whether a Parquet table has the columns of infrared spectra."""
    return parquet_columns(path) >= _WANTED


def _row(path: Path, row: Mapping[str, Any], values: Any, number: int) -> Measurement | ReadError:
    record = row.get("spectrum_id") or number
    if values is None or len(values) != row["n_points"]:
        reason = f"n_points is {row['n_points']}, y has {0 if values is None else len(values)} values"
        return ReadError(path, reason, line=number, record=record)
    if row["first_x"] is None or row["last_x"] is None or row["y_scale"] is None:
        return ReadError(path, "first_x, last_x or y_scale is missing", line=number, record=record)
    x = np.linspace(row["first_x"], row["last_x"], len(values))
    y = values.to_numpy(zero_copy_only=False).astype(np.float64) * row["y_scale"]
    fields = {
        "identifier": str(record),
        "name": row.get("name"),
        "structure": row.get("smiles"),
        "inchikey": row.get("inchikey"),
        "fold": row.get("fold"),
        "source": row.get("origin"),
        "contributor": row.get("owner"),
        "licence": row.get("licence"),
    }
    return measurement(path, x, y, row["x_units"] or "", row["y_units"] or "", fields, line=number, record=record)
