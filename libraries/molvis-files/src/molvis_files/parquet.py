"""Parquet tables of strangers: what their columns hold is checked before a row is read."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from molvis_core.errors import ReadError, RecordError
from molvis_files.opening import DAMAGE, open_bytes, read_bytes

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["text", "label", "number", "flag", "numbers", "texts", "groups"]
_WORDS: dict[Kind, str] = {
    "text": "text", "label": "text or numbers", "number": "numbers", "flag": "true or false",
    "numbers": "lists of numbers", "texts": "lists of text", "groups": "lists of lists of whole numbers",
}  # fmt: skip

_LISTS: dict[Kind, Kind] = {"numbers": "number", "texts": "text", "groups": "numbers"}
"""Of columns of lists what their elements are."""
_MAGIC = b"PAR1"


def column_names(path: Path) -> list[str]:
    """Names of the columns of a table, in its order.

    Raises:
        ReadError: the file is not Parquet, or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(io.BytesIO(read_bytes(path)) if _is_packed(path) else path) as file:
            return list(file.schema_arrow.names)
    except (pa.ArrowException, MemoryError, UnicodeDecodeError, *DAMAGE) as error:
        raise ReadError(path, f"not a Parquet file, or damaged: {error}") from error


def read_batches(
    path: Path, kinds: Mapping[str, Kind], *, need: Sequence[str] = (), size: int = 2000
) -> Iterator[pa.RecordBatch]:
    """The columns of a table that are asked for, as far as it has them, in batches of rows.

    Args:
        path: of the table, perhaps gzip.
        kinds: what each column holds: `text`, `label` (text or whole numbers), `number`, `flag`, or `numbers` and
            `texts`, lists of them, or `groups`, lists of lists of whole numbers. Any value may be missing.
        need: columns that must be there.
        size: rows of a batch.

    Raises:
        ReadError: the file is not Parquet, is damaged, lacks a column, or one holds something else.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = 0
    try:
        # Parquet is read from its end, which a gzip stream does not have.
        with pq.ParquetFile(io.BytesIO(read_bytes(path)) if _is_packed(path) else path) as file:
            types = dict(zip(file.schema_arrow.names, file.schema_arrow.types, strict=True))
            if missing := sorted(set(need) - types.keys()):
                raise ReadError(path, f"no column {', '.join(missing)}; it has {', '.join(sorted(types))}")
            columns = [name for name in kinds if name in types]
            for name in columns:
                if not _fits(types[name], kinds[name]):
                    raise ReadError(path, f"column {name} must hold {_WORDS[kinds[name]]}, got {types[name]}")
            for batch in file.iter_batches(batch_size=size, columns=columns):
                batch.validate(full=True)  # text that is no UTF-8 would fail on its way to Python
                yield batch
                rows += batch.num_rows
    except (pa.ArrowException, MemoryError, UnicodeDecodeError, *DAMAGE) as error:
        where = f" after row {rows}" if rows else ""
        raise ReadError(path, f"not a Parquet file, or damaged{where}: {error}") from error


def _is_packed(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def _fits(found: Any, kind: Kind) -> bool:
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(found):
        found = found.value_type
    if types.is_null(found):
        return kind not in _LISTS
    text = types.is_string(found) or types.is_large_string(found)
    number = types.is_integer(found) or types.is_floating(found)
    if kind in _LISTS:
        inner = found.value_type if types.is_list(found) or types.is_large_list(found) else None
        return inner is not None and (kind != "groups" or types.is_list(inner)) and _fits(inner, _LISTS[kind])
    if kind == "flag":
        return types.is_boolean(found)
    return (kind in ("text", "label") and text) or (kind in ("number", "label") and number)


def whole_number(row: Mapping[str, Any], column: str) -> int | None:
    """The whole number in a column of a row; None where the cell is empty or NaN.

    Raises:
        RecordError: it is infinite, or has a fraction.
    """
    value = row.get(column)
    if value is None or value != value:
        return None
    if math.isinf(value) or value != int(value):
        raise RecordError(f"{column} is {value!r}, no whole number")
    return int(value)


def parquet_columns(path: Path) -> frozenset[str]:
    """Names of the columns of a Parquet table, gzip or not; none where the file is no such table.

    Raises:
        ReadError: it is one, and pyarrow is not installed.
    """
    # Every file that a reader of tables may claim comes by here: pyarrow is imported for a table alone.
    try:
        with open_bytes(path) as start:
            if start.read(len(_MAGIC)) != _MAGIC:
                return frozenset()
    except (ReadError, *DAMAGE):
        return frozenset()
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ReadError(path, "Parquet is read with pyarrow: pip install 'molvis-files[parquet]'") from error
    try:
        with pq.ParquetFile(io.BytesIO(read_bytes(path)) if path.name.lower().endswith(".gz") else path) as file:
            return frozenset(file.schema_arrow.names)
    except (OSError, ReadError, UnicodeDecodeError, pa.ArrowException):
        return frozenset()
