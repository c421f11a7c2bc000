"""Jobs from their acceptance to their end: queue, work, progress, cancelling, expiry, and what an interruption left."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from molvis_core.errors import MolvisError
from molvis_serve.operations import Operation, routes
from molvis_serve.pool import Cancelled, Failed, Lost, Pool
from molvis_serve.settings import Settings
from molvis_serve.store import ENDED, Job, Store
from molvis_serve.worker import RESULT, Task

__all__ = ["INPUTS", "Jobs"]

log = logging.getLogger("molvis.serve")

INPUTS, _WORK, FILES = "inputs", "work", "files"
_TIDY_EVERY = 60.0
_MISSED = 5.0
"""Seconds after which a listener is told again, in case a change was missed."""


class Jobs:
    """The jobs of a service."""

    def __init__(self, settings: Settings, pool: Pool) -> None:
        self.settings, self.pool = settings, pool
        self.folder = settings.state / "jobs"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.store = Store(settings.state / "jobs.sqlite")
        self._wake = asyncio.Event()
        self._changed: dict[str, asyncio.Event] = {}
        self._runners: list[asyncio.Task[None]] = []
        self._stopping = False

    def start(self) -> None:
        """Take up what an earlier service left, and begin to work."""
        for job in self.store.all(state="running", limit=1_000_000):
            self._requeue(job, "the service was interrupted")
        known = {job.id for job in self.store.all(limit=1_000_000)}
        for place in self.folder.iterdir():
            if place.name not in known:
                shutil.rmtree(place, ignore_errors=True)
        for _ in range(self.pool.for_jobs):
            self._runners.append(asyncio.create_task(self._run_forever()))
        self._runners.append(asyncio.create_task(self._tidy_forever()))

    async def stop(self) -> None:
        """Let running jobs end, for the settings' time; those that do not wait for the next start."""
        self._stopping = True
        await self.pool.close(self.settings.grace_seconds)
        for runner in self._runners:
            runner.cancel()
        await asyncio.gather(*self._runners, return_exceptions=True)
        for job in self.store.all(state="running", limit=1_000_000):
            # Stopped on purpose, it does not count as an attempt that the job did not survive.
            self.store.change(job.id, state="queued", attempts=job.attempts - 1, problem="the service was stopped")
        self.store.close()

    def place(self) -> tuple[str, Path]:
        """Name and folder of a job to come."""
        identifier = secrets.token_urlsafe(16)
        folder = self.folder / identifier
        (folder / INPUTS).mkdir(parents=True)
        return identifier, folder

    def add(
        self,
        identifier: str,
        operation: Operation,
        options: Mapping[str, Any],
        files: Mapping[str, Sequence[str]],
        *,
        owner: str,
        title: str,
    ) -> Job:
        """Queue a job whose files are in its folder."""
        job = self.store.add(Job(identifier, 0, owner, operation.name, title, options, files))
        self._wake.set()
        return job

    def cancel(self, job: Job) -> Job | None:
        """Cancel a job, or forget one that has ended with all of its files."""
        if job.state in ENDED:
            self.store.remove(job.id)
            shutil.rmtree(self.folder / job.id, ignore_errors=True)
            return None
        if job.state == "queued":
            return self._end(job.id, "cancelled")
        self.pool.cancel(job.id)
        return self.store.get(job.id)

    async def changes(self, identifier: str) -> AsyncIterator[Job | None]:
        """The job now and after each change, up to its end; None from time to time where nothing changes."""
        last: Job | None = None
        while True:
            changed = self._changed.setdefault(identifier, asyncio.Event())
            job = self.store.get(identifier)
            if job is None:
                return
            if job != last:
                yield job
                last = job
                if job.state in ENDED:
                    return
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), _MISSED)
                continue
            yield None

    def result(self, job: Job) -> Path:
        """The file of a job's answer."""
        return self.folder / job.id / RESULT

    def files(self, job: Job) -> list[Path]:
        """The files that a job has made, in the order of their names."""
        home = self.folder / job.id / FILES
        return sorted(p for p in home.rglob("*") if p.is_file()) if home.is_dir() else []

    def file(self, job: Job, name: str) -> Path | None:
        """One of them by its path within the job's folder; None where there is none of that name."""
        home = self.folder / job.id / FILES
        return next((p for p in self.files(job) if p.relative_to(home).as_posix() == name), None)

    def _set(self, identifier: str, **values: Any) -> Job | None:
        job = self.store.change(identifier, **values)
        if (event := self._changed.pop(identifier, None)) is not None:
            event.set()
        return job

    def _end(self, identifier: str, state: str, problem: str = "") -> Job | None:
        return self._set(identifier, state=state, ended=time.time(), problem=problem)

    def _requeue(self, job: Job, why: str) -> None:
        """Put a job that was interrupted back, or give it up where that has happened too often."""
        if (self.folder / job.id / RESULT).is_file() and (self.folder / job.id / FILES).is_dir():
            self._end(job.id, "done")
        elif job.attempts >= self.settings.attempts:
            self._end(job.id, "failed", f"given up after {job.attempts} attempts: {why}")
        else:
            self._set(job.id, state="queued", problem=f"{why}; it is begun again")
            self._wake.set()

    async def _run_forever(self) -> None:
        while not self._stopping:
            job = self.store.next() if self.pool.ready else None
            if job is None:
                self._wake.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), 0.5)
                continue
            try:
                await self._run(job)
            except Exception:
                log.exception("job %s", job.id)
                self._end(job.id, "failed", "the service could not run it; its log says more")

    async def _run(self, job: Job) -> None:
        """One job, from the queue to its end."""
        operation = routes().get(job.operation)
        home = self.folder / job.id
        if operation is None:
            self._end(job.id, "failed", f"the operation {job.operation!r} is not installed any more")
            return
        if not operation.route.resumes:
            shutil.rmtree(home / _WORK, ignore_errors=True)
        (home / _WORK).mkdir(parents=True, exist_ok=True)
        self._set(job.id, state="running", started=time.time(), attempts=job.attempts + 1, done=0, total=0, what="")
        log.info("job begins", extra={"job": job.id, "operation": job.operation})
        await self._worked_on(job, home)
        ended = self.store.get(job.id)
        if ended and ended.state in ("failed", "cancelled"):
            shutil.rmtree(home / _WORK, ignore_errors=True)
            (home / RESULT).unlink(missing_ok=True)
        log.info("job ends", extra={"job": job.id, "state": ended.state if ended else "removed"})

    async def _worked_on(self, job: Job, home: Path) -> None:
        """Have the work done, and write down how it ended."""
        files = {
            field: [home / INPUTS / field / str(n) / name for n, name in enumerate(names)]
            for field, names in job.files.items()
        }
        task = Task(job.id, job.operation, job.options, files, home / _WORK, home / RESULT)

        def tell(done: int, total: int, what: str) -> None:
            self._set(job.id, done=done, total=total, what=what)

        try:
            await self.pool.run(task, "job", self.settings.job_seconds, tell)
            self._keep(home)
            self._end(job.id, "done")
        except Cancelled:
            if not self._stopping:
                self._end(job.id, "cancelled")
        except Lost as error:
            if not self._stopping and (now := self.store.get(job.id)) is not None:
                self._requeue(now, str(error))
        except MolvisError as error:
            self._end(job.id, "failed", str(error))

    def _keep(self, home: Path) -> None:
        """Give the files of finished work their place.

        Raises:
            Failed: they are too large.
        """
        size = sum(p.stat().st_size for p in (home / _WORK).rglob("*") if p.is_file())
        if size > self.settings.max_result:
            raise Failed(f"its files have {size} bytes; at most {self.settings.max_result} are kept", True)
        (home / _WORK).replace(home / FILES)

    async def _tidy_forever(self) -> None:
        while True:
            for job in self.store.ended_before(time.time() - 3600 * self.settings.keep_hours):
                self.store.remove(job.id)
                await asyncio.to_thread(shutil.rmtree, self.folder / job.id, True)
            await asyncio.sleep(_TIDY_EVERY)
