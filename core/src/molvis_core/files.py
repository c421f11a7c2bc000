"""Files and folders that are written whole or not at all, and small files that are read whole, packed or not."""

from __future__ import annotations

import codecs
import contextlib
import gzip
import io
import os
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

from molvis_core.errors import ReadError, WriteError


def read_bytes(path: Path) -> bytes:
    """What a file holds, unpacked where it is gzip: what it is called does not matter.

    Raises:
        ReadError: it cannot be read, or its compressed data are damaged or cut off.
    """
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw
    except (OSError, EOFError, zlib.error) as error:
        raise ReadError(path, f"cannot be read: {error}") from error


def read_text(path: Path) -> str:
    """The text of a file: UTF-8, UTF-16 with its mark, or Latin-1, which every byte is. A byte-order mark is dropped.

    Raises:
        ReadError: it cannot be read.
    """
    raw = read_bytes(path)
    wide = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return raw.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def write_text(path: Path, text: str) -> None:
    """A file of text, whole or not at all; compressed where the path ends in `.gz`.

    Raises:
        WriteError: it cannot be written; the old one is kept.
    """
    data = text.encode()
    # Without a time in it the same text gives the same bytes.
    data = gzip.compress(data, mtime=0) if path.name.lower().endswith(".gz") else data
    try:
        with replacing(path) as fresh:
            fresh.write_bytes(data)
    except OSError as error:
        raise WriteError(f"{path}: cannot be written: {error}. What was there before is kept.") from error


def parquet_columns(path: Path) -> frozenset[str]:
    """Names of the columns of a Parquet table, gzip or not; none where the file is no such table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(io.BytesIO(read_bytes(path)) if path.name.lower().endswith(".gz") else path) as file:
            return frozenset(file.schema_arrow.names)
    except (OSError, ReadError, pa.ArrowException):
        return frozenset()


def beside(path: Path) -> Path:
    """A temporary name next to a path, on the same disk, so that one rename puts it in place."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def _as_created_plainly(file: Path) -> None:
    """The permissions that `open` would have given: safetensors hides its files from everybody but their owner."""
    mask = os.umask(0)
    os.umask(mask)
    file.chmod(0o666 & ~mask)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name to write a file to; it takes the place of `path` when the block ends well.

    Raises:
        OSError: it cannot be put there. On this and any other failure the old file is kept and nothing else is left.
    """
    fresh = beside(path)
    try:
        yield fresh
        _as_created_plainly(fresh)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def swap_folder(fresh: Path, path: Path) -> None:
    """Put a finished folder where another may stand.

    A folder cannot be renamed to where another stands: the old one steps aside, and comes back on failure.

    Raises:
        OSError: it cannot be put there; the old one is kept.
    """
    for file in fresh.rglob("*"):
        if file.is_file():
            _as_created_plainly(file)
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    if path.exists():
        path.rename(old)
    try:
        fresh.rename(path)
    except OSError:
        if old.exists():
            old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)
