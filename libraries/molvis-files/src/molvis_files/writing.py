"""Files and folders that are written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import gzip
import logging
import os
import re
import shutil
import time
from collections.abc import Generator
from pathlib import Path

from molvis_core.errors import WriteError
from molvis_files.exchange import exchange
from molvis_files.processes import PATTERN, Owner, this_process

log = logging.getLogger("molvis")


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


def beside(path: Path) -> Path:
    """A temporary name next to a path, on the same disk, so that one rename puts it in place. It names who writes."""
    return _named(path, "partial")


def _named(path: Path, suffix: str) -> Path:
    path = _real(path)
    return path.with_name(f".{path.name}.{this_process()}.{suffix}")


def _real(path: Path) -> Path:
    # What a link points to is replaced, not the link: it may be there to put the data on another disk.
    return path.resolve() if path.is_symlink() else path


@contextlib.contextmanager
def replacing(path: Path) -> Generator[Path]:
    """A temporary name to write a file to; it takes the place of `path` when the block ends well.

    Raises:
        OSError: it cannot be put there. On this and any other failure the old file is kept and nothing else is left.
    """
    sweep(path)
    fresh = beside(path)
    try:
        yield fresh
        _as_created_plainly(fresh)
        _sync(fresh)
        fresh.replace(_real(path))
        _sync(fresh.parent)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def replacing_folder(path: Path) -> Generator[Path]:
    """A new empty folder to write to; it takes the place of `path` when the block ends well.

    Raises:
        OSError: it cannot be put there. On this and any other failure the old folder is kept and nothing else is left.
    """
    sweep(path)
    fresh = beside(path)
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        yield fresh
        swap_folder(fresh, path)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def swap_folder(fresh: Path, path: Path) -> None:
    """Put a finished folder where another may stand, in one step where the file system can.

    Where it cannot, the old one steps aside first. Killed in between, it is put back when it is next opened: `recover`.

    Raises:
        OSError: it cannot be put there; the old one is kept.
    """
    for file in [fresh, *fresh.rglob("*")]:
        if file.is_file():
            _as_created_plainly(file)
        _sync(file)
    path = _real(path)
    old = fresh
    if not path.exists():
        fresh.rename(path)
    elif not exchange(fresh, path):
        old = _named(path, "old")
        path.rename(old)
        try:
            fresh.rename(path)
        except OSError:
            old.rename(path)
            raise
    _sync(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def recover(path: Path) -> None:
    """Put back a folder that stepped aside for a new one whose writer was killed before that took its place.

    To be called before a folder is opened, and before its absence is reported.
    """
    path = _real(path)
    aside: list[tuple[Path, bool]] = []
    for _ in range(100):
        if path.exists():
            return
        aside = [(file, _is_abandoned(file, owner)) for file, owner, kind in _left(path) if kind == "old"]
        if all(abandoned for _, abandoned in aside):
            break
        time.sleep(0.02)  # its writer is between two renames
    left = [file for file, abandoned in aside if abandoned]
    with contextlib.suppress(OSError):  # another process was faster, or the disk is read-only
        for file in sorted(left, key=lambda file: file.stat().st_ctime)[-1:]:
            file.rename(path)
            log.warning("%s: put back as it was before a process was killed that was replacing it", path)


def sweep(path: Path) -> None:
    """Delete what killed processes left of their attempts to write a file or folder. A living writer's is kept."""
    path = _real(path)
    for file, owner, kind in _left(path):
        if _is_abandoned(file, owner) and (kind == "partial" or path.exists()):
            if file.is_dir() and not file.is_symlink():
                shutil.rmtree(file, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):  # another process was faster, or it is another user's
                    file.unlink()


_AGED = 24 * 3600.0
"""Seconds after which what an earlier boot left is abandoned: two machines may have one name and one disk."""

_NAME = re.compile(rf"\.(?P<name>.+)\.(?P<owner>{PATTERN})\.(?P<kind>partial|old)")


def _left(path: Path) -> list[tuple[Path, Owner, str]]:
    """Unfinished files and folders of this name, whose they are, and their kind."""
    try:
        names = os.listdir(path.parent)  # noqa: PTH208 - a third of the time of iterdir
    except OSError:
        return []
    names = [name for name in names if name.startswith(f".{path.name}.")]
    found = [(path.with_name(name), match) for name in names if (match := _NAME.fullmatch(name))]
    return [(file, Owner.parse(m["owner"]), m["kind"]) for file, m in found if m["name"] == path.name]


def _is_abandoned(file: Path, owner: Owner) -> bool:
    try:
        aged = time.time() - file.stat().st_mtime > _AGED
    except OSError:
        return False
    return owner.is_gone() or (owner.is_before_boot() and aged)


def _as_created_plainly(file: Path) -> None:
    """The permissions that `open` would have given: safetensors hides its files from everybody but their owner."""
    mask = os.umask(0)
    os.umask(mask)
    file.chmod(0o666 & ~mask)


def _sync(path: Path) -> None:
    """Have a file, or a folder's list of names, on the disk itself: a power cut must not leave a name without content.

    Raises:
        OSError: the disk has failed, or is full.
    """
    folder = path.is_dir()
    if folder and os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot do it for folders.
        if not folder or error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EROFS):
            raise
    finally:
        os.close(descriptor)
