"""Checksums that show whether a folder's files are still what was written.

A folder's TOML file holds the checksum of its own content under `checksum`, and a digest for each block of every other
file under `[blocks]`. Blocks let a large file be checked as it is read, and show where it is damaged.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from molvis_files.documents import write_toml

KEY = "checksum"

BLOCK = 4 << 20
"""Bytes of a block: read and digested in some milliseconds, so that a first look at a large file stays quick."""


def checksum(content: Mapping[str, Any]) -> str:
    """SHA-256 of TOML values, whatever the order of their keys; of a checksum among them nothing is taken."""
    counted = {k: v for k, v in content.items() if k != KEY}
    text = json.dumps(counted, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def sealed(content: Mapping[str, Any]) -> str:
    """TOML text of values, the number of their format among them, with their checksum."""
    # Taken of what a reader will parse: TOML knows no tuples, and writes some numbers in another way.
    found = checksum(tomllib.loads(write_toml(content)))
    rest = {k: v for k, v in content.items() if k != KEY}
    return write_toml({"format": rest.pop("format"), KEY: found, **rest})


def is_intact(content: Mapping[str, Any]) -> bool:
    """Whether values are those that the checksum among them was taken of; false where there is none."""
    return content.get(KEY) == checksum(content)


class Digester:
    """Digests of the blocks of what is written bit by bit: the first 128 bits of SHA-256, in hexadecimal digits."""

    def __init__(self) -> None:
        self._done: list[str] = []
        self._open, self._length = hashlib.sha256(), 0

    def update(self, data: bytes | memoryview) -> None:
        """Take in what comes next."""
        rest = memoryview(data).cast("B")
        while len(rest):
            part = rest[: BLOCK - self._length]
            self._open.update(part)
            self._length += len(part)
            rest = rest[len(part) :]
            if self._length == BLOCK:
                self._done.append(_short(self._open))
                self._open, self._length = hashlib.sha256(), 0

    def digests(self) -> list[str]:
        """Of the blocks so far; the last may be shorter than the others."""
        return [*self._done, *([_short(self._open)] if self._length else [])]


def _short(found: Any) -> str:
    return found.hexdigest()[:32]


def block_digest(data: bytes | memoryview) -> str:
    """Digest of one block."""
    return _short(hashlib.sha256(data))


def digests_of(file: Path, length: int | None = None) -> list[str]:
    """Digests of the blocks of a file, or of its first bytes.

    Raises:
        OSError: it cannot be read.
    """
    found = Digester()
    left = file.stat().st_size if length is None else length
    with file.open("rb") as content:
        while left > 0 and (data := content.read(min(BLOCK, left))):
            found.update(data)
            left -= len(data)
    return found.digests()


def file_sha256(file: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def files_sha256(files: Iterable[Path]) -> str:
    """SHA-256 of the digests of several files, in hexadecimal digits. It depends on their order.

    Raises:
        OSError: one of them cannot be read.
    """
    return hashlib.sha256(b"".join(bytes.fromhex(file_sha256(file)) for file in files)).hexdigest()


def blocks_of(folder: Path, names: Iterable[str]) -> dict[str, Any]:
    """What a folder's TOML file holds under `[blocks]`.

    Raises:
        OSError: a file cannot be read.
    """
    return {"size": BLOCK, "files": {name: digests_of(folder / name) for name in names}}


@dataclass(frozen=True, slots=True)
class Damage:
    """Where a folder is not what was written.

    Attributes:
        file: its name.
        block: number of the damaged block, counted from 0; None where it is not one block.
        reason: what is wrong, in words.
    """

    file: str
    block: int | None
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Verification:
    """What a check of a folder found.

    Attributes:
        path: the folder.
        blocks: that were checked, by file.
        damaged: what is not as it was written.
        added: whether digests were written, for what is there now.
    """

    path: Path
    blocks: dict[str, int]
    damaged: tuple[Damage, ...] = ()
    added: bool = False


def stored_digests(metadata: Mapping[str, Any], name: str) -> list[str] | None:
    """What a folder's TOML file records of another file; None where it records nothing."""
    found: Any = metadata
    for key in ("blocks", "files", name):
        found = found.get(key) if isinstance(found, Mapping) else None
    return [str(digest) for digest in found] if isinstance(found, list) else None


def damage(file: Path, wanted: Sequence[str]) -> list[Damage]:
    """How a file differs from the digests of its blocks."""
    try:
        found = digests_of(file)
    except OSError as error:
        return [Damage(file.name, None, f"missing or unreadable: {error.strerror}")]
    bad = [number for number, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b]
    out = [Damage(file.name, number, in_block(number)) for number in bad]
    if len(found) != len(wanted):
        out.append(Damage(file.name, None, f"{len(found)} blocks of {BLOCK} bytes, {len(wanted)} were written"))
    return out


def in_block(number: int) -> str:
    """The description of a damaged block."""
    return f"block {number} (from byte {number * BLOCK:,} on) is not what was written"


def verify_files(folder: Path, metadata: Mapping[str, Any], names: Iterable[str]) -> Verification:
    """Check files of a folder against the digests in its metadata."""
    found: list[Damage] = []
    checked: dict[str, int] = {}
    for name in names:
        wanted = stored_digests(metadata, name)
        if wanted is None:
            found.append(Damage(name, None, "there is no digest of it"))
        else:
            found += damage(folder / name, wanted)
            checked[name] = len(wanted)
    return Verification(folder, checked, tuple(found))
