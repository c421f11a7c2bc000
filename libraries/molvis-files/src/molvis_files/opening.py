"""Files that are read, packed or not, whatever their encoding.

Compressed data may be a thousand times larger than they look, so every reader unpacks them here. They may unpack to
128 MiB, or to 50 times their size where that is more; a line of text may have 16 Mi characters. The environment
variables `MOLVIS_MAX_UNPACKED` (bytes, such as `20G`) and `MOLVIS_MAX_LINE` (characters) set others.
"""

from __future__ import annotations

import codecs
import gzip
import io
import os
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from molvis_core.errors import ConfigError, ReadError

UNPACKED = 128 << 20
"""Bytes that any compressed data may unpack to."""
RATIO = 50
"""How much larger than its packed size larger data may get. Text and numbers get five to twenty times smaller."""
LINE = 16 << 20
"""Characters of a line."""
_ARRAY = 16 << 20
"""Bytes that an array within a file may unpack to: two million numbers."""
DAMAGE = (OSError, EOFError, zlib.error)
"""What reading a file can raise, compressed or not."""

_LATIN = "molvis-latin-1"
# Vendors' exports and older libraries are Latin-1, which every byte is; some mix it with UTF-8 in one file.
codecs.register_error(_LATIN, lambda error: (_as_latin(error), cast("UnicodeDecodeError", error).end))


def _as_latin(error: UnicodeError) -> str:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1")


def _limit(name: str) -> int | None:
    """What an environment variable states, such as `500000000` or `20G`."""
    if not (text := os.environ.get(name, "").strip()):
        return None
    found = re.fullmatch(r"(\d{1,15})\s*([KMGT]?)i?B?", text, re.IGNORECASE)
    if not found:
        raise ConfigError(f"the environment variable {name} must be a number such as 500000000 or 20G, got {text!r}")
    return int(found.group(1)) << 10 * " KMGT".index(found.group(2).upper() or " ")


def most_unpacked(packed: int, least: int | None = None) -> int:
    """Bytes that compressed data may unpack to.

    Args:
        packed: their size.
        least: that is always allowed; `UNPACKED` if none.
    """
    return _limit("MOLVIS_MAX_UNPACKED") or max(UNPACKED if least is None else least, RATIO * packed)


def _too_much(most: int) -> str:
    return (
        f"unpacks to more than {most / 1e6:,.0f} MB, which a file of its size should not; if you trust it, set the "
        "environment variable MOLVIS_MAX_UNPACKED, such as MOLVIS_MAX_UNPACKED=20G"
    )


class _Unpacked(io.RawIOBase):
    """A gzip stream that ends with an error where it gets absurdly long."""

    def __init__(self, path: Path, most: int) -> None:
        self._path, self._most = path, most
        self._packed = gzip.open(path)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._packed.seek(offset, whence)

    def tell(self) -> int:
        return self._packed.tell()

    def readinto(self, buffer: Any) -> int:
        # What can be unpacked before the place where a file is damaged is given, and only then the error.
        found = self._packed.read1(len(buffer))
        if self._packed.tell() > self._most:
            raise ReadError(self._path, _too_much(self._most))
        buffer[: len(found)] = found
        return len(found)

    def close(self) -> None:
        self._packed.close()
        super().close()


def open_bytes(path: Path) -> BinaryIO:
    """A file for reading, unpacked where it is gzip: what it is called does not matter.

    Raises:
        OSError: it cannot be opened. Reading raises a `ReadError` where it unpacks to more than it should.
    """
    with path.open("rb") as probe:
        packed = probe.read(2) == b"\x1f\x8b"
    if not packed:
        return path.open("rb")
    most = most_unpacked(path.stat().st_size)
    return cast("BinaryIO", io.BufferedReader(_Unpacked(path, most), 1 << 20))


def read_bytes(path: Path) -> bytes:
    """What a file holds, unpacked where it is gzip: what it is called does not matter.

    Raises:
        ReadError: it cannot be read, its compressed data are damaged or cut off, or unpack to more than they should.
    """
    try:
        with open_bytes(path) as file:
            return b"".join(iter(lambda: file.read(1 << 24), b""))
    except DAMAGE as error:
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


def lines(path: Path, *, keep_ends: bool = False, most: int | None = None) -> Iterator[tuple[int, str]]:
    """Lines of a text file and their numbers, one at a time: libraries have gigabytes.

    UTF-8, Latin-1 where it is not, or UTF-16 with its mark; any line ends; a byte-order mark is dropped.

    Args:
        path: the file.
        keep_ends: leave the line break at the end of each.
        most: characters of a line; without it the value of `MOLVIS_MAX_LINE`, or 16 Mi.

    Raises:
        ReadError: the file cannot be read, its compressed data are damaged, cut off or too large, or a line too long.
    """
    number = 0
    most = most or _limit("MOLVIS_MAX_LINE") or LINE
    try:
        with open_bytes(path) as raw:
            start = raw.read(2)
            raw.seek(0)
            encoding = "utf-16" if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
            with io.TextIOWrapper(raw, encoding=encoding, errors=_LATIN) as text:
                while line := text.readline(most):
                    number += 1
                    if len(line) == most and line[-1] != "\n":
                        reason = f"the line has more than {most:,} characters; is it the right file? Else set the "
                        raise ReadError(path, f"{reason}environment variable MOLVIS_MAX_LINE", line=number)
                    yield number, line if keep_ends else line.rstrip("\n")
    except DAMAGE as error:
        raise ReadError(path, f"cannot be read: {error}", line=number or None) from error


def unpack_zlib(data: bytes) -> bytes:
    """Data that zlib compressed, such as an array within a file.

    Raises:
        zlib.error: they are damaged or cut off.
        ValueError: they unpack to more than 16 MiB and 50 times their size.
    """
    most = most_unpacked(len(data), _ARRAY)
    engine = zlib.decompressobj()
    found = engine.decompress(data, most + 1)
    if len(found) > most:
        raise ValueError(_too_much(most))
    if not engine.eof:
        raise zlib.error("incomplete or truncated stream")
    return found


def open_zip(path: Path) -> zipfile.ZipFile:
    """A ZIP file, read whole, whose files together do not unpack to more than they should.

    Raises:
        ReadError: it is none, is damaged, or too large unpacked.
    """
    raw = read_bytes(path)
    try:
        found = zipfile.ZipFile(io.BytesIO(raw))
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise ReadError(path, f"is no ZIP file: {error}; get it whole") from error
    if any(info.header_offset < 0 for info in found.infolist()):  # reading it would be a ValueError of `seek`
        raise ReadError(path, "is no ZIP file: its directory points before its start; get it whole")
    # No file yields more than the directory states for it: what is stated is what can be.
    if sum(info.file_size for info in found.infolist()) > (most := most_unpacked(len(raw))):
        raise ReadError(path, _too_much(most))
    return found
