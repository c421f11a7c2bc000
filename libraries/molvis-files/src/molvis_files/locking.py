"""One writer for each folder: a second one gets an error that names the first, and overwrites nothing.

The lock is one of the kernel's, on a file beside the folder: it ends with the process, however that ends, so that there
is nothing stale to break. filelock takes it, with Windows and file systems without such locks; torch needs it anyway.
The file's text is for people and for the message.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import socket
import sys
import threading
import warnings
from collections.abc import Generator
from pathlib import Path

from molvis_core.errors import BusyError, WriteError
from molvis_files.processes import this_process

_PATIENCE = 0.5
"""Seconds for which a lock is asked for again: long enough for a writer that is just ending."""

_held: set[tuple[int, int, str]] = set()


@contextlib.contextmanager
def sole_writer(path: Path | str) -> Generator[None]:
    """Be the only one that writes a folder or a file for the length of a block. The same thread may ask again.

    Args:
        path: what will be written; it need not exist.

    Raises:
        BusyError: another process or thread writes it; names who.
        WriteError: there is no place for the lock.
    """
    from filelock import FileLock, Timeout

    path = Path(path).resolve()
    mine = (os.getpid(), threading.get_ident(), str(path))
    if mine in _held:
        yield
        return
    file = _place(path)
    lock = FileLock(file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that a file system has no locks: filelock does without
            lock.acquire(timeout=_PATIENCE)
    except Timeout as error:
        raise BusyError(_complaint(path, file)) from error
    except OSError as error:
        raise WriteError(f"{path}: cannot be written: {error}") from error
    _held.add(mine)
    try:
        _sign(file)
        yield
    finally:
        _held.discard(mine)
        # While it is held: who opened it meanwhile notices that its name is gone, and asks again.
        with contextlib.suppress(OSError):
            file.unlink()
        lock.release()


def _place(path: Path) -> Path:
    """Beside the folder, which itself may be replaced; inside where nothing can be made beside it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"{path}: cannot be written: {error}") from error
    if path.is_dir() and not os.access(path.parent, os.W_OK):
        return path / ".lock"
    return path.with_name(f".{path.name}.lock")


def _sign(file: Path) -> None:
    about = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "process": str(this_process()),
        "since": dt.datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200] if sys.argv else "",
    }
    if os.name == "posix":  # elsewhere a locked file cannot be written by a second handle
        with contextlib.suppress(OSError):
            file.write_text(json.dumps(about) + "\n", encoding="utf-8")


def _complaint(path: Path, file: Path) -> str:
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
        host = str(about["host"])
        who = f"process {int(about['pid'])} on {host} (since {about['since']}: {about['command']!r})"
    except (OSError, ValueError, TypeError, KeyError):
        return f"{path}: another process is writing it. Wait until it has ended, or choose another folder."
    elsewhere = host != socket.gethostname()
    remedy = f" If that process no longer runs there, delete {file}." if elsewhere else ""
    return f"{path}: {who} is writing it. Wait until it has ended, or choose another folder.{remedy}"
