"""Folders of many files on this machine or in an object store: the same names in both, read in parts.

`s3://bucket/folder` and `gs://bucket/folder` are read by Arrow itself, other schemes by the file system that fsspec has
for them. Options of the store follow a question mark (`s3://bucket/folder?endpoint_override=localhost:9000&scheme=http`)
or come from the environment, as `AWS_ENDPOINT_URL` and the usual names of keys do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from molvis_core.errors import ConfigError, WriteError
from molvis_files.writing import replacing

__all__ = ["LocalStore", "ObjectStore", "Store", "is_url", "open_store"]

_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]+):/{1,2}(?P<rest>[^/].*)", re.IGNORECASE | re.DOTALL)
_READERS = 16
"""Requests to an object store that are under way at a time: each waits for some tens of milliseconds."""


def is_url(path: Path | str) -> bool:
    """Whether a path names a place in an object store: `s3://bucket`, or `s3:/bucket`, as `Path` has it."""
    return _URL.fullmatch(str(path)) is not None


def open_store(path: Path | str) -> Store:
    """The folder that a path or an address names; it need not exist.

    Raises:
        ConfigError: the address is of a kind that nothing installed reads.
    """
    if isinstance(path, str) and path.startswith("file://"):
        return LocalStore(Path(path.removeprefix("file://")))
    return ObjectStore(str(path)) if is_url(path) else LocalStore(Path(path))


class Store(Protocol):
    """A folder of files that are written whole, and read whole or in ranges of bytes.

    Attributes:
        local: the folder, where it is on this machine.
        name: the last part of its path.
    """

    local: Path | None
    name: str

    def where(self, name: str = "") -> str:
        """The path or address of a file, for people."""
        ...

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where there is none."""
        ...

    def read(self, name: str) -> bytes:
        """All of a file.

        Raises:
            OSError: it cannot be read; FileNotFoundError where it is not there.
        """
        ...

    def ranges(self, name: str, spans: Sequence[tuple[int, int]]) -> list[np.ndarray]:
        """Parts of a file, each from a byte on and so many long, as bytes.

        Raises:
            OSError: it cannot be read, or ends before.
        """
        ...

    def opened(self, name: str) -> Any:
        """The file as Arrow reads it: `pyarrow.NativeFile`."""
        ...

    def write(self, name: str, data: bytes | memoryview) -> None:
        """Write a file, whole or not at all.

        Raises:
            WriteError: it cannot be written.
        """
        ...

    def names(self, folder: str) -> dict[str, int]:
        """The files of a folder in it, and how many bytes each has; none where there is no such folder."""
        ...

    def delete(self, name: str) -> None:
        """Delete a file, where it is there."""
        ...


