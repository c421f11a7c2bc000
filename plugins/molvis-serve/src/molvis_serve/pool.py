"""Worker processes: each opens bundle and libraries once, does one task at a time, and is replaced when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from molvis_core.errors import MolvisError
from molvis_files.routes import Setup
from molvis_serve.worker import Task, work

__all__ = ["Cancelled", "Failed", "Lost", "Pool", "TimedOut"]

log = logging.getLogger("molvis.serve")
Tell = Callable[[int, int, str], None]

_HEEDS = 2.0
"""Seconds that a task has to heed that it is cancelled, before its worker is ended."""
_PAUSES = (0.0, 0.5, 2.0, 10.0, 30.0)
"""Seconds before a worker is started again, by how often it died without having been ready."""
_LOOKS = 1.0
"""Seconds between two looks at the memory of workers."""


class Failed(MolvisError):  # noqa: N818 - what happened, like Cancelled and TimedOut
    """A task failed.

    Attributes:
        by_request: whether the request is at fault, and not the service.
    """

    def __init__(self, message: str, by_request: bool) -> None:
        super().__init__(message)
        self.by_request = by_request


class Cancelled(MolvisError):  # noqa: N818
    """A task was cancelled."""


class TimedOut(MolvisError):  # noqa: N818
    """A task took longer than it may."""


class Lost(MolvisError):  # noqa: N818
    """The worker died at a task."""


@dataclass(eq=False)
class _Pending:
    """A task that waits or is worked on."""

    task: Task
    kind: Literal["call", "job"]
    answer: asyncio.Future[bytes]
    tell: Tell
    worker: _Worker | None = None
    ended_for: MolvisError | None = None


@dataclass(eq=False)
class _Worker:
    """A process, and the pipe to it."""

    number: int
    process: Any
    connection: Any
    ready: bool = False
    current: _Pending | None = None
    started: float = field(default_factory=time.monotonic)


class Pool:
    """Workers, and what waits for them. All methods are called in one event loop."""

    def __init__(
        self,
        setup: Setup,
        targets: Mapping[str, str],
        count: int,
        *,
        reserved: int = 0,
        limits: Mapping[str, str] | None = None,
        memory: int = 0,
    ) -> None:
        """Start nothing yet.

        Args:
            setup: what each worker opens.
            targets: `module:attribute` of each route by its name.
            count: of workers.
            reserved: of them that do no jobs; at least one does.
            limits: environment variables of workers.
            memory: bytes from which a worker is ended; 0 for no limit.
        """
        self.setup, self.targets, self.count, self.memory = setup, dict(targets), count, memory
        self.for_jobs = max(1, count - reserved)
        self.limits = dict(limits or {})
        self.described: dict[str, Any] = {}
        self.problem = ""
        self.deaths = 0
        self._workers: dict[int, _Worker] = {}
        self._waiting: deque[_Pending] = deque()
        self._failures = 0
        self._closing = False
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Start the workers, one ahead of the others: what it keeps of a library, such as its index, they find."""
        self._loop = asyncio.get_running_loop()
        self._begin(0)
        if self.memory:
            self._later(self._watch_memory())

    @property
    def ready(self) -> bool:
        """Whether a worker can take tasks."""
        return any(w.ready for w in self._workers.values())

    @property
    def waiting(self) -> int:
        """Calls that wait for a worker."""
        return sum(p.kind == "call" for p in self._waiting)

    @property
    def busy(self) -> dict[str, int]:
        """Tasks that are worked on, by kind."""
        current = [w.current.kind for w in self._workers.values() if w.current]
        return {"call": current.count("call"), "job": current.count("job")}

    @property
    def processes(self) -> list[int]:
        """Process ids of the workers."""
        return [w.process.pid for w in self._workers.values() if w.process.pid]

    async def until_ready(self) -> None:
        """Wait until a worker is ready.

        Raises:
            MolvisError: none will be: the bundle or a library cannot be opened.
        """
        while not self.ready:
            if self.problem:
                raise MolvisError(self.problem)
            self._changed.clear()
            await self._changed.wait()

    async def run(self, task: Task, kind: Literal["call", "job"], seconds: float, tell: Tell) -> bytes:
        """Have a task done, and return its answer.

        Args:
            task: to do.
            kind: a call goes before jobs.
            seconds: that it may take; for a call waiting counts.
            tell: called with its progress.

        Raises:
            Failed, Cancelled, TimedOut, Lost: see there.
        """
        pending = _Pending(task, kind, self._loop.create_future(), tell)
        self._waiting.append(pending)
        self._dispatch()
        try:
            return await asyncio.wait_for(asyncio.shield(pending.answer), seconds)
        except TimeoutError:
            self._end(pending, TimedOut(f"it took longer than {seconds:g} s, which is the limit"))
            return await pending.answer
        except asyncio.CancelledError:
            pending.answer.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._end(pending, Cancelled("cancelled"))
            raise

    def cancel(self, identifier: str, reason: MolvisError | None = None) -> bool:
        """Stop a task that waits or is worked on; whether there was one."""
        current = [w.current for w in self._workers.values() if w.current]
        for pending in [*self._waiting, *current]:
            if pending.task.id == identifier:
                self._end(pending, reason or Cancelled("cancelled"))
                return True
        return False

    async def close(self, grace: float) -> None:
        """Let tasks end, for so many seconds, and end the workers."""
        self._closing = True
        until = time.monotonic() + grace
        while any(w.current for w in self._workers.values()) and time.monotonic() < until:
            await asyncio.sleep(0.05)
        for task in self._tasks:
            task.cancel()
        for worker in list(self._workers.values()):
            with contextlib.suppress(OSError):
                worker.connection.send(None)
            if worker.current:
                worker.process.kill()
        await asyncio.to_thread(self._join)

    def _join(self) -> None:
        for worker in list(self._workers.values()):
            worker.process.join(2)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join(2)

    def _begin(self, number: int) -> None:
        here, there = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        process = context.Process(
            target=work,
            args=(there, self.setup, self.targets, self.limits),
            name=f"molvis-serve-worker-{number}",
            daemon=True,
        )
        process.start()
        there.close()
        worker = _Worker(number, process, here)
        self._workers[number] = worker
        threading.Thread(target=self._listen, args=(worker,), daemon=True).start()

    def _listen(self, worker: _Worker) -> None:
        """Hand on what a worker says; in a thread of its own, which alone closes what it reads."""
        with worker.connection, contextlib.suppress(RuntimeError):  # the loop is closed
            while True:
                try:
                    message = worker.connection.recv()
                except (EOFError, OSError):
                    break
                self._loop.call_soon_threadsafe(self._heard, worker, message)
            self._loop.call_soon_threadsafe(self._died, worker)

    def _heard(self, worker: _Worker, message: tuple[Any, ...]) -> None:
        what, *rest = message
        pending = worker.current
        if what == "ready":
            worker.ready, self._failures = True, 0
            self.described |= rest[0]
            for number in range(self.count):
                if number not in self._workers:
                    self._begin(number)
        elif what == "broken":
            self.problem = str(rest[0])
            log.error("a worker cannot start: %s", self.problem)
        elif pending is None or pending.task.id != rest[0]:
            return
        elif what == "progress":
            if pending.ended_for is None:
                pending.tell(*rest[1:])
            return
        else:
            worker.current = None
            self._answer(pending, what, rest[1:])
        self._changed.set()
        self._dispatch()

    def _answer(self, pending: _Pending, what: str, rest: list[Any]) -> None:
        if pending.answer.done():
            return
        if pending.ended_for is not None:
            pending.answer.set_exception(pending.ended_for)
        elif what == "done":
            pending.answer.set_result(rest[0])
        elif what == "cancelled":
            pending.answer.set_exception(Cancelled("cancelled"))
        else:
            pending.answer.set_exception(Failed(rest[0], bool(rest[1])))

    def _died(self, worker: _Worker) -> None:
        if self._workers.get(worker.number) is not worker:
            return
        del self._workers[worker.number]
        pending, worker.current = worker.current, None
        self._loop.run_in_executor(None, worker.process.join, 5)  # leaves no entry in the table of processes
        if pending is not None and not pending.answer.done():
            reason = pending.ended_for or Lost("the process that worked on it died")
            pending.answer.set_exception(reason)
        self._changed.set()
        if self._closing:
            return
        self.deaths += 1
        log.warning("worker %d is gone", worker.number)
        self._failures += not worker.ready
        pause = _PAUSES[min(self._failures, len(_PAUSES) - 1)]
        if not (self.problem and not self.ready and not self.described):
            self._later(self._again(worker.number, pause))

    async def _again(self, number: int, pause: float) -> None:
        await asyncio.sleep(pause)
        if number not in self._workers and not self._closing:
            self._begin(number)

    def _later(self, coroutine: Any) -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _dispatch(self) -> None:
        """Give what waits to workers that are free: calls first, and jobs to no more workers than may do them."""
        for worker in self._workers.values():
            if self._closing or not worker.ready or worker.current is not None:
                continue
            jobs = self.busy["job"] < self.for_jobs
            takes = sorted((p for p in self._waiting if p.kind == "call" or jobs), key=lambda p: p.kind != "call")
            if not takes:
                return
            pending = takes[0]
            self._waiting.remove(pending)
            try:
                worker.connection.send(pending.task)
            except OSError:  # it just died; `_died` will start another
                self._waiting.appendleft(pending)
                continue
            worker.current, pending.worker = pending, worker

    def _end(self, pending: _Pending, reason: MolvisError) -> None:
        """Take a task that waits out of the queue, or tell its worker; one that does not heed it is ended."""
        if pending.answer.done():
            return
        if pending in self._waiting:
            self._waiting.remove(pending)
            pending.answer.set_exception(reason)
            return
        worker = pending.worker
        pending.ended_for = reason
        if worker is not None:
            with contextlib.suppress(OSError):
                worker.connection.send(pending.task.id)
            self._later(self._insist(worker, pending))

    async def _insist(self, worker: _Worker, pending: _Pending) -> None:
        await asyncio.sleep(_HEEDS)
        if worker.current is pending:
            worker.process.kill()

    async def _watch_memory(self) -> None:
        import psutil

        while True:
            await asyncio.sleep(_LOOKS)
            for worker in list(self._workers.values()):
                with contextlib.suppress(psutil.Error):
                    used = psutil.Process(worker.process.pid).memory_info().rss
                    if used > self.memory:
                        if worker.current:
                            worker.current.ended_for = Failed("it took more memory than a worker may", True)
                        log.warning("worker %d used %d bytes and is replaced", worker.number, used)
                        worker.process.kill()
