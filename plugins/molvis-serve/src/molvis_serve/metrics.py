"""What Prometheus asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterator

    from molvis_serve.jobs import Jobs
    from molvis_serve.pool import Pool

__all__ = ["Metrics"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Counts and times of one service."""

    def __init__(self, pool: Pool, jobs: Jobs) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "molvis_requests", "Requests answered.", ("method", "path", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "molvis_request_seconds", "Time to the end of an answer.", ("path",), buckets=_SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self.pool, self.jobs = pool, jobs
        self.registry.register(self)

    def seen(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count a request. The path is that of the route, so that there are few."""
        self.requests.labels(method, path, str(status)).inc()
        self.seconds.labels(path).observe(seconds)

    def collect(self) -> Iterator[Any]:
        """What is looked up when it is asked for."""
        import psutil

        states = GaugeMetricFamily("molvis_jobs", "Jobs that are kept, by state.", labels=["state"])
        for state in ("queued", "running", "done", "failed", "cancelled"):
            states.add_metric([state], self.jobs.store.count(state))
        yield states
        busy = GaugeMetricFamily("molvis_workers_busy", "Workers at a task, by kind.", labels=["kind"])
        for kind, count in self.pool.busy.items():
            busy.add_metric([kind], count)
        yield busy
        yield GaugeMetricFamily("molvis_workers", "Workers.", len(self.pool.processes))
        yield GaugeMetricFamily("molvis_calls_waiting", "Calls that wait for a worker.", self.pool.waiting)
        yield GaugeMetricFamily("molvis_worker_deaths", "Workers that died and were replaced.", self.pool.deaths)
        memory = GaugeMetricFamily("molvis_memory_bytes", "Resident memory of each process.", labels=["process"])
        for name, pid in [("server", None), *((f"worker-{n}", p) for n, p in enumerate(self.pool.processes))]:
            try:
                memory.add_metric([name], psutil.Process(pid).memory_info().rss)
            except psutil.Error:
                continue
        yield memory

    def text(self) -> bytes:
        """In the format of Prometheus."""
        return generate_latest(self.registry)