class LocalStore:
    """A folder on this machine; what is read of its files is mapped into memory."""

    def __init__(self, path: Path) -> None:
        self.local: Path | None = path
        self._root = path
        self.name = path.name
        self._maps: dict[str, np.ndarray] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return LocalStore, (self._root,)

    def where(self, name: str = "") -> str:
        """The path of a file, for people."""
        return str(self._root / name) if name else str(self._root)

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where there is none."""
        try:
            return (self._root / name).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def read(self, name: str) -> bytes:
        """All of a file."""
        return (self._root / name).read_bytes()

    def ranges(self, name: str, spans: Sequence[tuple[int, int]]) -> list[np.ndarray]:
        """Parts of a file, without copying them."""
        if name not in self._maps:
            file = self._root / name
            empty = file.stat().st_size == 0  # a map of nothing is refused
            self._maps[name] = np.empty(0, np.uint8) if empty else np.memmap(file, dtype=np.uint8, mode="r")
        whole = self._maps[name]
        if short := [span for span in spans if sum(span) > len(whole)]:
            raise OSError(f"{self.where(name)} ends at byte {len(whole)}, before {sum(short[0])}")
        return [whole[start : start + size] for start, size in spans]

    def opened(self, name: str) -> Any:
        """The file as Arrow reads it."""
        import pyarrow as pa

        return pa.memory_map(str(self._root / name))

    def write(self, name: str, data: bytes | memoryview) -> None:
        """Write a file, whole or not at all."""
        file = self._root / name
        self._maps.pop(name, None)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(file) as fresh:
                fresh.write_bytes(data)
        except OSError as error:
            raise WriteError(f"{file}: cannot be written: {error}") from error

    def names(self, folder: str) -> dict[str, int]:
        """The files of a folder in it, and how many bytes each has."""
        place = self._root / folder
        # What killed writers left has a name that begins with a dot.
        files = [f for f in place.iterdir() if f.is_file() and f.name[0] != "."] if place.is_dir() else []
        return {file.name: file.stat().st_size for file in sorted(files)}

    def delete(self, name: str) -> None:
        """Delete a file, where it is there."""
        self._maps.pop(name, None)
        (self._root / name).unlink(missing_ok=True)


class ObjectStore:
    """A folder in an object store; what is read of its files is fetched in ranges."""

    def __init__(self, url: str) -> None:
        match = _URL.fullmatch(url)
        assert match is not None, url
        self._url = f"{match['scheme'].lower()}://{match['rest'].rstrip('/')}"
        self.local: Path | None = None
        self._files, self._root = _file_system(self._url)
        self.name = self._root.rpartition("/")[2]
        self._open: dict[str, Any] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return ObjectStore, (self._url,)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    def where(self, name: str = "") -> str:
        """The address of a file, for people, without options of the store."""
        return f"{self._url.partition('?')[0]}{'/' if name else ''}{name}"

    def size(self, name: str) -> int | None:
        """Bytes of an object; None where there is none."""
        return self._files.get_file_info(self._path(name)).size

    def read(self, name: str) -> bytes:
        """All of an object."""
        with self._files.open_input_stream(self._path(name)) as source:
            return source.read()

    def ranges(self, name: str, spans: Sequence[tuple[int, int]]) -> list[np.ndarray]:
        """Parts of an object, fetched side by side."""
        if name not in self._open:
            self._open[name] = self.opened(name)
        file = self._open[name]

        def fetch(span: tuple[int, int]) -> np.ndarray:
            start, size = span
            found = np.frombuffer(file.read_at(size, start), dtype=np.uint8)
            if len(found) < size:
                raise OSError(f"{self.where(name)} ends at byte {start + len(found)}, before {start + size}")
            return found

        if len(spans) < 2:
            return [fetch(span) for span in spans]
        with ThreadPoolExecutor(min(_READERS, len(spans))) as pool:
            return list(pool.map(fetch, spans))

    def opened(self, name: str) -> Any:
        """The object as Arrow reads it."""
        return self._files.open_input_file(self._path(name))

    def write(self, name: str, data: bytes | memoryview) -> None:
        """Write an object; a store shows it when all of it is there."""
        self._open.pop(name, None)
        try:
            with self._files.open_output_stream(self._path(name)) as sink:
                sink.write(data)
        except OSError as error:
            raise WriteError(f"{self.where(name)}: cannot be written: {error}") from error

    def names(self, folder: str) -> dict[str, int]:
        """The objects of a folder in it, and how many bytes each has."""
        from pyarrow.fs import FileSelector, FileType

        found = self._files.get_file_info(FileSelector(self._path(folder), allow_not_found=True))
        return {info.base_name: info.size for info in found if info.type == FileType.File}

    def delete(self, name: str) -> None:
        """Delete an object, where it is there."""
        self._open.pop(name, None)
        if self.size(name) is not None:
            self._files.delete_file(self._path(name))


def _file_system(url: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it."""
    import pyarrow as pa
    from pyarrow import fs

    try:
        files, path = fs.FileSystem.from_uri(url)
    except pa.ArrowInvalid as error:
        try:
            import fsspec

            own, path = fsspec.url_to_fs(url)
        except (ImportError, ValueError) as other:
            raise ConfigError(f"{url}: no such kind of store: {error}; {other}") from other
        files = fs.PyFileSystem(fs.FSSpecHandler(own))
    return files, path.rstrip("/")
