"""Services for tests, in the process of the test."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any


def service(state: Path, **given: Any) -> Any:
    """A client of a service in this process, whose workers are ready."""
    from starlette.testclient import TestClient

    from molvis_serve import Settings, create_app

    values: dict[str, Any] = {"workers": 1, "state": state, "grace_seconds": 0.2, "hosts": ("testserver",)} | given
    return TestClient(create_app(Settings.read({}, **values)), raise_server_exceptions=False)


def until_ready(client: Any) -> Any:
    """Wait for a worker."""
    until = time.monotonic() + 60
    while client.get("/ready").status_code != 200:
        why = client.get("/ready").json().get("why", "")
        assert time.monotonic() < until, why
        assert "Error" not in why, why
        time.sleep(0.02)
    return client


def ended(client: Any, job: dict[str, Any]) -> dict[str, Any]:
    until = time.monotonic() + 30
    while (now := client.get(f"/api/v1/jobs/{job['id']}").json())["state"] not in ("done", "failed", "cancelled"):
        assert time.monotonic() < until, now
        time.sleep(0.02)
    return now
