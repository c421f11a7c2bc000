"""Tables of cross sections as Parquet."""

from __future__ import annotations

import io
from pathlib import Path

from molvis_ccs.readers.columns import columns_of, lacking
from molvis_ccs.readers.rows import Items, read_row
from molvis_core.errors import ReadError
from molvis_files.opening import read_bytes
from molvis_files.parquet import parquet_columns


def read_parquet(path: Path) -> Items:
    """A Parquet table with a row for each measurement and the columns of `read_csv`; read in batches.

    Raises:
        ReadError: the file is not Parquet, is damaged, or lacks a column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(io.BytesIO(read_bytes(path)) if path.name.lower().endswith(".gz") else path) as file:
            headers = file.schema_arrow.names
            columns = columns_of(headers)
            if not columns.fit:
                raise ReadError(path, lacking(headers))
            wanted = [*columns.fields.values(), *(section.header for section in columns.sections)]
            for batch in file.iter_batches(batch_size=2000, columns=wanted):
                for row in batch.to_pylist():
                    number += 1
                    cells = {k: "" if v is None else f"{v:+d}" if k == "charge" else str(v) for k, v in row.items()}
                    yield from read_row(path, columns, cells, number)
    except (OSError, pa.ArrowException, ValueError) as error:
        if isinstance(error, ReadError):
            raise
        where = f" after row {number}" if number else ""
        raise ReadError(path, f"not a Parquet file, or damaged{where}: {error}") from error


def is_ccs_table(path: Path) -> bool:
    """Whether a Parquet table has the columns of cross sections."""
    return columns_of(sorted(parquet_columns(path))).fit
