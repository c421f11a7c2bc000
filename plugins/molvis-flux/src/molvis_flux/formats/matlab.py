"""Variables of MATLAB files as plain Python: structs are lists of tables, cells lists, texts `str`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from molvis_core.errors import ReadError
from molvis_files.opening import read_bytes

_HDF5 = b"\x89HDF\r\n\x1a\n"
_DEPTH = 30


def variables(path: Path) -> tuple[str, ...]:
    """Names of the variables of a MATLAB file; none where it is none, or of the form that is HDF5.

    Raises:
        ReadError: the file cannot be read.
    """
    from scipy.io import whosmat

    content = read_bytes(path)
    try:
        return () if is_hdf5(content) else tuple(name for name, *_ in whosmat(io.BytesIO(content)))
    except Exception:  # noqa: BLE001 - scipy raises whatever damaged bytes lead it to; then it is no such file
        return ()


def is_hdf5(content: bytes) -> bool:
    """Whether a file of MATLAB has the form of version 7.3, behind whose header of 512 bytes is HDF5."""
    return content.startswith(_HDF5) or content[512 : 512 + len(_HDF5)] == _HDF5


def load(path: Path) -> dict[str, Any]:
    """The variables of a MATLAB file.

    Raises:
        ReadError: it is no MATLAB file, is damaged, or holds what only MATLAB can open.
    """
    from scipy.io import loadmat

    content = read_bytes(path)
    if is_hdf5(content):
        raise ReadError(
            path, "is of MATLAB's version 7.3 (HDF5), which is not read; in MATLAB: save('model.mat', 'm', '-v7')"
        )
    try:
        found = loadmat(
            io.BytesIO(content), struct_as_record=True, chars_as_strings=True, verify_compressed_data_integrity=True
        )
    except Exception as error:
        raise ReadError(path, f"is no MATLAB file of version 4 to 7, or is damaged: {error}") from error
    return {name: _plain(path, value) for name, value in found.items() if not name.startswith("__")}


def records(value: Any) -> list[dict[str, Any]]:
    """A struct array as tables; a struct whose fields are columns is turned into rows."""
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        return []
    rows = [row for row in value if isinstance(row, dict)]
    names = rows[0].get("id") if len(rows) == 1 else None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        return rows
    columns = {key: _column(of, len(names)) for key, of in rows[0].items()}
    return [{key: column[i] for key, column in columns.items()} for i in range(len(names))]


def text(value: Any) -> str:
    """A text; empty where it is none."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value.strip() if isinstance(value, str) else ""


def number(value: Any, default: float) -> float:
    """A number; the default where there is none."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, np.ndarray) and value.size:
        return float(value.ravel()[0])
    return default


def _column(value: Any, count: int) -> list[Any]:
    """The values of a field for so many rows."""
    if isinstance(value, list) and len(value) == count:
        return value
    if isinstance(value, np.ndarray) and value.size == count:
        return [np.array([v]) for v in value.ravel()]
    return [value] * count


def _plain(path: Path, value: Any, depth: int = 0) -> Any:
    if depth > _DEPTH:
        raise ReadError(path, f"nests structs more than {_DEPTH} deep")
    if not isinstance(value, np.ndarray):
        return value
    if type(value).__name__ == "MatlabOpaque":
        raise ReadError(
            path,
            "holds objects of a MATLAB class that only MATLAB can open; there, turn them into structs "
            "(m = struct(m)), save them, or write the tables of INCAWrapper",
        )
    if value.dtype.names:
        names = [name for name in value.dtype.names if name != "base"]  # `base` repeats what the fields hold
        return [{name: _plain(path, item[name], depth + 1) for name in names} for item in value.ravel()]
    if value.dtype.kind in "US":
        texts = [str(item) for item in value.ravel()]
        return texts if len(texts) > 1 else "".join(texts)
    if value.dtype.kind == "O":
        return [_plain(path, item, depth + 1) for item in value.ravel()]
    return np.asarray(value, float) if value.dtype.kind in "biuf" else value
