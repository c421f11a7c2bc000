"""The process that works: it opens what routes share once, and then does one task after another.

It hears from the server through a pipe, and ends when the pipe does: a server that was killed leaves no worker behind.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import pkgutil
import queue
import signal
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from molvis_core.errors import MolvisError
from molvis_files.routes import Request, Route, Setup

__all__ = ["RESULT", "Task", "open_shared", "work"]

RESULT = "result.json"
"""The answer of a job, in its folder."""
_UNPACKED = "MOLVIS_MAX_UNPACKED"
_TELL_EVERY = 0.2
"""Seconds between two messages of progress."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker is to do.

    Attributes:
        id: of the job or the call.
        operation: name of the route.
        options: checked.
        files: by field.
        folder: to write files into.
        result: file for the answer; without one it is sent back.
        unpacked: bytes that a compressed file may unpack to; 0 for what the worker was started with.
    """

    id: str
    operation: str
    options: Mapping[str, Any]
    files: Mapping[str, list[Path]] = field(default_factory=dict)
    folder: Path = Path()
    result: Path | None = None
    unpacked: int = 0


class _Cancelled(BaseException):
    """Raised within a route that is to stop; no `except Exception` holds it up."""


class _Inbox:
    """Messages of the server, read by a thread of their own, so that work can be told to stop."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self.cancelled: set[str] = set()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            try:
                message = self.connection.recv()
            except (EOFError, OSError):
                os._exit(0)  # the server is gone; whatever it wants of this job it will ask for again
            if message is None:
                self.tasks.put(None)
            elif isinstance(message, str):
                self.cancelled.add(message)
            else:
                self.tasks.put(message)


def open_shared(setup: Setup, targets: Mapping[str, str]) -> tuple[dict[str, Route], dict[Callable[..., Any], Any]]:
    """Routes by name, and what they share by the function that opens it.

    Args:
        setup: what to open.
        targets: `module:attribute` of each route by its name.

    Raises:
        MolvisError: a bundle or a library cannot be opened.
    """
    found: dict[str, Route] = {name: pkgutil.resolve_name(target) for name, target in targets.items()}
    opened: dict[Callable[..., Any], Any] = {}
    for route in found.values():
        if route.opens is not None and route.opens not in opened:
            opened[route.opens] = route.opens(setup)
    return found, opened


def work(connection: Any, setup: Setup, targets: Mapping[str, str], limits: Mapping[str, str]) -> None:
    """Do tasks until the server says or goes away.

    Args:
        connection: to the server.
        setup: what to open.
        targets: `module:attribute` of each route by its name.
        limits: environment variables that bound what readers take in.
    """
    for name in ("SIGINT", "SIGTERM"):  # the server decides when to end, also where both are told
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    os.environ.update(limits)
    inbox = _Inbox(connection)
    try:
        found, opened = open_shared(setup, targets)
    except Exception as error:  # noqa: BLE001 - whatever it is, the server has to hear of it
        if not isinstance(error, MolvisError | OSError):
            traceback.print_exc()
        connection.send(("broken", f"{type(error).__name__}: {error}"))
        return
    described = {}
    for value in opened.values():
        described |= dict(value.describe())
    connection.send(("ready", described))
    while (task := inbox.tasks.get()) is not None:
        route = found.get(task.operation)
        answer = _done(task, route, opened, inbox, connection) if route else ("failed", "no such operation", False)
        inbox.cancelled.discard(task.id)
        with contextlib.suppress(BrokenPipeError):
            connection.send((answer[0], task.id, *answer[1:]))
    os._exit(0)  # threads of numerical libraries would hold up the end, and nothing is left to be written


def _done(
    task: Task, route: Route, opened: Mapping[Callable[..., Any], Any], inbox: _Inbox, connection: Any
) -> tuple[Any, ...]:
    """The answer to a task: `done` with JSON, `cancelled`, or `failed` with why and whether the request is at fault."""
    told = 0.0

    def progress(done: int, total: int, what: str = "", /) -> None:
        nonlocal told
        if task.id in inbox.cancelled:
            raise _Cancelled
        now = time.monotonic()
        if now - told >= _TELL_EVERY or done == total:
            told = now
            connection.send(("progress", task.id, int(done), int(total), str(what)[:200]))

    usual = os.environ.get(_UNPACKED)
    if task.unpacked:
        os.environ[_UNPACKED] = str(task.unpacked)
    request = Request(task.options, task.files, task.folder, opened.get(route.opens) if route.opens else None)
    try:
        answer = _encoded(dict(route.run(request, progress)), task)
        if task.result is None:
            return ("done", answer)
        partial = task.result.with_suffix(".partial")
        partial.write_bytes(answer)
        partial.replace(task.result)
        return ("done", b"")
    except _Cancelled:
        return ("cancelled",)
    except MolvisError as error:
        return ("failed", _without_folders(str(error), task), True)
    except MemoryError:
        return ("failed", "it took more memory than there is", True)
    except Exception:  # noqa: BLE001 - a route's fault fails its task, and not the service
        traceback.print_exc()
        return ("failed", "the operation failed in a way that it should not; the server's log says more", False)
    finally:
        os.environ.pop(_UNPACKED, None)
        if usual is not None:
            os.environ[_UNPACKED] = usual


def _encoded(answer: Any, task: Task) -> bytes:
    """An answer as JSON. A number that JSON has no word for, such as an open end of an interval, becomes null."""
    try:
        text = json.dumps(answer, ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(answer), ensure_ascii=False, allow_nan=False)
    # An answer may hold errors, such as those of the spectra that could not be read.
    text = _without_folders(text, task, lambda folder: json.dumps(folder, ensure_ascii=False)[1:-1])
    # Halves of characters, which a file may hold, are no UTF-8.
    return text.encode("utf-8", "replace")


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _without_folders(text: str, task: Task, spelt: Callable[[str], str] = str) -> str:
    """A text without the server's folders, as they are spelt in it: files are called as the user calls them."""
    folders = {str(path.parent) for paths in task.files.values() for path in paths} | {str(task.folder)}
    for folder in sorted(folders - {"."}, key=len, reverse=True):
        text = text.replace(spelt(f"{folder}{os.sep}"), "").replace(spelt(folder), "")
    return text
