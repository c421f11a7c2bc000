"""What one service consists of."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from typing import Any

from molvis_core.errors import MolvisError
from molvis_files.routes import Setup
from molvis_serve.jobs import Jobs
from molvis_serve.metrics import Metrics
from molvis_serve.operations import routes
from molvis_serve.pool import Pool
from molvis_serve.settings import Settings

__all__ = ["Service"]


@dataclass(eq=False)
class Service:
    """Settings, workers and jobs, from start to stop.

    Attributes:
        settings: of the service.
        pool: its workers.
        jobs: its jobs.
        metrics: its counts.
    """

    settings: Settings
    pool: Pool = field(init=False)
    jobs: Jobs = field(init=False)
    metrics: Metrics = field(init=False)
    _before: Any = None

    def __post_init__(self) -> None:
        self.settings.state.mkdir(parents=True, exist_ok=True)
        setup = Setup(
            self.settings.bundle, self.settings.library, self.settings.references, self.settings.device or None
        )
        limits = {"OMP_NUM_THREADS": "1"}
        if self.settings.max_unpacked:
            limits["MOLVIS_MAX_UNPACKED"] = str(self.settings.max_unpacked)
        self.pool = Pool(
            setup,
            {name: operation.target for name, operation in routes().items()},
            self.settings.workers,
            reserved=self.settings.reserved,
            limits=limits,
            memory=self.settings.worker_memory,
        )

    async def start(self) -> None:
        """Start the workers, and take up jobs that an earlier service left."""
        for name in ("calls", "incoming"):
            shutil.rmtree(self.settings.state / name, ignore_errors=True)
            (self.settings.state / name).mkdir()
        # Parts of requests that are too large for memory go here, not to the computer's folder of temporary files.
        self._before, tempfile.tempdir = tempfile.tempdir, str((self.settings.state / "incoming").resolve())
        self.jobs = Jobs(self.settings, self.pool)
        self.metrics = Metrics(self.pool, self.jobs)
        await self.pool.start()
        self.jobs.start()

    async def stop(self) -> None:
        """Let work end, and stop."""
        await self.jobs.stop()
        tempfile.tempdir = self._before

    async def until_ready(self) -> None:
        """Wait for the first worker.

        Raises:
            MolvisError: it cannot start.
        """
        try:
            await self.pool.until_ready()
        except MolvisError as error:
            raise MolvisError(f"the service cannot start: {error}") from error
