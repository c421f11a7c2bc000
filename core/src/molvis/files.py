"""Files and folders that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path


def beside(path: Path) -> Path:
    """A temporary name next to a path, on the same disk, so that one rename puts it in place."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name to write a file to; it takes the place of `path` when the block ends well.

    Raises:
        OSError: it cannot be put there. On this and any other failure the old file is kept and nothing else is left.
    """
    fresh = beside(path)
    try:
        yield fresh
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
